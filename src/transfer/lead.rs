//! Which place leads: it is asked what there is, and its failures are the transfer's.

use super::{
    Stage, Transfer,
    conn::Role,
    kin::Kinship,
    place::{FIRST, Turn},
    probe::Version,
    retry::Budget,
};
use crate::orders::{Failure, Note, Phase, Verdict};

impl Transfer {
    /// The place that leads fails as others may not: another one takes the lead, if there is one.
    /// Returns whether there is.
    pub(super) fn stand_in(&mut self, failure: &Failure) -> bool {
        let stage = matches!(self.stage, Stage::Asking | Stage::Preparing | Stage::Moving);
        if !stage || !is_of_the_place(failure) {
            return false;
        }
        let Some(next) = self.candidate(self.policy.retries > 0) else { return false };
        let old = self.places.lead;
        let url = self.places.first().asked.clone();
        let passes = !matches!(self.verdict(failure), Verdict::Fatal | Verdict::Restart);
        let fresh = matches!(self.places.first().turn, Turn::Fresh);
        let trouble = self.trouble_at(url.clone(), Some(failure.clone()));
        self.places.first_mut().turn = if passes && fresh && self.policy.retries > 0 {
            Turn::Tired
        } else {
            Turn::Gone(Box::new(trouble))
        };
        self.note(Note::MirrorDropped { url, failure: Some(failure.clone()) });
        // What it said was enough for one stream of it, but not for ranges beside others'.
        let weak = |spot: &super::edition::Spot| !spot.validators.is_strong();
        if !self.is_lenient() && self.edition.spot(old).is_some_and(weak) {
            self.edition.doubt(old);
        }
        self.close_which(|link| {
            link.place == old && link.job().is_none_or(|job| job.role != Role::Skip)
        });
        self.lead_on(next);
        true
    }

    /// From now on this place leads.
    pub(super) fn lead_on(&mut self, next: usize) {
        self.places.lead = next;
        for place in self.places.all_mut() {
            place.most = usize::MAX;
        }
        self.places.first_mut().pause = None;
        self.edition.lies = 0;
        self.edition.from_zero = 0;
        self.edition.work.pardon();
        self.budget = Budget::new(&self.policy, self.started);
        if self.stage != Stage::Asking {
            return;
        }
        if self.edition.object.is_some() {
            // What is asked of it, if anything has to be, is a matter of what is missing.
            self.stage = Stage::Moving;
            return;
        }
        let date = |pin: &str| !pin.starts_with('"');
        self.edition.known.take_if(|known| next != FIRST && date(&known.validator));
        self.edition.begin(&self.policy);
    }

    /// The place that leads next: one that has the object, before one of which nothing is known;
    /// one that did not fail yet, before one that did.
    fn candidate(&self, tired: bool) -> Option<usize> {
        let lead = self.places.lead;
        let others = self
            .places
            .live()
            .filter(|(place, _)| *place != lead && !self.edition.is_other(*place));
        let rank = |(place, of): &(usize, &super::place::Place)| {
            (matches!(of.turn, Turn::Tired), self.edition.spot(*place).is_none())
        };
        let best = others.min_by_key(rank)?;
        (tired || matches!(best.1.turn, Turn::Fresh)).then_some(best.0)
    }

    /// Whether a place that was not asked yet might answer sooner than the one that leads.
    pub(super) fn may_hurry(&self) -> bool {
        let open = self.edition.object.as_ref().is_none_or(|object| !object.ranged);
        open && matches!(self.places.first().turn, Turn::Fresh) && self.candidate(false).is_some()
    }

    /// The place that leads now has not said what it has: it is asked for the rest, if it can be
    /// the same object's, and nothing of the old one is on its way.
    pub(super) fn ask_kin(&mut self) {
        let Some(object) = &self.edition.object else { return };
        let none = !object.ranged && self.edition.work.frontier() == 0;
        if object.coded || self.policy.compressed || none {
            return self.begin_again("another place is asked");
        }
        let version =
            if self.is_lenient() { Version::Any } else { Version::Kin(object.validators.clone()) };
        self.ask_rest(version, true);
        self.ask();
    }

    /// The place that leads has not the same object, as far as can be told.
    pub(super) fn no_kin(&mut self, kin: Kinship) {
        if kin == Kinship::Unknown {
            return self.begin_again("nothing tells whether another place has the same object");
        }
        let lead = self.places.lead;
        let next = self.candidate(true);
        self.set_aside(lead, None);
        match next {
            Some(next) => self.lead_on(next),
            None => {
                let first = self.places.live_or_gone().find_map(|place| match &place.turn {
                    Turn::Gone(trouble) => Some((**trouble).clone()),
                    Turn::Fresh | Turn::Tired => None,
                });
                let failure = first
                    .map_or(Failure::Changed(crate::orders::ChangedHow::Validator), |trouble| {
                        trouble.failure
                    });
                self.fail(failure, None, 0);
            }
        }
    }
}

/// Whether another place may not fail in this way.
pub(super) fn is_of_the_place(failure: &Failure) -> bool {
    match failure {
        Failure::Connect { .. }
        | Failure::Receive { .. }
        | Failure::Stale
        | Failure::ShortBody { .. }
        | Failure::Range(_) => true,
        Failure::Timeout { phase, .. } => *phase != Phase::Transfer,
        failure => failure.is_remote(),
    }
}
