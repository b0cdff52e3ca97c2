//! Finds out what the places have that do not lead: spans go to all of them, and the faster take
//! more.
//!
//! A place is tried with a request for a span of its own, once the object is known. Its answer
//! must be a part of the same object (contract 13, [`super::kin`]); otherwise the
//! place is dropped with a warning, and costs nothing but that. From then on every connection,
//! wherever it leads, takes the next span from the one queue when it is free, so that a place gets
//! work as fast as it delivers. What a place says later is compared with what it said first.

use std::{ops::Range, time::Duration};

use url::Url;

use super::{
    Transfer,
    conn::{Job, Link, Role},
    edition::{self, Resolved, Standing},
    kin::{Kinship, kinship},
    place::Pause,
    probe::{self, Question, Ruling, Version},
    recover::Lost,
};
use crate::http::{redirect::Origin, response::Head};
use crate::orders::{Accept, Conn, Failure, Note, Verdict, expect};

impl Transfer {
    /// Whether an idle connection can be of use.
    pub(super) fn is_useful(&self, link: &Link) -> bool {
        if self.edition.is_other(link.place) || !self.is_asked(link.place) {
            return false;
        }
        match self.edition.spot(link.place) {
            Some(spot) => spot.origin.is_some() && link.origin == spot.origin,
            None => self.edition.url(link.place).and_then(Origin::of) == link.origin,
        }
    }

    fn is_asked(&self, place: usize) -> bool {
        self.places.at(place).is_some_and(|place| !place.is_gone())
    }

    /// What keeps a place from being asked for anything new.
    pub(super) fn waits(&self, place: usize) -> Option<&Pause> {
        match self.edition.spot(place) {
            Some(spot) => self.places.waits(place, spot.origin.as_ref()),
            None => {
                let origin = self.edition.url(place).and_then(Origin::of);
                self.places.waits(place, origin.as_ref())
            }
        }
    }

    /// Where the next connection should lead: to the place that has the fewest. One that is not
    /// known yet gets one, and until it is known its share is kept free. Where a part was refused
    /// (`refused`), courtesy does not count.
    pub(super) fn next_place(&self, refused: bool) -> Option<(usize, Url)> {
        let usable = |place: &usize| {
            !self.edition.is_other(*place) && self.edition.work.suits(self.now, *place)
        };
        let live: Vec<usize> = self.places.live().map(|(place, _)| place).filter(usable).collect();
        let unknown = live.iter().any(|place| self.edition.is_new(*place));
        let fair = if unknown { self.limit().div_ceil(live.len().max(1)) } else { usize::MAX };
        let open = |fast: bool| {
            let free = live.iter().filter(|place| self.waits(**place).is_none());
            let room = free.filter_map(|place| {
                let of = self.places.at(*place)?;
                // Where no better place can help, a slow one has to.
                let pace = if fast { of.most } else { usize::MAX };
                let most = if self.edition.is_new(*place) {
                    1
                } else if refused {
                    of.crowd.limit_for_refused().min(pace)
                } else {
                    of.crowd.limit().min(pace).min(fair)
                };
                let has = self.links.at(*place);
                (has < most).then_some((has, *place))
            });
            room.min()
        };
        let others = live.iter().any(|place| self.links.at(*place) > 0);
        let (_, place) = open(true).or_else(|| if others { None } else { open(false) })?;
        Some((place, self.edition.url(place)?.clone()))
    }

    /// Asks a place for a span, to find out whether it has the object.
    pub(super) fn scout(&mut self, conn: Conn, place: usize) {
        let Some(find) = self.edition.find(place) else { return };
        let busy = self.links.count(|link| link.place == place && link.is_busy());
        if !matches!(find.standing, Standing::New) || busy > 0 {
            return;
        }
        let mut request = self.request_to(place, &find.chain);
        let piece = self.piece_for(conn);
        let Some((span, blame)) = self.edition.work.lease(self.now, piece, place, false) else {
            return;
        };
        request.ask = self.edition.ask_for(&span);
        let job = Job { role: Role::Scout, leased: true, blame, ..self.job(span, place) };
        self.send(conn, job, request, Accept::Ask);
    }

    /// The first answer of a place that does not lead.
    pub(super) fn on_scout(&mut self, conn: Conn, asked: &Range<u64>, head: &Head) {
        let Some(place) = self.links.get(&conn).map(|link| link.place) else { return };
        let question = Question::Rest { version: Version::Any, over: false };
        match probe::judge(&question, asked, &self.edition.wanted(&self.policy), head) {
            Ruling::Part { range, .. } if self.is_same(place, head) => {
                self.take_body(conn, range);
                self.settle(place, head);
                self.receive_waiting();
            }
            Ruling::Redirect => {
                self.skip(conn);
                let Some(find) = self.edition.find_mut(place) else { return };
                if let Err(error) = find.chain.follow(head.one("location")) {
                    self.drop_place(place, Some(Failure::Http(error)));
                }
            }
            Ruling::Fail(failure) => {
                let lost = self
                    .links
                    .get(&conn)
                    .and_then(|link| link.job().map(|job| Lost::of(link, job, failure, false)));
                self.skip(conn);
                if let Some(lost) = lost {
                    self.lost(lost);
                }
            }
            _ => {
                self.skip(conn);
                self.set_aside(place, None);
            }
        }
    }

    /// Whether a place has the object that is downloaded, as far as can be told, and may join in.
    fn is_same(&self, place: usize, head: &Head) -> bool {
        let theirs = head.validators();
        let said = self.edition.find(place).and_then(|find| find.said.as_ref());
        if said.is_some_and(|said| !expect::same_version(said, head)) {
            return false;
        }
        let Some(object) = &self.edition.object else { return false };
        let contradicted = self.edition.is_contradicted(place, &theirs);
        self.is_lenient()
            || theirs.is_strong()
                && !contradicted
                && kinship(&object.validators, &theirs) == Kinship::Same
    }

    /// What a place that does not lead loses is asked for elsewhere; one that goes on losing is
    /// dropped. Returns the failure back if it is none of the place's.
    pub(super) fn place_lost(&mut self, lost: Lost) -> Option<Lost> {
        let place = lost.place;
        if let Failure::Changed(_) = lost.failure {
            self.set_aside(place, Some(lost.failure));
            return None;
        }
        if !super::lead::is_of_the_place(&lost.failure) {
            return Some(lost);
        }
        if self.may_resolve_again(&lost) {
            self.find_again(place, lost.attempt.map(|attempt| attempt.0));
            return None;
        }
        let verdict = self.verdict(&lost.failure);
        let again =
            matches!(verdict, Verdict::Retry | Verdict::RetryFree | Verdict::RetryLater { .. });
        if again && self.is_surplus(&lost) {
            self.fewer(place, None);
            return None;
        }
        let (now, owed) = (self.now, lost.owed());
        let of = self.places.at_mut(place)?;
        of.failures = if lost.brought > 0 { 0 } else { of.failures.saturating_add(1) };
        let failures = of.failures;
        if !again || failures >= FAILURES_MAX || self.policy.retries == 0 {
            self.drop_place(place, Some(lost.failure));
            return None;
        }
        if failures > 0 {
            let until = now.saturating_add(AGAIN.saturating_mul(1 << (failures - 1).min(8)));
            of.pause = Some(Pause { until, why: lost.failure });
        }
        // It is not asked for the same again while another place may have it.
        if let Some(owed) = owed {
            self.edition.work.shun(owed, lost.blame, place);
        }
        None
    }

    /// A URL after redirects stopped working: the place is asked anew, and has to prove itself.
    fn find_again(&mut self, place: usize, attempt: Option<u64>) {
        let asked = self.places.at(place).map(|place| edition::chain(&self.policy, &place.asked));
        let resolved =
            Resolved { attempt: self.links.next_attempt(), done: self.edition.work.done_bytes() };
        let Some((find, chain)) = self.edition.find_mut(place).zip(asked) else { return };
        if attempt.is_some_and(|attempt| find.is_outdated(attempt)) {
            return;
        }
        find.chain = chain;
        find.standing = Standing::New;
        find.resolved = Some(resolved);
    }

    /// One of the connections to a place is so slow that another place serves better.
    pub(super) fn take_from(&mut self, place: usize) {
        let better = |(other, of): (usize, &super::place::Place)| {
            other != place && self.edition.spot(other).is_some() && of.limit() > 0
        };
        if !self.places.live().any(better) {
            return;
        }
        let has = self.links.at(place);
        if let Some(place) = self.places.at_mut(place) {
            place.most = place.most.min(has.saturating_sub(1));
        }
    }

    /// A place has another object, or lies; it may have the next version.
    pub(super) fn set_aside(&mut self, place: usize, failure: Option<Failure>) {
        if self.edition.is_other(place) || !self.is_asked(place) {
            return;
        }
        let Some(url) = self.places.at(place).map(|place| place.asked.clone()) else { return };
        if let Some(find) = self.edition.find_mut(place) {
            find.standing = Standing::Other;
        }
        self.note(Note::MirrorDropped { url, failure });
        self.leave(place);
    }

    /// A place is not asked any more.
    fn drop_place(&mut self, place: usize, failure: Option<Failure>) {
        let Some(url) = self.places.at(place).map(|place| place.asked.clone()) else { return };
        let trouble = self.trouble_at(url, failure.clone());
        self.set_aside(place, failure);
        if let Some(place) = self.places.at_mut(place) {
            place.turn = super::place::Turn::Gone(Box::new(trouble));
        }
    }

    /// Closes what leads to a place, and gives the others what they had in its favour.
    pub(super) fn leave(&mut self, place: usize) {
        self.close_which(|link| {
            link.place == place && link.job().is_none_or(|job| job.role != Role::Skip)
        });
        for place in self.places.all_mut() {
            place.most = usize::MAX;
        }
    }
}

/// Attempts in a row that a place may lose which does not lead.
const FAILURES_MAX: u32 = 3;

/// How long such a place is left alone after a loss; it doubles.
const AGAIN: Duration = Duration::from_millis(250);
