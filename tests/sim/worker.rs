//! Emulates the data plane: what a worker does with its connection, and when.

use std::{ops::Range, time::Duration};

use uget::{
    fleet::TransferId,
    http::{self, body::Framing, request::Request},
    orders::{Accept, Attempt, Conn, ConnEvent, Ended, Failure, OPEN_END, Phase, StoreOp},
};

use crate::{
    origin::{Reaction, Reply, Then},
    site::Refusal,
    world::{What, World},
};

/// A connection as its worker has it.
#[derive(Debug)]
pub(crate) struct Sock {
    pub(crate) host: usize,
    /// The server has taken it; it counts against its limit.
    pub(crate) open: bool,
    /// It is one too many for the server.
    surplus: Option<Refusal>,
    served: u32,
    /// Steps that were planned for an earlier state are void.
    generation: u64,
    rate: u64,
    /// At which rate the buffer is filled now.
    current: u64,
    run: Option<Run>,
}

/// An attempt as its worker has it.
#[derive(Debug)]
struct Run {
    owner: TransferId,
    attempt: Attempt,
    accept: Accept,
    reused: bool,
    sent: Duration,
    first_byte: Option<Duration>,
    reply: Option<Box<Reply>>,
    /// The span as it is now, the next byte to be written, and the end of the buffer being filled.
    span: Range<u64>,
    start: u64,
    at: u64,
    claimed: u64,
    shrunk: bool,
    /// When the bytes after `at` began to flow.
    flowing: Option<Duration>,
}

/// Something that happens on a connection by itself.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Connected,
    Refused,
    Head,
    Died(Failure),
    Filled,
    IdleDeath,
}

/// What a worker fills before it writes.
const BUFFER: u64 = 1 << 20;

/// `--stall-timeout`.
const STALL: Duration = Duration::from_secs(30);

/// `--connect-timeout`.
const CONNECT: Duration = Duration::from_secs(10);

impl World {
    fn emit(&mut self, conn: Conn, event: ConnEvent) {
        self.after(self.cross, What::Event(conn, event));
    }

    fn plan(&mut self, conn: Conn, delay: Duration, step: Step) {
        let generation = self.socks.get(&conn).map_or(0, |sock| sock.generation);
        self.after(delay, What::Step(conn, generation, step));
    }

    pub(crate) fn worker_open(&mut self, conn: Conn, host: usize) {
        let there = self.socks.values().filter(|sock| sock.host == host && sock.open).count();
        let limit = self.hosts[host].limit.filter(|(count, _)| there >= *count);
        let surplus = limit.map(|(_, refusal)| refusal);
        let factor = if self.even { 1 } else { 1 + self.rng.pick(0..self.unevenness) };
        let lame = self.hosts[host]
            .lame
            .filter(|(every, _)| (u64::from(conn.0) + 1).is_multiple_of(*every));
        let factor = factor * lame.map_or(1, |(_, times)| times);
        let rate = (self.hosts[host].rate / factor).max(40_000);
        let sock = Sock {
            host,
            open: false,
            surplus,
            served: 0,
            generation: 0,
            rate,
            current: rate,
            run: None,
        };
        self.socks.insert(conn, sock);
        let trip = self.hosts[host].round_trip + Duration::from_micros(50);
        let fault = self.fault_in(4);
        match (surplus, fault) {
            (Some(Refusal::Refuse), _) => self.plan(conn, trip, Step::Refused),
            (_, true) if self.rng.one_in(4) => {
                let failure = Failure::Timeout { phase: Phase::Connect, limit: CONNECT };
                self.plan(conn, CONNECT, Step::Died(failure));
            }
            (_, true) => self.plan(conn, trip, Step::Refused),
            _ => {
                if surplus.is_none() {
                    self.socks.get_mut(&conn).expect("just made").open = true;
                }
                self.plan(conn, trip, Step::Connected);
            }
        }
    }

    pub(crate) fn worker_request(
        &mut self,
        owner: TransferId,
        conn: Conn,
        attempt: Attempt,
        request: &Request,
        accept: Accept,
    ) {
        let reaction = {
            let Some(sock) = self.socks.get(&conn) else {
                // It died while the command was on its way: as a worker finds out when it sends.
                return self.emit(conn, dead_on_arrival(attempt));
            };
            let (host, surplus) = (sock.host, sock.surplus);
            self.react(owner, host, surplus, request)
        };
        let now = self.now;
        let sock = self.socks.get_mut(&conn).expect("looked at above");
        assert!(sock.run.is_none(), "two requests on {conn:?}");
        sock.generation += 1;
        let span = match &accept {
            Accept::Ask => 0..0,
            Accept::Part(expect) => expect.range.clone(),
        };
        sock.run = Some(Run {
            owner,
            attempt,
            accept,
            reused: sock.served > 0,
            sent: now,
            first_byte: None,
            reply: None,
            start: span.start,
            at: span.start,
            claimed: span.start,
            span,
            shrunk: false,
            flowing: None,
        });
        let reused = sock.served > 0;
        let trip = self.hosts[sock.host].round_trip + Duration::from_micros(20);
        match reaction {
            Reaction::Reply(reply) => {
                let delay = trip + reply.think;
                self.socks.get_mut(&conn).expect("there").run.as_mut().expect("just set").reply =
                    Some(reply);
                self.plan(conn, delay, Step::Head);
            }
            Reaction::Garbage(error) => self.plan(conn, trip, Step::Died(Failure::Http(error))),
            Reaction::Reset if reused => self.plan(conn, trip, Step::Died(Failure::Stale)),
            Reaction::Reset => {
                self.plan(conn, trip, Step::Died(Failure::Receive { errno: 104 }));
            }
            Reaction::Silence => {
                let failure = Failure::Timeout { phase: Phase::Head, limit: STALL };
                self.plan(conn, STALL, Step::Died(failure));
            }
        }
    }

    pub(crate) fn step(&mut self, conn: Conn, generation: u64, step: Step) {
        let Some(sock) = self.socks.get_mut(&conn) else { return };
        if sock.generation != generation {
            return;
        }
        match step {
            Step::Connected => {
                let took = self.hosts[sock.host].round_trip;
                self.emit(conn, ConnEvent::Opened { peer: None, took });
            }
            Step::Refused => {
                self.socks.remove(&conn);
                let failure = Failure::Connect {
                    target: "h.test:80".into(),
                    reason: "connection refused".into(),
                    errno: 111,
                };
                self.emit(conn, ConnEvent::Failed { failure });
            }
            Step::IdleDeath => {
                self.socks.remove(&conn);
                self.emit(conn, ConnEvent::Failed { failure: Failure::Stale });
            }
            Step::Died(failure) if sock.run.is_none() => {
                self.socks.remove(&conn);
                self.emit(conn, ConnEvent::Failed { failure });
            }
            Step::Died(failure) => self.end(conn, Err(failure), false),
            Step::Head => self.head(conn),
            Step::Filled => self.filled(conn),
        }
    }

    fn head(&mut self, conn: Conn) {
        let now = self.now;
        let sock = self.socks.get_mut(&conn).expect("stepped");
        let run = sock.run.as_mut().expect("a head answers a request");
        run.first_byte = Some(now - run.sent);
        let head = run.reply.as_ref().expect("a head is of a reply").answer.head.clone();
        let attempt = run.attempt;
        match &run.accept {
            Accept::Ask => self.emit(conn, ConnEvent::Head { attempt, head }),
            Accept::Part(expect) => match expect.check(&head) {
                Ok(range) => self.receive(conn, range),
                Err(failure) => self.end(conn, Err(failure), false),
            },
        }
    }

    /// The body is believed and lies at `span`.
    pub(crate) fn receive(&mut self, conn: Conn, span: Range<u64>) {
        let now = self.now;
        let Some(run) = self.socks.get_mut(&conn).and_then(|sock| sock.run.as_mut()) else {
            return;
        };
        run.start = span.start;
        run.at = span.start;
        // A span that was shrunk before its head came stays shrunk.
        let end = if run.shrunk { run.span.end.min(span.end) } else { span.end };
        run.span = span.start..end;
        run.flowing = Some(now);
        self.fill(conn);
    }

    /// The end of what the server sends of this body, in the file's offsets.
    fn supply(run: &Run) -> u64 {
        let reply = run.reply.as_ref().expect("only bodies are received");
        run.start + reply.length
    }

    fn fill(&mut self, conn: Conn) {
        let now = self.now;
        let host = self.socks[&conn].host;
        let flows = |sock: &&Sock| {
            sock.host == host && sock.run.as_ref().is_some_and(|r| r.flowing.is_some())
        };
        let flowing = self.socks.values().filter(flows).count() as u64;
        let fair = self.hosts[host].capped.map_or(u64::MAX, |cap| cap / flowing.max(1));
        let sock = self.socks.get_mut(&conn).expect("filling");
        sock.current = sock.rate.min(fair).max(1);
        let rate = sock.current;
        let run = sock.run.as_mut().expect("filling");
        run.claimed = run.at.saturating_add(BUFFER).min(run.span.end);
        run.flowing = Some(now);
        let bytes = run.claimed.min(Self::supply(run)) - run.at;
        self.plan(conn, in_time(bytes, rate), Step::Filled);
    }

    /// As much as comes of the buffer has come.
    fn filled(&mut self, conn: Conn) {
        let run = self.socks[&conn].run.as_ref().expect("filled");
        let upto = run.claimed.min(Self::supply(run));
        if upto > run.at && self.fault_in(60) && self.rng.one_in(8) {
            let (op, path, reason) = (StoreOp::Write, "part".to_owned(), "no space".to_owned());
            return self.end(conn, Err(Failure::Store { op, path, errno: 28, reason }), false);
        }
        self.write(conn, upto);
        let sock = &self.socks[&conn];
        let run = sock.run.as_ref().expect("filled");
        let reply = run.reply.as_ref().expect("a body");
        let (supply, done) = (Self::supply(run), run.at == run.span.end);
        let framing = reply.answer.head.framing();
        let length = framing != Ok(Framing::Chunked);
        let ends_with_connection = framing == Ok(Framing::Close);
        let keep = reply.answer.keep_alive;
        let open = run.span.end == OPEN_END;
        let got = run.at - run.start;
        let short = Failure::ShortBody { range: run.span.clone(), got };
        let then = reply.then.clone();
        if run.at < supply && !done {
            return self.fill(conn);
        }
        if run.at < supply && done {
            // Bytes beyond the span: asked for once and given to another, or never asked for.
            let result =
                if run.shrunk { Ok(()) } else { Err(Failure::Http(http::Error::Overlong)) };
            return self.end(conn, result, false);
        }
        match then {
            Then::Clean if done || open => self.end(conn, Ok(()), keep),
            Then::Clean => self.end(conn, Err(short), false),
            // A length that is used up needs nothing more from the connection.
            _ if done && length && !open => self.end(conn, Ok(()), false),
            Then::Fin if open && ends_with_connection => self.end(conn, Ok(()), false),
            Then::Fin => self.end(conn, Err(short), false),
            Then::Reset => self.end(conn, Err(Failure::Receive { errno: 104 }), false),
            Then::Garbage(error) => self.end(conn, Err(Failure::Http(error)), false),
            Then::Stall => {
                let failure = Failure::Timeout { phase: Phase::Body, limit: STALL };
                self.plan(conn, STALL, Step::Died(failure));
            }
        }
    }

    /// Bytes up to `upto` are in the file.
    fn write(&mut self, conn: Conn, upto: u64) {
        let Some(run) = self.socks.get_mut(&conn).and_then(|sock| sock.run.as_mut()) else {
            return;
        };
        if upto <= run.at {
            return;
        }
        let range = run.at..upto;
        run.at = upto;
        let (owner, attempt, start) = (run.owner, run.attempt, run.start);
        let source = run.reply.as_ref().expect("a body").source(start);
        self.members[owner.0 as usize].disk.part.write(range.clone(), source);
        self.emit(conn, ConnEvent::Wrote { attempt, range });
    }

    fn end(&mut self, conn: Conn, result: Result<(), Failure>, reusable: bool) {
        let now = self.now;
        let Some(sock) = self.socks.get_mut(&conn) else { return };
        let Some(run) = sock.run.take() else { return };
        sock.generation += 1;
        sock.served += 1;
        let ended = Ended {
            attempt: run.attempt,
            result,
            reusable,
            reused: run.reused,
            first_byte: run.first_byte,
            busy: now - run.sent,
        };
        if !reusable {
            self.socks.remove(&conn);
        }
        self.emit(conn, ConnEvent::Ended(ended));
        if reusable && self.fault_in(15) {
            let delay = self.rng.millis(0..200);
            self.plan(conn, delay, Step::IdleDeath);
        }
    }

    pub(crate) fn worker_skip(&mut self, conn: Conn) {
        let Some(run) = self.socks.get(&conn).and_then(|sock| sock.run.as_ref()) else { return };
        let reply = run.reply.as_ref().expect("skipped after a head");
        let cheap = reply.length <= 4096 && reply.then == Then::Clean && reply.answer.keep_alive;
        self.skipped_closed += u64::from(!cheap);
        self.end(conn, Ok(()), cheap);
    }

    pub(crate) fn worker_shrink(&mut self, conn: Conn, attempt: Attempt, end: u64) {
        let Some(run) = self.socks.get_mut(&conn).and_then(|sock| sock.run.as_mut()) else {
            return;
        };
        if run.attempt != attempt {
            return;
        }
        let end = end.max(run.claimed).min(run.span.end);
        run.shrunk |= end < run.span.end;
        run.span.end = end;
        self.emit(conn, ConnEvent::Shrunk { attempt, end });
    }

    pub(crate) fn worker_close(&mut self, conn: Conn) {
        let now = self.now;
        let Some(sock) = self.socks.get(&conn) else { return };
        if let Some(run) = &sock.run {
            // What is in the buffer is written before the end is told.
            if let (Some(since), Some(_)) = (run.flowing, &run.reply) {
                let some = u128::from(sock.current) * (now - since).as_nanos() / 1_000_000_000;
                let upto = run.at.saturating_add(some as u64);
                let upto = upto.min(run.claimed).min(Self::supply(run));
                self.write(conn, upto);
            }
            self.end(conn, Err(Failure::Cancelled { signal: 0 }), false);
        }
        self.socks.remove(&conn);
    }
}

fn dead_on_arrival(attempt: Attempt) -> ConnEvent {
    ConnEvent::Ended(Ended {
        attempt,
        result: Err(Failure::Stale),
        reusable: false,
        reused: true,
        first_byte: None,
        busy: Duration::ZERO,
    })
}

fn in_time(bytes: u64, rate: u64) -> Duration {
    Duration::from_nanos((u128::from(bytes) * 1_000_000_000 / u128::from(rate)) as u64)
}
