//! The consumer of a stream that is unpacked as it comes.

use std::path::PathBuf;

use super::{consumer::Consumer, feed::Feed};
use crate::{
    options::Unpack,
    orders::Failure,
    unpack::{Gauge, Place, Trouble, unpack},
};

/// Unpacks a stream, and publishes what is staged when the whole has come and is right.
pub(crate) struct Unpacker {
    pub(crate) place: Place,
    pub(crate) rules: Unpack,
    /// What a decoder may use for its window, in bytes.
    pub(crate) memory: u64,
    /// What is published must last.
    pub(crate) sync: bool,
    pub(crate) gauge: Gauge,
}

impl Consumer for Unpacker {
    fn consume(self: Box<Self>, feed: &mut Feed) -> Result<Option<PathBuf>, Failure> {
        let Self { place, rules, memory, sync, gauge } = *self;
        // It reads to the very end, which comes only when the digest is right.
        let staged = unpack(&mut *feed, place, &rules, memory, &gauge);
        let staged = staged.map_err(|trouble| match trouble {
            Trouble::Unpacking(failure) => failure,
            Trouble::Input(error) => {
                let failure = error.get_ref().and_then(|inner| inner.downcast_ref::<Failure>());
                failure.cloned().unwrap_or(Failure::Cancelled { signal: 0 })
            }
        })?;
        staged.warnings().iter().for_each(|warning| feed.warn(warning));
        staged.publish(sync)
    }

    fn is_staged(&self) -> bool {
        self.place.target().is_some()
    }
}
