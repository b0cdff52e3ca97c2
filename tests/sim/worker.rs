//! The world's side of the data plane: connections that come into being, peers that answer, and the
//! real links between them.

use std::{
    cell::RefCell,
    future::Future,
    ops::Range,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use uget::{
    fleet::TransferId,
    http::request::Request,
    link::{Gate, Job, Limits, Link, Order},
    orders::{Accept, Attempt, Conn, ConnEvent, Failure, Phase},
};

use crate::{
    line::End,
    origin::Reaction,
    port::{Deed, Mood, Port, Wire},
    referee::Referee,
    rng::Rng,
    site::Refusal,
    world::{What, World},
};

/// One connection: the socket as the server has it, and the link that works on it.
pub(crate) struct Sock {
    pub(crate) host: usize,
    /// The server has taken it; it counts against its limit.
    pub(crate) open: bool,
    /// It is one too many for the server.
    surplus: Option<Refusal>,
    rate: u64,
    /// Steps that were planned for an earlier state are void.
    generation: u64,
    gate: Arc<Gate>,
    wire: Rc<RefCell<Wire>>,
    /// The link, once it is connected.
    task: Option<Pin<Box<dyn Future<Output = ()>>>>,
    /// What was ordered and not sent yet.
    request: Option<(TransferId, Request)>,
}

/// Something that happens on a connection by itself.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Connected,
    Failed(Failure),
    /// The link has waited for this moment.
    Due,
    /// The server closes it.
    Hangup(End),
}

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
        let lame = self.hosts[host].lame.filter(|(every, _)| (conn.0 + 1).is_multiple_of(*every));
        let factor = factor * lame.map_or(1, |(_, times)| times);
        let rate = (self.hosts[host].rate / factor).max(self.slowest());
        let gate = Arc::new(Gate::default());
        let referee = Referee::new(Arc::clone(&gate), STALL, self.mood.nap);
        let wire = Rc::new(RefCell::new(Wire::new(
            Rng::new(self.rng.next()),
            referee,
            Rc::clone(&self.streams),
        )));
        let sock = Sock {
            host,
            open: false,
            surplus,
            rate,
            generation: 0,
            gate,
            wire,
            task: None,
            request: None,
        };
        self.socks.insert(conn, sock);
        let trip = self.hosts[host].round_trip + Duration::from_micros(50);
        let fault = self.fault_in(4);
        match (surplus, fault) {
            (Some(Refusal::Refuse), _) => self.plan(conn, trip, Step::Failed(refused())),
            (_, true) if self.rng.one_in(4) => {
                let failure = Failure::Timeout { phase: Phase::Connect, limit: CONNECT };
                self.plan(conn, CONNECT, Step::Failed(failure));
            }
            (_, true) => self.plan(conn, trip, Step::Failed(refused())),
            _ => {
                if surplus.is_none() {
                    self.socks.get_mut(&conn).expect("just made").open = true;
                }
                self.plan(conn, trip, Step::Connected);
            }
        }
    }

    /// Below this rate a world would take long and tell nothing new.
    fn slowest(&self) -> u64 {
        let places = self.sites.iter().flat_map(|site| &site.places);
        let versions = places.flat_map(|place| &place.editions).map(|(_, edition)| edition);
        let longest = versions.map(|version| version.length).max().unwrap_or(0);
        if self.even { 40_000 } else { (longest / 40).max(40_000) }
    }

    pub(crate) fn worker_request(
        &mut self,
        owner: TransferId,
        conn: Conn,
        attempt: Attempt,
        request: &Request,
        accept: Accept,
    ) {
        let Some(sock) = self.socks.get_mut(&conn) else {
            return self.witness.violations.push(format!("a request on {conn:?}, which is over"));
        };
        if let Accept::Part(expect) = &accept {
            sock.gate.lease(attempt, expect.range.start, expect.range.end);
        }
        sock.request = Some((owner, request.clone()));
        let mut wire = sock.wire.borrow_mut();
        wire.referee.begin(attempt, owner, &accept);
        let job = Job { attempt, request: request.encode(), accept, sink: Some(owner) };
        wire.orders.push_back(Order::Request(Box::new(job)));
        drop(wire);
        self.drive(conn);
    }

    pub(crate) fn step(&mut self, conn: Conn, generation: u64, step: Step) {
        let Some(sock) = self.socks.get_mut(&conn) else { return };
        if sock.generation != generation && !matches!(step, Step::Hangup(_)) {
            return;
        }
        match step {
            Step::Connected => {
                let took = self.hosts[sock.host].round_trip;
                let limits = Limits { write: self.write, ..LIMITS };
                let port = Port::new(Rc::clone(&sock.wire), limits.buffer());
                let mut link = Link::new(port, Arc::clone(&sock.gate), limits, None);
                sock.task = Some(Box::pin(async move { link.serve().await }));
                self.emit(conn, ConnEvent::Opened { peer: None, took });
                self.drive(conn);
            }
            Step::Failed(failure) => {
                self.socks.remove(&conn);
                self.emit(conn, ConnEvent::Failed { failure });
            }
            Step::Due => self.drive(conn),
            Step::Hangup(end) => {
                // Between requests, or just as one is under way.
                let mut wire = sock.wire.borrow_mut();
                if !wire.referee.is_answering() {
                    wire.line.finish(self.now, end);
                }
                drop(wire);
                self.drive(conn);
            }
        }
    }

    /// The rate of a connection now.
    fn rate(&self, conn: Conn) -> u64 {
        let sock = &self.socks[&conn];
        let host = sock.host;
        let Some(cap) = self.hosts[host].capped else { return sock.rate };
        let socks = || self.socks.values().filter(|other| other.host == host);
        let flowing = socks().filter(|other| other.wire.borrow().line.is_flowing()).count();
        let fair = cap / flowing.max(1) as u64;
        for other in socks() {
            other.wire.borrow_mut().line.advance(self.now, other.rate.min(fair));
        }
        sock.rate.min(fair).max(1)
    }

    /// Lets a link run until it waits.
    fn drive(&mut self, conn: Conn) {
        loop {
            if !self.socks.contains_key(&conn) {
                return;
            }
            let (rate, faulty) = (self.rate(conn), self.faulty());
            let sock = self.socks.get_mut(&conn).expect("looked at above");
            let mut wire = sock.wire.borrow_mut();
            wire.mood = if faulty { self.mood } else { self.mood.healed() };
            wire.tick(self.now, rate);
            drop(wire);
            let Some(task) = &mut sock.task else { return };
            let over = task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
            let mut wire = sock.wire.borrow_mut();
            let (deeds, wake) = (std::mem::take(&mut wire.deeds), wire.wake);
            self.witness.violations.append(&mut wire.referee.violations);
            drop(wire);
            let mut again = false;
            for deed in deeds {
                again |= matches!(deed, Deed::Sent(_));
                self.did(conn, deed);
            }
            if over {
                self.socks.remove(&conn);
                return;
            }
            if !again {
                let sock = self.socks.get_mut(&conn).expect("only its end removes it");
                sock.generation += 1;
                if let Some(wake) = wake {
                    self.plan(conn, wake.saturating_sub(self.now), Step::Due);
                }
                return;
            }
        }
    }

    /// What a link did has its effect.
    fn did(&mut self, conn: Conn, deed: Deed) {
        match deed {
            Deed::Sent(bytes) => self.answer(conn, &bytes),
            Deed::Wrote { owner, range, source } => {
                self.members[owner.0 as usize].disk.part.write(range, source);
                self.offer(owner);
            }
            Deed::Skipped => self.skipped_closed += 1,
            Deed::Reported(event) => {
                let idle = matches!(&event, ConnEvent::Ended(ended) if ended.reusable);
                self.emit(conn, event);
                if idle && self.fault_in(15) {
                    let (delay, end) = (self.rng.millis(0..200), self.some_end());
                    self.plan(conn, delay, Step::Hangup(end));
                }
            }
        }
    }

    fn some_end(&mut self) -> End {
        *self.rng.one_of(&[End::Closed, End::Reset])
    }

    /// A request has arrived at the server.
    fn answer(&mut self, conn: Conn, bytes: &[u8]) {
        let sock = self.socks.get_mut(&conn).expect("it has just sent something");
        let (host, surplus) = (sock.host, sock.surplus);
        let Some((owner, request)) = sock.request.take().filter(|(_, r)| r.encode() == bytes)
        else {
            return self.witness.violations.push("sent what was not ordered".into());
        };
        if sock.wire.borrow().line.is_over() {
            return;
        }
        let reaction = self.react(owner, host, surplus, &request);
        let starts = self.now + self.hosts[host].round_trip + Duration::from_micros(20);
        let end = self.some_end();
        let wire = Rc::clone(&self.socks[&conn].wire);
        let mut wire = wire.borrow_mut();
        match reaction {
            Reaction::Reply(reply) => {
                wire.referee.answered(&reply);
                wire.line.answer(starts + reply.think, &reply, &mut self.rng);
            }
            Reaction::Garbage => wire.line.send(starts, b"SSH-2.0-OpenSSH\r\n\r\n"),
            Reaction::Reset => wire.line.finish(starts, end),
            Reaction::Silence => {}
        }
    }

    /// The body is believed and lies at `span`.
    pub(crate) fn receive(&mut self, conn: Conn, attempt: Attempt, span: Range<u64>) {
        let owner = self.witness.owner(conn);
        let Some(sock) = self.socks.get(&conn) else { return };
        let Some(sink) = owner else { return };
        sock.wire.borrow_mut().orders.push_back(Order::Receive { attempt, span, sink });
        self.drive(conn);
    }

    pub(crate) fn worker_skip(&mut self, conn: Conn, attempt: Attempt) {
        let Some(sock) = self.socks.get(&conn) else { return };
        sock.wire.borrow_mut().orders.push_back(Order::Skip { attempt });
        self.drive(conn);
    }

    pub(crate) fn worker_shrink(&mut self, conn: Conn, attempt: Attempt, end: u64) {
        let Some(sock) = self.socks.get(&conn) else { return };
        let Some(end) = sock.gate.shrink(attempt, end) else { return };
        sock.wire.borrow_mut().referee.shrunk(attempt, end);
        self.emit(conn, ConnEvent::Shrunk { attempt, end });
    }

    pub(crate) fn worker_close(&mut self, conn: Conn) {
        let Some(sock) = self.socks.get(&conn) else { return };
        sock.gate.abort();
        sock.wire.borrow_mut().abort();
        if sock.task.is_some() {
            self.drive(conn);
        } else {
            self.socks.remove(&conn);
        }
    }
}

/// What may go wrong under the links of one world.
pub(crate) fn mood(rng: &mut Rng, faults: bool, small: bool) -> Mood {
    // Every octet of a slow line, and every 20 ms of it, would be too much for every world.
    let close = small && rng.one_in(2);
    let (nap, lump) = if close { (Duration::ZERO, 1448 * 10) } else { (NAP, 256 << 10) };
    let sound = Mood { short: 20, interrupt: 20, nap, lump, ..Mood::default() };
    if !faults {
        return sound;
    }
    Mood {
        late: 50,
        lateness: Duration::from_millis(1 << rng.pick(0..12)),
        busy: 50,
        business: Duration::from_millis(1 << rng.pick(0..6)),
        full: 500,
        mute: 200,
        ..sound
    }
}

fn refused() -> Failure {
    let (target, reason) = ("h.test:80".into(), "connection refused".into());
    Failure::Connect { target, reason, errno: 111 }
}

/// The sizes and times that links keep to.
pub(crate) const LIMITS: Limits = Limits { stall: STALL, write: 1 << 20, sums: true };

/// `--stall-timeout`.
const STALL: Duration = Duration::from_secs(30);

/// `--connect-timeout`.
const CONNECT: Duration = Duration::from_secs(10);

/// How often a link looks up in a world that is not looked at closely.
const NAP: Duration = Duration::from_millis(400);
