//! Several digests in one run: each is reported in full, and each says whether it was verified.

use digest::Digest as _;

use crate::{MIB, e2e_test, support::*};

fn object() -> Object {
    Object::random(680, 2 * MIB + 5)
}

fn md5(object: &Object) -> String {
    hex(&md5::Md5::digest(object.bytes()))
}

fn sha1(object: &Object) -> String {
    hex(&sha1::Sha1::digest(object.bytes()))
}

/// What a report says of an algorithm: the value, and whether it was verified.
fn reported(output: &Output, algorithm: &str) -> (String, bool) {
    let report = output.json();
    let digests = report["digests"].as_array().cloned().unwrap_or_default();
    let Some(entry) = digests.iter().find(|one| one["algorithm"] == algorithm) else {
        output.explain(&format!("{algorithm} is not reported: {report:#}"));
    };
    let value = entry["value"].as_str().unwrap_or_default().to_owned();
    (value, entry["verified"].as_bool().unwrap_or_default())
}

e2e_test!(what_was_verified_and_what_was_printed_are_both_told, |t| {
    let (object, origin) = (object(), Origin::of(&object()).start());
    for connections in ["-j1", "-j4"] {
        let sha256 = object.sha256();
        let args = ["--sha256", &sha256, "--print-digest=md5", "-o", "object.bin"];
        let output = t.uget(args).args([connections, "--json", &origin.url()]).run();
        t.delivers(&output, "object.bin", &object);
        assert_eq!(reported(&output, "sha256"), (sha256.clone(), true));
        assert_eq!(reported(&output, "md5"), (md5(&object), false));
        let report = output.json();
        assert_eq!(report["sha256"], sha256.as_str());
        assert_eq!(report["verified"], true);
        t.clear();
        // The same for people: both in full, and one verified.
        let output = t.uget(args).args([connections, &origin.url()]).run();
        t.delivers(&output, "object.bin", &object);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        for value in [&sha256, &md5(&object)] {
            output.check(said.contains(value), &format!("{value} is not told"));
        }
        assert_eq!(said.matches("verified").count(), 1, "{said}");
        output.check(!said.contains("md5 verified"), "nobody could verify the MD5");
        t.clear();
    }
});

e2e_test!(every_digest_that_is_given_has_to_match, |t| {
    let (object, origin) = (object(), Origin::of(&object()).start());
    let other = Object::random(681, 10);
    let (right, wrong) = (format!("md5:{}", md5(&object)), format!("md5:{}", md5(&other)));
    let good = ["--sha256", &object.sha256(), "--digest", &right];
    let also = format!("sha1:{}", sha1(&object));
    let output = t.uget(good).args(["--digest", &also, "--json", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
    for (algorithm, value) in
        [("sha256", object.sha256()), ("md5", md5(&object)), ("sha1", sha1(&object))]
    {
        assert_eq!(reported(&output, algorithm), (value, true));
    }
    t.clear();
    for args in [
        ["--sha256", &object.sha256(), "--digest", &wrong],
        ["--sha256", &other.sha256(), "--digest", &right],
        ["--digest", &right, "--digest", &format!("sha1:{}", sha1(&other))],
    ] {
        let output = t.uget(args).arg(origin.url()).run();
        t.refuses(&output, 100);
        t.holds_only(&output, &[]);
    }
});

e2e_test!(several_digests_are_printed, |t| {
    let (object, origin) = (object(), Origin::of(&object()).start());
    let args = ["--print-digest", "--print-digest=md5", "--print-digest=sha1", "--json", "-j4"];
    let output = t.uget(args).arg(origin.url()).run();
    t.delivers(&output, "object.bin", &object);
    assert_eq!(reported(&output, "sha256"), (object.sha256(), false));
    assert_eq!(reported(&output, "md5"), (md5(&object), false));
    assert_eq!(reported(&output, "sha1"), (sha1(&object), false));
    assert_eq!(output.json()["verified"], false);
});

e2e_test!(two_values_of_one_algorithm_are_a_mistake, |t| {
    let origin = Origin::of(&object()).start();
    let (one, other) = (object().sha256(), Object::random(682, 3).sha256());
    let digest = format!("sha256:{other}");
    let output = t.uget(["--sha256", &one, "--digest", &digest, &origin.url()]).run();
    output.fails(2);
    assert_eq!(origin.log().count(), 0, "nothing had to be asked to know that");
});
