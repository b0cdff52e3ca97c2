//! What a transfer looks like from outside.

use super::{Stage, Store, Transfer};
use crate::http::redirect::Origin;
use crate::orders::{Account, Activity, Route, Trouble, View};

impl Transfer {
    /// A snapshot.
    #[must_use]
    pub fn view(&self) -> View {
        let told = &self.edition.told;
        View {
            activity: self.activity(),
            discovered: told.ready && !told.kept && self.edition.object.is_some(),
            total: self.edition.work.total(),
            done: self.edition.work.done_bytes(),
            resumed: told.resumed,
            connections: self.links.open(),
            connections_max: self.counts.connections_max,
            planned: self.edition.planned.min(self.edition.ramp.limit()),
            requests: self.counts.requests,
            retries: self.counts.retries,
            route: self.route(),
        }
    }

    /// What answers said of the object.
    #[must_use]
    pub fn account(&self) -> Account {
        let object = self.edition.object.as_ref();
        let url = self.edition.url(self.places.lead);
        Account {
            final_url: url.unwrap_or_else(|| &self.places.first().asked).clone(),
            extent: self.edition.extent.clone(),
            validators: object.map(|object| object.validators.clone()).unwrap_or_default(),
            head: object.and_then(|object| object.head.clone()),
            stated: object.and_then(|object| object.stated.clone()),
            disposition: object.and_then(|object| object.disposition.clone()),
            content_encoding: object.and_then(|object| object.content_encoding.clone()),
            fallback: self.edition.told.fallback,
            verified_length: !self.edition.told.unverified,
        }
    }

    fn route(&self) -> Route {
        let edition = &self.edition;
        let unfetched =
            || edition.work.is_complete() && !edition.told.fetched && edition.held.is_some();
        match &edition.object {
            None => Route::Unknown,
            Some(_) if edition.told.kept || unfetched() => Route::UpToDate,
            Some(object) if object.ranged => Route::Ranges,
            Some(_) => Route::Stream,
        }
    }

    /// How it ended: `Some` once it is over and every command was polled.
    #[must_use]
    pub fn outcome(&self) -> Option<Result<(), Trouble>> {
        if self.stage != Stage::Over || !self.commands.is_empty() {
            return None;
        }
        Some(self.end.trouble.clone().map_or(Ok(()), Err))
    }

    /// Why it fails, as soon as that is known: before it is over, which takes as long as the
    /// slowest of what runs still. A stream may
    /// still come to a good end.
    #[must_use]
    pub fn trouble(&self) -> Option<&Trouble> {
        let stopped = self.end.stopped.as_ref().filter(|_| self.policy.window.is_some());
        self.end.trouble.as_ref().or(stopped)
    }

    /// The origin that it talks to now.
    #[must_use]
    pub fn origin(&self) -> Option<Origin> {
        let lead = self.places.lead;
        match self.edition.spot(lead) {
            Some(spot) if self.stage != Stage::Asking => spot.origin.clone(),
            _ => Origin::of(self.edition.find(lead)?.chain.current()),
        }
    }

    fn activity(&self) -> Activity {
        match self.stage {
            Stage::Asking | Stage::Moving if self.links.busy() == 0 => {
                let lead = self.places.lead;
                let origin = self.edition.url(lead).and_then(Origin::of);
                match self.places.waits(lead, origin.as_ref()) {
                    Some(pause) if pause.until > self.now => {
                        Activity::Waiting { until: pause.until, why: pause.why.clone() }
                    }
                    _ if self.store == Store::Ready => Activity::Downloading,
                    _ if self.edition.object.is_some() => Activity::Probing,
                    _ => Activity::Connecting,
                }
            }
            Stage::Asking if self.store != Store::Ready => Activity::Probing,
            // The file that is there already is up to date: nothing is downloaded.
            Stage::Moving | Stage::Publishing if self.edition.told.kept => Activity::Probing,
            Stage::Asking | Stage::Moving => Activity::Downloading,
            Stage::Preparing => {
                Activity::Allocating { size: self.edition.work.total().unwrap_or(0) }
            }
            Stage::Publishing => Activity::Publishing,
            Stage::Draining | Stage::Failing => Activity::Ending,
            Stage::Over => Activity::Done,
        }
    }
}
