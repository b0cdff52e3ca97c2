//! A weak ETag beside a Last-Modified: the date is never sent as a pin (RFC 9110 section 13.1.5),
//! and every answer is compared instead.

use crate::{MIB, support::*, wire_test as e2e_test};

const SIZE: usize = 4 * MIB;
const ARGS: [&str; 5] = ["-j4", "--chunk-size", "131072", "--retries", "1"];
const OLD: &str = "Wed, 01 Jan 2020 00:00:00 GMT";
const LATER: &str = "Thu, 02 Jan 2020 00:00:00 GMT";

fn object() -> Object {
    Object::random(740, SIZE)
}

fn weak() -> Setup {
    Origin::of(&object()).etag(Some("W/\"w1\"")).last_modified(OLD)
}

/// No request carried a precondition that a weak tag forbids.
fn never_pinned(output: &Output, origin: &Origin) {
    for request in origin.log().requests() {
        for name in ["if-range", "if-match", "if-unmodified-since"] {
            let sent = request.field(name);
            output.check(sent.is_none(), &format!("{name}: {sent:?}"));
        }
    }
}

e2e_test!(an_old_date_beside_a_weak_tag_is_not_sent, |t| {
    let origin = weak().start();
    let output = t.uget(ARGS).arg(origin.url()).run();
    t.delivers(&output, "object.bin", &object());
    never_pinned(&output, &origin);
    output.check(origin.log().count() > 4, "an old date is good enough for ranges");
});

e2e_test!(a_cut_stream_beside_a_weak_tag_is_not_pinned_by_a_date, |t| {
    let mode = Mode::Cut { from: 0, times: 1, at: 1 << 20, end: End::Fin };
    let origin = weak().mode(mode).start();
    let output = t.uget(["-j1", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object());
    never_pinned(&output, &origin);
});

e2e_test!(a_change_beside_a_weak_tag_is_noticed, |t| {
    let other = Object::random(741, SIZE);
    let version = |etag: &str, date: &str| Version {
        object: other.clone(),
        etag: Some(etag.to_owned()),
        last_modified: Some(date.to_owned()),
    };
    for to in [
        version("W/\"w2\"", OLD),
        version("W/\"w1\"", LATER),
        version("W/\"w2\"", LATER),
        version("\"s2\"", OLD),
        Version { object: Object::random(742, SIZE + 1), ..version("W/\"w1\"", OLD) },
    ] {
        let what = format!("{:?} {:?} {}", to.etag, to.last_modified, to.object.len());
        let origin = weak().mode(Mode::FlipsBlindly { after: 6, to }).start();
        let output = t.uget(ARGS).arg(origin.url()).run();
        output.check(!output.status.success(), &format!("{what} is another version"));
        t.refuses_with(&output, &[8, 33, 101]);
        never_pinned(&output, &origin);
        t.clear();
    }
});

e2e_test!(a_change_between_two_runs_beside_a_weak_tag_is_noticed, |t| {
    let other = Object::random(743, SIZE);
    for (etag, date) in [("W/\"w2\"", OLD), ("W/\"w1\"", LATER)] {
        let to = Version {
            object: other.clone(),
            etag: Some(etag.to_owned()),
            last_modified: Some(date.to_owned()),
        };
        let gone = Mode::Cut { from: 8, times: 2, at: 0, end: End::Fin };
        let origin = weak().mode(Mode::FlipsBlindly { after: 9, to }).mode(gone).start();
        let output = t.uget(ARGS).args(["--retries", "0"]).arg(origin.url()).run();
        output.check(!output.status.success(), "the first run fails");
        assert!(origin.log().wait_closed());
        let output = t.uget(ARGS).arg(origin.url()).run();
        t.whole_or_refused(&output, "object.bin", &[&other]);
        t.clear();
    }
});

e2e_test!(a_date_of_just_now_is_no_proof, |t| {
    // Last-Modified in the very second of Date (RFC 9110 section 8.8.2.2).
    for etag in [None, Some("W/\"w1\"")] {
        let origin =
            Origin::of(&object()).etag(etag).last_modified("Fri, 20 Nov 2026 12:00:00 GMT").start();
        let output = t.uget(ARGS).arg(origin.url()).run();
        t.delivers(&output, "object.bin", &object());
        never_pinned(&output, &origin);
        output.check(origin.log().sent() <= SIZE as u64 + (1 << 20), "it was fetched twice");
        let parts = origin.log().requests().len();
        output.check(parts <= 2, &format!("{parts} requests joined what nothing ties together"));
        t.clear();
    }
});

e2e_test!(a_date_alone_that_is_old_is_a_pin, |t| {
    let origin = Origin::of(&object()).etag(None).last_modified(OLD).start();
    let output = t.uget(ARGS).arg(origin.url()).run();
    t.delivers(&output, "object.bin", &object());
    let later = origin.log().requests().into_iter().skip(1).collect::<Vec<_>>();
    output.check(later.len() > 4, "an old date is good enough for ranges");
    output.check(later.iter().all(|one| one.field("if-range") == Some(OLD)), "without a pin");
});
