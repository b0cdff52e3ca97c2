//! Requests that are heard, and those that are refused.

use super::*;

fn request(text: &str) -> Request {
    match parse(text.as_bytes()) {
        Ok(Parsed::Complete(request, length)) => {
            assert_eq!(length, text.len());
            *request
        }
        other => panic!("{text:?}: {other:?}"),
    }
}

fn status(text: &str) -> u16 {
    parse(text.as_bytes()).expect_err(text).status
}

#[test]
fn a_plain_get() {
    let heard = request("GET /a%20b?c HTTP/1.1\r\nHost: h\r\nrange: bytes=0-4\r\n\r\n");
    assert_eq!(heard.target, "/a%20b?c");
    assert_eq!(heard.method, Method::Get);
    assert!(heard.keep_alive && !heard.http10);
    assert_eq!(heard.range.as_deref(), Some(&b"bytes=0-4"[..]));
}

#[test]
fn every_prefix_is_partial() {
    let text = "HEAD /x HTTP/1.1\r\nHost: h\r\nIf-Match: \"a\"\r\nIf-Match: \"b\"\r\n\r\n";
    for cut in 0..text.len() {
        assert_eq!(parse(&text.as_bytes()[..cut]), Ok(Parsed::Partial), "cut at {cut}");
    }
    assert_eq!(request(text).if_match.as_deref(), Some(&b"\"a\", \"b\""[..]));
}

#[test]
fn when_the_connection_stays() {
    for (text, wanted) in [
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nHost: h\r\nConnection: Close\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: h\r\nConnection: x, close\r\n\r\n", false),
        ("GET / HTTP/1.0\r\n\r\n", false),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true),
        ("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false),
    ] {
        assert_eq!(request(text).keep_alive, wanted, "{text:?}");
    }
}

#[test]
fn two_ranges_fields_are_none() {
    let heard =
        request("GET / HTTP/1.1\r\nHost: h\r\nRange: bytes=0-1\r\nRange: bytes=2-3\r\n\r\n");
    assert_eq!(heard.range, None);
}

#[test]
fn what_is_refused() {
    let long = "x".repeat(TARGET_MAX + 1);
    let endless = "x".repeat(HEAD_MAX);
    let fields = "A: b\r\n".repeat(FIELDS_MAX + 1);
    let host = "Host: h\r\n";
    for (text, wanted) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        (format!("GET / HTTP/1.1\r\n{host}{host}\r\n"), 400),
        (format!("GET / HTTP/1.1\r\n{host}Content-Length: +1\r\n\r\n"), 400),
        (format!("GET / HTTP/1.1\r\n{host}Content-Length: 1\r\nContent-Length: 2\r\n\r\n"), 400),
        (format!("GET / HTTP/1.1\r\n{host}Content-Length: 99999999999999999999\r\n\r\n"), 400),
        (format!("GET / HTTP/1.1\r\n{host}Content-Length: 1\r\nTransfer-Encoding: x\r\n\r\n"), 400),
        (format!("GET / HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n"), 501),
        (format!("GET / HTTP/1.1\r\n{host}Content-Length: 70000\r\n\r\n"), 413),
        (format!("POST / HTTP/1.1\r\n{host}\r\n"), 405),
        (format!("BREW / HTTP/1.1\r\n{host}\r\n"), 501),
        (format!("GET / HTTP/2.0\r\n{host}\r\n"), 505),
        (format!("GET / HTTP/0.9\r\n{host}\r\n"), 505),
        ("GET /\r\n\r\n".to_owned(), 400),
        ("GET / FTP/1.1\r\n\r\n".to_owned(), 400),
        ("\u{16}\u{3}\u{1}\u{2}".to_owned(), 400),
        (format!("GET / HTTP/1.1\r\n{host}bad name: x\r\n\r\n"), 400),
        (format!("GET /{long} HTTP/1.1\r\n{host}\r\n"), 414),
        (format!("GET /{endless}"), 414),
        (format!("GET / HTTP/1.1\r\n{host}A: {endless}"), 431),
        (format!("GET / HTTP/1.1\r\n{host}A: {endless}\r\n\r\n"), 431),
        (format!("GET / HTTP/1.1\r\n{host}{fields}\r\n"), 431),
    ] {
        assert_eq!(status(&text), wanted, "{:?}", &text[..text.len().min(80)]);
    }
}
