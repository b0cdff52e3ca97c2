//! One transfer's place on the disk, or its stream: prepared, recorded, hashed, published. All of
//! it blocks, and none of it runs on the coordinator.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustix::io::Errno;

use super::tap::Tap;
use crate::{
    files::{
        checks::{Checked, Checks},
        content::{Content, Plain, Shared},
        dump::Dump,
        follow::Follower,
        hasher::Computed,
        name,
        output::{Output, inside},
        reread::ReadBack,
        sink::{self, Sink},
        store::{Store, Wanted, store_failure},
    },
    http::{
        self,
        field::{Coding, Validators},
        response::Head,
    },
    journal::Claim,
    options::{Algorithm, Digest, HeaderDump},
    orders::{Account, Extent, Failure, Found, StoreOp},
    range::RangeSet,
};

/// Where the bytes of one transfer go, and what is wanted of them.
pub(crate) struct Shelf {
    output: Option<Output>,
    checks: Checks,
    /// From the journal, until the part file is prepared.
    held: RangeSet,
    /// Digests of the file that is there already.
    existing: Vec<Computed>,
    /// Its end of the stream, if it is one.
    tap: Option<Tap>,
    dump: Option<Dump>,
    /// It is decoded, at most so many bytes of it.
    decodes: Option<Limit>,
    /// What is on its way.
    content: Option<Shared>,
}

/// What the first answer has told.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    extent: Option<Extent>,
    validators: Validators,
    resume: bool,
    disposition: Option<Vec<u8>>,
    stated: Vec<Digest>,
    head: Option<Arc<Head>>,
    coding: Coding,
}

/// What is ready to be written.
pub(crate) struct Prepared {
    pub(super) sink: Sink,
    /// What is in place already.
    pub(super) done: RangeSet,
    pub(super) path: Option<PathBuf>,
    pub(super) follower: Option<Follower>,
    /// It will be hashed.
    pub(super) hashed: bool,
}

/// Either it is ready, or the name is known only now and this is there under it.
pub(crate) enum Start {
    Prepared(Prepared),
    Found(Found),
}

/// What became of it.
#[derive(Default)]
pub(crate) struct Published {
    pub(crate) path: Option<PathBuf>,
    pub(crate) digests: Vec<Checked>,
    /// How long it is, where it is not what was transferred.
    pub(crate) size: Option<u64>,
}

/// The most bytes, if there is a limit.
#[derive(Clone, Copy)]
struct Limit(Option<u64>);

impl Plan {
    pub(super) fn new(
        extent: Option<Extent>,
        validators: Validators,
        resume: bool,
        account: &Account,
    ) -> Self {
        let stated = account.stated.as_ref().map(Digest::from_stated).unwrap_or_default();
        let coding = account.content_encoding.as_deref().and_then(Coding::named);
        let coding = coding.unwrap_or_default();
        let (disposition, head) = (account.disposition.clone(), account.head.clone());
        Self { extent, validators, resume, disposition, stated, head, coding }
    }
}

impl Prepared {
    /// A part file, which is hashed from its beginning.
    fn file(
        store: &Store,
        file: Arc<File>,
        done: RangeSet,
        (algorithms, read_back): (Vec<Algorithm>, ReadBack),
    ) -> Result<Self, Failure> {
        let sink = Sink::file(store.part_path(), Arc::clone(&file));
        let hashed = !algorithms.is_empty();
        let follower = hashed.then(|| Follower::start(file, algorithms, read_back)).transpose();
        let follower = follower.map_err(|e| no_thread(StoreOp::Read, &e))?;
        Ok(Self { sink, done, path: Some(store.target()), follower, hashed })
    }
}

impl Shelf {
    pub(crate) fn new(
        output: Output,
        tap: Option<Tap>,
        held: RangeSet,
        existing: Vec<Computed>,
        checks: Checks,
    ) -> Self {
        Self {
            output: Some(output),
            checks,
            held,
            existing,
            tap,
            dump: None,
            decodes: None,
            content: None,
        }
    }

    /// The head of the answer that is accepted goes there.
    pub(crate) fn dump_header(self, to: Option<HeaderDump>) -> Self {
        Self { dump: to.map(Dump::new), ..self }
    }

    /// What comes is decoded; the most that may come of it.
    pub(crate) fn decode(self, most: Option<u64>) -> Self {
        Self { decodes: Some(Limit(most)), ..self }
    }

    /// Makes the output ready. `note` hears what is worth telling.
    ///
    /// # Errors
    /// The part file cannot be made, or a stream that has taken bytes would have to start over.
    pub(super) fn prepare(
        &mut self,
        plan: &Plan,
        note: impl FnOnce(String),
    ) -> Result<Start, Failure> {
        if let Some(found) = self.name(plan, note)? {
            return Ok(Start::Found(found));
        }
        self.dump(plan.head.as_ref())?;
        self.checks.stated.clone_from(&plan.stated);
        let algorithms = self.checks.algorithms();
        let hashed = !algorithms.is_empty();
        let prepared = match &mut self.output {
            Some(Output::File(store)) if self.decodes.is_some() => {
                let file = store.prepare(None, &plan.validators, false)?;
                let path = store.part_path();
                let most = self.decodes.and_then(|Limit(most)| most);
                let plain = Plain::file(path.clone(), file, most, &algorithms);
                let content = Shared::new(Content::new(plan.coding, plain)?);
                self.content = Some(content.clone());
                let (sink, path) = (Sink::coded(path, content), Some(store.target()));
                Prepared { sink, done: RangeSet::new(), path, follower: None, hashed }
            }
            Some(Output::File(store)) => {
                let file = store.prepare(plan.extent.as_ref(), &plan.validators, plan.resume)?;
                let done = if plan.resume { self.held.clone() } else { RangeSet::new() };
                Prepared::file(store, file, done, (algorithms, self.checks.read_back))?
            }
            Some(Output::Stream { path, .. }) => {
                let sink = self.tap.as_ref().and_then(|tap| tap.prepare(&plan.stated, plan.coding));
                let sink = sink.ok_or_else(|| Failure::CannotResume {
                    reason: "bytes were handed on already and the server cannot resume".to_owned(),
                })?;
                let path = path.clone();
                Prepared { sink, done: RangeSet::new(), path, follower: None, hashed }
            }
            Some(Output::Named { .. }) | None => {
                return Err(Failure::Internal("a part file without a name"));
            }
        };
        Ok(Start::Prepared(prepared))
    }

    /// What is in `lost` is not what belongs there, and will come once more; `done` is what stays.
    ///
    /// # Errors
    /// The bytes were handed on already, or the journal cannot be written.
    pub(super) fn refetch(&mut self, lost: &RangeSet, done: RangeSet) -> Result<Start, Failure> {
        let algorithms = self.checks.algorithms();
        let Some(Output::File(store)) = &mut self.output else {
            let reason = "bytes were handed on already".to_owned();
            return Err(Failure::CannotResume { reason });
        };
        let file = store.refetch(lost)?;
        Ok(Start::Prepared(Prepared::file(store, file, done, (algorithms, self.checks.read_back))?))
    }

    /// Decides the name that the first answer tells, and looks at what is there.
    fn name(&mut self, plan: &Plan, note: impl FnOnce(String)) -> Result<Option<Found>, Failure> {
        let Some(Output::Named { directory, url, slice, resume, force, patience }) = &self.output
        else {
            return Ok(None);
        };
        let proposed = plan.disposition.as_deref().and_then(http::field::disposition_filename);
        let proposed = proposed.as_deref().and_then(name::from_disposition);
        let target = inside(directory, proposed.unwrap_or_else(|| name::from_url(url)));
        let (replace, resume, sync) = (false, *resume, self.checks.sync);
        let slice = *slice;
        let wanted = Wanted { target: target.clone(), replace, url, slice, resume, sync };
        let opened = Store::open(wanted, &mut || patience.check())?;
        // What was not hashed cannot be said to have a digest.
        let usable = !force && self.checks.algorithms().is_empty();
        if opened.finished.is_some() && !usable {
            opened.store.abandon(true);
            return Err(store_failure(StoreOp::Create, &target, Errno::EXIST));
        }
        self.held = opened.held.as_ref().map(|held| held.done.clone()).unwrap_or_default();
        if let Some(text) = opened.note() {
            note(text);
        }
        self.output = Some(Output::File(Box::new(opened.store)));
        Ok(opened.held.map(Found::Part).or_else(|| opened.finished.map(Found::File)))
    }

    /// Bytes are in the file.
    ///
    /// # Errors
    /// The journal cannot be written, or the disk lost data.
    pub(super) fn wrote(&mut self, claim: Claim, now: Duration) -> Result<(), Failure> {
        self.store().map_or(Ok(()), |store| store.record(claim, now))
    }

    /// Does what is due.
    ///
    /// # Errors
    /// As [`Self::wrote`].
    pub(super) fn tick(&mut self, now: Duration) -> Result<(), Failure> {
        self.store().map_or(Ok(()), |store| store.tick(now))
    }

    /// When [`Self::tick`] has something to do next.
    pub(super) fn next_timeout(&self) -> Option<Duration> {
        match &self.output {
            Some(Output::File(store)) => store.next_timeout(),
            _ => None,
        }
    }

    /// Every byte is there: hashes the rest, syncs and publishes.
    ///
    /// # Errors
    /// The digest is another, the file cannot be read back, synced or named.
    pub(super) fn publish(
        &mut self,
        mut total: u64,
        follower: Option<Follower>,
    ) -> Result<Published, Failure> {
        let (mut computed, mut size) = (Vec::new(), None);
        if let Some(content) = self.content.take() {
            let decoded = content.finish()?;
            (total, computed, size) = (decoded.length, decoded.computed, Some(decoded.length));
        }
        if let (Some(Output::File(store)), Some(follower)) = (&self.output, follower) {
            let path = store.part_path();
            let result = follower.finish(total);
            computed = result.map_err(|e| sink::failure(StoreOp::Read, &path, &e))?;
        }
        self.checks.verify(&computed)?;
        let path = match self.output.take() {
            Some(Output::File(store)) => Some(store.publish(total, self.checks.sync)?),
            other => {
                self.output = other;
                None
            }
        };
        Ok(Published { path, digests: self.checks.checked(computed), size })
    }

    /// The file that is there already is what there is.
    ///
    /// # Errors
    /// It cannot be synced.
    pub(super) fn keep(&mut self, head: Option<&Arc<Head>>) -> Result<Published, Failure> {
        self.dump(head)?;
        let Some(Output::File(store)) = self.output.take() else {
            return Err(Failure::Internal("what was never looked at is up to date"));
        };
        let path = Some(store.keep(self.checks.sync)?);
        let existing = std::mem::take(&mut self.existing);
        Ok(Published { path, digests: self.checks.checked(existing), size: None })
    }

    /// The transfer failed.
    pub(super) fn abandon(&mut self, keep: bool) {
        if let Some(Output::File(store)) = self.output.take() {
            store.abandon(keep);
        }
    }

    fn dump(&mut self, head: Option<&Arc<Head>>) -> Result<(), Failure> {
        self.dump.as_mut().zip(head).map_or(Ok(()), |(dump, head)| dump.write(head))
    }

    fn store(&mut self) -> Option<&mut Store> {
        match &mut self.output {
            Some(Output::File(store)) => Some(store),
            _ => None,
        }
    }
}

/// The system has no thread for something.
pub(crate) fn no_thread(op: StoreOp, error: &io::Error) -> Failure {
    sink::failure(op, Path::new("a thread"), error)
}
