//! From a URL to an open byte stream: addresses, proxies, TLS, all within one time limit.
//!
//! This code blocks, with deadlines, and is the same for both engines: every connection is opened
//! on a short-lived thread of its own, and the ready socket is handed to the data plane.

mod budget;
mod race;
mod route;
mod stream;

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use socket2::{Domain, SockAddr, Socket, Type};
use url::{Host, Url};

pub(crate) use budget::{Budget, Cancel};
pub(crate) use stream::Stream;

use self::{
    race::{Local, RaceError, race, start_connect},
    route::{Standing, Turn},
};
use super::resolve::Resolver;
use crate::{
    http::request::Field,
    options::{Network, Tls},
    transfer::{Failure, Phase},
    wire,
};

/// Opens the connections of one download, from any number of threads.
#[derive(Debug)]
pub(crate) struct Connector {
    dialer: Dialer,
    unix_socket: Option<PathBuf>,
    limit: Duration,
}

/// A connection that a request can be sent on.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The socket, in blocking mode.
    pub(crate) stream: Stream,
    /// TLS, its handshake complete.
    pub(crate) secure: Option<wire::Session>,
    /// Whom we talk to: the origin, or the proxy where the proxy connects for us.
    pub(crate) peer: Option<IpAddr>,
    /// How long it took, name lookup included.
    pub(crate) took: Duration,
}

impl Connector {
    /// A connector for one download. `connect_timeout` bounds each connection, from the name to
    /// the last handshake.
    ///
    /// # Errors
    /// [`Failure::Tls`] with [`crate::transfer::TlsFault::Setup`] for a certificate or key file
    /// that cannot be used, [`Failure::Connect`] for an unknown zone.
    pub(crate) fn new(
        network: &Network,
        tls: &Tls,
        connect_timeout: Duration,
    ) -> Result<Self, Failure> {
        let _ = tls;
        Ok(Self {
            dialer: Dialer::new(network)?,
            unix_socket: network.unix_socket.clone(),
            limit: connect_timeout,
        })
    }

    /// Opens one connection for requests to `url`. Blocks; setting `cancel` makes it return within
    /// 50 ms. The address `avoid` is tried after the others.
    ///
    /// # Errors
    /// [`Failure::Resolve`], [`Failure::Connect`], [`Failure::Proxy`], [`Failure::Tls`],
    /// [`Failure::Timeout`], [`Failure::Receive`] when the peer hangs up in a handshake,
    /// [`Failure::Cancelled`].
    pub(crate) fn open(
        &self,
        url: &Url,
        avoid: Option<IpAddr>,
        cancel: &Cancel,
    ) -> Result<Opened, Failure> {
        let budget = Budget::new(self.limit, cancel);
        let (stream, peer) = match &self.unix_socket {
            Some(path) => (Stream::Unix(open_unix(path, &budget)?), None),
            None => {
                let (host, port) = destination(url)?;
                let (stream, peer) = self.dialer.dial(&host, port, avoid, &budget)?;
                (Stream::Tcp(stream), Some(peer.ip()))
            }
        };
        if url.scheme() == "https" {
            return Err(Failure::Tls {
                fault: crate::transfer::TlsFault::Handshake,
                reason: "not built yet".to_owned(),
            });
        }
        stream.set_nonblocking(false).map_err(|e| budget::broken(&e))?;
        Ok(Opened { stream, secure: None, peer, took: budget.elapsed() })
    }

    /// The fields that a request to `url` carries for its proxy, when it goes to a plain HTTP
    /// proxy in absolute form; `None` when it does not.
    pub(crate) fn absolute_form(&self, url: &Url) -> Option<Vec<Field>> {
        let _ = url;
        None
    }

    /// Which certificates are trusted, for people who want details.
    pub(crate) fn trust_note(&self) -> Option<String> {
        None
    }
}

/// Connects to names.
#[derive(Debug)]
struct Dialer {
    resolver: Resolver,
    from: Option<Local>,
    spread: bool,
    standing: Mutex<Standing>,
    /// Something was learnt about an address.
    learnt: Condvar,
}

impl Dialer {
    fn new(network: &Network) -> Result<Self, Failure> {
        Ok(Self {
            resolver: Resolver::new(network)?,
            from: network.interface.as_deref().map(Local::parse),
            spread: network.spread_ips,
            standing: Mutex::default(),
            learnt: Condvar::new(),
        })
    }

    /// Resolves and connects. The socket is still non-blocking.
    fn dial(
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
fn open_unix(path: &Path, budget: &Budget) -> Result<std::os::unix::net::UnixStream, Failure> {
    let failed = |e: &io::Error| unconnected(path.display().to_string(), e);
    let address = SockAddr::unix(path).map_err(|e| failed(&e))?;
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::UNIX, kind, None).map_err(|e| failed(&e))?;
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

/// The host and port of an http or https URL.
fn destination(url: &Url) -> Result<(Host<&str>, u16), Failure> {
    match (url.host(), url.port_or_known_default()) {
        (Some(host), Some(port)) => Ok((host, port)),
        _ => Err(Failure::Internal("a URL without a host or port")),
    }
}

fn unconnected(target: String, error: &io::Error) -> Failure {
    let errno = error.raw_os_error().unwrap_or(0);
    Failure::Connect { target, reason: words(error), errno }
}

/// What the system says about an error, without the number that std adds.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error").map_or(text.as_str(), |(words, _)| words).to_lowercase()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
