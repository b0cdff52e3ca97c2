//! Claims: which bytes are said to be in the part file, and the checksum that shows it.

use std::{collections::BTreeMap, ops::Range};

use crc32fast::Hasher;

use crate::range::RangeSet;

/// That these bytes were written. It holds if the part file has bytes of this checksum there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Which bytes.
    pub range: Range<u64>,
    /// Their CRC-32.
    pub crc: u32,
}

/// Claims in order, neighbours made one as far as they may grow.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims {
    /// The start of each to its end and checksum. They may overlap.
    claims: BTreeMap<u64, (u64, u32)>,
    /// The bytes of all of them.
    bytes: RangeSet,
}

impl Claims {
    /// Takes one in, unless its bytes are claimed already. It is joined with its neighbours if they
    /// are `alike`, and to no more than `most` bytes, because damage costs whole claims.
    pub(super) fn insert(
        &mut self,
        claim: Claim,
        most: u64,
        alike: impl Fn(&Range<u64>, &Range<u64>) -> bool,
    ) {
        if self.bytes.contains(claim.range.clone()) {
            return;
        }
        self.bytes.insert(claim.range.clone());
        let fits = |left: &Claim, right: &Claim| {
            left.range.end == right.range.start
                && right.range.end - left.range.start <= most
                && alike(&left.range, &right.range)
        };
        let mut claim = claim;
        let before = self.claims.range(..claim.range.start).next_back().map(of);
        if let Some(left) = before.filter(|left| fits(left, &claim)) {
            self.claims.remove(&left.range.start);
            claim = left.joined(&claim);
        }
        let after = self.claims.get_key_value(&claim.range.end).map(of);
        if let Some(right) = after.filter(|right| fits(&claim, right)) {
            self.claims.remove(&right.range.start);
            claim = claim.joined(&right);
        }
        self.claims.insert(claim.range.start, (claim.range.end, claim.crc));
    }

    /// Forgets the claims of which anything is in `lost`.
    pub(super) fn remove(&mut self, lost: &RangeSet) {
        self.claims.retain(|start, (end, _)| !lost.overlaps(*start..*end));
        self.bytes = RangeSet::new();
        for (start, (end, _)) in &self.claims {
            self.bytes.insert(*start..*end);
        }
    }

    /// In ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Claim> {
        self.claims.iter().map(of)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.claims.len()
    }

    /// The bytes of all of them.
    pub(super) fn bytes(&self) -> &RangeSet {
        &self.bytes
    }
}

impl Claim {
    /// This one and the one that begins where it ends.
    fn joined(&self, next: &Self) -> Self {
        let length = next.range.end - next.range.start;
        let mut sum = Hasher::new_with_initial(self.crc);
        sum.combine(&Hasher::new_with_initial_len(next.crc, length));
        Self { range: self.range.start..next.range.end, crc: sum.finalize() }
    }
}

fn of((start, (end, crc)): (&u64, &(u64, u32))) -> Claim {
    Claim { range: *start..*end, crc: *crc }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LENGTH: u64 = 64;

    /// Whether a claim is true of these bytes.
    fn holds(claim: &Claim, bytes: &[u8]) -> bool {
        crc32fast::hash(&bytes[claim.range.start as usize..claim.range.end as usize]) == claim.crc
    }

    fn claim(range: Range<u64>, bytes: &[u8]) -> Claim {
        let crc = crc32fast::hash(&bytes[range.start as usize..range.end as usize]);
        Claim { range, crc }
    }

    #[test]
    fn neighbours_are_joined_as_far_as_they_may_grow() {
        let bytes = [7; LENGTH as usize];
        let mut claims = Claims::default();
        for range in [0..10, 20..30, 10..20, 30..31, 40..50] {
            claims.insert(claim(range, &bytes), 30, |_, _| true);
        }
        let ranges: Vec<_> = claims.iter().map(|claim| claim.range).collect();
        assert_eq!(ranges, [0..30, 30..31, 40..50]);
        let mut apart = Claims::default();
        for range in [0..10, 10..20] {
            apart.insert(claim(range, &bytes), 30, |_, _| false);
        }
        assert_eq!(apart.count(), 2);
    }

    proptest! {
        /// Whatever comes in which order: the union is the union, and each claim is the checksum
        /// of all that it covers.
        #[test]
        fn what_is_joined_is_the_checksum_of_the_whole(
            bytes in prop::collection::vec(any::<u8>(), LENGTH as usize),
            ranges in prop::collection::vec((0..LENGTH, 1..20_u64), 0..40),
            most in 1..LENGTH,
            border in 0..LENGTH,
        ) {
            let mut claims = Claims::default();
            let mut model = RangeSet::new();
            for (start, length) in ranges {
                let range = start..LENGTH.min(start + length);
                model.insert(range.clone());
                claims.insert(claim(range, &bytes), most, |left, right| {
                    (left.end <= border) == (right.end <= border)
                });
            }
            let mut union = RangeSet::new();
            for one in claims.iter() {
                prop_assert!(holds(&one, &bytes), "{one:?}");
                union.insert(one.range);
            }
            prop_assert_eq!(&union, claims.bytes());
            prop_assert_eq!(&union, &model);
        }
    }
}
