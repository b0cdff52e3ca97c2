//! One link without a world: small objects octet by octet, tiny buffers, and a machine, a peer and
//! a coordinator that do at every moment whatever they may do.

use std::{
    cell::RefCell,
    fmt::Write,
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use uget::{
    fleet::TransferId,
    http::{self, body::Framing, exchange::Exchange, field::Validators},
    link::{Gate, Job, Limits, Link, Order},
    orders::{Accept, Attempt, ConnEvent, Ended, Expect, Extent, Failure, OPEN_END},
};

use crate::{
    line::End,
    origin::{Reply, Then},
    port::{Deed, Meddling, Mood, Port, Wire},
    referee::Referee,
    rng::Rng,
    stream::Streams,
};

#[test]
fn links_alone() {
    crate::each_seed("links_alone", 20_000, |seed, verbose| Stage::new(seed, verbose).play());
}

/// A link and everything around it.
struct Stage {
    rng: Rng,
    now: Duration,
    stall: Duration,
    wire: Rc<RefCell<Wire>>,
    gate: Arc<Gate>,
    task: Pin<Box<dyn Future<Output = ()>>>,
    over: bool,
    /// Octets a second, of a head and of a body.
    rates: (u64, u64),
    /// Nothing but delays: what comes out is known.
    calm: bool,
    /// Our own delays are so short that a slow peer does not catch up in them.
    steady: bool,
    /// The peer has sent, or will, what nobody asked for.
    unclean: bool,
    verbose: bool,
}

/// One request, and how it is answered.
struct Scene {
    attempt: Attempt,
    accept: Accept,
    /// What is decided about a head.
    order: Option<Order<TransferId>>,
    reply: Reply,
    /// The body as announced is there.
    complete: bool,
}

impl Stage {
    fn new(seed: u64, verbose: bool) -> Self {
        let mut rng = Rng::new(seed);
        let stall = Duration::from_millis(*rng.one_of(&[100, 600, 4_000, 10_000, 10_000, 10_000]));
        let write = *rng.one_of(&[1, 7, 300, 4096, 40_000]);
        let limits = Limits { stall, write, sums: true };
        // Delays of a machine in a hurry may add up to a short limit.
        let calm = stall >= Duration::from_secs(10);
        let long = Duration::from_secs(1 << rng.pick(0..6));
        let mood = Mood {
            short: rng.pick(0..4),
            interrupt: *rng.one_of(&[0, 3, 10]),
            late: *rng.one_of(&[0, 5, 20]),
            lateness: if rng.one_in(8) { long } else { Duration::from_millis(30) },
            busy: rng.pick(0..6),
            business: if rng.one_in(4) { long } else { Duration::from_millis(5) },
            full: if calm { 0 } else { rng.pick(0..60) },
            mute: if calm { 0 } else { rng.pick(0..20) },
            nap: Duration::ZERO,
            lump: *rng.one_of(&[1, 1, 10, 1448]),
        };
        let drips = stall >= Duration::from_secs(1) && rng.one_in(8);
        let slow = rng.pick(5..25);
        let fast = 10_000 + rng.magnitude(24);
        let rates = match rng.pick(0..2) {
            0 if drips => (slow, slow),
            _ if drips => (fast, slow),
            _ => (fast, fast),
        };
        let gate = Arc::new(Gate::default());
        let referee = Referee::new(Arc::clone(&gate), stall, Duration::ZERO);
        let mut wire = Wire::new(Rng::new(rng.next()), referee, Streams::default());
        wire.mood = mood;
        wire.line.stops = rates.0 != rates.1;
        let wire = Rc::new(RefCell::new(wire));
        // At least a head has to fit.
        let buffer = *rng.one_of(&[limits.buffer(), 512, 700, 512 + write]);
        let port = Port::new(Rc::clone(&wire), buffer);
        let mut link = Link::new(port, Arc::clone(&gate), limits, None);
        Self {
            rng,
            now: Duration::from_secs(1),
            stall,
            wire,
            gate,
            task: Box::pin(async move { link.serve().await }),
            over: false,
            rates,
            calm,
            steady: mood.lateness.max(mood.business) < Duration::from_millis(100),
            unclean: false,
            verbose,
        }
    }

    /// Requests as long as the connection lasts, and a while.
    fn play(mut self) -> Result<(), String> {
        for number in 0..self.rng.pick(1..6) {
            let scene = self.scene(Attempt(number));
            self.now += self.rng.millis(0..1_000);
            if !self.calm {
                self.meddle(&scene);
                self.surprise();
            }
            let expected = self.expected(&scene);
            self.unclean |= scene.reply.then != Then::Clean;
            let ended = self.run(scene)?;
            if let Some(expected) = expected
                && !expected.fits(&ended)
            {
                return Err(format!("{expected:?} was expected: {ended:?}"));
            }
            // It may have been told to stop just when it had ended.
            if !ended.reusable || self.wire.borrow().aborted {
                return if self.over { Ok(()) } else { Err("a link that does not end".into()) };
            }
        }
        self.wire.borrow_mut().hung_up = true;
        self.poll()?;
        if self.over { Ok(()) } else { Err("a link that does not end".into()) }
    }

    /// A request and its answer.
    fn scene(&mut self, attempt: Attempt) -> Scene {
        let rng = &mut self.rng;
        let total = 1 + rng.magnitude(13);
        let start = rng.pick(0..total);
        let part = rng.one_in(2);
        let asked = if part { start..rng.pick(start + 1..total + 1) } else { 0..total };
        // A legal answer may be shorter.
        let sent = if part && rng.one_in(4) {
            asked.start..rng.pick(asked.start + 1..asked.end + 1)
        } else {
            asked.clone()
        };
        let framing = match rng.pick(0..4) {
            0 => Framing::Chunked,
            1 => Framing::Close,
            _ => Framing::Length(sent.end - sent.start),
        };
        let mut reply = reply(rng, &sent, part.then_some(total), framing);
        let mut complete = true;
        if rng.one_in(3) {
            reply.length = rng.pick(0..reply.length + 1);
            complete = reply.length == sent.end - sent.start && framing != Framing::Chunked;
            reply.then = match rng.pick(0..4) {
                0 => Then::Fin,
                1 => Then::Stall,
                2 if framing == Framing::Chunked => Then::Garbage(http::Error::BadChunk("size")),
                _ => Then::Reset,
            };
            // Nobody can tell that a body which ends with the connection was cut cleanly.
            if framing == Framing::Close && reply.then == Then::Fin {
                (reply.length, complete) = (sent.end - sent.start, true);
            }
        } else if framing == Framing::Close {
            reply.then = Then::Fin;
        }
        let (accept, order) = if part {
            let expect = Expect {
                range: asked,
                extent: Extent::all(total),
                validators: Validators::default(),
            };
            (Accept::Part(expect), None)
        } else {
            let known = matches!(framing, Framing::Length(_));
            let span = 0..if known { total } else { OPEN_END };
            let order = match rng.one_in(5) {
                true => Order::Skip { attempt },
                false => Order::Receive { attempt, span, sink: OWNER },
            };
            (Accept::Ask, Some(order))
        };
        Scene { attempt, accept, order, reply, complete }
    }

    /// The coordinator interferes at some moment.
    fn meddle(&mut self, scene: &Scene) {
        let span = match (&scene.accept, &scene.order) {
            (Accept::Part(expect), _) => expect.range.clone(),
            (_, Some(Order::Receive { span, .. })) => span.clone(),
            _ => 0..1,
        };
        let what = match self.rng.pick(0..4) {
            0 => Meddling::Abort,
            1 | 2 => {
                let end = span.end.min(span.start + 10_000);
                Meddling::Shrink(scene.attempt, self.rng.pick(span.start..end + 1))
            }
            _ => return,
        };
        let calls = self.rng.magnitude(8);
        self.wire.borrow_mut().meddle = Some((calls, what, Arc::clone(&self.gate)));
    }

    /// The peer does something while the connection is idle.
    fn surprise(&mut self) {
        let mut wire = self.wire.borrow_mut();
        match self.rng.pick(0..12) {
            0 => {
                wire.unasked += UNASKED.len() as u64;
                wire.line.send(self.now, UNASKED);
            }
            1 => wire.line.finish(self.now, End::Closed),
            2 => wire.line.finish(self.now, End::Reset),
            _ => return,
        }
        self.unclean = true;
    }

    /// What has to come of it, where that is certain.
    fn expected(&self, scene: &Scene) -> Option<Expected> {
        if !self.calm || self.unclean {
            return None;
        }
        let head = scene.reply.octets.len() as u64;
        let slowly = |octets: u64, rate| octets > 2 * rate * self.stall.as_secs().max(1);
        let framing = scene.reply.answer.head.framing();
        let plain = framing != Ok(Framing::Chunked);
        let skipped = matches!(scene.order, Some(Order::Skip { .. }));
        Some(if self.rates.0 < 32 && slowly(head, self.rates.0) && self.steady {
            Expected::TimedOut
        } else if self.rates.1 < 32 {
            // It depends on how little is left behind the last window.
            match !skipped && slowly(scene.reply.length, 16) {
                true if self.rates.1 < 16 && self.steady && plain => Expected::TimedOut,
                _ => return None,
            }
        } else if skipped {
            Expected::Success { reusable: None }
        } else if scene.complete {
            let clean = scene.reply.then == Then::Clean;
            let keeps = clean && scene.reply.answer.keep_alive;
            // What follows a complete body may have come with it, or not.
            let reusable = if clean || !scene.reply.answer.keep_alive { Some(keeps) } else { None };
            // Its end is part of a body that ends with the connection.
            match (framing, &scene.reply.then) {
                (Ok(Framing::Close), Then::Reset | Then::Stall) => Expected::Failure,
                _ => Expected::Success { reusable },
            }
        } else {
            match scene.reply.then {
                Then::Stall => Expected::TimedOut,
                Then::Fin => Expected::Short,
                _ => Expected::Failure,
            }
        })
    }

    /// Plays one scene to its end.
    fn run(&mut self, mut scene: Scene) -> Result<Ended, String> {
        if let Accept::Part(expect) = &scene.accept {
            self.gate.lease(scene.attempt, expect.range.start, expect.range.end);
        }
        let (attempt, accept) = (scene.attempt, scene.accept.clone());
        {
            let mut wire = self.wire.borrow_mut();
            wire.referee.begin(attempt, OWNER, &accept);
            let sink = Some(OWNER);
            let job = Job { attempt, request: REQUEST.to_vec(), accept, sink };
            wire.orders.push_back(Order::Request(Box::new(job)));
        }
        // When the coordinator's word on a head arrives.
        let mut decision = None;
        for _ in 0..STEPS_MAX {
            for deed in self.poll()? {
                if self.verbose {
                    println!("{:>12.6} {deed:?}", self.now.as_secs_f64());
                }
                match deed {
                    Deed::Reported(ConnEvent::Ended(ended)) => return Ok(ended),
                    Deed::Reported(ConnEvent::Head { head, .. }) => {
                        if head.status == 408 {
                            // It came unasked, just as something was asked.
                            scene.order = Some(Order::Skip { attempt });
                        }
                        let soon = Duration::from_micros(self.rng.magnitude(24));
                        decision = Some(self.now + soon);
                    }
                    Deed::Sent(_) => self.answer(&scene.reply),
                    _ => {}
                }
            }
            let wake = self.wire.borrow().wake;
            let next = [wake, decision].into_iter().flatten().min();
            self.now = next.ok_or("it waits for nothing")?.max(self.now);
            if decision.is_some_and(|at| at <= self.now) {
                decision = None;
                self.wire.borrow_mut().orders.extend(scene.order.take());
            }
        }
        Err("it never ends".to_owned())
    }

    fn pace(&self, wire: &mut Wire) {
        let rate = if wire.line.is_in_body() { self.rates.1 } else { self.rates.0 };
        wire.line.advance(self.now, rate);
    }

    fn poll(&mut self) -> Result<Vec<Deed>, String> {
        let mut wire = self.wire.borrow_mut();
        wire.tick(self.now, self.rates.0);
        self.pace(&mut wire);
        drop(wire);
        if !self.over {
            let context = &mut Context::from_waker(Waker::noop());
            self.over = self.task.as_mut().poll(context).is_ready();
        }
        let mut wire = self.wire.borrow_mut();
        self.pace(&mut wire);
        match wire.referee.violations.pop() {
            Some(violation) => Err(violation),
            None => {
                let deeds = std::mem::take(&mut wire.deeds);
                if deeds.iter().any(|deed| matches!(deed, Deed::Sent(_))) {
                    wire.wake = Some(self.now);
                }
                Ok(deeds)
            }
        }
    }

    /// The peer has the request.
    fn answer(&mut self, reply: &Reply) {
        let mut wire = self.wire.borrow_mut();
        if wire.line.is_over() {
            return;
        }
        let starts = self.now + self.rng.millis(0..50);
        wire.referee.answered(reply);
        if !self.calm && self.rng.one_in(20) {
            // Dead before the first octet.
            wire.line.finish(starts, *self.rng.one_of(&[End::Closed, End::Reset]));
            return;
        }
        wire.line.answer(starts, reply, &mut self.rng);
        if !self.calm && self.rng.one_in(5) {
            match self.rng.pick(0..2) {
                0 if reply.then != Then::Clean => {}
                0 => {
                    wire.unasked += 7;
                    wire.line.send(starts, b"GARBAGE");
                }
                _ => {
                    let left = self.rng.pick(0..wire.line.queued() + 1);
                    // See `scene`.
                    let closes = reply.answer.head.framing() == Ok(Framing::Close);
                    let end = if closes { End::Reset } else { End::Closed };
                    wire.line.cut(left, end);
                }
            }
        }
    }
}

/// What has to come of an attempt.
#[derive(Debug)]
enum Expected {
    Success { reusable: Option<bool> },
    TimedOut,
    Short,
    Failure,
}

impl Expected {
    fn fits(&self, ended: &Ended) -> bool {
        match (self, &ended.result) {
            (Self::Success { reusable }, Ok(())) => reusable.is_none_or(|r| r == ended.reusable),
            (Self::TimedOut, Err(Failure::Timeout { .. }))
            | (Self::Short, Err(Failure::ShortBody { .. }))
            | (Self::Failure, Err(_)) => true,
            _ => false,
        }
    }
}

/// An honest answer with the bytes of `sent`, of `total`, which makes it a part.
fn reply(
    rng: &mut Rng,
    sent: &std::ops::Range<u64>,
    total: Option<u64>,
    framing: Framing,
) -> Reply {
    let mut text = String::new();
    for _ in 0..rng.pick(0..8).saturating_sub(5) {
        text.push_str("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
    }
    text.push_str(if total.is_some() { "HTTP/1.1 206 Part\r\n" } else { "HTTP/1.1 200 OK\r\n" });
    let _ = match framing {
        Framing::Length(length) => write!(text, "Content-Length: {length}\r\n"),
        Framing::Chunked => write!(text, "Transfer-Encoding: chunked\r\n"),
        Framing::Close => write!(text, "Connection: close\r\n"),
    };
    if let Some(total) = total {
        let (start, last) = (sent.start, sent.end - 1);
        let _ = write!(text, "Content-Range: bytes {start}-{last}/{total}\r\n");
    }
    if framing != Framing::Close && rng.one_in(5) {
        text.push_str("Connection: close\r\n");
    }
    text.push_str("\r\n");
    let answer = match Exchange::default().head(text.as_bytes()) {
        Ok((_, Some(answer))) => answer,
        other => panic!("a bad head: {other:?}\n{text}"),
    };
    Reply {
        answer,
        octets: text.into_bytes(),
        think: Duration::ZERO,
        version: 3,
        offset: sent.start,
        length: sent.end - sent.start,
        then: Then::Clean,
    }
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

const UNASKED: &[u8] = b"HTTP/1.1 408 Request Timeout\r\n\r\n";

/// Whose bytes they are.
const OWNER: TransferId = TransferId(4);

/// More steps than any attempt here takes.
const STEPS_MAX: usize = 200_000;
