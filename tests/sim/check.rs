//! Watches what passes between the fleet and its shell, and objects.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use uget::{
    fleet::{Fleet, TransferId},
    http::request::Ask,
    journal::Held,
    orders::{Accept, Attempt, Command, Conn, ConnEvent, Failure, StoreEvent, Trouble},
    range::RangeSet,
};

use crate::{
    site::{Host, Ranges, Site},
    world::Member,
};

/// What the coordinator's side knows.
#[derive(Default)]
pub(crate) struct Witness {
    pub(crate) violations: Vec<String>,
    /// When which spans were asked for.
    pub(crate) asked: Vec<(Duration, Range<u64>)>,
    conns: BTreeMap<Conn, Seen>,
    parties: Vec<Party>,
    step: u64,
    /// Connections that may be open at once.
    most: usize,
    failures: Vec<(u64, Duration, Option<TransferId>, Failure)>,
    ended: Duration,
}

#[derive(Debug)]
struct Seen {
    owner: TransferId,
    /// Which host it leads to.
    host: String,
    state: SeenState,
    span: Range<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SeenState {
    Opening,
    Idle,
    Busy(Attempt),
    Closing(Attempt),
}

#[derive(Default)]
struct Party {
    done: RangeSet,
    last_done: u64,
    last_request: u64,
    opens: usize,
    splits: usize,
    requests: u64,
    aborts: u64,
    abandons: u32,
    publishes: u32,
    /// Hosts that said when they may be asked again.
    quiet: BTreeMap<String, Duration>,
}

impl Witness {
    pub(crate) fn new(count: usize, most: usize) -> Self {
        Self { parties: (0..count).map(|_| Party::default()).collect(), most, ..Self::default() }
    }

    /// A new process.
    pub(crate) fn restart(&mut self, held: &[Option<Held>]) {
        *self = Self::new(held.len(), self.most);
        for (party, held) in self.parties.iter_mut().zip(held) {
            if let Some(held) = held {
                party.done = held.done.clone();
            }
        }
    }

    pub(crate) fn command(
        &mut self,
        now: Duration,
        id: TransferId,
        command: &Command,
    ) -> Result<(), String> {
        self.step += 1;
        let step = self.step;
        let party = &mut self.parties[id.0 as usize];
        match command {
            Command::Open { conn, url, .. } => {
                party.last_request = step;
                party.opens += 1;
                let closing = |seen: &&Seen| matches!(seen.state, SeenState::Closing(_));
                let open = self.conns.len() - self.conns.values().filter(closing).count();
                if open >= self.most {
                    return Err(format!("{open} connections are open, and one more is wanted"));
                }
                let (host, span) = (url.host_str().unwrap_or_default().to_owned(), 0..0);
                let seen = Seen { owner: id, host, state: SeenState::Opening, span };
                if self.conns.insert(*conn, seen).is_some() {
                    return Err(format!("{conn:?} twice"));
                }
            }
            Command::Request { conn, attempt, accept, request } => {
                party.last_request = step;
                party.requests += 1;
                if let Some(name) = request.fields.iter().find(|field| field.name() == "Range") {
                    return Err(format!("{name:?} in the user's fields"));
                }
                let host = request.url.host_str().unwrap_or_default();
                let quiet = party.quiet.get(host).filter(|until| **until > now);
                if let Some(until) = quiet {
                    return Err(format!("{host} was asked before {until:?}"));
                }
                self.expect(*conn, SeenState::Idle)?;
                let span = match accept {
                    Accept::Ask => 0..0,
                    Accept::Part(expect) => expect.range.clone(),
                };
                self.lease(id, &span)?;
                if let Ask::Part(range) = &request.ask {
                    self.asked.push((now, range.clone()));
                }
                let seen = self.conns.get_mut(conn).ok_or("a request on no connection")?;
                // A pooled connection changes hands.
                seen.owner = id;
                seen.state = SeenState::Busy(*attempt);
                seen.span = span;
            }
            Command::Receive { conn, attempt, span } => {
                self.expect(*conn, SeenState::Busy(*attempt))?;
                self.lease(id, span)?;
                self.conns.get_mut(conn).ok_or("no connection")?.span = span.clone();
            }
            Command::Skip { conn, attempt } | Command::Shrink { conn, attempt, .. } => {
                self.expect(*conn, SeenState::Busy(*attempt))?;
            }
            Command::Close { conn } => {
                let seen = self.conns.get_mut(conn).ok_or("closing what is dead")?;
                match seen.state {
                    SeenState::Busy(attempt) => {
                        seen.state = SeenState::Closing(attempt);
                        party.aborts += 1;
                    }
                    SeenState::Closing(_) => return Err(format!("{conn:?} closed twice")),
                    SeenState::Opening | SeenState::Idle => {
                        self.conns.remove(conn);
                    }
                }
            }
            Command::Prepare { resume, .. } => {
                party.last_request = step;
                if !resume {
                    party.done = RangeSet::new();
                    party.last_done = 0;
                }
                let busy =
                    self.conns.values().any(|seen| seen.owner == id && !seen.span.is_empty());
                if busy {
                    return Err("prepared while bytes were on their way".into());
                }
            }
            Command::Refetch { lost } => {
                party.last_request = step;
                for range in lost.iter() {
                    party.done.remove(range);
                }
            }
            Command::Publish { total } => {
                party.last_request = step;
                party.publishes += 1;
                if !party.done.contains(0..*total) || party.done.len() != *total {
                    return Err("published with bytes missing".into());
                }
                let busy = |seen: &Seen| seen.owner == id && seen.state != SeenState::Idle;
                if self.conns.values().any(busy) {
                    return Err("published while connections were at work".into());
                }
            }
            Command::Keep => return Err("kept what was never there".into()),
            Command::Abandon { .. } => party.abandons += 1,
            Command::Withhold | Command::Note(_) => {}
        }
        Ok(())
    }

    fn expect(&self, conn: Conn, state: SeenState) -> Result<(), String> {
        match self.conns.get(&conn) {
            Some(seen) if seen.state == state => Ok(()),
            other => Err(format!("{conn:?} should be {state:?}: {other:?}")),
        }
    }

    /// Nobody else has any byte of this span, and none of them is there.
    fn lease(&self, id: TransferId, span: &Range<u64>) -> Result<(), String> {
        let mut others = self.conns.values().filter(|seen| seen.owner == id);
        let clash = others.find(|seen| seen.span.start < span.end && span.start < seen.span.end);
        if let Some(clash) = clash {
            return Err(format!("{span:?} was leased twice, see {clash:?}"));
        }
        if self.parties[id.0 as usize].done.overlaps(span.clone()) {
            return Err(format!("{span:?} was leased although some of it is there"));
        }
        Ok(())
    }

    /// Whose connection it is.
    pub(crate) fn owner(&self, conn: Conn) -> Option<TransferId> {
        self.conns.get(&conn).map(|seen| seen.owner)
    }

    pub(crate) fn event(
        &mut self,
        now: Duration,
        conn: Conn,
        event: &ConnEvent,
    ) -> Result<(), String> {
        self.step += 1;
        let Some(seen) = self.conns.get_mut(&conn) else { return Ok(()) };
        let owner = seen.owner;
        if let Some(seconds) = named(event) {
            let until = now.saturating_add(Duration::from_secs(seconds));
            let quiet = self.parties[owner.0 as usize].quiet.entry(seen.host.clone());
            let quiet = quiet.or_default();
            *quiet = until.max(*quiet);
        }
        match event {
            ConnEvent::Opened { .. } => seen.state = SeenState::Idle,
            ConnEvent::Failed { failure } => {
                let failure = failure.clone();
                self.conns.remove(&conn);
                self.failures.push((self.step, now, Some(owner), failure));
            }
            ConnEvent::Head { head, .. } => {
                // Statuses and lies become failures in the transfer itself.
                let failure = Failure::Internal("a head");
                let _ = head;
                self.failures.push((self.step, now, Some(owner), failure));
            }
            ConnEvent::Shrunk { end, .. } => {
                // The rest of the body comes all the same: the connection is lost to it.
                self.parties[owner.0 as usize].splits += usize::from(*end < seen.span.end);
                seen.span.end = seen.span.end.min(*end);
            }
            ConnEvent::Wrote { range, .. } => {
                let party = &mut self.parties[owner.0 as usize];
                if party.done.insert(range.clone()) != range.end - range.start {
                    return Err(format!("{range:?} was written twice"));
                }
                if range.start < seen.span.start || range.end > seen.span.end {
                    return Err(format!("{range:?} is not in {:?}", seen.span));
                }
                self.failures.push((self.step, now, Some(owner), Failure::Internal("bytes")));
            }
            ConnEvent::Ended(ended) => {
                if let Err(failure) = &ended.result {
                    self.failures.push((self.step, now, Some(owner), failure.clone()));
                } else {
                    let failure = Failure::Internal("an end");
                    self.failures.push((self.step, now, Some(owner), failure));
                }
                seen.span = 0..0;
                let closing = matches!(seen.state, SeenState::Closing(_));
                seen.state = SeenState::Idle;
                if closing || !ended.reusable {
                    self.conns.remove(&conn);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn store(&mut self, now: Duration, id: TransferId, event: &StoreEvent) {
        self.step += 1;
        if let StoreEvent::Published(Err(Failure::Digest { .. })) = event {
            // Some may be fetched again.
            self.parties[id.0 as usize].last_done = 0;
        }
        if let StoreEvent::Prepared(Err(failure)) | StoreEvent::Published(Err(failure)) = event {
            self.failures.push((self.step, now, Some(id), failure.clone()));
            if matches!(failure, Failure::CannotResume { .. }) {
                // What made it begin anew is the failure then.
                self.failures.push((self.step, now, Some(id), Failure::Internal("a head")));
            }
        }
    }

    pub(crate) fn stop(&mut self, now: Duration, failure: &Failure) {
        self.step += 1;
        self.failures.push((self.step, now, None, failure.clone()));
    }

    /// The counter is exact, and never runs backwards or beyond the total.
    pub(crate) fn progress(&mut self, fleet: &Fleet) -> Result<(), String> {
        for (index, party) in self.parties.iter_mut().enumerate() {
            let view = fleet.transfer(TransferId(index as u32)).view();
            if view.total.is_some_and(|total| view.done > total) {
                return Err(format!("{} of {:?} bytes", view.done, view.total));
            }
            if view.done < party.last_done && view.done != 0 {
                return Err(format!("progress from {} to {}", party.last_done, view.done));
            }
            party.last_done = view.done;
        }
        Ok(())
    }

    pub(crate) fn done(&mut self, now: Duration) -> Result<(), String> {
        self.ended = now;
        if let Some((conn, seen)) = self.conns.first_key_value() {
            return Err(format!("over, but {conn:?} is {seen:?}"));
        }
        for party in &self.parties {
            if party.abandons + party.publishes == 0 || party.abandons > 1 {
                let (publishes, abandons) = (party.publishes, party.abandons);
                return Err(format!("published {publishes} times, abandoned {abandons} times"));
            }
        }
        Ok(())
    }

    /// Nothing was asked after the failure that is reported, and it was over soon.
    pub(crate) fn root_cause(
        &self,
        id: TransferId,
        trouble: &Trouble,
        member: &Member,
        prompt: bool,
    ) -> Result<(), String> {
        if matches!(trouble.failure, Failure::Internal(_)) {
            return Err(format!("a defect: {trouble:?}"));
        }
        if !prompt {
            return Ok(());
        }
        let mine = |of: &Option<TransferId>| of.is_none_or(|of| of == id);
        let made_here = matches!(
            trouble.failure,
            Failure::Timeout { phase: uget::orders::Phase::Transfer, .. }
                | Failure::Patience { .. }
        );
        let mut causes = self.failures.iter().rev().filter(|(_, _, of, _)| mine(of));
        let cause = causes.find(|(_, _, _, failure)| {
            let head = matches!(failure, Failure::Internal("a head"));
            // A wait that is too long is told of in other words than the answer that asked for it.
            let patience = match (failure, &trouble.failure) {
                (Failure::Status { status, .. }, Failure::Patience { status: of, .. }) => {
                    status == of
                }
                _ => false,
            };
            *failure == trouble.failure || head || patience
        });
        let Some((step, at, _, _)) = cause.filter(|_| !made_here) else { return Ok(()) };
        let party = &self.parties[id.0 as usize];
        if party.last_request > *step {
            return Err(format!("something was asked after the failure {trouble:?}"));
        }
        let took = self.ended.saturating_sub(*at);
        let alone = self.parties.len() == 1;
        if alone && took > member.store_time + Duration::from_millis(100) {
            return Err(format!("it took {took:?} to give up after {trouble:?}"));
        }
        Ok(())
    }

    /// Without faults: nothing again, nothing aborted, no connection or request too many. `part` is
    /// how long a part is at least, about.
    pub(crate) fn thrift(
        &self,
        id: TransferId,
        fleet: &Fleet,
        site: &Site,
        hosts: &[Host],
        skipped: u64,
        part: u64,
    ) -> Result<(), String> {
        let party = &self.parties[id.0 as usize];
        let view = fleet.transfer(id).view();
        if view.retries != 0 {
            return Err(format!("{} retries without a fault", view.retries));
        }
        // A mirror may be so much slower that its connections are taken away, and one of those that
        // share a narrow path may look so when the others are done.
        let even = hosts.iter().all(|host| host.capped.is_none()) && site.roads.len() == 1;
        if party.aborts != 0 && even {
            return Err(format!("{} aborts without a fault", party.aborts));
        }
        let (mirrors, hops) = (site.roads.len() - 1, site.roads[0].hops.len());
        let ends = site.places.iter().map(|place| place.host);
        let lasting = site.roads.iter().flat_map(|road| road.hops.iter().copied());
        let lasting = lasting.chain(ends).all(|host| hosts[host].keep_alive);
        let planned = view.planned.max(view.connections_max);
        let most =
            planned + hops + skipped as usize + party.splits + 2 * mirrors + party.aborts as usize;
        if lasting && self.parties.len() == 1 && party.opens > most {
            return Err(format!("{} connections where {most} are enough", party.opens));
        }
        let total = view.total.unwrap_or(0);
        let least = match site.first_place().ranges {
            Ranges::Capped(cap) => cap.min(part),
            _ => part,
        };
        let most = total / least + 4 * planned as u64 + hops as u64 + 3 + 2 * mirrors as u64;
        if party.requests > most {
            return Err(format!("{} requests where {most} are enough", party.requests));
        }
        Ok(())
    }
}

/// For how many seconds an answer said that nothing may be asked. The words of the simulator say
/// how it is meant: what the field was taken for does not count.
fn named(event: &ConnEvent) -> Option<u64> {
    let words = match event {
        ConnEvent::Head { head, .. } => String::from_utf8_lossy(&head.reason).into_owned(),
        ConnEvent::Ended(ended) => match &ended.result {
            Err(Failure::Status { reason, .. }) => reason.clone(),
            _ => return None,
        },
        _ => return None,
    };
    words.strip_prefix("Not now ")?.parse().ok()
}
