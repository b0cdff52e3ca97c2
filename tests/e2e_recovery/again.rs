//! However a run ends, the same command again fetches only what is missing.

use std::{fs, thread, time::Duration};

use crate::{KIB, MIB, e2e_test, halves::*, support::*};

const RATE: u64 = 2 * MIB as u64;

/// Starts a run and waits until a third is there.
fn third(t: &Test, origin: &Origin, target: &str) -> Running {
    let args = ["-j4", "--chunk-size", "262144", "-o", target];
    let running = t.uget(args).args(["--retries", "1"]).arg(origin.url()).start();
    assert!(origin.log().wait(|all| all.iter().map(|one| one.sent).sum::<u64>() > third_of()));
    running
}

fn third_of() -> u64 {
    SIZE as u64 / 3
}

/// What a second run may fetch after [`third`].
fn most() -> u64 {
    SIZE as u64 - third_of() + 500 * KIB as u64
}

e2e_test!(after_a_signal, |t| {
    for (signal, code) in [(libc::SIGINT, 130), (libc::SIGTERM, 143), (libc::SIGHUP, 129)] {
        let origin = Origin::of(&object()).mode(Mode::Rate(RATE)).start();
        let running = third(t, &origin, "object.bin");
        running.signal(signal);
        running.wait().fails(code);
        assert!(origin.log().wait_closed());
        let sent = origin.log().sent();
        let output = t.uget(ARGS).arg(origin.url()).run();
        t.delivers(&output, "object.bin", &object());
        assert!(origin.log().wait_closed());
        let all = origin.log().sent();
        output.check(all - sent <= most(), &format!("it fetched {} bytes", all - sent));
        // What was stopped in an orderly way has everything in place that was received.
        let twice = all - object().len();
        output.check(twice <= 300 * KIB as u64, &format!("{twice} bytes were fetched twice"));
        fs::remove_file(t.path("object.bin")).unwrap();
    }
});

e2e_test!(after_the_server_went_away, |t| {
    let origin = Origin::of(&object()).mode(Mode::Rate(RATE)).start();
    let running = third(t, &origin, "object.bin");
    let (address, url) = (origin.address(), origin.url());
    drop(origin);
    running.wait().fails_with(&[7, 18, 56]);
    // Not back yet.
    let output = t.uget(ARGS).args(["--retries", "0"]).arg(&url).run();
    t.refuses(&output, 7);
    let origin = Origin::of(&object()).start_at(address);
    let output = t.uget(ARGS).arg(&url).run();
    t.delivers(&output, "object.bin", &object());
    assert!(origin.log().wait_closed());
    let fetched = origin.log().sent();
    output.check(fetched <= most(), &format!("it fetched {fetched} bytes"));
});

e2e_test!(after_the_network_went_silent, |t| {
    let silent = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = std::sync::Arc::clone(&silent);
    let origin = Origin::of(&object())
        .bend(move |request, reply| {
            let silent = seen.load(std::sync::atomic::Ordering::SeqCst);
            if silent && request.range(SIZE as u64).is_none_or(|range| range.start > MIB as u64) {
                reply.cut = Some((10_000, End::Stall));
            }
        })
        .start();
    silent.store(true, std::sync::atomic::Ordering::SeqCst);
    let args = ["--stall-timeout", "1", "--retries", "0"];
    let output = t.uget(ARGS).args(args).arg(origin.url()).run();
    t.refuses(&output, 28);
    silent.store(false, std::sync::atomic::Ordering::SeqCst);
    assert!(origin.log().wait_closed());
    let sent = origin.log().sent();
    let output = t.uget(ARGS).arg(origin.url()).run();
    t.delivers(&output, "object.bin", &object());
    assert!(origin.log().wait_closed());
    let fetched = origin.log().sent() - sent;
    output.check(fetched <= (SIZE - MIB) as u64, &format!("it fetched {fetched} bytes"));
});

e2e_test!(after_the_disk_was_full, |t| {
    let Some(disk) = SmallDisk::mount(t, 12 * MIB as u64) else { return };
    let origin = Origin::of(&object()).mode(Mode::Rate(RATE)).start();
    let target = disk.path("object.bin");
    let running = third(t, &origin, target.to_str().unwrap());
    // Somebody else takes the rest.
    let hog = disk.path("hog");
    drop(fs::write(&hog, vec![1; 12 * MIB]));
    let output = running.wait();
    output.fails(23).says("uget-part").says("no space");
    output.check(!target.exists(), "nothing may be published");
    // As long as there is no room, that is what is said, and what is there stays.
    let output = t.uget(["-j4", "-o", target.to_str().unwrap(), &origin.url()]).run();
    output.fails(23).says("no space");
    fs::remove_file(hog).unwrap();
    assert!(origin.log().wait_closed());
    let sent = origin.log().sent();
    let output = t.uget(["-j4", "-o", target.to_str().unwrap(), &origin.url()]).run();
    output.succeeds();
    output.check(fs::read(&target).unwrap() == object().bytes(), "the file is wrong");
    assert!(origin.log().wait_closed());
    let fetched = origin.log().sent() - sent;
    output.check(fetched <= most(), &format!("it fetched {fetched} bytes"));
    assert_eq!(disk.names(), ["object.bin"]);
});

e2e_test!(a_file_size_limit_is_an_error_and_no_signal, |t| {
    let sandbox = || Sandbox::default().file_size(3 * MIB as u64);
    let origin = Origin::of(&object()).start();
    let output = t.uget(ARGS).arg(origin.url()).sandbox(sandbox()).run();
    t.refuses(&output, 23);
    // The length is unknown, so it is met on the way.
    let origin = Origin::of(&object()).mode(Mode::Http10).start();
    let output = t.uget(ARGS).arg(origin.url()).sandbox(sandbox()).run();
    t.refuses(&output, 23);
    let output = t.uget(ARGS).arg(origin.url()).run();
    t.delivers(&output, "object.bin", &object());
});

e2e_test!(with_other_connections_parts_and_engine, |t| {
    let other = if t.engine == Engine::Uring { "epoll" } else { "uring" };
    if other == "uring" && std::env::var_os("UGET_TEST_SKIP_URING").is_some() {
        return;
    }
    for extra in [
        vec!["-j1"],
        vec!["-j2"],
        vec!["-j16"],
        vec!["-j", "auto"],
        vec!["--chunk-size", "1000003"],
        vec!["--engine", other],
        vec!["--restart-on-change"],
        vec!["-c"],
        vec!["-C", "-"],
        vec!["--fsync"],
    ] {
        let halves = Halves::of(&object());
        halves.fail(t);
        halves.mend();
        let before = halves.origin.log().sent();
        let mut args = vec!["--engine", t.engine.name(), "-o", "object.bin"];
        if extra[0] == "--engine" {
            args.drain(..2);
        }
        let output = t.bare(args).args(&extra).arg(halves.origin.url()).run();
        t.delivers(&output, "object.bin", &object());
        let fetched = halves.fetched_since(before);
        let most = SIZE as u64 / 2 + 300 * KIB as u64;
        output.check(fetched <= most, &format!("it fetched {fetched} bytes"));
        fs::remove_file(t.path("object.bin")).unwrap();
    }
});

e2e_test!(a_resumed_run_says_so, |t| {
    let halves = Halves::of(&object());
    halves.fail(t);
    let (output, fetched) = halves.again(t, &["--json"]);
    t.delivers(&output, "object.bin", &object());
    let report = output.json();
    let resumed = report["resumed"].as_u64().unwrap();
    output.check(resumed > 3 * MIB as u64, "it should say how much was there");
    output.check(resumed + fetched >= SIZE as u64, "it cannot have been there");
});

e2e_test!(turned_off, |t| {
    let halves = Halves::of(&object());
    halves.fail(t);
    halves.mend();
    let before = halves.origin.log().sent();
    let output = t.uget(ARGS).args(["--no-resume"]).arg(halves.origin.url()).run();
    t.delivers(&output, "object.bin", &object());
    assert!(halves.fetched_since(before) >= SIZE as u64);
    fs::remove_file(t.path("object.bin")).unwrap();
    // And nothing is left by one that fails.
    let halves = Halves::of(&object());
    let args = ["--retries", "0", "--no-resume"];
    let output = t.uget(ARGS).args(args).arg(halves.origin.url()).run();
    output.fails_with(&[18, 56]);
    t.holds_only(&output, &[]);
});

e2e_test!(okx03_a_complete_part_is_published_without_a_body_byte, |t| {
    for digest in [false, true] {
        let origin = Origin::of(&object()).mode(Mode::Rate(RATE)).start();
        let sha256 = object().sha256();
        let mut args = ARGS.to_vec();
        if digest {
            args.extend(["--sha256", &sha256]);
        }
        let running = t.uget(&args).arg(origin.url()).start();
        assert!(origin.log().wait(|all| all.len() > 3));
        // In the way of the rename, so that everything is there but the name.
        fs::create_dir(t.path("object.bin")).unwrap();
        let output = running.wait();
        output.fails(23).says("object.bin");
        fs::remove_dir(t.path("object.bin")).unwrap();
        assert!(origin.log().wait_closed());
        let (sent, asked) = (origin.log().sent(), origin.log().count());
        let umask = Sandbox::default().umask(0o027);
        let output = t.uget(&args).arg(origin.url()).sandbox(umask).run();
        t.delivers(&output, "object.bin", &object());
        // LB-16: it gets the mode that any other file gets.
        assert_eq!(t.mode("object.bin"), 0o640);
        assert!(origin.log().wait_closed());
        let fetched = origin.log().sent() - sent;
        output.check(fetched == 0, &format!("{fetched} bytes of bodies were fetched"));
        output.check(origin.log().count() - asked <= 1, "one question is enough");
        fs::remove_file(t.path("object.bin")).unwrap();
    }
});

e2e_test!(okx05_a_reset_after_the_last_byte_is_success, |t| {
    let origin = Origin::of(&object()).mode(Mode::RstAfterLast).start();
    let output = t.uget(ARGS).args(["--retries", "0"]).arg(origin.url()).run();
    t.delivers(&output, "object.bin", &object());
});

e2e_test!(rt38_an_attempt_that_was_longer_leaves_nothing, |t| {
    // The first attempt has no length and brings more than the object has afterwards.
    let long = Object::random(901, 6 * MIB);
    let short = Object::random(902, 2 * MIB + 1);
    let first = std::sync::atomic::AtomicBool::new(true);
    let origin = Origin::of(&long)
        .mode(Mode::Http10)
        .bend(move |_, reply| {
            reply.framing = Framing::Chunked(Chunked::default());
            reply.version = "HTTP/1.1";
            reply.unset("ETag");
            if first.swap(false, std::sync::atomic::Ordering::SeqCst) {
                reply.cut = Some((5 * MIB as u64, End::Rst));
            } else {
                reply.body = Body::Object(short.clone(), 0..short.len());
            }
        })
        .start();
    let output = t.uget(ARGS).arg(origin.url()).run();
    t.delivers(&output, "object.bin", &Object::random(902, 2 * MIB + 1));
});

e2e_test!(lb08_a_shorter_file_under_the_name_is_no_part, |t| {
    let prefix = object().bytes()[..MIB].to_vec();
    t.write("object.bin", &prefix);
    let halves = Halves::of(&object());
    halves.fail(t);
    assert_eq!(fs::read(t.path("object.bin")).unwrap(), prefix, "the old file must stay");
    halves.resumes::<&str>(t, &[]);
});

e2e_test!(many_ends_in_a_row, |t| {
    let origin = Origin::of(&object()).mode(Mode::Rate(RATE / 2)).start();
    let signals = [libc::SIGKILL, libc::SIGINT, libc::SIGKILL, libc::SIGTERM, libc::SIGKILL];
    let mut signals = signals.into_iter();
    let output = loop {
        let running = t.uget(ARGS).arg(origin.url()).start();
        let last = signals.next().is_none_or(|signal| {
            thread::sleep(Duration::from_millis(350));
            running.signal(signal);
            false
        });
        let output = running.wait();
        if last || output.status.success() {
            break output;
        }
    };
    t.delivers(&output, "object.bin", &object());
    assert!(origin.log().wait_closed());
    let twice = origin.log().sent() - object().len();
    output.check(twice < SIZE as u64 / 4, &format!("{twice} bytes were fetched twice"));
});
