//! The facade: build a [`Download`], run it, get a [`Report`].

mod address;
mod canceller;
mod concluded;
mod descriptors;
mod from_source;
mod lists;
mod outgoing;
pub(crate) mod reader;
mod unpacking;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeBounds,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use url::Url;

use crate::{
    credentials::{private_fields, url_fields},
    engine::{
        Engine, Inbox, Message,
        budget::{self, Budget},
        clerk::Clerk,
        coordinator::Coordinator,
        delivery::Delivery,
        feed::Feed,
        plain::Decoding,
        shelf::{Shelf, no_thread},
        tap::Tap,
    },
    error::{Error, ErrorKind, outcome},
    event::{Counter, Event, Observer},
    files::{
        checks::Checks,
        output::{self, Flow, Ready, Start},
        patience::Patience,
        reread::{self, ReadBack},
    },
    fleet::{self, Fleet, TransferId},
    http::{self, request::Field},
    link::{Limits, SLACK},
    net::{Connector, resolve::split_zone},
    options::{Connections, EngineChoice, Fsync, Options, RangeSpec},
    orders::{Failure, Policy, StoreOp},
    report::Report,
    source::Hub,
    stream::Shape,
    transfer::Transfer,
    unpack::Gauge,
};

use self::{
    concluded::{conclude, up_to_date},
    descriptors::within_descriptors,
    outgoing::Outgoing,
};

pub use self::{address::http_url, canceller::Canceller};

/// One download.
pub struct Download {
    url: Url,
    options: Options,
    counter: Counter,
    gauge: Gauge,
    inbox: Inbox<Message>,
    canceller: Canceller,
    read_back: ReadBack,
    source: Option<Hub>,
}

impl Download {
    /// A download of `url`. Nothing happens before [`Self::run`].
    ///
    /// # Errors
    /// [`ErrorKind::BadUrl`] for anything that is not an absolute http or https URL with a host.
    pub fn new(url: &str, options: Options) -> Result<Self, Error> {
        let (url, zone) = split_zone(url);
        let url = http_url(&url)?;
        let mut options = options;
        if zone.is_some() {
            options.network.zone = zone;
        }
        Ok(Self::of(url, options, None))
    }

    fn of(url: Url, options: Options, source: Option<Hub>) -> Self {
        let (counter, gauge, inbox) = <(_, _, Inbox<Message>)>::default();
        let canceller = Canceller::new(&inbox);
        Self { url, options, counter, gauge, inbox, canceller, read_back: reread::pread, source }
    }

    /// The progress counter, readable from any thread while the download runs.
    #[must_use]
    pub fn counter(&self) -> Counter {
        self.counter.clone()
    }

    /// How far unpacking is, readable from any thread while the download runs.
    #[must_use]
    pub fn gauge(&self) -> Gauge {
        self.gauge.clone()
    }

    /// What stops it from another thread.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// Downloads these bytes of the object alone, half-open as ranges are: `0..500`, `500..`. The
    /// report, digests and progress are of the slice; where the object ends earlier, so does it.
    /// ([`RangeSpec::Suffix`] in [`Options::range`] counts from the end.)
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] where there is nothing in `range`.
    pub fn range(mut self, range: impl RangeBounds<u64>) -> Result<Self, Error> {
        let none = || Error::new(ErrorKind::Usage, "a range without a byte in it");
        self.options.range = Some(RangeSpec::of(range).ok_or_else(none)?);
        Ok(self)
    }

    /// Has bytes that are on disk already read for digests in this way, instead of into a buffer.
    #[must_use]
    pub fn read_back(self, read_back: ReadBack) -> Self {
        Self { read_back, ..self }
    }

    /// Downloads, and returns when the name is published or the download failed.
    ///
    /// # Errors
    /// Whatever went wrong first.
    pub fn run(mut self, observer: &mut dyn Observer) -> Result<Report, Error> {
        if self.options.is_contradictory() {
            let why = "coded content is neither unpacked nor cut";
            return Err(Error::new(ErrorKind::Usage, why));
        }
        let started = Instant::now();
        observer.on(&Event::Started { url: http::redact(&self.url) });
        self.learn(started, observer)?;
        let connector = self.connector()?;
        let checks = self.checks();
        let patience = Patience::new(self.canceller.signal(), self.options.max_time);
        let start = output::ready(&self.url, &self.options, &checks, &patience, observer);
        let mut ready = match start.map_err(|failure| outcome::early(&failure))? {
            Start::Download(ready) => ready,
            Start::UpToDate { path, existing } => {
                return Ok(up_to_date(&self.url, &self.options, &checks, path, existing, started));
            }
        };
        for note in &ready.notes {
            observer.on(&Event::Note(note.clone()));
        }
        let means = match Means::of(&self.url, &self.options, &ready, &self.inbox, observer) {
            Ok(means) => means,
            Err(error) => {
                ready.abandon();
                return Err(error);
            }
        };
        if let Some(trust) = connector.trust_note(&self.url) {
            observer.on(&Event::Note(trust));
        }
        let unpacked =
            ready.output.is_unpacked().then(|| (self.gauge(), self.options.target.clone()));
        let outgoing = match ready.output.flow() {
            Some(flow) => {
                let (rules, gauge) = (self.options.unpack.clone(), self.gauge());
                let consumer = match flow {
                    Flow::Plain(to) if self.options.compressed => {
                        Box::new(Decoding::new(to, self.options.max_size))
                    }
                    flow => unpacking::consumer(flow, rules, gauge, means.decoding, checks.sync),
                };
                let (tap, feed) = self.stream(&means, &checks);
                Some(Outgoing::consumed(tap, feed, consumer, &self.inbox)?)
            }
            None => None,
        };
        let Ready { output, held, computed, .. } = ready;
        let done = held.as_ref().map(|held| held.done.clone()).unwrap_or_default();
        let hashed = !checks.algorithms().is_empty();
        let tap = outgoing.as_ref().map(Outgoing::tap);
        let delivery = Delivery::new(&self.url, tap.clone(), hashed, self.counter.clone());
        let shelf = Shelf::new(output, tap, done, computed, checks);
        let mut shelf = shelf.dump_header(self.options.dump_header.clone());
        if self.options.compressed {
            shelf = shelf.decode(self.options.max_size);
        }
        let transfer = Transfer::new(self.url.clone(), means.policy.clone(), held, Duration::ZERO);
        let around = (connector, started, observer);
        let report = self.go(means, transfer, (delivery, shelf), outgoing, around)?;
        Ok(unpacking::report(report, unpacked))
    }

    /// The two ends of a stream. There is one transfer, and it has the first number.
    fn stream(&self, means: &Means, checks: &Checks) -> (Tap, Feed) {
        Feed::new(means.shape, checks.clone(), TransferId(0), self.inbox.clone())
    }

    fn connector(&self) -> Result<Connector, Error> {
        let Options { network, tls, connect_timeout, .. } = &self.options;
        let connector = Connector::new(network, tls, *connect_timeout);
        let connector = connector.map_err(|failure| outcome::early(&failure))?;
        Ok(connector.with_source(self.source.clone()))
    }

    fn checks(&self) -> Checks {
        let options = &self.options;
        Checks {
            demanded: options.digests.clone(),
            stated: Vec::new(),
            printed: options.print_digests.clone(),
            sync: match options.fsync {
                Fsync::Auto => !options.digests.is_empty(),
                Fsync::Always => true,
                Fsync::Never => false,
            },
            read_back: self.read_back,
        }
    }

    /// Everything is there that a download takes.
    fn go(
        self,
        means: Means,
        transfer: Transfer,
        (delivery, shelf): (Delivery, Shelf),
        outgoing: Option<Outgoing>,
        (connector, started, observer): (Connector, Instant, &mut dyn Observer),
    ) -> Result<Report, Error> {
        let inbox = self.inbox;
        let Means { wanted, limits, engine, .. } = means;
        let mut fleet = Fleet::new(fleet::Limits { total: wanted, per_host: wanted });
        let id = fleet.add(transfer);
        let clerk = Clerk::start(BTreeMap::from([(id, shelf)]), started, &inbox);
        let clerk = clerk.map_err(|error| early(no_thread(StoreOp::Create, &error)))?;
        let mut coordinator = Coordinator {
            fleet,
            engine,
            connector: Arc::new(connector),
            limits,
            inbox,
            started,
            observer,
            deliveries: BTreeMap::from([(id, delivery)]),
            clerk,
            changed: BTreeSet::new(),
            handles: BTreeMap::new(),
            cancelled: None,
            ending: None,
        };
        coordinator.run();
        if let Some(outgoing) = outgoing {
            let waited = coordinator.ending.map_or(Duration::ZERO, |since| since.elapsed());
            let cancelled = coordinator.cancelled.is_some();
            outgoing.finish(if cancelled { Duration::ZERO } else { DRAIN.saturating_sub(waited) });
            outgoing.clear(cancelled);
        }
        let words = coordinator.connector.finish(PARTING);
        conclude(&mut coordinator, id).map_err(|error| outcome::with_words(error, words))
    }
}

fn early(failure: Failure) -> Error {
    outcome::early(&failure)
}

/// What a download works with, once it is known where the bytes go.
struct Means {
    policy: Policy,
    /// The most connections.
    wanted: usize,
    limits: Limits,
    engine: Engine,
    /// The window of a stream.
    shape: Shape,
    /// What a decoder may use, in bytes.
    decoding: u64,
}

impl Means {
    fn of(
        url: &Url,
        options: &Options,
        ready: &output::Ready,
        inbox: &Inbox<Message>,
        observer: &mut dyn Observer,
    ) -> Result<Self, Error> {
        let asked = options.connections;
        let granted = within_descriptors(asked, url);
        if let (Connections::Exactly(_), Connections::Exactly(count)) = (asked, granted)
            && asked != granted
        {
            let why = "too many connections asked for: the limit on open files allows";
            observer.on(&Event::Warning(format!("{why} {count}")));
        }
        let mut policy =
            Policy { finished: ready.finished.clone(), ..policy(url, options, granted)? };
        let (Connections::Auto { max: wanted } | Connections::Exactly(wanted)) = policy.connections;
        let mut write = write_size(wanted);
        let memory = options.memory.unwrap_or_else(budget::memory_by_default);
        let unpacked = ready.output.is_unpacked();
        let (memory, decoding) = if unpacked { budget::with_decoder(memory) } else { (memory, 0) };
        let budget = Budget::of(memory, wanted, SLACK);
        if matches!(ready.output, output::Output::Stream { .. }) {
            write = budget.write;
            let window = budget.shape.window();
            policy.window = Some(window);
            policy.first_part = policy.first_part.min(window / 4);
            policy.connections = within_memory(granted, budget.connections, observer);
        }
        let (Connections::Auto { max: wanted } | Connections::Exactly(wanted)) = policy.connections;
        let sums = policy.window.is_none();
        let limits = Limits { stall: options.stall_timeout, write, sums };
        let engine = engine(options.engine, wanted, inbox, observer)?;
        Ok(Self { policy, wanted, limits, engine, shape: budget.shape, decoding })
    }
}

/// As many connections as the memory of a stream has buffers for.
fn within_memory(
    connections: Connections,
    most: usize,
    observer: &mut dyn Observer,
) -> Connections {
    match connections {
        Connections::Auto { max } => Connections::Auto { max: max.min(most) },
        Connections::Exactly(count) if count > most => {
            let why = "too many connections asked for: the memory for a stream (--memory) allows";
            observer.on(&Event::Warning(format!("{why} {most}")));
            Connections::Exactly(most)
        }
        enough => enough,
    }
}

/// What the options mean to the state machine.
fn policy(url: &Url, options: &Options, connections: Connections) -> Result<Policy, Error> {
    let defaults = Policy::default();
    let mut fields = Vec::new();
    if let Some(agent) = &options.user_agent {
        let field = Field::new("User-Agent", agent.as_bytes());
        fields.push(field.map_err(|error| Error::new(ErrorKind::Usage, error.to_string()))?);
    }
    Ok(Policy {
        connections,
        part_size: options.part_size,
        first_part: options.part_size.unwrap_or(defaults.first_part),
        min_split: options.min_split.unwrap_or(defaults.min_split),
        slice: options.slice(),
        compressed: options.compressed,
        pin: options.pin,
        digest: !options.digests.is_empty(),
        retries: options.retries,
        retry_after_max: options.retry_after_max,
        retry_max_time: options.retry_max_time,
        retry_all: options.retry_all_errors,
        restart_on_change: options.restart_on_change,
        max_time: options.max_time,
        // Of coded content what is decoded is counted.
        max_size: options.max_size.filter(|_| !options.compressed),
        max_redirects: options.max_redirects,
        allow_downgrade: options.allow_downgrade,
        fields,
        private_fields: private_fields(url, options)?,
        mirrors: options.mirrors.clone(),
        mirror_fields: options.mirrors.iter().map(url_fields).collect::<Result<_, _>>()?,
        clock: our_clock(),
        seed: seed(),
        keep_part: options.resume,
        ..defaults
    })
}

/// Seconds since 1970, by our own clock.
fn our_clock() -> Option<http::field::HttpDate> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(now.as_secs()).ok().map(http::field::HttpDate)
}

/// The jitter of delays differs from run to run.
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}

/// How much a connection writes at a time: much for few connections, within [`BUFFERS`] for many.
fn write_size(connections: usize) -> usize {
    (BUFFERS / connections.max(1)).clamp(WRITE_MIN, WRITE_MAX) & !(PAGE - 1)
}

fn engine(
    choice: EngineChoice,
    most: usize,
    inbox: &Inbox<Message>,
    observer: &mut dyn Observer,
) -> Result<Engine, Error> {
    let (engine, note) = Engine::detect(choice, most, inbox).map_err(|why| match choice {
        EngineChoice::Uring => {
            Error::new(ErrorKind::Usage, why).with_hint("--engine auto falls back to epoll")
        }
        // Nothing is wrong with what was asked for: the system has no thread or descriptor left.
        EngineChoice::Auto | EngineChoice::Epoll => Error::new(ErrorKind::Connect, why)
            .with_hint("limits of the system are in the way: ulimit -n, ulimit -u"),
    })?;
    note.into_iter().for_each(|note| observer.on(&Event::Note(note)));
    observer.on(&Event::Note(format!("engine: {}", engine.name())));
    Ok(engine)
}

/// How long the consumer of a stream that has failed may take what is there.
const DRAIN: Duration = Duration::from_secs(1);
/// All buffers of a download together, in bytes.
const BUFFERS: usize = 16 << 20;
/// The least that a connection writes at a time.
const WRITE_MIN: usize = 64 << 10;
/// The most that a connection writes at a time.
const WRITE_MAX: usize = 1 << 20;
const PAGE: usize = 4096;
/// How long the end of a download waits until what a source has started is over.
const PARTING: Duration = Duration::from_secs(1);
