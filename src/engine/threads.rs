//! The threads engine: a thread a connection, blocking sockets, `pwrite`. Not a lesser mode: where
//! containers refuse io_uring this is what runs.

use std::{
    future::Future,
    io,
    ops::Range,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send, sockopt},
};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{Opening, Order, Reporter, lowat::LowWater, stop::Stop};
use crate::{
    files::sink::Sink,
    link::{Broken, FLUSH_AFTER, Idle, Io, Link},
    net::Stream,
    orders::{ConnEvent, Failure},
};

/// The threads engine. It holds nothing: each connection's thread ends with its connection.
pub(crate) struct Threads;

impl Threads {
    pub(crate) fn new() -> Self {
        Self
    }

    /// Starts the thread of one connection, which connects first.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(crate) fn open(&self, opening: Opening) -> io::Result<()> {
        thread::Builder::new()
            .name("uget-conn".to_owned())
            .stack_size(STACK)
            .spawn(move || serve(opening))
            .map(drop)
    }
}

/// Runs one connection from connect to close.
fn serve(opening: Opening) {
    let Opening { open, stop, orders, reporter, limits } = opening;
    let Some(opened) = Opening::connect(open, &stop, &reporter) else { return };
    // A receive that waits for much must come back in time to write what has come. Without these a
    // stall is noticed late, which the next receive reports if it matters.
    let _ = sockopt::set_socket_timeout(&opened.stream, sockopt::Timeout::Recv, Some(FLUSH_AFTER));
    let _ = sockopt::set_socket_timeout(&opened.stream, sockopt::Timeout::Send, Some(limits.stall));
    let (buffer, low_water) = (vec![0; limits.buffer()], LowWater::new());
    let gate = Arc::clone(&stop.gate);
    let stream = opened.stream;
    let io = Blocking { stream, stop: Arc::clone(&stop), reporter, orders, buffer, low_water };
    let mut link = Link::new(io, gate, limits, opened.secure);
    run(link.serve());
    stop.detach();
}

/// Runs a future whose every operation blocks, so that it is never pending.
pub(super) fn run(future: impl Future<Output = ()>) {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(()) => {}
        Poll::Pending => unreachable!("blocking operations are never pending"),
    }
}

/// Blocking system calls.
struct Blocking {
    stream: Stream,
    stop: Arc<Stop>,
    reporter: Reporter,
    orders: UnboundedReceiver<Order>,
    buffer: Vec<u8>,
    low_water: LowWater,
}

impl Io for Blocking {
    type Sink = Sink;

    fn now(&self) -> Duration {
        self.reporter.now()
    }

    fn report(&mut self, event: ConnEvent) {
        self.reporter.report(event);
    }

    fn retire(&mut self) {
        self.stop.detach();
    }

    fn buffer(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    async fn order(&mut self) -> Option<Order> {
        self.orders.blocking_recv()
    }

    async fn send(&mut self, bytes: Vec<u8>) -> Result<(), Broken> {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            match send(&self.stream, rest, SendFlags::NOSIGNAL) {
                Ok(n) => rest = rest.get(n..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                // The send timeout, socket(7).
                Err(Errno::AGAIN) => return Err(Broken { errno: libc::ETIMEDOUT }),
                Err(errno) => return Err(broken(errno)),
            }
        }
        Ok(())
    }

    async fn receive(
        &mut self,
        room: Range<usize>,
        fill: bool,
        patience: Duration,
    ) -> Result<Option<usize>, Broken> {
        let started = Instant::now();
        self.low_water.set(&self.stream, if fill { room.len() } else { 1 });
        loop {
            match recv(&self.stream, &mut self.buffer[room.clone()], RecvFlags::empty()) {
                Ok((n, _)) => return Ok(Some(n)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if started.elapsed() < patience => {}
                Err(Errno::AGAIN) => return Ok(None),
                Err(errno) => return Err(broken(errno)),
            }
        }
    }

    async fn write(&mut self, sink: &Sink, from: Range<usize>, offset: u64) -> Result<(), Failure> {
        sink.write(&self.buffer[from], offset)
    }

    fn idle(&self) -> Idle {
        peek(&self.stream)
    }
}

/// A socket call that failed.
pub(super) fn broken(errno: Errno) -> Broken {
    Broken { errno: errno.raw_os_error() }
}

/// What lies on a socket, without taking it and without waiting.
pub(super) fn peek(socket: impl std::os::fd::AsFd) -> Idle {
    let mut octet = [0];
    match recv(socket, &mut octet[..], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((0, _)) => Idle::Closed,
        Ok(_) => Idle::Octets,
        Err(Errno::AGAIN | Errno::INTR) => Idle::Quiet,
        Err(_) => Idle::Closed,
    }
}

/// Stack of a connection's thread: the handshake's certificate checks are the deepest it goes.
const STACK: usize = 512 * 1024;
