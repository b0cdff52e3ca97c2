//! `--range`: a slice of the object, parallel inside, and never mistaken for anything else.

use std::fs;

use uget::RangeSpec;

use crate::{KIB, MIB, e2e_test, support::*, wire_test};

const SIZE: usize = 4 * MIB + 17;
const ARGS: [&str; 5] = ["-j4", "--chunk-size", "131072", "--retries", "2"];

fn object() -> Object {
    Object::random(900, SIZE)
}

/// What a slice is of an object.
fn slice(object: &Object, range: &str) -> Object {
    let spec: RangeSpec = range.parse().unwrap();
    Object::from_bytes(object.slice(&spec.resolve(object.len()).unwrap()))
}

/// A run that takes a slice of `object.bin`.
fn take(t: &Test, origin: &Origin, range: &str) -> Invocation {
    t.uget(ARGS).args(["--range", range, "-o", "object.bin", &origin.url()])
}

wire_test!(every_slice_is_what_it_names, |t| {
    let object = object();
    let origin = Origin::of(&object).start();
    let end = SIZE - 1;
    for range in [
        "0-0".to_owned(),
        "0-131071".to_owned(),
        format!("1000-{}", 3 * MIB),
        format!("{}-", 3 * MIB + 1),
        format!("{end}-{end}"),
        format!("{end}-"),
        "-1".to_owned(),
        format!("-{}", MIB + 1),
        // What is beyond the end is not there.
        format!("{MIB}-999999999999"),
        format!("-{}", 2 * SIZE),
        "0-999999999999".to_owned(),
        "0-".to_owned(),
    ] {
        let wanted = slice(&object, &range);
        let output = take(t, &origin, &range).run();
        t.delivers(&output, "object.bin", &wanted);
        for connections in ["-j1", "-j4"] {
            let out = t.uget([connections, "--range", &range, "-o", "-", &origin.url()]).run();
            out.succeeds();
            out.check(out.stdout == wanted.bytes(), &format!("{range} is not what came"));
        }
        t.clear();
    }
});

wire_test!(a_slice_is_parallel_inside_and_nothing_else_is_asked_for, |t| {
    let object = object();
    let origin = Origin::of(&object).start();
    let output = take(t, &origin, "1000000-3999999").run();
    t.delivers(&output, "object.bin", &slice(&object, "1000000-3999999"));
    let ranges = origin.log().ranges(object.len());
    let inside = ranges.iter().all(|range| 1_000_000 <= range.start && range.end <= 4_000_000);
    output.check(inside && ranges.len() > 20, &format!("{ranges:?}"));
    assert_eq!(origin.log().overlap(object.len()), 0);
    assert!(origin.log().peak_connections() > 1);
});

e2e_test!(one_connection_is_one_request_for_the_slice, |t| {
    let object = object();
    for range in ["1000000-3999999", "1000000-", "-3000000"] {
        let origin = Origin::of(&object).start();
        let output = take(t, &origin, range).arg("-j1").run();
        t.delivers(&output, "object.bin", &slice(&object, range));
        let requests = origin.log().requests();
        let asked: Vec<_> = requests.iter().filter_map(|request| request.field("range")).collect();
        assert_eq!(asked, [format!("bytes={range}")]);
        t.clear();
    }
});

e2e_test!(a_slice_that_is_not_there_is_an_error, |t| {
    let object = Object::random(901, 1000);
    let empty = Object::from_bytes([]);
    let cases = [(&object, "1000-"), (&object, "5000-6000"), (&empty, "0-9"), (&empty, "-5")];
    for (of, range) in cases {
        let setups = [Origin::of(of), Origin::of(of).mode(Mode::IgnoreRange)];
        for origin in setups.map(Setup::start) {
            for connections in ["-j1", "-j4"] {
                let output = take(t, &origin, range).arg(connections).run();
                t.refuses(&output, 33);
                output.says("beyond the end");
                assert!(t.names().is_empty(), "{:?}", t.names());
            }
        }
    }
    let origin = Origin::of(&empty).start();
    let output = take(t, &origin, "0-").run();
    t.delivers(&output, "object.bin", &empty);
});

e2e_test!(a_server_without_ranges_has_no_slice_but_the_whole, |t| {
    let object = object();
    for mode in [Mode::IgnoreRange, Mode::Http10, Mode::Html, Mode::Coded, Mode::Multipart] {
        let origin = Origin::of(&object).mode(mode).start();
        for connections in ["-j1", "-j4"] {
            let output = take(t, &origin, "1000-9999").arg(connections).run();
            t.refuses_with(&output, &[8, 33]);
        }
        let output = t.uget(["--range", "-3", "-o", "-", &origin.url()]).run();
        output.fails_with(&[8, 33]);
        output.check(output.stdout.is_empty(), "something came");
    }
    let origin = Origin::of(&object).mode(Mode::IgnoreRange).start();
    take(t, &origin, "1000-9999").run().fails(33).says("tail -c");
    t.clear();
    let output = take(t, &origin, "0-999999999").run();
    t.delivers(&output, "object.bin", &object);
});

e2e_test!(what_nothing_ties_together_comes_in_one_piece, |t| {
    let object = object();
    for range in ["1000-3999999", "-4000000", "5-99"] {
        let origin = Origin::of(&object).etag(None).start();
        let output = take(t, &origin, range).run();
        t.delivers(&output, "object.bin", &slice(&object, range));
        let log = origin.log();
        output.check(log.count() <= 2, &format!("{:?}", log.ranges(object.len())));
        t.clear();
        // Cut in the middle, it comes again as a whole.
        let cut = Mode::Cut { from: 0, times: 3, at: 40, end: End::Rst };
        let origin = Origin::of(&object).etag(None).mode(cut).start();
        let output = take(t, &origin, range).args(["--retries", "5"]).run();
        t.delivers(&output, "object.bin", &slice(&object, range));
        t.clear();
    }
});

e2e_test!(a_slice_is_resumed_where_it_ended, |t| {
    let object = object();
    for range in ["1000000-3999999", "1000000-", "-3000000", "100-999999999"] {
        let refuses = Mode::StatusAt { k: 6, times: 1, status: 404 };
        let origin = Origin::of(&object).mode(refuses).start();
        let wanted = slice(&object, range);
        t.refuses(&take(t, &origin, range).run(), 22);
        let output = take(t, &origin, range).arg("--json").run();
        t.delivers(&output, "object.bin", &wanted);
        let resumed = output.json()["resumed"].as_u64().unwrap();
        output.check(resumed >= 128 * KIB as u64, &format!("{range}: {resumed} were used again"));
        t.clear();
    }
});

e2e_test!(a_slice_is_never_taken_for_another_one_or_for_the_whole, |t| {
    let object = object();
    let all: [&[&str]; 5] = [
        &["--range", "1000000-3999999"],
        &["--range", "1000001-4000000"],
        &["--range", "-3000000"],
        &["--range", "1000000-"],
        &[],
    ];
    for (before, after) in all.iter().flat_map(|one| all.iter().map(move |two| (*one, *two))) {
        if before == after {
            continue;
        }
        // Half of one is left, then another is asked for; then the first one again.
        let broken = Mode::StatusAt { k: 6, times: 1, status: 404 };
        let origin = Origin::of(&object).mode(broken).start();
        let run = |range: &[&str]| {
            t.uget(ARGS).args(range).args(["-o", "object.bin", &origin.url()]).run()
        };
        let wanted = |range: &[&str]| match range {
            [_, range] => slice(&object, range),
            _ => object.clone(),
        };
        t.refuses(&run(before), 22);
        for range in [after, before, after] {
            let output = run(range);
            t.delivers(&output, "object.bin", &wanted(range));
        }
        t.clear();
    }
});

e2e_test!(a_slice_that_is_there_is_up_to_date, |t| {
    let object = object();
    let probe = t.write("probe", "x");
    let set = rustix::fs::setxattr(&probe, "user.probe", b"x", rustix::fs::XattrFlags::empty());
    fs::remove_file(probe).unwrap();
    if set.is_err() {
        eprintln!("left out: no user attributes here");
        return;
    }
    for range in ["1000-1999", "-1000", "4194304-"] {
        for conditional in [true, false] {
            let origin = Origin::of(&object)
                .bend(move |request, reply| {
                    if !conditional && request.field("if-none-match").is_some() {
                        reply.status = 404;
                    }
                })
                .start();
            let wanted = slice(&object, range);
            take(t, &origin, range).run().succeeds();
            let sent = origin.log().sent();
            if conditional {
                let output = take(t, &origin, range).arg("--json").run();
                t.delivers(&output, "object.bin", &wanted);
                assert_eq!(output.json()["strategy"], "up-to-date");
                assert_eq!(origin.log().sent(), sent);
            }
            // Whatever else is asked for is asked for without a condition.
            for other in [&["--range", "0-1000"][..], &[]] {
                let args = ["-o", "object.bin", &origin.url()];
                t.uget(ARGS).args(other).args(args).run().succeeds();
            }
            t.holds(&take(t, &origin, range).run(), "object.bin", &wanted);
            t.clear();
        }
    }
});

e2e_test!(digests_are_of_the_slice, |t| {
    let object = object();
    let wanted = slice(&object, "1000-3999999");
    // What the server states is of the whole.
    let stated = "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:";
    let setup = Origin::of(&object).bend(move |_, reply| reply.set("Repr-Digest", stated));
    let origin = setup.start();
    let output = take(t, &origin, "1000-3999999").arg("--json").run();
    t.delivers(&output, "object.bin", &wanted);
    let report = output.json();
    let place = serde_json::json!({ "start": 1000, "end": 4_000_000, "complete_length": SIZE });
    output.check(report["slice"] == place && report["size"] == 3_999_000, "the slice is wrong");
    output.check(report["verified"] == false, "nothing was verified");
    for (digest, right) in [(wanted.sha256(), true), (object.sha256(), false)] {
        t.clear();
        let output = take(t, &origin, "1000-3999999").args(["--sha256", &digest]).run();
        if right {
            t.delivers(&output, "object.bin", &wanted);
        } else {
            t.refuses(&output, 100);
        }
    }
});

e2e_test!(a_slice_is_of_one_version, |t| {
    let (old, new) = (object(), Object::random(902, SIZE + 5));
    for range in ["1000-3999999", "-4000000"] {
        for restart in [false, true] {
            let to = Version::strong(new.clone(), "v2");
            let origin = Origin::of(&old).mode(Mode::Flips { after: 6, to }).start();
            let run = take(t, &origin, range);
            if restart {
                let output = run.arg("--restart-on-change").run();
                t.delivers(&output, "object.bin", &slice(&new, range));
            } else {
                t.refuses(&run.run(), 101);
            }
            t.clear();
        }
    }
});

e2e_test!(every_answer_names_the_window_and_the_whole_length, |t| {
    let object = object();
    for lie in [Lie::Earlier, Lie::Elsewhere, Lie::Longer, Lie::Total, Lie::Backwards, Lie::Twice] {
        for k in [0, 3] {
            let origin = Origin::of(&object).mode(Mode::Lie { k, lie }).start();
            let output = take(t, &origin, "1000000-3999999").run();
            let wanted = slice(&object, "1000000-3999999");
            t.right_or_refused(&output, "object.bin", &wanted);
            t.clear();
        }
    }
});

e2e_test!(mirrors_bring_their_share_of_a_slice, |t| {
    let object = object();
    for range in ["1000000-3999999", "-3000000"] {
        let mirror = Origin::of(&object).start();
        let origin = Origin::of(&object).mode(Mode::Rate(MIB as u64)).start();
        let output = take(t, &origin, range).args(["--mirror", &mirror.url()]).run();
        t.delivers(&output, "object.bin", &slice(&object, range));
        assert!(mirror.log().count() > 0);
        t.clear();
        // And stand in for a place that is gone, or has no ranges.
        for mode in [Mode::Status(404), Mode::IgnoreRange] {
            let origin = Origin::of(&object).mode(mode).start();
            let output = take(t, &origin, range).args(["--mirror", &mirror.url()]).run();
            t.delivers(&output, "object.bin", &slice(&object, range));
            t.clear();
        }
    }
});

e2e_test!(what_is_no_slice_is_refused_before_anything_is_asked, |t| {
    let origin = Origin::of(&object()).start();
    for range in ["", "-", "5", "5-2", "-0", "a-b", "0-1,3-4", "bytes=0-1", "0-9223372036854775807"]
    {
        t.uget([&format!("--range={range}"), &origin.url()]).run().fails(2);
    }
    assert_eq!(origin.log().count(), 0);
    // The size that is limited is the slice's.
    let output = take(t, &origin, "5-14").args(["--max-size", "10"]).run();
    t.delivers(&output, "object.bin", &slice(&object(), "5-14"));
    t.clear();
    let output = take(t, &origin, "5-15").args(["--max-size", "10"]).run();
    t.refuses(&output, 63);
});
