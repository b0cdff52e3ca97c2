//! The sidecar that makes a part file resumable: records, checksums, and what they add up to.
//!
//! Bytes to state and back; no file is touched here (that is `engine/store`).
//!
//! A journal is append-only. Its first record names what is being downloaded; every later one is a
//! range whose bytes *are* in the part file, because bytes are written first and recorded after.
//! Records cost no sync: what the kernel was given survives the end of this process, so a journal
//! of the same *epoch* (the same boot of the machine and the same mount of the filesystem) is
//! believed as a whole. After a reboot, a remount, or on a copy of the disk, only ranges that an
//! explicit sync covered are.
//!
//! * [`encode`], [`Record`] and [`Header`] are the format;
//! * [`replay()`] turns bytes into a [`Replay`], cutting a torn or damaged tail;
//! * [`Ledger`] decides what to append and when, so that the journal stays small and close behind
//!   the data.
#![forbid(unsafe_code)]

mod format;
mod ledger;
mod replay;

use crate::range::RangeSet;

pub use format::{Chain, Header, PREAMBLE, Record, VERSION, encode};
pub use ledger::Ledger;
pub use replay::{Replay, Resumable, replay};

/// What a journal says of the part file beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The complete length.
    pub total: u64,
    /// The strong validator (an entity tag with its quotes, or a Last-Modified), if there was one.
    pub validator: Option<String>,
    /// Bytes that are in the part file.
    pub done: RangeSet,
}
