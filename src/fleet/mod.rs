//! Decides about many transfers: which of them an idle connection serves, totals, per-host caps.
//!
//! [`Fleet`] has the shape of [`Transfer`]: events in, commands out, time as an argument. Every
//! transfer numbers its connections and attempts within a range of its own, so that the shell, the
//! fleet and its members mean the same by a number. A connection that one transfer closes while it
//! is open, idle and clean goes to a pool, and the next [`Command::Open`] to the same origin is
//! served from there: the shell sees neither.
//!
//! An event costs what concerns its own transfer. All of them are looked at only when a share
//! changes: one came, was over, moved to another origin, or has more or fewer connections.
#![forbid(unsafe_code)]

mod pool;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use crate::{
    http::redirect::Origin,
    orders::{Command, Conn, ConnEvent, Event, Failure, StoreEvent},
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
    /// Members that may have something to say.
    ready: BTreeSet<TransferId>,
    /// When which member wants to be woken.
    due: BTreeSet<(Duration, TransferId)>,
    /// How many members that are not over talk to an origin.
    origins: BTreeMap<Option<Origin>, usize>,
    /// Members that are not over.
    running: usize,
    /// Something that decides the shares has changed.
    stale: bool,
    conns: BTreeMap<Conn, Wire>,
    pool: Pool,
    commands: VecDeque<(TransferId, Command)>,
    now: Duration,
}

/// A transfer, and what was last seen of it.
#[derive(Debug)]
struct Member {
    transfer: Transfer,
    /// To which origin it talks; `None` once it is over.
    origin: Option<Option<Origin>>,
    due: Option<Duration>,
    /// Connections that it has and was not told to close.
    held: usize,
}

/// A connection that belongs to a transfer.
#[derive(Debug)]
struct Wire {
    owner: TransferId,
    origin: Option<Origin>,
    peer: Option<std::net::IpAddr>,
    open: bool,
    /// A request runs on it.
    busy: bool,
    /// The shell was told to close it.
    closing: bool,
}

/// What a host has for its members.
#[derive(Debug)]
struct Shares {
    /// Connections that are in no transfer's share yet.
    left: usize,
    /// Members that have none yet.
    waiting: usize,
    /// Connections that may be opened now.
    free: usize,
}

impl Fleet {
    /// A fleet without members.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            members: Vec::new(),
            ready: BTreeSet::new(),
            due: BTreeSet::new(),
            origins: BTreeMap::new(),
            running: 0,
            stale: false,
            conns: BTreeMap::new(),
            pool: Pool::default(),
            commands: VecDeque::new(),
            now: Duration::ZERO,
        }
    }

    /// Takes a transfer in, before its first command is polled.
    pub fn add(&mut self, mut transfer: Transfer) -> TransferId {
        let id = TransferId(u32::try_from(self.members.len()).unwrap_or(u32::MAX));
        transfer.number_from(id.0);
        self.members.push(Member { transfer, origin: None, due: None, held: 0 });
        self.running += 1;
        self.look_at(id);
        self.share();
        id
    }

    /// Something happened at `now` on a connection.
    pub fn handle_conn(&mut self, now: Duration, conn: Conn, event: ConnEvent) {
        self.now = self.now.max(now);
        let Some(wire) = self.conns.get_mut(&conn) else {
            if matches!(event, ConnEvent::Failed { .. }) {
                self.pool.remove(conn);
            }
            return;
        };
        let owner = wire.owner;
        let mut dead = false;
        match &event {
            ConnEvent::Opened { peer, .. } => {
                wire.open = true;
                wire.peer = *peer;
            }
            ConnEvent::Failed { .. } => dead = true,
            ConnEvent::Ended(ended) => {
                wire.busy = false;
                dead = !ended.reusable || wire.closing;
            }
            ConnEvent::Head { .. } | ConnEvent::Shrunk { .. } | ConnEvent::Wrote { .. } => {}
        }
        if dead {
            self.forget(conn);
        }
        self.tell(owner, Event::Conn(conn, event));
    }

    /// The store of a transfer has answered.
    pub fn handle_store(&mut self, now: Duration, id: TransferId, event: StoreEvent) {
        self.now = self.now.max(now);
        self.tell(id, Event::Store(event));
    }

    /// Stops every transfer, with this failure if it has none of its own.
    pub fn stop(&mut self, now: Duration, failure: Failure) {
        for index in 0..self.members.len() {
            self.stop_one(now, TransferId(index as u32), failure.clone());
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
                // What was closed just now is free for others, and no event may follow it.
                self.share();
                if self.ready.is_empty() {
                    return None;
                }
            }
        }
    }

    /// When [`Self::handle_timeout`] must be called at the latest.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        self.due.first().map(|(due, _)| *due)
    }

    /// The time is `now`.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.now = self.now.max(now);
        let due = self.due.iter().take_while(|(due, _)| *due <= now);
        for id in due.map(|(_, id)| *id).collect::<Vec<_>>() {
            if let Some(member) = self.members.get_mut(id.0 as usize) {
                member.transfer.handle_timeout(now);
            }
            self.look_at(id);
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
        self.commands.is_empty() && self.pool.is_empty() && self.running == 0
    }

    fn tell(&mut self, id: TransferId, event: Event) {
        if let Some(member) = self.members.get_mut(id.0 as usize) {
            member.transfer.handle(self.now, event);
        }
        self.look_at(id);
        self.share();
    }

    /// Sees what has become of a member: when it wants to be woken, with whom it talks.
    fn look_at(&mut self, id: TransferId) {
        let Some(member) = self.members.get_mut(id.0 as usize) else { return };
        self.ready.insert(id);
        let due = member.transfer.next_timeout();
        if due != member.due {
            let before = std::mem::replace(&mut member.due, due);
            before.map(|before| self.due.remove(&(before, id)));
            due.map(|due| self.due.insert((due, id)));
        }
        let over = member.transfer.outcome().is_some();
        let origin = (!over).then(|| member.transfer.origin());
        if origin == member.origin {
            return;
        }
        self.stale = true;
        self.running -= usize::from(over);
        if let Some(origin) = origin.clone() {
            *self.origins.entry(origin).or_default() += 1;
        }
        if let Some(before) = std::mem::replace(&mut member.origin, origin) {
            let left = self.origins.get_mut(&before).map(|count| {
                *count -= 1;
                *count
            });
            if left == Some(0) {
                self.origins.remove(&before);
            }
        }
    }

    /// Moves one command of a transfer into the fleet's own queue: the others may still be
    /// withdrawn by what happens next. Returns whether there was one.
    fn take_next(&mut self) -> bool {
        while let Some(id) = self.ready.first().copied() {
            let member = self.members.get_mut(id.0 as usize);
            match member.and_then(|member| member.transfer.poll()) {
                Some(command) => {
                    self.look_at(id);
                    self.forward(id, command);
                    return true;
                }
                None => drop(self.ready.remove(&id)),
            }
        }
        if self.running == 0
            && let Some(conn) = self.pool.pop()
        {
            self.commands.push_back((TransferId(0), Command::Close { conn }));
            return true;
        }
        false
    }

    /// Passes a command on, unless the fleet itself can carry it out.
    fn forward(&mut self, id: TransferId, command: Command) {
        match &command {
            Command::Open { conn, url, .. } => {
                let origin = Origin::of(url);
                if let Some(pooled) = self.pool.take(origin.as_ref()) {
                    return self.adopt(id, *conn, pooled);
                }
                self.make_room(id);
                self.attach(*conn, Wire::new(id, origin));
            }
            Command::Close { conn } => {
                if self.keeps(*conn) {
                    return self.release(*conn);
                }
                match self.conns.get_mut(conn) {
                    Some(wire) if wire.busy => self.closing(*conn),
                    Some(_) => drop(self.forget(*conn)),
                    None => return,
                }
            }
            Command::Request { conn, .. } => {
                let Some(wire) = self.conns.get_mut(conn) else { return };
                wire.busy = true;
            }
            Command::Receive { conn, .. }
            | Command::Skip { conn, .. }
            | Command::Shrink { conn, .. } => {
                if !self.conns.get(conn).is_some_and(|wire| wire.busy) {
                    return;
                }
            }
            Command::Prepare { .. }
            | Command::Publish { .. }
            | Command::Refetch { .. }
            | Command::Keep
            | Command::Withhold
            | Command::Abandon { .. }
            | Command::Note(_) => {}
        }
        self.commands.push_back((id, command));
    }

    fn attach(&mut self, conn: Conn, wire: Wire) {
        self.hold(wire.owner, true);
        self.conns.insert(conn, wire);
    }

    /// A member has one connection more or fewer.
    fn hold(&mut self, id: TransferId, more: bool) {
        self.stale = true;
        if let Some(member) = self.members.get_mut(id.0 as usize) {
            member.held = if more { member.held + 1 } else { member.held.saturating_sub(1) };
        }
    }

    fn closing(&mut self, conn: Conn) {
        if let Some(wire) = self.conns.get_mut(&conn)
            && !std::mem::replace(&mut wire.closing, true)
        {
            let owner = wire.owner;
            self.hold(owner, false);
        }
    }

    /// Gives a pooled connection to a transfer in place of the one that it wants to open.
    fn adopt(&mut self, id: TransferId, wanted: Conn, pooled: pool::Idle) {
        let pool::Idle { conn, origin, peer } = pooled;
        if let Some(member) = self.members.get_mut(id.0 as usize) {
            member.transfer.adopt(wanted, conn);
        }
        self.attach(conn, Wire { peer, open: true, ..Wire::new(id, origin) });
        let event = ConnEvent::Opened { peer, took: Duration::ZERO };
        self.tell(id, Event::Conn(conn, event));
    }

    /// Whether a connection that its owner closes is worth keeping for another transfer.
    fn keeps(&self, conn: Conn) -> bool {
        let Some(wire) = self.conns.get(&conn) else { return false };
        let own = self.members.get(wire.owner.0 as usize);
        let own = own.is_some_and(|member| member.origin.as_ref() == Some(&wire.origin));
        let all = self.origins.get(&wire.origin).copied().unwrap_or_default();
        wire.open && !wire.busy && wire.origin.is_some() && all > usize::from(own)
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
        if !wire.closing {
            self.hold(wire.owner, false);
        }
        Some(wire)
    }

    /// Divides the connections among the transfers that still run, if anything has changed that
    /// matters for it: in the order they came, at least one each while there are enough.
    fn share(&mut self) {
        if !std::mem::take(&mut self.stale) {
            return;
        }
        // Who has more than its share now gives it back when it is done with it; until then the
        // others wait.
        let held: usize = self.members.iter().map(|member| member.held).sum();
        let mut free = self.limits.total.saturating_sub(held);
        let mut total = self.limits.total;
        let mut waiting = self.running;
        let mut hosts = self.hosts();
        let mut changed = Vec::new();
        for (index, member) in self.members.iter_mut().enumerate() {
            let Some(origin) = &member.origin else { continue };
            let Some(host) = hosts.get_mut(origin) else { continue };
            let fair = host.left.div_ceil(host.waiting.max(1));
            let share = total.div_ceil(waiting.max(1)).min(fair).min(total);
            total -= share;
            host.left -= share;
            waiting = waiting.saturating_sub(1);
            host.waiting = host.waiting.saturating_sub(1);
            let more = share.saturating_sub(member.held).min(free).min(host.free);
            free -= more;
            host.free -= more;
            if member.transfer.set_allowance(share.min(member.held + more)) {
                changed.push(TransferId(index as u32));
            }
        }
        for id in changed {
            self.look_at(id);
        }
    }

    /// What each host has to give. Idle connections in the pool do not count: the next one to their
    /// host is one of them.
    fn hosts(&self) -> BTreeMap<Option<Origin>, Shares> {
        let most = self.limits.per_host.max(1);
        let shares = |(origin, waiting): (&Option<Origin>, &usize)| {
            (origin.clone(), Shares { left: most, waiting: *waiting, free: most })
        };
        let mut hosts: BTreeMap<_, _> = self.origins.iter().map(shares).collect();
        for wire in self.conns.values().filter(|wire| !wire.closing) {
            if let Some(host) = hosts.get_mut(&wire.origin) {
                host.free = host.free.saturating_sub(1);
            }
        }
        hosts
    }
}

impl Wire {
    fn new(owner: TransferId, origin: Option<Origin>) -> Self {
        Self { owner, origin, peer: None, open: false, busy: false, closing: false }
    }
}

#[cfg(test)]
mod tests;
