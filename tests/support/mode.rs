//! The catalogue of origins, from honest to hostile: each mode bends an honest answer. The numbers
//! are those of the catalogue of faults.

use std::time::Duration;

use super::{
    reply::{Body, Chunked, End, Framing, Reply, Version},
    request::Request,
};

/// One way for an origin to be. Requests are counted from 0, `k` counts those with a Range.
#[derive(Clone)]
pub enum Mode {
    /// FS-02: ranges are ignored, always 200.
    IgnoreRange,
    /// FS-03: a 206 whose total is `*`.
    TotalUnknown,
    /// FS-04: a 206 with this Content-Range, or none.
    ContentRange(Option<&'static str>),
    /// FS-07: after `after` requests it is another version, whatever preconditions say.
    FlipsBlindly { after: usize, to: Version },
    /// FS-08, FS-35: after `after` requests it is another version, preconditions honoured.
    Flips { after: usize, to: Version },
    /// FS-08: as `Flips`, but a pinned range that does not match is refused with a bare 412.
    FlipsWith412 { after: usize, to: Version },
    /// FS-09: the `k`-th range comes chunked and ends cleanly after `keep` bytes, `times` times.
    ShortChunked { k: usize, times: usize, keep: usize },
    /// FS-10: `times` answers from the request `from` on are cut after `at` bytes.
    Cut { from: usize, times: usize, at: u64, end: End },
    /// FS-11: bytes that nobody asked for follow every body.
    Garbage(&'static str),
    /// FS-12, FS-17, FS-19: this status for `times` ranges from the `k`-th on.
    StatusAt { k: usize, times: usize, status: u16 },
    /// FS-13: ranges from the `k`-th on name another window.
    Lie { k: usize, lie: Lie },
    /// FS-14, FS-15: the whole object with 200 for `times` ranges from the `k`-th on.
    WholeAt { k: usize, times: usize },
    /// FS-16: one path leads elsewhere.
    Redirect(Redirect),
    /// FS-18: 416 with this Content-Range for every range; a plain GET is fine.
    Unsatisfiable(&'static str),
    /// FS-19: always this status.
    Status(u16),
    /// FS-20: the first `times` requests are refused, with this Retry-After if any.
    Busy { status: u16, times: usize, retry_after: Option<&'static str> },
    /// FS-21: `times` answers from the request `from` on stop after `at` bytes, for ever.
    Stall { from: usize, times: usize, at: u64 },
    /// FS-21: everything comes in pieces of `size` bytes with a pause after each.
    Drip { size: usize, pause: Duration },
    /// FS-22: the first answer is a 200, later ones are honest.
    Cold,
    /// FS-23: the lower the offset, the later the answer; the first range waits this long.
    LowSlow(Duration),
    /// FS-26: any Range is refused with this status, a plain GET is fine.
    RefuseRange(u16),
    /// FS-27: the connection is closed after each answer, with or without a word.
    CloseEach { announced: bool },
    /// FS-28: interim answers, chunk extensions, trailers, long and repeated fields; all legal.
    Ornate,
    /// FS-29: every body carries a content coding.
    Coded,
    /// FS-30: ranges are answered with a 200 that carries this Content-Range.
    WholeWithContentRange(String),
    /// FS-31: ranges are answered with multipart/byteranges.
    Multipart,
    /// FS-32: HTTP/1.0, no length, the end of the connection ends the body.
    Http10,
    /// FS-33: a reset right after the last byte.
    RstAfterLast,
    /// FS-34: 416 with the object's Content-Length and no body.
    Hollow416,
    /// FS-36: a page with 200, whatever was asked.
    Html,
    /// FS-38: another version on every second connection, preconditions honoured.
    Replicas(Version),
    /// FS-39: a 206's Content-Length is larger than its range, by so many bytes that do come.
    LongLength(usize),
    /// FS-40: the total named in every Content-Range.
    Total(&'static str),
    /// FS-41: every answer is late by so much.
    Latency(Duration),
    /// FS-41: bytes a second on each connection.
    Rate(u64),
}

/// How a 206 lies about its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// It says (and sends from) one byte earlier.
    Earlier,
    /// It says and sends another window of the same length.
    Elsewhere,
    /// It names the asked window, but its bytes are one too many and it says so.
    Longer,
    /// The total is one more.
    Total,
    /// The window is right in the head, its end before its start.
    Backwards,
    /// Another unit.
    Unit,
    /// Two Content-Range fields, the first true.
    Twice,
}

/// A redirect from one path.
#[derive(Clone, Debug)]
pub struct Redirect {
    pub from: &'static str,
    pub status: u16,
    pub to: String,
}

impl Mode {
    /// Bends an honest answer about `version` into this mode's.
    pub fn play(&self, request: &Request, version: &Version, reply: &mut Reply) {
        let ranged = request.field("range").is_some();
        let (n, k) = (request.number, request.ranged);
        match self {
            Self::IgnoreRange => *reply = Reply::whole(version),
            Self::Cold if n == 0 => *reply = Reply::whole(version),
            Self::FlipsBlindly { after, to } if n >= *after => {
                let mut blind = request.clone();
                blind.fields.retain(|(name, _)| !name.starts_with("if-"));
                *reply = Reply::honest(&blind, to);
            }
            Self::Flips { after, to } if n >= *after => *reply = Reply::honest(request, to),
            Self::FlipsWith412 { after, to } if n >= *after => {
                *reply = Reply::honest(request, to);
                if ranged && reply.status == 200 {
                    *reply = Reply::status(412, "Precondition Failed");
                }
            }
            Self::Replicas(other) if request.connection % 2 == 1 => {
                *reply = Reply::honest(request, other);
            }
            Self::ShortChunked { k: at, times, keep } if ranged && within(k, *at, *times) => {
                let short = reply.body.bytes()[..*keep].to_vec();
                reply.body = Body::Bytes(short);
                reply.framing = Framing::Chunked(Chunked::default());
            }
            Self::StatusAt { k: at, times, status } if ranged && within(k, *at, *times) => {
                *reply = Reply::status(*status, "As Scripted");
            }
            Self::WholeAt { k: at, times } if ranged && within(k, *at, *times) => {
                *reply = Reply::whole(version);
            }
            Self::Lie { k: at, lie } if ranged && k >= *at => lie.tell(request, version, reply),
            Self::Redirect(redirect) if request.path() == redirect.from => {
                *reply = Reply::redirect(redirect.status, &redirect.to);
            }
            Self::Unsatisfiable(range) if ranged => {
                *reply = Reply::status(416, "Range Not Satisfiable").with("Content-Range", range);
            }
            Self::RefuseRange(status) if ranged => *reply = Reply::status(*status, "No Ranges"),
            Self::Status(status) => *reply = Reply::status(*status, "As Scripted"),
            Self::Busy { status, times, retry_after } if n < *times => {
                *reply = Reply::status(*status, "Busy");
                if let Some(after) = retry_after {
                    reply.set("Retry-After", after);
                }
            }
            Self::WholeWithContentRange(range) if ranged => {
                *reply = Reply::whole(version).with("Content-Range", range);
            }
            Self::Multipart if ranged => multipart(reply),
            Self::Hollow416 if ranged => {
                *reply = Reply::status(416, "Range Not Satisfiable");
                reply.body = Body::Bytes(Vec::new());
                reply.framing = Framing::Declared(version.object.len().to_string());
            }
            Self::Html => {
                *reply = Reply::new(200, "OK", Body::Bytes(PAGE.to_vec()));
                reply.set("Content-Type", "text/html");
            }
            Self::Cut { from, times, at, end } if within(n, *from, *times) => {
                reply.cut = Some((*at, *end));
            }
            Self::Stall { from, times, at } if within(n, *from, *times) => {
                reply.cut = Some((*at, End::Stall));
            }
            _ => self.shape(request, version, reply),
        }
    }

    /// The modes that leave the answer's meaning alone, and those that edit one field of a 206.
    fn shape(&self, request: &Request, version: &Version, reply: &mut Reply) {
        let part = reply.status == 206;
        match self {
            Self::TotalUnknown if part => {
                let range = request.range(version.object.len()).unwrap();
                let last = range.end.min(version.object.len()) - 1;
                reply.set("Content-Range", &format!("bytes {}-{last}/*", range.start));
            }
            Self::ContentRange(None) if part => reply.unset("Content-Range"),
            Self::ContentRange(Some(text)) if part => reply.set("Content-Range", text),
            Self::Total(total) if part => {
                let range = request.range(version.object.len()).unwrap();
                let last = range.end.min(version.object.len()) - 1;
                reply.set("Content-Range", &format!("bytes {}-{last}/{total}", range.start));
            }
            Self::LongLength(extra) if part => {
                let mut body = reply.body.bytes().to_vec();
                body.resize(body.len() + extra, b'!');
                reply.body = Body::Bytes(body);
            }
            Self::Garbage(text) => {
                // In one write with the body: nobody can consume that and miss this.
                let mut raw = reply.head();
                raw.extend_from_slice(reply.body.bytes());
                raw.extend_from_slice(text.as_bytes());
                reply.raw = Some(raw);
            }
            Self::Drip { size, pause } => reply.drip = Some((*size, *pause)),
            Self::LowSlow(longest) => {
                let start = request.range(u64::MAX).map_or(0, |range| range.start);
                let share = 1.0 - start as f64 / version.object.len().max(1) as f64;
                reply.delay = longest.mul_f64(share.clamp(0.0, 1.0));
            }
            Self::CloseEach { announced } => {
                if *announced {
                    reply.set("Connection", "close");
                }
                reply.end = End::Fin;
            }
            Self::Ornate => ornate(reply),
            Self::Coded => reply.set("Content-Encoding", "gzip"),
            Self::Http10 => {
                *reply = Reply::whole(version);
                reply.version = "HTTP/1.0";
                reply.framing = Framing::Bare;
                reply.end = End::Fin;
            }
            Self::RstAfterLast => reply.end = End::Rst,
            Self::Latency(delay) => reply.delay = *delay,
            Self::Rate(rate) => reply.rate = Some(*rate),
            _ => {}
        }
    }
}

impl Lie {
    fn tell(self, request: &Request, version: &Version, reply: &mut Reply) {
        let len = version.object.len();
        let Some(range) = request.range(len).filter(|_| reply.status == 206) else { return };
        let (start, end) = (range.start, range.end.min(len));
        let (start, end, total) = match self {
            Self::Earlier => (start.saturating_sub(1), end, len),
            Self::Elsewhere if start > 0 => (0, end - start, len),
            Self::Elsewhere => (1, (end + 1).min(len), len),
            Self::Longer => (start, (end + 1).min(len), len),
            Self::Total => (start, end, len + 1),
            Self::Backwards | Self::Unit | Self::Twice => (start, end, len),
        };
        reply.body = Body::Object(version.object.clone(), start..end);
        let named = match self {
            Self::Backwards => format!("bytes {}-{start}/{total}", end - 1),
            Self::Unit => format!("lines {start}-{}/{total}", end - 1),
            _ => format!("bytes {start}-{}/{total}", end - 1),
        };
        reply.set("Content-Range", &named);
        if self == Self::Twice {
            reply.fields.push(("Content-Range".to_owned(), format!("bytes 0-0/{total}")));
        }
    }
}

fn within(n: usize, from: usize, times: usize) -> bool {
    n >= from && n - from < times
}

fn multipart(reply: &mut Reply) {
    let named = reply
        .fields
        .iter()
        .find(|(name, _)| name == "Content-Range")
        .map(|(_, value)| value.clone())
        .unwrap_or_default();
    let mut body = format!("--cut\r\nContent-Range: {named}\r\n\r\n").into_bytes();
    body.extend_from_slice(reply.body.bytes());
    body.extend_from_slice(b"\r\n--cut--\r\n");
    reply.body = Body::Bytes(body);
    reply.unset("Content-Range");
    reply.set("Content-Type", "multipart/byteranges; boundary=cut");
}

fn ornate(reply: &mut Reply) {
    reply.prelude = b"HTTP/1.1 100 Continue\r\n\r\n\
        HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nContent-Length: 5\r\n\r\n"
        .to_vec();
    reply.set("X-Long", &"x".repeat(12 << 10));
    reply.fields.push(("X-Twice".to_owned(), "one".to_owned()));
    reply.fields.push(("X-Twice".to_owned(), "two".to_owned()));
    reply.framing = Framing::Chunked(Chunked {
        size: 10_007,
        extension: ";name=value;quoted=\"a;b\\\"c\"",
        trailers: "X-Trailer: yes\r\nContent-Length: 3\r\n",
        last: true,
    });
}

const PAGE: &[u8] = b"<!DOCTYPE html><html><body>Please log in to the network.</body></html>\n";
