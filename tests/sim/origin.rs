//! Answers requests: real heads, and bodies that are described instead of sent.

use std::{fmt::Write, ops::Range, time::Duration};

use uget::http::{
    self,
    exchange::{Answer, Exchange},
    request::{Ask, Request},
};

use crate::{
    file::Source,
    rng::Rng,
    site::{End, Host, IfRange, OTHER, Place, Ranges, Refusal, Site, Stock, Version},
};

/// What a server does with a request.
#[derive(Debug)]
pub(crate) enum Reaction {
    /// It answers.
    Reply(Box<Reply>),
    /// What it sends is not HTTP.
    Garbage,
    /// It closes or resets the connection before a byte.
    Reset,
    /// It does nothing.
    Silence,
}

/// An answer and how its body goes.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) answer: Answer,
    /// The head as it is sent, with what comes before it.
    pub(crate) octets: Vec<u8>,
    /// Time that it thinks.
    pub(crate) think: Duration,
    /// Where the body's first byte comes from, and how many bytes come.
    pub(crate) version: u32,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    /// What comes after them.
    pub(crate) then: Then,
}

/// How a body ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// As its framing says.
    Clean,
    /// The connection is closed: clean for a body that ends with the connection.
    Fin,
    Reset,
    Stall,
    Garbage(http::Error),
}

impl Then {
    /// What comes is not what the framing announced.
    pub(crate) fn is_garbage(&self) -> bool {
        matches!(self, Self::Garbage(_))
    }
}

impl Reply {
    /// Where the byte at `at` of a body that lies at `start` in the file comes from.
    pub(crate) fn source(&self, start: u64) -> Source {
        Source { version: self.version, shift: self.offset as i64 - start as i64 }
    }
}

/// One server's view of one request.
pub(crate) struct Server<'a> {
    pub(crate) hosts: &'a [Host],
    pub(crate) site: &'a Site,
    pub(crate) rng: &'a mut Rng,
    /// Once in how many requests something goes wrong; `None`: never.
    pub(crate) faults: Option<u64>,
    /// This connection is one too many.
    pub(crate) surplus: Option<Refusal>,
    /// What is asked.
    pub(crate) place: Place,
}

impl Server<'_> {
    /// What happens to `request`.
    pub(crate) fn react(&mut self, request: &Request) -> Result<Reaction, String> {
        let host = self.route(request)?;
        self.check_secret(request, host)?;
        match self.surplus {
            Some(Refusal::Reset) => return Ok(Reaction::Reset),
            Some(Refusal::Ignore) => return Ok(Reaction::Silence),
            Some(Refusal::Busy) => return Ok(self.status(503, "Busy", "", host)),
            Some(Refusal::Refuse) | None => {}
        }
        if let Some(n) = self.faults
            && self.rng.one_in(n)
        {
            match self.rng.pick(0..9) {
                0 => return Ok(Reaction::Reset),
                1 => return Ok(Reaction::Silence),
                2 => return Ok(self.status(500, "Oops", "", host)),
                3 => return Ok(self.status(503, "Busy", "Retry-After: 3\r\n", host)),
                4 => return Ok(self.status(429, "Slow down", "", host)),
                5 => return Ok(Reaction::Garbage),
                6 => return Ok(self.status(408, "Timeout", "Connection: close\r\n", host)),
                _ => return Ok(self.serve(request, host, true)),
            }
        }
        Ok(self.serve(request, host, false))
    }

    fn version(&self) -> Version {
        self.site.version(self.place)
    }

    /// Finds what is asked, and which host has it.
    fn route(&mut self, request: &Request) -> Result<usize, String> {
        let mut path = request.url.path_segments().ok_or("no path")?;
        let last = path.nth(1).ok_or("no place in the path")?;
        let number = |text: &str| text.parse::<usize>().map_err(|_| "no such place".to_owned());
        let host = match last.strip_prefix('m') {
            Some(index) => {
                self.place = Place::Mirror(number(index)?);
                self.site.mirrors.get(number(index)?).map(|(host, _)| *host)
            }
            None => {
                self.place = Place::Hop(number(last)?);
                self.site.hops.get(number(last)?).copied()
            }
        };
        let host = host.ok_or("no such place")?;
        if self.hosts[host].name != request.url.host_str().unwrap_or_default() {
            return Err(format!("{last} was asked of another host"));
        }
        Ok(host)
    }

    /// User fields go to the first origin, and do not come back after a foreign hop.
    fn check_secret(&self, request: &Request, host: usize) -> Result<(), String> {
        let secret = request.fields.iter().any(|field| field.name() == "X-Secret");
        let first = self.site.hops[0];
        let home = match self.place {
            Place::Hop(hop) => self.site.hops[..=hop].iter().all(|host| *host == first),
            Place::Mirror(_) => host == first,
        };
        if secret == home { Ok(()) } else { Err(format!("secret sent: {secret}, at home: {home}")) }
    }

    fn serve(&mut self, request: &Request, host: usize, fault: bool) -> Reaction {
        match self.place {
            Place::Hop(hop) if hop + 1 < self.site.hops.len() => {
                let next = self.site.url(self.hosts, hop + 1);
                let code = *self.rng.one_of(&[301, 302, 303, 307, 308]);
                return self.status(code, "Over there", &format!("Location: {next}\r\n"), host);
            }
            Place::Hop(hop) => {
                let signature = format!("sig={}", self.site.signature);
                if hop > 0 && request.url.query() != Some(&signature) {
                    return self.status(403, "Expired", "", host);
                }
            }
            Place::Mirror(index) if self.site.mirrors[index].1 == Stock::Gone => {
                return self.status(404, "Not Found", "", host);
            }
            Place::Mirror(_) => {}
        }
        let version = self.version();
        if let Some(tag) = &request.if_none_match
            && version.etag.as_ref() == Some(tag)
        {
            return self.status(304, "Not Modified", "", host);
        }
        let asked = match &request.ask {
            Ask::Whole => None,
            Ask::Part(range) => Some(range.clone()),
            Ask::From(start) => Some(*start..u64::MAX),
        };
        match asked {
            Some(asked) if !self.site.coded => self.range(request, &asked, host, fault),
            _ => self.whole(host, fault, ""),
        }
    }

    fn range(
        &mut self,
        request: &Request,
        asked: &Range<u64>,
        host: usize,
        fault: bool,
    ) -> Reaction {
        let version = self.version();
        if let Some(condition) = &request.if_range {
            let date = version.modified.map(http_date);
            let same = version.etag.as_ref() == Some(condition) || date.as_ref() == Some(condition);
            match self.site.if_range {
                IfRange::Honoured if !same => return self.whole(host, fault, ""),
                IfRange::Answered412 if !same => return self.status(412, "Changed", "", host),
                _ => {}
            }
        }
        match self.site.ranges {
            Ranges::Ignored => return self.whole(host, fault, ""),
            Ranges::Refused(416) => return self.status(416, "No ranges", "", host),
            Ranges::Refused(code) => return self.status(code, "No ranges", "", host),
            _ => {}
        }
        let total = version.length;
        if asked.start >= total {
            let field = format!("Content-Range: bytes */{total}\r\n");
            return self.status(416, "Beyond", &field, host);
        }
        let mut end = asked.end.min(total);
        if let Ranges::Capped(cap) = self.site.ranges {
            end = end.min(asked.start + cap);
        }
        let mut sent = asked.start..end;
        let mut named = format!("bytes {}-{}/{total}", sent.start, sent.end - 1);
        let mut more = String::new();
        match self.site.ranges {
            Ranges::NoTotal => named = format!("bytes {}-{}/*", sent.start, sent.end - 1),
            Ranges::Unreadable => named = "octets 0-1/2".to_owned(),
            Ranges::Multipart => more = "Content-Type: multipart/byteranges; boundary=x\r\n".into(),
            _ => {}
        }
        let mut length = sent.end - sent.start;
        let mut extra = 0;
        if fault {
            match self.rng.pick(0..7) {
                0 => {
                    sent = sent.start.saturating_sub(1)..sent.end;
                    named = format!("bytes {}-{}/{total}", sent.start, sent.end - 1);
                    length = sent.end - sent.start;
                }
                1 => named = format!("bytes {}-{}/{}", sent.start, sent.end - 1, total + 1),
                2 => length += 1,
                3 => named = "bytes".to_owned(),
                4 => return self.whole(host, false, ""),
                5 => extra = self.rng.pick(1..1 << 20),
                _ => {}
            }
        }
        let chunked = extra > 0 || (self.site.end == End::Chunked && self.rng.one_in(2));
        let framing = if chunked {
            "Transfer-Encoding: chunked\r\n".to_owned()
        } else {
            format!("Content-Length: {length}\r\n")
        };
        let head = format!("206 Partial Content\r\nContent-Range: {named}\r\n{framing}{more}");
        let bytes = sent.end - sent.start + extra;
        let cut = fault && extra == 0;
        self.reply(host, &head, sent.start, bytes, chunked, cut)
    }

    fn whole(&mut self, host: usize, fault: bool, more: &str) -> Reaction {
        let length = self.version().length;
        let framing = match self.site.end {
            End::Length => format!("Content-Length: {length}\r\n"),
            End::Chunked if self.hosts[host].keep_alive => {
                "Transfer-Encoding: chunked\r\n".to_owned()
            }
            End::Chunked | End::Close => "Connection: close\r\n".to_owned(),
        };
        let chunked = framing.starts_with("Transfer");
        let coded = if self.site.coded { "Content-Encoding: gzip\r\n" } else { "" };
        let head = format!("200 OK\r\n{framing}{coded}{more}");
        self.reply(host, &head, 0, length, chunked, fault)
    }

    fn status(&mut self, code: u16, words: &str, more: &str, host: usize) -> Reaction {
        let head = format!("{code} {words}\r\nContent-Length: 0\r\n{more}");
        self.reply(host, &head, 0, 0, false, false)
    }

    fn reply(
        &mut self,
        host: usize,
        head: &str,
        offset: u64,
        length: u64,
        chunked: bool,
        cut: bool,
    ) -> Reaction {
        let version = self.version();
        let mut text = String::new();
        if self.rng.one_in(20) {
            text.push_str("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
        }
        let minor = if self.hosts[host].keep_alive || chunked { 1 } else { self.rng.pick(0..2) };
        let _ = write!(text, "HTTP/1.{minor} {head}Date: {}\r\n", http_date(0));
        if let Some(etag) = &version.etag {
            let _ = write!(text, "ETag: {etag}\r\n");
        }
        if let Some(age) = version.modified {
            let _ = write!(text, "Last-Modified: {}\r\n", http_date(age));
        }
        if !self.hosts[host].keep_alive && minor == 1 && !head.contains("Connection") {
            text.push_str("Connection: close\r\n");
        }
        text.push_str("\r\n");
        let answer = match Exchange::default().head(text.as_bytes()) {
            Ok((used, Some(answer))) if used == text.len() => answer,
            other => panic!("the simulator sent a bad head: {other:?}\n{text}"),
        };
        let closes = answer.head.framing() == Ok(http::body::Framing::Close);
        let (length, then) = match cut {
            true => {
                let some = self.rng.pick(0..length + 1);
                let then = match self.rng.pick(0..4) {
                    0 => Then::Fin,
                    1 => Then::Stall,
                    2 if chunked => Then::Garbage(http::Error::BadChunk("size")),
                    _ => Then::Reset,
                };
                // Nobody can tell that a body which ends with the connection was cut cleanly.
                let then = if closes && then == Then::Fin { Then::Reset } else { then };
                (some, then)
            }
            false if closes => (length, Then::Fin),
            false => (length, Then::Clean),
        };
        let think = Duration::from_micros(self.rng.magnitude(14));
        let version = match self.place {
            Place::Mirror(index) if self.site.mirrors[index].1 == Stock::Other => OTHER,
            _ => self.site.current,
        };
        let octets = text.into_bytes();
        Reaction::Reply(Box::new(Reply { answer, octets, think, version, offset, length, then }))
    }
}

/// The date `age` seconds before a Sunday in 1994.
fn http_date(age: i64) -> String {
    let second = 86_399 - age;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("Sun, 06 Nov 1994 {hour:02}:{minute:02}:{second:02} GMT")
}
