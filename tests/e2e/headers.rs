//! `--dump-header` and the fields of the report: what the accepted answer said, and no other.

use std::fs;

use crate::{MIB, e2e_test, support::*};

fn object() -> Object {
    Object::random(910, 3 * MIB)
}

/// What was dumped to `head`.
fn dumped(t: &Test) -> String {
    String::from_utf8(fs::read(t.path("head")).unwrap()).unwrap()
}

/// An origin with fields of its own.
fn origin() -> Setup {
    Origin::of(&object()).bend(|_, reply| {
        reply.set("X-Commit", "abc");
        reply.fields.push(("Set-Cookie".to_owned(), "session=hush".to_owned()));
        reply.fields.push(("Set-Cookie".to_owned(), "other=secret".to_owned()));
    })
}

e2e_test!(the_accepted_head_is_dumped_as_it_came, |t| {
    let origin = origin().start();
    for (args, status) in [
        (&["-j4"][..], "HTTP/1.1 206 Partial Content\r\n"),
        (&["-j1"], "HTTP/1.1 200 OK\r\n"),
        (&["-j4", "--range", "5-9"], "HTTP/1.1 206 Partial Content\r\n"),
    ] {
        let url = origin.url();
        for out in ["object.bin", "-"] {
            let output = t.uget(args).args(["-o", out, "--dump-header", "head", &url]).run();
            output.succeeds();
            let head = dumped(t);
            // Into a stream the bytes may come in another way.
            let status = if out == "-" { "HTTP/1.1 20" } else { status };
            output.check(head.starts_with(status) && head.ends_with("\r\n\r\n"), &head);
            for line in ["ETag: \"v1\"", "X-Commit: abc", "Set-Cookie: session=hush"] {
                output.check(head.contains(&format!("\r\n{line}\r\n")), &head);
            }
            assert_eq!(head.matches("HTTP/1.1").count(), 1, "{head}");
            t.clear();
        }
    }
});

e2e_test!(it_goes_to_standard_output_before_the_summary, |t| {
    let origin = origin().start();
    let output = t.uget(["-q", "-D", "-", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object());
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    output.check(text.starts_with("HTTP/1.1 206 ") && text.ends_with("\r\n\r\n"), &text);
    for args in [["-D", "-", "-o", "-"], ["-D", "/dev/stdout", "-o", "-"], ["-D", "x", "-o", "x"]] {
        t.uget(args).arg(origin.url()).run().fails(2).says("one place");
    }
});

e2e_test!(what_was_not_accepted_is_not_dumped, |t| {
    // GR-08: a redirect, a refusal, an answer to another question.
    let redirect = Redirect { from: "/object.bin", status: 302, to: "/there".to_owned() };
    let busy = Mode::Busy { status: 503, times: 1, retry_after: Some("0") };
    let mirror = Origin::of(&Object::random(911, 5)).etag(Some("\"lie\"")).start();
    for mode in [Mode::Redirect(redirect), busy, Mode::RefuseRange(403)] {
        let refused = Origin::of(&object())
            .bend(|_, reply| reply.set("X-Is", "it"))
            .mode(mode)
            .bend(|_, reply| {
                if reply.status >= 300 {
                    reply.fields.retain(|(name, _)| name != "X-Is");
                    reply.set("X-Not", "it");
                }
            })
            .start();
        let args = ["--dump-header", "head", "--json", "-o", "object.bin", "--mirror"];
        let output = t.uget(args).args([&mirror.url(), &refused.url()]).run();
        output.succeeds();
        t.holds(&output, "object.bin", &object());
        let head = dumped(t);
        output.check(head.contains("X-Is: it") && !head.contains("X-Not"), &head);
        output.check(!head.contains("lie") && head.matches("HTTP/").count() == 1, &head);
        let report = output.json();
        output.check(report["headers"]["x-is"][0] == "it", &report.to_string());
        t.clear();
    }
    let gone = Origin::of(&object()).mode(Mode::Status(404)).start();
    t.uget(["--dump-header", "head", &gone.url()]).run().fails(22);
    assert!(t.names().is_empty(), "{:?}", t.names());
});

e2e_test!(a_fresh_start_dumps_the_head_of_what_is_published, |t| {
    let new = Object::random(912, 4 * MIB);
    let to = Version::strong(new.clone(), "v2");
    let origin = Origin::of(&object()).mode(Mode::Flips { after: 3, to }).start();
    let args = ["-j2", "--chunk-size", "131072", "--restart-on-change", "--json"];
    let output = t.uget(args).args(["-D", "head", "-o", "object.bin", &origin.url()]).run();
    output.succeeds();
    t.holds(&output, "object.bin", &new);
    let head = dumped(t);
    output.check(head.contains("ETag: \"v2\"") && !head.contains("\"v1\""), &head);
    assert_eq!(output.json()["headers"]["etag"][0], "\"v2\"");
});

e2e_test!(a_report_says_the_same_however_the_bytes_came, |t| {
    let origin = origin().start();
    let mut seen = Vec::new();
    for connections in ["-j1", "-j4"] {
        let output = t.uget([connections, "--json", "-o", "object.bin", &origin.url()]).run();
        output.succeeds();
        let headers = output.json()["headers"].clone();
        output.check(headers["content-length"][0] == *object().len().to_string(), "its length");
        output.check(headers.get("content-range").is_none(), "a range of it");
        output.check(headers["set-cookie"].as_array().map(Vec::len) == Some(2), "both of them");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        output.check(!text.contains("hush") && !text.contains("secret"), "a secret was told");
        seen.push(headers);
        t.clear();
    }
    assert_eq!(seen[0], seen[1]);
    let output = t.uget(["--json", "--range", "-7", "-o", "object.bin", &origin.url()]).run();
    output.succeeds();
    assert_eq!(output.json()["headers"]["content-length"][0], "7");
    let digest = slice_digest();
    let args = ["--json", "--range", "-7", "--sha256", &digest, "-o", "object.bin"];
    let again = t.uget(args).arg(origin.url()).run();
    again.succeeds().check(again.json()["headers"].is_null(), "nothing was asked");
});

fn slice_digest() -> String {
    let object = object();
    Object::from_bytes(&object.bytes()[object.bytes().len() - 7..]).sha256()
}

e2e_test!(a_head_that_cannot_be_written_ends_it_before_anything_is_published, |t| {
    let origin = origin().start();
    let output = t.uget(["--dump-header", "not/there", &origin.url()]).run();
    t.refuses(&output, 23);
    output.says("not/there");
});
