//! The epoll engine: a few workers, each a thread with one epoll instance, and on each worker a
//! task a connection. Writes to files are made where the bytes are, by the worker itself.
//!
//! Not tokio's reactor, which watches for edges: what lies below a low-water mark, or above it and
//! was not taken to the last octet, would be met by no edge. By level, a receive is made when it is
//! worth making, and once. Neither is there a waker: the loop knows what each task waits for.

mod io;
mod turn;

use std::{
    collections::BTreeMap,
    future::Future,
    io as std_io,
    os::fd::OwnedFd,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Waker},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{
        Timespec,
        epoll::{self, CreateFlags, EventData, EventFlags},
    },
    io::Errno,
};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use self::{io::Ready, turn::Turn};
use super::{
    message::Order,
    post::{Connected, Mail, Post},
    socket::LowWater,
};
use crate::{link::Link, orders::Conn};

/// Starts the thread of a worker that reads `post`. `guard` is dropped when the thread ends.
///
/// # Errors
/// No descriptor for its epoll instance, or no thread.
pub(super) fn start(name: String, post: Post, guard: impl Send + 'static) -> std_io::Result<()> {
    let epoll = rustix::io::retry_on_intr(|| epoll::create(CreateFlags::CLOEXEC))?;
    let bell = EventData::new_u64(BELL);
    epoll::add(&epoll, post.bell(), bell, EventFlags::IN | EventFlags::ET)?;
    let run = move || {
        let _guard = guard;
        Worker { epoll: Rc::new(epoll), post, tasks: BTreeMap::new(), ending: false }.run();
    };
    thread::Builder::new().name(name).spawn(run).map(drop)
}

/// One worker.
struct Worker {
    epoll: Rc<OwnedFd>,
    post: Post,
    tasks: BTreeMap<Conn, Task>,
    /// No mail follows.
    ending: bool,
}

/// One connection.
struct Task {
    /// Gone when no further order may follow.
    orders: Option<UnboundedSender<Order>>,
    turn: Rc<Turn>,
    link: Pin<Box<dyn Future<Output = ()>>>,
}

impl Worker {
    /// Runs until no mail follows and the last connection is over.
    fn run(mut self) {
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            for mail in self.post.take() {
                self.read(mail);
            }
            if self.ending && self.tasks.is_empty() {
                return;
            }
            let nap = if self.post.sleep() { self.nap() } else { Duration::ZERO };
            events.clear();
            let nap = Timespec::try_from(nap).unwrap_or_default();
            let spare = rustix::buffer::spare_capacity(&mut events);
            // What cannot be waited for is looked at when its time is over.
            if let Err(error) = epoll::wait(&self.epoll, spare, Some(&nap))
                && error != Errno::INTR
            {
                thread::sleep(PAUSE);
            }
            for event in events.drain(..) {
                // The bell is no connection's number.
                let conn = Conn(event.data.u64());
                if self.tasks.get(&conn).is_some_and(|task| task.turn.event()) {
                    self.poll(conn);
                }
            }
            self.poll_late();
        }
    }

    fn read(&mut self, mail: Mail) {
        match mail {
            Mail::Connected(connected) => self.serve(*connected),
            Mail::Order(conn, order) => {
                if let Some(orders) = self.tasks.get(&conn).and_then(|task| task.orders.as_ref()) {
                    let _ = orders.send(order);
                    self.poll_idle(conn);
                }
            }
            Mail::Close(conn) => {
                if let Some(task) = self.tasks.get_mut(&conn) {
                    task.orders = None;
                    self.poll_idle(conn);
                }
            }
            Mail::End => {
                self.ending = true;
                for conn in self.tasks.keys().copied().collect::<Vec<_>>() {
                    self.read(Mail::Close(conn));
                }
            }
        }
    }

    fn serve(&mut self, connected: Connected) {
        let Connected { conn, stream, secure, stop, reporter, limits } = connected;
        let turn = Rc::new(Turn::new(Rc::clone(&self.epoll), Arc::clone(&stream), conn.0));
        let (sender, orders) = unbounded_channel();
        let io = Ready {
            stream,
            reporter,
            orders,
            turn: Rc::clone(&turn),
            buffer: vec![0; limits.buffer()],
            low_water: LowWater::new(),
            stall: limits.stall,
        };
        let mut link = Link::new(io, Arc::clone(&stop.gate), limits, secure);
        let link = Box::pin(async move { link.serve().await });
        self.tasks.insert(conn, Task { orders: Some(sender), turn, link });
        self.poll(conn);
    }

    /// Polls a task that waits for an order.
    fn poll_idle(&mut self, conn: Conn) {
        if self.tasks.get(&conn).is_some_and(|task| task.turn.until().is_none()) {
            self.poll(conn);
        }
    }

    /// Polls the tasks whose time is over.
    fn poll_late(&mut self) {
        let now = Instant::now();
        let late = |task: &Task| task.turn.until().is_some_and(|until| until <= now);
        let late: Vec<Conn> =
            self.tasks.iter().filter(|(_, task)| late(task)).map(|(conn, _)| *conn).collect();
        for conn in late {
            self.poll(conn);
        }
    }

    fn poll(&mut self, conn: Conn) {
        if let Some(task) = self.tasks.get_mut(&conn)
            && task.link.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
        {
            self.tasks.remove(&conn);
        }
    }

    /// How long to sleep at most.
    fn nap(&self) -> Duration {
        let until = self.tasks.values().filter_map(|task| task.turn.until()).min();
        until.map_or(PULSE, |until| until.saturating_duration_since(Instant::now()).min(PULSE))
    }
}

/// The bell's number among those of connections, which are shorter.
const BELL: u64 = u64::MAX;

/// How many events are taken at a time; what is left is met next.
const EVENTS: usize = 256;

/// How often a worker reads its mail although no bell rings: one that cannot be rung is a delay.
const PULSE: Duration = Duration::from_millis(250);

/// Before the next try when the kernel cannot wait.
const PAUSE: Duration = Duration::from_millis(5);
