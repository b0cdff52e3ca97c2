//! Syncs in the background, so that a power cut costs seconds of a download and not hours, and so
//! that little is left to wait for when data must be synced before it is published.
//!
//! At most one sync runs at a time, on a thread of its own that lives as long. It covers what was
//! written when it started. The marks that say so are synced next, before any more data.

use std::{
    fs::File,
    sync::Arc,
    thread::{Builder, JoinHandle},
    time::Duration,
};

use rustix::{
    fs::{Mode, OFlags},
    io::{Errno, retry_on_intr},
};

use super::{journal_file::JournalFile, place::Paths};
use crate::{journal::Ledger, range::RangeSet};

/// Decides when to sync, and runs it.
#[derive(Debug, Default)]
pub(super) struct Syncer {
    running: Option<Running>,
    /// No sync before this; unset until the first byte was written.
    next: Option<Duration>,
    polled: Duration,
    directory_done: bool,
}

#[derive(Debug)]
struct Running {
    thread: JoinHandle<Result<(), Errno>>,
    covered: RangeSet,
    started: Duration,
}

impl Syncer {
    /// What the sync that ran is good for, once it is over.
    pub(super) fn poll(&mut self, now: Duration) -> Option<Result<RangeSet, Errno>> {
        self.polled = now;
        let running = self.running.take_if(|running| running.thread.is_finished())?;
        let took = now.saturating_sub(running.started);
        self.next = Some(now + INTERVAL.max(took * 10));
        Some(join(running.thread).map(|()| running.covered))
    }

    /// Starts a sync if the last one is long enough ago, or, when `eager`, enough is unsynced.
    pub(super) fn start_if_due(
        &mut self,
        ledger: &mut Ledger,
        part: &Arc<File>,
        place: &Paths,
        eager: bool,
        now: Duration,
    ) {
        let unsynced = ledger.unsynced();
        if self.running.is_some() || unsynced == 0 {
            return;
        }
        let next = *self.next.get_or_insert(now + INTERVAL);
        if now < next && !(eager && unsynced >= EAGER) {
            return;
        }
        let part = Arc::clone(part);
        let directory = if self.directory_done { None } else { open_directory(place).ok() };
        self.directory_done = true;
        self.start(ledger.syncable(), now, move || {
            retry_on_intr(|| rustix::fs::fdatasync(&part))?;
            // That the names last decides how much a power cut costs, not what is right.
            let _ = directory.map(|d| retry_on_intr(|| rustix::fs::fsync(&d)));
            Ok(())
        });
    }

    /// Syncs the journal, which has just been told what the last sync covered.
    pub(super) fn start_marks(&mut self, journal: &JournalFile, now: Duration) {
        let journal = journal.file();
        self.start(RangeSet::new(), now, move || {
            // A mark that is lost costs bytes, not truth.
            let _ = retry_on_intr(|| rustix::fs::fdatasync(&journal));
            Ok(())
        });
    }

    fn start<F>(&mut self, covered: RangeSet, now: Duration, sync: F)
    where
        F: FnOnce() -> Result<(), Errno> + Send + 'static,
    {
        match Builder::new().name("uget-sync".into()).stack_size(STACK).spawn(sync) {
            Ok(thread) => self.running = Some(Running { thread, covered, started: now }),
            Err(_) => self.next = Some(now + INTERVAL),
        }
    }

    /// When to look again.
    pub(super) fn next_due(&self, ledger: &Ledger) -> Option<Duration> {
        if self.running.is_some() {
            return Some(self.polled + POLL);
        }
        self.next.filter(|_| ledger.unsynced() > 0)
    }

    /// The part file starts over: a sync that is running covers nothing. It is not dropped, because
    /// an error it may bring is reported only once.
    pub(super) fn forget(&mut self) {
        if let Some(running) = &mut self.running {
            running.covered = RangeSet::new();
        }
    }

    /// No more of it: the result of a sync that is over, or, when `wait`, of one that still runs.
    pub(super) fn finish(&mut self, wait: bool) -> Option<Result<(), Errno>> {
        let running = self.running.take()?;
        (wait || running.thread.is_finished()).then(|| join(running.thread))
    }
}

/// The directory of the target, opened so that it can be synced.
pub(super) fn open_directory(place: &Paths) -> Result<File, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    retry_on_intr(|| rustix::fs::openat(&place.directory, ".", flags, Mode::empty()))
        .map(File::from)
}

fn join(thread: JoinHandle<Result<(), Errno>>) -> Result<(), Errno> {
    // A panic there is a defect; what it was to sync counts as not synced.
    thread.join().unwrap_or(Err(Errno::IO))
}

/// From the end of one sync to the start of the next, at least.
const INTERVAL: Duration = Duration::from_secs(5);

/// Unsynced bytes that are written back early when publishing will have to wait for them.
const EAGER: u64 = 64 << 20;

/// How often to look whether a sync is over.
const POLL: Duration = Duration::from_secs(1);

const STACK: usize = 128 << 10;
