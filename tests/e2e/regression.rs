//! Bugs that other downloaders had, by their numbers in the catalogue. Those that a group of its
//! own covers are named there.

use std::time::Duration;

use crate::{KIB, MIB, support::*, wire_test as e2e_test};

// The first part is slow: the others do not wait for it.
e2e_test!(rt05_other_parts_are_asked_for_before_the_first_ends, |t| {
    let object = Object::random(260, 8 * MIB);
    let origin = Origin::of(&object)
        .bend(|request, reply| {
            if request.number == 0 {
                reply.rate = Some(512 << 10);
            }
        })
        .start();
    let output = t.uget(["-j4", "--chunk-size", "524288", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
    let exchanges = origin.log().exchanges();
    // It never ends if the others are done first, and somebody takes its rest over.
    let first = exchanges[0].finished;
    let early = exchanges.iter().filter(|one| first.is_none_or(|end| one.request.at < end));
    let early = early.count();
    output.check(early > 8, &format!("{early} requests before the first part ended"));
    output.check(origin.log().peak_in_flight() <= 4, "more at once than connections");
});

// No validator, and the content changes between the probe and the plain request.
e2e_test!(rt06_revisions_are_not_spliced, |t| {
    let (old, new) = (Object::random(261, 4 * MIB), Object::random(262, 4 * MIB));
    let to = Version { object: new.clone(), etag: None, last_modified: None };
    let origin = Origin::of(&old).etag(None).mode(Mode::Flips { after: 1, to }).start();
    let output = t.uget(["-j8", &origin.url()]).run();
    t.delivers(&output, "object.bin", &new);
});

// No validator, and all of it is the first part: what is missing of that is no range of its own.
e2e_test!(rt06_an_object_that_fits_a_part_is_not_spliced, |t| {
    let (old, new) = (Object::random(267, 4 * MIB), Object::random(268, 4 * MIB));
    let to = Version { object: new.clone(), etag: None, last_modified: None };
    for args in [&["-j8", "--part-size", "8M"][..], &["-j1", "--part-size", "8M"]] {
        for way in
            [Mode::Cut { from: 0, times: 1, at: 2_000_000, end: End::Rst }, Mode::Rate(4 << 20)]
        {
            let flips = Mode::Flips { after: 1, to: to.clone() };
            let origin = Origin::of(&old).etag(None).mode(flips).mode(way).start();
            let output = t.uget(args).arg(origin.url()).run();
            t.whole_or_refused(&output, "object.bin", &[&old, &new]);
            t.clear();
        }
    }
});

// As above, with another length: the plain answer is not judged by the probe's total.
e2e_test!(rt07_a_fresh_answer_is_not_judged_by_a_stale_total, |t| {
    for size in [MIB + 7, 6 * MIB] {
        let (old, new) = (Object::random(263, 4 * MIB), Object::random(264, size));
        let to = Version { object: new.clone(), etag: None, last_modified: None };
        let origin = Origin::of(&old).etag(None).mode(Mode::Flips { after: 1, to }).start();
        let output = t.uget(["-j8", "-o", "object.bin", &origin.url()]).run();
        t.delivers(&output, "object.bin", &new);
    }
});

// A short chunked 206 that ends cleanly, for ever: no hole in a published file.
e2e_test!(rt10_a_short_range_leaves_no_hole, |t| {
    let object = Object::random(265, 4 * MIB);
    let mode = Mode::ShortChunked { k: 5, times: usize::MAX, keep: 0 };
    let origin = Origin::of(&object).mode(mode).start();
    let args = ["-j4", "--chunk-size", "262144", "--retries", "1", "--print-digest=sha256"];
    let output = t.uget(args).arg(origin.url()).run();
    t.refuses_with(&output, &[8, 18]);
    output.check(output.stdout.is_empty(), "a digest of a hole was printed");
});

e2e_test!(rt11_a_shifted_window_is_named, |t| {
    let origin = Origin::of(&Object::random(266, 4 * MIB))
        .mode(Mode::Lie { k: 2, lie: Lie::Elsewhere })
        .start();
    let args = ["-j4", "--chunk-size", "262144", "--retries", "1"];
    let output = t.uget(args).arg(origin.url()).run();
    t.refuses_with(&output, &[8, 33]);
    output.says("range");
});

// Small work is not cut into many requests.
e2e_test!(rt18_small_work_takes_few_requests, |t| {
    for (size, most) in [(10 * KIB, 1), (100 * KIB, 1), (4 * MIB, 16)] {
        let object = Object::random(267, size);
        let origin = Origin::of(&object).start();
        let output = t.uget(["-j16", "-o", "object.bin", &origin.url()]).run();
        t.delivers(&output, "object.bin", &object);
        let count = origin.log().count();
        output.check(count <= most, &format!("{count} requests for {size} bytes"));
    }
});

// Counted in system calls, of which there are about as many as there are bytes otherwise.
e2e_test!(rt21_no_byte_at_a_time, |t| {
    let strace = std::path::Path::new("/usr/bin/strace");
    if !strace.exists() {
        eprintln!("left out: strace is not here");
        return;
    }
    let object = Object::random(268, 32 * MIB);
    let origin = Origin::of(&object).start();
    let (home, count) = (t.outside().join("home"), t.outside().join("count"));
    for connections in ["-j1", "-j8"] {
        let output = Invocation::new(strace, &t.dir(), &home)
            .args(["-f", "-qq", "-c", "-o"])
            .arg(&count)
            .args([env!("CARGO_BIN_EXE_uget"), "--engine", t.engine.name(), "--no-progress"])
            .args([connections, "-k", "-o", "object.bin", &origin.url()])
            .limit(Duration::from_secs(120))
            .run();
        t.delivers(&output, "object.bin", &object);
        let table = std::fs::read_to_string(&count).unwrap();
        // % time, seconds, usecs/call, calls, errors if there are any, name
        let total = table.lines().rev().find(|line| line.trim_end().ends_with("total"));
        let calls = total.and_then(|total| total.split_whitespace().nth(3));
        let calls: usize = calls.and_then(|calls| calls.parse().ok()).unwrap_or(0);
        output.check((100..32_000).contains(&calls), &format!("{calls} calls\n{table}"));
    }
});

// RT-23 with ranges, and LB-11: no attempt is left, but all bytes are there.
e2e_test!(rt23_lb11_a_reset_after_the_last_byte_of_each_part, |t| {
    let object = Object::random(269, 2 * MIB);
    let origin = Origin::of(&object).mode(Mode::RstAfterLast).start();
    let args = ["-j2", "--chunk-size", "262144", "--retries", "0"];
    let output = t.uget(args).arg(origin.url()).run();
    t.delivers(&output, "object.bin", &object);
    output.check(origin.log().sent() == object.len(), "a byte was fetched twice");
});

// What a mismatch costs: the head of the answer, not its body.
e2e_test!(rt25_a_change_is_not_downloaded, |t| {
    let object = Object::random(270, 48 * MIB);
    let to = Version::strong(Object::random(271, 48 * MIB), "v2");
    let origin = Origin::of(&object).mode(Mode::Flips { after: 2, to }).start();
    let args = ["-j4", "--chunk-size", "262144"];
    let output = t.uget(args).arg(origin.url()).run();
    t.refuses(&output, 101);
    output.check(origin.log().sent() < 40 * MIB as u64, "the new version's body was read");
});

e2e_test!(rt29_a_stream_cut_before_its_end_is_not_published, |t| {
    let object = Object::random(272, 2 * MIB);
    for chunked in [false, true] {
        let origin = Origin::of(&object)
            .mode(Mode::IgnoreRange)
            .bend(move |_, reply| {
                if chunked {
                    reply.framing = Framing::Chunked(Chunked::default());
                }
                reply.cut = Some((MIB as u64, End::Fin));
            })
            .start();
        let output = t.uget(["-j4", "--retries", "1", &origin.url()]).run();
        t.refuses_with(&output, &[18]);
    }
});

// `lb01` to `lb05`: see the fallbacks; here is what they have in common.
e2e_test!(lb01_a_first_part_alone_is_never_success, |t| {
    let object = Object::random(273, 4 * MIB);
    let origin = Origin::of(&object)
        .bend(|request, reply| {
            // Whatever is asked, the first part comes with an unknown total.
            if let Some(range) = request.range(4 * MIB as u64) {
                reply.set("Content-Range", &format!("bytes 0-{}/*", range.end - 1));
            } else {
                reply.cut = Some((MIB as u64, End::Fin));
            }
        })
        .start();
    let output = t.uget(["-j4", "--retries", "1", &origin.url()]).run();
    t.refuses_with(&output, &[8, 18, 33]);
});

e2e_test!(lb02_any_other_416_is_no_empty_object, |t| {
    let origin = Origin::of(&Object::random(274, MIB)).mode(Mode::Status(416)).start();
    let output = t.uget(["-j4", &origin.url()]).run();
    t.refuses(&output, 22);
});

// One byte of progress per attempt, and a signal while it waits: LB-10.
e2e_test!(lb10_a_back_off_can_be_interrupted, |t| {
    let mode = Mode::Cut { from: 0, times: usize::MAX, at: 0, end: End::Rst };
    let origin = Origin::of(&Object::random(275, MIB)).mode(mode).start();
    let running = t.uget(["-j1", "--retries", "1000", &origin.url()]).start();
    assert!(origin.log().wait(|all| all.len() >= 3));
    let sent = std::time::Instant::now();
    running.signal(libc::SIGINT);
    let output = running.wait();
    output.fails(130);
    output.check(sent.elapsed() < at_once(), "it slept on");
});

// Without a pin a same-size replacement cannot be seen; with one it is.
e2e_test!(lb17_a_replacement_of_the_same_size_is_seen, |t| {
    let object = Object::random(276, 4 * MIB);
    let to = Version::strong(Object::random(277, 4 * MIB), "v2");
    let origin = Origin::of(&object).mode(Mode::FlipsBlindly { after: 5, to }).start();
    let args = ["-j4", "--chunk-size", "262144"];
    let output = t.uget(args).arg(origin.url()).run();
    t.refuses(&output, 101);
});

// GRX-10: an object that is over before anybody looks.
e2e_test!(a_tiny_object_many_times, |t| {
    let object = Object::random(278, 10);
    let origin = Origin::of(&object).start();
    for _ in 0..if is_long() { 200 } else { 20 } {
        let output = t.uget(["-q", "-j4", "-o", "object.bin", &origin.url()]).run();
        t.delivers(&output, "object.bin", &object);
    }
});
