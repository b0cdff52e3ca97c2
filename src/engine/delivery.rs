//! One transfer as the coordinator's thread sees it from the outside: where its bytes go, how many
//! are there, what became of it, and what the observer knows.

use std::time::Duration;

use crossbeam_channel::Sender;
use url::Url;

use super::{
    clerk::Job,
    message::Stored,
    shelf::{Plan, Published, Start},
    tap::Tap,
    told::{Besides, Told},
};
use crate::{
    event::{Counter, Event},
    files::{
        follow::{Follower, Stopper},
        sink::Sink,
    },
    http::{self, field::Validators},
    journal::Claim,
    orders::{Account, Extent, Failure, StoreEvent, View},
    range::RangeSet,
};

/// One transfer's delivery.
pub(crate) struct Delivery {
    url: String,
    sink: Option<Sink>,
    /// The stream that it goes to, if it is one.
    tap: Option<Tap>,
    /// Every byte is there, and the name or the consumer is waited for.
    publishing: bool,
    /// Bytes that are in place.
    done: RangeSet,
    follower: Option<Follower>,
    /// Of the follower, once that is with the thread that publishes.
    stopper: Option<Stopper>,
    /// It is hashed before it is published.
    hashed: bool,
    counter: Counter,
    told: Told,
    /// When the first and the last bytes were written.
    flowed: Option<(Duration, Duration)>,
    /// Who waits for what the first answer says.
    announce: Option<Sender<(View, Account)>>,
    /// What the finished transfer reports.
    pub(crate) published: Published,
}

/// What follows from what its files report.
pub(super) enum Follows {
    /// The transfer is told.
    Tell(StoreEvent),
    /// The transfer cannot go on.
    Stop(Failure),
    /// The observer is told.
    Observe(Event),
}

impl Delivery {
    /// `tap`: where it goes, if that is no file. `hashed`: it is known already that it will be.
    pub(crate) fn new(url: &Url, tap: Option<Tap>, hashed: bool, counter: Counter) -> Self {
        Self {
            url: http::redact(url),
            sink: None,
            tap,
            publishing: false,
            done: RangeSet::new(),
            follower: None,
            stopper: None,
            hashed,
            counter,
            told: Told::default(),
            flowed: None,
            announce: None,
            published: Published::default(),
        }
    }

    /// Tells what the first answer says, once that is known: from then on it is of no other
    /// version.
    pub(crate) fn announcing(self, announce: Sender<(View, Account)>) -> Self {
        Self { announce: Some(announce), ..self }
    }

    /// Where bodies go, once that is ready.
    pub(super) fn sink(&self) -> Option<Sink> {
        self.sink.clone()
    }

    /// What is published is not wanted any more: nothing more goes to a consumer.
    pub(super) fn withhold(&self) {
        self.tap.iter().for_each(Tap::close);
    }

    /// The job that makes the output ready.
    pub(super) fn prepare(
        &mut self,
        extent: Option<Extent>,
        validators: Validators,
        resume: bool,
        account: &Account,
    ) -> Job {
        self.follower = None;
        Job::Prepare(Box::new(Plan::new(extent, validators, resume, account)))
    }

    /// The job that takes these bytes for missing, so that they can come once more.
    pub(super) fn refetch(&mut self, lost: RangeSet) -> Job {
        let mut done = std::mem::take(&mut self.done);
        for range in lost.iter() {
            done.remove(range);
        }
        Job::Refetch(Box::new((lost, done)))
    }

    /// The job that publishes what is complete. None where that is the consumer's.
    pub(super) fn publish(&mut self, total: u64) -> Option<Job> {
        self.sink = None;
        self.publishing = true;
        self.stopper = self.follower.as_ref().map(Follower::stopper);
        if let Some(tap) = &self.tap {
            tap.finish(total);
            return None;
        }
        Some(Job::Publish(total, self.follower.take()))
    }

    /// The job that closes what has failed.
    pub(super) fn abandon(&mut self, keep: bool) -> Job {
        self.sink = None;
        self.follower = None;
        self.tap.iter().for_each(Tap::fail);
        self.stopper.iter().for_each(Stopper::stop);
        Job::Abandon { keep }
    }

    /// Its files have reported.
    pub(super) fn stored(&mut self, stored: Stored) -> Follows {
        match stored {
            Stored::Started(Ok(Start::Prepared(prepared))) => {
                self.sink = Some(prepared.sink);
                self.done = prepared.done;
                self.follower = prepared.follower;
                self.hashed = prepared.hashed;
                self.published.path = prepared.path;
                self.count();
                Follows::Tell(StoreEvent::Prepared(Ok(())))
            }
            Stored::Started(Ok(Start::Found(found))) => Follows::Tell(StoreEvent::Found(found)),
            Stored::Started(Err(failure)) => Follows::Tell(StoreEvent::Prepared(Err(failure))),
            Stored::Over(Ok(published)) => {
                let path = published.path.or_else(|| self.published.path.take());
                self.published = Published { path, ..published };
                Follows::Tell(StoreEvent::Published(Ok(())))
            }
            Stored::Over(Err(failure)) if !self.publishing => Follows::Stop(failure),
            Stored::Over(Err(failure)) => Follows::Tell(StoreEvent::Published(Err(failure))),
            Stored::Consumed(to) => Follows::Tell(StoreEvent::Consumed { to }),
            Stored::Failed(failure) => Follows::Stop(failure),
            Stored::Note(what) => Follows::Observe(Event::Note(what)),
            Stored::Warning(what) => Follows::Observe(Event::Warning(what)),
        }
    }

    /// Bytes are in the file: counts them and has them hashed. Returns the job that records them,
    /// if they last, and what the observer is told.
    pub(super) fn wrote(&mut self, claim: Claim, now: Duration) -> (Option<Job>, Option<Event>) {
        let (first, _) = self.flowed.unwrap_or((now, now));
        self.flowed = Some((first, now));
        self.done.insert(claim.range.clone());
        self.count();
        let job = self.tap.is_none().then(|| Job::Wrote(claim, now));
        (job, self.told.progress(self.counter.bytes()))
    }

    fn count(&self) {
        self.counter.set(self.done.len());
        if let Some(follower) = &self.follower {
            follower.advance(self.done.frontier(0));
        }
    }

    /// What the observer does not know yet.
    pub(super) fn news(
        &mut self,
        view: &View,
        account: impl FnOnce() -> Account,
        now: Duration,
    ) -> Vec<Event> {
        if view.discovered
            && let Some(announce) = self.announce.take()
        {
            self.tap.iter().for_each(Tap::commit);
            // Who does not wait any more has left, and says so.
            let _ = announce.send((view.clone(), account()));
            return Vec::new();
        }
        let path = self.published.path.as_deref();
        let besides = Besides { path, hashed: self.hashed, bytes: self.counter.bytes(), now };
        self.told.news(view, account, &besides)
    }

    /// The URL asked for, redacted.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// From the first byte to the last.
    pub(crate) fn transfer_elapsed(&self) -> Duration {
        match self.flowed {
            Some((first, last)) => last.saturating_sub(first),
            None => Duration::ZERO,
        }
    }
}
