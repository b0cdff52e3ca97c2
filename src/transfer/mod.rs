//! Decides about one resource: which bytes to ask for, on which connection, when to retry, when to
//! give up.
//!
//! [`Transfer`] is a pure state machine. It owns no socket, file, clock, thread or randomness: time
//! is an argument (a [`Duration`] since the download started, never going backwards), the random
//! seed is a field of its [`Policy`]. The shell around it (the coordinator, or the simulator)
//! repeats: hand in what happened with [`Transfer::handle`], run every [`Command`] that
//! [`Transfer::poll`] yields, sleep until [`Transfer::next_timeout`] at the latest, and call
//! [`Transfer::handle_timeout`] then. It sees one event per span, or per MiB of progress, never a
//! body byte.
//!
//! ```text
//!                     redirect, retry, plain GET instead
//!                               ┌──────┐
//!                               ▼      │       206, 200            Prepared(Ok)
//!             new ───────────▶ Asking ─┴──────────────▶ Preparing ─────────────▶ Moving ◀┐
//!                               ▲ ▲                                               │ │ │   │ retry,
//!  restart: all attempts ended  │ └───────────────────────────────────────────────┘ │ └───┘ split
//!                            Draining        stream broke, URL expired              │
//!                               ▲                                                   │ every byte
//!                               │ changed, and starting over is allowed             ▼
//!                             (any)                                            Publishing
//!                               │ first failure that nothing mends                  │ published
//!                               ▼                                                   ▼
//!                            Failing ──── all attempts ended: Abandon ───────────▶ Over
//! ```
//!
//! Each file holds one part of the machine: `ask` puts the question and acts on its answer (judged
//! by `probe`), `lease` hands out spans (cut by `plan`, kept by `work`), `recover` decides what a
//! failure leads to (`retry` counts), `conn` is a connection, `verify` believes a 206 or does not,
//! `known` tells whether a finished file is up to date.
#![forbid(unsafe_code)]

mod ask;
mod conn;
mod crowd;
mod expiry;
mod known;
mod lease;
mod mirror;
mod pace;
mod plan;
mod probe;
mod progress;
mod ramp;
mod recover;
mod retry;
mod tail;
mod work;

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    time::Duration,
};

use url::Url;

use crate::{
    http::{
        field::{StatedDigest, Validators},
        redirect::{Chain, Origin},
    },
    journal::Held,
    orders::{
        Activity, Command, Conn, Event, Failure, Finished, Note, Phase, Policy, Route, StoreEvent,
        Trouble, View,
    },
    range::RangeSet,
};
use conn::{Link, Role, State};
use crowd::Crowd;
use mirror::Mirror;
use pace::Pace;
use probe::Question;
use ramp::Ramp;
use retry::Budget;
use work::Work;

/// The download of one resource.
#[derive(Debug)]
pub struct Transfer {
    policy: Policy,
    original: Url,
    started: Duration,
    now: Duration,
    stage: Stage,
    commands: VecDeque<Command>,

    chain: Chain,
    question: Question,
    held: Option<Held>,
    /// A finished file of an earlier run, until an answer tells whether it is up to date.
    known: Option<Finished>,
    object: Option<Object>,
    work: Work,
    store: Store,

    links: BTreeMap<Conn, Link>,
    next_conn: u32,
    next_attempt: u64,
    allowance: usize,
    planned: usize,
    crowd: Crowd,
    ramp: Ramp,
    avoid: Option<IpAddr>,
    /// The pace of connections that serve one request each, their making included.
    once: Pace,

    budget: Budget,
    hold: Option<Hold>,
    stale: u32,
    replaced: u64,
    lies: u32,
    from_zero: u32,
    restarted: bool,
    resolved: Option<Resolved>,
    mirrors: Vec<Mirror>,
    /// Where the user's own fields may go.
    home: Option<Origin>,

    trouble: Option<Trouble>,
    stopped: Option<Failure>,
    facts: Facts,
}

/// What the machine is waiting for; the picture is in the docs of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Asking,
    Preparing,
    Moving,
    Draining,
    Publishing,
    Failing,
    Over,
}

/// What the store was told and has not answered, or that it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Store {
    Unready,
    Preparing,
    Ready,
    Publishing,
}

/// What the believed answer said.
#[derive(Clone, Debug)]
struct Object {
    url: Url,
    origin: Option<Origin>,
    /// The user's own fields may go there.
    trusted: bool,
    validators: Validators,
    /// Ranges can be asked for.
    ranged: bool,
    /// When the URL stops working, if it says so and was not the user's own.
    expires: Option<Duration>,
    /// The content is coded: the bytes of one answer are not those of another.
    coded: bool,
}

/// Nothing new is asked before `until`.
#[derive(Clone, Debug)]
struct Hold {
    until: Duration,
    why: Failure,
    /// The server named the time: progress elsewhere does not shorten it.
    hard: bool,
}

/// The original URL was asked again, because the one after redirects stopped working.
#[derive(Clone, Copy, Debug)]
struct Resolved {
    /// The first request after that.
    attempt: u64,
    /// What was there by then.
    done: u64,
}

/// What only the view wants to know.
#[derive(Clone, Debug, Default)]
struct Facts {
    resumed: u64,
    connections_max: usize,
    requests: u64,
    retries: u64,
    fallback: Option<&'static str>,
    disposition: Option<Vec<u8>>,
    content_encoding: Option<String>,
    stated: Option<StatedDigest>,
    unverified: bool,
    fetched: bool,
    /// The finished file of an earlier run is what there is.
    kept: bool,
}

impl Transfer {
    /// A download of `url` that starts at `now`; `held` is what an earlier run left and its
    /// journal proves. The first commands can be polled at once.
    #[must_use]
    pub fn new(url: Url, policy: Policy, held: Option<Held>, now: Duration) -> Self {
        let held = held.filter(|held| ask::is_usable(held, &policy));
        let mut transfer = Self {
            started: now,
            now,
            stage: Stage::Asking,
            commands: VecDeque::new(),
            chain: Chain::new(url.clone(), policy.max_redirects, policy.allow_downgrade),
            question: Question::Probe,
            known: policy.finished.clone().filter(|_| held.is_none()),
            object: None,
            work: Work::new(None, RangeSet::new()),
            store: Store::Unready,
            links: BTreeMap::new(),
            next_conn: 0,
            next_attempt: 0,
            allowance: usize::MAX,
            planned: 1,
            crowd: Crowd::default(),
            ramp: Ramp::none(),
            avoid: None,
            once: Pace::default(),
            budget: Budget::new(&policy, now),
            hold: None,
            stale: 0,
            replaced: 0,
            lies: 0,
            from_zero: 0,
            restarted: false,
            resolved: None,
            mirrors: Self::mirrors_of(&policy),
            home: Origin::of(&url),
            trouble: None,
            stopped: None,
            facts: Facts::default(),
            original: url,
            held,
            policy,
        };
        transfer.first_question();
        transfer
    }

    /// Something happened at `now`.
    pub fn handle(&mut self, now: Duration, event: Event) {
        self.now = self.now.max(now);
        match event {
            Event::Conn(conn, event) => self.on_conn(conn, event),
            Event::Store(event) => self.on_store(event),
            Event::Stop(failure) => self.on_stop(failure),
        }
        self.pump();
        // A time that this event has overtaken is not ahead any more, so nobody would wake for it.
        let times = [self.deadline(), self.crowd.next_timeout(), self.ramp.next_timeout()];
        if times.into_iter().flatten().any(|time| time <= self.now) {
            self.handle_timeout(self.now);
        }
    }

    /// The next thing to do, in order. `None` says to wait for an event or the timeout.
    pub fn poll(&mut self) -> Option<Command> {
        // The first command of all waits until here: by now its allowance is known.
        if self.next_conn == 0 {
            self.pump();
        }
        self.commands.pop_front()
    }

    /// When [`Self::handle_timeout`] must be called at the latest, on the clock of `now`.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        let later = |time: &Duration| *time > self.now;
        let asking = matches!(self.stage, Stage::Asking | Stage::Moving);
        let own = if asking {
            let hold = self.hold.as_ref().map(|hold| hold.until).filter(later);
            let due = self.work.next_due(self.now);
            let crowd = self.crowd.next_timeout().filter(later);
            let ramp = self.ramp.next_timeout().filter(later);
            [hold, due, crowd, ramp, self.next_laggard()].into_iter().flatten().min()
        } else {
            None
        };
        [own, self.deadline().filter(later)].into_iter().flatten().min()
    }

    /// The time is `now`: whatever was waiting for it happens.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.now = self.now.max(now);
        if let (Some(deadline), Some(limit)) = (self.deadline(), self.policy.max_time)
            && deadline <= self.now
        {
            self.fail(Failure::Timeout { phase: Phase::Transfer, limit }, None, 0);
        }
        self.crowd.handle_timeout(self.now, self.planned);
        self.ramp.handle_timeout(self.now, self.work.done_bytes(), self.planned);
        self.pump();
    }

    /// It may have so many connections at most.
    pub fn set_allowance(&mut self, connections: usize) {
        if self.allowance != connections {
            self.allowance = connections;
            self.pump();
        }
    }

    /// A snapshot.
    #[must_use]
    pub fn view(&self) -> View {
        View {
            activity: self.activity(),
            total: self.work.total(),
            done: self.work.done_bytes(),
            resumed: self.facts.resumed,
            connections: self.open_connections(),
            connections_max: self.facts.connections_max,
            planned: self.planned.min(self.ramp.limit()),
            requests: self.facts.requests,
            retries: self.facts.retries,
            route: match &self.object {
                None => Route::Unknown,
                Some(_) if self.facts.kept => Route::UpToDate,
                Some(_)
                    if self.work.is_complete() && !self.facts.fetched && self.held.is_some() =>
                {
                    Route::UpToDate
                }
                Some(object) if object.ranged => Route::Ranges,
                Some(_) => Route::Stream,
            },
            fallback: self.facts.fallback,
            final_url: self
                .object
                .as_ref()
                .map_or_else(|| self.chain.current().clone(), |object| object.url.clone()),
            validators: self.object.as_ref().map(|o| o.validators.clone()).unwrap_or_default(),
            stated: self.facts.stated.clone(),
            disposition: self.facts.disposition.clone(),
            content_encoding: self.facts.content_encoding.clone(),
            verified_length: !self.facts.unverified,
        }
    }

    /// How it ended: `Some` once it is over and every command was polled.
    #[must_use]
    pub fn outcome(&self) -> Option<Result<(), Trouble>> {
        if self.stage != Stage::Over || !self.commands.is_empty() {
            return None;
        }
        Some(self.trouble.clone().map_or(Ok(()), Err))
    }

    /// The origin that it talks to now.
    #[must_use]
    pub fn origin(&self) -> Option<Origin> {
        match &self.object {
            Some(object) if self.stage != Stage::Asking => object.origin.clone(),
            _ => Origin::of(self.chain.current()),
        }
    }

    fn activity(&self) -> Activity {
        let busy = self.links.values().any(Link::is_busy);
        match self.stage {
            Stage::Asking | Stage::Moving if !busy => match &self.hold {
                Some(hold) if hold.until > self.now => {
                    Activity::Waiting { until: hold.until, why: hold.why.clone() }
                }
                _ if self.object.is_some() => Activity::Downloading,
                _ => Activity::Connecting,
            },
            Stage::Asking if self.object.is_none() => Activity::Probing,
            Stage::Preparing => Activity::Allocating { size: self.work.total().unwrap_or(0) },
            Stage::Publishing => Activity::Publishing,
            Stage::Over => Activity::Done,
            _ => Activity::Downloading,
        }
    }

    /// When the whole transfer must be over; once every byte is there it is the store's time.
    fn deadline(&self) -> Option<Duration> {
        let over = matches!(self.stage, Stage::Publishing | Stage::Failing | Stage::Over);
        self.policy.max_time.filter(|_| !over).map(|time| self.started.saturating_add(time))
    }

    /// Does everything that can be done now.
    fn pump(&mut self) {
        if self.hold.as_ref().is_some_and(|hold| hold.until <= self.now) {
            self.hold = None;
        }
        match self.stage {
            Stage::Asking => self.ask(),
            Stage::Moving => self.lease(),
            Stage::Draining => self.drained(),
            Stage::Failing => self.failed(),
            Stage::Preparing | Stage::Publishing | Stage::Over => {}
        }
        self.facts.connections_max = self.facts.connections_max.max(self.open_connections());
    }

    fn on_store(&mut self, event: StoreEvent) {
        match (event, self.store) {
            (StoreEvent::Prepared(result), Store::Preparing) => {
                self.store = if result.is_ok() { Store::Ready } else { Store::Unready };
                match result {
                    Ok(()) if self.stage == Stage::Preparing => self.on_prepared(),
                    Ok(()) => {}
                    Err(failure) => self.fail(failure, None, 0),
                }
            }
            (StoreEvent::Found(found), Store::Preparing) => {
                self.store = Store::Unready;
                if self.stage == Stage::Preparing {
                    self.on_found(found);
                }
            }
            (StoreEvent::Published(Ok(())), Store::Publishing) => {
                self.store = Store::Unready;
                self.trouble = None;
                self.stage = Stage::Over;
            }
            (StoreEvent::Published(Err(failure)), Store::Publishing) => {
                self.store = Store::Ready;
                let first = self.stopped.take().unwrap_or(failure);
                self.fail(first, None, 0);
            }
            _ => self.fail(Failure::Internal("the store answered what was not asked"), None, 0),
        }
    }

    /// A stop that meets a publication under way cannot undo it: what the store says decides.
    fn on_stop(&mut self, failure: Failure) {
        if self.store == Store::Publishing {
            self.stopped.get_or_insert(failure);
        } else {
            self.fail(failure, None, 0);
        }
    }

    fn open_connections(&self) -> usize {
        self.links.values().filter(|link| link.is_idle() || link.is_busy()).count()
    }

    fn note(&mut self, note: Note) {
        self.commands.push_back(Command::Note(note));
    }

    /// Opens a connection to the origin of `url`, for a mirror or for the first place.
    fn open(&mut self, url: Url, mirror: Option<usize>) {
        let conn = Conn(self.next_conn);
        self.next_conn += 1;
        let pace = self.once.clone();
        self.links.insert(conn, Link { pace, mirror, ..Link::opening(Origin::of(&url), self.now) });
        self.commands.push_back(Command::Open { conn, url, avoid: self.avoid.take() });
    }

    /// Closes a connection. A request that runs on it is awaited, its bytes still count.
    fn close(&mut self, conn: Conn) {
        let Some(mut link) = self.links.remove(&conn) else { return };
        if link.is_closing() {
            self.links.insert(conn, link);
            return;
        }
        self.commands.push_back(Command::Close { conn });
        if let State::Busy(job) = link.state {
            link.state = State::Closing(job);
            self.links.insert(conn, link);
        }
    }

    fn close_all(&mut self) {
        for conn in self.links.keys().copied().collect::<Vec<_>>() {
            self.close(conn);
        }
    }

    fn close_idle(&mut self, keep: impl Fn(&Link) -> bool) {
        let idle = self.links.iter().filter(|(_, link)| link.is_idle() && !keep(link));
        for conn in idle.map(|(conn, _)| *conn).collect::<Vec<_>>() {
            self.close(conn);
        }
    }

    /// Whether a request in `role` is under way.
    fn has_role(&self, role: Role) -> bool {
        self.links.values().filter_map(Link::job).any(|job| job.role == role)
    }
}

#[cfg(test)]
mod tests;
