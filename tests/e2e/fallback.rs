//! Origins that cannot do ranges, or not well enough: one plain stream, or a clear error.

use std::time::Duration;

use crate::{KIB, MIB, support::*, wire_test as e2e_test};

fn object() -> Object {
    Object::random(20, 3 * MIB + 1)
}

e2e_test!(fs02_ranges_ignored_is_one_request, |t| {
    let origin = Origin::of(&object()).mode(Mode::IgnoreRange).start();
    let output = t.uget(["-j8", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object());
    assert_eq!(origin.log().count(), 1);
    assert_eq!(origin.log().connections(), 1);
});

e2e_test!(fs22_a_cold_answer_is_the_download, |t| {
    let origin = Origin::of(&object()).mode(Mode::Cold).start();
    let output = t.uget(["-j8", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object());
    assert_eq!(origin.log().count(), 1);
});

e2e_test!(fs03_an_unknown_total_is_asked_for_plainly, |t| {
    let origin = Origin::of(&object()).mode(Mode::TotalUnknown).start();
    let output = t.uget(["-j8", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object());
    falls_back_once(&origin);
});

e2e_test!(fs04_an_unreadable_content_range_is_asked_for_plainly, |t| {
    for (number, text) in [
        None,
        Some(""),
        Some("bytes"),
        Some("bytes "),
        Some("bytes 0-/100"),
        Some("bytes 0-99"),
        Some("bytes 0-99/abc"),
        Some("bytes 0-99/"),
        Some("bytes 0x0-99/100"),
        Some("bytes +0-99/100"),
        Some("bytes 5-0/10"),
        Some("bytes -1-5/10"),
        Some("bytes 0-18446744073709551616/18446744073709551617"),
        Some("bytes 0-99/99"),
        Some("lines 0-5/10"),
        Some("0-99/100"),
    ]
    .into_iter()
    .enumerate()
    {
        let origin = Origin::of(&object()).mode(Mode::ContentRange(text)).start();
        let name = format!("case-{number}");
        let output = t.uget(["-j8", "-o", &name, &origin.url()]).run();
        output.check(output.status.success(), &format!("Content-Range: {text:?}"));
        t.holds(&output, &name, &object());
        falls_back_once(&origin);
    }
});

e2e_test!(fs13_a_probe_that_answers_another_window, |t| {
    for lie in [Lie::Earlier, Lie::Elsewhere, Lie::Longer, Lie::Backwards, Lie::Unit, Lie::Twice] {
        let origin = Origin::of(&object()).mode(Mode::Lie { k: 0, lie }).start();
        let output = t.uget(["-j4", "--retries", "1", "-o", "object.bin", &origin.url()]).run();
        t.right_or_refused(&output, "object.bin", &object());
        drop(std::fs::remove_file(t.path("object.bin")));
    }
});

e2e_test!(fs39_a_probe_longer_than_its_range, |t| {
    let origin = Origin::of(&object()).mode(Mode::LongLength(100)).start();
    let output = t.uget(["-j4", "--retries", "1", &origin.url()]).run();
    t.right_or_refused(&output, "object.bin", &object());
});

e2e_test!(ht07_a_transient_refusal_of_the_probe_is_retried, |t| {
    for status in [408, 429, 500, 502, 503, 504] {
        let mode = Mode::Busy { status, times: 1, retry_after: None };
        let origin = Origin::of(&object()).mode(mode).start();
        let output = t.uget(["-j4", "-o", "object.bin", &origin.url()]).run();
        output.check(output.status.success(), &format!("{status} once"));
        t.delivers(&output, "object.bin", &object());
    }
});

e2e_test!(answers_that_are_none, |t| {
    for status in [199, 300, 304, 305, 306, 399, 407, 600, 999] {
        let origin = Origin::of(&object()).mode(Mode::Status(status)).start();
        let args = ["-j4", "--retries", "0", "-o", "object.bin", &origin.url()];
        let output = t.uget(args).limit(Duration::from_secs(10)).run();
        output.check(!output.status.success(), &format!("{status} is no success"));
        t.refuses_with(&output, &[8, 18, 22, 56]);
    }
});

e2e_test!(fs31_multipart_is_asked_for_plainly, |t| {
    let origin = Origin::of(&object()).mode(Mode::Multipart).start();
    let output = t.uget(["-j8", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object());
    falls_back_once(&origin);
});

e2e_test!(fs26_a_refused_range_is_asked_for_plainly, |t| {
    for status in [400, 403, 405, 501] {
        let origin = Origin::of(&object()).mode(Mode::RefuseRange(status)).start();
        let name = format!("after-{status}");
        let output = t.uget(["-j8", "-o", &name, &origin.url()]).run();
        output.check(output.status.success(), &format!("ranges refused with {status}"));
        t.holds(&output, &name, &object());
        falls_back_once(&origin);
    }
});

e2e_test!(fs18_an_unsatisfiable_range_of_nothing_is_an_empty_object, |t| {
    let origin = Origin::of(&object()).mode(Mode::Unsatisfiable("bytes */0")).start();
    let output = t.uget(["-j8", &origin.url()]).run();
    t.delivers(&output, "object.bin", &Object::from_bytes([]));
    assert_eq!(origin.log().count(), 1);
});

e2e_test!(fs18_an_unsatisfiable_range_of_something_is_asked_for_plainly, |t| {
    for (number, range) in
        ["bytes */12345", "bytes */*", "garbage", "bytes */-0"].iter().enumerate()
    {
        let origin = Origin::of(&object()).mode(Mode::Unsatisfiable(range)).start();
        let name = format!("case-{number}");
        let output = t.uget(["-j8", "-o", &name, &origin.url()]).run();
        output.check(output.status.success(), range);
        t.holds(&output, &name, &object());
        falls_back_once(&origin);
    }
});

e2e_test!(fs34_a_hollow_416_does_not_hang, |t| {
    let origin = Origin::of(&object()).mode(Mode::Hollow416).start();
    let output = t.uget(["-j8", &origin.url()]).limit(Duration::from_secs(8)).run();
    t.delivers(&output, "object.bin", &object());
});

e2e_test!(fs05_without_a_validator_one_stream, |t| {
    let origin = Origin::of(&object()).etag(None).start();
    let output = t.uget(["-j8", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object());
    falls_back_once(&origin);
});

e2e_test!(fs05_a_small_object_needs_no_validator, |t| {
    let object = Object::random(21, 9 * KIB);
    let origin = Origin::of(&object).etag(None).start();
    let output = t.uget(["-j8", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
    assert_eq!(origin.log().count(), 1);
});

e2e_test!(fs05_a_digest_ties_ranges_together, |t| {
    let object = Object::random(22, 8 * MIB);
    let origin = Origin::of(&object).etag(None).start();
    let output = t.uget(["-j4", "--sha256", &object.sha256(), &origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
    assert!(origin.log().ranges(object.len()).len() > 1, "it should have been parallel");
});

e2e_test!(fs05_pin_none_is_parallel_regardless, |t| {
    let object = Object::random(22, 8 * MIB);
    let origin = Origin::of(&object).etag(None).start();
    let output = t.uget(["-j4", "--pin", "none", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
    assert!(origin.log().ranges(object.len()).len() > 1, "it should have been parallel");
});

e2e_test!(fs05_pin_require_refuses, |t| {
    for etag in [None, Some("W/\"v1\"")] {
        let origin = Origin::of(&object()).etag(etag).start();
        let output = t.uget(["-j4", "--pin", "require", &origin.url()]).run();
        t.refuses(&output, 33);
        assert_eq!(origin.log().count(), 1);
    }
});

e2e_test!(fs06_a_weak_tag_is_no_pin_and_never_sent, |t| {
    let origin = Origin::of(&object()).etag(Some("W/\"v1\"")).start();
    let output = t.uget(["-j8", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object());
    for request in origin.log().requests() {
        assert!(!String::from_utf8_lossy(&request.raw).contains("W/"), "the weak tag was sent");
        assert_eq!(request.field("if-match"), None);
    }
});

e2e_test!(an_old_last_modified_is_never_mixed_up_with_tags, |t| {
    let object = Object::random(23, 8 * MIB);
    let date = "Wed, 01 Jan 2020 00:00:00 GMT";
    let origin = Origin::of(&object).etag(None).last_modified(date).start();
    let output = t.uget(["-j4", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
    for request in origin.log().requests() {
        assert!(request.field("if-range").is_none_or(|pin| pin == date));
    }
});

e2e_test!(fs32_http10_ends_with_its_connection, |t| {
    let origin = Origin::of(&object()).mode(Mode::Http10).start();
    let output = t.uget(["-j8", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object());
    assert_eq!(origin.log().count(), 1);
});

e2e_test!(a_chunked_body_of_unknown_length, |t| {
    for connections in ["-j1", "-j8"] {
        let origin = Origin::of(&object())
            .mode(Mode::IgnoreRange)
            .bend(|_, reply| reply.framing = Framing::Chunked(Chunked::default()))
            .start();
        let output = t.uget([connections, "-o", "object.bin", &origin.url()]).run();
        t.delivers(&output, "object.bin", &object());
    }
});

e2e_test!(chunked_ranges_are_ranges, |t| {
    let object = Object::random(24, 8 * MIB);
    let origin = Origin::of(&object)
        .bend(|_, reply| {
            reply.framing = Framing::Chunked(Chunked { size: 70_001, ..Chunked::default() });
        })
        .start();
    let output = t.uget(["-j4", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
    assert!(origin.log().connections() <= 4);
});

e2e_test!(fs29_an_unasked_coding_is_never_spliced, |t| {
    let origin = Origin::of(&object()).mode(Mode::Coded).start();
    let output = t.uget(["-j8", &origin.url()]).run();
    t.right_or_refused(&output, "object.bin", &object());
    assert!(origin.log().count() <= 2);
});

e2e_test!(fs30_a_200_with_a_content_range, |t| {
    let len = object().len();
    for range in [
        format!("bytes 0-{}/{len}", len - 1),
        format!("bytes 0-99/{len}"),
        format!("bytes 0-99/{}", len + 1),
        "bytes 5-9/10".to_owned(),
    ] {
        let origin = Origin::of(&object()).mode(Mode::WholeWithContentRange(range)).start();
        let output = t.uget(["-j8", "--retries", "1", "-o", "object.bin", &origin.url()]).run();
        t.right_or_refused(&output, "object.bin", &object());
        drop(std::fs::remove_file(t.path("object.bin")));
    }
});

e2e_test!(a_206_to_a_plain_request_is_refused, |t| {
    let object = object();
    let origin = Origin::of(&object)
        .bend(|_, reply| {
            reply.status = 206;
            reply.body = Body::Bytes(b"01234".to_vec());
            reply.set("Content-Range", "bytes 0-4/100");
        })
        .start();
    let output = t.uget(["-j1", "--retries", "1", &origin.url()]).run();
    t.refuses_with(&output, &[8, 18, 33]);
});

e2e_test!(fs40_absurd_totals, |t| {
    for total in [
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999",
    ] {
        let origin = Origin::of(&object()).mode(Mode::Total(total)).start();
        let output = t.uget(["-j8", "--retries", "1", "-o", "object.bin", &origin.url()]).run();
        t.right_or_refused(&output, "object.bin", &object());
        drop(std::fs::remove_file(t.path("object.bin")));
    }
});

e2e_test!(fs40_larger_than_allowed_is_refused_at_once, |t| {
    let big = Object::random(25, 16 * MIB);
    for mode in [None, Some(Mode::IgnoreRange), Some(Mode::Http10)] {
        let mut origin = Origin::of(&big);
        if let Some(mode) = mode {
            origin = origin.mode(mode);
        }
        let origin = origin.start();
        let output = t.uget(["-j8", "--max-size", "2097152", &origin.url()]).run();
        t.refuses(&output, 63);
        t.holds_only(&output, &[]);
    }
});

e2e_test!(exactly_as_large_as_allowed, |t| {
    let origin = Origin::of(&object()).start();
    let limit = object().len().to_string();
    let output = t.uget(["-j8", "--max-size", &limit, &origin.url()]).run();
    t.delivers(&output, "object.bin", &object());
});

/// Two requests, the second one plain.
fn falls_back_once(origin: &Origin) {
    let requests = origin.log().requests();
    assert_eq!(requests.len(), 2, "{requests:?}");
    assert!(requests[0].field("range").is_some());
    assert_eq!(requests[1].field("range"), None);
}
