//! Transient failures: retried within a budget, resumed at the first missing byte, never charged to
//! the wrong party.

use std::time::Duration;

use crate::{KIB, MIB, support::*, wire_test as e2e_test};

e2e_test!(rt02_a_cut_stream_resumes_at_the_first_missing_byte, |t| {
    let object = Object::random(70, MIB);
    let at = 600_000;
    for end in [End::Fin, End::Rst] {
        let origin = Origin::of(&object).mode(Mode::Cut { from: 0, times: 1, at, end }).start();
        let output = t.uget(["-j1", "-o", "object.bin", &origin.url()]).run();
        t.delivers(&output, "object.bin", &object);
        let requests = origin.log().requests();
        assert_eq!(requests.len(), 2);
        let range = requests[1].range(object.len()).unwrap();
        // A reset may overtake bytes that were not read yet; an orderly end may not.
        let right = range.start == at || (end == End::Rst && range.start < at);
        output.check(right, &format!("{end:?}: resumed at {}", range.start));
        assert_eq!(requests[1].field("if-range"), Some("\"v1\""));
    }
});

e2e_test!(rt01_cut_parts_are_not_counted_twice, |t| {
    let object = Object::random(71, 4 * MIB);
    let mode = Mode::Cut { from: 2, times: 3, at: 100_000, end: End::Fin };
    let origin = Origin::of(&object).mode(mode).start();
    let args = ["-j4", "--chunk-size", "262144", "--json"];
    let output = t.uget(args).arg(origin.url()).run();
    output.succeeds();
    t.holds(&output, "object.bin", &object);
    assert_eq!(output.json()["transferred"], object.len());
    output.check(origin.log().sent() == object.len(), "a byte was fetched twice");
});

e2e_test!(fs24_progress_does_not_use_up_the_budget, |t| {
    let object = Object::random(72, MIB);
    let mode = Mode::Cut { from: 0, times: usize::MAX, at: 150_000, end: End::Fin };
    let origin = Origin::of(&object).mode(mode).start();
    let output =
        t.uget(["-j1", "--retries", "1", &origin.url()]).limit(Duration::from_secs(60)).run();
    t.delivers(&output, "object.bin", &object);
    output.check(origin.log().sent() == object.len(), "a byte was fetched twice");
});

e2e_test!(fs25_one_byte_at_a_time_does_not_go_on_for_ever, |t| {
    let object = Object::random(73, 64 * KIB);
    let mode = Mode::Cut { from: 0, times: usize::MAX, at: 1, end: End::Rst };
    let origin = Origin::of(&object).mode(mode).start();
    let args = ["-j1", "--retries", "1", "--max-time", "4"];
    let output = t.uget(args).arg(origin.url()).limit(Duration::from_secs(15)).run();
    t.refuses_with(&output, &[18, 28, 56]);
});

e2e_test!(retries_have_an_end, |t| {
    let object = Object::random(74, MIB);
    let mode = Mode::Cut { from: 0, times: usize::MAX, at: 0, end: End::Fin };
    let origin = Origin::of(&object).mode(mode).start();
    let output = t.uget(["-j1", "--retries", "2", &origin.url()]).run();
    t.refuses_with(&output, &[18, 56]);
    assert_eq!(origin.log().count(), 3, "an attempt and two more");
});

e2e_test!(no_retries_means_one_attempt, |t| {
    let object = Object::random(75, MIB);
    for end in [End::Fin, End::Rst] {
        let origin = Origin::of(&object)
            .mode(Mode::Cut { from: 0, times: usize::MAX, at: 1000, end })
            .start();
        let output = t.uget(["-j1", "--retries", "0", &origin.url()]).run();
        t.refuses_with(&output, if end == End::Fin { &[18] } else { &[18, 56] });
        assert_eq!(origin.log().count(), 1);
    }
});

e2e_test!(rt24_a_connection_closed_before_the_body, |t| {
    let origin = Origin::of(&Object::random(76, MIB))
        .mode(Mode::Cut { from: 0, times: usize::MAX, at: 0, end: End::Fin })
        .start();
    for connections in ["-j1", "-j4"] {
        let output = t.uget([connections, "--retries", "0", &origin.url()]).run();
        t.refuses_with(&output, &[18, 56]);
    }
});

e2e_test!(without_a_validator_a_cut_stream_starts_over, |t| {
    let object = Object::random(77, MIB);
    let origin = Origin::of(&object)
        .etag(None)
        .mode(Mode::Cut { from: 0, times: 1, at: 600_000, end: End::Fin })
        .start();
    let output = t.uget(["-j1", "--json", &origin.url()]).run();
    output.succeeds();
    t.holds(&output, "object.bin", &object);
    for request in origin.log().requests() {
        assert_eq!(request.field("range"), None, "nothing can pin a range");
    }
});

e2e_test!(a_started_stream_is_never_started_over, |t| {
    let object = Object::random(78, MIB);
    let origin = Origin::of(&object)
        .etag(None)
        .mode(Mode::Cut { from: 0, times: 1, at: 600_000, end: End::Fin })
        .start();
    let output = t.uget(["-j1", "-o", "-", &origin.url()]).run();
    output.fails_with(&[18, 33, 36, 56]);
    output.check(
        object.bytes().starts_with(&output.stdout),
        "what was written is not the beginning of the object",
    );
});

e2e_test!(a_started_stream_resumes_where_a_validator_allows_it, |t| {
    let object = Object::random(79, 2 * MIB);
    for connections in ["-j1", "-j4"] {
        let origin = Origin::of(&object)
            .mode(Mode::Cut { from: 0, times: 2, at: 100_000, end: End::Fin })
            .start();
        let args = [connections, "--chunk-size", "262144", "-o", "-"];
        let output = t.uget(args).arg(origin.url()).run();
        output.succeeds();
        output.check(object.difference(&output.stdout).is_none(), "the stream is wrong");
    }
});

e2e_test!(fs12_a_server_error_on_a_part_is_retried, |t| {
    let object = Object::random(80, 4 * MIB);
    for status in [500, 502, 503, 504, 429, 408] {
        let origin = Origin::of(&object).mode(Mode::StatusAt { k: 4, times: 1, status }).start();
        let args = ["-j4", "--chunk-size", "262144", "-o", "object.bin"];
        let output = t.uget(args).arg(origin.url()).run();
        output.check(output.status.success(), &format!("{status} on a part"));
        t.delivers(&output, "object.bin", &object);
    }
});

e2e_test!(fs12_a_server_error_that_stays_is_the_verdict, |t| {
    let object = Object::random(81, 4 * MIB);
    let mode = Mode::StatusAt { k: 4, times: usize::MAX, status: 500 };
    let origin = Origin::of(&object).mode(mode).start();
    let args = ["-j4", "--chunk-size", "262144", "--retries", "1"];
    let output = t.uget(args).arg(origin.url()).run();
    t.refuses(&output, 22);
    output.says("500");
});

e2e_test!(fs19_client_errors_are_final, |t| {
    for status in [401, 404, 410, 451, 418] {
        let origin = Origin::of(&Object::random(82, MIB)).mode(Mode::Status(status)).start();
        let output = t.uget(["-j4", &origin.url()]).run();
        t.refuses(&output, 22);
        t.holds_only(&output, &[]);
        output.says(&status.to_string());
        assert!(origin.log().count() <= 2, "{status}: {} requests", origin.log().count());
    }
});

e2e_test!(fs17_a_url_that_expires_says_so, |t| {
    let object = Object::random(83, 4 * MIB);
    for status in [401, 403] {
        let origin =
            Origin::of(&object).mode(Mode::StatusAt { k: 5, times: usize::MAX, status }).start();
        let args = ["-j2", "--chunk-size", "131072"];
        let output = t.uget(args).arg(origin.url()).run();
        t.refuses(&output, 22);
        output.says(&status.to_string());
        let refused = origin.log().exchanges().iter().filter(|one| one.status == status).count();
        output.check(refused <= 4, &format!("asked {refused} times after the first {status}"));
    }
});

e2e_test!(fs20_retry_after_is_honoured, |t| {
    let object = Object::random(84, 100 * KIB);
    for status in [429, 503] {
        let mode = Mode::Busy { status, times: 1, retry_after: Some("2") };
        let origin = Origin::of(&object).mode(mode).start();
        let output = t.uget(["-j4", "-o", "object.bin", &origin.url()]).run();
        t.delivers(&output, "object.bin", &object);
        let requests = origin.log().requests();
        let gap = requests[1].at - requests[0].at;
        output.check(gap >= Duration::from_millis(1900), &format!("asked again after {gap:?}"));
    }
});

e2e_test!(fs20_a_date_in_the_past_is_now, |t| {
    let object = Object::random(85, 100 * KIB);
    let past = Some("Wed, 01 Jan 2020 00:00:00 GMT");
    let mode = Mode::Busy { status: 503, times: 1, retry_after: past };
    let origin = Origin::of(&object).mode(mode).start();
    let output = t.uget(["-j4", &origin.url()]).limit(Duration::from_secs(10)).run();
    t.delivers(&output, "object.bin", &object);
});

e2e_test!(fs20_nonsense_in_retry_after_is_ignored, |t| {
    let object = Object::random(86, 10 * KIB);
    for text in ["soon", "-1", "99999999999999999999", ""] {
        let mode = Mode::Busy { status: 503, times: 1, retry_after: Some(text) };
        let origin = Origin::of(&object).mode(mode).start();
        let args = ["-j4", "--max-time", "8", "-o", "object.bin"];
        let output = t.uget(args).arg(origin.url()).limit(Duration::from_secs(12)).run();
        if text != "99999999999999999999" {
            t.delivers(&output, "object.bin", &object);
        }
    }
});

e2e_test!(fs20_a_wait_that_does_not_fit_the_time_fails_at_once, |t| {
    let mode = Mode::Busy { status: 503, times: 9, retry_after: Some("86400") };
    let origin = Origin::of(&Object::random(87, MIB)).mode(mode).start();
    let output = t.uget(["-j4", "--max-time", "8", &origin.url()]).run();
    t.refuses_with(&output, &[22, 28]);
    output.check(output.took < at_once(), "it should not have waited");
});

e2e_test!(connections_beyond_a_limit_mean_fewer_connections, |t| {
    let object = Object::random(88, 8 * MIB);
    for limit in [Limit::Rst(2), Limit::Busy(2), Limit::TooMany(2)] {
        let origin =
            Origin::of(&object).limit(limit).mode(Mode::Latency(Duration::from_millis(10))).start();
        let args = ["-j8", "--chunk-size", "262144", "--retries", "1", "-o", "object.bin"];
        let output = t.uget(args).arg(origin.url()).limit(Duration::from_secs(45)).run();
        output.check(output.status.success(), &format!("{limit:?}"));
        t.delivers(&output, "object.bin", &object);
    }
});

e2e_test!(only_one_connection_is_enough, |t| {
    let object = Object::random(89, 4 * MIB);
    let origin = Origin::of(&object).limit(Limit::Rst(1)).start();
    let args = ["-j8", "--retries", "1", "--chunk-size", "131072", &origin.url()];
    let output = t.uget(args).limit(Duration::from_secs(45)).run();
    t.delivers(&output, "object.bin", &object);
});

e2e_test!(fs09_a_short_chunked_range_is_asked_for_again, |t| {
    let object = Object::random(90, 4 * MIB);
    let mode = Mode::ShortChunked { k: 3, times: 1, keep: 50_000 };
    let origin = Origin::of(&object).mode(mode).start();
    let args = ["-j4", "--chunk-size", "262144"];
    let output = t.uget(args).arg(origin.url()).run();
    t.delivers(&output, "object.bin", &object);
    output.check(origin.log().sent() == object.len(), "a byte was fetched twice");
});

e2e_test!(fs21_a_stalled_part_is_asked_for_again, |t| {
    let object = Object::random(91, 4 * MIB);
    let origin = Origin::of(&object).mode(Mode::Stall { from: 3, times: 1, at: 10_000 }).start();
    let args = ["-j4", "--chunk-size", "262144", "--stall-timeout", "1"];
    let output = t.uget(args).arg(origin.url()).run();
    t.delivers(&output, "object.bin", &object);
    output.check(origin.log().sent() == object.len(), "a byte was fetched twice");
});

e2e_test!(a_refused_connection_is_said_and_retried, |t| {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://{address}/object.bin");
    let output = t.uget(["--retries", "1", &url]).run();
    t.refuses(&output, 7);
    output.says(&address.to_string());
});

e2e_test!(rt38_a_longer_first_attempt_leaves_nothing_behind, |t| {
    let (long, short) = (Object::random(92, 2 * MIB), Object::random(93, 300 * KIB));
    let to = Version { object: short.clone(), etag: None, last_modified: None };
    let origin = Origin::of(&long)
        .etag(None)
        .mode(Mode::Flips { after: 1, to })
        .mode(Mode::Cut { from: 0, times: 1, at: 1_500_000, end: End::Fin })
        .start();
    let output = t.uget(["-j1", &origin.url()]).run();
    t.delivers(&output, "object.bin", &short);
});
