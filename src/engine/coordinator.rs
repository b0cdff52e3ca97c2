//! Runs the control plane: carries every command of the fleet to a worker, a store or the
//! observer, and every report back to the fleet. Nothing is decided here.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use tokio::sync::mpsc::UnboundedSender;

use super::{Engine, Message, Opening, Order, Reporter, no_thread, orders, seat::Seat, stop::Stop};
use crate::{
    error::outcome,
    event::Observer,
    fleet::{Fleet, TransferId},
    http::request::TargetForm,
    link::{Job, Limits},
    net::Connector,
    orders::{Accept, Command, Conn, ConnEvent, Failure, StoreEvent},
};

/// The shell around a [`Fleet`].
pub(crate) struct Coordinator<'a> {
    pub(crate) fleet: Fleet,
    pub(crate) engine: Engine,
    pub(crate) connector: Arc<Connector>,
    pub(crate) limits: Limits,
    pub(crate) messages: (Sender<Message>, Receiver<Message>),
    pub(crate) started: Instant,
    pub(crate) observer: &'a mut dyn Observer,
    pub(crate) seats: BTreeMap<TransferId, Seat>,
    pub(crate) handles: BTreeMap<Conn, Handle>,
    /// By which signal it is cancelled.
    pub(crate) cancelled: Option<i32>,
    /// Since when nothing is waited for but the ends of what runs.
    pub(crate) ending: Option<Instant>,
}

/// One connection as the coordinator knows it.
pub(crate) struct Handle {
    stop: Arc<Stop>,
    /// Gone when no further order may follow: an idle worker ends by that.
    orders: Option<UnboundedSender<Order>>,
    /// Which transfer it works for.
    serves: TransferId,
    /// It is being opened, or an attempt runs on it: a last report is still to come.
    busy: bool,
}

impl Coordinator<'_> {
    /// Runs until every transfer is over.
    pub(crate) fn run(&mut self) {
        loop {
            while let Some((id, command)) = self.fleet.poll() {
                self.execute(id, command);
            }
            self.show();
            if self.fleet.is_done() || self.given_up() {
                return;
            }
            match self.messages.1.recv_deadline(self.next_timeout()) {
                Ok(message) => self.handle(message),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            self.handle_timeout();
        }
    }

    /// It was cancelled or has failed, and whoever has not reported since is stuck in a system call
    /// that nothing ends, such as a write into a pipe that nobody reads.
    fn given_up(&mut self) -> bool {
        let lost = |id: &TransferId| {
            let transfer = self.fleet.transfer(*id);
            transfer.trouble().is_some() || transfer.outcome().is_some()
        };
        if self.cancelled.is_none() && !self.seats.keys().all(lost) {
            self.ending = None;
            return false;
        }
        self.ending.get_or_insert_with(Instant::now).elapsed() >= TEARDOWN
    }

    /// When something is due, at the latest.
    fn next_timeout(&self) -> Instant {
        let seats = self.seats.values().filter_map(Seat::next_timeout);
        let due = seats.chain(self.fleet.next_timeout()).min().map(|due| self.started + due);
        let given_up = self.ending.map(|since| since + TEARDOWN);
        let tick = Instant::now() + TICK;
        [due, given_up].into_iter().flatten().fold(tick, Instant::min)
    }

    fn handle_timeout(&mut self) {
        let now = self.started.elapsed();
        if self.fleet.next_timeout().is_some_and(|timeout| timeout <= now) {
            self.fleet.handle_timeout(now);
        }
        for seat in self.seats.values_mut() {
            if seat.next_timeout().is_some_and(|timeout| timeout <= now)
                && let Err(failure) = seat.tick(now)
            {
                self.fleet.stop(now, failure);
            }
        }
    }

    fn handle(&mut self, message: Message) {
        let now = self.started.elapsed();
        match message {
            Message::Conn(conn, event) => self.handle_conn(now, conn, event),
            Message::Store(id, event) => {
                if let Some(seat) = self.seats.get_mut(&id) {
                    seat.finished();
                }
                self.fleet.handle_store(now, id, event);
            }
            Message::Cancel(signal) => {
                self.cancelled.get_or_insert(signal);
                self.fleet.stop(now, Failure::Cancelled { signal });
            }
        }
    }

    fn handle_conn(&mut self, now: Duration, conn: Conn, event: ConnEvent) {
        let over = match &event {
            ConnEvent::Failed { .. } => true,
            ConnEvent::Opened { .. } => self.idle(conn),
            ConnEvent::Ended(ended) => !ended.reusable || self.idle(conn),
            ConnEvent::Wrote { range, .. } => {
                let serves = self.handles.get(&conn).map(|handle| handle.serves);
                if let Some(seat) = serves.and_then(|id| self.seats.get_mut(&id))
                    && let Err(failure) = seat.wrote(range.clone(), now)
                {
                    self.fleet.stop(now, failure);
                }
                false
            }
            _ => false,
        };
        if over {
            self.handles.remove(&conn);
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
                let sink = self.seats.get(&id).and_then(Seat::sink);
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
                match self.seats.get(&id).and_then(Seat::sink) {
                    Some(sink) => self.order(conn, Order::Receive { attempt, span, sink }),
                    None => {
                        let now = self.started.elapsed();
                        self.fleet.stop(now, Failure::Internal("a body before its part file"));
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
                    handle.orders = None;
                    if !handle.busy {
                        self.handles.remove(&conn);
                    }
                }
            }
            command => self.execute_store(id, command),
        }
    }

    fn execute_store(&mut self, id: TransferId, command: Command) {
        let Some(seat) = self.seats.get_mut(&id) else { return };
        let now = self.started.elapsed();
        match command {
            Command::Prepare { total, validators, resume, .. } => {
                let view = self.fleet.transfer(id).view();
                let prepared = seat.prepare(total, &validators, resume, &view);
                let event = match prepared {
                    Ok(Some(found)) => StoreEvent::Found(found),
                    Ok(None) => StoreEvent::Prepared(Ok(())),
                    Err(failure) => StoreEvent::Prepared(Err(failure)),
                };
                self.fleet.handle_store(now, id, event);
            }
            Command::Publish { total } => {
                let messages = self.messages.0.clone();
                let report = move |event| drop(messages.send(Message::Store(id, event)));
                if let Err(failure) = seat.publish(total, report) {
                    self.fleet.handle_store(now, id, StoreEvent::Published(Err(failure)));
                }
            }
            Command::Keep => {
                let kept = seat.keep();
                self.fleet.handle_store(now, id, StoreEvent::Published(kept));
            }
            Command::Abandon { keep } => seat.abandon(keep),
            Command::Note(note) => {
                if let Some(event) = outcome::note(&note) {
                    self.observer.on(&event);
                }
            }
            _ => {}
        }
    }

    fn open(&mut self, id: TransferId, conn: Conn, open: super::Open) {
        let stop = Arc::new(Stop::default());
        let (orders, inbox) = orders();
        let reporter = Reporter::new(conn, self.messages.0.clone(), self.started);
        let opening =
            Opening { open, stop: Arc::clone(&stop), orders: inbox, reporter, limits: self.limits };
        let orders = Some(orders);
        self.handles.insert(conn, Handle { stop, orders, serves: id, busy: true });
        if let Err(error) = self.engine.open(opening) {
            self.handles.remove(&conn);
            let failure = no_thread(&error);
            let now = self.started.elapsed();
            self.fleet.handle_conn(now, conn, ConnEvent::Failed { failure });
        }
    }

    /// An order to a connection that is over needs no answer: its last report is on its way.
    fn order(&mut self, conn: Conn, order: Order) {
        if let Some(orders) = self.handles.get(&conn).and_then(|handle| handle.orders.as_ref()) {
            let _ = orders.send(order);
        }
    }

    /// Nothing runs on the connection any more. Whether it was closed meanwhile.
    fn idle(&mut self, conn: Conn) -> bool {
        self.handles.get_mut(&conn).is_some_and(|handle| {
            handle.busy = false;
            handle.orders.is_none()
        })
    }

    /// Tells the observer what changed.
    fn show(&mut self) {
        let now = self.started.elapsed();
        for (id, seat) in &mut self.seats {
            let view = self.fleet.transfer(*id).view();
            for event in seat.show(&view, now) {
                self.observer.on(&event);
            }
        }
    }
}

/// How long the coordinator sleeps at most.
const TICK: Duration = Duration::from_millis(500);

/// How long a download that was cancelled or has failed waits for its workers.
const TEARDOWN: Duration = Duration::from_secs(1);
