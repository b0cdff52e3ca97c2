//! From a URL to an open byte stream: addresses, proxies, TLS, all within one time limit.
//!
//! This code blocks, with deadlines, and is the same for both engines: every connection is opened
//! on a short-lived thread of its own, and the ready socket is handed to the data plane.

mod budget;
mod dial;
mod fault;
mod proxy;
mod race;
mod relay;
pub(crate) mod resolve;
mod route;
mod secure;
mod socks;
mod stream;
mod trust;

use std::{net::IpAddr, path::PathBuf, time::Duration};

use url::{Host, Url};

pub(crate) use budget::{Budget, Cancel};
pub(crate) use stream::Stream;

use self::{
    dial::{Dialer, open_unix},
    fault::{broken, unconnected},
    proxy::{Kind, Proxies, Proxy},
    relay::relay,
    secure::{Secured, shake_hands},
    socks::Destination,
    trust::Clients,
};
use crate::{
    http::{redirect::is_http, request::Field},
    options::{Network, Tls},
    orders::Failure,
    source::Hub,
    wire,
};

/// Opens the connections of one download, from any number of threads.
#[derive(Debug)]
pub(crate) struct Connector {
    dialer: Dialer,
    unix_socket: Option<PathBuf>,
    proxies: Proxies,
    clients: Clients,
    limit: Duration,
    /// What has the objects that no server has.
    source: Option<Hub>,
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
    /// [`Failure::Tls`] with [`crate::orders::TlsFault::Setup`] for a certificate or key file
    /// that cannot be used, [`Failure::Connect`] for an unknown zone.
    pub(crate) fn new(
        network: &Network,
        tls: &Tls,
        connect_timeout: Duration,
    ) -> Result<Self, Failure> {
        Ok(Self {
            dialer: Dialer::new(network)?,
            unix_socket: network.unix_socket.clone(),
            proxies: Proxies::new(&network.proxy),
            clients: Clients::new(tls)?,
            limit: connect_timeout,
            source: None,
        })
    }

    /// The same, for an object of this source: whatever is not http or https leads there.
    pub(crate) fn with_source(self, source: Option<Hub>) -> Self {
        Self { source, ..self }
    }

    /// Ends what is asked of the source, within `limit`; what it said of an answer that broke off.
    pub(crate) fn finish(&self, limit: Duration) -> Option<String> {
        let source = self.source.as_ref()?;
        source.finish(limit);
        source.words()
    }

    /// Opens one connection for requests to `url`. Blocks; setting `cancel` makes it return within
    /// [`budget::SLICE`]. The address `avoid` is tried after the others.
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
        if !is_http(url) {
            return self.open_source(&budget);
        }
        let (host, port) = destination(url)?;
        let way = match (&self.unix_socket, self.proxies.serving(url)?) {
            (Some(path), _) => Way::plain(Stream::Unix(open_unix(path, &budget)?)),
            (None, None) => {
                let (stream, peer) = self.dialer.dial(&host, port, avoid, &budget)?;
                Way { peer: Some(peer.ip()), ..Way::plain(Stream::Tcp(stream)) }
            }
            (None, Some(proxy)) => self.through(proxy, url, avoid, &budget)?,
        };
        let Way { mut stream, mut secure, peer } = way;
        if url.scheme() == "https" {
            let client = self.clients.origin()?;
            secure = Some(shake_hands(client, &host, &mut stream, &budget)?);
        }
        stream.set_nonblocking(false).map_err(|e| broken(&e))?;
        Ok(Opened { stream, secure, peer, took: budget.elapsed() })
    }

    /// The fields that a request to `url` carries for its proxy, when it goes to an HTTP proxy in
    /// absolute form; `None` when it does not.
    pub(crate) fn absolute_form(&self, url: &Url) -> Option<Vec<Field>> {
        if url.scheme() != "http" || self.unix_socket.is_some() {
            return None;
        }
        let proxy = self.proxies.serving(url).ok()??;
        match proxy.kind {
            Kind::Http | Kind::Https => Some(proxy.fields().unwrap_or_default()),
            Kind::Socks { .. } => None,
        }
    }

    /// Which certificates are trusted on the way to `url`, for people who want details; `None`
    /// where there is no TLS, or where trust cannot be set up, as the first connection will tell.
    pub(crate) fn trust_note(&self, url: &Url) -> Option<String> {
        if url.scheme() == "https" { self.clients.note() } else { None }
    }

    /// A connection to the source: no name, no proxy, no TLS.
    fn open_source(&self, budget: &Budget) -> Result<Opened, Failure> {
        let Some(source) = &self.source else {
            return Err(Failure::Internal("a URL that leads nowhere"));
        };
        let opened = source.open();
        let stream = opened.map_err(|e| unconnected("the source".to_owned(), &e))?;
        let (stream, took) = (Stream::Unix(stream), budget.elapsed());
        Ok(Opened { stream, secure: None, peer: None, took })
    }

    /// Connects to a proxy, and through it where it does not take requests itself.
    fn through(
        &self,
        proxy: &Proxy,
        url: &Url,
        avoid: Option<IpAddr>,
        budget: &Budget,
    ) -> Result<Way, Failure> {
        let (host, port) = destination(url)?;
        let dialled = self.dialer.dial(&proxy.host(), proxy.port, avoid, budget);
        let (stream, peer) = dialled.map_err(|e| proxy.broke(e))?;
        let mut stream = Stream::Tcp(stream);
        let peer = Some(peer.ip());
        let tunnel = url.scheme() == "https";
        let way = match proxy.kind {
            Kind::Http => {
                if tunnel {
                    proxy.tunnel(&mut stream, &host, port, budget)?;
                }
                Way::plain(stream)
            }
            Kind::Https => {
                let client = self.clients.proxy()?;
                let session = shake_hands(client, &proxy.host(), &mut stream, budget)
                    .map_err(|e| proxy.broke(e))?;
                if tunnel {
                    let mut outer = Secured::new(stream, session);
                    proxy.tunnel(&mut outer, &host, port, budget)?;
                    Way::plain(relay(outer)?)
                } else {
                    Way { secure: Some(session), ..Way::plain(stream) }
                }
            }
            Kind::Socks { remote_names } => {
                let wanted = match Destination::of(&host, port, remote_names) {
                    Some(to) => vec![to],
                    None => {
                        let addresses = self.dialer.addresses(&host, port, budget)?;
                        addresses.into_iter().map(Destination::Address).collect()
                    }
                };
                return self.through_socks(proxy, stream, &wanted, budget);
            }
        };
        Ok(Way { peer, ..way })
    }

    /// Asks a SOCKS proxy for one destination after the other. It closes its connection when one
    /// cannot be reached (RFC 1928 section 6).
    fn through_socks(
        &self,
        proxy: &Proxy,
        stream: Stream,
        wanted: &[Destination<'_>],
        budget: &Budget,
    ) -> Result<Way, Failure> {
        let mut stream = Some(stream);
        let mut last = Failure::Internal("a name without an address");
        for to in wanted {
            let mut stream = match stream.take() {
                Some(stream) => stream,
                None => {
                    let dialled = self.dialer.dial(&proxy.host(), proxy.port, None, budget);
                    Stream::Tcp(dialled.map_err(|e| proxy.broke(e))?.0)
                }
            };
            match socks::ask(proxy, &mut stream, to, budget) {
                Ok(()) => return Ok(Way::plain(stream)),
                Err(failure @ Failure::Proxy { .. }) => last = failure,
                Err(failure) => return Err(failure),
            }
        }
        Err(last)
    }
}

/// How far a connection has come before the origin's own TLS.
struct Way {
    stream: Stream,
    secure: Option<wire::Session>,
    peer: Option<IpAddr>,
}

impl Way {
    fn plain(stream: Stream) -> Self {
        Self { stream, secure: None, peer: None }
    }
}

/// The host and port of an http or https URL.
fn destination(url: &Url) -> Result<(Host<&str>, u16), Failure> {
    match (url.host(), url.port_or_known_default()) {
        (Some(host), Some(port)) => Ok((host, port)),
        _ => Err(Failure::Internal("a URL without a host or port")),
    }
}

#[cfg(test)]
mod tests;
