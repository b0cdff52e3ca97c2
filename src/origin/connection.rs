//! One connection: hear a request, answer it, and again until someone has had enough.

use std::{
    fs::File,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{
    answer::{Answer, Body, Metadata},
    directory::Found,
    request::{Parsed, Refusal, Request, parse},
    shared::{Access, Served, Shared},
    stream::Stream,
    synthetic::Synthetic,
};

/// Serves a connection to its end.
pub(super) fn serve(stream: Stream, peer: SocketAddr, shared: &Shared) {
    let connection =
        Connection { stream, peer, shared, received: Vec::with_capacity(FIRST_BUFFER) };
    connection.run();
}

struct Connection<'a> {
    stream: Stream,
    peer: SocketAddr,
    shared: &'a Shared,
    /// Bytes that were received and not used yet.
    received: Vec<u8>,
}

/// What came of waiting for a request.
enum Heard {
    Request(Box<Request>),
    Refused(Refusal),
    Nothing,
}

/// Where the bytes of an object are.
enum Source {
    File(File),
    Stored(Arc<File>),
    Computed(Synthetic),
    None,
}

impl Connection<'_> {
    fn run(mut self) {
        loop {
            let (request, answer, source) = match self.hear() {
                Ok(Heard::Request(request)) => {
                    let (answer, source) = self.decide(&request);
                    (Some(request), answer, source)
                }
                Ok(Heard::Refused(refusal)) => (None, Answer::refused(refusal), Source::None),
                Ok(Heard::Nothing) | Err(_) => return,
            };
            let stays = !answer.close && !self.shared.stopping();
            let answer = Answer { close: !stays, ..answer };
            let outcome = self.reply(request.as_deref(), &answer, source);
            if outcome.is_err() {
                return;
            }
            if !stays {
                return self.stream.close();
            }
        }
    }

    /// Waits for the next request. Silence before it begins ends the connection without a word;
    /// silence in its middle, or a head that trickles, is answered with 408.
    fn hear(&mut self) -> io::Result<Heard> {
        let idle = self.shared.options.idle_timeout;
        let mut deadline = Instant::now() + idle;
        loop {
            if !self.received.is_empty() {
                match parse(&self.received) {
                    Ok(Parsed::Complete(request, length)) => {
                        self.received.drain(..length);
                        self.skip_body(request.content_length, deadline)?;
                        return Ok(Heard::Request(request));
                    }
                    Ok(Parsed::Partial) => {}
                    Err(refusal) => return Ok(Heard::Refused(refusal)),
                }
            }
            let began = !self.received.is_empty();
            match self.receive(deadline) {
                Ok(0) => return Ok(Heard::Nothing),
                Ok(_) if began => {}
                Ok(_) => deadline = Instant::now() + idle,
                Err(error) if began && timed_out(&error) => {
                    let reason = "the request took too long";
                    return Ok(Heard::Refused(Refusal { status: 408, reason }));
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn skip_body(&mut self, length: u64, deadline: Instant) -> io::Result<()> {
        // `parse` lets no body through that would not fit into memory.
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        while self.received.len() < length {
            if self.receive(deadline)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        self.received.drain(..length);
        Ok(())
    }

    /// Appends what the peer sends to what was received.
    fn receive(&mut self, deadline: Instant) -> io::Result<usize> {
        let wait = deadline.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut buffer = [0; 4096];
        let read = self.stream.receive(&mut buffer, wait)?;
        self.received.extend_from_slice(&buffer[..read]);
        Ok(read)
    }

    fn decide(&self, request: &Request) -> (Answer, Source) {
        let now = now();
        match &self.shared.served {
            Served::Synthetic(object) => {
                let answer = Answer::new(request, &object.metadata(), now);
                let source = match object.stored() {
                    Some(file) => Source::Stored(Arc::clone(file)),
                    None => Source::Computed(object.clone()),
                };
                (answer, source)
            }
            Served::Tree(tree) => match tree.find(&request.target) {
                Found::File(file, metadata) => {
                    (Answer::new(request, &metadata, now), Source::File(file))
                }
                Found::Listing(page, metadata) => {
                    (page_of(request, page, &metadata, now), Source::None)
                }
                Found::Moved(path) => (Answer::redirect(path, request), Source::None),
                Found::Nothing(status, reason) => {
                    (Answer::error(status, reason, request), Source::None)
                }
            },
        }
    }

    fn reply(
        &mut self,
        request: Option<&Request>,
        answer: &Answer,
        source: Source,
    ) -> io::Result<()> {
        let began = Instant::now();
        let mut sent = 0;
        let outcome = self.transmit(request, answer, source, &mut sent);
        self.shared.counters.count_request();
        if let Some(log) = &self.shared.options.log {
            let line = self.received.split(|&byte| byte == b'\n').next().unwrap_or_default();
            let line = String::from_utf8_lossy(line.get(..LINE_MAX).unwrap_or(line));
            log(&Access {
                peer: self.peer,
                method: request.map_or("-", |request| request.method.name()),
                target: request.map_or_else(|| line.trim_ascii(), |request| &request.target),
                range: request.and_then(|request| request.range.as_deref()),
                status: answer.status,
                body_bytes: sent,
                complete: outcome.is_ok(),
                elapsed: began.elapsed(),
            });
        }
        outcome
    }

    fn transmit(
        &mut self,
        request: Option<&Request>,
        answer: &Answer,
        source: Source,
        sent: &mut u64,
    ) -> io::Result<()> {
        let mut head = answer.head(request, now());
        let counters = &self.shared.counters;
        let count = |bytes| {
            *sent += bytes;
            counters.count_bytes(bytes);
        };
        let range = match &answer.body {
            Body::Empty => return self.stream.send(&head, false),
            Body::Text(text) => {
                head.extend_from_slice(text);
                *sent = text.len() as u64;
                counters.count_bytes(*sent);
                return self.stream.send(&head, false);
            }
            Body::Object(range) => range.clone(),
        };
        self.stream.send(&head, true)?;
        match source {
            Source::File(file) => self.stream.send_file(&file, range, count),
            Source::Stored(file) => self.stream.send_file(&file, range, count),
            Source::Computed(object) => self.stream.send_computed(&object, range, count),
            Source::None => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

/// A page that was made for this request: it has a length but no versions and no ranges.
fn page_of(request: &Request, page: Vec<u8>, metadata: &Metadata, now: i64) -> Answer {
    let mut answer = Answer::new(request, metadata, now);
    if matches!(answer.body, Body::Object(_)) {
        answer.body = Body::Text(page);
    }
    answer
}

fn timed_out(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

/// Seconds since 1970.
fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)
}

/// Bytes of what was no request that are logged.
const LINE_MAX: usize = 200;
const FIRST_BUFFER: usize = 1024;
