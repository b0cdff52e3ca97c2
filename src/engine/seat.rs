//! What one transfer has on this side of the wire: its files, its sink, its digest, and what the
//! observer was told of it.

use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::io::Errno;
use url::Url;

use crate::{
    event::{Counter, Event, Phase},
    files::{
        Wants,
        follow::{Follower, Stopper},
        hasher::Computed,
        name,
        output::{Output, inside},
        sink::{self, Sink},
        store::{Store, Wanted, store_failure},
    },
    http::{self, field::Validators},
    options::Digest,
    orders::{Activity, Failure, Found, Route, StoreEvent, StoreOp, View},
    range::RangeSet,
};

/// One transfer's side of the files.
pub(crate) struct Seat {
    output: Option<Output>,
    wants: Wants,
    url: String,
    sink: Option<Sink>,
    /// Bytes that are in place.
    done: RangeSet,
    /// From the journal, until the part file is prepared.
    held: RangeSet,
    follower: Option<Follower>,
    finishing: Option<Finishing>,
    /// Digests of the file that is there already.
    existing: Vec<Computed>,
    counter: Counter,
    shown: Shown,
    /// When the first and the last bytes were written.
    flowed: Option<(Duration, Duration)>,
    /// What the observer should know besides.
    notes: Vec<String>,
    /// What the finished transfer reports.
    pub(crate) path: Option<PathBuf>,
    pub(crate) computed: Vec<Computed>,
}

/// The thread that hashes the rest, syncs and publishes.
struct Finishing {
    thread: JoinHandle<(Option<Output>, Vec<Computed>, Option<PathBuf>)>,
    stopper: Option<Stopper>,
}

/// What the observer knows.
#[derive(Default)]
struct Shown {
    activity: Option<Activity>,
    discovered: bool,
    bytes: u64,
    connections: usize,
}

impl Seat {
    pub(crate) fn new(
        url: &Url,
        output: Output,
        held: RangeSet,
        existing: Vec<Computed>,
        wants: Wants,
        counter: Counter,
    ) -> Self {
        Self {
            output: Some(output),
            wants,
            url: http::redact(url),
            sink: None,
            done: RangeSet::new(),
            held,
            follower: None,
            finishing: None,
            existing,
            counter,
            shown: Shown::default(),
            flowed: None,
            notes: Vec::new(),
            path: None,
            computed: Vec::new(),
        }
    }

    /// Where bodies go, once that is ready.
    pub(crate) fn sink(&self) -> Option<Sink> {
        self.sink.clone()
    }

    /// Makes the output ready. `Some`: it is not ready yet, because the name is known only now, and
    /// this is there under it.
    ///
    /// # Errors
    /// The part file cannot be made, or a stream that has taken bytes would have to start over.
    pub(crate) fn prepare(
        &mut self,
        total: Option<u64>,
        validators: &Validators,
        resume: bool,
        view: &View,
    ) -> Result<Option<Found>, Failure> {
        if let Some(found) = self.name(view)? {
            return Ok(Some(found));
        }
        self.wants.stated = view.stated.as_ref().map(Digest::from_stated);
        self.follower = None;
        let started_over = !self.done.is_empty();
        match &mut self.output {
            Some(Output::File(store)) => {
                let file = store.prepare(total, validators, resume)?;
                self.done = if resume { self.held.clone() } else { RangeSet::new() };
                self.path = Some(store.target());
                self.sink = Some(Sink::file(store.part_path(), Arc::clone(&file)));
                let algorithms = self.wants.algorithms();
                if !algorithms.is_empty() {
                    let follower = Follower::start(file, algorithms);
                    self.follower = Some(follower.map_err(|e| no_thread(StoreOp::Read, &e))?);
                }
            }
            Some(Output::Stream(_)) if started_over => {
                let reason = "bytes were handed on already and the server cannot resume";
                return Err(Failure::CannotResume { reason: reason.to_owned() });
            }
            Some(Output::Stream(sink)) => {
                sink.hash(&self.wants.algorithms());
                self.sink = Some(sink.clone());
            }
            Some(Output::Named { .. }) | None => {
                return Err(Failure::Internal("a part file without a name"));
            }
        }
        self.counter.set(self.done.len());
        self.follow();
        Ok(None)
    }

    /// Decides the name that the first answer tells, and looks at what is there.
    fn name(&mut self, view: &View) -> Result<Option<Found>, Failure> {
        let Some(Output::Named { directory, url, resume, force }) = &self.output else {
            return Ok(None);
        };
        let proposed = view.disposition.as_deref().and_then(http::field::disposition_filename);
        let proposed = proposed.as_deref().and_then(name::from_disposition);
        let target = inside(directory, proposed.unwrap_or_else(|| name::from_url(url)));
        let (replace, resume, sync) = (false, *resume, self.wants.sync);
        let opened = Store::open(Wanted { target: target.clone(), replace, url, resume, sync })?;
        // What was not hashed cannot be said to have a digest.
        let usable = !force && self.wants.algorithms().is_empty();
        if opened.finished.is_some() && !usable {
            opened.store.abandon(true);
            return Err(store_failure(StoreOp::Create, &target, Errno::EXIST));
        }
        self.held = opened.held.as_ref().map(|held| held.done.clone()).unwrap_or_default();
        self.notes.extend(opened.fresh.map(|why| format!("starting from nothing: {why}")));
        self.output = Some(Output::File(Box::new(opened.store)));
        Ok(opened.held.map(Found::Part).or_else(|| opened.finished.map(Found::File)))
    }

    /// Bytes are in the file: counts, records and hashes them.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub(crate) fn wrote(&mut self, range: Range<u64>, now: Duration) -> Result<(), Failure> {
        let (first, _) = self.flowed.unwrap_or((now, now));
        self.flowed = Some((first, now));
        self.done.insert(range.clone());
        self.counter.set(self.done.len());
        self.follow();
        match &mut self.output {
            Some(Output::File(store)) => store.record(range, now),
            _ => Ok(()),
        }
    }

    fn follow(&self) {
        if let Some(follower) = &self.follower {
            follower.advance(self.done.frontier(0));
        }
    }

    /// Every byte is there: hashes the rest, syncs and publishes on a thread of its own, which
    /// calls `report` in the end.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(crate) fn publish(
        &mut self,
        total: u64,
        report: impl FnOnce(StoreEvent) + Send + 'static,
    ) -> Result<(), Failure> {
        self.sink = None;
        let output = self.output.take();
        let follower = self.follower.take();
        let stopper = follower.as_ref().map(Follower::stopper);
        let wants = self.wants.clone();
        let spawned = thread::Builder::new().name("uget-publish".to_owned()).spawn(move || {
            let mut finish = Finish { output, wants, computed: Vec::new(), path: None };
            let result = finish.run(total, follower);
            report(StoreEvent::Published(result));
            (finish.output, finish.computed, finish.path)
        });
        let thread = spawned.map_err(|e| no_thread(StoreOp::Publish, &e))?;
        self.finishing = Some(Finishing { thread, stopper });
        Ok(())
    }

    /// The file that is there already is what there is.
    ///
    /// # Errors
    /// It cannot be synced.
    pub(crate) fn keep(&mut self) -> Result<(), Failure> {
        let Some(Output::File(store)) = self.output.take() else {
            return Err(Failure::Internal("what was never looked at is up to date"));
        };
        self.path = Some(store.keep(self.wants.sync)?);
        self.computed = std::mem::take(&mut self.existing);
        Ok(())
    }

    /// The thread that publishes has reported: takes back what it had.
    pub(crate) fn finished(&mut self) {
        if let Some(finishing) = self.finishing.take()
            && let Ok((output, computed, path)) = finishing.thread.join()
        {
            self.output = output;
            self.computed = computed;
            self.path = path.or_else(|| self.path.take());
        }
    }

    /// The transfer failed.
    pub(crate) fn abandon(&mut self, keep: bool) {
        self.sink = None;
        self.follower = None;
        if let Some(stopper) = self.finishing.as_ref().and_then(|f| f.stopper.as_ref()) {
            stopper.stop();
        }
        if let Some(Output::File(store)) = self.output.take() {
            store.abandon(keep);
        }
    }

    /// What the observer does not know yet.
    pub(crate) fn show(&mut self, view: &View, now: Duration) -> Vec<Event> {
        let mut events: Vec<_> = self.notes.drain(..).map(Event::Note).collect();
        let discovered = matches!(view.activity, Activity::Downloading | Activity::Publishing);
        if discovered && !self.shown.discovered {
            self.shown.discovered = true;
            events.push(Event::Discovered {
                final_url: http::redact(&view.final_url),
                total: view.total,
                // What is kept as it is was not resumed.
                resumed: if view.route == Route::UpToDate { 0 } else { view.resumed },
                path: self.path.clone(),
                connections: view.planned,
            });
        }
        let over = view.activity == Activity::Done;
        if !over && self.shown.activity.as_ref() != Some(&view.activity) {
            self.shown.activity = Some(view.activity.clone());
            events.push(Event::Phase(self.phase(&view.activity, now)));
        }
        let bytes = self.counter.bytes();
        if bytes != self.shown.bytes || view.connections != self.shown.connections {
            self.shown.bytes = bytes;
            self.shown.connections = view.connections;
            let (total, connections) = (view.total, view.connections);
            events.push(Event::Progress { bytes, total, connections });
        }
        events
    }

    fn phase(&self, activity: &Activity, now: Duration) -> Phase {
        match activity {
            Activity::Connecting => Phase::Connecting,
            Activity::Probing => Phase::Probing,
            Activity::Allocating { size } => Phase::Allocating { size: *size },
            Activity::Downloading => Phase::Downloading,
            Activity::Waiting { until, why } => {
                Phase::Waiting { delay: until.saturating_sub(now), why: why.to_string() }
            }
            Activity::Publishing if !self.wants.algorithms().is_empty() => Phase::Verifying,
            Activity::Publishing | Activity::Done => Phase::Publishing,
        }
    }

    /// The URL asked for, redacted.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A digest was given or stated, and it matched (or there would be no report).
    pub(crate) fn verified(&self) -> bool {
        self.wants.expected().is_some() && !self.computed.is_empty()
    }

    /// From the first byte to the last.
    pub(crate) fn transfer_elapsed(&self) -> Duration {
        match self.flowed {
            Some((first, last)) => last.saturating_sub(first),
            None => Duration::ZERO,
        }
    }

    /// Does for the store what is due.
    ///
    /// # Errors
    /// The journal cannot be written, or the disk lost data.
    pub(crate) fn tick(&mut self, now: Duration) -> Result<(), Failure> {
        match &mut self.output {
            Some(Output::File(store)) => store.tick(now),
            _ => Ok(()),
        }
    }

    /// When [`Self::tick`] has something to do next.
    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        match &self.output {
            Some(Output::File(store)) => store.next_timeout(),
            _ => None,
        }
    }
}

/// What the publishing thread works on.
struct Finish {
    output: Option<Output>,
    wants: Wants,
    computed: Vec<Computed>,
    path: Option<PathBuf>,
}

impl Finish {
    fn run(&mut self, total: u64, follower: Option<Follower>) -> Result<(), Failure> {
        match (&self.output, follower) {
            (Some(Output::File(store)), Some(follower)) => {
                let path = store.part_path();
                let computed = follower.finish(total);
                self.computed = computed.map_err(|e| sink::failure(StoreOp::Read, &path, &e))?;
            }
            (Some(Output::Stream(sink)), _) => self.computed = sink.computed(),
            _ => {}
        }
        self.verify()?;
        match self.output.take() {
            Some(Output::File(store)) => self.path = Some(store.publish(total, self.wants.sync)?),
            other => self.output = other,
        }
        Ok(())
    }

    fn verify(&self) -> Result<(), Failure> {
        if let Some(expected) = self.wants.expected() {
            let computed = self.computed.iter().find(|(of, _)| *of == expected.algorithm);
            let actual = computed.map(|(_, hex)| hex.clone()).unwrap_or_default();
            if actual != expected.hex {
                return Err(Failure::Digest {
                    algorithm: expected.algorithm.name(),
                    expected: expected.hex.clone(),
                    actual,
                });
            }
        }
        Ok(())
    }
}

fn no_thread(op: StoreOp, error: &io::Error) -> Failure {
    sink::failure(op, Path::new("a thread"), error)
}
