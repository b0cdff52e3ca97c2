//! Sets of bytes: [`RangeSet`] over half-open `Range<u64>`.
#![forbid(unsafe_code)]

use std::{iter, ops::Range};

/// A set of byte positions, kept as disjoint, non-adjacent, ascending ranges.
///
/// Lookups are O(log n) in the number of ranges. A range whose end is not above its start is
/// empty wherever it is passed, never an error.
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
        if range.is_empty() {
            return 0;
        }
        // Neighbours that merely touch are joined too, hence `<` and `<=`.
        let first = self.ranges.partition_point(|r| r.end < range.start);
        let after = self.ranges.partition_point(|r| r.start <= range.end);
        let Some(touched) = self.ranges.get(first..after).filter(|t| !t.is_empty()) else {
            self.ranges.insert(first, range.clone());
            return length(&range);
        };
        let known: u64 = touched.iter().map(length).sum();
        let start = touched.first().map_or(range.start, |r| r.start.min(range.start));
        let end = touched.last().map_or(range.end, |r| r.end.max(range.end));
        self.ranges.splice(first..after, iter::once(start..end));
        end - start - known
    }

    /// Takes a range away; returns how many positions were in it.
    pub fn remove(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let first = self.first_ending_after(range.start);
        let after = self.ranges.partition_point(|r| r.start < range.end);
        let Some(touched) = self.ranges.get(first..after).filter(|t| !t.is_empty()) else {
            return 0;
        };
        let known: u64 = touched.iter().map(length).sum();
        let left = touched.first().map_or(0..0, |r| r.start..range.start);
        let right = touched.last().map_or(0..0, |r| range.end..r.end);
        let kept = [left, right].into_iter().filter(|r| !r.is_empty());
        let spared: u64 = kept.clone().map(|r| length(&r)).sum();
        self.ranges.splice(first..after, kept);
        known - spared
    }

    /// Whether every position of `range` is in the set (true for an empty range).
    #[must_use]
    pub fn contains(&self, range: Range<u64>) -> bool {
        range.is_empty() || self.frontier(range.start) >= range.end
    }

    /// Whether any position of `range` is in the set.
    #[must_use]
    pub fn overlaps(&self, range: Range<u64>) -> bool {
        let next = self.ranges.get(self.first_ending_after(range.start));
        !range.is_empty() && next.is_some_and(|r| r.start < range.end)
    }

    /// The ranges of `within` that are not in the set, ascending.
    pub fn gaps(&self, within: Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let from = self.first_ending_after(within.start);
        let mut later = self.ranges.iter().skip(from);
        let mut at = within.start;
        iter::from_fn(move || {
            while at < within.end {
                let (stop, resume) =
                    later.next().map_or((within.end, within.end), |r| (r.start, r.end));
                let gap = at..stop.min(within.end);
                at = resume;
                if !gap.is_empty() {
                    return Some(gap);
                }
            }
            None
        })
    }

    /// The end of the run of positions that starts at `from`; `from` itself when it is not in.
    #[must_use]
    pub fn frontier(&self, from: u64) -> u64 {
        match self.ranges.get(self.first_ending_after(from)) {
            Some(r) if r.start <= from => r.end,
            _ => from,
        }
    }

    /// How many positions are in the set.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.ranges.iter().map(length).sum()
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

    /// The index of the first range that reaches beyond `position`.
    fn first_ending_after(&self, position: u64) -> usize {
        self.ranges.partition_point(|r| r.end <= position)
    }
}

/// The length of a range that is known not to be inverted, as all ranges in a set are.
fn length(range: &Range<u64>) -> u64 {
    range.end - range.start
}

#[cfg(test)]
mod tests;
