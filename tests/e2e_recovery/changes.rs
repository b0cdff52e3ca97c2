//! A resource that changes between runs means a fresh start; during a run, a clear error after which
//! the next run starts over. Never a mix.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::{
    MIB, e2e_test,
    halves::*,
    support::{request::Request, *},
};

fn other() -> Object {
    Object::random(910, SIZE)
}

/// A half of one version; then `then` is what is served.
fn half_of(t: &Test, setup: Setup, then: Version) -> Halves {
    let halves = Halves::bent(setup, move |request, reply| *reply = Reply::honest(request, &then));
    halves.fail(t);
    halves
}

/// The next run starts over and says why, and succeeds.
fn starts_over_with(t: &Test, halves: &Halves, new: &Object) {
    let (output, fetched) = halves.again::<&str>(t, &[]);
    t.delivers(&output, "object.bin", new);
    output.check(fetched >= new.len(), "bytes of two versions were joined");
}

e2e_test!(rt27_another_version_between_runs, |t| {
    let halves = half_of(t, Origin::of(&object()), Version::strong(other(), "v2"));
    starts_over_with(t, &halves, &other());
});

e2e_test!(a_longer_one_between_runs, |t| {
    let longer = Object::random(911, SIZE + 12345);
    let halves = half_of(t, Origin::of(&object()), Version::strong(longer.clone(), "v2"));
    starts_over_with(t, &halves, &longer);
});

e2e_test!(a_shorter_one_between_runs, |t| {
    // So short that what is missing lies behind its end: 416.
    for length in [MIB, 1, 0] {
        let shorter = Object::random(912, length);
        let halves = half_of(t, Origin::of(&object()), Version::strong(shorter.clone(), "v2"));
        starts_over_with(t, &halves, &shorter);
        std::fs::remove_file(t.path("object.bin")).unwrap();
    }
});

e2e_test!(the_same_tag_and_another_length, |t| {
    let shorter = Object::random(913, 3 * MIB);
    let halves = half_of(t, Origin::of(&object()), Version::strong(shorter.clone(), "v1"));
    starts_over_with(t, &halves, &shorter);
});

e2e_test!(the_tag_is_gone_between_runs, |t| {
    let version = Version { object: object(), etag: None, last_modified: None };
    let halves = half_of(t, Origin::of(&object()), version);
    let (output, _) = halves.again::<&str>(t, &[]);
    t.delivers(&output, "object.bin", &object());
    // And when the bytes are others, too, they are not joined.
    std::fs::remove_file(t.path("object.bin")).unwrap();
    let version = Version { object: other(), etag: None, last_modified: None };
    let halves = half_of(t, Origin::of(&object()), version);
    let (output, _) = halves.again::<&str>(t, &[]);
    t.delivers(&output, "object.bin", &other());
});

e2e_test!(the_tag_turned_weak_between_runs, |t| {
    let version =
        Version { object: other(), etag: Some("W/\"v1\"".to_owned()), last_modified: None };
    let halves = half_of(t, Origin::of(&object()), version);
    starts_over_with(t, &halves, &other());
});

e2e_test!(ranges_are_refused_between_runs, |t| {
    let whole = |request: &Request, reply: &mut Reply| {
        Mode::IgnoreRange.play(request, &Version::strong(object(), "v1"), reply);
    };
    let halves = Halves::bent(Origin::of(&object()), whole);
    halves.fail(t);
    let (output, _) = halves.again::<&str>(t, &[]);
    t.delivers(&output, "object.bin", &object());
});

e2e_test!(a_page_between_runs_changes_nothing, |t| {
    // A captive portal, or a server that is out of order: what is there stays for later.
    for status in [403, 404, 500] {
        let portal = Arc::new(AtomicBool::new(true));
        let closed = Arc::clone(&portal);
        let halves = Halves::bent(Origin::of(&object()), move |_, reply| {
            if closed.load(Ordering::SeqCst) {
                *reply = Reply::status(status, "As Scripted");
            }
        });
        halves.fail(t);
        let (output, _) = halves.again(t, &["--retries", "0"]);
        t.refuses(&output, 22);
        portal.store(false, Ordering::SeqCst);
        halves.resumes::<&str>(t, &[]);
        std::fs::remove_file(t.path("object.bin")).unwrap();
    }
});

e2e_test!(a_change_during_a_run, |t| {
    for mode in [
        Mode::Flips { after: 8, to: Version::strong(other(), "v2") },
        Mode::FlipsBlindly { after: 8, to: Version::strong(other(), "v2") },
        Mode::FlipsWith412 { after: 8, to: Version::strong(other(), "v2") },
    ] {
        let origin = Origin::of(&object()).mode(mode).start();
        let output = t.uget(ARGS).arg(origin.url()).run();
        t.refuses(&output, 101);
        output.says("changed");
        // Nothing of it is used by the next one.
        let output = t.uget(ARGS).arg(origin.url()).run();
        t.delivers(&output, "object.bin", &other());
        std::fs::remove_file(t.path("object.bin")).unwrap();
    }
});

e2e_test!(a_change_during_a_resumed_run, |t| {
    let flip = Mode::Flips { after: 0, to: Version::strong(other(), "v2") };
    let version = Version::strong(object(), "v1");
    let count = std::sync::atomic::AtomicUsize::new(0);
    let halves = Halves::bent(Origin::of(&object()), move |request, reply| {
        if count.fetch_add(1, Ordering::SeqCst) >= 4 {
            flip.play(request, &version, reply);
        }
    });
    halves.fail(t);
    let (output, _) = halves.again::<&str>(t, &[]);
    t.refuses(&output, 101);
    let (output, fetched) = halves.again::<&str>(t, &[]);
    t.delivers(&output, "object.bin", &other());
    output.check(fetched >= SIZE as u64, "bytes of two versions were joined");
});

e2e_test!(a_digest_instead_of_a_validator, |t| {
    // No validator at all: what ties the runs together is the digest.
    let sha256 = object().sha256();
    let args = ["--sha256", sha256.as_str()];
    let bare = || Origin::of(&object()).etag(None);
    let halves = Halves::bent(bare(), |_, _| {});
    let first = t.uget(ARGS).args(args).args(["--retries", "0"]).arg(halves.origin.url()).run();
    t.refuses_with(&first, &[18, 56]);
    assert!(halves.origin.log().wait_closed());
    halves.resumes(t, &args);
    std::fs::remove_file(t.path("object.bin")).unwrap();
    // It changed: the digest finds out, and the run after that starts over.
    let version = Version { object: other(), etag: None, last_modified: None };
    let changed = Arc::new(AtomicBool::new(true));
    let seen = Arc::clone(&changed);
    let halves = Halves::bent(bare(), move |request, reply| {
        if seen.load(Ordering::SeqCst) {
            *reply = Reply::honest(request, &version);
        }
    });
    t.uget(ARGS).args(args).args(["--retries", "0"]).arg(halves.origin.url()).run();
    assert!(halves.origin.log().wait_closed());
    let (output, _) = halves.again(t, &args);
    t.refuses(&output, 100);
    t.holds_only(&output, &[]);
    changed.store(false, Ordering::SeqCst);
    let (output, _) = halves.again(t, &args);
    t.delivers(&output, "object.bin", &object());
});

e2e_test!(without_a_validator_nothing_is_joined, |t| {
    let halves = Halves::bent(Origin::of(&object()).etag(None), |_, _| {});
    let output = t.uget(ARGS).args(["--retries", "0"]).arg(halves.origin.url()).run();
    t.refuses_with(&output, &[18, 56]);
    let (output, fetched) = halves.again::<&str>(t, &[]);
    t.delivers(&output, "object.bin", &object());
    output.check(fetched >= SIZE as u64, "nothing proved that the bytes belong together");
});
