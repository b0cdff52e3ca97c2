//! Mirrors: a place that fails, lags, lies, hangs or crawls costs time, never the file, while one
//! good place is left. Whichever of the places that is.

use std::{sync::Arc, time::Duration};

use crate::{MIB, e2e_test, support::*};

const SIZE: usize = 4 * MIB;
const ARGS: [&str; 9] = [
    "-j4",
    "--chunk-size",
    "131072",
    "--retries",
    "1",
    "--stall-timeout",
    "1",
    "--connect-timeout",
    "2",
];

fn object() -> Object {
    Object::random(620, SIZE)
}

/// What a place has that says it had the object.
fn other() -> Object {
    Object::random(621, SIZE)
}

/// A good first place that leaves others the time to be tried.
fn patient() -> Setup {
    Origin::of(&object()).mode(Mode::Latency(Duration::from_millis(15)))
}

/// A run with these mirrors.
fn run(t: &Test, args: &[&str], mirrors: &[&str], url: &str) -> Output {
    let mirrors = mirrors.iter().flat_map(|mirror| ["--mirror", mirror]);
    t.uget(ARGS).args(args).args(mirrors).arg(url).limit(Duration::from_secs(60)).run()
}

/// The first place is bad from the start; the mirror is good.
fn stands_in(t: &Test, ways: &[Bad]) {
    for &way in ways {
        let (bad, mirror) = (way.start(&other()), Origin::of(&object()).start());
        let output = run(t, &[], &[&mirror.url()], &bad.url);
        output.check(output.status.success(), &format!("{way:?}, and a good mirror"));
        t.delivers(&output, "object.bin", &object());
        t.clear();
    }
}

/// The first place is good; the mirror is bad from the start. Nothing is fetched twice for that.
fn does_not_matter(t: &Test, ways: &[Bad]) {
    for &way in ways {
        let (bad, origin) = (way.start(&other()), patient().start());
        let output = run(t, &[], &[&bad.url], &origin.url());
        output.check(output.status.success(), &format!("a mirror that is {way:?}"));
        t.delivers(&output, "object.bin", &object());
        let sent = origin.log().sent();
        output.check(sent == SIZE as u64, &format!("{way:?}: the first place sent {sent}"));
        t.clear();
    }
}

e2e_test!(a_first_place_that_is_silent_from_the_start, |t| stands_in(t, &Bad::SILENT));

e2e_test!(a_first_place_that_refuses_from_the_start, |t| stands_in(t, &Bad::ANSWERING));

e2e_test!(a_first_place_that_hangs_from_the_start, |t| {
    stands_in(t, &[Bad::Hang, Bad::Stall { at: 0 }]);
});

e2e_test!(a_first_place_that_is_bad_and_fail_fast, |t| {
    // No retries means none at the same place; another place is no retry.
    for way in [Bad::Status(404), Bad::Refused, Bad::Status(500)] {
        let (bad, mirror) = (way.start(&other()), Origin::of(&object()).start());
        let args = ["--retries", "0"];
        let output = run(t, &args, &[&mirror.url()], &bad.url);
        output.check(output.status.success(), &format!("{way:?}, and a good mirror"));
        t.delivers(&output, "object.bin", &object());
        t.clear();
    }
});

e2e_test!(a_mirror_that_is_silent, |t| does_not_matter(t, &Bad::SILENT));

e2e_test!(a_mirror_that_refuses, |t| does_not_matter(t, &Bad::ANSWERING));

e2e_test!(a_mirror_that_hangs, |t| does_not_matter(t, &[Bad::Hang, Bad::Stall { at: 0 }]));

e2e_test!(a_mirror_that_lies_about_its_windows, |t| does_not_matter(t, &Bad::LYING));

e2e_test!(a_mirror_without_ranges_is_not_drained, |t| {
    let big = Object::random(622, 32 * MIB);
    let mirror = Origin::of(&big).mode(Mode::IgnoreRange).start();
    let origin = Origin::of(&big).mode(Mode::Latency(Duration::from_millis(15))).start();
    let output = run(t, &["--chunk-size", "1048576"], &[&mirror.url()], &origin.url());
    t.delivers(&output, "object.bin", &big);
    // What the kernel's buffers took is not what was read.
    let answers = mirror.log().count() as u64;
    let sent = mirror.log().sent();
    output.check(sent < answers.max(1) * 8 * MIB as u64, &format!("{sent} in {answers} answers"));
});

/// Bends the answers from the `from`-th request on.
fn later(from: usize, way: impl Fn(&mut Reply) + Send + Sync + 'static) -> Setup {
    Origin::of(&object()).bend(move |request, reply| {
        if request.number >= from {
            way(reply);
        }
    })
}

/// A way to change an answer.
type Bend = Box<dyn Fn(&mut Reply) + Send + Sync>;

/// The ways in which a place dies in the middle.
fn deaths() -> Vec<(&'static str, Bend)> {
    let status = |status: u16| -> Bend {
        Box::new(move |reply| *reply = Reply::status(status, "As Scripted"))
    };
    let cut = |at: u64, end: End| -> Bend { Box::new(move |reply| reply.cut = Some((at, end))) };
    vec![
        ("404", status(404)),
        ("403", status(403)),
        ("500", status(500)),
        ("429", status(429)),
        (
            "503 for an hour",
            Box::new(|reply| {
                *reply = Reply::status(503, "Busy").with("Retry-After", "3600");
            }),
        ),
        ("closed", cut(0, End::Fin)),
        ("reset", cut(0, End::Rst)),
        ("stalled", cut(1000, End::Stall)),
        ("cut short", cut(1000, End::Fin)),
    ]
}

e2e_test!(a_mirror_that_dies_in_the_middle, |t| {
    for (name, death) in deaths() {
        let (mirror, origin) = (Arc::new(later(2, death).start()), patient());
        let asked = Arc::clone(&mirror);
        let origin = origin
            .bend(move |request, _| {
                if request.number >= 2 {
                    asked.log().wait(|all| all.len() >= 3);
                }
            })
            .start();
        let output = run(t, &[], &[&mirror.url()], &origin.url());
        output.check(output.status.success(), &format!("a mirror: {name}"));
        t.delivers(&output, "object.bin", &object());
        t.clear();
    }
});

e2e_test!(a_first_place_that_dies_in_the_middle, |t| {
    for (name, death) in deaths() {
        let mirror = patient().start();
        let origin = later(3, death).start();
        let output = run(t, &[], &[&mirror.url()], &origin.url());
        output.check(output.status.success(), &format!("the first place: {name}"));
        t.delivers(&output, "object.bin", &object());
        t.clear();
    }
});

e2e_test!(a_stream_that_fails_goes_on_elsewhere, |t| {
    // Without a strong validator there is one stream, and nothing of it ties it to the mirror.
    for (name, death) in deaths() {
        let mirror = Origin::of(&object()).start();
        let origin = later(1, death).etag(None).mode(Mode::Cut {
            from: 0,
            times: 1,
            at: 1 << 20,
            end: End::Fin,
        });
        let origin = origin.start();
        let output = run(t, &[], &[&mirror.url()], &origin.url());
        output.check(output.status.success(), &format!("a stream, then {name}"));
        t.delivers(&output, "object.bin", &object());
        t.clear();
    }
});

e2e_test!(a_stream_is_not_joined_with_a_mirrors_bytes, |t| {
    for etag in [None, Some("W/\"v1\"")] {
        let mirror = Origin::of(&other()).start();
        let origin = later(1, |reply| *reply = Reply::status(404, "Not Found"))
            .etag(etag)
            .mode(Mode::Cut { from: 0, times: 1, at: 1 << 20, end: End::Fin })
            .start();
        let output = run(t, &[], &[&mirror.url()], &origin.url());
        t.whole_or_refused(&output, "object.bin", &[&other()]);
        t.clear();
    }
});

e2e_test!(a_first_place_without_ranges_that_fails_has_its_mirror, |t| {
    let mirror = Origin::of(&object()).start();
    let origin = later(1, |reply| *reply = Reply::status(500, "No More"))
        .bend(|request, reply| {
            if request.number == 0 {
                *reply = Reply::whole(&Version::strong(object(), "v1"));
                reply.cut = Some((1 << 20, End::Fin));
            }
        })
        .start();
    let output = run(t, &[], &[&mirror.url()], &origin.url());
    t.delivers(&output, "object.bin", &object());
});

e2e_test!(a_crawling_mirror_does_not_keep_its_parts, |t| {
    // One of its parts alone would take it four minutes.
    let big = Object::random(623, 24 * MIB);
    let mirror = Arc::new(Origin::of(&big).mode(Mode::Rate(20_000)).start());
    let asked = Arc::clone(&mirror);
    let origin = Origin::of(&big)
        .bend(move |request, _| {
            if request.number >= 2 {
                asked.log().wait(|all| !all.is_empty());
            }
        })
        .start();
    let args = ["-j4", "--chunk-size", "4194304", "--mirror", &mirror.url(), &origin.url()];
    let output = t.uget(args).limit(Duration::from_secs(60)).run();
    t.delivers(&output, "object.bin", &big);
    let sent = mirror.log().sent();
    output.check(sent < 1 << 20, &format!("the mirror sent {sent}"));
});

e2e_test!(a_crawling_first_place_does_not_keep_its_parts, |t| {
    let big = Object::random(624, 24 * MIB);
    let mirror = Origin::of(&big).start();
    let origin = Origin::of(&big).mode(Mode::Rate(20_000)).start();
    let args = ["-j4", "--chunk-size", "4194304", "--mirror", &mirror.url(), &origin.url()];
    let output = t.uget(args).limit(Duration::from_secs(60)).run();
    t.delivers(&output, "object.bin", &big);
    let sent = origin.log().sent();
    output.check(sent < 1 << 20, &format!("the first place sent {sent}"));
});

e2e_test!(a_mirror_after_bad_ones, |t| {
    let (first, second) = (Bad::Status(404).start(&other()), Bad::Refused.start(&other()));
    let lying = Bad::Lie(Lie::Total).start(&other());
    let good = Origin::of(&object()).start();
    let bad = Bad::Status(500).start(&other());
    let mirrors = [first.url.as_str(), &second.url, &good.url(), &lying.url];
    let output = run(t, &[], &mirrors, &bad.url);
    t.delivers(&output, "object.bin", &object());
});

e2e_test!(where_every_place_is_bad_the_first_one_says_why, |t| {
    let (mirror, second) = (Bad::Status(500).start(&other()), Bad::Refused.start(&other()));
    let origin = Bad::Status(404).start(&other());
    let output = run(t, &[], &[&mirror.url, &second.url], &origin.url);
    t.refuses_with(&output, &[7, 22]);
    t.holds_only(&output, &[]);
});

e2e_test!(a_mirror_redirects, |t| {
    for status in [301, 302, 303, 307, 308] {
        let real = Arc::new(Origin::of(&object()).start());
        let redirect = Mode::Redirect(Redirect { from: "/object.bin", status, to: real.url() });
        let mirror = Origin::of(&other()).mode(redirect).start();
        let asked = Arc::clone(&real);
        let origin = Origin::of(&object())
            .bend(move |request, _| {
                if request.number >= 2 {
                    asked.log().wait(|all| all.len() >= 2);
                }
            })
            .start();
        let output = run(t, &[], &[&mirror.url()], &origin.url());
        t.delivers(&output, "object.bin", &object());
        output.check(real.log().count() >= 2, "where the mirror leads was not asked");
        t.clear();
    }
});

/// The URL with somebody's name and password in it.
fn as_user(url: &str, user: &str) -> String {
    url.replacen("://", &format!("://{user}@"), 1)
}

/// A place that is for one user alone.
fn guarded(authorization: &'static str) -> Setup {
    Origin::of(&object()).bend(move |request, reply| {
        if request.field("authorization") != Some(authorization) {
            *reply = Reply::status(401, "Unauthorized")
                .with("WWW-Authenticate", "Basic realm=\"a mirror\"");
        }
    })
}

/// What of a log's requests carried.
fn authorizations(origin: &Origin) -> Vec<Option<String>> {
    let requests = origin.log().requests();
    requests.iter().map(|one| one.field("authorization").map(str::to_owned)).collect()
}

e2e_test!(a_mirrors_own_credentials_go_to_it_alone, |t| {
    // "user:hunter2" and "one:first"
    let (theirs, ours) = ("Basic dXNlcjpodW50ZXIy", "Basic b25lOmZpcnN0");
    for secret in ["user:hunter2", "us%65r:hunter%32"] {
        let mirror = Arc::new(guarded(theirs).start());
        let third = Arc::new(Origin::of(&object()).start());
        let asked = Arc::clone(&mirror);
        let origin = guarded(ours)
            .bend(move |request, _| {
                if request.number >= 2 {
                    asked.log().wait(|all| all.len() >= 3);
                }
            })
            .start();
        let mirrors = [as_user(&mirror.url(), secret), third.url()];
        let mirrors = [mirrors[0].as_str(), &mirrors[1]];
        let output = run(t, &["-u", "one:first", "-v"], &mirrors, &origin.url());
        t.delivers(&output, "object.bin", &object());
        let right = |origin: &Origin, wanted: Option<&str>| {
            let all = authorizations(origin);
            output.check(
                all.iter().all(|one| one.as_deref() == wanted),
                &format!("wanted {wanted:?}: {all:?}"),
            );
        };
        right(&mirror, Some(theirs));
        right(&origin, Some(ours));
        right(&third, None);
        output.check(mirror.log().count() >= 3, "the mirror was not used");
        output.hides("hunter").hides("first");
        t.clear();
    }
});

e2e_test!(a_mirrors_credentials_do_not_follow_its_redirects, |t| {
    let real = Arc::new(Origin::of(&object()).start());
    let to = real.url();
    let redirect = Mode::Redirect(Redirect { from: "/object.bin", status: 302, to });
    let mirror = Origin::of(&other()).mode(redirect).start();
    let asked = Arc::clone(&real);
    let origin = Origin::of(&object())
        .bend(move |request, _| {
            if request.number >= 2 {
                asked.log().wait(|all| all.len() >= 2);
            }
        })
        .start();
    let mirror_url = as_user(&mirror.url(), "user:hunter2");
    let output = run(t, &[], &[&mirror_url], &origin.url());
    t.delivers(&output, "object.bin", &object());
    output.check(real.log().count() >= 2, "where the mirror leads was not asked");
    for place in [&*real, &origin] {
        output.check(authorizations(place).iter().all(Option::is_none), "it was told a secret");
    }
    output.check(authorizations(&mirror).iter().all(Option::is_some), "it was told nothing");
});

e2e_test!(the_users_fields_do_not_go_to_mirrors, |t| {
    let mirror = Arc::new(Origin::of(&object()).start());
    let asked = Arc::clone(&mirror);
    let origin = Origin::of(&object())
        .bend(move |request, _| {
            if request.number >= 2 {
                asked.log().wait(|all| all.len() >= 2);
            }
        })
        .start();
    let args = ["-H", "X-Secret: sesame", "-b", "crumbs=1"];
    let output = run(t, &args, &[&mirror.url()], &origin.url());
    t.delivers(&output, "object.bin", &object());
    for request in mirror.log().requests() {
        let raw = String::from_utf8_lossy(&request.raw).into_owned();
        output.check(!raw.contains("sesame") && !raw.contains("crumbs"), &raw);
    }
});
