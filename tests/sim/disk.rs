//! A disk: a part file and its journal, what of both the kernel has, and what would survive it.

use std::time::Duration;

use uget::{
    http::field::Validators,
    journal::{Claim, Header, Held, Ledger, Replay, Resumable, replay},
    orders::Extent,
    range::RangeSet,
};

use crate::{
    file::{File, Source},
    rng::Rng,
};

/// The files of one target.
#[derive(Default)]
pub(crate) struct Disk {
    /// The part file as the kernel has it.
    pub(crate) part: File,
    /// What of it is on the platter.
    durable: File,
    journal: Vec<u8>,
    /// Octets of the journal that came into being at once.
    sure: usize,
    ledger: Option<Ledger>,
    resumed: Option<Resumable>,
    boot: u32,
    /// Somebody wrote to the part file who is not a downloader.
    damaged: bool,
}

/// How a process ends without having its say.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Crash {
    /// SIGKILL: the kernel has everything that was written.
    Kill,
    /// The power fails: the kernel had it.
    Power,
}

impl Disk {
    /// Starts a part file, or goes on with the one that was found.
    pub(crate) fn prepare(&mut self, extent: Option<&Extent>, version: &Validators, resume: bool) {
        if !resume {
            self.forget();
        }
        let header = Header {
            epoch: self.epoch(),
            identity: [7; 32],
            url: "http://h.test/".to_owned(),
            total: extent.map(Extent::length),
            complete: extent.map(|extent| extent.complete),
            validator: version.pin(),
            inode: 1,
        };
        let (claims, synced) =
            self.resumed.take().map(|state| (state.claims, state.synced)).unwrap_or_default();
        let mut ledger = Ledger::new(header, claims, synced);
        self.journal = ledger.rewrite();
        self.sure = self.journal.len();
        self.ledger = Some(ledger);
        // What was is not claimed any more.
        self.damaged = false;
    }

    fn epoch(&self) -> String {
        format!("boot {}", self.boot)
    }

    /// The coordinator learns that bytes were written, and records them in its own time.
    pub(crate) fn wrote(&mut self, claim: Claim, now: Duration, early: bool) {
        let Some(ledger) = &mut self.ledger else { return };
        ledger.wrote(claim, now);
        if early || ledger.is_due(now) {
            self.journal.extend(ledger.take());
        }
    }

    /// Everything that was reported is brought to the platter.
    pub(crate) fn sync(&mut self) {
        let Some(ledger) = &mut self.ledger else { return };
        let covered = ledger.syncable();
        for range in covered.iter() {
            self.durable.copy(&self.part, &range);
        }
        self.journal.extend(ledger.synced(&covered));
        if ledger.is_bloated() {
            self.journal = ledger.rewrite();
            self.sure = self.journal.len();
        }
    }

    /// The end of an orderly process that keeps its part.
    pub(crate) fn close(&mut self) {
        if let Some(mut ledger) = self.ledger.take() {
            self.journal.extend(ledger.take());
        }
    }

    /// These bytes will come once more.
    pub(crate) fn refetch(&mut self, lost: &RangeSet) {
        for range in lost.iter() {
            self.part.write(range.clone(), GARBAGE);
            self.durable.write(range, GARBAGE);
        }
        if let Some(ledger) = &mut self.ledger {
            ledger.forget(lost);
            self.journal = ledger.rewrite();
            self.sure = self.journal.len();
        }
    }

    /// Both files are removed.
    pub(crate) fn forget(&mut self) {
        self.part.clear();
        self.durable.clear();
        self.journal.clear();
        self.ledger = None;
        self.resumed = None;
        self.damaged = false;
    }

    /// Somebody zeroes, overwrites or punches what nobody downloads to at the moment.
    pub(crate) fn damage(&mut self, rng: &mut Rng) {
        let runs: Vec<_> = self.part.ranges().collect();
        if runs.is_empty() {
            return;
        }
        let run = rng.one_of(&runs).clone();
        let start = rng.pick(run.clone());
        self.part.write(start..run.end.min(start + 1 + rng.magnitude(22)), GARBAGE);
        self.damaged = true;
    }

    /// The process is gone, and perhaps the machine.
    pub(crate) fn crash(&mut self, how: Crash, rng: &mut Rng) {
        self.ledger = None;
        match how {
            // The last append may have been cut.
            Crash::Kill => {
                let torn = rng.pick(0..20) as usize;
                let left = self.journal.len().saturating_sub(torn).max(self.sure);
                self.journal.truncate(left);
            }
            Crash::Power => {
                self.boot += 1;
                let sure = if rng.one_in(4) { 0 } else { self.sure.min(self.journal.len()) };
                let left = rng.pick(sure as u64..self.journal.len() as u64 + 1) as usize;
                self.journal.truncate(left);
                if rng.one_in(3) {
                    let junk = rng.pick(1..100);
                    self.journal.extend((0..junk).map(|_| rng.next() as u8));
                }
                let lost: Vec<_> = self.part.ranges().filter(|_| rng.one_in(2)).collect();
                for range in lost {
                    self.part.write(range, GARBAGE);
                }
                // Runs are merged, so also cut somewhere.
                let cut = rng.magnitude(26);
                self.part.write(cut..cut + rng.magnitude(22), GARBAGE);
                let durable: Vec<_> = self.durable.ranges().collect();
                for range in durable {
                    self.part.copy(&self.durable, &range);
                }
            }
        }
        if rng.one_in(10) && !self.journal.is_empty() {
            let at = rng.pick(0..self.journal.len() as u64) as usize;
            self.journal[at] ^= 1 << rng.pick(0..8);
        }
    }

    /// What a new process finds.
    ///
    /// # Errors
    /// The journal says more than is there, or more is believed.
    pub(crate) fn held(&mut self) -> Result<Option<Held>, String> {
        let mut state = match replay(&self.journal, &self.epoch()) {
            Replay::Resumable(state) => state,
            Replay::Fresh(_) => {
                self.forget();
                return Ok(None);
            }
        };
        let claimed = state.done.clone();
        state.retain(|claim| self.part.crc(&claim.range) == claim.crc);
        let lost = claimed.len() - state.done.len();
        if lost > 0 && !self.damaged {
            return Err(format!("the journal is ahead of the data by {lost} bytes"));
        }
        for range in state.done.iter() {
            if !self.part.holds(&range, |source| source != GARBAGE) {
                return Err(format!("it believes in bytes that nobody wrote: {range:?}"));
            }
        }
        if state.done.is_empty() {
            self.forget();
            return Ok(None);
        }
        let validator = state.header.validator.clone();
        let held = Held {
            total: state.total,
            complete: state.complete,
            validator,
            done: state.done.clone(),
        };
        self.resumed = Some(state);
        Ok(Some(held))
    }

    /// What is not in `done` is to be written again.
    pub(crate) fn trust_only(&mut self, done: &RangeSet) {
        let mut sound = File::default();
        for range in done.iter() {
            sound.copy(&self.part, &range);
        }
        self.part = sound;
    }
}

/// Bytes that were never written as they are.
const GARBAGE: Source = Source { version: u32::MAX, shift: 0 };
