//! Heads that a probe may meet, and what follows from each.

use super::*;

fn head(status: &str, fields: &str) -> Head {
    let text = format!("HTTP/1.1 {status}\r\n{fields}\r\n");
    match Head::parse(text.as_bytes()) {
        Ok(Some((head, _))) => head,
        other => panic!("{other:?}"),
    }
}

fn ask(question: &Question, status: &str, fields: &str) -> Ruling {
    let (asked, total) = match question {
        Question::Rest { .. } => (500..1000, Some(1000)),
        Question::Confirm(_) => (0..u64::MAX, Some(1000)),
        _ => (0..100, None),
    };
    let extent = total.map(Extent::all);
    let wanted = Wanted { extent: extent.as_ref(), ..Wanted::default() };
    judge(question, &asked, &wanted, &head(status, fields))
}

fn is_plain(ruling: &Ruling) -> bool {
    matches!(ruling, Ruling::Plain(_))
}

#[test]
fn a_probe_is_judged_by_the_table() {
    // HT-07, LB-01 to LB-03, LB-05, RT-26, RT-28.
    let probe = |status: &str, fields: &str| ask(&Question::Probe, status, fields);
    let part = Ruling::Part { range: 0..100, extent: Extent::all(1000) };
    assert_eq!(probe("206 P", "Content-Range: bytes 0-99/1000\r\nContent-Length: 100\r\n"), part);
    let short = Ruling::Part { range: 0..50, extent: Extent::all(50) };
    assert_eq!(probe("206 P", "Content-Range: bytes 0-49/50\r\n"), short);
    for fields in [
        "Content-Range: bytes 0-99/*\r\n",
        "Content-Range: bytes 1-99/1000\r\n",
        "Content-Range: bytes 0-100/1000\r\n",
        "Content-Range: bytes 0-99/1000\r\nContent-Length: 99\r\n",
        "Content-Range: bytes 0-99/9223372036854775808\r\n",
        "Content-Range: nonsense\r\n",
        "Content-Type: multipart/byteranges; boundary=x\r\n",
        "Content-Range: bytes 0-99/1000\r\nContent-Encoding: gzip\r\n",
        "",
    ] {
        assert!(is_plain(&probe("206 P", fields)), "{fields:?}");
    }
    let framing = Framing::Length(1000);
    let whole = Ruling::Whole { framing, coded: false };
    assert_eq!(probe("200 OK", "Content-Length: 1000\r\n"), whole);
    assert_eq!(probe("416 R", "Content-Range: bytes */0\r\n"), Ruling::Complete { total: 0 });
    for status in ["400 B", "403 F", "404 N", "405 M", "501 N", "416 R"] {
        let fields = "Content-Range: bytes */12345\r\nContent-Length: 12345\r\n";
        assert!(is_plain(&probe(status, fields)), "{status}");
    }
    assert_eq!(probe("302 F", "Location: /\r\n"), Ruling::Redirect);
    for status in [401, 407, 410, 429, 500, 503, 204, 304] {
        let Ruling::Fail(Failure::Status { status: named, .. }) = probe(&format!("{status} X"), "")
        else {
            panic!("{status}");
        };
        assert_eq!(named, status);
    }
}

#[test]
fn a_200_with_a_range_must_be_whole_after_all() {
    // HT-06, FS-30.
    let probe = |fields| ask(&Question::Probe, "200 OK", fields);
    let stated = "Content-Range: bytes 0-999/1000\r\nContent-Length: 1000\r\n";
    assert!(matches!(probe(stated), Ruling::Whole { .. }));
    assert!(is_plain(&probe("Content-Range: bytes 0-99/1000\r\nContent-Length: 100\r\n")));
    assert!(is_plain(&probe("Content-Range: bytes 0-99/*\r\nContent-Length: 100\r\n")));
}

#[test]
fn a_length_beyond_any_file_is_refused() {
    // FS-40.
    let probe =
        |length: &str| ask(&Question::Probe, "200 OK", &format!("Content-Length: {length}\r\n"));
    assert!(matches!(probe("9223372036854775807"), Ruling::Whole { .. }));
    for length in ["9223372036854775808", "18446744073709551615"] {
        let ruling = probe(length);
        let refused = matches!(&ruling, Ruling::Fail(Failure::TooLarge { .. } | Failure::Http(_)));
        assert!(refused, "{length}: {ruling:?}");
    }
}

#[test]
fn a_plain_get_is_judged_by_its_own_head() {
    let plain = |version, status, fields| ask(&Question::Whole(version), status, fields);
    let ok = "Content-Length: 7\r\nETag: \"b\"\r\n";
    assert!(matches!(plain(Version::Any, "200 OK", ok), Ruling::Whole { .. }));
    let pinned = Version::Strong("\"a\"".into());
    assert_eq!(plain(pinned, "200 OK", ok), Ruling::Fail(Failure::Changed(ChangedHow::Validator)));
    let part = plain(Version::Any, "206 P", "Content-Range: bytes 0-6/7\r\n");
    assert_eq!(part, Ruling::Fail(Failure::Range(RangeFault::Unreadable)));
    let missing = plain(Version::Any, "404 Not Found", "");
    assert!(matches!(missing, Ruling::Fail(Failure::Status { status: 404, .. })));
}

#[test]
fn the_rest_of_an_object_must_be_of_the_same() {
    // RT-27, HT-04.
    let rest = |over, status, fields| {
        let version = Version::Strong("\"a\"".into());
        ask(&Question::Rest { version, over }, status, fields)
    };
    let part = "Content-Range: bytes 500-999/1000\r\nETag: \"a\"\r\n";
    assert_eq!(
        rest(true, "206 P", part),
        Ruling::Part { range: 500..1000, extent: Extent::all(1000) }
    );
    let changed = |how| Ruling::Fail(Failure::Changed(how));
    let other = "Content-Range: bytes 500-999/1000\r\nETag: \"b\"\r\n";
    assert_eq!(rest(true, "206 P", other), changed(ChangedHow::Validator));
    let grown = "Content-Range: bytes 500-999/1001\r\nETag: \"a\"\r\n";
    let length = ChangedHow::Length { was: 1000, is: 1001 };
    assert_eq!(rest(true, "206 P", grown), changed(length));
    let new = "Content-Length: 7\r\nETag: \"b\"\r\n";
    assert_eq!(rest(true, "200 OK", new), changed(ChangedHow::Precondition));
    assert_eq!(rest(true, "412 P", ""), changed(ChangedHow::Precondition));
    let same = "Content-Length: 1000\r\nETag: \"a\"\r\n";
    assert!(matches!(rest(true, "200 OK", same), Ruling::Whole { .. }));
    let ignored = Ruling::Fail(Failure::Range(RangeFault::Ignored));
    assert_eq!(rest(false, "200 OK", same), ignored);
    assert!(is_plain(&rest(true, "405 M", "")));
    assert!(matches!(rest(false, "403 F", ""), Ruling::Fail(Failure::Status { .. })));
}

#[test]
fn a_complete_part_is_confirmed_without_a_body() {
    let confirm = |status, fields| ask(&Question::Confirm("\"a\"".into()), status, fields);
    let complete = Ruling::Complete { total: 1000 };
    assert_eq!(confirm("304 Not Modified", ""), complete);
    assert_eq!(confirm("200 OK", "ETag: \"a\"\r\nContent-Length: 1000\r\n"), complete);
    let changed = Ruling::Fail(Failure::Changed(ChangedHow::Validator));
    assert_eq!(confirm("200 OK", "ETag: \"b\"\r\nContent-Length: 1000\r\n"), changed);
}

#[test]
fn a_finished_file_is_asked_about_once() {
    let known = |validator: &str| Finished { size: 1000, validator: validator.to_owned() };
    let tag = known("\"a\"");
    let date = known("Thu, 01 Jan 1970 00:00:00 GMT");
    let dated = "Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
                 Date: Thu, 01 Jan 1970 01:00:00 GMT\r\n";
    for (known, status, fields, means) in [
        (&tag, "304 N", "", Renewal::Same),
        (&tag, "304 N", "ETag: \"a\"\r\n", Renewal::Same),
        (&tag, "304 N", "ETag: W/\"a\"\r\n", Renewal::Same),
        (&tag, "304 N", "ETag: \"b\"\r\n", Renewal::Absurd),
        (&date, "304 N", "ETag: \"b\"\r\n", Renewal::Same),
        (&date, "304 N", dated, Renewal::Same),
        (&tag, "200 OK", "ETag: \"a\"\r\nContent-Length: 1000\r\n", Renewal::Same),
        (&tag, "200 OK", "ETag: \"a\"\r\nTransfer-Encoding: chunked\r\n", Renewal::Same),
        (&tag, "200 OK", "ETag: \"a\"\r\nContent-Length: 999\r\n", Renewal::Other),
        (&tag, "200 OK", "ETag: W/\"a\"\r\nContent-Length: 1000\r\n", Renewal::Other),
        (&tag, "200 OK", "ETag: \"b\"\r\nContent-Length: 1000\r\n", Renewal::Other),
        (&tag, "200 OK", "Content-Length: 1000\r\n", Renewal::Other),
        (&date, "200 OK", dated, Renewal::Same),
        (&tag, "206 P", "ETag: \"a\"\r\nContent-Range: bytes 0-99/1000\r\n", Renewal::Same),
        (&tag, "206 P", "ETag: \"a\"\r\nContent-Range: bytes 0-99/1001\r\n", Renewal::Other),
        (&tag, "206 P", "ETag: \"a\"\r\nContent-Range: bytes 0-99/*\r\n", Renewal::Other),
        (&tag, "206 P", "ETag: \"b\"\r\nContent-Range: bytes 0-99/1000\r\n", Renewal::Other),
        (&tag, "404 N", "ETag: \"a\"\r\n", Renewal::Other),
        (&tag, "416 R", "Content-Range: bytes */0\r\n", Renewal::Other),
    ] {
        assert_eq!(
            renew(known, None, &head(status, fields)),
            means,
            "{known:?} {status} {fields:?}"
        );
    }
}
