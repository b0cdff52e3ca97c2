//! What people and machines are shown while it runs, and afterwards.

use std::{
    io::BufRead as _,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use crate::{KIB, MIB, e2e_test, support::*};

fn object() -> Object {
    Object::random(220, 6 * MIB)
}

e2e_test!(without_a_terminal_there_is_one_line, |t| {
    let origin = Origin::of(&object()).start();
    let output = t.uget(["-j4", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object());
    output.is_silent();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    output.check(stdout.lines().count() == 1, "a summary is one line");
    output.check(stdout.contains("object.bin") && stdout.contains("MiB"), "it should say what");
    output.check(!stdout.contains('\u{1b}'), "it is no terminal");
});

e2e_test!(quiet_is_silent, |t| {
    let origin = Origin::of(&object()).start();
    let output = t.uget(["-q", "-j4", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object());
    output.is_silent().check(output.stdout.is_empty(), "quiet means quiet");
    let broken = Origin::of(&object()).mode(Mode::Status(404)).start();
    let output = t.uget(["-q", "-o", "x", &broken.url()]).run();
    output.fails(22);
});

e2e_test!(the_summary_of_a_stream_is_not_in_it, |t| {
    let origin = Origin::of(&object()).start();
    let output = t.uget(["-j4", "-o", "-", &origin.url()]).run();
    output.succeeds();
    assert!(object().difference(&output.stdout).is_none());
    output.check(output.stderr.lines().count() <= 1, "a summary is one line");
    let output = t.uget(["-q", "-j4", "-o", "-", &origin.url()]).run();
    output.succeeds().is_silent();
});

e2e_test!(lb06_events_for_machines_never_go_backwards, |t| {
    let object = Object::random(221, 24 * MIB);
    let origin = Origin::of(&object)
        .mode(Mode::Cut { from: 5, times: 2, at: 100_000, end: End::Fin })
        .start();
    let args = ["-j16", "--chunk-size", "524288", "--progress", "json", &origin.url()];
    let output = t.uget(args).run();
    t.delivers(&output, "object.bin", &object);
    let mut most = 0;
    for line in output.stderr.lines() {
        let event: serde_json::Value = serde_json::from_str(line)
            .unwrap_or_else(|error| output.explain(&format!("{line:?} is no JSON: {error}")));
        output.check(event.is_object(), line);
        if let Some(bytes) = event.get("bytes").and_then(serde_json::Value::as_u64) {
            output.check(bytes >= most, &format!("{bytes} after {most}"));
            output.check(bytes <= object.len(), &format!("{bytes} of {}", object.len()));
            most = bytes;
        }
    }
    output.check(most == object.len(), &format!("the last figure is {most}"));
});

/// Reads events as they come; the bytes of the last one are behind the returned lock.
fn follow(events: std::io::PipeReader) -> Arc<(Mutex<u64>, Condvar)> {
    let seen = Arc::new((Mutex::new(0), Condvar::new()));
    let ours = Arc::clone(&seen);
    thread::spawn(move || {
        for line in std::io::BufReader::new(events).lines().map_while(Result::ok) {
            let event: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if let Some(bytes) = event["bytes"].as_u64() {
                *ours.0.lock().unwrap() = bytes;
                ours.1.notify_all();
            }
        }
    });
    seen
}

e2e_test!(lb06_events_for_machines_come_for_every_mib, |t| {
    const PART: u64 = 512 << 10;
    let object = Object::random(224, 24 * MIB);
    let (reader, writer) = std::io::pipe().unwrap();
    let seen = follow(reader);
    let late = Arc::new(AtomicUsize::new(0));
    let missed = Arc::clone(&late);
    let origin = Origin::of(&object)
        .bend(move |request, _| {
            // One other part is under way, and less than a MiB has not been told yet: everything
            // else was, before this goes on.
            let told = (request.number as u64).saturating_sub(3) * PART;
            let bytes = seen.0.lock().unwrap();
            let wait = Duration::from_secs(10);
            let until = seen.1.wait_timeout_while(bytes, wait, |bytes| *bytes < told);
            missed.fetch_add(usize::from(until.unwrap().1.timed_out()), Ordering::SeqCst);
        })
        .start();
    let args = ["-j2", "--chunk-size", "524288", "--progress", "json", &origin.url()];
    let output = t.uget(args).stderr(writer).run();
    t.delivers(&output, "object.bin", &object);
    let late = late.load(Ordering::SeqCst);
    output.check(late == 0, &format!("{late} times a MiB came and was not told"));
});

/// Runs against a terminal of a width and returns what was drawn.
fn drawn(t: &Test, columns: u16, term: &str, args: &[&str]) -> (Output, String) {
    let (pty, end) = Pty::open(columns);
    let output =
        t.uget(args).env("TERM", term).env("COLUMNS", columns.to_string()).stderr(end).run();
    (output, pty.drawn())
}

e2e_test!(rt16_a_terminal_shows_movement_before_the_first_byte, |t| {
    let object = Object::random(222, 40 * KIB);
    let origin = Origin::of(&object).mode(Mode::Latency(Duration::from_millis(2500))).start();
    let (output, drawn) = drawn(t, 100, "xterm", &["-j4", &origin.url()]);
    t.delivers(&output, "object.bin", &object);
    let frames: std::collections::BTreeSet<&str> =
        drawn.split(['\r', '\n']).filter(|frame| !frame.trim().is_empty()).collect();
    assert!(frames.len() >= 3, "it looked frozen: {drawn:?}");
});

e2e_test!(a_terminal_shows_progress, |t| {
    let origin = Origin::of(&object()).mode(Mode::Rate(2 * MIB as u64)).start();
    let args = ["-j2", "--chunk-size", "524288", &origin.url()];
    let (output, drawn) = drawn(t, 100, "xterm", &args);
    t.delivers(&output, "object.bin", &object());
    assert!(drawn.contains('%') && drawn.contains("MiB"), "{drawn:?}");
});

e2e_test!(lb13_a_narrow_terminal_and_a_wide_name, |t| {
    let object = Object::random(223, 2 * MIB);
    let origin = Origin::of(&object).mode(Mode::Rate(4 * MIB as u64)).start();
    let name = "größe-日本語-ファイル-🦀-name.bin";
    for columns in [1, 2, 5, 10, 23, 40, 0] {
        let args = ["-j2", "--chunk-size", "524288", "-o", name, &origin.url()];
        let (output, _) = drawn(t, columns, "xterm", &args);
        output.check(output.status.success(), &format!("{columns} columns"));
        t.delivers(&output, name, &object);
    }
});

e2e_test!(a_dumb_terminal_is_none, |t| {
    let origin = Origin::of(&object()).start();
    let (output, drawn) = drawn(t, 80, "dumb", &["-j4", &origin.url()]);
    t.delivers(&output, "object.bin", &object());
    assert!(!drawn.contains('\u{1b}') && !drawn.contains('%'), "{drawn:?}");
});

e2e_test!(no_color_means_none, |t| {
    let origin = Origin::of(&object()).mode(Mode::Rate(8 * MIB as u64)).start();
    let (pty, end) = Pty::open(80);
    let args = ["-j2", "--chunk-size", "524288", &origin.url()];
    let output = t.uget(args).env("TERM", "xterm").env("NO_COLOR", "1").stderr(end).run();
    t.delivers(&output, "object.bin", &object());
    let drawn = pty.drawn();
    let coloured = drawn.match_indices("\u{1b}[").any(|(at, _)| {
        let rest = drawn[at + 2..].trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        rest.starts_with('m')
    });
    assert!(!coloured, "{drawn:?}");
});

e2e_test!(quiet_on_a_terminal_is_silent, |t| {
    let origin = Origin::of(&object()).start();
    let (output, drawn) = drawn(t, 80, "xterm", &["-q", "-j4", &origin.url()]);
    t.delivers(&output, "object.bin", &object());
    assert_eq!(drawn, "");
});
