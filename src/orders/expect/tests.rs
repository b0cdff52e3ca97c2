//! Answers to later ranges: which are believed.

use super::*;

fn head(status: &str, fields: &str) -> Head {
    let text = format!("HTTP/1.1 {status}\r\n{fields}\r\n");
    match Head::parse(text.as_bytes()) {
        Ok(Some((head, _))) => head,
        other => panic!("{other:?}"),
    }
}

fn expect(etag: &str) -> Expect {
    let validators = head("200 OK", &format!("ETag: {etag}\r\n")).validators();
    Expect { range: 100..200, extent: Extent::all(1000), validators }
}

const GOOD: &str = "Content-Range: bytes 100-199/1000\r\nContent-Length: 100\r\nETag: \"a\"\r\n";

#[test]
fn a_206_that_says_what_was_asked_is_believed() {
    assert_eq!(expect("\"a\"").check(&head("206 Partial Content", GOOD)), Ok(100..200));
    let chunked = "Content-Range: bytes 100-199/1000\r\nETag: \"a\"\r\n\
        Transfer-Encoding: chunked\r\n";
    assert_eq!(expect("\"a\"").check(&head("206 P", chunked)), Ok(100..200));
}

#[test]
fn a_shorter_206_is_legal() {
    let short = "Content-Range: bytes 100-149/1000\r\nContent-Length: 50\r\nETag: \"a\"\r\n";
    assert_eq!(expect("\"a\"").check(&head("206 P", short)), Ok(100..150));
}

#[test]
fn every_lie_of_a_206_has_its_name() {
    // CL-08, LB-03, LB-19, RT-11, FS-04, FS-13, FS-31, FS-39.
    let window = |range: Range<u64>| Failure::Range(RangeFault::Window(range));
    let length = |is| Failure::Changed(ChangedHow::Length { was: 1000, is });
    let cases = [
        ("bytes 99-199/1000", "Content-Length: 101\r\n", window(99..200)),
        ("bytes 101-199/1000", "Content-Length: 99\r\n", window(101..200)),
        ("bytes 100-200/1000", "Content-Length: 101\r\n", window(100..201)),
        ("bytes 0-99/1000", "Content-Length: 100\r\n", window(0..100)),
        ("bytes 100-199/999", "", length(999)),
        ("bytes 100-199/*", "", Failure::Range(RangeFault::Unreadable)),
        ("octets 100-199/1000", "", Failure::Range(RangeFault::Unreadable)),
        ("bytes 199-100/1000", "", Failure::Range(RangeFault::Unreadable)),
        ("bytes */1000", "", Failure::Range(RangeFault::Unreadable)),
        ("bytes 100-199/1000", "Content-Length: 99\r\n", Failure::Range(RangeFault::Length(99))),
        (
            "bytes 100-199/1000",
            "Content-Type: multipart/byteranges; boundary=x\r\n",
            Failure::Range(RangeFault::Multipart),
        ),
        ("bytes 100-199/1000", "Content-Encoding: gzip\r\n", Failure::Range(RangeFault::Coded)),
    ];
    for (range, more, failure) in cases {
        let fields = format!("Content-Range: {range}\r\nETag: \"a\"\r\n{more}");
        assert_eq!(expect("\"a\"").check(&head("206 P", &fields)), Err(failure), "{fields}");
    }
    let twice = format!("{GOOD}Content-Range: bytes 100-199/1000\r\n");
    let unreadable = Err(Failure::Range(RangeFault::Unreadable));
    assert_eq!(expect("\"a\"").check(&head("206 P", &twice)), unreadable);
    assert_eq!(expect("\"a\"").check(&head("206 P", "ETag: \"a\"\r\n")), unreadable);
}

#[test]
fn another_version_is_a_change() {
    let changed = |how| Err(Failure::Changed(how));
    let bare = "Content-Range: bytes 100-199/1000\r\n";
    for etag in ["ETag: \"b\"\r\n", ""] {
        let head = head("206 P", &format!("{bare}{etag}"));
        assert_eq!(expect("\"a\"").check(&head), changed(ChangedHow::Validator), "{etag:?}");
    }
    // Weak tags pin nothing, but one that differs tells all the same.
    let weak = head("206 P", &format!("{bare}ETag: W/\"b\"\r\n"));
    assert_eq!(expect("W/\"a\"").check(&weak), changed(ChangedHow::Validator));
    let gone = head("412 Precondition Failed", "");
    assert_eq!(expect("\"a\"").check(&gone), changed(ChangedHow::Precondition));
    let shrunk = head("416 Range Not Satisfiable", "Content-Range: bytes */50\r\n");
    let length = ChangedHow::Length { was: 1000, is: 50 };
    assert_eq!(expect("\"a\"").check(&shrunk), changed(length));
}

#[test]
fn a_slice_is_asked_for_where_it_lies_and_received_where_it_counts() {
    let extent = Extent { complete: 1000, wanted: 90..190 };
    let expect = Expect { range: 10..60, extent, validators: expect("\"a\"").validators };
    let check = |range: &str| {
        expect.check(&head("206 P", &format!("Content-Range: bytes {range}\r\nETag: \"a\"\r\n")))
    };
    assert_eq!(check("100-149/1000"), Ok(10..60));
    assert_eq!(check("100-120/1000"), Ok(10..31));
    for other in ["10-59/1000", "100-150/1000", "99-148/1000"] {
        assert!(matches!(check(other), Err(Failure::Range(RangeFault::Window(_)))), "{other}");
    }
    let shorter = Failure::Changed(ChangedHow::Length { was: 1000, is: 999 });
    assert_eq!(check("100-149/999"), Err(shorter));
}

#[test]
fn a_date_that_pins_must_be_there() {
    let dates = "Date: Sun, 06 Nov 1994 12:00:00 GMT\r\n\
        Last-Modified: Sun, 06 Nov 1994 08:00:00 GMT\r\n";
    let validators = head("200 OK", dates).validators();
    let expect = Expect { range: 100..200, extent: Extent::all(1000), validators };
    let bare = "Content-Range: bytes 100-199/1000\r\n";
    assert_eq!(expect.check(&head("206 P", &format!("{bare}{dates}"))), Ok(100..200));
    let changed = Err(Failure::Changed(ChangedHow::Validator));
    assert_eq!(expect.check(&head("206 P", bare)), changed);
}

#[test]
fn a_200_in_the_middle_is_a_change_unless_its_version_is_the_same() {
    let expect = expect("\"a\"");
    let ignored = Err(Failure::Range(RangeFault::Ignored));
    let precondition = Err(Failure::Changed(ChangedHow::Precondition));
    let length = Err(Failure::Changed(ChangedHow::Length { was: 1000, is: 7 }));
    let cases = [
        ("Content-Length: 1000\r\nETag: \"a\"\r\n", &ignored),
        ("Transfer-Encoding: chunked\r\nETag: \"a\"\r\n", &ignored),
        ("Content-Length: 1000\r\nETag: \"b\"\r\n", &precondition),
        ("Content-Length: 1000\r\n", &precondition),
        ("Content-Length: 7\r\nETag: \"a\"\r\n", &length),
    ];
    for (fields, result) in cases {
        assert_eq!(&expect.check(&head("200 OK", fields)), result, "{fields}");
    }
}

#[test]
fn statuses_keep_their_words_escaped() {
    let answer = head("503 Come\tback", "Retry-After: 7\r\n");
    let Err(Failure::Status { status, retry_after, .. }) = expect("\"a\"").check(&answer) else {
        panic!("no status");
    };
    assert_eq!((status, retry_after), (503, Some(RetryAfter::Seconds(7))));
}

#[test]
fn rate_limits_say_when_they_end() {
    let after = |status: &str, fields: &str| match super::status(&head(status, fields)) {
        Failure::Status { retry_after, .. } => retry_after,
        other => panic!("{other:?}"),
    };
    assert_eq!(after("429 T", "RateLimit-Reset: 12\r\n"), Some(RetryAfter::Seconds(12)));
    assert_eq!(
        after("429 T", "RateLimit-Reset: 12\r\nRetry-After: 3\r\n"),
        Some(RetryAfter::Seconds(3))
    );
    assert_eq!(
        after("429 T", "RateLimit: \"default\";r=0;t=30\r\n"),
        Some(RetryAfter::Seconds(30))
    );
    let date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-RateLimit-Reset: 784111800\r\n";
    assert_eq!(
        after("429 T", date),
        Some(RetryAfter::Seconds(784_111_800)),
        "before 2001 it is not a moment"
    );
    let date = "Date: Sat, 03 Feb 2024 08:00:00 GMT\r\nX-RateLimit-Reset: 1706947210\r\n";
    assert_eq!(after("503 T", date), Some(RetryAfter::Seconds(10)));
    assert_eq!(after("500 T", "RateLimit-Reset: 12\r\n"), None);
    assert_eq!(after("429 T", "RateLimit-Reset: soon\r\n"), None);
}
