//! Replay against tables, every cut, every flipped bit, and a model.

use std::ops::Range;

use proptest::prelude::*;

use super::*;
use crate::journal::format::{CLAIM_RECORD, encode};

const EPOCH: &str = "0f1e 8:1 77";

fn header(total: Option<u64>) -> Header {
    Header {
        epoch: EPOCH.into(),
        identity: [9; 32],
        url: "http://host/file?…".into(),
        total,
        complete: total,
        validator: Some("\"abc\"".into()),
        inode: 12,
    }
}

fn journal(total: Option<u64>, records: &[Record]) -> Vec<u8> {
    let mut chain = Chain::start();
    let mut out = PREAMBLE.to_vec();
    encode(&Record::Header(header(total)), &mut chain, &mut out);
    for record in records {
        encode(record, &mut chain, &mut out);
    }
    out
}

fn resumable(bytes: &[u8], epoch: &str) -> Resumable {
    match replay(bytes, epoch) {
        Replay::Resumable(state) => state,
        Replay::Fresh(why) => panic!("fresh: {why}"),
    }
}

fn set(ranges: &[Range<u64>]) -> RangeSet {
    let mut set = RangeSet::new();
    for range in ranges {
        set.insert(range.clone());
    }
    set
}

/// A claim, with a checksum that tells ranges apart.
fn claim(range: Range<u64>) -> Claim {
    let crc = range.start.wrapping_mul(31).wrapping_add(range.end) as u32;
    Claim { range, crc }
}

fn written(range: Range<u64>) -> Record {
    Record::Written(claim(range))
}

#[test]
fn what_was_written_is_believed_within_the_epoch_and_what_was_synced_beyond_it() {
    let bytes = journal(
        Some(1000),
        &[written(0..50), written(50..100), written(500..600), Record::Synced(0..50)],
    );
    let here = resumable(&bytes, EPOCH);
    assert_eq!(here.claims, [claim(0..50), claim(50..100), claim(500..600)]);
    assert_eq!(here.done, set(&[0..100, 500..600]));
    assert_eq!(here.synced, set(&[0..50]));
    assert_eq!((here.total, here.valid), (1000, bytes.len()));
    assert_eq!(here.header, header(Some(1000)));
    let elsewhere = resumable(&bytes, "after a reboot");
    assert_eq!(elsewhere.claims, [claim(0..50)]);
    assert_eq!(elsewhere.done, set(&[0..50]));
    assert_eq!(elsewhere.synced, set(&[0..50]));
}

#[test]
fn a_claim_that_was_synced_in_part_is_lost_with_the_epoch() {
    // What its checksum is of, a half of it does not show.
    let bytes = journal(Some(1000), &[written(0..100), written(100..200), Record::Synced(0..150)]);
    let elsewhere = resumable(&bytes, "after a reboot");
    assert_eq!((elsewhere.done, elsewhere.synced), (set(&[0..100]), set(&[0..100])));
}

#[test]
fn claims_stand_and_fall_alone() {
    let bytes = journal(Some(1000), &[written(0..100), written(50..200), Record::Synced(0..60)]);
    let mut state = resumable(&bytes, EPOCH);
    assert_eq!(state.done, set(&[0..200]));
    state.retain(|claim| claim.range.start != 0);
    assert_eq!(state.claims, [claim(50..200)]);
    assert_eq!((state.done, state.synced), (set(&[50..200]), set(&[50..60])));
}

#[test]
fn what_is_no_journal_means_a_fresh_start_and_says_why() {
    let mut version = journal(Some(1), &[]);
    version[8] = 1;
    let mut flipped = journal(Some(1), &[]);
    flipped[40] ^= 1;
    let no_header = {
        let mut out = PREAMBLE.to_vec();
        encode(&written(0..1), &mut Chain::start(), &mut out);
        out
    };
    for (bytes, why) in [
        (&b""[..], "the journal is empty"),
        (b"u", "the journal is not one of uget's"),
        (b"<html>not found</html>", "the journal is not one of uget's"),
        (&[0; 4096], "the journal is not one of uget's"),
        (&version, "the journal is of another version"),
        (&PREAMBLE[..10], "the journal is of another version"),
        (&PREAMBLE, "the journal is damaged"),
        (&flipped, "the journal is damaged"),
        (&no_header, "the journal is damaged"),
        (&journal(None, &[written(0..1)]), "the journal knows no length"),
    ] {
        assert_eq!(replay(bytes, EPOCH), Replay::Fresh(why), "{bytes:?}");
    }
}

#[test]
fn a_range_that_cannot_be_true_ends_the_journal() {
    for bad in [
        written(100..100),
        written(Range { start: 200, end: 100 }),
        written(999..1001),
        written(0..u64::MAX),
        written(Range { start: u64::MAX, end: 0 }),
        Record::Synced(5..5),
        Record::Synced(1000..1001),
        Record::Synced(5..11),
        Record::Header(header(Some(1000))),
    ] {
        let bytes = journal(Some(1000), &[written(0..10), bad.clone(), written(10..20)]);
        let state = resumable(&bytes, EPOCH);
        assert_eq!(state.done, set(&[0..10]), "{bad:?}");
        assert_eq!(state.valid, journal(Some(1000), &[written(0..10)]).len());
    }
}

#[test]
fn the_largest_total_there_is() {
    let total = u64::MAX - 1;
    let bytes = journal(Some(total), &[written(total - 1..total)]);
    assert_eq!(resumable(&bytes, EPOCH).done, set(&[total - 1..total]));
}

fn sample() -> (Vec<u8>, Vec<Range<u64>>) {
    let ranges: Vec<_> = (0..5).map(|i| i * 100..i * 100 + 60).collect();
    let records: Vec<_> = ranges.iter().cloned().map(written).collect();
    (journal(Some(1000), &records), ranges)
}

#[test]
fn cut_anywhere_it_holds_exactly_the_whole_records() {
    let (bytes, ranges) = sample();
    let head = bytes.len() - ranges.len() * CLAIM_RECORD;
    for cut in 0..=bytes.len() {
        match replay(&bytes[..cut], EPOCH) {
            Replay::Fresh(_) => assert!(cut < head, "{cut}"),
            Replay::Resumable(state) => {
                let whole = (cut - head) / CLAIM_RECORD;
                assert_eq!(state.done, set(&ranges[..whole]), "{cut}");
                assert_eq!(state.valid, head + whole * CLAIM_RECORD);
            }
        }
    }
}

#[test]
fn no_flipped_bit_adds_a_range() {
    let (bytes, ranges) = sample();
    let head = bytes.len() - ranges.len() * CLAIM_RECORD;
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        match replay(&damaged, EPOCH) {
            Replay::Fresh(_) => assert!(bit / 8 < head, "{bit}"),
            Replay::Resumable(state) => {
                let whole = (bit / 8 - head) / CLAIM_RECORD;
                assert_eq!(state.done, set(&ranges[..whole]), "{bit}");
            }
        }
    }
}

#[test]
fn a_seal_that_is_cut_or_flipped_is_none() {
    let seal = Seal { size: 1000, modified: (7, 8), changed: (9, 10) };
    let claims = journal(Some(1000), &[written(0..10)]);
    let bytes = journal(Some(1000), &[written(0..10), Record::Sealed(seal.clone())]);
    assert_eq!(resumable(&bytes, EPOCH).seal, Some(seal));
    for cut in claims.len()..bytes.len() {
        assert_eq!(resumable(&bytes[..cut], EPOCH), resumable(&claims, EPOCH), "{cut}");
    }
    for bit in claims.len() * 8..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(resumable(&damaged, EPOCH), resumable(&claims, EPOCH), "{bit}");
    }
}

#[test]
fn a_record_out_of_place_is_not_believed() {
    // A stale block of an older journal of the same file, a repeated record, two exchanged ones.
    let (bytes, ranges) = sample();
    let head = bytes.len() - ranges.len() * CLAIM_RECORD;
    let record = |i: usize| &bytes[head + i * CLAIM_RECORD..head + (i + 1) * CLAIM_RECORD];
    for tail in [[record(0), record(0)], [record(1), record(0)], [record(0), record(2)]] {
        let mixed = [&bytes[..head], tail[0], tail[1]].concat();
        let done = resumable(&mixed, EPOCH).done;
        assert!(done == set(&ranges[..1]) || done.is_empty(), "{done:?}");
    }
}

fn records() -> impl Strategy<Value = Vec<(Range<u64>, bool)>> {
    prop::collection::vec(
        (0_u64..10_000, 1_u64..500, any::<bool>()).prop_map(|(at, n, s)| (at..at + n, s)),
        0..40,
    )
}

proptest! {
    #[test]
    fn replay_is_the_union_of_what_was_encoded(entries in records()) {
        let list: Vec<_> = entries
            .iter()
            .flat_map(|(r, s)| {
                let synced = s.then(|| Record::Synced(r.clone()));
                [written(r.clone())].into_iter().chain(synced)
            })
            .collect();
        let bytes = journal(Some(20_000), &list);
        let all: Vec<_> = entries.iter().map(|(r, _)| r.clone()).collect();
        let synced: Vec<_> = entries.iter().filter(|(_, s)| *s).map(|(r, _)| r.clone()).collect();
        let synced = set(&synced);
        prop_assert_eq!(resumable(&bytes, EPOCH).done, set(&all));
        let safe: Vec<_> = all.into_iter().filter(|r| synced.contains(r.clone())).collect();
        prop_assert_eq!(resumable(&bytes, "other").done, set(&safe));
    }

    #[test]
    fn damage_never_adds_a_position(
        entries in records(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let list: Vec<_> = entries.iter().map(|(r, _)| written(r.clone())).collect();
        let mut bytes = journal(Some(20_000), &list);
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        if let Replay::Resumable(state) = replay(&bytes, EPOCH) {
            let all: Vec<_> = entries.iter().map(|(r, _)| r.clone()).collect();
            let recorded = set(&all);
            for range in state.done.iter() {
                prop_assert!(recorded.contains(range));
            }
            // Cut where it says, it says the same.
            let again = resumable(&bytes[..state.valid], EPOCH);
            prop_assert_eq!(again, state);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = replay(&bytes, EPOCH);
        let _ = replay(&[&PREAMBLE[..], &bytes].concat(), EPOCH);
    }
}
