//! The `range` room.

use uget::range::RangeSet;

/// Each three octets are a step: insert or remove, from, to. Against a bitmap.
pub fn range_set(data: &[u8]) {
    let mut set = RangeSet::new();
    let mut bits = [false; 256];
    for step in data.chunks_exact(3) {
        let (add, start, end) = (step[0] & 1 == 0, step[1], step[2]);
        let mut changed = 0;
        for position in start..end {
            changed += u64::from(bits[usize::from(position)] != add);
            bits[usize::from(position)] = add;
        }
        let range = u64::from(start)..u64::from(end);
        let count = if add { set.insert(range.clone()) } else { set.remove(range.clone()) };
        assert_eq!(count, changed);
        assert!(range.is_empty() || set.contains(range.clone()) == add);
        assert!(range.is_empty() || set.overlaps(range) == add);
    }
    assert_eq!(set.len(), bits.iter().filter(|bit| **bit).count() as u64);
    let mut shown = [false; 256];
    let mut last = None;
    for range in set.iter() {
        assert!(!range.is_empty() && last.is_none_or(|last| last < range.start));
        last = Some(range.end);
        assert_eq!(set.frontier(range.start), range.end);
        range.for_each(|position| shown[position as usize] = true);
    }
    assert_eq!(shown, bits);
    for gap in set.gaps(0..256) {
        gap.for_each(|position| shown[position as usize] ^= true);
    }
    assert_eq!(shown, [true; 256]);
}
