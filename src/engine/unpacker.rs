//! The consumer of a stream that is unpacked as it comes.

use std::{
    io::{self, Read},
    path::PathBuf,
    time::Duration,
};

use super::{consumer::Consumer, feed::Feed};
use crate::{
    options::Unpack,
    orders::Failure,
    stream::Next,
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

/// A feed that says when nothing comes, because it may not be wanted any more.
struct Awaited<'a>(&'a mut Feed);

impl Read for Awaited<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.next(LOOK).map_err(io::Error::other)? {
            Next::Bytes => self.0.read(buffer),
            Next::End => Ok(0),
            Next::Quiet | Next::Broken => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// How often to look up while nothing comes.
const LOOK: Duration = Duration::from_millis(200);

impl Consumer for Unpacker {
    fn consume(self: Box<Self>, feed: &mut Feed) -> Result<Option<PathBuf>, Failure> {
        let Self { place, rules, memory, sync, gauge } = *self;
        // It reads to the very end, which comes only when the digest is right.
        let staged = unpack(Awaited(feed), place, &rules, memory, &gauge);
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
