//! A finished file of an earlier run, what is found under a name that is known late, and a part
//! that is complete.

use super::{
    Stage, Transfer,
    edition::{Edition, Object, is_usable},
    place::FIRST,
    probe::Question,
    work::Work,
};
use crate::orders::{Finished, Found};
use crate::{
    http::{field::Validators, request::Request, response::Head},
    range::RangeSet,
};

impl Transfer {
    /// Asks for a body only if the finished file is of another version (RFC 9110 section 13.2.2:
    /// the condition goes before the range).
    pub(super) fn unless_known(&self, request: &mut Request) {
        if let Some(known) = &self.edition.known {
            unless(request, &known.validator, self.places.lead);
        }
    }

    /// The finished file is what there is.
    pub(super) fn accept_known(&mut self, head: &Head) {
        let Some(Finished { size, .. }) = self.edition.known.take() else { return };
        self.believe(head);
        self.keep(size);
    }

    /// Nothing is to be done about a finished file of `size` bytes.
    fn keep(&mut self, size: u64) {
        let mut done = RangeSet::new();
        done.insert(0..size);
        self.edition.work = Work::new(Some(size), done);
        self.edition.told.resumed = size;
        self.edition.told.kept = true;
        self.stage = Stage::Moving;
    }

    /// What is there under the name that the answer told counts if it is of the same version. The
    /// rest of a part is asked for as if the part had been known from the start.
    pub(super) fn on_found(&mut self, found: Found) {
        let Some(object) = &self.edition.object else { return };
        let (pin, total) = (object.validators.pin(), self.edition.work.total());
        let complete = self.edition.extent.as_ref().map(|extent| extent.complete);
        match found {
            Found::File(file)
                if pin.as_ref() == Some(&file.validator) && total == Some(file.size) =>
            {
                self.skip_waiting();
                self.keep(file.size);
            }
            Found::Part(held)
                if pin == held.validator
                    && complete == Some(held.complete)
                    && is_usable(&held, &self.policy) =>
            {
                self.skip_waiting();
                let fresh = Edition::new(&self.policy, self.places.asked(), Some(held), None);
                let old = std::mem::replace(&mut self.edition, fresh);
                // The way there is known.
                let lead = self.places.lead;
                let was = old.finds.into_iter().nth(lead);
                if let Some((find, was)) = self.edition.find_mut(lead).zip(was) {
                    find.chain = was.chain;
                }
                self.stage = Stage::Asking;
                self.trust_digest();
            }
            Found::File(_) | Found::Part(_) => self.prepare(false),
        }
    }

    /// A part that is complete needs no question where a digest says all that a server could.
    pub(super) fn trust_digest(&mut self) {
        let complete = self.edition.held.is_some() && self.edition.work.is_complete();
        if !complete || matches!(self.edition.question, Question::Confirm(_)) {
            return;
        }
        self.edition.object = Some(Object {
            place: self.places.lead,
            validators: Validators::default(),
            head: None,
            tag: None,
            ranged: false,
            coded: false,
            stated: None,
            disposition: None,
            content_encoding: None,
        });
        self.prepare(true);
    }
}

/// Asks for a body only if the version is not this one. Elsewhere than at the first place a date
/// proves nothing: an older version was not modified since, either.
pub(super) fn unless(request: &mut Request, pin: &str, place: usize) {
    if pin.starts_with('"') {
        request.if_none_match = Some(pin.to_owned());
    } else if place == FIRST {
        request.if_modified_since = date_of(pin).map(str::to_owned);
    }
}

/// The date of a pin that is one, be it behind a weak entity tag.
fn date_of(pin: &str) -> Option<&str> {
    match pin.strip_prefix("W/\"") {
        Some(weak) => weak.rsplit_once("\" ").map(|(_, date)| date),
        None => Some(pin),
    }
}
