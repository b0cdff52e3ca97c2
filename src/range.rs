//! Sets of bytes: [`RangeSet`] over half-open `Range<u64>`.
#![forbid(unsafe_code)]

use std::ops::Range;

/// A set of byte positions, kept as disjoint, non-adjacent, ascending ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeSet {
    ranges: Vec<Range<u64>>,
}

impl RangeSet {
    /// The empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a range (empty ones are ignored); returns how many positions were new.
    pub fn insert(&mut self, range: Range<u64>) -> u64 {
        let _ = range;
        todo!()
    }

    /// Takes a range away; returns how many positions were in it.
    pub fn remove(&mut self, range: Range<u64>) -> u64 {
        let _ = range;
        todo!()
    }

    /// Whether every position of `range` is in the set (true for an empty range).
    #[must_use]
    pub fn contains(&self, range: Range<u64>) -> bool {
        let _ = range;
        todo!()
    }

    /// Whether any position of `range` is in the set.
    #[must_use]
    pub fn overlaps(&self, range: Range<u64>) -> bool {
        let _ = range;
        todo!()
    }

    /// The ranges of `within` that are not in the set, ascending.
    pub fn gaps(&self, within: Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let _ = within;
        std::iter::empty()
    }

    /// The end of the run of positions that starts at `from`; `from` itself when it is not in.
    #[must_use]
    pub fn frontier(&self, from: u64) -> u64 {
        let _ = from;
        todo!()
    }

    /// How many positions are in the set.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.ranges.iter().map(|r| r.end - r.start).sum()
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Its ranges, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> {
        self.ranges.iter().cloned()
    }
}
