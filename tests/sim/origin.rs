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
    site::{
        EDITIONS, Edition, End, Host, IfRange, Later, Place, Ranges, Refusal, Site, Stop, Wrong,
    },
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
    /// Which edition of which place it is, where its first byte lies in that, and how many come.
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
    pub(crate) now: Duration,
    /// Once in how many requests something goes wrong, wherever; `None`: never.
    pub(crate) chaos: Option<u64>,
    /// This connection is one too many.
    pub(crate) surplus: Option<Refusal>,
    /// What is asked: which road, and where on it.
    pub(crate) road: usize,
    pub(crate) stop: Stop,
    /// Which edition of the place answers.
    pub(crate) edition: usize,
}

impl<'a> Server<'a> {
    /// What happens to `request`.
    pub(crate) fn react(&mut self, request: &Request) -> Result<Reaction, String> {
        self.route(request)?;
        self.check_secret(request)?;
        match self.surplus {
            Some(Refusal::Reset) => return Ok(Reaction::Reset),
            Some(Refusal::Ignore) => return Ok(Reaction::Silence),
            Some(Refusal::Busy) => return Ok(self.status(503, "Busy", "")),
            Some(Refusal::Refuse) | None => {}
        }
        if !self.knows_password(request)? {
            return Ok(self.status(401, "Who are you", ""));
        }
        let wrong = self.wrong(request);
        Ok(match wrong {
            Some(Wrong::Reset) => Reaction::Reset,
            Some(Wrong::Silence) => Reaction::Silence,
            Some(Wrong::Garbage) => Reaction::Garbage,
            Some(Wrong::Status(code, later)) => self.refuse(code, later),
            Some(Wrong::Page) => {
                self.answer("200 OK\r\nContent-Type: text/html\r\nContent-Length: 4096\r\n", 4096)
            }
            wrong => self.serve(request, wrong),
        })
    }

    /// What goes wrong with this request, if anything does.
    fn wrong(&mut self, request: &Request) -> Option<Wrong> {
        if let Some(n) = self.chaos
            && self.rng.one_in(n)
        {
            return Some(any_fault(self.rng));
        }
        let place = self.place()?;
        let asked = match &request.ask {
            Ask::Whole => 0..u64::MAX,
            Ask::Part(range) => range.clone(),
            Ask::From(start) => *start..u64::MAX,
            Ask::Last(length) => self.suffix(*length),
        };
        if let Some((at, wrong)) = place.cursed
            && asked.contains(&at)
        {
            return Some(wrong);
        }
        let mood = place.mood.as_ref().filter(|mood| mood.during.contains(&self.now))?;
        self.rng.one_in(mood.nth).then(|| *self.rng.one_of(&mood.ways))
    }

    /// The last so many bytes of the edition that answers.
    fn suffix(&self, length: u64) -> Range<u64> {
        let total = self.edition().map_or(0, |edition| edition.length);
        total.saturating_sub(length)..total
    }

    /// The place that is asked, unless it is a hop on the way.
    fn place(&self) -> Option<&'a Place> {
        match self.stop {
            Stop::Hop(_) => None,
            Stop::Place(index) => self.site.places.get(index),
        }
    }

    fn host(&self) -> &Host {
        &self.hosts[self.site.stop_host(self.road, self.stop)]
    }

    fn edition(&self) -> Option<&'a Edition> {
        Some(&self.place()?.editions.get(self.edition)?.1)
    }

    /// Finds what is asked, and which edition of it answers.
    fn route(&mut self, request: &Request) -> Result<(), String> {
        let mut path = request.url.path_segments().ok_or("no path")?.skip(1);
        let (road, last) = (path.next().ok_or("no road")?, path.next().ok_or("no stop")?);
        let number = |text: &str| text.parse::<usize>().map_err(|_| "no such stop".to_owned());
        self.road = number(road)?;
        self.stop = match last.strip_prefix('p') {
            Some(index) => Stop::Place(number(index)?),
            None => Stop::Hop(number(last)?),
        };
        if self.host().name != request.url.host_str().unwrap_or_default() {
            return Err(format!("{last} was asked of another host"));
        }
        if let Some(place) = self.place() {
            let (flaps, count) = (place.flaps, place.editions.len() as u64);
            self.edition = place.current(self.now);
            if flaps {
                self.edition = self.rng.pick(0..count) as usize;
            }
        }
        Ok(())
    }

    /// User fields go to the first origin, and do not come back after a foreign hop.
    fn check_secret(&self, request: &Request) -> Result<(), String> {
        let secret = request.fields.iter().any(|field| field.name() == "X-Secret");
        let (at_home, host) = self.site.is_at_home(self.road, self.stop);
        let home = at_home && host == self.site.first_host();
        if secret == home { Ok(()) } else { Err(format!("secret sent: {secret}, at home: {home}")) }
    }

    /// A mirror's own credentials go to its own origin, and nothing else goes there.
    fn knows_password(&self, request: &Request) -> Result<bool, String> {
        let sent = request.fields.iter().find(|f| f.name().eq_ignore_ascii_case("authorization"));
        let (at_home, _) = self.site.is_at_home(self.road, self.stop);
        let wanted = self.site.roads[self.road].password.filter(|_| at_home);
        match (wanted, sent) {
            (None, None) => Ok(true),
            // "user:pass" in base64.
            (Some(_), Some(field)) => Ok(field.value() == b"Basic dXNlcjpwYXNz"),
            (Some(_), None) => Ok(false),
            (None, Some(_)) => Err("credentials went where they do not belong".to_owned()),
        }
    }

    fn serve(&mut self, request: &Request, wrong: Option<Wrong>) -> Reaction {
        let way = &self.site.roads[self.road];
        match self.stop {
            Stop::Hop(hop) => {
                let next = if hop + 1 < way.hops.len() {
                    Stop::Hop(hop + 1)
                } else {
                    Stop::Place(way.end(self.now))
                };
                let next = self.site.stop_url(self.hosts, self.road, next);
                let code = *self.rng.one_of(&[301, 302, 303, 307, 308]);
                return self.status(code, "Over there", &format!("Location: {next}\r\n"));
            }
            Stop::Place(_) => {
                let signature = format!("sig={}", self.site.signature);
                if !way.hops.is_empty() && request.url.query() != Some(&signature) {
                    return self.status(403, "Expired", "");
                }
            }
        }
        let (Some(place), Some(edition)) = (self.place(), self.edition()) else {
            unreachable!("hops were answered above")
        };
        if let Some(code) = place.gone {
            return self.status(code, "Gone", "");
        }
        if let Some(tag) = &request.if_none_match
            && edition.etag.as_ref() == Some(tag)
        {
            return self.status(304, "Not Modified", "");
        }
        let asked = match &request.ask {
            Ask::Whole => None,
            Ask::Part(range) => Some(range.clone()),
            Ask::From(start) => Some(*start..u64::MAX),
            Ask::Last(length) => Some(self.suffix(*length)),
        };
        match asked {
            Some(asked) if !place.coded && wrong != Some(Wrong::Whole) => {
                self.range(request, &asked, wrong)
            }
            _ => self.whole(wrong),
        }
    }

    fn range(&mut self, request: &Request, asked: &Range<u64>, wrong: Option<Wrong>) -> Reaction {
        let (Some(place), Some(edition)) = (self.place(), self.edition()) else {
            unreachable!("only places have ranges")
        };
        if let Some(condition) = &request.if_range {
            let date = edition.modified.map(http_date);
            let same = edition.etag.as_ref() == Some(condition) || date.as_ref() == Some(condition);
            match place.if_range {
                IfRange::Honoured if !same => return self.whole(None),
                IfRange::Answered412 if !same => return self.status(412, "Changed", ""),
                _ => {}
            }
        }
        match place.ranges {
            Ranges::Ignored => return self.whole(None),
            Ranges::Refused(code) => return self.status(code, "No ranges", ""),
            _ => {}
        }
        let total = edition.length;
        if asked.start >= total {
            return self.status(416, "Beyond", &format!("Content-Range: bytes */{total}\r\n"));
        }
        let mut end = asked.end.min(total);
        if let Ranges::Capped(cap) = place.ranges {
            end = end.min(asked.start + cap);
        }
        let mut sent = asked.start..end;
        let named = |range: &Range<u64>, total: &dyn std::fmt::Display| {
            format!("bytes {}-{}/{total}", range.start, range.end - 1)
        };
        let mut field = match place.ranges {
            Ranges::NoTotal => named(&sent, &'*'),
            Ranges::Unreadable => "octets 0-1/2".to_owned(),
            _ => named(&sent, &total),
        };
        let mut length = end - asked.start;
        let mut extra = 0;
        match wrong {
            Some(Wrong::Window) => {
                sent.start = sent.start.saturating_sub(1);
                field = named(&sent, &total);
                length = sent.end - sent.start;
            }
            Some(Wrong::Total) => field = named(&sent, &(total + 1)),
            Some(Wrong::Length) => length += 1,
            Some(Wrong::Unreadable) => field = "bytes".to_owned(),
            Some(Wrong::More) => extra = self.rng.pick(1..1 << 20),
            _ => {}
        }
        let chunked = extra > 0 || (place.end == End::Chunked && self.rng.one_in(2));
        let framing = if chunked {
            "Transfer-Encoding: chunked\r\n".to_owned()
        } else {
            format!("Content-Length: {length}\r\n")
        };
        let parts = match place.ranges {
            Ranges::Multipart => "Content-Type: multipart/byteranges; boundary=x\r\n",
            _ => "",
        };
        let head = format!("206 Partial Content\r\nContent-Range: {field}\r\n{framing}{parts}");
        let bytes = sent.end - sent.start + extra;
        self.reply(&head, sent.start, bytes, chunked, wrong.is_some() && extra == 0)
    }

    fn whole(&mut self, wrong: Option<Wrong>) -> Reaction {
        let (Some(place), Some(edition)) = (self.place(), self.edition()) else {
            unreachable!("only places have bodies")
        };
        let length = edition.length;
        let framing = match place.end {
            End::Length => format!("Content-Length: {length}\r\n"),
            End::Chunked if self.host().keep_alive => "Transfer-Encoding: chunked\r\n".to_owned(),
            End::Chunked | End::Close => "Connection: close\r\n".to_owned(),
        };
        let chunked = framing.starts_with("Transfer");
        let coded = if place.coded { "Content-Encoding: gzip\r\n" } else { "" };
        let head = format!("200 OK\r\n{framing}{coded}");
        let cut = wrong.is_some_and(|wrong| wrong != Wrong::Whole);
        self.reply(&head, 0, length, chunked, cut)
    }

    /// A refusal that may say when to come back; its words say how that is meant.
    fn refuse(&mut self, code: u16, later: Later) -> Reaction {
        let (field, seconds) = later.field(http_date);
        let seconds = if matches!(code, 408 | 429 | 500..=599) { seconds } else { 0 };
        self.status(code, &format!("Not now {seconds}"), &field)
    }

    fn status(&mut self, code: u16, words: &str, more: &str) -> Reaction {
        let head = format!("{code} {words}\r\nContent-Length: 0\r\n{more}");
        self.reply(&head, 0, 0, false, false)
    }

    /// A page that says nothing of the object.
    fn answer(&mut self, head: &str, length: u64) -> Reaction {
        match self.reply(head, 0, length, false, false) {
            Reaction::Reply(mut reply) => {
                reply.version = PAGE;
                Reaction::Reply(reply)
            }
            reaction => reaction,
        }
    }

    fn reply(
        &mut self,
        head: &str,
        offset: u64,
        length: u64,
        chunked: bool,
        cut: bool,
    ) -> Reaction {
        let mut text = String::new();
        let keep_alive = self.host().keep_alive;
        if self.rng.one_in(20) {
            text.push_str("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
        }
        let minor = if keep_alive || chunked { 1 } else { self.rng.pick(0..2) };
        let _ = write!(text, "HTTP/1.{minor} {head}Date: {}\r\n", http_date(0));
        if let Some(edition) = self.edition().filter(|_| !head.contains("text/html")) {
            if let Some(etag) = &edition.etag {
                let _ = write!(text, "ETag: {etag}\r\n");
            }
            if let Some(age) = edition.modified {
                let _ = write!(text, "Last-Modified: {}\r\n", http_date(age));
            }
        }
        if !keep_alive && minor == 1 && !head.contains("Connection") {
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
        let version = match self.stop {
            Stop::Place(index) => (index * EDITIONS + self.edition) as u32,
            Stop::Hop(_) => PAGE,
        };
        let octets = text.into_bytes();
        Reaction::Reply(Box::new(Reply { answer, octets, think, version, offset, length, then }))
    }
}

/// The date `age` seconds before the answer's, on a Sunday in 1994.
fn http_date(age: i64) -> String {
    let second = 80_000 - age;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("Sun, 06 Nov 1994 {hour:02}:{minute:02}:{second:02} GMT")
}

/// Any of the faults that may happen anywhere.
fn any_fault(rng: &mut Rng) -> Wrong {
    match rng.pick(0..9) {
        0 => Wrong::Reset,
        1 => Wrong::Silence,
        2 => Wrong::Status(500, Later::Unsaid),
        3 => Wrong::Status(503, Later::Seconds(3)),
        4 => Wrong::Status(429, Later::Unsaid),
        5 => Wrong::Garbage,
        6 => Wrong::Status(408, Later::Unsaid),
        _ => {
            let ways = [
                Wrong::Window,
                Wrong::Total,
                Wrong::Length,
                Wrong::Unreadable,
                Wrong::Whole,
                Wrong::More,
                Wrong::Cut,
            ];
            *rng.one_of(&ways)
        }
    }
}

/// What is no edition of anything.
pub(crate) const PAGE: u32 = u32::MAX - 1;
