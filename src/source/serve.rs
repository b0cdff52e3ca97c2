//! The other end of a connection to a source: its answers as those of a good HTTP origin.

use std::{io::Read as _, ops::Range, os::unix::net::UnixStream};

use super::{Caller, RangeSource, SourceError, Taker, Version, taker::send_all};
use crate::http::escape;

/// Answers requests until the connection ends. `broke_off` is told why an answer ended early.
pub(super) fn serve(
    source: &dyn RangeSource,
    stream: &UnixStream,
    broke_off: &mut dyn FnMut(String),
) {
    let mut pending = Vec::new();
    while let Some(request) = next(stream, &mut pending) {
        match answer(source, stream, &request) {
            Ok(()) => {}
            Err(SourceError::Gone) => return,
            Err(error) => return broke_off(error.to_string()),
        }
    }
}

/// What is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Request {
    range: Option<Spec>,
    if_range: Option<String>,
    if_none_match: Option<String>,
}

/// A range as it is asked for (RFC 9110 section 14.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spec {
    /// From the first octet to behind the last.
    Part(u64, u64),
    /// From there on.
    From(u64),
    /// As many at the end.
    Last(u64),
}

/// What a request comes to.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    /// It has this version already.
    Unmodified,
    /// There is nothing in that range.
    Unsatisfied(u64),
    /// These bytes, of so many.
    Part(Range<u64>, u64),
    /// Everything.
    Whole,
}

/// Reads the next request; `None` when there is none any more, or nothing that we would send.
fn next(mut stream: &UnixStream, pending: &mut Vec<u8>) -> Option<Request> {
    let mut chunk = [0; 4096];
    loop {
        if let Some((request, length)) = parse(pending).ok()? {
            pending.drain(..length);
            return Some(request);
        }
        let got = match stream.read(&mut chunk) {
            Ok(0) => return None,
            Ok(got) => got,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => return None,
        };
        pending.extend_from_slice(chunk.get(..got)?);
        if pending.len() > HEAD_MAX {
            return None;
        }
    }
}

/// A request and how long it is; `None` for the beginning of one.
fn parse(bytes: &[u8]) -> Result<Option<(Request, usize)>, httparse::Error> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(length) = head.parse(bytes)? else { return Ok(None) };
    let text = |name: &str| {
        let field = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(field.value).ok()
    };
    let request = Request {
        range: text("range").and_then(spec),
        if_range: text("if-range").map(str::to_owned),
        if_none_match: text("if-none-match").map(str::to_owned),
    };
    Ok(Some((request, length)))
}

/// One range of bytes; anything else is no range.
fn spec(text: &str) -> Option<Spec> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    match (first, last) {
        ("", count) => count.parse().ok().map(Spec::Last),
        (first, "") => first.parse().ok().map(Spec::From),
        (first, last) => {
            let (first, last) = (first.parse().ok()?, last.parse::<u64>().ok()?);
            (first <= last).then(|| Spec::Part(first, last.saturating_add(1)))
        }
    }
}

impl Request {
    fn plan(&self, version: &Version) -> Plan {
        let tag = version.tag.as_deref().map(quoted);
        if let (Some(known), Some(tag)) = (&self.if_none_match, &tag)
            && known.split(',').any(|known| known.trim() == tag)
        {
            return Plan::Unmodified;
        }
        let (Some(spec), Some(length), false) = (self.range, version.length, version.whole) else {
            return Plan::Whole;
        };
        if self.if_range.is_some() && self.if_range != tag {
            return Plan::Whole;
        }
        let range = match spec {
            Spec::Part(start, end) => start..end.min(length),
            Spec::From(start) => start..length,
            Spec::Last(count) => length.saturating_sub(count)..length,
        };
        if range.is_empty() { Plan::Unsatisfied(length) } else { Plan::Part(range, length) }
    }
}

/// Answers one request. An error is the end of the connection.
fn answer(
    source: &dyn RangeSource,
    stream: &UnixStream,
    request: &Request,
) -> Result<(), SourceError> {
    let mut last = SourceError::Changed;
    for _ in 0..CHANGES {
        let version = match source.version(&Caller::new(stream)) {
            Ok(version) => version,
            Err(error) => return refuse(stream, error),
        };
        let plan = request.plan(&version);
        let (head, range) = head(&plan, &version);
        let length = range.as_ref().and_then(|range| {
            if range.end == u64::MAX { None } else { Some(range.end - range.start) }
        });
        let Some(range) = range else { return send(stream, &head) };
        let mut taker = Taker::new(stream, head, length);
        let read = if range.is_empty() { Ok(()) } else { source.read(&version, range, &mut taker) };
        let begun = taker.has_begun();
        match read.and_then(|()| taker.finish()) {
            Ok(()) => return Ok(()),
            Err(error) if begun => return Err(error),
            Err(SourceError::Changed) => last = SourceError::Changed,
            Err(error) => return refuse(stream, error),
        }
    }
    refuse(stream, last)
}

/// The head of an answer, and the range of its body, if it has one: to `u64::MAX` where the length
/// is not known.
fn head(plan: &Plan, version: &Version) -> (Vec<u8>, Option<Range<u64>>) {
    let tag = version.tag.as_deref().map(|tag| format!("ETag: {}\r\n", quoted(tag)));
    let tag = tag.unwrap_or_default();
    let (text, range) = match plan {
        Plan::Unmodified => (format!("304 Not Modified\r\n{tag}"), None),
        Plan::Unsatisfied(total) => (
            format!(
                "416 Range Not Satisfiable\r\nContent-Range: bytes */{total}\r\n\
                 Content-Length: 0\r\n{tag}"
            ),
            None,
        ),
        Plan::Part(range, total) => (
            format!(
                "206 Partial Content\r\nContent-Range: bytes {}-{}/{total}\r\n\
                 Content-Length: {}\r\n{tag}",
                range.start,
                range.end.saturating_sub(1),
                range.end - range.start
            ),
            Some(range.clone()),
        ),
        Plan::Whole => {
            let framing = match version.length {
                Some(length) => format!("Content-Length: {length}"),
                None => "Transfer-Encoding: chunked".to_owned(),
            };
            let end = version.length.unwrap_or(u64::MAX);
            (format!("200 OK\r\n{framing}\r\n{tag}"), Some(0..end))
        }
    };
    (format!("HTTP/1.1 {text}\r\n").into_bytes(), range)
}

/// An answer without an object. What the source says is the reason phrase.
fn refuse(stream: &UnixStream, error: SourceError) -> Result<(), SourceError> {
    let status = match error {
        SourceError::NotFound(_) => 404,
        SourceError::Denied(_) => 403,
        SourceError::Unusable(_) => 501,
        SourceError::Failed(_) | SourceError::Changed => 503,
        SourceError::Gone => return Err(SourceError::Gone),
    };
    let words = escape(error.to_string().as_bytes(), WORDS_MAX);
    // A reason phrase is ASCII.
    let words = words.replace(|c: char| !c.is_ascii(), "?");
    let head = format!("HTTP/1.1 {status} {words}\r\nContent-Length: 0\r\n\r\n");
    send(stream, head.as_bytes())
}

fn send(stream: &UnixStream, bytes: &[u8]) -> Result<(), SourceError> {
    send_all(stream, bytes).map_err(|_| SourceError::Gone)
}

/// A strong entity tag.
fn quoted(tag: &str) -> String {
    format!("\"{tag}\"")
}

/// Our own requests are shorter.
const HEAD_MAX: usize = 64 << 10;

/// How often an object may change before it is answered for.
const CHANGES: usize = 3;

/// How much of what the source says is told, in characters.
const WORDS_MAX: usize = 400;
