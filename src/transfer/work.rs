//! The bytes of the object: which are there, which are nobody's, and which gave trouble.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use super::plan::Piece;
use crate::range::RangeSet;

/// What is done and what is left. Every position below the total is in exactly one of three
/// places: `done`, `free`, or the span of a running job.
#[derive(Clone, Debug, Default)]
pub(super) struct Work {
    total: Option<u64>,
    done: RangeSet,
    done_bytes: u64,
    free: RangeSet,
    blame: BTreeMap<u64, Blame>,
}

/// What failed at an offset before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Blame {
    /// Attempts in a row that brought nothing.
    pub(super) failures: u32,
    /// Attempts in a row that were answered with lies or garbage.
    pub(super) lies: u32,
    /// Not to be asked for before.
    pub(super) due: Duration,
}

impl Work {
    /// An object of which nothing is there, or what an earlier run left.
    pub(super) fn new(total: Option<u64>, done: RangeSet) -> Self {
        let mut work = Self { total: None, done_bytes: done.len(), done, ..Self::default() };
        if let Some(total) = total {
            work.set_total(total);
        }
        work
    }

    /// The complete length is known now: everything that is not there is nobody's yet.
    pub(super) fn set_total(&mut self, total: u64) {
        self.total = Some(total);
        self.free = RangeSet::new();
        for gap in self.done.gaps(0..total) {
            self.free.insert(gap);
        }
    }

    pub(super) fn total(&self) -> Option<u64> {
        self.total
    }

    pub(super) fn done_bytes(&self) -> u64 {
        self.done_bytes
    }

    /// Bytes that are not there; 0 when no total is known.
    pub(super) fn left(&self) -> u64 {
        self.total.map_or(0, |total| total.saturating_sub(self.done_bytes))
    }

    pub(super) fn is_complete(&self) -> bool {
        self.total.is_some_and(|total| total == self.done_bytes)
    }

    /// The first position that is not there.
    pub(super) fn frontier(&self) -> u64 {
        self.done.frontier(0)
    }

    /// Bytes that are nobody's.
    pub(super) fn free_bytes(&self) -> u64 {
        self.free.len()
    }

    /// Takes the first free span that may be asked for at `now`, in file order, and what is held
    /// against it. It never crosses the start of a span that failed before, so that the blame
    /// stays where it belongs.
    pub(super) fn lease(&mut self, now: Duration, piece: Piece) -> Option<(Range<u64>, Blame)> {
        let span = self.free.iter().find_map(|gap| self.first_due(now, &gap))?;
        let span = span.start..piece.cut(span.start, span.end);
        self.free.remove(span.clone());
        let blame = self.blame.remove(&span.start).unwrap_or_default();
        Some((span, blame))
    }

    fn first_due(&self, now: Duration, gap: &Range<u64>) -> Option<Range<u64>> {
        let mut start = gap.start;
        loop {
            let rest = self.blame.range(start + 1..gap.end.max(start + 1));
            let end = rest.map(|(at, _)| *at).next().unwrap_or(gap.end);
            match self.blame.get(&start) {
                Some(blame) if blame.due > now => start = end,
                _ => return Some(start..end),
            }
            if start >= gap.end {
                return None;
            }
        }
    }

    /// Takes exactly this span, whoever it belongs to (the request that was just believed).
    pub(super) fn claim(&mut self, span: Range<u64>) {
        self.free.remove(span);
    }

    /// A span, or what is left of one, is nobody's again.
    pub(super) fn give_back(&mut self, span: Range<u64>) {
        if self.total.is_some() && !span.is_empty() {
            self.free.insert(span);
        }
    }

    /// What a failed attempt leaves at the first byte that it owes.
    pub(super) fn blame(&mut self, at: u64, blame: Blame) {
        self.blame.insert(at, blame);
    }

    /// Whatever was held against spans is forgotten.
    pub(super) fn pardon(&mut self) {
        self.blame.clear();
    }

    /// Bytes are in the file; returns how many of them are new.
    pub(super) fn wrote(&mut self, range: Range<u64>) -> u64 {
        let new = self.done.insert(range);
        self.done_bytes = self.done_bytes.saturating_add(new);
        new
    }

    /// When the next blamed span may be asked for, if that is after `now`.
    pub(super) fn next_due(&self, now: Duration) -> Option<Duration> {
        self.blame.values().map(|blame| blame.due).filter(|due| *due > now).min()
    }

    /// Whether any free span may be asked for at `now`.
    pub(super) fn has_due(&self, now: Duration) -> bool {
        self.free.iter().any(|gap| self.first_due(now, &gap).is_some())
    }
}
