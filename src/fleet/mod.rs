//! Decides about many transfers: which of them an idle connection serves, totals, per-host caps.
//!
//! [`Fleet`] has the shape of [`Transfer`]: events in, commands out, time as an argument. Every
//! transfer numbers its connections and attempts from zero; the fleet gives them numbers of their
//! own, unique in the process, and translates both ways. A connection that one transfer closes
//! while it is open, idle and clean goes to a pool, and the next [`Command::Open`] to the same
//! origin is served from there: the shell sees neither.
#![forbid(unsafe_code)]

mod pool;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use crate::{
    http::redirect::Origin,
    orders::{Attempt, Command, Conn, ConnEvent, Event, Failure, StoreEvent},
    transfer::Transfer,
};
use pool::Pool;

/// The number of a transfer in its fleet, in the order of [`Fleet::add`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransferId(pub u32);

/// What all transfers together may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections.
    pub total: usize,
    /// Connections to one host and port.
    pub per_host: usize,
}

/// Many downloads over one set of connections.
#[derive(Debug)]
pub struct Fleet {
    limits: Limits,
    members: Vec<Member>,
    conns: BTreeMap<Conn, Wire>,
    pool: Pool,
    next_conn: u32,
    next_attempt: u64,
    commands: VecDeque<(TransferId, Command)>,
    now: Duration,
}

/// A transfer, and its numbers for what the fleet numbers otherwise.
#[derive(Debug)]
struct Member {
    transfer: Transfer,
    conns: BTreeMap<Conn, Conn>,
}

/// A connection that belongs to a transfer.
#[derive(Debug)]
struct Wire {
    owner: TransferId,
    /// The owner's number for it.
    local: Conn,
    origin: Option<Origin>,
    peer: Option<std::net::IpAddr>,
    open: bool,
    /// The shell was told to close it.
    closing: bool,
    /// The request that runs on it: the fleet's number and the owner's.
    attempt: Option<(Attempt, Attempt)>,
}

impl Fleet {
    /// A fleet without members.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            members: Vec::new(),
            conns: BTreeMap::new(),
            pool: Pool::default(),
            next_conn: 0,
            next_attempt: 0,
            commands: VecDeque::new(),
            now: Duration::ZERO,
        }
    }

    /// Takes a transfer in.
    pub fn add(&mut self, transfer: Transfer) -> TransferId {
        let id = TransferId(u32::try_from(self.members.len()).unwrap_or(u32::MAX));
        self.members.push(Member { transfer, conns: BTreeMap::new() });
        self.share();
        id
    }

    /// Something happened at `now` on a connection, in the fleet's numbers.
    pub fn handle_conn(&mut self, now: Duration, conn: Conn, event: ConnEvent) {
        self.now = self.now.max(now);
        let Some(wire) = self.conns.get_mut(&conn) else {
            if matches!(event, ConnEvent::Failed { .. }) {
                self.pool.remove(conn);
            }
            return;
        };
        let (owner, local) = (wire.owner, wire.local);
        let mut dead = false;
        match &event {
            ConnEvent::Opened { peer, .. } => {
                wire.open = true;
                wire.peer = *peer;
            }
            ConnEvent::Failed { .. } => dead = true,
            ConnEvent::Ended(ended) => {
                dead = !ended.reusable || wire.closing;
            }
            ConnEvent::Head { .. } | ConnEvent::Shrunk { .. } | ConnEvent::Wrote { .. } => {}
        }
        let Some(event) = wire.translate(event) else { return };
        if dead {
            self.forget(conn);
        }
        self.tell(owner, Event::Conn(local, event));
    }

    /// The store of a transfer has answered.
    pub fn handle_store(&mut self, now: Duration, id: TransferId, event: StoreEvent) {
        self.now = self.now.max(now);
        self.tell(id, Event::Store(event));
    }

    /// Stops every transfer, with this failure if it has none of its own.
    pub fn stop(&mut self, now: Duration, failure: Failure) {
        self.now = self.now.max(now);
        for index in 0..self.members.len() {
            self.tell(TransferId(index as u32), Event::Stop(failure.clone()));
        }
    }

    /// Stops one transfer, with this failure if it has none of its own.
    pub fn stop_one(&mut self, now: Duration, id: TransferId, failure: Failure) {
        self.now = self.now.max(now);
        self.tell(id, Event::Stop(failure));
    }

    /// The next thing to do, and for whom.
    pub fn poll(&mut self) -> Option<(TransferId, Command)> {
        loop {
            if let Some(next) = self.commands.pop_front() {
                return Some(next);
            }
            if !self.take_next() {
                return None;
            }
        }
    }

    /// When [`Self::handle_timeout`] must be called at the latest.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        self.members.iter().filter_map(|member| member.transfer.next_timeout()).min()
    }

    /// The time is `now`.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.now = self.now.max(now);
        for member in &mut self.members {
            if member.transfer.next_timeout().is_some_and(|due| due <= now) {
                member.transfer.handle_timeout(now);
            }
        }
        self.share();
    }

    /// One of the transfers.
    ///
    /// # Panics
    /// If `id` is of another fleet.
    #[must_use]
    pub fn transfer(&self, id: TransferId) -> &Transfer {
        &self.members[id.0 as usize].transfer
    }

    /// Whether every transfer is over, and nothing remains to be polled.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.commands.is_empty()
            && self.pool.is_empty()
            && self.members.iter().all(|member| member.transfer.outcome().is_some())
    }

    fn tell(&mut self, id: TransferId, event: Event) {
        if let Some(member) = self.members.get_mut(id.0 as usize) {
            member.transfer.handle(self.now, event);
        }
        self.share();
    }

    /// Moves one command of a transfer into the fleet's own queue: the others may still be
    /// withdrawn by what happens next. Returns whether there was one.
    fn take_next(&mut self) -> bool {
        for index in 0..self.members.len() {
            if let Some(command) = self.members[index].transfer.poll() {
                self.forward(TransferId(index as u32), command);
                return true;
            }
        }
        let over = self.members.iter().all(|member| member.transfer.outcome().is_some());
        if over && let Some(conn) = self.pool.pop() {
            self.commands.push_back((TransferId(0), Command::Close { conn }));
            return true;
        }
        false
    }

    /// Translates one command into the fleet's numbers.
    fn forward(&mut self, id: TransferId, command: Command) {
        let command = match command {
            Command::Open { conn, url, avoid } => {
                let origin = Origin::of(&url);
                if let Some(pooled) = self.pool.take(origin.as_ref()) {
                    return self.adopt(id, conn, pooled);
                }
                self.make_room(id);
                let global = Conn(self.next_conn);
                self.next_conn += 1;
                self.attach(id, conn, global, Wire::new(id, conn, origin));
                Command::Open { conn: global, url, avoid }
            }
            Command::Close { conn } => {
                let Some(global) = self.global(id, conn) else { return };
                if self.keeps(global) {
                    return self.release(global);
                }
                match self.conns.get_mut(&global) {
                    Some(wire) if wire.attempt.is_some() => wire.closing = true,
                    _ => drop(self.forget(global)),
                }
                Command::Close { conn: global }
            }
            Command::Request { conn, attempt, request, accept } => {
                let Some(conn) = self.global(id, conn) else { return };
                let global = Attempt(self.next_attempt);
                self.next_attempt += 1;
                if let Some(wire) = self.conns.get_mut(&conn) {
                    wire.attempt = Some((global, attempt));
                }
                Command::Request { conn, attempt: global, request, accept }
            }
            Command::Receive { conn, attempt, span } => {
                let Some((conn, attempt)) = self.running(id, conn, attempt) else { return };
                Command::Receive { conn, attempt, span }
            }
            Command::Skip { conn, attempt } => {
                let Some((conn, attempt)) = self.running(id, conn, attempt) else { return };
                Command::Skip { conn, attempt }
            }
            Command::Shrink { conn, attempt, end } => {
                let Some((conn, attempt)) = self.running(id, conn, attempt) else { return };
                Command::Shrink { conn, attempt, end }
            }
            command @ (Command::Prepare { .. }
            | Command::Publish { .. }
            | Command::Keep
            | Command::Abandon { .. }
            | Command::Note(_)) => command,
        };
        self.commands.push_back((id, command));
    }

    fn attach(&mut self, id: TransferId, local: Conn, global: Conn, wire: Wire) {
        self.conns.insert(global, wire);
        if let Some(member) = self.members.get_mut(id.0 as usize) {
            member.conns.insert(local, global);
        }
    }

    /// Gives a pooled connection to a transfer, which learns that it is open.
    fn adopt(&mut self, id: TransferId, local: Conn, pooled: pool::Idle) {
        let wire = Wire { peer: pooled.peer, open: true, ..Wire::new(id, local, pooled.origin) };
        let peer = wire.peer;
        self.attach(id, local, pooled.conn, wire);
        let event = ConnEvent::Opened { peer, took: Duration::ZERO };
        self.tell(id, Event::Conn(local, event));
    }

    /// Whether a connection that its owner closes is worth keeping for another transfer.
    fn keeps(&self, conn: Conn) -> bool {
        let Some(wire) = self.conns.get(&conn) else { return false };
        let wanted = self.members.iter().enumerate().any(|(index, member)| {
            index != wire.owner.0 as usize
                && member.transfer.outcome().is_none()
                && member.transfer.origin() == wire.origin
        });
        wire.open && wire.attempt.is_none() && wire.origin.is_some() && wanted
    }

    /// A transfer has no use for this connection any more; another one may have.
    fn release(&mut self, conn: Conn) {
        if let Some(wire) = self.forget(conn) {
            self.pool.put(pool::Idle { conn, origin: wire.origin, peer: wire.peer });
        }
    }

    /// An idle connection gives way to a new one when there are as many as may be.
    fn make_room(&mut self, id: TransferId) {
        if self.conns.len() + self.pool.len() >= self.limits.total
            && let Some(conn) = self.pool.pop()
        {
            self.commands.push_back((id, Command::Close { conn }));
        }
    }

    fn forget(&mut self, conn: Conn) -> Option<Wire> {
        let wire = self.conns.remove(&conn)?;
        if let Some(member) = self.members.get_mut(wire.owner.0 as usize) {
            member.conns.remove(&wire.local);
        }
        Some(wire)
    }

    fn global(&self, id: TransferId, conn: Conn) -> Option<Conn> {
        self.members.get(id.0 as usize)?.conns.get(&conn).copied()
    }

    fn running(&self, id: TransferId, conn: Conn, attempt: Attempt) -> Option<(Conn, Attempt)> {
        let conn = self.global(id, conn)?;
        let (global, local) = self.conns.get(&conn)?.attempt?;
        (local == attempt).then_some((conn, global))
    }

    /// Divides the connections among the transfers that still run: in the order they came, at least
    /// one each while there are enough.
    fn share(&mut self) {
        let running = |member: &Member| member.transfer.outcome().is_none();
        let origins: Vec<_> = self
            .members
            .iter()
            .map(|member| running(member).then(|| member.transfer.origin()))
            .collect();
        let count = origins.iter().flatten().count();
        // Whoever has more than its share now gives it back when it is done with it; until then
        // the others wait.
        let held = |member: &Member| {
            let open = member.conns.values().filter_map(|conn| self.conns.get(conn));
            open.filter(|wire| !wire.closing).count()
        };
        let held: Vec<usize> = self.members.iter().map(held).collect();
        let mut free = self.limits.total.saturating_sub(held.iter().sum());
        let mut total = self.limits.total;
        let mut waiting = count;
        for (index, origin) in origins.iter().enumerate() {
            let Some(origin) = origin else { continue };
            let same = origins.iter().flatten().filter(|other| *other == origin).count();
            let host = (self.limits.per_host / same.max(1)).max(1);
            let share = total.div_ceil(waiting.max(1)).min(host).min(total);
            total -= share;
            waiting -= 1;
            let has = held.get(index).copied().unwrap_or_default();
            let more = share.saturating_sub(has).min(free);
            free -= more;
            if let Some(member) = self.members.get_mut(index) {
                member.transfer.set_allowance(share.min(has + more));
            }
        }
    }
}

impl Wire {
    fn new(owner: TransferId, local: Conn, origin: Option<Origin>) -> Self {
        Self { owner, local, origin, peer: None, open: false, closing: false, attempt: None }
    }

    /// The event in the owner's numbers; `None` if it is about an attempt that is over.
    fn translate(&mut self, event: ConnEvent) -> Option<ConnEvent> {
        let (global, local) = match (&event, self.attempt) {
            (ConnEvent::Opened { .. } | ConnEvent::Failed { .. }, _) => return Some(event),
            (_, Some(numbers)) => numbers,
            (_, None) => return None,
        };
        let mine = |attempt: Attempt| (attempt == global).then_some(local);
        Some(match event {
            ConnEvent::Head { attempt, head } => ConnEvent::Head { attempt: mine(attempt)?, head },
            ConnEvent::Shrunk { attempt, end } => {
                ConnEvent::Shrunk { attempt: mine(attempt)?, end }
            }
            ConnEvent::Wrote { attempt, range } => {
                ConnEvent::Wrote { attempt: mine(attempt)?, range }
            }
            ConnEvent::Ended(ended) => {
                let attempt = mine(ended.attempt)?;
                self.attempt = None;
                ConnEvent::Ended(crate::orders::Ended { attempt, ..ended })
            }
            event @ (ConnEvent::Opened { .. } | ConnEvent::Failed { .. }) => event,
        })
    }
}

#[cfg(test)]
mod tests;
