//! From a name to a connected socket, with what the connections of a download learn together.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use socket2::{Domain, SockAddr, Socket, Type};
use url::Host;

use super::{
    budget::Budget,
    fault::unconnected,
    race::{self, Local, RaceError, race, start_connect, uninterrupted},
    resolve::Resolver,
    route::{Standing, Turn},
};
use crate::{
    options::Network,
    orders::{Failure, Phase},
};

/// Connects to names.
#[derive(Debug)]
pub(super) struct Dialer {
    resolver: Resolver,
    from: Option<Local>,
    spread: bool,
    standing: Mutex<Standing>,
    /// Something was learnt about an address.
    learnt: Condvar,
}

impl Dialer {
    /// One that follows `network`.
    ///
    /// # Errors
    /// [`Failure::Connect`] for an unknown zone.
    pub(super) fn new(network: &Network) -> Result<Self, Failure> {
        Ok(Self {
            resolver: Resolver::new(network)?,
            from: network.interface.as_deref().map(Local::parse),
            spread: network.spread_ips,
            standing: Mutex::default(),
            learnt: Condvar::new(),
        })
    }

    /// Resolves and connects. The socket is still non-blocking.
    ///
    /// # Errors
    /// [`Failure::Resolve`], [`Failure::Connect`], [`Failure::Timeout`], [`Failure::Cancelled`].
    pub(super) fn dial(
        &self,
        host: &Host<&str>,
        port: u16,
        avoid: Option<IpAddr>,
        budget: &Budget,
    ) -> Result<(TcpStream, SocketAddr), Failure> {
        let mut addresses = self.resolver.addresses(host, port, budget)?;
        addresses.retain(|a| self.from.as_ref().is_none_or(|from| from.suits(a.ip())));
        let order = self.turn(&addresses, avoid, budget)?;
        let (outcome, result) = race(&order, self.from.as_ref(), budget);
        lock(&self.standing).learn(&outcome);
        self.learnt.notify_all();
        match (result, outcome.winner) {
            (Ok(stream), Some(winner)) => Ok((stream, winner)),
            (Ok(_), None) => Err(Failure::Internal("a race was won by nobody")),
            (Err(RaceError::Stopped(failure)), _) => Err(failure),
            (Err(RaceError::Lost(error)), _) => {
                self.resolver.forget(host, port);
                Err(unconnected(format!("{host}:{port}"), &error))
            }
        }
    }

    /// The addresses of a name, for a proxy that wants one.
    ///
    /// # Errors
    /// As [`Self::dial`].
    pub(super) fn addresses(
        &self,
        host: &Host<&str>,
        port: u16,
        budget: &Budget,
    ) -> Result<Vec<SocketAddr>, Failure> {
        self.resolver.addresses(host, port, budget)
    }

    /// Waits, no longer than one more attempt would take, while another connection finds out
    /// about the address that would be ours.
    fn turn(
        &self,
        addresses: &[SocketAddr],
        avoid: Option<IpAddr>,
        budget: &Budget,
    ) -> Result<Vec<SocketAddr>, Failure> {
        let until = Instant::now() + race::STAGGER + race::STAGGER;
        let mut standing = lock(&self.standing);
        let ticket = self.spread.then(|| standing.ticket());
        loop {
            let patient = Instant::now() < until;
            match standing.turn(addresses, ticket, avoid, patient) {
                Turn::Go(order) => return Ok(order),
                Turn::Wait => {
                    let wait = budget.slice(Phase::Connect, Some(until))?;
                    standing = self
                        .learnt
                        .wait_timeout(standing, wait)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0;
                }
            }
        }
    }
}

/// Connects to a Unix socket. The socket is still non-blocking.
pub(super) fn open_unix(path: &Path, budget: &Budget) -> Result<UnixStream, Failure> {
    let failed = |e: &io::Error| unconnected(path.display().to_string(), e);
    let address = SockAddr::unix(path).map_err(|e| failed(&e))?;
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = uninterrupted(|| Socket::new(Domain::UNIX, kind, None)).map_err(|e| failed(&e))?;
    loop {
        match start_connect(&socket, &address) {
            Ok(()) => return Ok(socket.into()),
            // unix(7): the listener's backlog is full, and there is nothing to poll for.
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(budget.slice(Phase::Connect, None)?);
            }
            Err(e) => return Err(failed(&e)),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
