//! Bytes to state: what a journal proves.

use super::format::{Chain, Header, MAGIC_LENGTH, PREAMBLE, Record, decode};
use crate::range::RangeSet;

/// What became of the bytes of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// The complete length in bytes.
    pub total: u64,
    /// Bytes that are in the part file, unless it was cut since.
    pub done: RangeSet,
    /// Those of them that are on the disk whatever happens.
    pub synced: RangeSet,
    /// Octets of the journal that are sound; what follows is torn or damaged.
    pub valid: usize,
}

/// Reads a journal as far as it is sound. Unsynced records count only if the journal is of this
/// `epoch` (never if that is empty, which means unknown). Never believes a range that was not
/// recorded, whatever was done to the bytes since, short of forging checksums.
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
    let Some(total) = header.total else {
        return Replay::Fresh("the journal knows no length");
    };
    let same_epoch = !epoch.is_empty() && header.epoch == epoch;
    let mut state = Resumable {
        total,
        done: RangeSet::new(),
        synced: RangeSet::new(),
        valid: PREAMBLE.len() + used,
        header,
    };
    while let Some(rest) = bytes.get(state.valid..)
        && let Some((record, used)) = decode(rest, &mut chain)
        && state.apply(record, same_epoch)
    {
        state.valid += used;
    }
    Replay::Resumable(state)
}

impl Resumable {
    /// Takes one record in; false if it cannot be true, and the journal ends in front of it.
    fn apply(&mut self, record: Record, same_epoch: bool) -> bool {
        let (range, synced) = match record {
            Record::Header(_) => return false,
            Record::Written(range) => (range, false),
            Record::Synced(range) => (range, true),
        };
        if range.start >= range.end || range.end > self.total {
            return false;
        }
        if synced {
            self.synced.insert(range.clone());
        }
        if synced || same_epoch {
            self.done.insert(range);
        }
        true
    }
}

#[cfg(test)]
mod tests;
