//! Happy Eyeballs (RFC 8305): addresses are tried one after the other, a new one every 250 ms or
//! as soon as one fails, and the first that answers wins.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags};
use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};

use super::{
    budget::{Budget, poll_for},
    route::Outcome,
};
use crate::orders::{Failure, Phase};

/// The connection attempt delay of RFC 8305 section 5.
pub(super) const STAGGER: Duration = Duration::from_millis(250);

/// Where connections leave this machine: `--interface`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Local {
    /// From this address.
    Address(IpAddr),
    /// Through this interface.
    Device(String),
}

impl Local {
    /// Reads curl's forms: a name, an address, `if!NAME`, `host!ADDRESS`.
    pub(super) fn parse(text: &str) -> Self {
        if let Some(name) = text.strip_prefix("if!") {
            return Self::Device(name.to_owned());
        }
        let bare = text.strip_prefix("host!").unwrap_or(text);
        bare.parse().map_or_else(|_| Self::Device(bare.to_owned()), Self::Address)
    }

    /// Whether `to` can be reached from here at all.
    pub(super) fn suits(&self, to: IpAddr) -> bool {
        match self {
            Self::Address(from) => from.is_ipv4() == to.is_ipv4(),
            Self::Device(_) => true,
        }
    }
}

/// Connects to the first of `order` that answers. The socket is still non-blocking. What was
/// learnt about the addresses comes back whatever the result.
pub(super) fn race(
    order: &[SocketAddr],
    from: Option<&Local>,
    budget: &Budget,
) -> (Outcome, Result<TcpStream, RaceError>) {
    let mut race = Race { waiting: order.iter().rev().copied().collect(), ..Race::default() };
    let result = race.run(from, budget);
    let overtaken = Instant::now().checked_sub(STAGGER);
    let mut outcome = race.outcome;
    for attempt in race.running {
        // One that had a head start and was overtaken is not worth waiting for again.
        let late = overtaken.is_some_and(|then| attempt.started <= then);
        let list = if late && result.is_ok() { &mut outcome.dead } else { &mut outcome.open };
        list.push(attempt.to);
    }
    (outcome, result)
}

/// Why nobody won.
#[derive(Debug)]
pub(super) enum RaceError {
    /// Every address failed; this is the last one's error.
    Lost(io::Error),
    /// The time was up, or the download was stopped.
    Stopped(Failure),
}

#[derive(Default)]
struct Race {
    /// Not tried yet, the next one last.
    waiting: Vec<SocketAddr>,
    running: Vec<Attempt>,
    outcome: Outcome,
    last: Option<io::Error>,
}

struct Attempt {
    socket: Socket,
    to: SocketAddr,
    started: Instant,
}

impl Race {
    fn run(&mut self, from: Option<&Local>, budget: &Budget) -> Result<TcpStream, RaceError> {
        let mut next_start = Instant::now();
        loop {
            if (self.running.is_empty() || Instant::now() >= next_start)
                && let Some(to) = self.waiting.pop()
            {
                self.start(to, from);
                next_start = Instant::now() + STAGGER;
            }
            if self.running.is_empty() && self.waiting.is_empty() {
                let last = self.last.take();
                return Err(RaceError::Lost(
                    last.unwrap_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable)),
                ));
            }
            if self.running.is_empty() {
                continue;
            }
            let wake = (!self.waiting.is_empty()).then_some(next_start);
            let wait = budget.slice(Phase::Connect, wake).map_err(RaceError::Stopped)?;
            if let Some(winner) = self.poll(wait) {
                return Ok(winner);
            }
        }
    }

    fn start(&mut self, to: SocketAddr, from: Option<&Local>) {
        match begin(to, from) {
            Ok(socket) => self.running.push(Attempt { socket, to, started: Instant::now() }),
            Err(e) => self.lose(to, e),
        }
    }

    fn lose(&mut self, to: SocketAddr, error: io::Error) {
        self.outcome.dead.push(to);
        self.last = Some(error);
    }

    /// Waits for the running attempts and settles those that are decided.
    fn poll(&mut self, wait: Duration) -> Option<TcpStream> {
        let mut fds: Vec<_> =
            self.running.iter().map(|a| PollFd::new(&a.socket, PollFlags::OUT)).collect();
        if !poll_for(&mut fds, wait).unwrap_or(false) {
            return None;
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);
        let mut still = Vec::new();
        let mut winner = None;
        for (attempt, ready) in std::mem::take(&mut self.running).into_iter().zip(ready) {
            if !ready || winner.is_some() {
                still.push(attempt);
                continue;
            }
            match uninterrupted(|| attempt.socket.take_error()) {
                Ok(None) => {
                    self.outcome.winner = Some(attempt.to);
                    winner = Some(attempt.socket.into());
                }
                Ok(Some(e)) | Err(e) => self.lose(attempt.to, e),
            }
        }
        self.running = still;
        winner
    }
}

/// A socket whose connect(2) is under way.
fn begin(to: SocketAddr, from: Option<&Local>) -> io::Result<Socket> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = uninterrupted(|| Socket::new(Domain::for_address(to), kind, Some(Protocol::TCP)))?;
    match from {
        Some(Local::Device(name)) => socket.bind_device(Some(name.as_bytes()))?,
        Some(Local::Address(ip)) => socket.bind(&SocketAddr::new(*ip, 0).into())?,
        None => {}
    }
    // A connection without these is slower, or is missed later, but it is a connection.
    let _ = socket.set_tcp_nodelay(true);
    let keep_alive = TcpKeepalive::new().with_time(KEEP_IDLE).with_interval(KEEP_INTERVAL);
    let _ = socket.set_tcp_keepalive(&keep_alive);
    start_connect(&socket, &to.into())?;
    Ok(socket)
}

/// connect(2) on a non-blocking socket: an attempt that goes on is not an error.
pub(super) fn start_connect(socket: &Socket, to: &SockAddr) -> io::Result<()> {
    use rustix::io::Errno;
    let under_way = [Errno::INPROGRESS, Errno::ALREADY, Errno::ISCONN];
    match uninterrupted(|| socket.connect(to)) {
        Err(e) if under_way.iter().any(|errno| Some(errno.raw_os_error()) == e.raw_os_error()) => {
            Ok(())
        }
        other => other,
    }
}

/// Makes a call again for as long as a signal interrupts it.
pub(super) fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

const KEEP_IDLE: Duration = Duration::from_secs(60);
const KEEP_INTERVAL: Duration = Duration::from_secs(15);
