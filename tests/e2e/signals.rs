//! Signals, in every phase: an end within two seconds, the right exit code, nothing half-published.

use std::{
    fs,
    time::{Duration, Instant},
};

use crate::{MIB, support::*, wire_test as e2e_test};

/// Where a run is when the signal comes.
const PHASES: [&str; 4] = ["head", "body", "back-off", "stream"];

fn origin(phase: &str) -> Origin {
    let origin = Origin::of(&Object::random(200, 8 * MIB));
    match phase {
        "head" => origin.mode(Mode::Latency(Duration::from_secs(20))),
        "body" => origin.mode(Mode::Stall { from: 3, times: usize::MAX, at: 5000 }),
        "back-off" => {
            let after = Some("20");
            origin.mode(Mode::Busy { status: 503, times: usize::MAX, retry_after: after })
        }
        _ => origin.mode(Mode::IgnoreRange).mode(Mode::Rate(MIB as u64)),
    }
    .start()
}

/// Starts a run and waits until it is in the phase.
fn started(t: &Test, origin: &Origin, phase: &str) -> Running {
    let running = t.uget(["-j4", "--chunk-size", "262144", &origin.url()]).start();
    let requests = if phase == "body" { 4 } else { 1 };
    assert!(origin.log().wait(|all| all.len() >= requests && all[0].status > 0 || phase == "head"));
    if phase == "head" {
        assert!(origin.log().wait(|all| !all.is_empty()));
    }
    std::thread::sleep(Duration::from_millis(150));
    running
}

fn ends(t: &Test, signal: i32, codes: &[i32]) {
    for phase in PHASES {
        let origin = origin(phase);
        let running = started(t, &origin, phase);
        let sent = Instant::now();
        running.signal(signal);
        let output = running.wait();
        let took = sent.elapsed();
        output.check(
            output.code().is_some_and(|code| codes.contains(&code)),
            &format!("signal {signal} during {phase} should end it with {codes:?}"),
        );
        output.check(took < at_once(), &format!("{phase}: it took {took:?}"));
        let visible: Vec<String> =
            t.names().into_iter().filter(|name| !name.starts_with('.')).collect();
        output.check(visible.is_empty(), &format!("{phase} left {visible:?}"));
        for name in t.names() {
            fs::remove_file(t.path(&name)).unwrap();
        }
    }
}

e2e_test!(interrupt, |t| ends(t, libc::SIGINT, &[130]));
e2e_test!(terminate, |t| ends(t, libc::SIGTERM, &[143]));
e2e_test!(hang_up, |t| ends(t, libc::SIGHUP, &[129, 130, 143]));

e2e_test!(a_second_signal_ends_it_at_once, |t| {
    let origin = origin("body");
    let running = started(t, &origin, "body");
    running.signal(libc::SIGINT);
    running.signal(libc::SIGINT);
    let sent = Instant::now();
    let output = running.wait();
    output.check(output.code() == Some(130), "it should exit with 130");
    output.check(sent.elapsed() < at_once(), "it should end at once");
});

e2e_test!(an_interrupted_run_can_be_run_again, |t| {
    let object = Object::random(200, 8 * MIB);
    let stalled = origin("body");
    let running = started(t, &stalled, "body");
    running.signal(libc::SIGTERM);
    running.wait();
    let again = Origin::of(&object).start();
    let output = t.uget(["-j4", &again.url()]).run();
    t.delivers(&output, "object.bin", &object);
});

e2e_test!(a_killed_run_can_be_run_again, |t| {
    let object = Object::random(200, 8 * MIB);
    let stalled = origin("body");
    let running = started(t, &stalled, "body");
    running.signal(libc::SIGKILL);
    drop(running);
    assert!(t.names().iter().all(|name| name.starts_with('.')), "{:?}", t.names());
    let again = Origin::of(&object).start();
    let output = t.uget(["-j4", &again.url()]).run();
    t.delivers(&output, "object.bin", &object);
});

e2e_test!(an_interrupt_leaves_the_old_file, |t| {
    let old = Object::random(201, 1000);
    t.write("object.bin", old.bytes());
    let origin = origin("body");
    let running =
        t.uget(["-j4", "--chunk-size", "262144", "-o", "object.bin", &origin.url()]).start();
    assert!(origin.log().wait(|all| all.len() >= 4));
    running.signal(libc::SIGINT);
    let output = running.wait();
    output.fails(130);
    t.holds(&output, "object.bin", &old);
});

e2e_test!(an_interrupted_stream_ends, |t| {
    let origin = origin("stream");
    let running = t.uget(["-j4", "-o", "-", &origin.url()]).start();
    assert!(origin.log().wait(|all| all.iter().any(|one| one.sent > 0)));
    running.signal(libc::SIGINT);
    let output = running.wait();
    output.fails(130);
    t.holds_only(&output, &[]);
});

e2e_test!(a_signal_while_the_reader_of_the_stream_is_away, |t| {
    let origin = Origin::of(&Object::random(202, 32 * MIB)).start();
    let (reader, writer) = std::io::pipe().unwrap();
    let running = t.uget(["-j4", "-o", "-", &origin.url()]).stdout(writer).start();
    assert!(origin.log().wait(|all| all.iter().any(|one| one.sent > 0)));
    std::thread::sleep(Duration::from_millis(300));
    let sent = Instant::now();
    running.signal(libc::SIGTERM);
    let output = running.wait();
    output.fails(143);
    output.check(sent.elapsed() < at_once(), "it should end at once");
    drop(reader);
});

e2e_test!(a_stop_and_a_continue_change_nothing, |t| {
    let object = Object::random(203, 6 * MIB);
    let origin = Origin::of(&object).mode(Mode::Rate(2 * MIB as u64)).start();
    let args = ["-j2", "--chunk-size", "262144", "--stall-timeout", "1", &origin.url()];
    let running = t.uget(args).start();
    assert!(origin.log().wait(|all| all.len() > 3));
    running.signal(libc::SIGSTOP);
    std::thread::sleep(Duration::from_millis(2500));
    running.signal(libc::SIGCONT);
    let output = running.wait();
    t.delivers(&output, "object.bin", &object);
});

crate::e2e_test!(as_process_one, |t| {
    if !is_root() {
        return;
    }
    let origin = origin("body");
    let args = ["--pid", "--fork", "--kill-child", env!("CARGO_BIN_EXE_uget")];
    let home = t.outside().join("home");
    let running = Invocation::new(std::path::Path::new("/usr/bin/unshare"), &t.dir(), &home)
        .args(args)
        .args(["--engine", t.engine.name(), "-j4", "--chunk-size", "262144", &origin.url()])
        .start();
    assert!(origin.log().wait(|all| all.len() >= 4));
    let pid = running.pid();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let uget: i32 = children.trim().parse().unwrap();
    // SAFETY: the process is a child of one that was not waited for yet.
    assert_eq!(unsafe { libc::kill(uget, libc::SIGTERM) }, 0);
    let sent = Instant::now();
    let output = running.wait();
    output.check(sent.elapsed() < at_once(), "process one ignores what it must not");
    output.check(output.code() == Some(143), "it should exit with 143");
    let visible: Vec<String> =
        t.names().into_iter().filter(|name| !name.starts_with('.')).collect();
    output.check(visible.is_empty(), &format!("{visible:?}"));
});
