//! Acts on the answer to the question.

use std::{ops::Range, sync::Arc};

use super::{
    Stage, Store, Transfer,
    conn::{Link, Role, State},
    edition::{Edition, Object, Spot, Standing},
    expiry,
    kin::{Kinship, kinship},
    plan,
    probe::{self, Question, Renewal, Ruling, Version},
    recover::Lost,
    work::Work,
};
use crate::http::{body::Framing, field::Coding, redirect::Origin, response::Head};
use crate::orders::{
    Attempt, ChangedHow, Command, Conn, Extent, Failure, Note, OPEN_END, Pin, expect,
};
use crate::range::RangeSet;

impl Transfer {
    /// The head of an answer that was not judged by its worker.
    pub(super) fn on_head(&mut self, conn: Conn, attempt: Attempt, head: &Head) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        let State::Busy(job) = &link.state else { return };
        if job.attempt != attempt {
            return;
        }
        let (role, asked) = (job.role, job.span.clone());
        if role == Role::Check {
            return self.on_checked(conn, asked, head);
        }
        link.proven = true;
        let (place, origin) = (link.place, link.origin.clone());
        self.served(place);
        if let Some(wait) = expect::retry_after(head).and_then(|after| self.wait_of(after))
            && wait <= self.policy.retry_after_max
        {
            self.hold(origin, wait, &expect::status(head));
        }
        match role {
            Role::Ask => self.on_answer(conn, &asked, head),
            Role::Scout => self.on_scout(conn, &asked, head),
            Role::Check | Role::Wait | Role::Skip | Role::Part | Role::Stream => {}
        }
    }

    /// The answer to a range of a place whose first answer named no entity tag, though later ones
    /// may: those have to agree with one another and with what other places named. Or of one that
    /// is tied to the first answer by its date alone: each of its answers has to show that.
    fn on_checked(&mut self, conn: Conn, asked: Range<u64>, head: &Head) {
        let Some(link) = self.links.get(&conn) else { return };
        let (place, unproven) = (link.place, !link.proven);
        let Some(spot) = self.edition.spot(place) else { return self.skip(conn) };
        let Some(expect) = self.edition.expect(asked, spot.validators.clone()) else {
            return self.skip(conn);
        };
        let theirs = head.validators();
        let kin = |object: &Object| {
            object.place == place || kinship(&object.validators, &theirs) == Kinship::Same
        };
        let believed = expect.check(head).and_then(|range| {
            let other = self.edition.is_contradicted(place, &theirs)
                || !self.edition.object.as_ref().is_some_and(kin);
            if other { Err(Failure::Changed(ChangedHow::Validator)) } else { Ok(range) }
        });
        match believed {
            Ok(range) => {
                self.edition.take_up(place, &theirs);
                self.take_body(conn, range);
                self.receive_waiting();
            }
            Err(failure) => self.refuse(conn, failure, unproven),
        }
    }

    /// One more connection of a place has brought an answer.
    pub(super) fn served(&mut self, place: usize) {
        let proven = self.links.proven(place);
        if let Some(place) = self.places.at_mut(place) {
            place.crowd.serves(proven);
        }
    }

    fn on_answer(&mut self, conn: Conn, asked: &Range<u64>, head: &Head) {
        match self.edition.known.as_ref().map(|known| probe::renew(known, self.policy.slice, head))
        {
            Some(Renewal::Same) => {
                self.skip(conn);
                return self.accept_known(head);
            }
            // Asked again without the condition.
            Some(Renewal::Absurd) => {
                self.edition.known = None;
                return self.skip(conn);
            }
            Some(Renewal::Other) | None => {}
        }
        if let Some(kin) = self.kin_of_answer(head)
            && kin != Kinship::Same
        {
            self.skip(conn);
            return self.no_kin(kin);
        }
        match probe::judge(&self.edition.question, asked, &self.edition.wanted(&self.policy), head)
        {
            Ruling::Placed(extent) => {
                self.skip(conn);
                self.edition.extent = Some(extent);
                let probed = self.edition.question == Question::Probe;
                if probed && self.policy.pin == Pin::Auto && !self.is_guarded(&head.validators()) {
                    self.ask_plainly(UNTIED);
                }
            }
            Ruling::Part { .. }
                if !self.is_lenient()
                    && self.edition.is_contradicted(self.places.lead, &head.validators()) =>
            {
                self.refuse(conn, Failure::Changed(ChangedHow::Validator), false);
            }
            Ruling::Part { extent, .. } if matches!(self.edition.question, Question::Whole(_)) => {
                self.accept_slice(conn, extent, head);
            }
            Ruling::Part { range, extent } => self.accept_part(conn, range, extent, head),
            Ruling::Whole { framing: Framing::Length(0), .. } => {
                self.skip(conn);
                self.start_over(Some(Extent::all(0)), head);
            }
            Ruling::Whole { framing, coded } => self.accept_whole(conn, framing, coded, head),
            Ruling::Complete { total } => {
                self.skip(conn);
                self.accept_complete(total, head);
            }
            Ruling::Redirect => {
                self.skip(conn);
                self.redirect(head);
            }
            Ruling::Plain(why) => {
                self.skip(conn);
                self.ask_plainly(why);
            }
            Ruling::Fail(failure) => self.refuse(conn, failure, false),
        }
    }

    /// How an answer of another place to the question for the rest is related to what is there.
    fn kin_of_answer(&self, head: &Head) -> Option<Kinship> {
        let (Question::Rest { version: Version::Kin(ours), .. }
        | Question::Whole(Version::Kin(ours))) = &self.edition.question
        else {
            return None;
        };
        let length = match head.status {
            206 => expect::part(head).ok().map(|(_, total)| total),
            200 if !head.content_coded() => head.content_length(),
            _ => return None,
        };
        let was = self.edition.extent.as_ref().map(|extent| extent.complete);
        let differs = length.zip(was).is_some_and(|(is, was)| is != was);
        let theirs = head.validators();
        Some(match kinship(ours, &theirs) {
            _ if differs => Kinship::Other,
            Kinship::Same if self.edition.is_contradicted(self.places.lead, &theirs) => {
                Kinship::Unknown
            }
            kin => kin,
        })
    }

    /// The answer is no answer: what was leased for it goes back, with the blame.
    fn refuse(&mut self, conn: Conn, failure: Failure, unproven: bool) {
        let Some(link) = self.links.get(&conn) else { return };
        let Some(job) = link.job() else { return };
        let lost = Lost::of(link, job, failure, unproven);
        self.skip(conn);
        self.lost(lost);
    }

    fn ask_plainly(&mut self, why: &'static str) {
        let version = match &self.edition.question {
            Question::Rest { version, .. } => version.clone(),
            _ => Version::Any,
        };
        self.edition.question = Question::Whole(version);
        self.fall_back(why);
    }

    fn fall_back(&mut self, why: &'static str) {
        if self.edition.told.fallback.is_none() && !plan::is_single(&self.policy) {
            self.edition.told.fallback = Some(why);
            self.note(Note::Fallback(why));
        }
    }

    fn redirect(&mut self, head: &Head) {
        let Some(find) = self.edition.find_mut(self.places.lead) else { return };
        match find.chain.follow(head.one("location")) {
            Ok(url) => {
                let url = url.clone();
                self.note(Note::Redirected(url));
            }
            Err(error) => {
                let failure = Failure::Http(error);
                if !self.stand_in(&failure) {
                    self.fail(failure, None, 0);
                }
            }
        }
    }

    /// A 206 in answer to the question.
    fn accept_part(&mut self, conn: Conn, range: Range<u64>, extent: Extent, head: &Head) {
        let total = extent.length();
        if !self.size_is_allowed(Some(total)) {
            return;
        }
        let guarded = self.is_guarded(&head.validators());
        if self.edition.question == Question::Probe {
            if self.policy.pin == Pin::Require && !guarded {
                return self.fail(Failure::Unpinned, None, 0);
            }
            if range.end < total && self.policy.pin == Pin::Auto && !guarded {
                self.skip(conn);
                return self.ask_plainly(UNTIED);
            }
            self.edition.work = Work::new(Some(total), RangeSet::new());
        } else if self.edition.work.total().is_none() {
            self.edition.work.set_total(total);
        }
        self.edition.extent = Some(extent);
        // The rest of a stream may come of a place that has no more to show than a date, and what
        // comes as a whole may be nothing that a second range could be joined with.
        let ranged = self.is_lenient() || guarded;
        self.edition.lies = 0;
        self.believe(head);
        let left = self.edition.work.left();
        self.edition.planned = if ranged { plan::connections(&self.policy, left) } else { 1 };
        if let Some(object) = &mut self.edition.object {
            object.ranged = ranged;
        }
        self.take_body(conn, range);
        if self.store == Store::Ready {
            self.on_prepared();
        } else {
            self.prepare(self.edition.held.is_some());
        }
    }

    /// The answer's body lies at `range`: the rest of what was leased for it is free.
    pub(super) fn take_body(&mut self, conn: Conn, range: Range<u64>) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        let State::Busy(job) = &mut link.state else { return };
        if job.leased {
            self.edition.work.give_back(job.at..job.span.end);
        }
        self.edition.work.claim(range.clone());
        job.at = range.start;
        job.span = range;
        job.leased = true;
        job.role = Role::Wait;
    }

    /// A 206 in answer to the one request for all of a slice: it is the download.
    fn accept_slice(&mut self, conn: Conn, extent: Extent, head: &Head) {
        let total = extent.length();
        if self.size_is_allowed(Some(total)) {
            self.disown(conn);
            self.start_over(Some(extent), head);
            self.take_body(conn, 0..total);
        }
    }

    /// Before the work is replaced, what was leased for the question is forgotten with it.
    fn disown(&mut self, conn: Conn) {
        if let Some(link) = self.links.get_mut(&conn)
            && let State::Busy(job) = &mut link.state
        {
            job.leased = false;
        }
    }

    /// A 200 in answer to the question: it is the download, from its first byte.
    fn accept_whole(&mut self, conn: Conn, framing: Framing, coded: bool, head: &Head) {
        let total = match framing {
            Framing::Length(total) => Some(total),
            Framing::Chunked | Framing::Close => None,
        };
        if !self.size_is_allowed(total) {
            return;
        }
        if self.edition.question == Question::Probe {
            self.fall_back("the server ignores ranges");
        }
        if framing == Framing::Close {
            self.note(Note::Unverified);
        }
        if let Some(coding) = head.content_coding() {
            if !self.policy.compressed {
                self.note(Note::Coded(coding));
            } else if Coding::named(&coding).is_none() {
                let what = "that was not asked for".to_owned();
                return self.refuse(conn, Failure::Coding { coding, what }, false);
            }
        }
        self.disown(conn);
        self.start_over(total.map(Extent::all), head);
        self.edition.told.unverified = framing == Framing::Close;
        if let Some(object) = &mut self.edition.object {
            object.coded = coded;
        }
        self.take_body(conn, 0..total.unwrap_or(OPEN_END));
    }

    /// Begins the object at its first byte, whatever was there before.
    fn start_over(&mut self, extent: Option<Extent>, head: &Head) {
        if self.policy.pin == Pin::Require && !self.is_guarded(&head.validators()) {
            return self.fail(Failure::Unpinned, None, 0);
        }
        let anew = self.edition.work.done_bytes() > 0;
        if anew {
            let why = "the server does not send the rest alone".to_owned();
            self.note(Note::FreshStart(why));
        }
        let fresh = Edition::new(&self.policy, self.places.asked(), None, None);
        let old = std::mem::replace(&mut self.edition, fresh);
        // Asking for the rest again would lead here again, for ever.
        self.edition.from_zero = old.from_zero.max(u32::from(anew));
        self.edition.told.fallback = old.told.fallback;
        self.edition.question = old.question;
        self.edition.work = Work::new(extent.as_ref().map(Extent::length), RangeSet::new());
        self.edition.extent = extent;
        let lead = self.places.lead;
        if let Some((find, was)) = self.edition.find_mut(lead).zip(old.finds.into_iter().nth(lead))
        {
            find.chain = was.chain;
            find.resolved = was.resolved;
        }
        self.believe(head);
        self.prepare(false);
    }

    /// Nothing is missing.
    fn accept_complete(&mut self, total: u64, head: &Head) {
        if total == 0 && self.edition.held.is_none() {
            return self.start_over(Some(Extent::all(0)), head);
        }
        if self.edition.work.total().is_none() {
            self.edition.work.set_total(total);
        }
        if self.store == Store::Ready {
            self.stage = Stage::Moving;
        } else {
            self.believe(head);
            self.prepare(true);
        }
    }

    /// The place that leads has the object, as it says: what it says first holds.
    pub(super) fn believe(&mut self, head: &Head) {
        let (lead, validators) = (self.places.lead, head.validators());
        self.edition.object.get_or_insert_with(|| Object {
            place: lead,
            validators: validators.clone(),
            head: Some(Arc::new(head.clone())),
            tag: None,
            ranged: false,
            coded: false,
            // What is stated is of the whole.
            stated: head.stated_digest().filter(|_| self.policy.slice.is_none()),
            disposition: head.one("content-disposition").map(<[u8]>::to_vec),
            content_encoding: head.content_coding(),
        });
        self.settle(lead, head);
    }

    /// A place has the object.
    pub(super) fn settle(&mut self, place: usize, head: &Head) {
        let validators = head.validators();
        let (now, asked) = (self.now, self.places.at(place).map(|place| place.asked.clone()));
        let Some(find) = self.edition.find_mut(place) else { return };
        let url = find.chain.current().clone();
        let moved = validators.date.filter(|_| Some(&url) != asked.as_ref());
        let lifetime = moved.and_then(|date| expiry::lifetime(&url, date));
        let said = find.said.get_or_insert_with(|| validators.clone()).clone();
        find.standing = Standing::Good(Box::new(Spot {
            origin: Origin::of(&url),
            url,
            validators: said,
            expires: lifetime.map(|left| now.saturating_add(left)),
        }));
        self.edition.take_up(place, &validators);
    }

    /// The part file is ready: the body that waited for it may come.
    pub(super) fn on_prepared(&mut self) {
        self.stage = Stage::Moving;
        self.edition.told.ready = true;
        self.start_ramp();
        self.receive_waiting();
    }

    /// Lets the bodies come whose heads are believed.
    pub(super) fn receive_waiting(&mut self) {
        let ranged = self.edition.is_ranged();
        for (conn, link) in self.links.iter_mut() {
            if let State::Busy(job) = &mut link.state
                && job.role == Role::Wait
            {
                job.role = if ranged { Role::Part } else { Role::Stream };
                job.moved = self.now;
                job.strode = self.now;
                self.edition.told.fetched = true;
                self.commands.push_back(Command::Receive {
                    conn: *conn,
                    attempt: job.attempt,
                    span: job.span.clone(),
                });
            }
        }
    }

    /// Whether the user allows an object of this length; fails the transfer if not.
    fn size_is_allowed(&mut self, total: Option<u64>) -> bool {
        match (self.policy.max_size, total) {
            (Some(limit), Some(size)) if size > limit => {
                self.fail(Failure::TooLarge { limit, size: Some(size) }, None, 0);
                false
            }
            _ => true,
        }
    }

    /// The body that waits for the part file is of no use.
    pub(super) fn skip_waiting(&mut self) {
        let waits = |link: &Link| link.job().is_some_and(|job| job.role == Role::Wait);
        for conn in self.links.which(waits) {
            self.skip(conn);
        }
    }
}

const UNTIED: &str = "nothing ties ranges together: no strong validator";
