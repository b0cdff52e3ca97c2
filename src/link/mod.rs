//! The data plane of one connection, from its first request to its last: send, find the head, have
//! it believed, then receive, decrypt, decode and write, until the span or the body ends.
//!
//! Written once as `async` over [`Io`]. On io_uring every operation is a completion; on threads
//! every operation blocks and no future here is ever pending.

#![forbid(unsafe_code)]

mod flow;
mod gate;
mod intake;
mod order;
mod watch;

use std::{ops::Range, sync::Arc, time::Duration};

use crate::{
    http::{
        self,
        exchange::{Answer, Exchange},
    },
    orders::{Accept, Attempt, ConnEvent, Ended, Failure, Phase},
    wire::Session,
};

use self::{
    flow::{After, Flow},
    intake::Intake,
    watch::Watch,
};

pub use self::{
    gate::Gate,
    order::{Job, Limits, Order},
};

/// The machine as one connection sees it: its socket, its clock, its sink, its orders.
#[expect(async_fn_in_trait, reason = "a worker's futures stay on its thread")]
pub trait Io {
    /// Where bodies are written to.
    type Sink;

    /// The time, on a clock that never goes backwards.
    fn now(&self) -> Duration;

    /// Tells the coordinator.
    fn report(&mut self, event: ConnEvent);

    /// The connection will not be used again: nothing needs to stop it any more.
    fn retire(&mut self);

    /// The connection's buffer.
    fn buffer(&mut self) -> &mut [u8];

    /// The coordinator's next order; `None` when it wants no more of this connection.
    async fn order(&mut self) -> Option<Order<Self::Sink>>;

    /// Sends everything.
    async fn send(&mut self, bytes: Vec<u8>) -> Result<(), Broken>;

    /// Receives into `room`. `Ok(Some(0))` is the end of the stream. `Ok(None)` says that nothing
    /// came in about `patience`. With `fill`, it may wait as long for much to come, because all of
    /// `room` is owed.
    async fn receive(
        &mut self,
        room: Range<usize>,
        fill: bool,
        patience: Duration,
    ) -> Result<Option<usize>, Broken>;

    /// Writes `from` of the buffer at `offset`, all of it.
    async fn write(
        &mut self,
        sink: &Self::Sink,
        from: Range<usize>,
        offset: u64,
    ) -> Result<(), Failure>;

    /// What lies on an idle connection, without waiting.
    fn idle(&self) -> Idle;
}

/// A socket call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// errno, 0 where there is none.
    pub errno: i32,
}

/// What lies on an idle connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Nothing: it can be used.
    Quiet,
    /// Octets that nobody asked for.
    Octets,
    /// Its end.
    Closed,
}

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
        let started = self.io.now();
        let attempt = job.attempt;
        let reused = self.served;
        let mut clock = Clock { started, paused: Duration::ZERO, first_byte: None };
        let result = self.exchange(job, &mut clock).await;
        self.gate.release();
        let aborted = self.gate.is_aborted();
        let (result, reusable) = match result {
            Ok(After::Reuse) => (Ok(()), !aborted),
            Ok(After::Close) => (Ok(()), false),
            // The disk fails whether or not anybody wants the connection.
            Err(failure @ Failure::Store { .. }) => (Err(failure), false),
            Err(_) if aborted => (Err(CANCELLED), false),
            Err(failure) => (Err(failure), false),
        };
        if !reusable {
            self.io.retire();
        }
        self.io.report(ConnEvent::Ended(Ended {
            attempt,
            result,
            reusable,
            reused,
            first_byte: clock.first_byte,
            busy: self.io.now().saturating_sub(started).saturating_sub(clock.paused),
        }));
        reusable
    }

    async fn exchange(&mut self, job: Job<I::Sink>, clock: &mut Clock) -> Result<After, Failure> {
        self.check_idle().await?;
        self.send(&job.request, clock).await?;
        let answer = self.head(clock).await?;
        let (span, sink) = match job.accept {
            Accept::Part(expect) => match job.sink {
                Some(sink) => {
                    let span = expect.check(&answer.head)?;
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
                clock.paused += self.io.now().saturating_sub(asked);
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
        let now = self.io.now();
        let mut flow = Flow {
            attempt: job.attempt,
            written: span.start,
            claimed: span.start,
            span,
            sink,
            answer,
            waiting: None,
            paused: Duration::ZERO,
            quiet: false,
            asked: now,
            watch: Watch::new(self.limits.stall, now),
        };
        let result = self.body(&mut flow).await;
        // What was received before a failure is kept: a retry starts behind it. But when it is the
        // writing that failed, that is the cause, and a second try would only hide it.
        let flushed = match &result {
            Err(Failure::Store { .. }) => Ok(()),
            _ => self.flush(&mut flow).await,
        };
        clock.paused += flow.paused;
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
                    // Nothing was asked yet: this is the end of the handshake, and a refusal.
                    Err(Trouble::Failure(failure)) if !self.served => return Err(failure),
                    Err(_) => return Err(Failure::Stale),
                }
                if self.closed || self.intake.has_raw() { Err(Failure::Stale) } else { Ok(()) }
            }
            // On a connection that never served anything, early octets are not HTTP; on one that
            // did, they belong to nobody.
            Idle::Octets | Idle::Closed => Err(Failure::Stale),
        }
    }

    async fn send(&mut self, request: &[u8], clock: &mut Clock) -> Result<(), Failure> {
        let bytes = match &mut self.session {
            Some(session) => session.seal(request)?,
            None => request.to_vec(),
        };
        let sent = self.io.send(bytes).await;
        clock.started = self.io.now();
        sent.map_err(|error| self.broken(error, true))
    }

    /// Receives until the final head is complete. The whole head is under one deadline: a drip of
    /// octets does not extend it.
    async fn head(&mut self, clock: &mut Clock) -> Result<Answer, Failure> {
        let mut until = self.io.now() + self.limits.stall;
        let mut exchange = Exchange::default();
        loop {
            let (used, answer) = exchange.head(self.intake.raw(self.io.buffer()))?;
            self.intake.consume(used);
            if let Some(answer) = answer {
                self.served = true;
                return Ok(answer);
            }
            let fresh = clock.first_byte.is_none();
            let received = self.receive(None, false, PATIENCE).await;
            let now = self.io.now();
            if let Some(later) = watch::excuse(until, now) {
                until = later;
            } else if now >= until {
                let limit = self.limits.stall;
                return Err(Failure::Timeout { phase: Phase::Head, limit });
            }
            match received {
                Ok(Some(0)) if fresh && self.served => return Err(Failure::Stale),
                Ok(Some(0)) if fresh => return Err(Failure::Receive { errno: 0 }),
                Ok(Some(0)) => return Err(http::Error::Truncated.into()),
                // Session tickets and a close_notify are octets, but not of an answer.
                Ok(Some(_)) if fresh && self.intake.has_raw() => {
                    clock.first_byte = Some(now.saturating_sub(clock.started));
                }
                Ok(_) => {}
                Err(Trouble::Io(error)) => return Err(self.broken(error, fresh)),
                Err(Trouble::Failure(failure)) => return Err(failure),
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
    async fn body(&mut self, flow: &mut Flow<I::Sink>) -> Result<After, Failure> {
        loop {
            self.decode(flow)?;
            if flow.answer.body.is_done() {
                self.flush(flow).await?;
                return flow.finish();
            }
            let out = self.intake.out().len() as u64;
            let used_up = flow.written + out == flow.claimed;
            if used_up && flow.claimed < flow.span.end && flow.claimed >= flow.limit(&self.gate) {
                // The span was shrunk: the rest of the body is somebody else's.
                self.flush(flow).await?;
                return Ok(After::Close);
            }
            let aged = flow
                .waiting
                .is_some_and(|since| self.io.now().saturating_sub(since) >= FLUSH_AFTER);
            let full = self.intake.room(self.io.buffer().len()).len() < ROOM_MIN;
            if out > 0 && (aged || full || used_up) {
                self.flush(flow).await?;
                continue;
            }
            self.fill(flow).await?;
        }
    }

    /// Lines up what was received, as far as the lease allows.
    fn decode(&mut self, flow: &mut Flow<I::Sink>) -> Result<(), Failure> {
        let before = self.intake.out().len();
        let position = flow.written + before as u64;
        if position == flow.claimed {
            flow.claimed = self.gate.claim(self.limits.write as u64);
        }
        let room = usize::try_from(flow.claimed.saturating_sub(position)).unwrap_or(usize::MAX);
        // With no room left, one more octet tells a body that ends here from one that goes on.
        let got = self.intake.decode(self.io.buffer(), &mut flow.answer.body, room.max(1))?;
        if room == 0 && got > 0 {
            self.intake.take_back(got);
            if flow.claimed == flow.span.end {
                return Err(http::Error::Overlong.into());
            }
        }
        if before == 0 && !self.intake.out().is_empty() {
            flow.waiting = Some(flow.asked);
        }
        Ok(())
    }

    /// Receives once more for a body.
    async fn fill(&mut self, flow: &mut Flow<I::Sink>) -> Result<(), Failure> {
        let held = flow.written + self.intake.out().len() as u64;
        let missing =
            flow.answer.body.remaining().map(|n| n.min(flow.claimed.saturating_sub(held)));
        // What has come must not wait long for more; where nothing comes, nobody need look often.
        let active = !flow.quiet || !self.intake.out().is_empty();
        let patience = if active { FLUSH_AFTER } else { PATIENCE };
        flow.asked = self.io.now();
        let received = self.receive(missing, active, patience).await;
        flow.quiet = matches!(received, Ok(None));
        match received {
            // Not the peer's end but ours: nothing is whole by that.
            Ok(Some(0)) if self.gate.is_aborted() => Err(CANCELLED),
            Ok(Some(0)) => {
                let bare = self.session.is_some() && !self.closed;
                match flow.answer.body.eof() {
                    Ok(()) if bare => Err(http::Error::Truncated.into()),
                    Ok(()) => Ok(()),
                    Err(_) => Err(self.short(flow)),
                }
            }
            Ok(received) => {
                let now = self.io.now();
                flow.watch.received(now, received.unwrap_or(0));
                if !flow.watch.is_over(now) {
                    return Ok(());
                }
                let limit = self.limits.stall;
                Err(Failure::Timeout { phase: Phase::Body, limit })
            }
            Err(Trouble::Io(error)) => Err(self.broken(error, false)),
            Err(Trouble::Failure(failure)) => Err(failure),
        }
    }

    fn short(&self, flow: &Flow<I::Sink>) -> Failure {
        let got = flow.written + self.intake.out().len() as u64 - flow.span.start;
        Failure::ShortBody { range: flow.span.clone(), got }
    }

    /// Writes what waits and reports it.
    async fn flush(&mut self, flow: &mut Flow<I::Sink>) -> Result<(), Failure> {
        let out = self.intake.out();
        flow.waiting = None;
        if !out.is_empty() {
            let started = self.io.now();
            let range = flow.written..flow.written + out.len() as u64;
            let written = self.io.write(&flow.sink, out, range.start).await;
            let pause = self.io.now().saturating_sub(started);
            flow.paused += pause;
            flow.watch.paused(pause);
            written?;
            flow.written = range.end;
            self.io.report(ConnEvent::Wrote { attempt: flow.attempt, range });
        }
        self.intake.written(self.io.buffer());
        Ok(())
    }

    /// One receive, decrypted. `missing` is how many body octets are still to come at least; with
    /// `fill` it waits for as many as there is room for.
    async fn receive(
        &mut self,
        missing: Option<u64>,
        fill: bool,
        patience: Duration,
    ) -> Result<Option<usize>, Trouble> {
        if self.closed {
            return Ok(Some(0));
        }
        let mut room = self.intake.room(self.io.buffer().len());
        if room.is_empty() {
            self.intake.written(self.io.buffer());
            room = self.intake.room(self.io.buffer().len());
        }
        if room.is_empty() {
            return Err(Trouble::Failure(http::Error::HeadTooLarge.into()));
        }
        if let Some(missing) = missing {
            let missing = usize::try_from(missing).unwrap_or(usize::MAX);
            let due = self.intake.due(self.io.buffer(), missing);
            room.end = room.end.min(room.start.saturating_add(due));
        }
        let got = self
            .io
            .receive(room, fill && missing.is_some(), patience)
            .await
            .map_err(Trouble::Io)?;
        let Some(received @ 1..) = got else { return Ok(got) };
        let arrived = self
            .intake
            .arrived(self.io.buffer(), received, self.session.as_mut())
            .map_err(Trouble::Failure)?;
        self.closed |= arrived.closed;
        if !arrived.send.is_empty() {
            self.io.send(arrived.send).await.map_err(Trouble::Io)?;
        }
        Ok(Some(received))
    }

    /// A socket error, classified. Before the first octet of an answer, a kept-alive connection
    /// that turns out dead is nobody's failure (RFC 9112 section 9.3.1).
    fn broken(&self, error: Broken, fresh: bool) -> Failure {
        if fresh && self.served {
            return Failure::Stale;
        }
        Failure::Receive { errno: error.errno }
    }
}

/// Times of one attempt.
struct Clock {
    started: Duration,
    paused: Duration,
    first_byte: Option<Duration>,
}

enum Trouble {
    Io(Broken),
    Failure(Failure),
}

/// What becomes of an attempt on a connection that was told to stop.
const CANCELLED: Failure = Failure::Cancelled { signal: 0 };

/// With less room than this in the buffer, what waits is written before more is received.
const ROOM_MIN: usize = 16 * 1024;

/// What waits in the buffer of a slow connection is written after this long, so that a kill loses
/// next to nothing and progress is seen. A connection that is fast fills its buffer sooner.
pub const FLUSH_AFTER: Duration = Duration::from_millis(20);

/// How long a receive waits for the first byte before somebody looks at the clock.
const PATIENCE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests;
