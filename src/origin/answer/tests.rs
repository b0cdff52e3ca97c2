//! Tables of requests and what they are answered with.

use super::*;

const ETAG: &str = "\"e\"";
const MODIFIED: i64 = 784_111_777;
const MODIFIED_DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
const NOW: i64 = MODIFIED + 1_000;

fn object(length: u64) -> Metadata {
    let version = Version { etag: Some(ETAG.to_owned()), modified: Some(MODIFIED) };
    Metadata { length, version, media_type: "text/plain", ranges: true }
}

fn get() -> Request {
    Request { keep_alive: true, target: "/".to_owned(), ..Request::default() }
}

fn bytes(value: &str) -> Option<Vec<u8>> {
    (!value.is_empty()).then(|| value.as_bytes().to_vec())
}

fn field<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.fields.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str())
}

#[test]
fn pg22_ranges_are_resolved() {
    // Range, If-Range, length; status and what of the object is sent.
    let cases: &[(&str, &str, u64, u16, Range<u64>)] = &[
        ("", "", 10, 200, 0..10),
        ("bytes=0-4", "", 10, 206, 0..5),
        ("bytes=2-5", "", 10, 206, 2..6),
        ("bytes=3-", "", 10, 206, 3..10),
        ("bytes=-3", "", 10, 206, 7..10),
        ("bytes=-20", "", 10, 206, 0..10),
        ("bytes=5-100", "", 10, 206, 5..10),
        ("bytes=10-20", "", 10, 416, 0..0),
        ("bytes=20-", "", 10, 416, 0..0),
        ("bytes=-0", "", 10, 416, 0..0),
        ("bytes=-1", "", 0, 416, 0..0),
        ("bytes=0-0", "", 0, 416, 0..0),
        ("bytes=0-1,3-4", "", 10, 200, 0..10),
        ("0-4", "", 10, 200, 0..10),
        ("bytes=5-2", "", 10, 200, 0..10),
        ("bytes=a-b", "", 10, 200, 0..10),
        ("bytes=0-4", ETAG, 10, 206, 0..5),
        ("bytes=0-4", "\"other\"", 10, 200, 0..10),
        // Beyond the vectors: a failed If-Range hides what would have been a 416.
        ("bytes=20-", "\"other\"", 10, 200, 0..10),
        ("bytes=20-", ETAG, 10, 416, 0..0),
    ];
    for (range, if_range, length, status, sent) in cases {
        let request = Request { range: bytes(range), if_range: bytes(if_range), ..get() };
        let answer = Answer::new(&request, &object(*length), NOW);
        assert_eq!(answer.status, *status, "{range} {if_range}");
        match status {
            416 => {
                let wanted = format!("bytes */{length}");
                assert_eq!(field(&answer, "Content-Range"), Some(wanted.as_str()));
            }
            206 => {
                let wanted = format!("bytes {}-{}/{length}", sent.start, sent.end - 1);
                assert_eq!(field(&answer, "Content-Range"), Some(wanted.as_str()));
                assert_eq!(answer.body, Body::Object(sent.clone()));
            }
            _ => {
                assert_eq!(field(&answer, "Content-Range"), None);
                assert_eq!(answer.body, Body::Object(sent.clone()));
            }
        }
        if *status != 416 {
            let wanted = (sent.end - sent.start).to_string();
            assert_eq!(field(&answer, "Content-Length"), Some(wanted.as_str()));
            assert_eq!(field(&answer, "ETag"), Some(ETAG));
        }
        assert_eq!(field(&answer, "Accept-Ranges"), Some("bytes"));
    }
}

#[test]
fn pg23_conditions_on_entity_tags() {
    // If-Match, If-None-Match, whether there is an entity tag; status.
    let cases: &[(&str, &str, bool, u16)] = &[
        ("", "", true, 200),
        (ETAG, "", true, 200),
        ("*", "", true, 200),
        ("\"other\", \"e\"", "", true, 200),
        ("\"other\"", "", true, 412),
        ("*", "", false, 412),
        ("", ETAG, true, 304),
        ("", "*", true, 304),
        ("", "\"other\", \"e\"", true, 304),
        ("", "\"other\"", true, 200),
        ("", "*", false, 200),
        // Strong comparison for If-Match, weak comparison for If-None-Match.
        ("W/\"e\"", "", true, 412),
        ("", "W/\"e\"", true, 304),
        // If-Match comes first.
        ("\"other\"", ETAG, true, 412),
        (ETAG, ETAG, true, 304),
        // What is not a list of tags matches nothing.
        ("e", "", true, 412),
        ("", "e", true, 200),
    ];
    for (if_match, if_none_match, tagged, status) in cases {
        let request =
            Request { if_match: bytes(if_match), if_none_match: bytes(if_none_match), ..get() };
        let mut object = object(10);
        if !tagged {
            object.version.etag = None;
        }
        let answer = Answer::new(&request, &object, NOW);
        assert_eq!(answer.status, *status, "{if_match} {if_none_match} {tagged}");
    }
}

#[test]
fn conditions_on_dates_and_their_precedence() {
    // If-Match, If-Unmodified-Since, If-None-Match, If-Modified-Since; status.
    let cases: &[(&str, &str, &str, &str, u16)] = &[
        ("", MODIFIED_DATE, "", "", 200),
        ("", LATER, "", "", 200),
        ("", EARLIER, "", "", 412),
        ("", "", "", MODIFIED_DATE, 304),
        ("", "", "", LATER, 304),
        ("", "", "", EARLIER, 200),
        ("", "nonsense", "", "", 200),
        ("", "", "", "nonsense", 200),
        // A tag speaks louder than a date, on either side (RFC 9110 section 13.2.2).
        (ETAG, EARLIER, "", "", 200),
        ("\"other\"", LATER, "", "", 412),
        ("", "", "\"other\"", LATER, 200),
        ("", "", ETAG, EARLIER, 304),
        // 412 before 304.
        ("", EARLIER, ETAG, "", 412),
    ];
    for (if_match, if_unmodified_since, if_none_match, if_modified_since, status) in cases {
        let request = Request {
            if_match: bytes(if_match),
            if_unmodified_since: bytes(if_unmodified_since),
            if_none_match: bytes(if_none_match),
            if_modified_since: bytes(if_modified_since),
            ..get()
        };
        let answer = Answer::new(&request, &object(10), NOW);
        assert_eq!(answer.status, *status, "{request:?}");
    }
}

#[test]
fn if_range_misses() {
    for (if_range, now, status) in [
        (ETAG, NOW, 206),
        ("\"other\"", NOW, 200),
        ("W/\"e\"", NOW, 200),
        ("e", NOW, 200),
        ("*", NOW, 200),
        (MODIFIED_DATE, NOW, 206),
        (EARLIER, NOW, 200),
        (LATER, NOW, 200),
        // Changed in this very second: it may change again, and the date stay.
        (MODIFIED_DATE, MODIFIED, 200),
    ] {
        let request = Request { range: bytes("bytes=1-2"), if_range: bytes(if_range), ..get() };
        let answer = Answer::new(&request, &object(10), now);
        assert_eq!(answer.status, status, "{if_range}");
    }
}

#[test]
fn head_is_get_without_body_and_without_ranges() {
    let request = Request { method: Method::Head, range: bytes("bytes=1-2"), ..get() };
    let answer = Answer::new(&request, &object(10), NOW);
    assert_eq!((answer.status, &answer.body), (200, &Body::Empty));
    assert_eq!(field(&answer, "Content-Length"), Some("10"));
}

#[test]
fn an_empty_object() {
    let answer = Answer::new(&get(), &object(0), NOW);
    assert_eq!((answer.status, &answer.body), (200, &Body::Empty));
    assert_eq!(field(&answer, "Content-Length"), Some("0"));
}

#[test]
fn not_modified_has_validators_and_no_length() {
    let answer = Answer::new(&Request { if_none_match: bytes("*"), ..get() }, &object(10), NOW);
    assert_eq!(answer.body, Body::Empty);
    assert_eq!(field(&answer, "ETag"), Some(ETAG));
    assert_eq!(field(&answer, "Content-Length"), None);
}

#[test]
fn no_date_of_modification_is_in_the_future() {
    let answer = Answer::new(&get(), &object(1), MODIFIED - 1);
    assert_eq!(field(&answer, "Last-Modified"), Some(EARLIER));
}

#[test]
fn heads_as_they_are_sent() {
    let head = |answer: &Answer, request: Option<&Request>| {
        String::from_utf8(answer.head(request, MODIFIED)).expect("ASCII")
    };
    let old = Request { http10: true, ..get() };
    assert!(head(&Answer::new(&old, &object(1), NOW), Some(&old)).contains("keep-alive\r\n"));
    let refused = Answer::refused(Refusal { status: 405, reason: "no" });
    expect_test::expect![[r#"
        HTTP/1.1 405 Method Not Allowed
        Date: Sun, 06 Nov 1994 08:49:37 GMT
        Server: uget/0.1.0
        Connection: close
        Content-Type: text/plain; charset=utf-8
        Content-Length: 27
        Allow: GET, HEAD

    "#]]
    .assert_eq(&head(&refused, None).replace('\r', ""));
}
