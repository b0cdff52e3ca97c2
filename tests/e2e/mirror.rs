//! Mirrors: bytes of two objects never meet in one file. What makes two places one object, and what
//! becomes of a run in which one of them changes.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::{KIB, MIB, support::*, wire_test as e2e_test};

const SIZE: usize = 4 * MIB;
const ARGS: [&str; 5] = ["-j4", "--chunk-size", "131072", "--retries", "2"];
const NEW_YEAR: &str = "Wed, 01 Jan 2020 00:00:00 GMT";
const SPRING: &str = "Fri, 01 May 2020 00:00:00 GMT";

fn v1() -> Object {
    Object::random(600, SIZE)
}

fn v2() -> Object {
    Object::random(601, SIZE)
}

fn version(object: Object, etag: Option<&str>, last_modified: Option<&str>) -> Version {
    Version {
        object,
        etag: etag.map(str::to_owned),
        last_modified: last_modified.map(str::to_owned),
    }
}

/// An origin of just this version.
fn origin_of(version: &Version) -> Setup {
    let setup = Origin::of(&version.object).etag(version.etag.as_deref());
    match &version.last_modified {
        Some(date) => setup.last_modified(date),
        None => setup,
    }
}

/// Holds the first place's answers, but for the first two, until `mirror` was asked so often.
fn after(setup: Setup, mirror: &Arc<Origin>, asked: usize) -> Setup {
    let mirror = Arc::clone(mirror);
    setup.bend(move |request, _| {
        if request.number >= 2 {
            mirror.log().wait(|all| all.len() >= asked);
        }
    })
}

/// A mirror of the version, and the first place that becomes another one after six requests. The
/// mirror is one of the places by then, and does not bring everything before.
fn parting(old: &Version, mode: Mode) -> (Origin, Arc<Origin>) {
    let gate = Gate::new();
    let held = gate.clone();
    let mirror = origin_of(old).bend(move |request, _| {
        if request.number >= 4 {
            held.pass();
        }
    });
    let mirror = Arc::new(mirror.start());
    let origin = after(origin_of(old), &mirror, 3).mode(mode).bend(move |request, _| {
        if request.number >= 7 {
            gate.open();
        }
    });
    (origin.start(), mirror)
}

/// A run against a place with one mirror.
fn run(t: &Test, origin: &Origin, mirror: &Origin, args: &[&str]) -> Output {
    t.uget(ARGS).args(args).args(["--mirror", &mirror.url(), &origin.url()]).run()
}

/// The ways in which a place becomes another version after so many requests.
fn flips(after: usize, to: &Version) -> [Mode; 3] {
    [
        Mode::Flips { after, to: to.clone() },
        Mode::FlipsBlindly { after, to: to.clone() },
        Mode::FlipsWith412 { after, to: to.clone() },
    ]
}

e2e_test!(a_good_mirror_serves_its_share, |t| {
    let mirror = Arc::new(Origin::of(&v1()).start());
    let origin = after(Origin::of(&v1()), &mirror, 3).start();
    let output = run(t, &origin, &mirror, &[]);
    t.delivers(&output, "object.bin", &v1());
    let both = origin.log().sent() + mirror.log().sent();
    output.check(mirror.log().sent() > 0, "the mirror was not used");
    output.check(both == v1().len(), &format!("{both} bytes for {SIZE}"));
});

e2e_test!(several_mirrors_serve_their_shares, |t| {
    let mirrors: Vec<_> = (0..3).map(|_| Arc::new(Origin::of(&v1()).start())).collect();
    let all = mirrors.clone();
    let origin = Origin::of(&v1())
        .bend(move |request, _| {
            if request.number >= 2 {
                for mirror in &all {
                    mirror.log().wait(|all| !all.is_empty());
                }
            }
        })
        .start();
    let given = mirrors.iter().flat_map(|mirror| ["--mirror".to_owned(), mirror.url()]);
    let output = t.uget(["-j8", "--chunk-size", "131072"]).args(given).arg(origin.url()).run();
    t.delivers(&output, "object.bin", &v1());
    for mirror in &mirrors {
        output.check(mirror.log().sent() > 0, "a mirror was not used");
    }
});

e2e_test!(a_restart_asks_no_mirror_for_the_old_version, |t| {
    for ((etag, date), (new_etag, new_date)) in [
        ((Some("\"v1\""), None), (Some("\"v2\""), None)),
        ((None, Some(NEW_YEAR)), (None, Some(SPRING))),
        ((Some("\"v1\""), Some(NEW_YEAR)), (Some("\"v2\""), Some(SPRING))),
    ] {
        let (old, new) = (version(v1(), etag, date), version(v2(), new_etag, new_date));
        for mode in flips(6, &new) {
            let (origin, mirror) = parting(&old, mode);
            let output = run(t, &origin, &mirror, &["--restart-on-change"]);
            t.whole_or_refused(&output, "object.bin", &[&v2()]);
            t.clear();
        }
    }
});

e2e_test!(a_restart_with_a_mirror_ends_in_the_new_version, |t| {
    // With a digest of the new one it is known that nothing else is wanted; the mirror lags.
    let new = version(v2(), Some("\"v2\""), None);
    let old = version(v1(), Some("\"v1\""), None);
    let (origin, mirror) = parting(&old, Mode::Flips { after: 6, to: new });
    let output = run(t, &origin, &mirror, &["--restart-on-change"]);
    t.delivers(&output, "object.bin", &v2());
});

e2e_test!(a_change_without_a_restart_is_an_error_with_mirrors_too, |t| {
    let new = version(v2(), Some("\"v2\""), None);
    for mode in flips(6, &new) {
        let (origin, mirror) = parting(&version(v1(), Some("\"v1\""), None), mode);
        let output = run(t, &origin, &mirror, &[]);
        // What the mirror has may be finished from it, as one version.
        t.whole_or_refused(&output, "object.bin", &[&v1()]);
        let done = output.status.success();
        let output = run(t, &origin, &mirror, &["--force", "-o", "object.bin"]);
        t.whole_or_refused(&output, "object.bin", &[&v2()]);
        output.check(done || output.status.success(), "it should not fail for ever");
        t.clear();
    }
});

e2e_test!(a_mirror_that_changes_is_left_alone, |t| {
    for (etag, date) in [(Some("\"v2\""), None), (None, Some(SPRING)), (None, None)] {
        let new = version(v2(), etag, date);
        for after_ in [0, 1, 4] {
            for mode in flips(after_, &new) {
                let old = Origin::of(&v1()).last_modified(NEW_YEAR);
                let mirror = Arc::new(old.mode(mode).start());
                let origin = after(Origin::of(&v1()).last_modified(NEW_YEAR), &mirror, 1).start();
                let output = run(t, &origin, &mirror, &[]);
                t.delivers(&output, "object.bin", &v1());
                t.clear();
            }
        }
    }
});

e2e_test!(a_mirror_that_is_ahead_of_its_origin_is_left_alone, |t| {
    // The other way round: the mirror has v2 already, and the origin follows in the middle.
    let new = version(v2(), Some("\"v2\""), None);
    let mirror = Arc::new(origin_of(&new).start());
    let origin =
        after(Origin::of(&v1()), &mirror, 1).mode(Mode::Flips { after: 8, to: new }).start();
    let output = run(t, &origin, &mirror, &["--restart-on-change"]);
    t.whole_or_refused(&output, "object.bin", &[&v2()]);
});

e2e_test!(places_with_different_strong_tags_are_two_objects, |t| {
    let mirror = Arc::new(origin_of(&version(v2(), Some("\"other\""), Some(NEW_YEAR))).start());
    let origin = after(Origin::of(&v1()).last_modified(NEW_YEAR), &mirror, 1).start();
    let output = run(t, &origin, &mirror, &[]);
    t.delivers(&output, "object.bin", &v1());
    let asked = mirror.log().count();
    output.check(asked <= 2, &format!("it was asked {asked} times"));
});

e2e_test!(a_digest_or_no_pin_makes_different_tags_one_object, |t| {
    let sha256 = v1().sha256();
    for args in [["--sha256", sha256.as_str()], ["--pin", "none"]] {
        let other = version(v1(), Some("\"other\""), Some(NEW_YEAR));
        let mirror = Arc::new(origin_of(&other).start());
        let origin = after(Origin::of(&v1()).last_modified(NEW_YEAR), &mirror, 3).start();
        let output = run(t, &origin, &mirror, &args);
        t.delivers(&output, "object.bin", &v1());
        output.check(mirror.log().count() >= 3, "the mirror was not used");
        t.clear();
    }
});

e2e_test!(a_digest_joins_no_places_in_a_stream, |t| {
    // It tells too late: the bytes are out by then.
    let mirror = Arc::new(origin_of(&version(v2(), Some("\"other\""), Some(NEW_YEAR))).start());
    let origin = after(Origin::of(&v1()).last_modified(NEW_YEAR), &mirror, 1).start();
    let output = run(t, &origin, &mirror, &["--sha256", &v1().sha256(), "-o", "-"]);
    output.succeeds();
    let difference = v1().difference(&output.stdout);
    output.check(difference.is_none(), difference.as_deref().unwrap_or_default());
});

type Named = (Option<&'static str>, Option<&'static str>);

e2e_test!(what_makes_two_places_one_object, |t| {
    let table: [(Named, Named); 7] = [
        ((Some("\"v1\""), None), (Some("\"v1\""), None)),
        ((Some("\"v1\""), Some(NEW_YEAR)), (Some("\"v1\""), Some(SPRING))),
        ((Some("\"v1\""), Some(NEW_YEAR)), (None, Some(NEW_YEAR))),
        ((None, Some(NEW_YEAR)), (Some("\"v1\""), Some(NEW_YEAR))),
        ((None, Some(NEW_YEAR)), (None, Some(NEW_YEAR))),
        ((Some("\"v1\""), Some(NEW_YEAR)), (Some("W/\"v1\""), Some(NEW_YEAR))),
        ((Some("\"v1\""), Some(NEW_YEAR)), (Some("W/\"x\""), Some(NEW_YEAR))),
    ];
    for (ours, theirs) in table {
        let mirror = Arc::new(origin_of(&version(v1(), theirs.0, theirs.1)).start());
        let origin = after(origin_of(&version(v1(), ours.0, ours.1)), &mirror, 3).start();
        let output = run(t, &origin, &mirror, &[]);
        t.delivers(&output, "object.bin", &v1());
        let asked = mirror.log().count();
        output.check(asked >= 3, &format!("{ours:?} and {theirs:?} are one: {asked} requests"));
        t.clear();
    }
});

e2e_test!(what_makes_two_places_two_objects, |t| {
    let table: [(Named, Named); 6] = [
        ((Some("\"v1\""), None), (None, None)),
        ((Some("\"v1\""), None), (Some("W/\"v1\""), None)),
        ((Some("\"v1\""), Some(NEW_YEAR)), (None, Some(SPRING))),
        ((Some("\"v1\""), Some(NEW_YEAR)), (Some("\"v2\""), Some(NEW_YEAR))),
        ((Some("\"v1\""), None), (None, Some(NEW_YEAR))),
        ((None, Some(NEW_YEAR)), (None, Some(SPRING))),
    ];
    for (ours, theirs) in table {
        let mirror = Arc::new(origin_of(&version(v2(), theirs.0, theirs.1)).start());
        let origin = after(origin_of(&version(v1(), ours.0, ours.1)), &mirror, 1).start();
        let output = run(t, &origin, &mirror, &[]);
        output.check(output.status.success(), &format!("{ours:?} and {theirs:?}"));
        t.delivers(&output, "object.bin", &v1());
        let asked = mirror.log().count();
        output.check(asked <= 2, &format!("{ours:?} and {theirs:?} are two: {asked} requests"));
        t.clear();
    }
});

e2e_test!(a_lying_mirror_is_found_out_by_the_digest, |t| {
    // The same tag, other bytes. It is known which came from where: those are fetched again.
    let mirror = Arc::new(Origin::of(&v2()).start());
    let origin = after(Origin::of(&v1()), &mirror, 3).start();
    let output = run(t, &origin, &mirror, &["--sha256", &v1().sha256()]);
    t.delivers(&output, "object.bin", &v1());
    let sent = origin.log().sent();
    output.check(sent == v1().len(), &format!("the first place sent {sent} bytes of {SIZE}"));
});

e2e_test!(one_lying_mirror_among_honest_ones, |t| {
    let (liar, honest) = (Arc::new(Origin::of(&v2()).start()), Origin::of(&v1()).start());
    let origin = after(Origin::of(&v1()), &liar, 2).start();
    let mirrors = ["--mirror", &honest.url(), "--mirror", &liar.url()];
    let output =
        t.uget(ARGS).args(["--sha256", &v1().sha256()]).args(mirrors).arg(origin.url()).run();
    t.delivers(&output, "object.bin", &v1());
});

e2e_test!(lies_everywhere_end_in_a_mismatch, |t| {
    let mirror = Arc::new(Origin::of(&v2()).start());
    let wrong = Object::random(602, 10).sha256();
    let origin = after(Origin::of(&v1()), &mirror, 3).start();
    let output = run(t, &origin, &mirror, &["--sha256", &wrong]);
    t.refuses(&output, 100);
    t.holds_only(&output, &[]);
    // Once, and not for ever.
    let sent = origin.log().sent();
    output.check(sent <= v1().len(), &format!("the first place sent {sent} bytes of {SIZE}"));
});

/// Two places whose versions a test changes between two runs, and the kill that ends the first.
struct Epochs {
    origin: Arc<Origin>,
    mirror: Arc<Origin>,
    epoch: Arc<AtomicUsize>,
}

impl Epochs {
    /// `None` is a place that is gone.
    fn new(before: &Version, origin: Option<&Version>, mirror: Option<&Version>) -> Self {
        let epoch = Arc::new(AtomicUsize::new(0));
        let then = |to: Option<&Version>| {
            let (epoch, to) = (Arc::clone(&epoch), to.cloned());
            move |request: &request::Request, reply: &mut Reply| {
                if epoch.load(Ordering::SeqCst) == 0 {
                    return;
                }
                *reply = match &to {
                    Some(version) => Reply::honest(request, version),
                    None => Reply::status(404, "Not Found"),
                };
            }
        };
        // Each has served its share: now comes the kill.
        let hold = |from: usize| {
            let epoch = Arc::clone(&epoch);
            move |request: &request::Request, _: &mut Reply| {
                while request.number >= from && epoch.load(Ordering::SeqCst) == 0 {
                    std::thread::sleep(std::time::Duration::from_millis(2));
                }
            }
        };
        let mirror = origin_of(before).bend(then(mirror)).bend(hold(8));
        let mirror = Arc::new(mirror.start());
        let (served, now) = (Arc::clone(&mirror), Arc::clone(&epoch));
        let origin = origin_of(before).bend(then(origin)).bend(hold(12)).bend(move |request, _| {
            if request.number >= 2 && now.load(Ordering::SeqCst) == 0 {
                served.log().wait(|all| all.len() >= 4);
            }
        });
        Self { origin: Arc::new(origin.start()), mirror, epoch }
    }

    fn kill(&self, t: &Test) {
        let first = t.uget(ARGS).args(["--mirror", &self.mirror.url(), &self.origin.url()]).start();
        assert!(self.origin.log().wait(|all| all.len() > 12), "the first place was not asked");
        assert!(self.mirror.log().wait(|all| all.len() > 8), "the mirror was not asked");
        first.signal(libc::SIGKILL);
        drop(first.wait());
        self.epoch.store(1, Ordering::SeqCst);
    }

    fn again(&self, t: &Test) -> Output {
        run(t, &self.origin, &self.mirror, &[])
    }
}

e2e_test!(a_killed_run_resumes_with_what_each_place_has_now, |t| {
    let old = version(v1(), Some("\"v1\""), Some(NEW_YEAR));
    let new = version(v2(), Some("\"v2\""), Some(NEW_YEAR));
    for (origin, mirror, wanted) in [
        (Some(&old), Some(&old), Some(v1())),
        (Some(&old), Some(&new), Some(v1())),
        (Some(&new), Some(&old), Some(v2())),
        (Some(&new), Some(&new), Some(v2())),
        (None, Some(&old), Some(v1())),
        (None, Some(&new), None),
        (Some(&new), None, Some(v2())),
    ] {
        let epochs = Epochs::new(&old, origin, mirror);
        epochs.kill(t);
        let output = epochs.again(t);
        match &wanted {
            Some(wanted) => t.delivers(&output, "object.bin", wanted),
            None => t.whole_or_refused(&output, "object.bin", &[&v2()]),
        }
        t.clear();
    }
});

e2e_test!(a_killed_run_resumes_what_a_mirror_brought, |t| {
    let old = version(v1(), Some("\"v1\""), None);
    let epochs = Epochs::new(&old, Some(&old), Some(&old));
    epochs.kill(t);
    let before = epochs.origin.log().sent() + epochs.mirror.log().sent();
    let output = epochs.again(t);
    t.delivers(&output, "object.bin", &v1());
    let fetched = epochs.origin.log().sent() + epochs.mirror.log().sent() - before;
    output.check(fetched < v1().len(), &format!("{fetched} bytes were fetched of {SIZE}"));
});

e2e_test!(a_small_object_needs_no_mirror, |t| {
    let object = Object::random(603, 10 * KIB);
    let mirror = Origin::of(&object).start();
    let origin = Origin::of(&object).start();
    let output = run(t, &origin, &mirror, &[]);
    t.delivers(&output, "object.bin", &object);
    output.check(origin.log().count() == 1 && mirror.log().count() == 0, "one request is enough");
});
