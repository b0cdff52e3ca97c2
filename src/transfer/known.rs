//! A finished file of an earlier run, and what is found under a name that is known late.

use super::{
    Stage, Transfer,
    ask::is_usable,
    conn::{Link, Role},
    work::Work,
};
use crate::orders::{Finished, Found};
use crate::{
    http::{request::Request, response::Head},
    range::RangeSet,
};

impl Transfer {
    /// Asks for a body only if the finished file is of another version (RFC 9110 section 13.2.2:
    /// the condition goes before the range).
    pub(super) fn unless_known(&self, request: &mut Request) {
        if let Some(known) = &self.known {
            unless(request, &known.validator);
        }
    }

    /// The finished file is what there is.
    pub(super) fn accept_known(&mut self, head: &Head) {
        let Some(Finished { size, .. }) = self.known.take() else { return };
        self.object = Some(self.object_of(Some(head)));
        self.keep(size);
    }

    /// Nothing is to be done about a finished file of `size` bytes.
    fn keep(&mut self, size: u64) {
        let mut done = RangeSet::new();
        done.insert(0..size);
        self.work = Work::new(Some(size), done);
        self.facts.resumed = size;
        self.facts.kept = true;
        self.stage = Stage::Moving;
    }

    /// What is there under the name that the answer told counts if it is of the same version. The
    /// rest of a part is asked for as if the part had been known from the start.
    pub(super) fn on_found(&mut self, found: Found) {
        let Some(object) = &self.object else { return };
        let (strong, total) = (object.validators.strong(), self.work.total());
        match found {
            Found::File(file) if strong == Some(&file.validator) && total == Some(file.size) => {
                self.skip_waiting();
                self.keep(file.size);
            }
            Found::Part(held)
                if strong == held.validator.as_deref()
                    && total == Some(held.total)
                    && is_usable(&held, &self.policy) =>
            {
                self.skip_waiting();
                self.held = Some(held);
                self.object = None;
                self.stage = Stage::Asking;
                self.first_question();
            }
            Found::File(_) | Found::Part(_) => self.prepare(false),
        }
    }

    /// The body that waits for the part file is of no use.
    fn skip_waiting(&mut self) {
        let waits = |link: &Link| link.job().is_some_and(|job| job.role == Role::Wait);
        let waiting = self.links.iter().filter(|(_, link)| waits(link));
        for conn in waiting.map(|(conn, _)| *conn).collect::<Vec<_>>() {
            self.skip(conn);
        }
    }
}

/// Asks for a body only if the version is not this one.
pub(super) fn unless(request: &mut Request, validator: &str) {
    if validator.starts_with('"') {
        request.if_none_match = Some(validator.to_owned());
    } else {
        request.if_modified_since = Some(validator.to_owned());
    }
}
