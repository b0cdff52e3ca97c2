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
//!              redirect, retry, plain GET instead, another place leads
//!                               ┌──────┐
//!                               ▼      │       206, 200            Prepared(Ok)
//!             new ───────────▶ Asking ─┴──────────────▶ Preparing ─────────────▶ Moving ◀┐
//!                               ▲ ▲                        ▲                      │ │ │   │ retry,
//!  a new edition: all attempts  │ │ stream broke, URL      │                      │ │ └───┘ split
//!  of the old one have ended    │ │ expired, place gone    │                      │ │
//!                               │ └────────────────────────┼──────────────────────┘ │
//!                            Draining                      │ digest mismatch: what  │ every byte
//!                               ▲                          │ came of other places   ▼
//!                               │ changed, and starting    └──────────────────── Publishing
//!                             (any) over is allowed                                 │ published
//!                               │ first failure that nothing mends                  ▼
//!                            Failing ──── all attempts ended: Abandon ───────────▶ Over
//! ```
//!
//! What it knows are three values. `place::Places` are the URL that the user asked for and its
//! mirrors, of one kind; one of them leads: it is asked what there is, and its failures are the
//! transfer's. An `edition::Edition` is everything that one version of the object determines,
//! what each place was found to have of it included; it is replaced whole when the version changes.
//! `conn::Links` are the connections and the requests on them.
//!
//! Of the machine itself each file holds one part: `ask` puts the question and `answer` acts on
//! what comes (judged by `probe`), `scout` finds out what other places have, `lease` hands out
//! spans (cut by `plan`, kept by `work`) and `split` divides those that run, `recover` decides what
//! a failure leads to (`retry` counts, `lead` passes on to another place), `ending` is how all
//! ends.
#![forbid(unsafe_code)]

mod answer;
mod ask;
mod conn;
mod crowd;
mod edition;
mod ending;
mod expiry;
mod kin;
mod known;
mod lead;
mod lease;
mod member;
mod pace;
mod place;
mod plan;
mod probe;
mod progress;
mod ramp;
mod recover;
mod retry;
mod scout;
mod split;
mod tail;
mod view;
mod work;

use std::{collections::VecDeque, time::Duration};

use url::Url;

use crate::{
    http::redirect::Origin,
    journal::Held,
    orders::{ChangedHow, Command, Conn, Event, Failure, Note, Phase, Policy, StoreEvent, Trouble},
};
use conn::{Link, Links, State};
use edition::Edition;
use place::Places;
use retry::Budget;

/// The download of one resource.
#[derive(Debug)]
pub struct Transfer {
    policy: Policy,
    started: Duration,
    now: Duration,
    stage: Stage,
    store: Store,
    commands: VecDeque<Command>,
    places: Places,
    edition: Edition,
    links: Links,
    allowance: usize,
    budget: Budget,
    /// When it looks for connections that lag, and for spans to split.
    pulse: Option<Duration>,
    restarted: bool,
    end: End,
    counts: Counts,
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

/// How it ends.
#[derive(Debug, Default)]
struct End {
    trouble: Option<Trouble>,
    /// A stop that came while the name was made.
    stopped: Option<Trouble>,
}

/// What is counted from the start to the end.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    connections_max: usize,
    requests: u64,
    retries: u64,
    replaced: u64,
    /// Bytes that the consumer of a stream has taken.
    consumed: u64,
}

impl Transfer {
    /// A download of `url` that starts at `now`; `held` is what an earlier run left and its
    /// journal proves. The first commands can be polled at once.
    #[must_use]
    pub fn new(url: Url, policy: Policy, held: Option<Held>, now: Duration) -> Self {
        let held = held.filter(|held| edition::is_usable(held, &policy));
        let places = Places::new(&url, &policy);
        let known = policy.finished.clone();
        let mut transfer = Self {
            started: now,
            now,
            stage: Stage::Asking,
            store: Store::Unready,
            commands: VecDeque::new(),
            edition: Edition::new(&policy, places.asked(), held, known),
            places,
            links: Links::default(),
            allowance: usize::MAX,
            budget: Budget::new(&policy, now),
            pulse: None,
            restarted: false,
            end: End::default(),
            counts: Counts::default(),
            policy,
        };
        transfer.trust_digest();
        transfer
    }

    /// Something happened at `now`.
    pub fn handle(&mut self, now: Duration, event: Event) {
        self.now = self.now.max(now);
        let calm = match event {
            Event::Conn(conn, event) => self.on_conn(conn, event),
            Event::Store(event) => {
                self.on_store(event);
                false
            }
            Event::Stop(failure) => {
                self.on_stop(failure);
                false
            }
        };
        if !calm {
            self.pump();
        }
        // A time that this event has overtaken is not ahead any more, so nothing would wake for it.
        if self.timeouts().any(|time| time <= self.now) {
            self.handle_timeout(self.now);
        }
    }

    /// The next thing to do, in order. `None` says to wait for an event or the timeout.
    pub fn poll(&mut self) -> Option<Command> {
        // The first command of all waits until here: by now its allowance is known.
        if self.links.is_untouched() {
            self.pump();
        }
        self.commands.pop_front()
    }

    /// When [`Self::handle_timeout`] must be called at the latest, on the clock of `now`.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        let due = self.edition.work.next_due(self.now).filter(|_| self.is_asking());
        self.timeouts().chain(due).filter(|time| *time > self.now).min()
    }

    /// The times that it waits for.
    fn timeouts(&self) -> impl Iterator<Item = Duration> {
        let own = [self.edition.ramp.next_timeout(), self.pulse].into_iter().flatten();
        let own = own.chain(self.places.next_timeouts()).filter(|_| self.is_asking());
        own.chain(self.deadline())
    }

    fn is_asking(&self) -> bool {
        matches!(self.stage, Stage::Asking | Stage::Moving)
    }

    /// The time is `now`: whatever was waiting for it happens.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.now = self.now.max(now);
        if let (Some(deadline), Some(limit)) = (self.deadline(), self.policy.max_time)
            && deadline <= self.now
        {
            self.on_stop(Failure::Timeout { phase: Phase::Transfer, limit });
        }
        let planned = self.edition.planned;
        self.places.handle_timeout(self.now, planned);
        self.ramp_up();
        self.beat();
        self.pump();
    }

    /// It may have so many connections at most. Returns whether that is news.
    pub fn set_allowance(&mut self, connections: usize) -> bool {
        let news = self.allowance != connections;
        if news {
            self.allowance = connections;
            self.pump();
        }
        news
    }

    /// When the whole transfer must be over; once every byte is there it is the store's time, but
    /// that of a stream's consumer counts.
    fn deadline(&self) -> Option<Duration> {
        let over = match self.stage {
            Stage::Publishing => self.policy.window.is_none() || self.end.stopped.is_some(),
            Stage::Failing | Stage::Over => true,
            _ => false,
        };
        self.policy.max_time.filter(|_| !over).map(|time| self.started.saturating_add(time))
    }

    /// Does everything that can be done now.
    fn pump(&mut self) {
        self.places.expire(self.now);
        self.reach();
        // What one stage finds out may end it at once: nothing else would wake the next.
        loop {
            let stage = self.stage;
            match stage {
                Stage::Asking => self.ask(),
                Stage::Moving => self.lease(),
                Stage::Draining => self.drained(),
                Stage::Failing => self.failed(),
                Stage::Preparing | Stage::Publishing | Stage::Over => {}
            }
            if self.stage == stage {
                break;
            }
        }
        let open = self.links.open();
        self.counts.connections_max = self.counts.connections_max.max(open);
    }

    fn on_store(&mut self, event: StoreEvent) {
        match (event, self.store) {
            (StoreEvent::Prepared(result), Store::Preparing) => {
                self.store = if result.is_ok() { Store::Ready } else { Store::Unready };
                match (result, self.edition.mismatch.clone().or_else(|| self.disproved())) {
                    (Ok(()), _) if self.stage == Stage::Preparing => self.on_prepared(),
                    (Ok(()), _) => {}
                    // What was written already cannot be taken back.
                    (Err(_), Some(mismatch)) => self.fail(mismatch, None, 0),
                    (Err(_), None) if self.restarted && self.policy.window.is_some() => {
                        self.fail(Failure::Changed(ChangedHow::Validator), None, 0);
                    }
                    (Err(failure), None) => self.fail(failure, None, 0),
                }
            }
            (StoreEvent::Consumed { to }, _) => {
                self.counts.consumed = self.counts.consumed.max(to);
            }
            (StoreEvent::Found(found), Store::Preparing) => {
                self.store = Store::Unready;
                if self.stage == Stage::Preparing {
                    self.on_found(found);
                }
            }
            (StoreEvent::Published(Ok(())), Store::Publishing) => {
                self.store = Store::Unready;
                self.end.trouble = None;
                self.stage = Stage::Over;
            }
            (StoreEvent::Published(Err(failure)), Store::Publishing) => {
                self.store = Store::Ready;
                self.not_published(failure);
            }
            _ => self.fail(Failure::Internal("the store answered what was not asked"), None, 0),
        }
    }

    /// A stop that meets a publication under way cannot undo it: what the store says decides.
    fn on_stop(&mut self, failure: Failure) {
        if self.store == Store::Publishing {
            if self.end.stopped.is_none() && self.policy.window.is_some() {
                self.commands.push_back(Command::Withhold);
            }
            let trouble = self.trouble_at(self.places.first().asked.clone(), Some(failure));
            self.end.stopped.get_or_insert(trouble);
        } else {
            self.fail(failure, None, 0);
        }
    }

    fn note(&mut self, note: Note) {
        self.commands.push_back(Command::Note(note));
    }

    /// Opens a connection to the origin of `url`, for a place.
    fn open(&mut self, url: Url, place: usize) {
        let mut link = Link::opening(Origin::of(&url), place, self.now);
        let mut avoid = None;
        if let Some(place) = self.places.at_mut(place) {
            link.pace = place.once.clone();
            avoid = place.avoid.take();
        }
        let conn = self.links.add(link);
        self.commands.push_back(Command::Open { conn, url, avoid });
    }

    /// Closes a connection. A request that runs on it is awaited, its bytes still count.
    fn close(&mut self, conn: Conn) {
        let Some(mut link) = self.links.remove(&conn) else { return };
        if link.is_closing() {
            self.links.insert(conn, link);
            return;
        }
        self.commands.push_back(Command::Close { conn });
        if let State::Busy(mut job) = link.state {
            // Nothing can come of it any more, so its end is not waited for.
            if job.is_awaiting() && std::mem::take(&mut job.leased) {
                self.edition.work.give_back(job.at..job.span.end);
            }
            link.state = State::Closing(job);
            self.links.insert(conn, link);
        }
    }

    fn close_all(&mut self) {
        self.close_which(|_| true);
    }

    fn close_which(&mut self, test: impl Fn(&Link) -> bool) {
        for conn in self.links.which(test) {
            self.close(conn);
        }
    }
}

#[cfg(test)]
mod tests;
