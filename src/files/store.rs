//! The files of one target: part file, journal, lock, preallocation, publishing.
//!
//! The part file `.NAME.uget-part` and its journal `.NAME.uget-journal` lie beside the target, on
//! its filesystem. The lock is on the part file. Bytes are written by the workers through the
//! [`File`] that [`Store::prepare`] yields, then recorded here, in that order. The target's name
//! changes once, by a rename, when every byte is there.
//!
//! ```text
//! open ──▶ prepare ──▶ record, record, … ──▶ publish      the name holds the whole object
//!   │         │  ▲          │
//!   │         │  └restart───┤
//!   └─────────┴─────────────┴──────────────▶ abandon      the name is as it was
//! ```
//!
//! Everything blocks; calls come from one thread at a time (the coordinator, or a finisher).

mod allocate;
mod fault;
mod finished;
mod identity;
mod journal_file;
mod place;
mod publish;
mod resume;
mod seal;
mod side;
mod syncer;
mod verify;

use std::{fs::File, path::PathBuf, sync::Arc, time::Duration};

use rustix::io::Errno;
use url::Url;

use crate::{
    http::{
        field::{RangeSpec, Validators},
        redact,
    },
    journal::{Claim, Header, Held, Ledger, Resumable},
    orders::{Extent, Failure, Finished, StoreOp},
    range::RangeSet,
};

use self::{
    journal_file::JournalFile,
    resume::{Left, Search},
    side::Stat,
    syncer::Syncer,
};

pub(crate) use self::{
    fault::{store_exists, store_failure, store_failure_words},
    finished::{clear, open_target, sync_target},
    place::{Place, ready_directory},
};

/// What to open.
#[derive(Clone, Debug)]
pub(crate) struct Wanted<'a> {
    /// The final path, links resolved: what [`Place::File`] holds.
    pub(crate) target: PathBuf,
    /// The user named this file, so it may be replaced. Otherwise a file of that name is an error
    /// and stays.
    pub(crate) replace: bool,
    /// The URL asked for, before redirects: what a journal must be of.
    pub(crate) url: &'a Url,
    /// What of it is wanted, if not all.
    pub(crate) slice: Option<RangeSpec>,
    /// Use what an earlier run left.
    pub(crate) resume: bool,
    /// Data will be synced before it is published: start to write back early.
    pub(crate) sync: bool,
}

/// What [`Store::open`] found.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The store; it holds the lock.
    pub(crate) store: Store,
    /// What the journal claims and the part file bears out; offer it to the transfer.
    pub(crate) held: Option<Held>,
    /// What the file of the target's name is known to be, if it is of this URL and as it was
    /// published. Offer that to the transfer, too.
    pub(crate) finished: Option<Finished>,
    /// There was something on disk, and it is of no use: why.
    pub(crate) fresh: Option<String>,
    /// Bytes that were damaged since.
    pub(crate) damaged: u64,
}

impl Opened {
    /// What is worth a line for people.
    pub(crate) fn note(&self) -> Option<String> {
        let bytes = self.damaged;
        let damaged =
            || format!("{bytes} bytes of the part file are damaged and are fetched again");
        let fresh = self.fresh.as_ref().map(|why| format!("starting from nothing: {why}"));
        fresh.or_else(|| (bytes > 0).then(damaged))
    }
}

/// The files of one target, locked.
#[derive(Debug)]
pub(crate) struct Store {
    place: place::Paths,
    replace: bool,
    sync: bool,
    part: Arc<File>,
    stat: Stat,
    epoch: String,
    identity: [u8; 32],
    url: String,
    /// What may be resumed, until [`Self::prepare`] uses or discards it.
    held: Option<Resumable>,
    /// What the target will be known to be, once it is published.
    validator: Option<String>,
    /// There may be a journal on disk, and it must not survive a fresh start.
    stale_journal: bool,
    /// The part file is an earlier run's, and not a byte of it was changed.
    untouched: bool,
    ledger: Option<Ledger>,
    journal: Option<JournalFile>,
    syncer: Syncer,
}

impl Store {
    /// Takes the lock on the part file (created if need be), reads the journal beside it, and the
    /// bytes that it claims. While those are read, which takes long where there are many, `wait` is
    /// asked again and again whether to go on.
    ///
    /// # Errors
    /// What `wait` says. [`Failure::Store`]: with [`StoreOp::Lock`] when another process downloads
    /// to this name, else with [`StoreOp::Create`]. Nothing was changed then, but for a directory
    /// made.
    pub(crate) fn open(
        wanted: Wanted<'_>,
        wait: &mut dyn FnMut() -> Result<(), Failure>,
    ) -> Result<Opened, Failure> {
        let place = place::Paths::of(&wanted.target, true)?;
        side::check_journal(&place)?;
        let (part, created) = side::open_part(&place)?;
        let stat =
            side::stat(&part).map_err(|e| store_failure(StoreOp::Create, &place.part(), e))?;
        let mut store = Self {
            epoch: side::epoch(&part, &stat),
            identity: identity::identity(wanted.url, wanted.slice),
            url: redact(wanted.url),
            part: Arc::new(part),
            stat,
            replace: wanted.replace,
            sync: wanted.sync,
            held: None,
            validator: None,
            stale_journal: false,
            untouched: !created,
            ledger: None,
            journal: None,
            syncer: Syncer::default(),
            place,
        };
        let finished = finished::read(&store.place, &store.identity, &store.epoch);
        if !store.replace && finished.is_none() && store.place.target_exists() {
            if created {
                store.remove_files();
            }
            return Err(store_failure(StoreOp::Create, &store.place.target(), Errno::EXIST));
        }
        let (mut fresh, mut damaged) = (None, 0);
        match store.search().run(wanted.resume, wait)? {
            Left::Nothing => {}
            Left::Useless { why, journal } => {
                store.stale_journal = journal;
                fresh = (!created && stat.size > 0 || journal).then_some(why);
            }
            Left::Sound { state, damaged: lost, read } => {
                store.stale_journal = true;
                if read {
                    store.spare_the_next(&state);
                }
                store.held = Some(state);
                damaged = lost;
            }
        }
        let held = store.held.as_ref().map(|h| Held {
            total: h.total,
            complete: h.complete,
            validator: h.header.validator.clone(),
            done: h.done.clone(),
        });
        Ok(Opened { store, held, finished, fresh, damaged })
    }

    /// Makes the part file ready for what is wanted: with what the journal proved when `resume`,
    /// else empty. May be called again, for a restart. Workers write through the file it yields.
    ///
    /// # Errors
    /// [`Failure::Store`]: there is a file that may not be replaced, no space, quota, size limit
    /// ([`StoreOp::Preallocate`], and the space is given back), [`StoreOp::Truncate`],
    /// [`StoreOp::Journal`].
    pub(crate) fn prepare(
        &mut self,
        extent: Option<&Extent>,
        validators: &Validators,
        resume: bool,
    ) -> Result<Arc<File>, Failure> {
        let total = extent.map(Extent::length);
        if !self.replace && self.place.target_exists() {
            let why = "it is there already, and the server has another version";
            return Err(store_exists(&self.place.target(), why));
        }
        let held = self.held.take().filter(|h| resume && Some(h.total) == total);
        self.validator = total.and_then(|_| validators.pin());
        self.syncer.forget();
        self.ledger = None;
        self.journal = None;
        if held.is_none() {
            self.start_over()?;
        }
        if let Some(total) = total
            && let Err(errno) = allocate::allocate(&self.part, total)
        {
            // What was held is as good as before: a later run with more room may use it.
            self.untouched = held.is_some();
            return Err(store_failure(StoreOp::Preallocate, &self.place.part(), errno));
        }
        if let Some(total) = total {
            let (claims, synced) = held.map(|h| (h.claims, h.synced)).unwrap_or_default();
            let durable = !synced.is_empty();
            let header = Header {
                epoch: self.epoch.clone(),
                identity: self.identity,
                url: self.url.clone(),
                total: Some(total),
                complete: extent.map(|extent| extent.complete),
                validator: validators.pin(),
                inode: self.stat.lasting_inode,
            };
            let mut ledger = Ledger::new(header, claims, synced);
            let bytes = ledger.rewrite();
            self.stale_journal = true;
            self.journal = Some(JournalFile::replace(&self.place, &bytes, durable)?);
            self.ledger = Some(ledger);
        }
        self.untouched = false;
        Ok(Arc::clone(&self.part))
    }

    /// What was written in `lost` is not what belongs there: the journal does not say any more that
    /// it is there. Workers write through the file it yields.
    ///
    /// # Errors
    /// [`Failure::Store`] with [`StoreOp::Journal`].
    pub(crate) fn refetch(&mut self, lost: &RangeSet) -> Result<Arc<File>, Failure> {
        self.syncer.forget();
        if let Some(ledger) = &mut self.ledger {
            ledger.forget(lost);
            let bytes = ledger.rewrite();
            self.journal = Some(JournalFile::replace(&self.place, &bytes, true)?);
        }
        Ok(Arc::clone(&self.part))
    }

    /// The bytes of `claim` are written: to be recorded when that is due. `now` as in the transfer.
    ///
    /// # Errors
    /// As [`Self::tick`].
    pub(crate) fn record(&mut self, claim: Claim, now: Duration) -> Result<(), Failure> {
        if self.ledger.is_some() {
            self.check_length()?;
        }
        let Some(ledger) = &mut self.ledger else { return Ok(()) };
        ledger.wrote(claim, now);
        self.tick(now)
    }

    /// Does what is due at `now`: appends records, starts a sync in the background, marks what one
    /// covered.
    ///
    /// # Errors
    /// [`Failure::Store`]: the journal cannot be written ([`StoreOp::Journal`]), or the disk lost
    /// data ([`StoreOp::Sync`]); the part file is then worthless and its journal gone.
    pub(crate) fn tick(&mut self, now: Duration) -> Result<(), Failure> {
        let Some(ledger) = &mut self.ledger else { return Ok(()) };
        let covered = match self.syncer.poll(now) {
            None => RangeSet::new(),
            Some(Ok(covered)) => covered,
            Some(Err(errno)) => return Err(self.lost_data(errno)),
        };
        if !covered.is_empty() {
            let marks = ledger.synced(&covered);
            self.append(&marks)?;
            if let Some(journal) = &self.journal {
                self.syncer.start_marks(journal, now);
            }
        } else if ledger.is_due(now) {
            let records = ledger.take();
            self.append(&records)?;
        }
        if let Some(ledger) = &mut self.ledger {
            self.syncer.start_if_due(ledger, &self.part, &self.place, self.sync, now);
        }
        Ok(())
    }

    /// When [`Self::tick`] has something to do next, at the latest.
    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        let ledger = self.ledger.as_ref()?;
        [ledger.next_due(), self.syncer.next_due(ledger)].into_iter().flatten().min()
    }

    /// Records everything that was reported, due or not.
    ///
    /// # Errors
    /// [`Failure::Store`] with [`StoreOp::Journal`].
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        let records = self.ledger.as_mut().map(Ledger::take).unwrap_or_default();
        self.append(&records)
    }

    /// Every byte is written: cuts the part file to `total`, syncs it if asked, gives it its mode
    /// and renames it onto the target. Returns the published path.
    ///
    /// # Errors
    /// [`Failure::Store`]; the target's name is as it was. Part file and journal stay where that
    /// makes sense.
    pub(crate) fn publish(mut self, total: u64, sync: bool) -> Result<PathBuf, Failure> {
        // A failure further down can be mended and the run repeated: then this is worth knowing.
        self.flush()?;
        let size = rustix::io::retry_on_intr(|| rustix::fs::fstat(&self.part))
            .map_or(u64::MAX, |stat| stat.st_size.unsigned_abs());
        if size < total {
            return Err(self.cut_short());
        }
        if size != total {
            rustix::io::retry_on_intr(|| rustix::fs::ftruncate(&self.part, total))
                .map_err(|e| store_failure(StoreOp::Truncate, &self.place.part(), e))?;
        }
        match &self.validator {
            Some(of) => finished::write(&self.part, &self.identity, of, (sync, &self.epoch)),
            None => finished::erase(&self.part),
        }
        if let Some(Err(errno)) = self.syncer.finish(sync) {
            return Err(self.lost_data(errno));
        }
        if sync && let Err(errno) = rustix::io::retry_on_intr(|| rustix::fs::fsync(&self.part)) {
            return Err(self.lost_data(errno));
        }
        publish::publish(&self.place, &self.part, &self.stat, self.replace, sync)?;
        self.journal = None;
        side::remove(&self.place, &self.place.journal_name());
        Ok(self.place.target())
    }

    /// The file that has the target's name is what there is: takes part file and journal away, and
    /// makes that file last when `sync`. Returns its path.
    ///
    /// # Errors
    /// [`Failure::Store`] with [`StoreOp::Sync`].
    pub(crate) fn keep(mut self, sync: bool) -> Result<PathBuf, Failure> {
        let _ = self.syncer.finish(false);
        self.remove_files();
        if sync {
            finished::sync(&self.place)?;
        }
        Ok(self.place.target())
    }

    /// The transfer failed: keeps part file and journal for a later resume, or removes them. What
    /// cannot be resumed is removed either way; what was found and never touched stays.
    pub(crate) fn abandon(mut self, keep: bool) {
        let _ = self.syncer.finish(false);
        if self.untouched {
            return;
        }
        if keep && self.journal.is_some() {
            // There is a failure to report already; whatever the journal holds is sound.
            let _ = self.flush();
            if let Some(ledger) = &mut self.ledger
                && let Some(seal) = seal::set(&self.part)
            {
                let records = ledger.seal(seal);
                let _ = self.append(&records);
            }
        } else {
            self.remove_files();
        }
    }

    /// The final path.
    pub(crate) fn target(&self) -> PathBuf {
        self.place.target()
    }

    /// The part file's path, for messages.
    pub(crate) fn part_path(&self) -> PathBuf {
        self.place.part()
    }

    /// What was found sound by reading it, the next run need not read, should this one end before
    /// it has changed anything: servers may be out of reach for long.
    fn spare_the_next(&self, state: &Resumable) {
        let Some(seal) = seal::set(&self.part) else { return };
        let header = Header { epoch: self.epoch.clone(), ..state.header.clone() };
        let mut ledger = Ledger::new(header, state.claims.clone(), state.synced.clone());
        let mut bytes = ledger.rewrite();
        bytes.extend(ledger.seal(seal));
        // The journal that is there says the same, only less.
        let _ = JournalFile::replace(&self.place, &bytes, !state.synced.is_empty());
    }

    fn search(&self) -> Search<'_> {
        let Self { place, part, stat, epoch, identity, .. } = self;
        Search { place, part, stat, epoch, identity }
    }

    /// An empty part file and no journal, in this order: the journal that speaks of the old bytes
    /// is gone for good before they are.
    fn start_over(&mut self) -> Result<(), Failure> {
        if std::mem::take(&mut self.stale_journal) {
            side::discard_journal(&self.place);
        }
        self.untouched = false;
        rustix::io::retry_on_intr(|| rustix::fs::ftruncate(&self.part, 0))
            .map_err(|e| store_failure(StoreOp::Truncate, &self.place.part(), e))
    }

    /// Appends records; a journal that cannot be appended to is closed, sound as it is.
    fn append(&mut self, records: &[u8]) -> Result<(), Failure> {
        let (Some(journal), Some(ledger)) = (&mut self.journal, &mut self.ledger) else {
            return Ok(());
        };
        let result = if records.is_empty() {
            Ok(())
        } else if ledger.is_bloated() {
            JournalFile::replace(&self.place, &ledger.rewrite(), true).map(|new| *journal = new)
        } else {
            journal
                .append(records)
                .map_err(|e| store_failure(StoreOp::Journal, &self.place.target(), e))
        };
        if result.is_err() {
            self.journal = None;
            self.ledger = None;
        }
        result
    }

    /// The part file has had its full length since [`Self::prepare`]. If it is shorter, somebody
    /// has cut it, and later writes put a hole where bytes were; once the last byte is written
    /// nothing would tell.
    fn check_length(&mut self) -> Result<(), Failure> {
        let Some(total) = self.ledger.as_ref().and_then(Ledger::total) else { return Ok(()) };
        match rustix::io::retry_on_intr(|| rustix::fs::fstat(&self.part)) {
            Ok(stat) if stat.st_size.unsigned_abs() < total => Err(self.cut_short()),
            // What cannot be asked for is no reason to give up.
            _ => Ok(()),
        }
    }

    fn cut_short(&mut self) -> Failure {
        side::discard_journal(&self.place);
        self.journal = None;
        self.ledger = None;
        let why = "somebody cut the file short while it was written";
        store_failure_words(StoreOp::Write, &self.place.part(), why)
    }

    /// The kernel reports a failed write-back once, and drops the pages: nothing in the part file
    /// can be believed after that.
    fn lost_data(&mut self, errno: Errno) -> Failure {
        side::discard_journal(&self.place);
        self.journal = None;
        self.ledger = None;
        store_failure(StoreOp::Sync, &self.place.part(), errno)
    }

    /// Removes what is ours, and only that.
    fn remove_files(&self) {
        side::discard_journal(&self.place);
        if side::is_same(&self.place, &self.stat) {
            side::remove(&self.place, &self.place.part_name());
        }
    }
}

#[cfg(test)]
mod tests;
