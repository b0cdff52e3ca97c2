//! Bytes to state: what a journal claims.

use std::ops::Range;

use super::{
    claims::Claim,
    format::{Chain, Header, MAGIC_LENGTH, PREAMBLE, Record, Seal, decode},
};
use crate::range::RangeSet;

/// What became of the bytes of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one of them for a download")]
pub enum Replay {
    /// Nothing to build on; why, in words.
    Fresh(&'static str),
    /// Something may be kept, if the header fits.
    Resumable(Resumable),
}

/// What a journal that is intact from its start says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumable {
    /// What was downloaded, into which file.
    pub header: Header,
    /// How many bytes are wanted.
    pub total: u64,
    /// The complete length of the object in bytes.
    pub complete: u64,
    /// What to check against the part file.
    pub claims: Vec<Claim>,
    /// Bytes that are in the part file if all the claims hold.
    pub done: RangeSet,
    /// Those of them that are on the disk whatever happens.
    pub synced: RangeSet,
    /// The claims need no check if the part file is still like this.
    pub seal: Option<Seal>,
    /// Octets of the journal that are sound; what follows is torn or damaged.
    pub valid: usize,
}

/// Reads a journal as far as it is sound. Unsynced claims and the seal count only if the journal is
/// of this `epoch` (never if that is empty, which means unknown). Never believes a claim that was
/// not recorded, whatever was done to the bytes since, short of forging checksums.
#[must_use]
pub fn replay(bytes: &[u8], epoch: &str) -> Replay {
    if bytes.is_empty() {
        return Replay::Fresh("the journal is empty");
    }
    if bytes.get(..MAGIC_LENGTH) != PREAMBLE.get(..MAGIC_LENGTH) {
        return Replay::Fresh("the journal is not one of uget's");
    }
    let Some(records) = bytes.strip_prefix(&PREAMBLE) else {
        return Replay::Fresh("the journal is of another version");
    };
    let mut chain = Chain::start();
    let Some((Record::Header(header), used)) = decode(records, &mut chain) else {
        return Replay::Fresh("the journal is damaged");
    };
    let (Some(total), Some(complete)) = (header.total, header.complete) else {
        return Replay::Fresh("the journal knows no length");
    };
    let same_epoch = !epoch.is_empty() && header.epoch == epoch;
    let mut state = Resumable {
        total,
        complete,
        claims: Vec::new(),
        done: RangeSet::new(),
        synced: RangeSet::new(),
        seal: None,
        valid: PREAMBLE.len() + used,
        header,
    };
    while let Some(rest) = bytes.get(state.valid..)
        && let Some((record, used)) = decode(rest, &mut chain)
        && state.apply(record)
    {
        state.valid += used;
    }
    if !same_epoch {
        state.seal = None;
        let synced = state.synced.clone();
        state.retain(|claim| synced.contains(claim.range.clone()));
    }
    Replay::Resumable(state)
}

impl Resumable {
    /// Forgets the claims that do not `hold`.
    pub fn retain(&mut self, hold: impl FnMut(&Claim) -> bool) {
        self.claims.retain(hold);
        self.done = RangeSet::new();
        for claim in &self.claims {
            self.done.insert(claim.range.clone());
        }
        for lost in self.done.gaps(0..self.total) {
            self.synced.remove(lost);
        }
    }

    /// Takes one record in; false if it cannot be true, and the journal ends in front of it.
    fn apply(&mut self, record: Record) -> bool {
        let mut seal = None;
        let within = |range: &Range<u64>| range.start < range.end && range.end <= self.total;
        match record {
            Record::Header(_) => return false,
            Record::Written(claim) if within(&claim.range) => {
                self.done.insert(claim.range.clone());
                self.claims.push(claim);
            }
            Record::Synced(range) if within(&range) && self.done.contains(range.clone()) => {
                self.synced.insert(range);
            }
            Record::Written(_) | Record::Synced(_) => return false,
            Record::Sealed(new) => seal = Some(new),
        }
        // What follows a seal was not known to it.
        self.seal = seal;
        true
    }
}

#[cfg(test)]
mod tests;
