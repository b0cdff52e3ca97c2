//! `--checksums` and `--checksum-suffix`: what lists say of a download is demanded of it.

use digest::Digest as _;

use crate::{KIB, MIB, support::*, wire_test as e2e_test};

fn object() -> Object {
    Object::random(910, 2 * MIB + 7)
}

fn other() -> Object {
    Object::random(911, 10 * KIB)
}

fn md5(object: &Object) -> String {
    hex(&md5::Md5::digest(object.bytes()))
}

/// An origin of the object that has this text at a path besides.
fn with_list(object: &Object, path: &'static str, text: &str) -> Origin {
    let text = text.as_bytes().to_vec();
    let serve = move |request: &request::Request, reply: &mut Reply| {
        if request.path() == path {
            *reply = Reply::new(200, "OK", Body::Bytes(text.clone()));
        }
    };
    Origin::of(object).bend(serve).start()
}

/// An origin of the object alone: everything else is not there.
fn alone(object: &Object, status: u16) -> Origin {
    let serve = move |request: &request::Request, reply: &mut Reply| {
        if request.path() != "/object.bin" {
            *reply = Reply::status(status, "No");
        }
    };
    Origin::of(object).bend(serve).start()
}

e2e_test!(what_is_listed_is_demanded, |t| {
    let (object, wrong) = (object(), other().sha256());
    let origin = Origin::of(&object).start();
    let right = object.sha256();
    for (line, name) in [
        (format!("{right}  object.bin"), "object.bin"),
        (format!("{right} *./pub/object.bin"), "object.bin"),
        (format!("SHA256 (object.bin) = {right}"), "object.bin"),
        (format!("\\{right}  a\\\\b"), "a\\b"),
        (format!("MD5 (object.bin) = {}", md5(&object)), "object.bin"),
    ] {
        t.write("LIST", format!("# a list\n{wrong}  another\n{line}\n"));
        let args = ["-j4", "--checksums", "LIST", "--json", "-o", name, &origin.url()];
        let output = t.uget(args).run();
        output.succeeds();
        t.holds(&output, name, &object);
        assert_eq!(output.json()["verified"], true, "{line}");
        t.clear();
    }
    t.write("LIST", format!("{wrong}  object.bin\n"));
    for connections in ["-j1", "-j4"] {
        let output = t.uget([connections, "--checksums", "LIST", &origin.url()]).run();
        output.fails(100).says(&wrong).says(&right);
        t.holds_only(&output, &["LIST"]);
    }
});

e2e_test!(what_is_not_listed_is_not_asked_for, |t| {
    let object = object();
    let origin = Origin::of(&object).start();
    t.write("LIST", format!("{}  another\n", object.sha256()));
    t.write("MORE", format!("{}  yet another\n", md5(&object)));
    let args = ["--checksums", "LIST", "--checksums", "MORE", &origin.url()];
    let output = t.uget(args).run();
    output.fails(100).says("object.bin is not listed in LIST, MORE");
    assert_eq!(origin.log().count(), 0);
    t.write("LIST", format!("RMD160 (object.bin) = 00\n{}  a\n", md5(&object)));
    let output = t.uget(["--checksums", "LIST", &origin.url()]).run();
    output.fails(100).says("no digest there that uget knows");
    // Two that may be meant, and differ.
    t.write("LIST", format!("{}  a/object.bin\n{}  b/object.bin\n", md5(&object), md5(&other())));
    let output = t.uget(["--checksums", "LIST", &origin.url()]).run();
    output.fails(100).says("a/object.bin or b/object.bin may be meant");
    assert_eq!(origin.log().count(), 0);
    let output = t.uget(["--checksums", "LIST", "-o", "a/object.bin", &origin.url()]).run();
    output.succeeds();
});

e2e_test!(a_list_that_is_none_is_refused_before_anything_is_asked, |t| {
    let origin = Origin::of(&object()).start();
    t.write("LIST", "<html>\n");
    for (list, why) in [("LIST", "LIST: line 1"), ("NONE", "cannot read the checksums NONE")] {
        // The one on this machine is looked at first.
        let url = origin.at("/SHA256SUMS");
        let args = ["--checksums", &url, "--checksums", list, &origin.url()];
        t.uget(args).run().fails(2).says(why);
    }
    t.uget(["--checksums", "", &origin.url()]).run().fails(2);
    t.uget(["--checksum-suffix", "", &origin.url()]).run().fails(2);
    t.write("LIST", format!("{}  object.bin\n", object().sha256()));
    let args = ["--checksums", "LIST", "--range", "0-9", &origin.url()];
    t.uget(args).run().fails(2).says("about whole objects");
    assert_eq!(origin.log().count(), 0);
});

e2e_test!(every_digest_of_every_list_has_to_match, |t| {
    let (object, origin) = (object(), Origin::of(&object()).start());
    t.write("GOOD", format!("{}  object.bin\n", object.sha256()));
    t.write("SUMS", format!("{}  object.bin\n", md5(&object)));
    let both = ["--checksums", "GOOD", "--checksums", "SUMS", "--json"];
    let output = t.uget(both).arg(origin.url()).run();
    output.succeeds();
    assert_eq!(output.json()["digests"].as_array().unwrap().len(), 2);
    std::fs::remove_file(t.path("object.bin")).unwrap();
    t.write("SUMS", format!("{}  object.bin\n", md5(&other())));
    let output = t.uget(both).arg(origin.url()).run();
    output.fails(100);
    t.holds_only(&output, &["GOOD", "SUMS"]);
    // What is given counts as well, and cannot both be.
    let sent = origin.log().count();
    let wrong = other().sha256();
    let output = t.uget(["--checksums", "GOOD", "--sha256", &wrong, &origin.url()]).run();
    output.fails(100).says("another sha256");
    assert_eq!(origin.log().count(), sent);
});

e2e_test!(a_list_is_fetched, |t| {
    let object = object();
    let list = format!("{}  another\n{}  object.bin\n", other().sha256(), object.sha256());
    let origin = with_list(&object, "/SHA256SUMS", &list);
    let url = origin.at("/SHA256SUMS");
    let output = t.uget(["-j4", "--checksums", &url, "--json", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
    assert_eq!(output.json()["verified"], true);
    t.clear();
    let wrong = list.replace(&object.sha256(), &other().sha256());
    let origin = with_list(&object, "/SHA256SUMS", &wrong);
    let output = t.uget(["-j4", "--checksums", &origin.at("/SHA256SUMS"), &origin.url()]).run();
    t.refuses(&output, 100);
    t.holds_only(&output, &[]);
    // A list of another thing is found out before the object is asked for.
    let origin = with_list(&object, "/SHA256SUMS", &format!("{}  b\n", object.sha256()));
    let output = t.uget(["--checksums", &origin.at("/SHA256SUMS"), &origin.url()]).run();
    output.fails(100).says("object.bin is not listed in");
    assert_eq!(origin.log().count(), 1);
});

e2e_test!(a_list_that_cannot_be_had_or_is_none_is_a_failure, |t| {
    let object = object();
    let origin = alone(&object, 404);
    let output = t.uget(["--checksums", &origin.at("/SHA256SUMS"), &origin.url()]).run();
    t.refuses(&output, 22);
    let origin = with_list(&object, "/SHA256SUMS", "<!DOCTYPE html>\n");
    let output = t.uget(["--checksums", &origin.at("/SHA256SUMS"), &origin.url()]).run();
    t.refuses(&output, 100);
    output.says("line 1");
    let large = "#".repeat(17 * MIB);
    let origin = with_list(&object, "/SHA256SUMS", &large);
    let output = t.uget(["--checksums", &origin.at("/SHA256SUMS"), &origin.url()]).run();
    t.refuses(&output, 63);
    output.says("16 MiB");
    assert_eq!(origin.log().count(), 1);
    t.holds_only(&output, &[]);
});

e2e_test!(a_list_elsewhere_sees_no_secrets, |t| {
    let object = object();
    let list = format!("{}  object.bin\n", object.sha256());
    let (origin, elsewhere) = (Origin::of(&object).start(), with_list(&object, "/SUMS", &list));
    let secrets = ["-H", "X-Token: secret", "-u", "user:secret", "-b", "a=secret", "-e", "secret"];
    let output = t.uget(secrets).args(["--checksums", &elsewhere.at("/SUMS"), &origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
    for request in elsewhere.log().requests() {
        let head = String::from_utf8_lossy(&request.raw).into_owned();
        assert!(!head.contains("secret") && request.field("authorization").is_none(), "{head}");
    }
    assert!(origin.log().requests().iter().all(|r| r.field("x-token") == Some("secret")));
    t.clear();
    // The object's own origin has the list behind the same lock.
    let origin = with_list(&object, "/SUMS", &list);
    let output = t.uget(secrets).args(["--checksums", &origin.at("/SUMS"), &origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
    assert!(origin.log().requests().iter().all(|r| r.field("x-token") == Some("secret")));
});

e2e_test!(a_list_may_be_redirected, |t| {
    let object = object();
    let list = format!("{}  object.bin\n", object.sha256());
    let elsewhere = with_list(&object, "/real", &list);
    let location = elsewhere.at("/real");
    let redirect = move |request: &request::Request, reply: &mut Reply| {
        if request.path() == "/SUMS" {
            *reply = Reply::redirect(302, &location);
        }
    };
    let origin = Origin::of(&object).bend(redirect).start();
    let output = t.uget(["--checksums", &origin.at("/SUMS"), &origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
});

e2e_test!(the_list_beside_the_object_is_asked_for, |t| {
    let object = object();
    for text in [object.sha256(), format!("{}  object.bin\n", object.sha256())] {
        let origin = with_list(&object, "/object.bin.sha256", &text);
        let url = origin.at("/object.bin?token=x");
        let output = t.uget(["-j4", "--checksum-suffix", ".sha256", "--json", &url]).run();
        t.delivers(&output, "object.bin", &object);
        assert_eq!(output.json()["verified"], true);
        assert_eq!(origin.log().requests()[0].target, "/object.bin.sha256?token=x");
        t.clear();
    }
    for text in [other().sha256(), format!("{}  another.bin\n", object.sha256())] {
        let origin = with_list(&object, "/object.bin.sha256", &text);
        let output = t.uget(["--checksum-suffix", ".sha256", &origin.url()]).run();
        t.refuses(&output, 100);
        t.holds_only(&output, &[]);
    }
});

e2e_test!(a_list_beside_the_object_may_be_missing, |t| {
    let object = object();
    let origin = alone(&object, 404);
    let output = t.uget(["--checksum-suffix", ".sha256", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
    output.says("warning: there is no").says("object.bin.sha256");
    t.clear();
    let sent = origin.log().count();
    let args = ["--checksum-suffix", ".sha256", "--require-digest", &origin.url()];
    let output = t.uget(args).run();
    t.refuses(&output, 100);
    assert_eq!(origin.log().count(), sent + 1, "the object was asked for");
    // A server that does not say whether it is there is no answer.
    let origin = alone(&object, 403);
    let output = t.uget(["--checksum-suffix", ".sha256", &origin.url()]).run();
    t.refuses(&output, 22);
});

e2e_test!(a_digest_may_be_required, |t| {
    let object = object();
    let origin = Origin::of(&object).start();
    let output = t.uget(["--require-digest", &origin.url()]).run();
    t.refuses(&output, 100);
    output.says("no digest of object.bin is known");
    assert_eq!(origin.log().count(), 0);
    let output = t.uget(["--require-digest", "--sha256", &object.sha256(), &origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
});

e2e_test!(a_rerun_knows_the_file_by_the_list, |t| {
    let object = object();
    let origin = Origin::of(&object).start();
    t.write("LIST", format!("{}  object.bin\n", object.sha256()));
    let args = ["--checksums", "LIST", "--json", &origin.url()];
    t.uget(args).run().succeeds();
    let sent = origin.log().count();
    let output = t.uget(args).run();
    output.succeeds();
    assert_eq!(output.json()["strategy"], "up-to-date");
    assert_eq!(origin.log().count(), sent);
    // Another file of that name is not overwritten, nor taken for right.
    t.write("object.bin", other().bytes());
    let output = t.uget(args).run();
    output.fails(23).says("its digest is another");
    t.holds(&output, "object.bin", &other());
});

e2e_test!(what_an_earlier_run_left_is_checked_by_the_list, |t| {
    let object = object();
    t.write("LIST", format!("{}  object.bin\n", object.sha256()));
    let mode = Mode::Cut { from: 2, times: 1, at: 1000, end: End::Rst };
    let args = ["-j2", "--chunk-size", "262144", "--retries", "0", "--checksums", "LIST"];
    let origin = Origin::of(&object).mode(mode).start();
    t.uget(args).arg(origin.url()).run().fails_with(&[18, 56]);
    let output = t.uget(args).arg("--json").arg(origin.url()).run();
    output.succeeds();
    t.holds(&output, "object.bin", &object);
    assert!(output.json()["resumed"].as_u64() > Some(0));
});

e2e_test!(a_stream_is_checked_by_a_list, |t| {
    let object = object();
    let origin = Origin::of(&object).start();
    t.write("LIST", format!("{}  object.bin\n", object.sha256()));
    let args = ["-j4", "--checksums", "LIST", "-o", "-", &origin.url()];
    let output = t.uget(args).run();
    assert!(object.difference(&output.succeeds().stdout).is_none());
    t.write("LIST", format!("{}  object.bin\n", other().sha256()));
    t.uget(args).run().fails(100);
});

e2e_test!(a_list_that_does_not_come_is_given_up, |t| {
    let stall = |request: &request::Request, reply: &mut Reply| {
        if request.path() == "/SUMS" {
            *reply = Reply::new(200, "OK", Body::Bytes(vec![b'#'; 10_000]));
            reply.cut = Some((100, End::Stall));
        }
    };
    let origin = Origin::of(&object()).bend(stall).start();
    let url = origin.at("/SUMS");
    for (signal, code) in [(libc::SIGINT, 130), (libc::SIGTERM, 143)] {
        let sent = origin.log().count();
        let running = t.uget(["--checksums", &url, &origin.url()]).start();
        assert!(origin.log().wait(|all| all.len() > sent));
        running.signal(signal);
        let output = running.wait();
        t.refuses(&output, code);
        // It was told to the fetch, and not just ended when that did not listen.
        output.hides("before everything was torn down");
        t.holds_only(&output, &[]);
    }
    let limits = ["--max-time", "1", "--retries", "0"];
    let output = t.uget(limits).args(["--checksums", &url, &origin.url()]).run();
    t.refuses(&output, 28);
    t.holds_only(&output, &[]);
});

e2e_test!(a_reader_is_checked_by_a_list, |t| {
    use std::io::Read as _;
    let object = object();
    let (right, wrong) = (object.sha256(), other().sha256());
    for (hex, status) in [(right, None), (wrong, Some(uget::ErrorKind::Digest))] {
        let origin = with_list(&object, "/SUMS", &format!("{hex}  object.bin\n"));
        let list = uget::http_url(&origin.at("/SUMS")).unwrap();
        let tls = uget::Tls { insecure: true, ..uget::Tls::default() };
        let checksums = vec![uget::ChecksumList::Url(list)];
        let options = uget::Options { checksums, tls, ..uget::Options::default() };
        let (_, mut reader) = uget::Download::new(&origin.url(), options).unwrap().open().unwrap();
        let mut bytes = Vec::new();
        let read = reader.read_to_end(&mut bytes);
        assert_eq!(read.is_err(), status.is_some());
        match status {
            None => assert!(object.difference(&bytes).is_none()),
            Some(kind) => {
                let error = read.unwrap_err().downcast::<uget::Error>().unwrap();
                assert_eq!(error.kind(), kind);
            }
        }
    }
    assert!(t.names().is_empty());
});

e2e_test!(what_comes_through_a_command_is_checked_by_a_list, |t| {
    let object = object();
    let there = t.outside().join("object.bin");
    std::fs::write(&there, object.bytes()).unwrap();
    let via = ["--via", "sh -c", there.to_str().unwrap()];
    t.write("LIST", format!("{}  object.bin\n", object.sha256()));
    let output = t.uget(via).args(["--checksums", "LIST", "--json"]).run();
    output.succeeds();
    t.holds(&output, "object.bin", &object);
    assert_eq!(output.json()["verified"], true);
    std::fs::remove_file(t.path("object.bin")).unwrap();
    t.write("LIST", format!("{}  object.bin\n", other().sha256()));
    t.uget(via).args(["--checksums", "LIST"]).run().fails(100);
    t.uget(via).args(["--checksum-suffix", ".sha256"]).run().fails(2).says("there is none");
    t.holds_only(&t.uget(via).args(["--checksums", "NONE"]).run(), &["LIST"]);
});

e2e_test!(an_archive_is_checked_by_a_list_before_it_appears, |t| {
    let object = Object::from_bytes(crate::extract::sample(KIB));
    let (right, wrong) = (object.sha256(), other().sha256());
    for (hex, code) in [(wrong, 100), (right, 0)] {
        let origin = with_list(&object, "/object.bin.sha256", &hex);
        let args = ["--checksum-suffix", ".sha256", "--extract", "dir", &origin.url()];
        let output = t.uget(args).run();
        assert_eq!(output.code(), Some(code));
        t.holds_only(&output, if code == 0 { &["dir"] } else { &[] });
    }
});
