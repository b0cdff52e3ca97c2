//! Limits that keep an archive from using up what it is unpacked with.

use super::{coding::Coding, fault};
use crate::orders::{ArchiveFault, Failure};

/// How much larger than what was fetched the content may be, where nothing else limits it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ratio {
    decoded: u64,
    fetched: u64,
    guarded: bool,
    archive: bool,
}

impl Ratio {
    /// Guards, unless there is another limit; `archive`: plain tar is content enough.
    pub(super) fn new(guarded: bool, archive: bool) -> Self {
        Self { decoded: 0, fetched: 0, guarded, archive }
    }

    /// It is coded in this way.
    pub(super) fn coding(&self, coding: Coding) -> Result<(), Failure> {
        match coding {
            Coding::Tar if !self.archive => Err(fault::archive("it is not compressed")),
            _ => Ok(()),
        }
    }

    /// `count` more bytes were decoded, of `fetched` in all.
    pub(super) fn count(&mut self, count: u64, fetched: u64) -> Result<(), Failure> {
        self.fetched = fetched;
        self.grow(count)
    }

    /// So much more is there without being decoded: the holes of sparse members. They cost nothing
    /// until the end, when all is known that was fetched.
    pub(super) fn grow(&mut self, count: u64) -> Result<(), Failure> {
        self.decoded = self.decoded.saturating_add(count);
        let most = self.fetched.saturating_mul(RATIO).saturating_add(RATIO_FREE);
        if self.guarded && self.decoded > most {
            return Err(Failure::Archive(ArchiveFault::Bomb));
        }
        Ok(())
    }
}

/// What all members together may need.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    most: Option<u64>,
    used: u64,
    members: u64,
}

impl Budget {
    pub(super) fn new(most: Option<u64>) -> Self {
        Self { most, used: 0, members: 0 }
    }

    /// Another member, which says that it is so large.
    pub(super) fn member(&mut self, size: u64) -> Result<(), Failure> {
        self.members += 1;
        if self.members > MEMBERS {
            return Err(fault::archive(format!("it has more than {MEMBERS} members")));
        }
        self.bytes(size)
    }

    /// So many bytes will be written.
    pub(super) fn bytes(&mut self, count: u64) -> Result<(), Failure> {
        self.used = self.used.saturating_add(count);
        match self.most {
            Some(limit) if self.used > limit => {
                Err(Failure::Archive(ArchiveFault::TooLarge { limit }))
            }
            _ => Ok(()),
        }
    }
}

/// No honest archive grows to more.
const RATIO: u64 = 1000;
const RATIO_FREE: u64 = 64 << 20;
/// Members of one archive.
const MEMBERS: u64 = 1 << 24;
