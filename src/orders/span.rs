//! Where a span ends.

/// The end of a span that runs to wherever the body ends (no length is known).
pub const OPEN_END: u64 = u64::MAX;
