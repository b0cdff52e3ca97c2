//! Honest origins: what is asked for, in how many requests, on how many connections.

use std::time::Duration;

use crate::{KIB, MIB, support::*, wire_test as e2e_test};

e2e_test!(sizes_around_the_part_size, |t| {
    let part = 64 * KIB;
    for size in [
        0,
        1,
        2,
        part - 1,
        part,
        part + 1,
        2 * part - 1,
        2 * part,
        2 * part + 1,
        16 * part - 1,
        16 * part,
        16 * part + 1,
    ] {
        let object = Object::random(size as u64, size);
        let origin = Origin::of(&object).start();
        let name = format!("size-{size}");
        let output = t.uget(["-j4", "--chunk-size", "65536", "-o", &name, &origin.url()]).run();
        output.succeeds();
        t.holds(&output, &name, &object);
    }
    assert_eq!(t.names().len(), 12);
});

e2e_test!(sizes_around_the_default_part_size, |t| {
    for size in [MIB - 1, MIB, MIB + 1, 4 * MIB - 1, 4 * MIB, 4 * MIB + 1] {
        let object = Object::random(size as u64, size);
        let origin = Origin::of(&object).start();
        let name = format!("size-{size}");
        let output = t.uget(["-j4", "-o", &name, &origin.url()]).run();
        output.succeeds();
        t.holds(&output, &name, &object);
    }
});

e2e_test!(every_number_of_connections_gives_the_same, |t| {
    let object = Object::random(1, 5 * MIB + 17);
    let origin = Origin::of(&object).start();
    for connections in ["1", "2", "3", "8", "16", "64"] {
        let name = format!("with-{connections}");
        let output = t.uget(["-j", connections, "-o", &name, &origin.url()]).run();
        output.succeeds();
        t.holds(&output, &name, &object);
    }
});

e2e_test!(parts_are_asked_for_once_each, |t| {
    let object = Object::random(2, 8 * MIB + 7);
    let origin = Origin::of(&object).start();
    let output = t.uget(["-j4", "--chunk-size", "262144", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
    let log = origin.log();
    let mut ranges = log.ranges(object.len());
    ranges.sort_by_key(|range| range.start);
    output.check(log.overlap(object.len()) == 0, &format!("asked twice: {ranges:?}"));
    output.check(
        ranges.first().is_some_and(|range| range.start == 0)
            && ranges.windows(2).all(|pair| pair[0].end == pair[1].start)
            && ranges.last().is_some_and(|range| range.end >= object.len()),
        &format!("there is a gap: {ranges:?}"),
    );
    output.check(ranges.len() == 33, &format!("{} requests, 33 parts", ranges.len()));
    output.check(log.sent() == object.len(), "bytes were fetched in vain");
});

e2e_test!(no_more_connections_than_asked_and_all_are_reused, |t| {
    let object = Object::random(3, 8 * MIB);
    let origin = Origin::of(&object).mode(Mode::Latency(Duration::from_millis(5))).start();
    let output = t.uget(["-j4", "--chunk-size", "131072", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
    let log = origin.log();
    output.check(log.connections() <= 4, &format!("{} connections", log.connections()));
    output.check(log.peak_in_flight() <= 4, &format!("{} at once", log.peak_in_flight()));
    output.check(log.peak_in_flight() > 1, "nothing ran in parallel");
});

e2e_test!(later_ranges_are_pinned_and_plain_fields_are_sent, |t| {
    let object = Object::random(4, 4 * MIB);
    let origin = Origin::of(&object).start();
    let output =
        t.uget(["-j4", "--chunk-size", "524288", "--header", "X-Mine: yes", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
    for request in origin.log().requests() {
        assert_eq!(request.method, "GET");
        let host = origin.address().to_string();
        assert_eq!(request.field("host"), Some(host.as_str()));
        assert_eq!(request.field("accept-encoding"), Some("identity"));
        assert_eq!(request.field("x-mine"), Some("yes"));
        assert!(request.field("user-agent").is_some_and(|agent| agent.starts_with("uget/")));
        let pin = (request.number > 0).then_some("\"v1\"");
        assert_eq!(request.field("if-range"), pin, "request {}", request.number);
    }
});

e2e_test!(one_connection_is_one_plain_get, |t| {
    let object = Object::random(5, 3 * MIB);
    let origin = Origin::of(&object).start();
    let output = t.uget(["-j1", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
    let requests = origin.log().requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].field("range"), None);
    assert_eq!(requests[0].field("if-range"), None);
    assert_eq!(requests[0].field("accept-encoding"), Some("identity"));
});

e2e_test!(a_small_object_takes_one_request, |t| {
    let object = Object::random(6, 40 * KIB);
    let origin = Origin::of(&object).start();
    let output = t.uget(["-j16", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
    assert_eq!(origin.log().count(), 1);
});

e2e_test!(an_empty_object_is_an_empty_file, |t| {
    let object = Object::from_bytes([]);
    let origin = Origin::of(&object).start();
    for (name, connections) in [("one", "-j1"), ("many", "-j8")] {
        let output = t.uget([connections, "-o", name, &origin.url()]).run();
        output.succeeds();
        t.holds(&output, name, &object);
    }
    assert!(origin.log().count() <= 2, "an empty object takes one request");
});

e2e_test!(standard_output_gets_each_byte_once_in_order, |t| {
    let object = Object::random(7, 6 * MIB + 5);
    // The first parts are the slowest, so that later ones have to wait.
    let origin = Origin::of(&object).mode(Mode::LowSlow(Duration::from_millis(150))).start();
    for connections in ["-j1", "-j8"] {
        let output =
            t.uget([connections, "--chunk-size", "131072", "-o", "-", &origin.url()]).run();
        output.succeeds();
        if let Some(difference) = object.difference(&output.stdout) {
            panic!("{connections}: {difference}");
        }
        t.holds_only(&output, &[]);
    }
});

e2e_test!(an_empty_object_on_standard_output, |t| {
    let origin = Origin::of(&Object::from_bytes([])).start();
    let output = t.uget(["-o", "-", &origin.url()]).run();
    output.succeeds();
    assert!(output.stdout.is_empty());
});

e2e_test!(parts_that_finish_out_of_order_end_up_in_order, |t| {
    let object = Object::random(8, 8 * MIB);
    let origin = Origin::of(&object).mode(Mode::LowSlow(Duration::from_millis(200))).start();
    let output = t.uget(["-j8", "--chunk-size", "262144", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
});

e2e_test!(the_default_is_right_too, |t| {
    let object = Object::random(9, 20 * MIB);
    let origin = Origin::of(&object).start();
    let output = t.uget([&origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
});

e2e_test!(nothing_is_visible_before_the_end, |t| {
    let object = Object::random(10, 4 * MIB);
    let origin =
        Origin::of(&object).mode(Mode::Stall { from: 3, times: usize::MAX, at: 1000 }).start();
    let running = t.uget(["-j4", "--chunk-size", "262144", &origin.url()]).start();
    assert!(origin.log().wait(|all| all.iter().any(|one| one.request.number == 3)));
    std::thread::sleep(Duration::from_millis(200));
    let visible: Vec<String> =
        t.names().into_iter().filter(|name| !name.starts_with('.')).collect();
    assert!(visible.is_empty(), "{visible:?}");
    assert!(t.names().contains(&".object.bin.uget-part".to_owned()), "{:?}", t.names());
    drop(running);
});

e2e_test!(a_query_is_kept_and_a_fragment_is_not, |t| {
    let object = Object::random(11, KIB);
    let origin = Origin::of(&object).start();
    let output = t.uget([&origin.at("/dir/name.bin?a=b/c&d#frag")]).run();
    t.delivers(&output, "name.bin", &object);
    assert_eq!(origin.log().requests()[0].target, "/dir/name.bin?a=b/c&d");
});

e2e_test!(two_runs_at_once_into_one_directory, |t| {
    let (one, two) = (Object::random(12, 4 * MIB), Object::random(13, 4 * MIB));
    let (first, second) = (Origin::of(&one).start(), Origin::of(&two).start());
    let other = t.uget(["-j4", "-o", "one", &first.url()]).start();
    t.uget(["-j4", "-o", "two", &second.url()]).run().succeeds();
    let output = other.wait();
    output.succeeds();
    t.holds(&output, "one", &one);
    t.holds(&output, "two", &two);
    t.holds_only(&output, &["one", "two"]);
});
