//! The sidecar that makes a part file resumable: records, checksums, and what they add up to.
//!
//! Bytes to state and back; no file is touched here (that is `engine/store`).
#![forbid(unsafe_code)]

use crate::range::RangeSet;

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
