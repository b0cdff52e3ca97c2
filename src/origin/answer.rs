//! What the origin says: a request held against an object becomes an [`Answer`], without touching
//! either.

use std::{fmt::Write, ops::Range};

use super::{
    condition::{self, Verdict, Version},
    request::{Method, Refusal, Request},
};
use crate::http::field::{HttpDate, RangeSpec};

/// What is known about an object before its bytes are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Complete length in bytes.
    pub length: u64,
    /// Its validators.
    pub version: Version,
    /// `Content-Type`.
    pub media_type: &'static str,
    /// Whether parts of it are served.
    pub ranges: bool,
}

/// A response, but for the bytes of the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Three digits.
    pub status: u16,
    /// Fields that belong to this answer; `Date`, `Server`, `Connection` come with the head.
    pub fields: Vec<(&'static str, String)>,
    /// What follows the head.
    pub body: Body,
    /// The connection ends after it.
    pub close: bool,
}

/// What follows the head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing.
    Empty,
    /// These positions of the object.
    Object(Range<u64>),
    /// These bytes.
    Text(Vec<u8>),
}

impl Answer {
    /// Answers `request` with `object`; `now` is in seconds since 1970.
    #[must_use]
    pub fn new(request: &Request, object: &Metadata, now: i64) -> Self {
        match condition::check(request, &object.version) {
            Verdict::Proceed => {}
            Verdict::NotModified => {
                return Self::bare(304, request).with_version(&object.version, now);
            }
            Verdict::Failed => {
                return Self::error(412, "a precondition failed", request)
                    .with_version(&object.version, now);
            }
        }
        match selected(request, object, now) {
            Selection::Whole => Self::whole(request, object, now),
            Selection::Part(range) => Self::part(request, object, range, now),
            Selection::Nothing => Self::error(416, "the range is past the end", request)
                .with("Accept-Ranges", "bytes")
                .with("Content-Range", format!("bytes */{}", object.length)),
        }
    }

    /// The answer to bytes that are no request. It ends the connection.
    #[must_use]
    pub fn refused(refusal: Refusal) -> Self {
        let anonymous = Request { keep_alive: false, ..Request::default() };
        let answer = Self::error(refusal.status, refusal.reason, &anonymous);
        if refusal.status == 405 { answer.with("Allow", "GET, HEAD") } else { answer }
    }

    /// An error with a line of text.
    #[must_use]
    pub fn error(status: u16, reason: &str, request: &Request) -> Self {
        let text = format!("{status} {}: {reason}\n", phrase(status)).into_bytes();
        let mut answer = Self::bare(status, request)
            .with("Content-Type", "text/plain; charset=utf-8")
            .with("Content-Length", text.len().to_string());
        if request.method == Method::Get {
            answer.body = Body::Text(text);
        }
        answer
    }

    /// A directory's true name: with a slash at its end.
    #[must_use]
    pub fn redirect(location: String, request: &Request) -> Self {
        Self::error(301, "a directory's name ends with a slash", request).with("Location", location)
    }

    /// The head as it is sent.
    #[must_use]
    pub fn head(&self, request: Option<&Request>, now: i64) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, phrase(self.status));
        let connection = match request {
            _ if self.close => Some("close"),
            Some(request) if request.http10 => Some("keep-alive"),
            _ => None,
        };
        let date = HttpDate(now).to_string();
        let common = [("Date", date.as_str()), ("Server", SERVER)];
        let connection = connection.map(|value| ("Connection", value));
        let own = self.fields.iter().map(|(name, value)| (*name, value.as_str()));
        for (name, value) in common.into_iter().chain(connection).chain(own) {
            // Writing to a `String` cannot fail.
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    fn whole(request: &Request, object: &Metadata, now: i64) -> Self {
        let answer = Self::bare(200, request).with("Content-Length", object.length.to_string());
        answer.with_object(request, object, 0..object.length, now)
    }

    fn part(request: &Request, object: &Metadata, range: Range<u64>, now: i64) -> Self {
        let (start, last) = (range.start, range.end.saturating_sub(1));
        Self::bare(206, request)
            .with("Content-Length", (range.end - range.start).to_string())
            .with("Content-Range", format!("bytes {start}-{last}/{}", object.length))
            .with_object(request, object, range, now)
    }

    fn with_object(
        self,
        request: &Request,
        object: &Metadata,
        range: Range<u64>,
        now: i64,
    ) -> Self {
        let mut answer = self.with("Content-Type", object.media_type);
        if object.ranges {
            answer = answer.with("Accept-Ranges", "bytes");
        }
        if request.method == Method::Get && !range.is_empty() {
            answer.body = Body::Object(range);
        }
        answer.with_version(&object.version, now)
    }

    fn with_version(mut self, version: &Version, now: i64) -> Self {
        if let Some(etag) = &version.etag {
            self = self.with("ETag", etag.clone());
        }
        if let Some(modified) = version.modified {
            // RFC 9110 section 8.8.2.1: no date of modification later than the response's own.
            self = self.with("Last-Modified", HttpDate(modified.min(now)).to_string());
        }
        self
    }

    fn bare(status: u16, request: &Request) -> Self {
        Self { status, fields: Vec::new(), body: Body::Empty, close: !request.keep_alive }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }
}

/// What of an object is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Selection {
    Whole,
    Part(Range<u64>),
    Nothing,
}

/// RFC 9110 section 14.2 (ranges are defined for GET alone) and step 5 of section 13.2.2.
fn selected(request: &Request, object: &Metadata, now: i64) -> Selection {
    let spec = request.range.as_deref().and_then(RangeSpec::parse);
    let Some(spec) = spec.filter(|_| object.ranges && request.method == Method::Get) else {
        return Selection::Whole;
    };
    if let Some(value) = &request.if_range
        && !condition::if_range_holds(value, &object.version, now)
    {
        return Selection::Whole;
    }
    spec.resolve(object.length).map_or(Selection::Nothing, Selection::Part)
}

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        301 => "Moved Permanently",
        304 => "Not Modified",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        416 => "Range Not Satisfiable",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Internal Server Error",
    }
}

const SERVER: &str = concat!("uget/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests;
