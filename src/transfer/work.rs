//! The bytes of the object: which are there, which are free, and which gave trouble.

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
    reach: Reach,
}

/// How far spans may be leased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    /// No span ends beyond it.
    pub(super) end: u64,
    /// None is longer.
    pub(super) longest: u64,
}

impl Default for Reach {
    fn default() -> Self {
        Self { end: u64::MAX, longest: u64::MAX }
    }
}

impl Reach {
    /// Whether a lease can begin with a gap.
    fn admits(self, gap: &Range<u64>) -> bool {
        gap.start.saturating_add(self.longest.min(gap.end - gap.start)) <= self.end
    }
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
    /// A failure at it was charged to nothing: the connection was dead already.
    pub(super) excused: bool,
    /// It was refused on a connection that may have been one too many, and on no other.
    pub(super) extra: bool,
    /// The places that failed to bring it while others may, by their bits.
    pub(super) shunned: u32,
}

impl Blame {
    fn shuns(&self, place: usize) -> bool {
        self.shunned & bit(place) != 0
    }

    /// It was refused, and waits for its turn.
    fn is_refused(&self) -> bool {
        !self.due.is_zero() || self.shunned != 0
    }
}

/// The bit of a place; those beyond share the last one.
fn bit(place: usize) -> u32 {
    1 << place.min(31)
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

    /// The complete length is known now: everything that is not there is free.
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

    /// Free bytes that may be leased.
    pub(super) fn free_bytes(&self) -> u64 {
        let within = |gap: Range<u64>| gap.end.min(self.reach.end).saturating_sub(gap.start);
        self.free.iter().map(within).sum()
    }

    /// From now on spans are leased so far.
    pub(super) fn set_reach(&mut self, reach: Reach) {
        self.reach = reach;
    }

    /// Whether there is something to lease, if only it were not so far ahead.
    pub(super) fn is_held_back(&self) -> bool {
        self.free.iter().last().is_some_and(|gap| !self.reach.admits(&gap))
    }

    /// Takes the first free span that may be asked of a place at `now`, in file order, and what is
    /// held against it; one that was refused goes first. `extra`: for a connection that may be one
    /// too many. It never crosses the start of a span that failed before, so that the blame stays
    /// where it belongs.
    pub(super) fn lease(
        &mut self,
        now: Duration,
        piece: Piece,
        place: usize,
        extra: bool,
    ) -> Option<(Range<u64>, Blame)> {
        let open =
            |blame: &Blame| blame.due <= now && !blame.shuns(place) && !(extra && blame.extra);
        let reach = if piece == Piece::Rest { Reach::default() } else { self.reach };
        let refused = self.blame.iter().filter(|(_, blame)| blame.is_refused() && open(blame));
        let within = |at| self.free.iter().find(|gap| gap.contains(&at)).map(|gap| at..gap.end);
        let gaps = refused.filter_map(|(at, _)| within(*at)).chain(self.free.iter());
        let span = { gaps }.find_map(|gap| self.first_open(&gap, reach, open))?;
        let span = span.start..piece.cut(span.start, span.end);
        if span.end > reach.end {
            return None;
        }
        self.free.remove(span.clone());
        let blame = self.blame.remove(&span.start).unwrap_or_default();
        Some((span, blame))
    }

    fn first_open(
        &self,
        gap: &Range<u64>,
        reach: Reach,
        open: impl Fn(&Blame) -> bool,
    ) -> Option<Range<u64>> {
        let mut start = gap.start;
        loop {
            let rest = self.blame.range(start + 1..gap.end.max(start + 1));
            let end = rest.map(|(at, _)| *at).next().unwrap_or(gap.end);
            match self.blame.get(&start) {
                Some(blame) if !open(blame) => start = end,
                _ => return Some(start..end).filter(|gap| reach.admits(gap)),
            }
            if start >= gap.end {
                return None;
            }
        }
    }

    /// Takes exactly this span, free or not (the request that was just believed).
    pub(super) fn claim(&mut self, span: Range<u64>) {
        self.blame.retain(|at, _| !span.contains(at));
        self.free.remove(span);
    }

    /// What was taken to be there is not.
    pub(super) fn forget(&mut self, lost: &RangeSet) {
        for range in lost.iter() {
            self.done.remove(range.clone());
            self.free.insert(range);
        }
        self.done_bytes = self.done.len();
    }

    /// A span, or what is left of one, is free again.
    pub(super) fn give_back(&mut self, span: Range<u64>) {
        if self.total.is_some() && !span.is_empty() {
            self.free.insert(span);
        }
    }

    /// What a failed attempt leaves at the first byte of what it owes. What follows that is not to
    /// wait with it.
    pub(super) fn blame(&mut self, owed: Range<u64>, blame: Blame) {
        self.blame.insert(owed.start, blame);
        if self.total.is_some_and(|total| owed.end < total) {
            self.blame.entry(owed.end).or_default();
        }
    }

    /// A place failed to bring the bytes from `at` on: the others are asked.
    pub(super) fn shun(&mut self, owed: Range<u64>, blame: Blame, place: usize) {
        self.blame(owed, Blame { shunned: blame.shunned | bit(place), ..blame });
    }

    /// No place is passed over any more for what it failed to bring.
    pub(super) fn readmit(&mut self) {
        for blame in self.blame.values_mut() {
            blame.shunned = 0;
        }
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
        self.any_open(|blame| blame.due <= now)
    }

    /// Whether there is no free span that may be asked for at all, or one that may be asked of this
    /// place.
    pub(super) fn suits(&self, now: Duration, place: usize) -> bool {
        let open = |blame: &Blame| blame.due <= now && !blame.shuns(place);
        !self.has_due(now) || self.any_open(open)
    }

    fn any_open(&self, open: impl Fn(&Blame) -> bool) -> bool {
        self.free.iter().any(|gap| self.first_open(&gap, self.reach, &open).is_some())
    }

    /// How many spans were refused and may not be asked for again yet, on connections that were
    /// not too many.
    pub(super) fn waiting(&self, now: Duration) -> usize {
        self.blame.values().filter(|blame| blame.due > now && !blame.extra).count()
    }

    /// Whether a span that was refused on a connection that may have been one too many may be asked
    /// for again, and that is not the last time.
    pub(super) fn has_extra(&self, now: Duration, retries: u32) -> bool {
        let extra = |blame: &Blame| blame.extra && blame.due <= now && blame.failures < retries;
        self.blame.values().any(extra)
    }

    /// Whether a span that was refused may be asked for again.
    pub(super) fn has_refused(&self, now: Duration) -> bool {
        self.blame.values().any(|blame| blame.is_refused() && blame.due <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1);

    fn lease(work: &mut Work, place: usize) -> Option<Range<u64>> {
        work.lease(NOW, Piece::About(10), place, false).map(|(span, _)| span)
    }

    #[test]
    fn a_blamed_span_waits_and_the_others_do_not() {
        let mut work = Work::new(Some(30), RangeSet::new());
        assert_eq!(lease(&mut work, 0), Some(0..10));
        work.give_back(0..10);
        let due = Duration::from_secs(2);
        work.blame(0..10, Blame { failures: 1, due, ..Blame::default() });
        assert_eq!((work.waiting(NOW), work.has_refused(NOW)), (1, false));
        assert_eq!(work.next_due(NOW), Some(due));
        assert_eq!(lease(&mut work, 0), Some(10..20));
        assert_eq!(lease(&mut work, 0), Some(20..30));
        assert!(!work.has_due(NOW) && work.has_due(due) && work.has_refused(due));
        let (span, blame) = work.lease(due, Piece::All, 0, false).expect("it is due");
        assert_eq!((span, blame.failures), (0..10, 1));
        assert!(!work.has_refused(due), "it is under way");
    }

    #[test]
    fn what_a_place_failed_to_bring_is_for_the_others() {
        let mut work = Work::new(Some(10), RangeSet::new());
        let (span, blame) = work.lease(NOW, Piece::All, 1, false).expect("all of it");
        work.give_back(span);
        work.shun(0..10, blame, 1);
        assert_eq!(lease(&mut work, 1), None);
        assert!(work.suits(NOW, 0) && !work.suits(NOW, 1), "its connections make room");
        assert!(work.has_refused(NOW));
        assert_eq!(lease(&mut work, 0), Some(0..10));
    }

    #[test]
    fn what_is_forgotten_is_missing_again() {
        let mut work = Work::new(Some(30), RangeSet::new());
        work.claim(0..30);
        work.wrote(0..30);
        assert!(work.is_complete());
        let mut lost = RangeSet::new();
        lost.insert(5..8);
        lost.insert(20..21);
        work.forget(&lost);
        assert_eq!((work.left(), work.free_bytes(), work.frontier()), (4, 4, 5));
        assert_eq!(lease(&mut work, 0), Some(5..8));
    }
}
