//! Which digests a download needs, and whether it is synced.

use crate::options::{Algorithm, Digest};

/// What a transfer's user wants done with the bytes.
#[derive(Clone, Debug)]
pub(crate) struct Wants {
    /// The digest it must have.
    pub(crate) digest: Option<Digest>,
    /// The digest that the server states.
    pub(crate) stated: Option<Digest>,
    /// A digest to report.
    pub(crate) print_digest: Option<Algorithm>,
    /// Sync data and directory before the name is published.
    pub(crate) sync: bool,
}

impl Wants {
    /// The digest that the object is checked against: what the user demands goes before what the
    /// server says of itself.
    pub(crate) fn expected(&self) -> Option<&Digest> {
        self.digest.as_ref().or(self.stated.as_ref())
    }

    /// Every algorithm that is needed, once.
    pub(crate) fn algorithms(&self) -> Vec<Algorithm> {
        let mut algorithms: Vec<_> =
            self.expected().map(|digest| digest.algorithm).into_iter().collect();
        algorithms.extend(self.print_digest.filter(|of| !algorithms.contains(of)));
        algorithms
    }
}
