//! Many connections into one order: bytes, memory, and consumers that are slow, stop, or go.

use std::{
    io::{PipeReader, Read as _},
    thread,
    time::Duration,
};

use crate::{KIB, MIB, e2e_test, support::*, wire_test};

fn rest_of(mut reader: PipeReader, first: &[u8]) -> Vec<u8> {
    let mut all = first.to_vec();
    reader.read_to_end(&mut all).unwrap();
    all
}

/// One byte is taken, then none for a while.
fn stop(reader: &mut PipeReader, time: Duration) -> [u8; 1] {
    let mut first = [0];
    reader.read_exact(&mut first).unwrap();
    thread::sleep(time);
    first
}

fn delivers(t: &Test, origin: &Origin, object: &Object, args: &[&str]) {
    let output = t.uget(args).args(["-q", "-o", "-", &origin.url()]).run();
    output.succeeds();
    let difference = object.difference(&output.stdout);
    output.check(difference.is_none(), difference.as_deref().unwrap_or_default());
}

wire_test!(many_connections_make_one_stream, |t| {
    let object = Object::random(901, 24 * MIB + 12_345);
    // Each waits for the others, so that there are as many.
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::of(&object)
        .bend(move |request, _| {
            if request.ranged > 0 && held.waiting() < 5 {
                held.pass_within(Duration::from_secs(5));
            }
            if held.waiting() >= 5 {
                held.open();
            }
        })
        .start();
    delivers(t, &origin, &object, &["-j8"]);
    assert!(origin.log().peak_in_flight() >= 5, "{}", origin.log().peak_in_flight());
    assert_eq!(origin.log().overlap(object.len()), 0, "nothing is fetched twice");
});

e2e_test!(a_server_whose_low_offsets_are_slow, |t| {
    let object = Object::random(902, 5 * MIB);
    let origin = Origin::of(&object).mode(Mode::LowSlow(Duration::from_millis(200))).start();
    for args in [&["-j8"][..], &["-j8", "--memory", "2M"], &["-j3", "--part-size", "300001"]] {
        delivers(t, &origin, &object, args);
    }
});

e2e_test!(every_way_to_cut_an_object, |t| {
    for (size, part) in [(1, "1M"), (5 * MIB, "1"), (300_001, "100000"), (3 * MIB, "999983")] {
        let object = Object::random(903, size);
        let origin = Origin::of(&object).start();
        let part = if size > MIB && part == "1" { "65537" } else { part };
        delivers(t, &origin, &object, &["-j4", "--part-size", part, "--min-split", "1"]);
    }
});

e2e_test!(a_consumer_that_stops_while_the_server_hangs_up, |t| {
    let object = Object::random(904, 24 * MIB);
    let origin = Origin::of(&object).mode(Mode::CloseEach { announced: false }).start();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let args = ["-j4", "--memory", "4M", "--stall-timeout", "1", "-o", "-"];
    let running = t.uget(args).arg(origin.url()).stdout(writer).start();
    let first = stop(&mut reader, Duration::from_millis(2500));
    let all = rest_of(reader, &first);
    running.wait().succeeds();
    assert!(object.difference(&all).is_none());
    assert_eq!(origin.log().overlap(object.len()), 0, "nothing is fetched twice");
});

e2e_test!(a_consumer_that_stops_stops_the_requests, |t| {
    let object = Object::random(905, 48 * MIB);
    for mode in [None, Some(Mode::IgnoreRange)] {
        let origin = Origin::of(&object);
        let origin = match mode.clone() {
            Some(mode) => origin.mode(mode),
            None => origin,
        };
        let origin = origin.start();
        let (mut reader, writer) = std::io::pipe().unwrap();
        let args = ["-j8", "--memory", "8M", "--stall-timeout", "1", "-o", "-", &origin.url()];
        let running = t.uget(args).stdout(writer).start();
        let first = stop(&mut reader, Duration::from_millis(2500));
        let (sent, requests) = (origin.log().sent(), origin.log().count());
        // What is beyond the memory is in the buffers of sockets.
        assert!(sent < 24 * MIB as u64, "{sent} bytes were fetched for a reader that took one");
        thread::sleep(Duration::from_millis(300));
        assert_eq!(origin.log().count(), requests, "nothing new is asked for");
        let all = rest_of(reader, &first);
        let output = running.wait();
        output.succeeds();
        assert!(object.difference(&all).is_none());
        output.check(output.peak < 24 * MIB as u64, "it took more than memory and program");
    }
});

e2e_test!(a_large_object_in_little_memory, |t| {
    let object = Object::from_bytes(vec![0; 256 * MIB]);
    let origin = Origin::of(&object).start();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let args = ["-j16", "--memory", "8M", "-o", "-", &origin.url()];
    let running = t.uget(args).stdout(writer).limit(Duration::from_secs(90)).start();
    stop(&mut reader, Duration::from_millis(500));
    let all = std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
    let output = running.wait();
    output.succeeds().check(all + 1 == object.len(), "some is missing");
    output.check(output.peak < 24 * MIB as u64, "it took more than memory and program");
});

e2e_test!(memory_for_fewer_connections_than_were_asked_for, |t| {
    let object = Object::random(906, 8 * MIB);
    let origin = Origin::of(&object).start();
    let output = t.uget(["-j64", "--memory", "2M", "-o", "-", &origin.url()]).run();
    output.succeeds().says("--memory").says("12");
    assert!(object.difference(&output.stdout).is_none());
    assert!(origin.log().peak_connections() <= 12);
    let output = t.uget(["--memory", "1M", "-o", "-", &origin.url()]).run();
    output.fails(2).says("2MiB");
});

e2e_test!(without_a_validator_it_is_one_connection_and_says_why, |t| {
    let object = Object::random(907, 12 * MIB);
    let origin = Origin::of(&object).etag(None).start();
    let output = t.uget(["-v", "-j8", "-o", "-", &origin.url()]).run();
    output.succeeds().says("no strong validator");
    assert!(object.difference(&output.stdout).is_none());
    assert_eq!(origin.log().peak_in_flight(), 1);
    // A digest tells as well.
    let output = t.uget(["-j8", "-o", "-", "--sha256", &object.sha256(), &origin.url()]).run();
    output.succeeds();
    assert!(object.difference(&output.stdout).is_none());
});

e2e_test!(a_stream_with_a_digest, |t| {
    let object = Object::random(908, 12 * MIB);
    let origin = Origin::of(&object).start();
    for memory in ["2M", "128M"] {
        let right = object.sha256();
        let wrong = Object::random(909, 1).sha256();
        let args = ["-j8", "--memory", memory, "-o", "-", &origin.url(), "--sha256"];
        t.uget(args).arg(right).run().succeeds();
        let output = t.uget(args).arg(wrong).run();
        output.fails(100).says("sha256");
        output.check(object.difference(&output.stdout).is_none(), "it is out by then");
    }
});

e2e_test!(a_change_in_the_middle_of_a_stream_ends_it, |t| {
    let object = Object::random(910, 24 * MIB);
    let other = Version::strong(Object::random(911, 24 * MIB), "v2");
    for flags in [&[][..], &["--restart-on-change"]] {
        for mode in [
            Mode::Flips { after: 6, to: other.clone() },
            Mode::FlipsWith412 { after: 6, to: other.clone() },
        ] {
            let origin = Origin::of(&object).mode(mode).start();
            let args = ["-j4", "--memory", "4M", "-o", "-", &origin.url()];
            let output = t.uget(args).args(flags).run();
            output.fails(101);
            let got = output.stdout.len();
            output.check(object.bytes().get(..got) == Some(&output.stdout[..]), "a splice");
        }
    }
});

e2e_test!(what_came_in_order_before_a_failure_goes_out, |t| {
    let object = Object::random(912, 8 * MIB);
    let origin = Origin::of(&object)
        .bend(|request, reply| {
            if request.range(8 * MIB as u64).is_some_and(|range| range.start >= 4 * MIB as u64) {
                reply.status = 404;
                reply.cut = Some((0, End::Fin));
            }
        })
        .start();
    let output = t.uget(["-j4", "--part-size", "1M", "-o", "-", &origin.url()]).run();
    output.fails(22);
    let got = output.stdout.len();
    output.check(object.bytes().get(..got) == Some(&output.stdout[..]), "a gap is not the end");
});

e2e_test!(a_consumer_that_goes_while_many_are_silent, |t| {
    let object = Object::random(913, 24 * MIB);
    let origin = Origin::of(&object)
        .bend(|request, reply| {
            if request.number > 0 {
                reply.cut = Some((200 * KIB as u64, End::Stall));
            }
        })
        .start();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let running = t.uget(["-j4", "-o", "-", &origin.url()]).stdout(writer).start();
    stop(&mut reader, Duration::from_millis(200));
    let gone = std::time::Instant::now();
    drop(reader);
    let output = running.wait();
    output.fails_with(&[23, 141]);
    output.check(gone.elapsed() < at_once(), "it should end at once");
});
