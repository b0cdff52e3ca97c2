//! The sidecar that makes a part file resumable: records, checksums, and what they add up to.
//!
//! Bytes to state and back; no file is touched here (that is `files/store`).
//!
//! A journal is append-only. Its first record names what is being downloaded; most others are
//! [`Claim`]s: that a range *is* in the part file, because bytes are written first and recorded
//! after, and which checksum its bytes have. A claim stands for itself: whoever resumes reads the
//! part file and drops the claims that do not hold, because it may have been changed.
//!
//! Records cost no sync: what the kernel was given survives the end of this process, so in the same
//! *epoch* (the same boot of the machine and the same mount of the filesystem) every claim counts.
//! After a reboot, a remount, or on a copy of the disk, only those that an explicit sync covered
//! do. An orderly end adds a [`Seal`]: a part file that is still as it says, in the same epoch,
//! need not be read.
//!
//! * [`encode`], [`Record`] and [`Header`] are the format;
//! * [`replay()`] turns bytes into a [`Replay`], cutting a torn or damaged tail;
//! * [`Ledger`] decides what to append and when, so that the journal stays small and close behind
//!   the data.
#![forbid(unsafe_code)]

mod claims;
mod format;
mod ledger;
mod replay;

use crate::range::RangeSet;

pub use claims::Claim;
pub use format::{Chain, Header, PREAMBLE, Record, Seal, VERSION, encode};
pub use ledger::Ledger;
pub use replay::{Replay, Resumable, replay};

/// What a journal says of the part file beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// How many bytes are wanted.
    pub total: u64,
    /// The complete length of the object; that is more where only a slice of it is wanted.
    pub complete: u64,
    /// The strong validator (an entity tag with its quotes, or a Last-Modified), if there was one.
    pub validator: Option<String>,
    /// Bytes that are in the part file.
    pub done: RangeSet,
}
