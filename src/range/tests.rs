//! [`RangeSet`] against a set of single positions: every small case, then random ones.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// The plainest thing that can be right.
#[derive(Clone, Default)]
struct Model(BTreeSet<u64>);

impl Model {
    fn insert(&mut self, range: Range<u64>) -> u64 {
        range.filter(|p| self.0.insert(*p)).count() as u64
    }

    fn remove(&mut self, range: Range<u64>) -> u64 {
        range.filter(|p| self.0.remove(p)).count() as u64
    }

    fn runs(&self, within: Range<u64>, inside: bool) -> Vec<Range<u64>> {
        let mut runs: Vec<Range<u64>> = Vec::new();
        for p in within.filter(|p| self.0.contains(p) == inside) {
            match runs.last_mut() {
                Some(last) if last.end == p => last.end = p + 1,
                _ => runs.push(p..p + 1),
            }
        }
        runs
    }
}

fn agree(set: &RangeSet, model: &Model, top: u64) {
    assert_eq!(set.iter().collect::<Vec<_>>(), model.runs(0..top, true));
    assert_eq!(set.len(), model.0.len() as u64);
    assert_eq!(set.is_empty(), model.0.is_empty());
    for start in 0..=top {
        let run = (start..top).take_while(|p| model.0.contains(p)).count() as u64;
        assert_eq!(set.frontier(start), start + run);
        for end in 0..=top {
            let (all, any) = (
                (start..end).all(|p| model.0.contains(&p)),
                (start..end).any(|p| model.0.contains(&p)),
            );
            assert_eq!(set.contains(start..end), all, "{set:?} contains {start}..{end}");
            assert_eq!(set.overlaps(start..end), any, "{set:?} overlaps {start}..{end}");
            let gaps: Vec<_> = set.gaps(start..end).collect();
            assert_eq!(gaps, model.runs(start..end, false), "{set:?} gaps {start}..{end}");
        }
    }
}

/// Every subset of seven positions, and every single insert and remove on it.
#[test]
fn every_small_set_and_every_step_from_it() {
    const TOP: u64 = 7;
    for bits in 0u32..1 << TOP {
        let mut set = RangeSet::new();
        let mut model = Model::default();
        for p in (0..TOP).filter(|p| bits & (1 << p) != 0) {
            assert_eq!(set.insert(p..p + 1), 1);
            model.insert(p..p + 1);
        }
        agree(&set, &model, TOP);
        for start in 0..=TOP {
            for end in 0..=TOP {
                let (mut s, mut m) = (set.clone(), model.clone());
                assert_eq!(s.insert(start..end), m.insert(start..end));
                assert_eq!(s.iter().collect::<Vec<_>>(), m.runs(0..TOP, true));
                let (mut s, mut m) = (set.clone(), model.clone());
                assert_eq!(s.remove(start..end), m.remove(start..end));
                assert_eq!(s.iter().collect::<Vec<_>>(), m.runs(0..TOP, true));
            }
        }
    }
}

#[test]
#[expect(clippy::reversed_empty_ranges, reason = "inverted ranges are the point")]
fn the_ends_of_the_number_line() {
    let mut set = RangeSet::new();
    assert_eq!(set.insert(9..3), 0);
    assert_eq!(set.remove(9..3), 0);
    assert_eq!(set.insert(0..u64::MAX), u64::MAX);
    assert_eq!(set.insert(5..u64::MAX), 0);
    assert_eq!(set.len(), u64::MAX);
    assert!(set.contains(u64::MAX..0));
    assert!(!set.overlaps(u64::MAX..0));
    assert_eq!(set.gaps(u64::MAX..3).next(), None);
    assert_eq!(set.frontier(u64::MAX), u64::MAX);
    assert_eq!(set.frontier(7), u64::MAX);
    assert_eq!(set.remove(1..u64::MAX - 1), u64::MAX - 2);
    assert_eq!(set.iter().collect::<Vec<_>>(), [0..1, u64::MAX - 1..u64::MAX]);
    assert!(set.gaps(0..u64::MAX).eq(std::iter::once(1..u64::MAX - 1)));
}

proptest! {
    #[test]
    fn any_sequence_agrees_with_the_model(
        steps in proptest::collection::vec((any::<bool>(), 0u64..40, 0u64..40), 0..40)
    ) {
        let mut set = RangeSet::new();
        let mut model = Model::default();
        for (add, start, end) in steps {
            if add {
                prop_assert_eq!(set.insert(start..end), model.insert(start..end));
            } else {
                prop_assert_eq!(set.remove(start..end), model.remove(start..end));
            }
        }
        agree(&set, &model, 40);
    }
}
