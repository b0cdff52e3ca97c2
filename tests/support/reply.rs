//! An answer as a value: what an honest origin says (RFC 9110), for the modes and the tests to
//! bend.

use std::{ops::Range, time::Duration};

use super::{gate::Gate, object::Object, request::Request};

/// One state of the resource: its bytes and its validators.
#[derive(Clone)]
pub struct Version {
    pub object: Object,
    /// As it is sent, quotes and `W/` included.
    pub etag: Option<String>,
    pub last_modified: Option<String>,
}

impl Version {
    /// With a strong ETag and no Last-Modified.
    pub fn strong(object: Object, tag: &str) -> Self {
        Self { object, etag: Some(format!("\"{tag}\"")), last_modified: None }
    }
}

/// An answer. Every part of it may be a lie.
#[derive(Clone)]
pub struct Reply {
    /// Waited before anything is sent.
    pub delay: Duration,
    /// Sent before the status line: interim answers, or garbage.
    pub prelude: Vec<u8>,
    pub version: &'static str,
    pub status: u16,
    pub reason: String,
    pub fields: Vec<(String, String)>,
    pub framing: Framing,
    pub body: Body,
    /// After so many bytes of the body, this happens instead of the rest.
    pub cut: Option<(u64, End)>,
    /// Bytes of body a second.
    pub rate: Option<u64>,
    /// The rate is over as soon as this is open.
    pub hurry: Option<Gate>,
    /// Sent in pieces of so many bytes with this pause after each, head included.
    pub drip: Option<(usize, Duration)>,
    /// Sent after the body as it is.
    pub after: Vec<u8>,
    pub end: End,
    /// Sent instead of all of the above but `delay`, `drip` and `end`.
    pub raw: Option<Vec<u8>>,
}

/// How the body is delimited.
#[derive(Clone, Debug)]
pub enum Framing {
    /// A true Content-Length.
    Length,
    /// A Content-Length of just this text, whatever the body is.
    Declared(String),
    /// Chunked coding.
    Chunked(Chunked),
    /// No field at all; the body ends where the connection does, if `end` closes it.
    Bare,
}

/// The details of a chunked body.
#[derive(Clone, Debug)]
pub struct Chunked {
    /// Bytes a chunk.
    pub size: usize,
    /// After each size, from the semicolon on.
    pub extension: &'static str,
    /// Trailer lines with their line ends.
    pub trailers: &'static str,
    /// Whether the last, empty chunk is sent.
    pub last: bool,
}

impl Default for Chunked {
    fn default() -> Self {
        Self { size: 16 << 10, extension: "", trailers: "", last: true }
    }
}

#[derive(Clone)]
pub enum Body {
    Object(Object, Range<u64>),
    Bytes(Vec<u8>),
}

impl Body {
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Object(object, range) => object.slice(range),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It waits for another request.
    KeepAlive,
    /// An orderly close.
    Fin,
    /// A reset.
    Rst,
    /// Nothing more is sent, but it stays open until the other side goes away.
    Stall,
}

impl Reply {
    /// A complete answer with this status and body.
    pub fn new(status: u16, reason: &str, body: Body) -> Self {
        Self {
            delay: Duration::ZERO,
            prelude: Vec::new(),
            version: "HTTP/1.1",
            status,
            reason: reason.to_owned(),
            fields: vec![("Date".to_owned(), DATE.to_owned())],
            framing: Framing::Length,
            body,
            cut: None,
            rate: None,
            hurry: None,
            drip: None,
            after: Vec::new(),
            end: End::KeepAlive,
            raw: None,
        }
    }

    /// A status with a short text body.
    pub fn status(status: u16, reason: &str) -> Self {
        Self::new(status, reason, Body::Bytes(format!("{status} {reason}\n").into_bytes()))
    }

    /// A redirect.
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::status(status, "Elsewhere").with("Location", location)
    }

    /// The whole of `version` with 200.
    pub fn whole(version: &Version) -> Self {
        let body = Body::Object(version.object.clone(), 0..version.object.len());
        Self::new(200, "OK", body).describe(version)
    }

    /// What an honest origin answers about `version`: ranges, If-Range, If-Match, If-None-Match.
    pub fn honest(request: &Request, version: &Version) -> Self {
        let len = version.object.len();
        let etag = version.etag.as_deref();
        if let Some(wanted) = request.field("if-match")
            && !(wanted == "*" || strong(etag) == Some(wanted))
        {
            return Self::status(412, "Precondition Failed").describe(version);
        }
        if let Some(known) = request.field("if-none-match")
            && etag.is_some_and(|etag| opaque(etag) == opaque(known))
        {
            let mut reply = Self::new(304, "Not Modified", Body::Bytes(Vec::new()));
            reply.framing = Framing::Bare;
            return reply.describe(version);
        }
        let pinned = request.field("if-range").is_none_or(|wanted| {
            strong(etag) == Some(wanted) || version.last_modified.as_deref() == Some(wanted)
        });
        match request.range(len) {
            Some(range) if pinned && request.method == "GET" => Self::part(range, version),
            _ => Self::whole(version),
        }
    }

    /// A 206 for `range` cut to the object, or a 416.
    fn part(range: Range<u64>, version: &Version) -> Self {
        let len = version.object.len();
        if range.start >= len {
            return Self::status(416, "Range Not Satisfiable")
                .with("Content-Range", &format!("bytes */{len}"))
                .describe(version);
        }
        let range = range.start..range.end.min(len);
        let named = format!("bytes {}-{}/{len}", range.start, range.end - 1);
        Self::new(206, "Partial Content", Body::Object(version.object.clone(), range))
            .with("Content-Range", &named)
            .describe(version)
    }

    fn describe(mut self, version: &Version) -> Self {
        self.set("Accept-Ranges", "bytes");
        if let Some(etag) = &version.etag {
            self.set("ETag", etag);
        }
        if let Some(date) = &version.last_modified {
            self.set("Last-Modified", date);
        }
        self
    }

    /// The same with a field added.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Replaces every field of this name by one.
    pub fn set(&mut self, name: &str, value: &str) {
        self.unset(name);
        self.fields.push((name.to_owned(), value.to_owned()));
    }

    /// Takes every field of this name out.
    pub fn unset(&mut self, name: &str) {
        self.fields.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
    }

    /// The head as it goes out.
    pub fn head(&self) -> Vec<u8> {
        let mut head = format!("{} {} {}\r\n", self.version, self.status, self.reason);
        for (name, value) in &self.fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match &self.framing {
            Framing::Length => {
                head.push_str(&format!("Content-Length: {}\r\n", self.body.bytes().len()));
            }
            Framing::Declared(text) => head.push_str(&format!("Content-Length: {text}\r\n")),
            Framing::Chunked(_) => head.push_str("Transfer-Encoding: chunked\r\n"),
            Framing::Bare => {}
        }
        head.push_str("\r\n");
        // Fields are latin-1 on the wire, so a test may put any byte into one.
        head.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
    }
}

/// The tag, if it is a strong one (RFC 9110 section 8.8.3.2).
fn strong(etag: Option<&str>) -> Option<&str> {
    etag.filter(|etag| !etag.starts_with("W/"))
}

fn opaque(etag: &str) -> &str {
    etag.strip_prefix("W/").unwrap_or(etag)
}

const DATE: &str = "Fri, 20 Nov 2026 12:00:00 GMT";
