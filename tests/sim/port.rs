//! The machine under a real [`uget::link::Link`]: a socket, a clock and a disk that are simulated,
//! and that do whatever theirs may do.

use std::{
    cell::RefCell, collections::VecDeque, future::poll_fn, ops::Range, rc::Rc, sync::Arc,
    task::Poll, time::Duration,
};

use uget::{
    fleet::TransferId,
    link::{Broken, FLUSH_AFTER, Gate, Idle, Io, Order},
    orders::{Attempt, ConnEvent, Failure, StoreOp},
};

use crate::{
    file::Source,
    line::{End, Line},
    referee::Referee,
    rng::Rng,
    stream::Streams,
};

/// What a link and the world share.
pub(crate) struct Wire {
    pub(crate) now: Duration,
    pub(crate) line: Line,
    pub(crate) orders: VecDeque<Order<TransferId>>,
    /// No further order comes.
    pub(crate) hung_up: bool,
    /// The coordinator has shut the socket down.
    pub(crate) aborted: bool,
    pub(crate) mood: Mood,
    pub(crate) rng: Rng,
    pub(crate) referee: Referee,
    streams: Streams,
    /// What the link did since the world looked.
    pub(crate) deeds: Vec<Deed>,
    /// When the link is to be looked at next.
    pub(crate) wake: Option<Duration>,
    /// Octets that belong to no answer.
    pub(crate) unasked: u64,
    /// What the coordinator does after so many further calls, from its own thread.
    pub(crate) meddle: Option<(u64, Meddling, Arc<Gate>)>,
}

/// What a coordinator does to a connection at work.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Meddling {
    Abort,
    Shrink(Attempt, u64),
}

/// What a link did.
#[derive(Debug)]
pub(crate) enum Deed {
    Sent(Vec<u8>),
    Wrote {
        owner: TransferId,
        range: Range<u64>,
        source: Source,
    },
    /// A body was passed over, and the connection lost by it.
    Skipped,
    Reported(ConnEvent),
}

/// How often something is not as it usually is: once in so many times, 0 for never.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mood {
    /// A receive brings less than there is.
    pub(crate) short: u64,
    /// A receive is interrupted.
    pub(crate) interrupt: u64,
    /// A wait ends late, and by up to how much.
    pub(crate) late: u64,
    pub(crate) lateness: Duration,
    /// A write takes its time, and up to how much.
    pub(crate) busy: u64,
    pub(crate) business: Duration,
    /// A write fails.
    pub(crate) full: u64,
    /// A request cannot be sent.
    pub(crate) mute: u64,
    /// Nobody looks more often than this.
    pub(crate) nap: Duration,
    /// The network delivers so many octets at a time, if there are as many.
    pub(crate) lump: usize,
}

impl Mood {
    /// What goes on when nothing goes wrong any more.
    pub(crate) fn healed(self) -> Self {
        let Self { short, interrupt, nap, lump, .. } = self;
        Self { short, interrupt, nap, lump, ..Self::default() }
    }
}

impl Wire {
    pub(crate) fn new(rng: Rng, referee: Referee, streams: Streams) -> Self {
        Self {
            streams,
            now: Duration::ZERO,
            line: Line::new(),
            orders: VecDeque::new(),
            hung_up: false,
            aborted: false,
            mood: Mood::default(),
            rng,
            referee,
            deeds: Vec::new(),
            wake: None,
            unasked: 0,
            meddle: None,
        }
    }

    /// It is `now`, and the line flows at `rate`.
    pub(crate) fn tick(&mut self, now: Duration, rate: u64) {
        self.now = self.now.max(now);
        self.line.advance(self.now, rate);
        self.wake = None;
    }

    /// The coordinator closes the connection.
    pub(crate) fn abort(&mut self) {
        self.aborted = true;
        self.hung_up = true;
        self.referee.abort();
    }

    /// The link has called, and another thread runs meanwhile.
    fn meddle(&mut self) {
        let Some((calls, what, gate)) = &mut self.meddle else { return };
        if *calls > 0 {
            *calls -= 1;
            return;
        }
        match *what {
            Meddling::Abort => {
                gate.abort();
                self.abort();
            }
            Meddling::Shrink(attempt, end) => {
                if let Some(end) = gate.shrink(attempt, end) {
                    self.referee.shrunk(attempt, end);
                }
            }
        }
        self.meddle = None;
    }

    fn once_in(&mut self, n: u64) -> bool {
        n > 0 && self.rng.one_in(n)
    }

    fn up_to(&mut self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.rng.pick(0..most + 1))
    }

    /// How much later than it should a wait ends.
    fn lateness(&mut self) -> Duration {
        if !self.once_in(self.mood.late) {
            return Duration::ZERO;
        }
        let late = self.up_to(self.mood.lateness);
        self.referee.late(late);
        late
    }

    /// How a receive begins.
    fn plan(&mut self, room: usize, fill: bool, patience: Duration) -> Wait {
        let (now, ready) = (self.now, self.line.ready());
        self.referee.receive(now, room);
        let deadline = now + patience.max(self.mood.nap);
        let interrupted = self.once_in(self.mood.interrupt);
        let interrupt = interrupted.then(|| now + self.up_to(patience));
        let wanted = if fill { room.min(LOW_WATER) } else { room.min(self.mood.lump) } as u64;
        let late = if ready < wanted { self.lateness() } else { Duration::ZERO };
        Wait { began: now, wanted, deadline, interrupt, late, fill }
    }

    /// What a receive comes to, unless it goes on.
    fn receive(&mut self, wait: &Wait, room: &mut [u8]) -> Poll<Result<Option<usize>, Broken>> {
        let wanted = if wait.fill { wait.wanted } else { self.line.lump(wait.wanted) };
        let due = self.line.when(wanted).map_or(wait.deadline, |due| due.min(wait.deadline));
        let interrupted = wait.interrupt.is_some_and(|at| at < due);
        let due = wait.interrupt.map_or(due, |at| at.min(due));
        if self.now < due && !self.aborted {
            self.wake = Some(due + wait.late);
            return Poll::Pending;
        }
        if interrupted && !wait.fill && !self.aborted {
            return Poll::Ready(Ok(None));
        }
        if self.line.ready() > 0 && !room.is_empty() {
            let mut most = room.len();
            // After a nap, little would look like a peer that sends little.
            let soon = self.now - wait.began < FLUSH_AFTER;
            if soon && self.once_in(self.mood.short) {
                let there = self.line.ready().min(most as u64);
                most = self.rng.pick(1..there + 1) as usize;
            }
            let taken = self.line.take(&mut room[..most]);
            self.referee.received(self.now, taken);
            return Poll::Ready(Ok(Some(taken.octets)));
        }
        Poll::Ready(match self.line.end() {
            _ if self.aborted => Ok(Some(0)),
            Some(End::Closed) => Ok(Some(0)),
            Some(End::Reset) => Err(Broken { errno: CONNRESET }),
            Some(End::Open) | None => Ok(None),
        })
    }

    fn sent(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let fault = self.once_in(self.mood.mute);
        let errno = match self.line.end() {
            _ if self.aborted => Some(PIPE),
            Some(End::Reset) => Some(*self.rng.one_of(&[PIPE, CONNRESET])),
            _ if fault => {
                self.line.cut(0, End::Reset);
                Some(*self.rng.one_of(&[PIPE, CONNRESET, TIMEDOUT]))
            }
            _ => None,
        };
        self.referee.sent(self.now, errno);
        match errno {
            Some(errno) => Err(Broken { errno }),
            None => {
                self.deeds.push(Deed::Sent(bytes.to_vec()));
                Ok(())
            }
        }
    }

    /// Whether a stream has room, or it is a file. What is leased as a part has its room.
    fn has_room(&mut self, owner: TransferId, range: Range<u64>) -> bool {
        let streams = self.streams.borrow();
        let Some(stream) = streams.get(owner.0 as usize).and_then(Option::as_ref) else {
            return true;
        };
        let room = stream.has_room(&range);
        let is_part = self.referee.is_part();
        let wrong = match &room {
            Ok(false) if is_part => Some(format!("{range:?} is beyond the window")),
            Ok(_) => None,
            Err(wrong) => Some(wrong.clone()),
        };
        drop(streams);
        self.referee.violations.extend(wrong);
        room.unwrap_or(true)
    }

    /// A write of `octets` at `offset` comes to its end.
    fn write(&mut self, owner: TransferId, octets: &[u8], offset: u64) -> Result<(), Failure> {
        let fault = self.once_in(self.mood.full);
        let len = octets.len() as u64;
        let some = if fault { self.rng.pick(0..len) } else { len };
        let source = self.referee.write(owner, octets, offset);
        self.deeds.push(Deed::Wrote { owner, range: offset..offset + some, source });
        if fault {
            let errno = *self.rng.one_of(&[NOSPC, IO]);
            self.referee.unwritten();
            let (op, path, reason) = (StoreOp::Write, "part".to_owned(), "no space".to_owned());
            return Err(Failure::Store { op, path, errno, reason });
        }
        self.referee.wrote(offset + len);
        if let Some(Some(stream)) = self.streams.borrow_mut().get_mut(owner.0 as usize) {
            stream.fill(offset..offset + len);
        }
        Ok(())
    }
}

/// A receive that goes on.
#[derive(Debug)]
struct Wait {
    began: Duration,
    /// Octets that wake it.
    wanted: u64,
    /// When it ends without them.
    deadline: Duration,
    interrupt: Option<Duration>,
    late: Duration,
    fill: bool,
}

/// A link's side of a [`Wire`].
pub(crate) struct Port {
    wire: Rc<RefCell<Wire>>,
    buffer: Vec<u8>,
}

impl Port {
    pub(crate) fn new(wire: Rc<RefCell<Wire>>, length: usize) -> Self {
        let mut buffer = BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_default();
        buffer.resize(length, 0);
        Self { wire, buffer }
    }

    /// Lets time pass until `until`, or until the socket is shut down if that matters.
    async fn sleep(&self, until: Duration, socket: bool) {
        poll_fn(|_| {
            let mut wire = self.wire.borrow_mut();
            if wire.now >= until || (socket && wire.aborted) {
                return Poll::Ready(());
            }
            wire.wake = Some(until);
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        // A new one would be pages that the kernel has to find and clear.
        let buffer = std::mem::take(&mut self.buffer);
        BUFFERS.with_borrow_mut(|buffers| buffers.push(buffer));
    }
}

impl Io for Port {
    type Sink = TransferId;

    fn now(&self) -> Duration {
        let mut wire = self.wire.borrow_mut();
        wire.meddle();
        wire.now
    }

    fn report(&mut self, event: ConnEvent) {
        let mut wire = self.wire.borrow_mut();
        let (now, left) = (wire.now, wire.line.queued().saturating_sub(wire.unasked));
        let lost = matches!(&event, ConnEvent::Ended(ended) if !ended.reusable);
        if lost && wire.referee.is_skipped() {
            wire.deeds.push(Deed::Skipped);
        }
        wire.referee.report(now, &event, left);
        wire.deeds.push(Deed::Reported(event));
    }

    fn buffer(&mut self) -> &mut [u8] {
        self.wire.borrow_mut().meddle();
        &mut self.buffer
    }

    async fn order(&mut self) -> Option<Order<TransferId>> {
        poll_fn(|_| {
            let mut wire = self.wire.borrow_mut();
            match wire.orders.pop_front() {
                None if !wire.hung_up => Poll::Pending,
                order => {
                    let now = wire.now;
                    wire.referee.order(order.as_ref(), now);
                    Poll::Ready(order)
                }
            }
        })
        .await
    }

    async fn send(&mut self, bytes: Vec<u8>) -> Result<(), Broken> {
        let until = {
            let mut wire = self.wire.borrow_mut();
            wire.now + wire.lateness()
        };
        self.sleep(until, true).await;
        self.wire.borrow_mut().sent(&bytes)
    }

    async fn receive(
        &mut self,
        room: Range<usize>,
        fill: bool,
        patience: Duration,
    ) -> Result<Option<usize>, Broken> {
        let wait = self.wire.borrow_mut().plan(room.len(), fill, patience);
        let (wire, buffer) = (&self.wire, &mut self.buffer);
        poll_fn(|_| wire.borrow_mut().receive(&wait, &mut buffer[room.clone()])).await
    }

    async fn write(
        &mut self,
        sink: &TransferId,
        from: Range<usize>,
        offset: u64,
    ) -> Result<bool, Failure> {
        let until = {
            let mut wire = self.wire.borrow_mut();
            let (busy, business) = (wire.mood.busy, wire.mood.business);
            let pause = if wire.once_in(busy) { wire.up_to(business) } else { Duration::ZERO };
            wire.referee.paused(pause);
            wire.now + pause
        };
        self.sleep(until, false).await;
        let mut wire = self.wire.borrow_mut();
        if !wire.has_room(*sink, offset..offset + from.len() as u64) {
            return Ok(false);
        }
        wire.write(*sink, &self.buffer[from], offset).map(|()| true)
    }

    async fn pause(&mut self, time: Duration) {
        let until = {
            let mut wire = self.wire.borrow_mut();
            wire.referee.paused(time);
            wire.now + time
        };
        self.sleep(until, false).await;
    }

    fn idle(&self) -> Idle {
        let mut wire = self.wire.borrow_mut();
        let idle = match wire.line.end() {
            _ if wire.line.ready() > 0 => Idle::Octets,
            _ if wire.aborted => Idle::Closed,
            Some(End::Closed | End::Reset) => Idle::Closed,
            Some(End::Open) | None => Idle::Quiet,
        };
        wire.referee.idle(idle);
        idle
    }
}

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// What wakes a receive that waits for much, at the latest.
const LOW_WATER: usize = 1 << 20;

const PIPE: i32 = 32;
const CONNRESET: i32 = 104;
const TIMEDOUT: i32 = 110;
const NOSPC: i32 = 28;
const IO: i32 = 5;
