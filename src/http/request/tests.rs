//! Requests as they are written, octet by octet.

use proptest::prelude::*;

use super::*;

fn get(url: &str) -> Request {
    Request::get(Url::parse(url).unwrap())
}

fn field(name: &str, value: &str) -> Field {
    Field::new(name, value.as_bytes()).unwrap()
}

fn text(request: &Request) -> String {
    String::from_utf8(request.encode()).unwrap()
}

/// The first line and the value of `Host`.
fn target(request: &Request) -> (String, String) {
    let text = text(request);
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap().to_owned();
    (first, lines.next().unwrap().strip_prefix("Host: ").unwrap().to_owned())
}

#[test]
fn a_plain_get() {
    assert_eq!(
        text(&get("http://example.com/a?b")),
        format!(
            "GET /a?b HTTP/1.1\r\nHost: example.com\r\nUser-Agent: uget/{}\r\nAccept: */*\r\n\
             Accept-Encoding: identity\r\n\r\n",
            env!("CARGO_PKG_VERSION")
        )
    );
}

#[test]
fn targets_and_hosts() {
    for (url, path, host) in [
        ("http://h", "/", "h"),
        ("http://h:80/", "/", "h"),
        ("https://h:443/x", "/x", "h"),
        ("https://h:80/x", "/x", "h:80"),
        ("http://user:secret@h:8080/x#frag", "/x", "h:8080"),
        ("http://[::1]:8080/x?", "/x?", "[::1]:8080"),
        ("http://[2001:DB8::1]/x", "/x", "[2001:db8::1]"),
        ("http://h/a b\u{e9}?q=\r\n x", "/a%20b%C3%A9?q=%20x", "h"),
        ("http://B\u{fc}cher.example/", "/", "xn--bcher-kva.example"),
    ] {
        let mut request = get(url);
        assert_eq!(target(&request), (format!("GET {path} HTTP/1.1"), host.to_owned()), "{url}");
        request.form = TargetForm::Absolute;
        let scheme = request.url.scheme().to_owned();
        let line = format!("GET {scheme}://{host}{path} HTTP/1.1");
        assert_eq!(target(&request), (line, host.to_owned()), "{url}");
    }
}

#[test]
fn ranges_are_inclusive_on_the_wire() {
    for (ask, line) in [
        (Ask::Part(0..500), "Range: bytes=0-499\r\n"),
        (Ask::Part(5..6), "Range: bytes=5-5\r\n"),
        (Ask::Part(0..u64::MAX), "Range: bytes=0-18446744073709551614\r\n"),
        (Ask::Part(0..0), "Range: bytes=0-0\r\n"),
        (Ask::Part(7..7), "Range: bytes=7-7\r\n"),
        (Ask::From(9), "Range: bytes=9-\r\n"),
        (Ask::Last(9), "Range: bytes=-9\r\n"),
    ] {
        let request = Request { ask, ..get("http://h/") };
        assert!(text(&request).contains(line), "{request:?}");
    }
    assert!(!text(&get("http://h/")).contains("Range"));
}

#[test]
fn if_range_needs_a_range() {
    let mut request = get("http://h/");
    request.if_range = Some("\"x\"".to_owned());
    assert!(!text(&request).contains("If-Range"));
    request.ask = Ask::Part(1..2);
    assert!(text(&request).contains("\r\nIf-Range: \"x\"\r\n"));
    request.if_none_match = Some("W/\"y\"".to_owned());
    request.if_modified_since = Some("some day".to_owned());
    let text = text(&request);
    assert!(text.contains("\r\nIf-None-Match: W/\"y\"\r\nIf-Modified-Since: some day\r\n"));
}

#[test]
fn a_precondition_cannot_start_another_field() {
    let mut request = get("http://h/");
    request.if_none_match = Some("\"x\"\r\nEvil: 1".to_owned());
    assert!(text(&request).contains("\r\nIf-None-Match: \"x\"Evil: 1\r\n"));
}

#[test]
fn the_users_fields_replace_defaults_but_not_the_range_client() {
    let mut request = Request { ask: Ask::Part(0..9), ..get("http://h/") };
    request.if_none_match = Some("\"ours\"".to_owned());
    request.fields = [
        ("user-agent", "mine"),
        ("ACCEPT", "text/plain"),
        ("host", "other:81"),
        ("Host", "third"),
        ("Range", "bytes=1-2"),
        ("if-range", "evil"),
        ("If-None-Match", "evil"),
        ("Connection", "close"),
        ("Content-Length", "5"),
        ("Transfer-Encoding", "chunked"),
        ("TE", "trailers"),
        ("Upgrade", "h2c"),
        ("Accept-Encoding", "gzip"),
        ("Expect", "100-continue"),
        ("X-Twice", "1"),
        ("X-Twice", "2"),
        ("If-Modified-Since", "mine too"),
    ]
    .into_iter()
    .map(|(name, value)| field(name, value))
    .collect();
    assert_eq!(
        text(&request),
        "GET / HTTP/1.1\r\nHost: other:81\r\nAccept-Encoding: identity\r\nRange: bytes=0-8\r\n\
         If-None-Match: \"ours\"\r\nuser-agent: mine\r\nACCEPT: text/plain\r\nX-Twice: 1\r\n\
         X-Twice: 2\r\nIf-Modified-Since: mine too\r\n\r\n"
    );
}

#[test]
fn fields_that_would_break_out_are_refused() {
    for (name, value) in [
        ("", "x"),
        ("a b", "x"),
        ("a:", "x"),
        ("a\r\n", "x"),
        ("\u{e9}", "x"),
        ("a", "x\r\ny"),
        ("a", "x\ny"),
        ("a", "x\0y"),
        ("a", "\x1b[m"),
        ("a", "\x7f"),
    ] {
        let error = Field::new(name, value.as_bytes()).unwrap_err();
        assert_eq!(error.fault(), crate::http::Fault::Local);
        assert!(!error.to_string().contains(['\r', '\n']), "{error}");
    }
    assert_eq!(field("a", " x\ty ").value(), b"x\ty");
    assert_eq!(Field::new("a", b"\xff\xe9").unwrap().value(), b"\xff\xe9");
    assert_eq!(field("a", "").value(), b"");
}

#[test]
fn secrets_are_not_printed() {
    assert_eq!(
        format!("{:?}", field("Authorization", "Basic c2VjcmV0")),
        "Authorization: [redacted]"
    );
}

proptest! {
    /// However the request is filled in, a server reads one GET with these fields and no body.
    #[test]
    fn a_request_is_read_back_as_one_get(
        path in "[ -~\u{e9}]{0,20}",
        fields in proptest::collection::vec(("[a-zA-Z-]{1,12}", "[ -~]{0,20}"), 0..8),
        if_range in proptest::option::of("\\PC{0,10}"),
        start: u64, end: u64,
    ) {
        let Ok(url) = Url::parse(&format!("http://h/{path}")) else { return Ok(()) };
        let fields: Vec<_> = fields.iter().map(|(n, v)| field(n, v)).collect();
        let request = Request { ask: Ask::Part(start..end), if_range, fields, ..Request::get(url) };
        let octets = request.encode();
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut read = httparse::Request::new(&mut headers);
        prop_assert_eq!(read.parse(&octets), Ok(httparse::Status::Complete(octets.len())));
        prop_assert_eq!(read.method, Some("GET"));
        for once in ["host", "range", "accept-encoding"] {
            let count = read.headers.iter().filter(|h| h.name.eq_ignore_ascii_case(once)).count();
            prop_assert_eq!(count, 1, "{}", once);
        }
        let framed = |h: &&mut httparse::Header<'_>| {
            matches!(&h.name.to_ascii_lowercase()[..], "content-length" | "transfer-encoding")
        };
        prop_assert_eq!(read.headers.iter_mut().filter(framed).count(), 0);
    }
}
