//! Which bytes of an object are wanted: all of it, or a slice.

use std::ops::Range;

use crate::http::field::RangeSpec;

/// How long the object is, and what of it is wanted. Everything but requests and answers counts
/// from the first byte that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The complete length.
    pub complete: u64,
    /// Where in the object the wanted bytes lie.
    pub wanted: Range<u64>,
}

impl Extent {
    /// What a slice is of an object of this length, or the whole of it. `None` when no byte of the
    /// slice is there.
    #[must_use]
    pub fn of(slice: Option<RangeSpec>, complete: u64) -> Option<Self> {
        let Some(slice) = slice else { return Some(Self::all(complete)) };
        slice.resolve(complete).map(|wanted| Self { complete, wanted })
    }

    /// All of an object of this length.
    #[must_use]
    pub fn all(complete: u64) -> Self {
        Self { complete, wanted: 0..complete }
    }

    /// How many bytes are wanted.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.wanted.end.saturating_sub(self.wanted.start)
    }

    /// Whether that is everything.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.wanted == (0..self.complete)
    }

    /// Where a range of the object lies in what is wanted; `None` if it lies elsewhere.
    #[must_use]
    pub fn inside(&self, range: &Range<u64>) -> Option<Range<u64>> {
        let base = self.wanted.start;
        let within = base <= range.start && range.end <= self.wanted.end;
        within.then(|| range.start - base..range.end - base)
    }

    /// Where in the object a range of what is wanted lies.
    #[must_use]
    pub fn locate(&self, range: &Range<u64>) -> Range<u64> {
        let at = |offset: u64| self.wanted.start.saturating_add(offset);
        at(range.start)..at(range.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_counts_from_its_first_byte() {
        let slice = RangeSpec::of(100..200);
        let extent = Extent::of(slice, 150).expect("some of it is there");
        assert_eq!((extent.length(), extent.is_all()), (50, false));
        assert_eq!(extent.inside(&(100..110)), Some(0..10));
        assert_eq!(extent.locate(&(0..10)), 100..110);
        for elsewhere in [99..110, 140..151, 0..10] {
            assert_eq!(extent.inside(&elsewhere), None, "{elsewhere:?}");
        }
        assert_eq!(Extent::of(slice, 100), None);
        let all = Extent::of(None, 0).expect("an empty object is one");
        assert!(all.is_all() && Extent::of(RangeSpec::of(0..9), 9).is_some_and(|of| of.is_all()));
    }
}
