//! Runs the control plane: carries every command of the fleet to a worker, a store or the
//! observer, and every report back to the fleet. Nothing is decided here.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Engine,
    clerk::{Clerk, Job as FileJob},
    delivery::{Delivery, Follows},
    inbox::Inbox,
    message::{Message, Order, Reporter, Stored},
    no_thread,
    opening::{Open, Opening},
    post::{Mail, Post},
    stop::Stop,
};
use crate::{
    error::outcome,
    event::Observer,
    fleet::{Fleet, TransferId},
    http::request::TargetForm,
    journal::Claim,
    link::{Job, Limits},
    net::Connector,
    orders::{Accept, Command, Conn, ConnEvent, Failure},
};

/// The shell around a [`Fleet`].
pub(crate) struct Coordinator<'a> {
    pub(crate) fleet: Fleet,
    pub(crate) engine: Engine,
    pub(crate) connector: Arc<Connector>,
    pub(crate) limits: Limits,
    pub(crate) inbox: Inbox<Message>,
    pub(crate) started: Instant,
    pub(crate) observer: &'a mut dyn Observer,
    pub(crate) deliveries: BTreeMap<TransferId, Delivery>,
    /// Keeps their files.
    pub(crate) clerk: Clerk,
    /// Of which the observer may not know everything.
    pub(crate) changed: BTreeSet<TransferId>,
    pub(crate) handles: BTreeMap<Conn, Handle>,
    /// By which signal it is cancelled.
    pub(crate) cancelled: Option<i32>,
    /// Since when nothing is waited for but the ends of what runs.
    pub(crate) ending: Option<Instant>,
}

/// One connection as the coordinator knows it.
pub(crate) struct Handle {
    stop: Arc<Stop>,
    /// Its worker's.
    post: Post,
    /// No further order may follow.
    closed: bool,
    /// Which transfer it works for.
    serves: TransferId,
    /// It is being opened, or an attempt runs on it: a last report is still to come.
    busy: bool,
}

impl Coordinator<'_> {
    /// Runs until every transfer is over, and its files are at rest.
    pub(crate) fn run(&mut self) {
        self.changed.extend(self.deliveries.keys());
        self.carry_out();
        while !self.fleet.is_done() && !self.given_up() {
            for message in self.inbox.take(self.next_timeout()) {
                self.handle(message);
                self.carry_out();
            }
            self.handle_timeout();
            self.carry_out();
        }
        // A user who cancels waits for connections and files together as long as for either.
        let waited = self.ending.filter(|_| self.cancelled.is_some());
        let waited = waited.map_or(Duration::ZERO, |since| since.elapsed());
        self.clerk.finish(TEARDOWN.saturating_sub(waited).max(TEARDOWN / 10));
    }

    /// Carries out what the fleet commands, and tells the observer what changed.
    fn carry_out(&mut self) {
        while let Some((id, command)) = self.fleet.poll() {
            self.changed.insert(id);
            self.execute(id, command);
        }
        let now = self.started.elapsed();
        while let Some(id) = self.changed.pop_first() {
            let Some(delivery) = self.deliveries.get_mut(&id) else { continue };
            let transfer = self.fleet.transfer(id);
            for event in delivery.news(&transfer.view(), || transfer.account(), now) {
                self.observer.on(&event);
            }
        }
    }

    /// It was cancelled or has failed, and what has not reported since is stuck in a system call
    /// that nothing ends, such as a write into a pipe that is not read.
    fn given_up(&mut self) -> bool {
        let lost = |id: &TransferId| {
            let transfer = self.fleet.transfer(*id);
            transfer.trouble().is_some() || transfer.outcome().is_some()
        };
        if self.cancelled.is_none() && !self.deliveries.keys().all(lost) {
            self.ending = None;
            return false;
        }
        self.ending.get_or_insert_with(Instant::now).elapsed() >= TEARDOWN
    }

    /// When something is due, at the latest.
    fn next_timeout(&self) -> Instant {
        let due = self.fleet.next_timeout().map(|due| self.started + due);
        let given_up = self.ending.map(|since| since + TEARDOWN);
        let tick = Instant::now() + TICK;
        [due, given_up].into_iter().flatten().fold(tick, Instant::min)
    }

    fn handle_timeout(&mut self) {
        let now = self.started.elapsed();
        if self.fleet.next_timeout().is_some_and(|timeout| timeout <= now) {
            self.fleet.handle_timeout(now);
            self.changed.extend(self.deliveries.keys());
        }
    }

    fn handle(&mut self, message: Message) {
        let now = self.started.elapsed();
        match message {
            Message::Conn(conn, event) => self.handle_conn(now, conn, event),
            Message::Store(id, stored) => self.handle_store(now, id, stored),
            Message::Cancel(signal) => {
                self.cancelled.get_or_insert(signal);
                self.stop(now, &Failure::Cancelled { signal });
            }
            Message::Panicked => self.stop(now, &Failure::Internal("a thread ended by a panic")),
        }
    }

    /// Stops everything.
    fn stop(&mut self, now: Duration, failure: &Failure) {
        self.fleet.stop(now, failure.clone());
        self.changed.extend(self.deliveries.keys());
    }

    fn handle_store(&mut self, now: Duration, id: TransferId, stored: Stored) {
        let Some(delivery) = self.deliveries.get_mut(&id) else { return };
        self.changed.insert(id);
        match delivery.stored(stored) {
            Follows::Tell(event) => self.fleet.handle_store(now, id, event),
            Follows::Stop(failure) => self.fleet.stop_one(now, id, failure),
            Follows::Observe(event) => self.observer.on(&event),
        }
    }

    fn handle_conn(&mut self, now: Duration, conn: Conn, event: ConnEvent) {
        let serves = self.handles.get(&conn).map(|handle| handle.serves);
        if !matches!(event, ConnEvent::Wrote { .. }) {
            self.changed.extend(serves);
        }
        let over = match &event {
            ConnEvent::Failed { .. } => true,
            ConnEvent::Opened { .. } => self.idle(conn),
            ConnEvent::Ended(ended) => !ended.reusable || self.idle(conn),
            ConnEvent::Wrote { range, crc, .. } => {
                if let Some(id) = serves
                    && let Some(delivery) = self.deliveries.get_mut(&id)
                {
                    let claim = Claim { range: range.clone(), crc: *crc };
                    let (job, event) = delivery.wrote(claim, now);
                    job.into_iter().for_each(|job| self.clerk.order(id, job));
                    event.iter().for_each(|event| self.observer.on(event));
                }
                false
            }
            _ => false,
        };
        if over && let Some(handle) = self.handles.remove(&conn) {
            // The connection may have come to its worker after it was closed.
            handle.post.send(Mail::Close(conn));
        }
        self.fleet.handle_conn(now, conn, event);
    }

    fn execute(&mut self, id: TransferId, command: Command) {
        match command {
            Command::Open { conn, url, avoid } => {
                let connector = Arc::clone(&self.connector);
                let open = Box::new(move |stop: &Stop| connector.open(&url, avoid, stop.cancel()));
                self.open(id, conn, open);
            }
            Command::Request { conn, attempt, mut request, accept } => {
                let sink = self.deliveries.get(&id).and_then(Delivery::sink);
                // Whether a proxy takes it is a matter of each URL of a chain of redirects; what
                // the proxy wants to know of us must never reach an origin.
                if let Some(fields) = self.connector.absolute_form(&request.url) {
                    request.form = TargetForm::Absolute;
                    request.fields.extend(fields);
                }
                let request = request.encode();
                if let Some(handle) = self.handles.get_mut(&conn) {
                    handle.serves = id;
                    handle.busy = true;
                    if let Accept::Part(expect) = &accept {
                        handle.stop.gate.lease(attempt, expect.range.start, expect.range.end);
                    }
                }
                self.order(conn, Order::Request(Box::new(Job { attempt, request, accept, sink })));
            }
            Command::Receive { conn, attempt, span } => {
                match self.deliveries.get(&id).and_then(Delivery::sink) {
                    Some(sink) => self.order(conn, Order::Receive { attempt, span, sink }),
                    None => {
                        let now = self.started.elapsed();
                        let failure = Failure::Internal("a body before its part file");
                        self.fleet.stop_one(now, id, failure);
                    }
                }
            }
            Command::Skip { conn, attempt } => self.order(conn, Order::Skip { attempt }),
            Command::Shrink { conn, attempt, end } => {
                let held = self.handles.get(&conn).and_then(|h| h.stop.gate.shrink(attempt, end));
                if let Some(end) = held {
                    let now = self.started.elapsed();
                    self.fleet.handle_conn(now, conn, ConnEvent::Shrunk { attempt, end });
                }
            }
            Command::Close { conn } => {
                if let Some(handle) = self.handles.get_mut(&conn) {
                    handle.stop.abort();
                    handle.closed = true;
                    handle.post.send(Mail::Close(conn));
                    if !handle.busy {
                        self.handles.remove(&conn);
                    }
                }
            }
            command => self.execute_store(id, command),
        }
    }

    fn execute_store(&mut self, id: TransferId, command: Command) {
        let Some(delivery) = self.deliveries.get_mut(&id) else { return };
        let job = match command {
            Command::Prepare { extent, validators, resume, .. } => {
                let account = self.fleet.transfer(id).account();
                delivery.prepare(extent, validators, resume, &account)
            }
            Command::Refetch { lost } => delivery.refetch(lost),
            Command::Publish { total } => match delivery.publish(total) {
                Some(job) => job,
                None => return,
            },
            Command::Withhold => return delivery.withhold(),
            Command::Keep => FileJob::Keep(self.fleet.transfer(id).account().head),
            Command::Abandon { keep } => delivery.abandon(keep),
            Command::Note(note) => {
                outcome::note(&note).iter().for_each(|event| self.observer.on(event));
                return;
            }
            _ => return,
        };
        self.clerk.order(id, job);
    }

    fn open(&mut self, id: TransferId, conn: Conn, open: Open) {
        let stop = Arc::new(Stop::default());
        let reporter = Reporter::new(conn, self.inbox.clone(), self.started);
        let opening =
            Opening { conn, open, stop: Arc::clone(&stop), reporter, limits: self.limits };
        match self.engine.open(opening) {
            Ok(post) => {
                let handle = Handle { stop, post, closed: false, serves: id, busy: true };
                self.handles.insert(conn, handle);
            }
            Err(error) => {
                let now = self.started.elapsed();
                let failure = no_thread(&error);
                self.fleet.handle_conn(now, conn, ConnEvent::Failed { failure });
            }
        }
    }

    /// An order to a connection that is over needs no answer: its last report is on its way.
    fn order(&mut self, conn: Conn, order: Order) {
        if let Some(handle) = self.handles.get(&conn).filter(|handle| !handle.closed) {
            handle.post.send(Mail::Order(conn, order));
        }
    }

    /// Nothing runs on the connection any more. Whether it was closed meanwhile.
    fn idle(&mut self, conn: Conn) -> bool {
        self.handles.get_mut(&conn).is_some_and(|handle| {
            handle.busy = false;
            handle.closed
        })
    }
}

/// How long the coordinator sleeps at most.
const TICK: Duration = Duration::from_millis(500);

/// How long a download that was cancelled or has failed waits for its workers.
const TEARDOWN: Duration = Duration::from_secs(1);
