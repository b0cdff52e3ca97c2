//! Heads: cut anywhere, and believed only when nothing about them is ambiguous.

use proptest::prelude::*;

use super::*;

fn head(text: impl AsRef<[u8]>) -> Head {
    let (head, used) = Head::parse(text.as_ref()).unwrap().unwrap();
    assert_eq!(used, text.as_ref().len());
    head
}

fn with(fields: &str) -> Head {
    head(format!("HTTP/1.1 206 Partial Content\r\n{fields}\r\n"))
}

#[test]
fn a_head_cut_anywhere_asks_for_more() {
    let whole =
        b"\r\n\r\nHTTP/1.1 206 Partial Content\r\nA: b\r\nLong-Name:  c d \t\r\nempty:\r\n\r\n";
    for end in 0..whole.len() {
        assert_eq!(Head::parse(&whole[..end]), Ok(None), "{end}");
    }
    let (head, used) = Head::parse(&[whole, &b"body"[..]].concat()).unwrap().unwrap();
    assert_eq!(used, whole.len());
    assert_eq!((head.minor, head.status, &head.reason[..]), (1, 206, &b"Partial Content"[..]));
    let fields: Vec<_> = head.fields.iter().map(|(n, v)| (n.as_str(), v.as_slice())).collect();
    assert_eq!(fields, [("A", &b"b"[..]), ("Long-Name", b"c d"), ("empty", b"")]);
    assert_eq!(head.one("long-NAME"), Some(&b"c d"[..]));
}

#[test]
fn heads_that_are_tolerated() {
    for text in [
        &b"HTTP/1.1 200\r\n\r\n"[..],
        b"HTTP/1.1 200 \r\n\r\n",
        b"HTTP/1.0 999 \xe9\xff\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: \xe9\xff\ttab\r\n\r\n",
        b"HTTP/1.1 200 OK\nA: b\n\n",
    ] {
        head(text);
    }
}

#[test]
fn heads_that_are_not_http_1() {
    for text in [
        &b"HTTP/2.0 200 OK\r\n\r\n"[..],
        b"HTTP/1.2 200 OK\r\n\r\n",
        b"HTTP/0.9 200 OK\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"<html>404 or so</html>\r\n\r\n",
        b" HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        b"HTTP/1.1 +20 OK\r\n\r\n",
        b"HTTP/1.1 200 O\0K\r\n\r\n",
        b"HTTP/1.1 200 O\rK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA\t: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n A: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n\tfolded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\x0bc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\x7f\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA\xc3\xa9: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n\rX",
    ] {
        let shown = text.escape_ascii();
        let result = Head::parse(text);
        assert!(matches!(result, Err(Error::BadHead(_))), "{shown}: {result:?}");
    }
}

#[test]
fn heads_have_bounds() {
    let start = "HTTP/1.1 200 OK\r\nA: ";
    let long = |length: usize| format!("{start}{}\r\n\r\n", "x".repeat(length - start.len() - 4));
    assert_eq!(long(HEAD_MAX).len(), HEAD_MAX);
    head(long(HEAD_MAX));
    let over = long(HEAD_MAX + 1);
    assert_eq!(Head::parse(over.as_bytes()), Err(Error::HeadTooLarge));
    assert_eq!(Head::parse(&over.as_bytes()[..HEAD_MAX]), Err(Error::HeadTooLarge));
    assert_eq!(Head::parse(&over.as_bytes()[..HEAD_MAX - 1]), Ok(None));
    assert_eq!(Head::parse(&vec![b'\n'; HEAD_MAX]), Err(Error::HeadTooLarge));
    let many = |count| format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(count));
    assert_eq!(head(many(FIELDS_MAX)).fields.len(), FIELDS_MAX);
    assert_eq!(Head::parse(many(FIELDS_MAX + 1).as_bytes()), Err(Error::HeadTooLarge));
}

#[test]
fn framing_that_is_believed() {
    for (text, framing) in [
        ("HTTP/1.1 200 OK\r\n\r\n", Framing::Close),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Framing::Length(0)),
        ("HTTP/1.1 200 OK\r\ncontent-length:  0042 \r\n\r\n", Framing::Length(42)),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n",
            Framing::Length(i64::MAX as u64),
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", Framing::Chunked),
        ("HTTP/1.0 200 OK\r\n\r\n", Framing::Close),
        ("HTTP/1.1 204 No Content\r\n\r\n", Framing::Length(0)),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", Framing::Length(0)),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", Framing::Length(0)),
        ("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", Framing::Length(0)),
        ("HTTP/1.1 103 Early Hints\r\n\r\n", Framing::Length(0)),
        ("HTTP/1.1 416 No\r\nContent-Length: 5\r\n\r\n", Framing::Length(5)),
    ] {
        assert_eq!(head(text).framing(), Ok(framing), "{text}");
    }
}

#[test]
fn framing_that_is_ambiguous() {
    for fields in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: 5,\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5.0\r\n",
        "Content-Length: 5e1\r\n",
        "Content-Length:\r\n",
        "Content-Length: five\r\n",
        "Content-Length: 9223372036854775808\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length: 99999999999999999999999999\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding:\r\n",
    ] {
        let framing = with(fields).framing();
        assert!(matches!(framing, Err(Error::BadFraming(_))), "{fields} {framing:?}");
    }
    let old = head("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert!(old.framing().is_err());
}

#[test]
fn fields_that_occur_twice_are_not_believed() {
    let twice = with(
        "ETag: \"a\"\r\nETag: \"a\"\r\nContent-Range: bytes 0-1/2\r\nContent-Range: bytes 0-1/2\r\n",
    );
    assert_eq!(twice.validators().etag, None);
    assert_eq!(twice.content_range(), None);
    assert_eq!(twice.one("etag"), None);
    assert_eq!(twice.all("etag").count(), 2);
    assert_eq!(with("Content-Length: 1\r\nContent-Length: 1\r\n").content_length(), None);
    assert_eq!(with("Content-Length: 1\r\n").content_length(), Some(1));
}

#[test]
fn validators_are_taken_as_received() {
    let head = with(
        "ETag: W/\"x\"\r\nLast-Modified: Sun Nov  6 08:49:37 1994\r\n\
         Date: Sun, 06 Nov 1994 08:50:37 GMT\r\n",
    );
    let validators = head.validators();
    assert!(validators.etag.as_ref().is_some_and(|tag| tag.weak));
    assert_eq!(validators.pin().as_deref(), Some("W/\"x\" Sun Nov  6 08:49:37 1994"));
    assert_eq!(
        with("ETag: x\r\nLast-Modified: 0\r\nDate: -1\r\n").validators(),
        Validators::default()
    );
}

#[test]
fn retry_after_is_relative_to_the_peers_own_clock() {
    let date = "Date: Thu, 01 Jan 1970 00:01:00 GMT\r\n";
    let at =
        |seconds: u8| format!("Retry-After: Thu, 01 Jan 1970 00:01:{seconds:02} GMT\r\n{date}");
    let seconds = |seconds| Some(RetryAfter::Seconds(seconds));
    assert_eq!(with("Retry-After: 7\r\n").retry_after(), seconds(7));
    assert_eq!(with(&at(30)).retry_after(), seconds(30));
    let past = format!("Retry-After: Thu, 01 Jan 1970 00:00:00 GMT\r\n{date}");
    assert_eq!(with(&past).retry_after(), seconds(0));
    let undated = "Retry-After: Thu, 01 Jan 1970 00:00:09 GMT\r\n";
    assert_eq!(with(undated).retry_after(), Some(RetryAfter::Date(HttpDate(9))));
    assert_eq!(with("").retry_after(), None);
}

#[test]
fn bodies_that_are_not_the_plain_resource() {
    for (fields, coded) in [
        ("", None),
        ("Content-Encoding: identity\r\n", None),
        ("Content-Encoding:\r\n", None),
        ("Content-Encoding: gzip\r\n", Some("gzip")),
        ("Content-Encoding: identity, br\r\n", Some("br")),
        ("Content-Encoding: aes\r\nContent-Encoding: br\r\n", Some("aes, br")),
        ("Content-Encoding: \u{9b}31m\r\n", Some("\\u{9b}31m")),
    ] {
        assert_eq!(with(fields).content_coding().as_deref(), coded, "{fields}");
        assert_eq!(with(fields).content_coded(), coded.is_some(), "{fields}");
    }
    assert!(with("Content-Type: Multipart/ByteRanges ; boundary=x\r\n").multipart());
    assert!(!with("Content-Type: multipart/mixed\r\n").multipart());
    assert!(!with("").multipart());
}

/// What heads are made of, and what breaks them.
const PIECES: &[&str] = &[
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.0 404\r\n",
    "A: b\r\n",
    "Content-Length: 5\r\n",
    "HTTP",
    "\r\n",
    "\r",
    "\n",
    " ",
    "\t",
    "\0",
    ":",
    "x",
    "\u{e9}",
];

proptest! {
    /// Once a prefix is refused, so is everything that starts with it; once it is a head, it
    /// stays that head.
    #[test]
    fn more_octets_never_change_a_verdict(
        pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..12),
        well: bool,
    ) {
        let start = if well { "HTTP/1.1 200 OK\r\n" } else { "" };
        let input = [start, &pieces.concat()].concat().into_bytes();
        let mut verdict = Ok(None);
        for end in 0..=input.len() {
            let now = Head::parse(&input[..end]);
            prop_assert!(verdict == Ok(None) || now == verdict, "{:?} {:?}", verdict, now);
            verdict = now;
        }
    }

    #[test]
    fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        let noisy = [b"HTTP/1.1 200 OK\r\n", &noise[..], b"\r\n\r\n"].concat();
        for input in [&noise, &noisy] {
            if let Ok(Some((head, used))) = Head::parse(input) {
                prop_assert!(used <= input.len());
                let _ = (head.framing(), head.keep_alive(), head.validators());
                let _ = (head.retry_after(), head.content_coded(), head.multipart());
            }
        }
    }
}
