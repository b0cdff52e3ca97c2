//! When to append what: the writing side of a journal, as a value.

use std::{ops::Range, time::Duration};

use super::format::{Chain, Header, PREAMBLE, RANGE_RECORD, Record, encode};
use crate::range::RangeSet;

/// Knows what the journal on disk says and what it should say next.
///
/// The caller reports bytes *after* they were written ([`Self::wrote`]) and appends what
/// [`Self::take`] yields when [`Self::is_due`]; so the journal is never ahead of the data. A record
/// is due when enough bytes are unrecorded (a share of the total, so that a kill costs little of a
/// small file and a large one costs few writes) or when the oldest of them waited long enough.
/// Neighbouring ranges are recorded as one. A journal that has grown far beyond what it says is
/// written anew ([`Self::is_bloated`], [`Self::rewrite`]), so its size is bounded.
#[derive(Clone, Debug)]
pub struct Ledger {
    header: Header,
    written: RangeSet,
    synced: RangeSet,
    pending: RangeSet,
    pending_since: Option<Duration>,
    chain: Chain,
    length: usize,
}

impl Ledger {
    /// A ledger over what is already proven: `written` and, of it, `synced`. [`Self::rewrite`]
    /// yields its first bytes.
    #[must_use]
    pub fn new(header: Header, written: RangeSet, synced: RangeSet) -> Self {
        Self {
            header,
            written,
            synced,
            pending: RangeSet::new(),
            pending_since: None,
            chain: Chain::start(),
            length: 0,
        }
    }

    /// The bytes of `range` are in the part file, as of `now`.
    pub fn wrote(&mut self, range: Range<u64>, now: Duration) {
        for gap in self.written.gaps(range) {
            self.pending.insert(gap);
        }
        if self.pending_since.is_none() && !self.pending.is_empty() {
            self.pending_since = Some(now);
        }
    }

    /// The bytes of `lost` are not in the part file after all. [`Self::rewrite`] has to follow.
    pub fn forget(&mut self, lost: &RangeSet) {
        for range in lost.iter() {
            self.written.remove(range.clone());
            self.synced.remove(range.clone());
            self.pending.remove(range);
        }
    }

    /// Whether to append what [`Self::take`] yields now.
    #[must_use]
    pub fn is_due(&self, now: Duration) -> bool {
        self.pending_since.is_some_and(|since| now.saturating_sub(since) >= AGE_MAX)
            || self.pending.len() >= self.threshold()
    }

    /// When [`Self::is_due`] turns true at the latest.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        self.pending_since.map(|since| since + AGE_MAX)
    }

    /// The records of everything reported so far, to be appended; empty if there is nothing new.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        let mut out = Vec::with_capacity(RANGE_RECORD);
        for range in std::mem::take(&mut self.pending).iter() {
            self.written.insert(range.clone());
            encode(&Record::Written(range), &mut self.chain, &mut out);
        }
        self.pending_since = None;
        self.length += out.len();
        out
    }

    /// Everything recorded or about to be: what a sync that starts now will cover.
    #[must_use]
    pub fn syncable(&self) -> RangeSet {
        let mut all = self.written.clone();
        for range in self.pending.iter() {
            all.insert(range);
        }
        all
    }

    /// A sync that started when [`Self::syncable`] said `covered` is over and succeeded: the
    /// records to append, what was pending included.
    #[must_use]
    pub fn synced(&mut self, covered: &RangeSet) -> Vec<u8> {
        let mut out = self.take();
        let taken = out.len();
        for range in covered.iter() {
            // Whole runs and not only what is new in them: the last mark of a long download then
            // says it all, in few records.
            if !self.synced.contains(range.clone()) {
                self.synced.insert(range.clone());
                encode(&Record::Synced(range), &mut self.chain, &mut out);
            }
        }
        self.length += out.len() - taken;
        out
    }

    /// How many bytes no sync covers yet.
    #[must_use]
    pub fn unsynced(&self) -> u64 {
        (self.written.len() + self.pending.len()).saturating_sub(self.synced.len())
    }

    /// Whether the journal holds so much history that it should be replaced by [`Self::rewrite`].
    #[must_use]
    pub fn is_bloated(&self) -> bool {
        let runs = self.written.iter().count() + self.synced.iter().count();
        self.length > BLOAT + 2 * runs * RANGE_RECORD
    }

    /// The whole journal anew, as short as it can be. It must replace the old one at once or not
    /// at all (write it beside, then rename).
    #[must_use]
    pub fn rewrite(&mut self) -> Vec<u8> {
        self.chain = Chain::start();
        let mut out = PREAMBLE.to_vec();
        encode(&Record::Header(self.header.clone()), &mut self.chain, &mut out);
        for range in self.synced.iter() {
            encode(&Record::Synced(range), &mut self.chain, &mut out);
        }
        for range in self.written.iter().filter(|r| !self.synced.contains(r.clone())) {
            encode(&Record::Written(range), &mut self.chain, &mut out);
        }
        self.length = out.len();
        out.extend_from_slice(&self.take());
        out
    }

    /// The complete length in bytes, if it is known.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.header.total
    }

    /// The length in octets of what was yielded so far: the journal's, if all of it was appended.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// A 256th of the total, in bounds.
    fn threshold(&self) -> u64 {
        (self.header.total.unwrap_or(0) / 256).clamp(THRESHOLD_MIN, THRESHOLD_MAX)
    }
}

/// The longest that written bytes stay unrecorded: a kill of a download that takes a few seconds
/// costs less than a hundredth of it, and fewer than seventy records a second are appended.
const AGE_MAX: Duration = Duration::from_millis(15);

/// So many unrecorded bytes are recorded at once, whatever their age: between these bounds.
const THRESHOLD_MIN: u64 = 256 << 10;
const THRESHOLD_MAX: u64 = 4 << 20;

/// So many octets of history are tolerated.
const BLOAT: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Replay, replay};

    fn header(total: u64) -> Header {
        Header {
            epoch: "boot".into(),
            identity: [1; 32],
            url: "http://h/".into(),
            total: Some(total),
            validator: Some("\"x\"".into()),
            inode: 3,
        }
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn done(journal: &[u8], epoch: &str) -> Vec<Range<u64>> {
        match replay(journal, epoch) {
            Replay::Resumable(state) => {
                assert_eq!(state.valid, journal.len());
                state.done.iter().collect()
            }
            Replay::Fresh(why) => panic!("{why}"),
        }
    }

    #[test]
    fn neighbours_are_one_record_and_old_news_are_none() {
        let mut ledger = Ledger::new(header(1 << 30), RangeSet::new(), RangeSet::new());
        let mut journal = ledger.rewrite();
        ledger.wrote(0..100, ms(0));
        ledger.wrote(100..200, ms(1));
        let records = ledger.take();
        assert_eq!(records.len(), RANGE_RECORD);
        journal.extend(records);
        ledger.wrote(50..150, ms(2));
        assert!(ledger.take().is_empty());
        assert_eq!(ledger.next_due(), None);
        assert_eq!(done(&journal, "boot"), [0..200]);
        assert_eq!(ledger.length(), journal.len());
    }

    #[test]
    fn a_record_is_due_by_age_or_by_size() {
        let mut ledger = Ledger::new(header(1 << 30), RangeSet::new(), RangeSet::new());
        let _ = ledger.rewrite();
        assert!(!ledger.is_due(ms(1_000_000)));
        ledger.wrote(0..1, ms(500));
        assert!(!ledger.is_due(ms(514)));
        assert!(ledger.is_due(ms(515)));
        assert_eq!(ledger.next_due(), Some(ms(515)));
        ledger.wrote(1..1 + THRESHOLD_MAX, ms(501));
        assert!(ledger.is_due(ms(501)));
        let _ = ledger.take();
        assert!(!ledger.is_due(ms(10_000)));
    }

    #[test]
    fn the_threshold_follows_the_total() {
        for (total, want) in [
            (0, THRESHOLD_MIN),
            (1 << 28, 1 << 20),
            (1 << 40, THRESHOLD_MAX),
            (u64::MAX - 1, THRESHOLD_MAX),
        ] {
            let ledger = Ledger::new(header(total), RangeSet::new(), RangeSet::new());
            assert_eq!(ledger.threshold(), want, "{total}");
        }
    }

    #[test]
    fn a_sync_covers_what_was_there_when_it_started() {
        let mut ledger = Ledger::new(header(1000), RangeSet::new(), RangeSet::new());
        let mut journal = ledger.rewrite();
        ledger.wrote(0..100, ms(0));
        let covered = ledger.syncable();
        ledger.wrote(100..200, ms(1));
        journal.extend(ledger.synced(&covered));
        assert_eq!(done(&journal, "boot"), [0..200]);
        assert_eq!(done(&journal, "another boot"), [0..100]);
        assert_eq!(ledger.unsynced(), 100);
        // A rewrite says the same.
        let again = ledger.rewrite();
        assert_eq!(done(&again, "boot"), [0..200]);
        assert_eq!(done(&again, "another boot"), [0..100]);
    }

    #[test]
    fn a_long_download_keeps_a_short_journal() {
        let total = 1 << 30;
        let mut ledger = Ledger::new(header(total), RangeSet::new(), RangeSet::new());
        let mut journal = ledger.rewrite();
        let mut longest = 0;
        // The worst case: every 512 bytes are a record of their own.
        for (i, start) in (0..total).step_by(512).take(100_000).enumerate() {
            ledger.wrote(start..start + 512, ms(i as u64 * 100));
            journal.extend(ledger.take());
            if ledger.is_bloated() {
                journal = ledger.rewrite();
            }
            longest = longest.max(journal.len());
        }
        assert!(longest < BLOAT + 1024, "{longest}");
        assert_eq!(done(&journal, "boot"), [0..512 * 100_000]);
    }
}
