//! Digests that the server states: checked where they speak of the whole object, else ignored.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::Digest as _;

use crate::{MIB, e2e_test, support::*};

fn sha256(object: &Object) -> String {
    STANDARD.encode(sha2::Sha256::digest(object.bytes()))
}

fn sha512(object: &Object) -> String {
    STANDARD.encode(sha2::Sha512::digest(object.bytes()))
}

/// An origin of `object` that sends this field with each answer.
fn stating(object: &Object, name: &'static str, value: String) -> Origin {
    Origin::of(object).bend(move |_, reply| reply.set(name, &value)).start()
}

e2e_test!(cf15_a_stated_digest_is_checked, |t| {
    let (object, other) = (Object::random(720, 3 * MIB), Object::random(721, 1));
    for (name, right, wrong) in [
        (
            "Repr-Digest",
            format!("sha-256=:{}:", sha256(&object)),
            format!("sha-256=:{}:", sha256(&other)),
        ),
        (
            "Repr-Digest",
            format!("md5=:AAAA:, sha-512=:{}:;q=1", sha512(&object)),
            format!("md5=:AAAA:, sha-512=:{}:;q=1", sha512(&other)),
        ),
        (
            "Repr-Digest",
            format!("sha-256=:{}:, sha-512=:{}:", sha256(&object), sha512(&object)),
            format!("sha-256=:{}:, sha-512=:{}:", sha256(&object), sha512(&other)),
        ),
    ] {
        for connections in ["-j1", "-j4"] {
            let origin = stating(&object, name, right.clone());
            let output = t.uget([connections, "-o", "object.bin", "--json", &origin.url()]).run();
            t.delivers(&output, "object.bin", &object);
            let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(report["verified"], serde_json::json!(true));
            std::fs::remove_file(t.path("object.bin")).unwrap();
            let origin = stating(&object, name, wrong.clone());
            let output = t.uget([connections, "-o", "object.bin", &origin.url()]).run();
            t.refuses(&output, 100);
            t.holds_only(&output, &[]);
            assert_eq!(origin.log().overlap(object.len()), 0, "it was fetched again");
        }
    }
});

e2e_test!(an_elder_digest_is_checked_in_a_whole_answer, |t| {
    let (object, other) = (Object::random(722, 3 * MIB), Object::random(723, 1));
    let wrong = format!("SHA-256={}", sha256(&other));
    let origin = stating(&object, "Digest", wrong.clone());
    t.refuses(&t.uget(["-j1", &origin.url()]).run(), 100);
    t.delivers(&t.uget(["-j4", &origin.url()]).run(), "object.bin", &object);
});

e2e_test!(a_stated_digest_of_a_stream, |t| {
    let (object, other) = (Object::random(724, 3 * MIB), Object::random(725, 1));
    let origin = stating(&object, "Repr-Digest", format!("sha-256=:{}:", sha256(&object)));
    let output = t.uget(["-o", "-", &origin.url()]).run();
    output.succeeds();
    assert!(object.difference(&output.stdout).is_none());
    let origin = stating(&object, "Repr-Digest", format!("sha-256=:{}:", sha256(&other)));
    t.uget(["-o", "-", &origin.url()]).run().fails(100);
});

e2e_test!(what_says_nothing_about_the_object_is_ignored, |t| {
    let (object, other) = (Object::random(726, 3 * MIB), Object::random(727, 1));
    let wrong = sha256(&other);
    for (name, value) in [
        ("Content-Digest", format!("sha-256=:{wrong}:")),
        ("Repr-Digest", format!("sha-256={wrong}")),
        ("Repr-Digest", format!("sha-256=:{wrong}")),
        ("Repr-Digest", format!("md5=:{wrong}:, crc32c=:{wrong}:")),
        ("Repr-Digest", "sha-256=:AAAA:".to_owned()),
        ("Content-MD5", wrong.clone()),
    ] {
        let origin = stating(&object, name, value);
        let output = t.uget(["-j4", &origin.url()]).run();
        t.delivers(&output, "object.bin", &object);
        std::fs::remove_file(t.path("object.bin")).unwrap();
    }
});

e2e_test!(what_the_user_demands_goes_before_what_is_stated, |t| {
    let (object, other) = (Object::random(728, 3 * MIB), Object::random(729, 1));
    let origin = stating(&object, "Repr-Digest", format!("sha-256=:{}:", sha256(&other)));
    let output = t.uget(["-j4", "--sha256", &object.sha256(), &origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
});

e2e_test!(a_stated_digest_guards_a_resume, |t| {
    let (object, other) = (Object::random(730, 4 * MIB), Object::random(731, 1));
    for (stated, code) in [(&object, 0), (&other, 100)] {
        let value = format!("sha-256=:{}:", sha256(stated));
        let stop = Mode::Cut { from: 0, times: 1, at: 2 * MIB as u64, end: End::Fin };
        let origin = Origin::of(&object)
            .mode(stop)
            .bend(move |request, reply| {
                if request.number > 0 {
                    reply.set("Repr-Digest", &value);
                }
            })
            .start();
        let args = ["-j1", "--retries", "0", "-o", "object.bin"];
        t.uget(args).arg(origin.url()).run().fails(18);
        let sent = origin.log().sent();
        let output = t.uget(args).arg(origin.url()).run();
        output.check(origin.log().sent() - sent < object.len(), "it did not resume");
        if code == 0 {
            t.delivers(&output, "object.bin", &object);
            std::fs::remove_file(t.path("object.bin")).unwrap();
        } else {
            t.refuses(&output, code);
        }
    }
});
