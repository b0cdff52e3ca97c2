//! Who is trusted, and what is said about who is not.

use std::path::Path;

use rcgen::date_time_ymd;

use crate::{KIB, e2e_test, support::*};

fn ca() -> String {
    TRUSTED.file().to_str().unwrap().to_owned()
}

fn shown(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// An origin of a small object that shows `leaf`.
fn behind(leaf: &Leaf) -> (Object, Origin, Front) {
    let object = Object::random(720, 3 * KIB);
    let origin = Origin::of(&object).start();
    let front = Front::start(leaf.server(&[]), origin.address(), Manners::default());
    (object, origin, front)
}

fn says(t: &Test, leaf: &Leaf, url: impl Fn(&Front) -> String, words: &[&str]) {
    let (_, origin, front) = behind(leaf);
    let output = t.uget(["--cacert", &ca(), &url(&front)]).run();
    t.refuses(&output, 60);
    for word in words {
        output.check(output.stderr.contains(word), &format!("it should say {word:?}"));
    }
    assert_eq!(origin.log().count(), 0, "nothing is asked of a stranger");
    let output = t.uget(["--insecure", "-o", "trusting", &url(&front)]).run();
    output.succeeds();
    output.check(output.stderr.contains("warning"), "--insecure is worth a warning");
    std::fs::remove_file(t.path("trusting")).unwrap();
}

fn named(t: &Test, what: &str) -> String {
    format!("{what}-{}", t.engine.name())
}

e2e_test!(an_expired_one, |t| {
    let leaf = TRUSTED.leaf(&named(t, "expired"), |p| {
        p.not_before = date_time_ymd(2019, 1, 1);
        p.not_after = date_time_ymd(2020, 2, 3);
    });
    says(t, &leaf, |front| front.at("/object.bin"), &["expired on 2020-02-03"]);
});

e2e_test!(one_that_is_not_valid_yet, |t| {
    let leaf = TRUSTED.leaf(&named(t, "future"), |p| p.not_before = date_time_ymd(2999, 1, 1));
    says(t, &leaf, |front| front.at("/object.bin"), &["not valid before 2999-01-01"]);
});

e2e_test!(one_for_another_name, |t| {
    let leaf = TRUSTED.leaf(&named(t, "other"), |p| {
        p.subject_alt_names =
            rcgen::CertificateParams::new(vec!["other.test".to_owned()]).unwrap().subject_alt_names;
    });
    says(
        t,
        &leaf,
        |front| front.at("/object.bin"),
        &["issued for other.test", "not for localhost"],
    );
    let address = |front: &Front| format!("https://{}/object.bin", front.address());
    says(t, &leaf, address, &["not for 127.0.0.1"]);
});

e2e_test!(one_whose_issuer_is_missing_or_unknown, |t| {
    let below = TRUSTED.intermediate("below");
    let orphan = below.leaf("orphan", |_| {});
    says(t, &orphan, |front| front.at("/object.bin"), &["issuer is unknown", "intermediate"]);
    let (object, _origin, front) = behind(&orphan.with_chain(vec![below.der()]));
    let output = t.uget(["--cacert", &ca(), &front.at("/object.bin")]).run();
    t.delivers(&output, "object.bin", &object);
    std::fs::remove_file(t.path("object.bin")).unwrap();
    let stranger = Authority::new("stranger").leaf("stranger", |_| {});
    says(t, &stranger, |front| front.at("/object.bin"), &["issuer is unknown"]);
});

e2e_test!(self_signed_ones_are_trusted_where_they_are_named, |t| {
    for authority in [false, true] {
        let leaf = Leaf::self_signed(t.outside(), authority);
        says(t, &leaf, |front| front.at("/object.bin"), &["self-signed"]);
        let (object, _origin, front) = behind(&leaf);
        let args = ["--cacert", &shown(&leaf.certificate), &front.at("/object.bin")];
        let output = t.uget(args).run();
        t.delivers(&output, "object.bin", &object);
        std::fs::remove_file(t.path("object.bin")).unwrap();
    }
});

e2e_test!(trust_comes_from_options_then_the_environment, |t| {
    let (object, _origin, front) = behind(&LOCAL);
    let url = front.at("/object.bin");
    let stranger = Authority::new("stranger");
    let trusting = |args: &[&str], name: &str, value: &Path, fine: bool| {
        let output = t.uget(args).args(["-v", "-o", "out", &url]).env(name, value).run();
        if fine {
            t.delivers(&output, "out", &object);
            output.check(output.stderr.contains("trusted"), "-v says who is trusted");
            std::fs::remove_file(t.path("out")).unwrap();
        } else {
            t.refuses(&output, 60);
        }
    };
    let (ours, theirs) = (TRUSTED.file(), stranger.file());
    trusting(&["--capath", &shown(TRUSTED.directory())], "X", &theirs, true);
    for variable in ["SSL_CERT_FILE", "CURL_CA_BUNDLE"] {
        trusting(&[], variable, &ours, true);
        trusting(&[], variable, &theirs, false);
        trusting(&["--cacert", &shown(&ours)], variable, &theirs, true);
        trusting(&["--cacert", &shown(&theirs)], variable, &ours, false);
    }
    trusting(&[], "SSL_CERT_DIR", TRUSTED.directory(), true);
});

e2e_test!(an_unusable_file_is_named_before_anything_is_sent, |t| {
    let (_, origin, front) = behind(&LOCAL);
    let url = front.at("/object.bin");
    t.write("empty.pem", "nothing");
    for args in [
        ["--cacert", "no-such.pem"],
        ["--cacert", "empty.pem"],
        ["--capath", "no-such.pem"],
        ["--cert", "empty.pem"],
        ["--cert", "no-such.pem"],
    ] {
        let output = t.uget(args).args(["-o", "out", &url]).run();
        output.fails_with(&[2]);
        output.check(output.stderr.contains(args[1]), "the file is named");
    }
    assert_eq!(front.handshakes(), (0, 0));
    assert_eq!(origin.log().count(), 0);
});

e2e_test!(pinned_keys, |t| {
    let (object, _origin, front) = behind(&LOCAL);
    let url = front.at("/object.bin");
    let wrong = format!("sha256//{}", "A".repeat(43) + "=");
    for (pin, trust, fine) in [
        (LOCAL.pin.clone(), true, true),
        (format!("{wrong};{}", LOCAL.pin), false, true),
        (wrong.clone(), true, false),
        (wrong, false, false),
    ] {
        let trust = if trust { vec!["--cacert".to_owned(), ca()] } else { vec!["-k".to_owned()] };
        let output = t.uget(["--pinned-pubkey", &pin, &url]).args(trust).run();
        if fine {
            t.delivers(&output, "object.bin", &object);
            std::fs::remove_file(t.path("object.bin")).unwrap();
        } else {
            t.refuses(&output, 60);
            output.check(output.stderr.contains("pinned"), "it says why");
        }
    }
});

e2e_test!(a_server_that_asks_who_we_are, |t| {
    let object = Object::random(721, 3 * KIB);
    let origin = Origin::of(&object).start();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(TRUSTED.der()).unwrap();
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let asks =
            rustls::server::WebPkiClientVerifier::builder(std::sync::Arc::new(roots.clone()))
                .build()
                .unwrap();
        let front =
            Front::start(LOCAL.server_asking(version, asks), origin.address(), Manners::default());
        let url = front.at("/object.bin");
        let output = t.uget(["--cacert", &ca(), "--retries", "0", &url]).run();
        t.refuses(&output, 35);
        let (certificate, key) = (shown(&LOCAL.certificate), shown(&LOCAL.key));
        let args = ["--cacert", &ca(), "--cert", &certificate, "--key", &key, &url];
        let output = t.uget(args).run();
        t.delivers(&output, "object.bin", &object);
        std::fs::remove_file(t.path("object.bin")).unwrap();
    }
});
