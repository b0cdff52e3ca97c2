//! How it ends: a version that is left for another, bytes that are not the right ones, a failure.

use std::ops::Range;

use url::Url;

use super::{
    Stage, Store, Transfer,
    conn::{Job, State},
    edition::Edition,
    place::Turn,
    plan,
};
use crate::orders::{Command, Failure, Note, StoreOp, Trouble};
use crate::range::RangeSet;

impl Transfer {
    /// The resource is another one now.
    pub(super) fn restart(&mut self) {
        self.restarted = true;
        self.begin_again("the resource changed");
    }

    /// Everything is closed, then it begins anew.
    pub(super) fn begin_again(&mut self, why: &str) {
        self.note(Note::FreshStart(why.to_owned()));
        self.withdraw();
        self.close_all();
        self.stage = Stage::Draining;
    }

    /// Begins anew once no byte of the old version can come any more. Nothing of what is known of
    /// that remains.
    pub(super) fn drained(&mut self) {
        if !self.links.is_empty() || self.store == Store::Preparing {
            return;
        }
        self.store = Store::Unready;
        self.edition = Edition::new(&self.policy, self.places.asked(), None, None);
        self.pulse = None;
        for place in self.places.all_mut() {
            place.most = usize::MAX;
            place.pause = None;
        }
        self.stage = Stage::Asking;
        self.ask();
    }

    /// The store did not publish. Where the digest is wrong and it is known that some of the bytes
    /// came from elsewhere than the place that is trusted, those are fetched from there, once.
    pub(super) fn not_published(&mut self, failure: Failure) {
        if let Some(stopped) = self.end.stopped.take() {
            return self.fail(stopped.failure, None, 0);
        }
        let digest = matches!(failure, Failure::Digest { .. });
        let trusted = self.edition.object.as_ref().map(|object| object.place);
        let there = |place: &usize| self.places.at(*place).is_some_and(|place| !place.is_gone());
        let lost = self.edition.suspects().filter(|_| digest);
        match trusted.filter(there).zip(lost) {
            Some((trusted, lost)) => self.fetch_again(trusted, lost, failure),
            None if digest && self.policy.digest => self.begin_elsewhere(failure),
            None => self.fail(failure, None, 0),
        }
    }

    /// What there is is not what the digest names, and no other place can be blamed: an earlier run
    /// left it, or the place that was believed first has something else. Each place is believed
    /// once at most.
    fn begin_elsewhere(&mut self, failure: Failure) {
        if self.edition.held.is_some() {
            return self.begin_again("what an earlier run left is not what the digest names");
        }
        let believed = self.edition.object.as_ref().map_or(self.places.lead, |object| object.place);
        let next = self.places.live().map(|(place, _)| place).find(|place| *place != believed);
        let asked = self.places.at(believed).map(|place| place.asked.clone());
        let (Some(next), Some(url)) = (next, asked) else { return self.fail(failure, None, 0) };
        let trouble = self.trouble_at(url.clone(), Some(failure.clone()));
        if let Some(place) = self.places.at_mut(believed) {
            place.turn = Turn::Gone(Box::new(trouble));
        }
        self.note(Note::MirrorDropped { url, failure: Some(failure) });
        self.lead_on(next);
        self.begin_again("another place is believed");
    }

    /// The digest was wrong of what a place had, and this is not the end of it.
    pub(super) fn disproved(&self) -> Option<Failure> {
        let digest = |place: &super::place::Place| match &place.turn {
            Turn::Gone(trouble) => Some(trouble.failure.clone()),
            Turn::Fresh | Turn::Tired => None,
        };
        let mut failures = self.places.live_or_gone().filter_map(digest);
        failures.find(|failure| matches!(failure, Failure::Digest { .. }))
    }

    fn fetch_again(&mut self, trusted: usize, lost: RangeSet, why: Failure) {
        for place in (0..self.places.len()).filter(|place| *place != trusted) {
            let guilty = self.edition.find(place).is_some_and(|find| !find.brought.is_empty());
            if guilty {
                self.set_aside(place, Some(why.clone()));
            }
        }
        self.places.lead = trusted;
        self.edition.mismatch = Some(why);
        self.edition.work.forget(&lost);
        self.edition.planned = plan::connections(&self.policy, self.edition.work.left());
        self.stage = Stage::Preparing;
        self.store = Store::Preparing;
        self.commands.push_back(Command::Refetch { lost });
    }

    /// The first failure that nothing can mend. Later ones are its consequences.
    pub(super) fn fail(&mut self, failure: Failure, range: Option<Range<u64>>, attempts: u32) {
        if matches!(self.stage, Stage::Failing | Stage::Over) {
            return;
        }
        let lead = self.places.lead;
        let url = match (self.edition.spot(lead), self.edition.find(lead)) {
            (Some(spot), _) if self.stage != Stage::Asking => spot.url.clone(),
            (_, Some(find)) => find.chain.current().clone(),
            (_, None) => self.places.first().asked.clone(),
        };
        let located = |range| match &self.edition.extent {
            Some(extent) => extent.locate(&range),
            None => range,
        };
        let range = range.map(located);
        self.end.trouble = Some(Trouble { failure, range, attempts, url });
        self.stage = Stage::Failing;
        self.withdraw();
        self.close_all();
    }

    /// Why a place is not asked any more.
    pub(super) fn trouble_at(&self, url: Url, failure: Option<Failure>) -> Trouble {
        let failure = failure.unwrap_or(Failure::Changed(crate::orders::ChangedHow::Validator));
        Trouble { failure, range: None, attempts: 0, url }
    }

    /// Takes back what the shell has not been told yet.
    fn withdraw(&mut self) {
        for command in std::mem::take(&mut self.commands) {
            match command {
                Command::Open { conn, .. } => {
                    self.links.remove(&conn);
                }
                Command::Request { conn, .. } => {
                    self.counts.requests -= 1;
                    if let Some(link) = self.links.get_mut(&conn)
                        && let State::Busy(job) = std::mem::replace(&mut link.state, State::Idle)
                    {
                        self.give_back(&job);
                    }
                }
                Command::Prepare { .. } | Command::Refetch { .. } => self.store = Store::Unready,
                Command::Publish { .. } | Command::Keep => self.store = Store::Ready,
                Command::Receive { .. } | Command::Skip { .. } | Command::Shrink { .. } => {}
                Command::Withhold => {}
                Command::Close { .. } | Command::Abandon { .. } | Command::Note(_) => {
                    self.commands.push_back(command);
                }
            }
        }
    }

    /// The end of a failure: once nothing can write any more, the part file is left to its fate.
    pub(super) fn failed(&mut self) {
        let store = matches!(self.store, Store::Preparing | Store::Publishing);
        if !self.links.is_empty() || store {
            return;
        }
        let keep = self.policy.keep_part && self.is_worth_keeping();
        self.stage = Stage::Over;
        self.commands.push_back(Command::Abandon { keep });
    }

    /// Whether a later run can build on what is there: something proves which object it is, and the
    /// failure was not that it is the wrong one.
    fn is_worth_keeping(&self) -> bool {
        let spoilt = match self.end.trouble.as_ref().map(|trouble| &trouble.failure) {
            Some(Failure::Changed(_) | Failure::Digest { .. } | Failure::Internal(_)) => true,
            Some(Failure::CannotResume { .. }) => true,
            Some(Failure::Store { op, .. }) => *op == StoreOp::Sync,
            _ => false,
        };
        let strong = match (&self.edition.object, &self.edition.held) {
            (Some(object), _) => !object.coded && self.lasting(object).is_strong(),
            (None, Some(held)) => held.validator.is_some(),
            (None, None) => false,
        };
        let coded = self.edition.object.as_ref().is_some_and(|object| object.coded);
        let guarded = strong || self.policy.digest && !coded;
        guarded && self.edition.work.total().is_some() && !spoilt
    }

    /// Whatever a request was leased and did not bring is free again.
    pub(super) fn give_back(&mut self, job: &Job) {
        if job.leased {
            self.edition.work.give_back(job.at..job.span.end);
        }
    }
}
