//! The data plane of one connection, from its first request to its last: send, find the head, have
//! it believed, then receive, decrypt, decode and write, until the span or the body ends.
//!
//! Written once as `async` over [`Io`]: an operation is a completion on io_uring, and on epoll a
//! call that is made once the socket is ready.

#![forbid(unsafe_code)]

mod flow;
mod gate;
mod intake;
mod io;
mod order;
mod start;
mod watch;

use std::{ops::Range, sync::Arc, time::Duration};

use crate::{
    http::{
        self,
        exchange::{Answer, Exchange},
    },
    orders::{Accept, Attempt, ConnEvent, Ended, Failure, Phase, expect::retry_after},
    wire::Session,
};

use self::{
    flow::{After, Flow, Next, PATIENCE, Seen},
    intake::Intake,
    start::Start,
};

pub use self::{
    flow::FLUSH_AFTER,
    gate::Gate,
    io::{Broken, Idle, Io},
    order::{Job, Limits, Order},
};

pub(crate) use self::order::SLACK;

/// One connection's data plane.
pub struct Link<I> {
    io: I,
    gate: Arc<Gate>,
    limits: Limits,
    session: Option<Session>,
    intake: Intake,
    /// An answer was received on it before.
    served: bool,
    /// The peer has sent close_notify.
    closed: bool,
}

impl<I: Io> Link<I> {
    /// A link on a connection that is open; `session` is its TLS, the handshake complete.
    pub fn new(io: I, gate: Arc<Gate>, limits: Limits, session: Option<Session>) -> Self {
        let intake = Intake::new(session.is_some());
        let mut link = Self { io, gate, limits, session, intake, served: false, closed: false };
        link.preload();
        link
    }

    /// Serves orders until the connection or the coordinator ends it.
    pub async fn serve(&mut self) {
        while let Some(order) = self.io.order().await {
            // Anything else answers a head of an attempt that is over already.
            if let Order::Request(job) = order
                && !self.attempt(*job).await
            {
                break;
            }
        }
    }

    /// Ciphertext that came together with the end of the handshake.
    fn preload(&mut self) {
        if let Some(session) = &mut self.session {
            let leftover = session.take_leftover();
            let buffer = self.io.buffer();
            let len = leftover.len().min(buffer.len());
            buffer[..len].copy_from_slice(&leftover[..len]);
            // A bad record among these is met again, and reported, with the next receive.
            match self.intake.arrived(buffer, len, Some(session)) {
                Ok(arrived) => self.closed |= arrived.closed,
                Err(_) => self.closed = true,
            }
        }
    }

    /// One attempt from its request to its end. False when the connection is over.
    async fn attempt(&mut self, job: Job<I::Sink>) -> bool {
        let began = self.io.now();
        let attempt = job.attempt;
        let mut start = Start::new(self.served, self.limits.stall, began);
        let mut paused = Duration::ZERO;
        let result = self.exchange(job, &mut start, &mut paused).await;
        self.gate.release();
        let aborted = self.gate.is_aborted();
        let (result, reusable) = match result {
            Ok(After::Reuse) => (Ok(()), !aborted),
            Ok(After::Close) => (Ok(()), false),
            // The disk fails whether or not the connection is wanted.
            Err(failure @ Failure::Store { .. }) => (Err(failure), false),
            Err(_) if aborted => (Err(CANCELLED), false),
            Err(failure) => (Err(failure), false),
        };
        self.io.report(ConnEvent::Ended(Ended {
            attempt,
            result,
            reusable,
            first_byte: start.first_byte(),
            busy: self.io.now().saturating_sub(began).saturating_sub(paused),
        }));
        reusable
    }

    /// `paused` is told how long it was not the peer that was waited for.
    async fn exchange(
        &mut self,
        job: Job<I::Sink>,
        start: &mut Start,
        paused: &mut Duration,
    ) -> Result<After, Failure> {
        self.check_idle().await?;
        self.send(&job.request, start).await?;
        let answer = self.head(start).await?;
        let (span, sink) = match job.accept {
            Accept::Part(expect) => match job.sink {
                Some(sink) => {
                    let span = expect.check(&answer.head)?;
                    // The wait that it asks for is of its origin. No word is awaited on it.
                    if retry_after(&answer.head).is_some() {
                        let head = answer.head.clone();
                        self.io.report(ConnEvent::Head { attempt: job.attempt, head });
                    }
                    // The lease was taken when the request was ordered; the answer may be shorter.
                    self.gate.shrink(job.attempt, span.end);
                    (span, sink)
                }
                None => return Err(Failure::Internal("a part without a sink")),
            },
            Accept::Ask => {
                let asked = self.io.now();
                let event = ConnEvent::Head { attempt: job.attempt, head: answer.head.clone() };
                self.io.report(event);
                let decision = self.decision(job.attempt).await;
                *paused = self.io.now().saturating_sub(asked);
                match decision {
                    Some((span, sink)) => {
                        self.gate.lease(job.attempt, span.start, span.end);
                        (span, sink)
                    }
                    None if self.gate.is_aborted() => return Err(CANCELLED),
                    None => return Ok(self.skip(answer)),
                }
            }
        };
        let flow = Flow::new(span, self.limits.stall, self.io.now());
        let mut body = Body { attempt: job.attempt, sink, answer, flow };
        let result = self.body(&mut body).await;
        // What was received before a failure is kept: a retry starts behind it. But when it is the
        // writing that failed, that is the cause, and a second try would only hide it.
        let flushed = match &result {
            Err(Failure::Store { .. }) => Ok(()),
            _ => self.flush(&mut body).await,
        };
        *paused += body.flow.paused();
        let after = match (flushed, result) {
            (Err(store), _) => return Err(store),
            (Ok(()), result) => result?,
        };
        Ok(if self.closed || self.intake.has_raw() { After::Close } else { after })
    }

    /// A kept-alive connection that has something to say before it was asked is retired (RFC 9112
    /// section 9.3: there is no response to associate it with).
    async fn check_idle(&mut self) -> Result<(), Failure> {
        if self.closed || self.intake.has_raw() {
            return Err(Failure::Stale);
        }
        match self.io.idle() {
            Idle::Quiet => Ok(()),
            // Under TLS these may be session tickets.
            Idle::Octets if self.session.is_some() => {
                match self.receive(None, false, PATIENCE).await {
                    Ok(_) => {}
                    Err(Failure::Receive { .. }) => return Err(Failure::Stale),
                    // Nothing was asked yet: this is the end of the handshake, and a refusal.
                    Err(failure) if !self.served => return Err(failure),
                    Err(_) => return Err(Failure::Stale),
                }
                if self.closed || self.intake.has_raw() { Err(Failure::Stale) } else { Ok(()) }
            }
            // On a connection that never served anything, early octets are not HTTP; on one that
            // did, they belong to no answer.
            Idle::Octets | Idle::Closed => Err(Failure::Stale),
        }
    }

    async fn send(&mut self, request: &[u8], start: &mut Start) -> Result<(), Failure> {
        let bytes = match &mut self.session {
            Some(session) => session.seal(request)?,
            None => request.to_vec(),
        };
        let sent = self.io.send(bytes).await;
        start.sent(self.io.now());
        sent.map_err(|Broken { errno }| start.broke(errno))
    }

    /// Receives until the final head is complete.
    async fn head(&mut self, start: &mut Start) -> Result<Answer, Failure> {
        let mut exchange = Exchange::default();
        loop {
            let (used, answer) = exchange.head(self.intake.raw(self.io.buffer()))?;
            self.intake.consume(used);
            if let Some(answer) = answer {
                self.served = true;
                return Ok(answer);
            }
            start.waited(self.io.now())?;
            let received = self.receive(None, false, PATIENCE).await;
            // Session tickets and a close_notify are octets, but not of an answer.
            if matches!(received, Ok(Some(1..))) && self.intake.has_raw() {
                start.came(self.io.now());
            }
            match received {
                Ok(Some(0)) => return Err(start.closed()),
                Ok(_) => {}
                Err(Failure::Receive { errno }) => return Err(start.broke(errno)),
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Waits for the coordinator's word on a head. `None`: the body is of no use.
    async fn decision(&mut self, attempt: Attempt) -> Option<(Range<u64>, I::Sink)> {
        loop {
            match self.io.order().await? {
                Order::Receive { attempt: of, span, sink } if of == attempt => {
                    return Some((span, sink));
                }
                Order::Skip { attempt: of } if of == attempt => return None,
                _ => {}
            }
        }
    }

    /// Passes over a body only if that costs nothing: error pages and redirects are not drained.
    fn skip(&mut self, mut answer: Answer) -> After {
        let buffer = self.io.buffer();
        let skipped = self.intake.decode(buffer, &mut answer.body, usize::MAX);
        self.intake.written(buffer);
        let clean = skipped.is_ok() && answer.body.is_done() && !self.intake.has_raw();
        if clean && answer.keep_alive { After::Reuse } else { After::Close }
    }

    /// Receives a believed body and writes it.
    async fn body(&mut self, body: &mut Body<I::Sink>) -> Result<After, Failure> {
        loop {
            self.decode(body)?;
            let seen = Seen {
                out: self.intake.out().len() as u64,
                room: self.intake.room(self.io.buffer().len()).len(),
                remaining: body.answer.body.remaining(),
                done: body.answer.body.is_done(),
                end: self.gate.end(body.attempt),
            };
            match body.flow.next(seen, self.io.now()) {
                Next::Flush => self.flush(body).await?,
                Next::Done => return body.flow.finish(body.answer.keep_alive),
                Next::Cut => return Ok(After::Close),
                Next::Stalled => {
                    let limit = self.limits.stall;
                    return Err(Failure::Timeout { phase: Phase::Body, limit });
                }
                Next::Receive { missing, fill, patience } => {
                    body.flow.ask(self.io.now());
                    let received = self.receive(missing, fill, patience).await?;
                    if received == Some(0) {
                        self.end_of_stream(body)?;
                    } else {
                        body.flow.came(self.io.now(), received);
                    }
                }
            }
        }
    }

    /// Lines up what was received, as far as the lease allows.
    fn decode(&mut self, body: &mut Body<I::Sink>) -> Result<(), Failure> {
        let before = self.intake.out().len() as u64;
        if body.flow.needs_claim(before) {
            body.flow.claim(self.gate.claim(self.limits.write as u64));
        }
        let room = body.flow.room(before);
        // With no room left, one more octet tells a body that ends here from one that goes on.
        let got = self.intake.decode(self.io.buffer(), &mut body.answer.body, room.max(1))?;
        if room == 0 && got > 0 {
            self.intake.take_back(got);
            if body.flow.is_overlong() {
                return Err(http::Error::Overlong.into());
            }
        }
        if before == 0 && !self.intake.out().is_empty() {
            body.flow.wait();
        }
        Ok(())
    }

    /// The peer sends no more: some bodies end by that.
    fn end_of_stream(&mut self, body: &mut Body<I::Sink>) -> Result<(), Failure> {
        if self.gate.is_aborted() {
            // Not the peer's end but ours: nothing is whole by that.
            return Err(CANCELLED);
        }
        let bare = self.session.is_some() && !self.closed;
        match body.answer.body.eof() {
            Ok(()) if bare => Err(http::Error::Truncated.into()),
            Ok(()) => Ok(()),
            Err(_) => Err(body.flow.short(self.intake.out().len() as u64)),
        }
    }

    /// Writes what waits and reports it.
    async fn flush(&mut self, body: &mut Body<I::Sink>) -> Result<(), Failure> {
        let out = self.intake.out();
        if !out.is_empty() {
            let started = self.io.now();
            let range = body.flow.place(out.len() as u64);
            let bytes = &self.io.buffer()[out.clone()];
            let crc = if self.limits.sums { crc32fast::hash(bytes) } else { 0 };
            let written = self.write(&body.sink, out, range.start).await;
            body.flow.pause(started, self.io.now());
            written?;
            body.flow.wrote(range.end);
            self.io.report(ConnEvent::Wrote { attempt: body.attempt, range, crc });
        }
        self.intake.written(self.io.buffer());
        Ok(())
    }

    /// Writes when there is room: only a stream that is leased whole ever waits for that, and what
    /// it waits for is its consumer.
    async fn write(
        &mut self,
        sink: &I::Sink,
        out: Range<usize>,
        offset: u64,
    ) -> Result<(), Failure> {
        let mut pause = PAUSE_MIN;
        while !self.io.write(sink, out.clone(), offset).await? {
            if self.gate.is_aborted() {
                return Err(CANCELLED);
            }
            self.io.pause(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
        Ok(())
    }

    /// One receive, decrypted. `missing` is how many body octets are still to come at least; with
    /// `fill` it waits for as many as there is room for.
    async fn receive(
        &mut self,
        missing: Option<u64>,
        fill: bool,
        patience: Duration,
    ) -> Result<Option<usize>, Failure> {
        let broken = |Broken { errno }| Failure::Receive { errno };
        if self.closed {
            return Ok(Some(0));
        }
        let mut room = self.intake.room(self.io.buffer().len());
        if room.is_empty() {
            self.intake.written(self.io.buffer());
            room = self.intake.room(self.io.buffer().len());
        }
        if room.is_empty() {
            return Err(http::Error::HeadTooLarge.into());
        }
        if let Some(missing) = missing {
            let missing = usize::try_from(missing).unwrap_or(usize::MAX);
            let due = self.intake.due(self.io.buffer(), missing);
            room.end = room.end.min(room.start.saturating_add(due));
        }
        let fill = fill && missing.is_some();
        let got = self.io.receive(room, fill, patience).await.map_err(broken)?;
        let Some(received @ 1..) = got else { return Ok(got) };
        let session = self.session.as_mut();
        let arrived = self.intake.arrived(self.io.buffer(), received, session)?;
        self.closed |= arrived.closed;
        if !arrived.send.is_empty() {
            self.io.send(arrived.send).await.map_err(broken)?;
        }
        Ok(Some(received))
    }
}

/// One body on its way from a peer to where it is written.
struct Body<S> {
    attempt: Attempt,
    sink: S,
    answer: Answer,
    flow: Flow,
}

/// How long to wait for room in a stream, at first and at most.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(20);

/// What becomes of an attempt on a connection that was told to stop.
const CANCELLED: Failure = Failure::Cancelled { signal: 0 };

#[cfg(test)]
mod tests;
