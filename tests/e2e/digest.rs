//! Digests: a match publishes, anything else does not.

use std::time::Duration;

use digest::Digest as _;

use crate::{KIB, MIB, support::*, wire_test as e2e_test};

e2e_test!(a_right_digest_is_success, |t| {
    for (number, size) in [0, 1, 100 * KIB, 5 * MIB + 3].into_iter().enumerate() {
        let object = Object::random(110, size);
        let origin = Origin::of(&object).start();
        for connections in ["-j1", "-j4"] {
            let name = format!("case-{number}{connections}");
            let args = [connections, "--sha256", &object.sha256(), "-o", &name, &origin.url()];
            let output = t.uget(args).run();
            output.succeeds();
            t.holds(&output, &name, &object);
        }
    }
});

e2e_test!(upper_case_digits_are_digits, |t| {
    let object = Object::random(111, KIB);
    let origin = Origin::of(&object).start();
    let output = t.uget(["--sha256", &object.sha256().to_uppercase(), &origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
});

e2e_test!(every_algorithm, |t| {
    let object = Object::random(112, 2 * MIB + 1);
    let origin = Origin::of(&object).start();
    let bytes = object.bytes();
    for (name, right) in [
        ("sha256", hex(&sha2::Sha256::digest(bytes))),
        ("sha512", hex(&sha2::Sha512::digest(bytes))),
        ("sha1", hex(&sha1::Sha1::digest(bytes))),
        ("md5", hex(&md5::Md5::digest(bytes))),
        ("blake3", blake3::hash(bytes).to_hex().to_string()),
    ] {
        let good = format!("{name}:{right}");
        let output = t.uget(["-j4", "--digest", &good, "-o", name, &origin.url()]).run();
        output.succeeds();
        t.holds(&output, name, &object);
        std::fs::remove_file(t.path(name)).unwrap();
        let last = if right.ends_with('0') { "1" } else { "0" };
        let bad = format!("{name}:{}{last}", &right[..right.len() - 1]);
        let output = t.uget(["-j4", "--digest", &bad, "-o", name, &origin.url()]).run();
        t.refuses(&output, 100);
    }
});

e2e_test!(a_wrong_digest_publishes_nothing_and_is_not_retried, |t| {
    let object = Object::random(113, 3 * MIB);
    for connections in ["-j1", "-j4"] {
        let origin = Origin::of(&object).start();
        let wrong = Object::random(114, 1).sha256();
        let args = [connections, "--chunk-size", "1048576", "--sha256", &wrong, &origin.url()];
        let output = t.uget(args).run();
        t.refuses(&output, 100);
        t.holds_only(&output, &[]);
        output.says(&wrong).says(&object.sha256());
        output.check(origin.log().sent() == object.len(), "it was fetched again");
    }
});

e2e_test!(a_wrong_digest_leaves_the_old_file, |t| {
    let (old, new) = (Object::random(115, 10 * KIB), Object::random(116, 20 * KIB));
    t.write("object.bin", old.bytes());
    let origin = Origin::of(&new).start();
    let neither = Object::random(114, 1).sha256();
    let output = t.uget(["--sha256", &neither, "-o", "object.bin", &origin.url()]).run();
    output.fails(100);
    t.holds(&output, "object.bin", &old);
    t.holds_only(&output, &["object.bin"]);
});

e2e_test!(fs07_a_digest_sees_what_no_validator_shows, |t| {
    let object = Object::random(117, 4 * MIB);
    let to = Version::strong(Object::random(118, 4 * MIB), "v1");
    let origin = Origin::of(&object).mode(Mode::FlipsBlindly { after: 4, to }).start();
    let args = ["-j4", "--chunk-size", "262144", "--sha256", &object.sha256(), &origin.url()];
    let output = t.uget(args).run();
    t.refuses(&output, 100);
});

e2e_test!(fs36_a_page_is_not_the_object, |t| {
    let object = Object::random(119, MIB);
    let origin = Origin::of(&object).mode(Mode::Html).start();
    let output = t.uget(["-j4", "--sha256", &object.sha256(), &origin.url()]).run();
    t.refuses(&output, 100);
    t.holds_only(&output, &[]);
    assert_eq!(origin.log().count(), 1);
});

e2e_test!(a_digest_is_printed, |t| {
    let object = Object::random(120, 2 * MIB);
    let origin = Origin::of(&object).start();
    for connections in ["-j1", "-j4"] {
        let args = [connections, "--print-digest=sha256", "-o", "object.bin", &origin.url()];
        let output = t.uget(args).run();
        t.delivers(&output, "object.bin", &object);
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        output.check(stdout.contains(&object.sha256()), "the digest is not in the output");
    }
});

e2e_test!(a_stream_is_verified_too, |t| {
    let object = Object::random(121, 2 * MIB);
    let origin = Origin::of(&object).start();
    for connections in ["-j1", "-j4"] {
        let args = [connections, "-o", "-", "--sha256", &object.sha256(), &origin.url()];
        let output = t.uget(args).run();
        output.succeeds();
        assert!(object.difference(&output.stdout).is_none());
        let wrong = Object::random(114, 1).sha256();
        t.uget([connections, "-o", "-", "--sha256", &wrong, &origin.url()]).run().fails(100);
    }
});

e2e_test!(a_part_that_shrinks_under_the_reader_is_an_error, |t| {
    let object = Object::random(122, 8 * MIB);
    let mode = Mode::Cut { from: 6, times: 1, at: 1000, end: End::Stall };
    let origin = Origin::of(&object).mode(mode).start();
    let args = ["-j2", "--chunk-size", "524288", "--stall-timeout", "2", "--retries", "2"];
    let running = t.uget(args).args(["--sha256", &object.sha256(), &origin.url()]).start();
    assert!(origin.log().wait(|all| all.len() > 6));
    std::thread::sleep(Duration::from_millis(300));
    let part = std::fs::OpenOptions::new().write(true).open(t.path(".object.bin.uget-part"));
    part.unwrap().set_len(0).unwrap();
    let output = running.wait();
    output.check(!output.status.success(), "bytes were lost and it noticed nothing");
    t.refuses_with(&output, &[18, 23, 36, 100]);
});

e2e_test!(a_digest_that_the_server_names_is_checked, |t| {
    use base64::Engine as _;
    let object = Object::random(123, 3 * MIB);
    let named = |object: &Object| {
        let digest = sha2::Sha256::digest(object.bytes());
        format!("sha-256=:{}:", base64::engine::general_purpose::STANDARD.encode(digest))
    };
    let right = named(&object);
    let origin = Origin::of(&object).bend(move |_, reply| reply.set("Repr-Digest", &right)).start();
    let output = t.uget(["-j4", "-o", "object.bin", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
    std::fs::remove_file(t.path("object.bin")).unwrap();
    let wrong = named(&Object::random(124, 1));
    let origin = Origin::of(&object).bend(move |_, reply| reply.set("Repr-Digest", &wrong)).start();
    let output = t.uget(["-j4", "-o", "object.bin", &origin.url()]).run();
    t.refuses(&output, 100);
});
