//! When to append what: the writing side of a journal, as a value.

use std::{ops::Range, time::Duration};

use super::{
    claims::{Claim, Claims},
    format::{CLAIM_RECORD, Chain, Header, PREAMBLE, Record, Seal, encode},
};
use crate::range::RangeSet;

/// Knows what the journal on disk says and what it should say next.
///
/// The caller reports bytes *after* they were written ([`Self::wrote`]) and appends what
/// [`Self::take`] yields when [`Self::is_due`]; so the journal is never ahead of the data. A record
/// is due when enough bytes are unrecorded (a share of the total, so that a kill costs little of a
/// small file and a large one costs few writes) or when the oldest of them waited long enough.
/// Neighbouring claims are recorded as one, up to a size, because damage costs whole claims. A
/// journal that has grown far beyond what it says is written anew ([`Self::is_bloated`],
/// [`Self::rewrite`]), so its size is bounded.
#[derive(Clone, Debug)]
pub struct Ledger {
    header: Header,
    written: Claims,
    synced: RangeSet,
    /// What the last sync that was started covers.
    covered: RangeSet,
    pending: Claims,
    pending_since: Option<Duration>,
    chain: Chain,
    length: usize,
}

impl Ledger {
    /// A ledger over what is already proven: `claims` and, of their bytes, `synced`.
    /// [`Self::rewrite`] yields its first bytes.
    #[must_use]
    pub fn new(header: Header, claims: Vec<Claim>, synced: RangeSet) -> Self {
        let most = claim_most(header.total);
        let mut written = Claims::default();
        for claim in claims {
            written.insert(claim, most, alike(&synced, &synced));
        }
        Self {
            header,
            written,
            covered: synced.clone(),
            synced,
            pending: Claims::default(),
            pending_since: None,
            chain: Chain::start(),
            length: 0,
        }
    }

    /// The bytes of `claim` are in the part file, as of `now`.
    pub fn wrote(&mut self, claim: Claim, now: Duration) {
        if self.written.bytes().contains(claim.range.clone()) {
            return;
        }
        let most = claim_most(self.header.total);
        self.pending.insert(claim, most, alike(&self.synced, &self.covered));
        self.pending_since.get_or_insert(now);
    }

    /// The bytes of `lost` are not in the part file after all. [`Self::rewrite`] has to follow.
    /// What was claimed together with them is forgotten, too: should this run be interrupted, the
    /// next one fetches it again.
    pub fn forget(&mut self, lost: &RangeSet) {
        self.written.remove(lost);
        self.pending.remove(lost);
        for gap in self.written.bytes().gaps(0..u64::MAX) {
            self.synced.remove(gap);
        }
    }

    /// Whether to append what [`Self::take`] yields now.
    #[must_use]
    pub fn is_due(&self, now: Duration) -> bool {
        self.pending_since.is_some_and(|since| now.saturating_sub(since) >= AGE_MAX)
            || self.pending.bytes().len() >= self.threshold()
    }

    /// When [`Self::is_due`] turns true at the latest.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        self.pending_since.map(|since| since + AGE_MAX)
    }

    /// The records of everything reported so far, to be appended; empty if there is nothing new.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        let mut out = Vec::with_capacity(CLAIM_RECORD);
        let most = claim_most(self.header.total);
        for claim in std::mem::take(&mut self.pending).iter() {
            encode(&Record::Written(claim.clone()), &mut self.chain, &mut out);
            self.written.insert(claim, most, alike(&self.synced, &self.covered));
        }
        self.pending_since = None;
        self.length += out.len();
        out
    }

    /// Everything recorded or about to be: what a sync that starts now will cover.
    #[must_use]
    pub fn syncable(&mut self) -> RangeSet {
        let mut all = self.written.bytes().clone();
        for range in self.pending.bytes().iter() {
            all.insert(range);
        }
        self.covered = all.clone();
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
        let written = self.written.bytes().len() + self.pending.bytes().len();
        written.saturating_sub(self.synced.len())
    }

    /// Whether the journal holds so much history that it should be replaced by [`Self::rewrite`].
    #[must_use]
    pub fn is_bloated(&self) -> bool {
        let runs = self.written.count() + self.synced.iter().count();
        self.length > BLOAT + 2 * runs * CLAIM_RECORD
    }

    /// The whole journal anew, as short as it can be. It must replace the old one at once or not
    /// at all (write it beside, then rename).
    #[must_use]
    pub fn rewrite(&mut self) -> Vec<u8> {
        self.chain = Chain::start();
        let mut out = PREAMBLE.to_vec();
        encode(&Record::Header(self.header.clone()), &mut self.chain, &mut out);
        // What was written apart may have been synced together since.
        let most = claim_most(self.header.total);
        for claim in std::mem::take(&mut self.written).iter() {
            self.written.insert(claim, most, alike(&self.synced, &self.covered));
        }
        for claim in self.written.iter() {
            encode(&Record::Written(claim), &mut self.chain, &mut out);
        }
        for range in self.synced.iter() {
            encode(&Record::Synced(range), &mut self.chain, &mut out);
        }
        self.length = out.len();
        out.extend_from_slice(&self.take());
        out
    }

    /// Nothing more will be written, and the part file was left like this: the last records.
    #[must_use]
    pub fn seal(&mut self, seal: Seal) -> Vec<u8> {
        let mut out = self.take();
        let taken = out.len();
        encode(&Record::Sealed(seal), &mut self.chain, &mut out);
        self.length += out.len() - taken;
        out
    }

    /// The complete length in bytes, if it is known.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.header.total
    }

    /// A 256th of the total, in bounds.
    fn threshold(&self) -> u64 {
        (self.header.total.unwrap_or(0) / 256).clamp(THRESHOLD_MIN, THRESHOLD_MAX)
    }
}

/// How large a claim may grow: large enough that all of them make a short journal, small enough
/// that one which does not hold costs little.
fn claim_most(total: Option<u64>) -> u64 {
    (total.unwrap_or(0) / CLAIMS).max(CLAIM_MIN)
}

/// Claims are not joined across the end of what is synced, or soon will be: after a reboot only
/// those count that lie in it.
fn alike(synced: &RangeSet, covered: &RangeSet) -> impl Fn(&Range<u64>, &Range<u64>) -> bool {
    move |left, right| {
        [synced, covered]
            .iter()
            .all(|set| set.contains(left.clone()) == set.contains(right.clone()))
    }
}

/// About so many claims make a whole object, unless they would be smaller than this many bytes.
const CLAIMS: u64 = 4096;
const CLAIM_MIN: u64 = 1 << 20;

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
            complete: Some(total),
            validator: Some("\"x\"".into()),
            inode: 3,
        }
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// The claim that there are zeros.
    fn zeros(range: Range<u64>) -> Claim {
        let crc = crc32fast::hash(&vec![0; (range.end - range.start) as usize]);
        Claim { range, crc }
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
        let mut ledger = Ledger::new(header(1 << 30), Vec::new(), RangeSet::new());
        let mut journal = ledger.rewrite();
        ledger.wrote(zeros(0..100), ms(0));
        ledger.wrote(zeros(100..200), ms(1));
        let records = ledger.take();
        assert_eq!(records.len(), CLAIM_RECORD);
        journal.extend(records);
        ledger.wrote(zeros(50..150), ms(2));
        assert!(ledger.take().is_empty());
        assert_eq!(ledger.next_due(), None);
        assert_eq!(done(&journal, "boot"), [0..200]);
        assert_eq!(ledger.length, journal.len());
    }

    #[test]
    fn a_record_is_due_by_age_or_by_size() {
        let mut ledger = Ledger::new(header(1 << 30), Vec::new(), RangeSet::new());
        let _ = ledger.rewrite();
        assert!(!ledger.is_due(ms(1_000_000)));
        ledger.wrote(zeros(0..1), ms(500));
        assert!(!ledger.is_due(ms(514)));
        assert!(ledger.is_due(ms(515)));
        assert_eq!(ledger.next_due(), Some(ms(515)));
        ledger.wrote(zeros(1..1 + THRESHOLD_MAX), ms(501));
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
            let ledger = Ledger::new(header(total), Vec::new(), RangeSet::new());
            assert_eq!(ledger.threshold(), want, "{total}");
        }
    }

    #[test]
    fn a_sync_covers_what_was_there_when_it_started() {
        let mut ledger = Ledger::new(header(1000), Vec::new(), RangeSet::new());
        let mut journal = ledger.rewrite();
        ledger.wrote(zeros(0..100), ms(0));
        let covered = ledger.syncable();
        ledger.wrote(zeros(100..200), ms(1));
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
        let mut ledger = Ledger::new(header(total), Vec::new(), RangeSet::new());
        let mut journal = ledger.rewrite();
        let mut longest = 0;
        // The worst case: every 512 bytes are a record of their own.
        for (i, start) in (0..total).step_by(512).take(100_000).enumerate() {
            ledger.wrote(zeros(start..start + 512), ms(i as u64 * 100));
            journal.extend(ledger.take());
            if ledger.is_bloated() {
                journal = ledger.rewrite();
            }
            longest = longest.max(journal.len());
        }
        assert!(longest < BLOAT + 8192, "{longest}");
        assert_eq!(done(&journal, "boot"), [0..512 * 100_000]);
    }

    #[test]
    fn a_claim_stays_small_enough_to_be_worth_little() {
        for total in [1_u64 << 24, 1 << 36] {
            let mut ledger = Ledger::new(header(total), Vec::new(), RangeSet::new());
            let step = 256 << 10;
            for start in (0..16 << 20).step_by(step as usize) {
                ledger.wrote(zeros(start..start + step), ms(0));
                let _ = ledger.take();
            }
            let Replay::Resumable(state) = replay(&ledger.rewrite(), "boot") else { panic!() };
            assert_eq!(state.claims.len() as u64, (16 << 20) / (total / 4096).max(1 << 20));
            assert_eq!(state.done.iter().collect::<Vec<_>>(), [0..16 << 20]);
        }
    }

    #[test]
    fn a_seal_is_the_last_word_or_none() {
        let mut ledger = Ledger::new(header(1000), Vec::new(), RangeSet::new());
        let mut journal = ledger.rewrite();
        ledger.wrote(zeros(0..100), ms(0));
        let seal = Seal { size: 1000, modified: (5, 1), changed: (5, 2) };
        journal.extend(ledger.seal(seal.clone()));
        assert_eq!(ledger.length, journal.len());
        let sealed = |journal: &[u8], epoch: &str| match replay(journal, epoch) {
            Replay::Resumable(state) => (state.seal, state.done.len()),
            Replay::Fresh(why) => panic!("{why}"),
        };
        assert_eq!(sealed(&journal, "boot"), (Some(seal), 100));
        assert_eq!(sealed(&journal, "another boot"), (None, 0));
        ledger.wrote(zeros(100..200), ms(1));
        journal.extend(ledger.take());
        assert_eq!(sealed(&journal, "boot"), (None, 200));
        assert_eq!(sealed(&ledger.rewrite(), "boot"), (None, 200));
    }
}
