//! Proxies: which one serves a URL, with curl's rules, and the way through an HTTP one.

use std::net::IpAddr;

use base64::{Engine, engine::general_purpose::STANDARD};
use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::{budget::Budget, stream::Pipe};
use crate::{
    http::{
        self, escape,
        exchange::INTERIM_MAX,
        request::Field,
        response::{HEAD_MAX, Head},
    },
    options,
    orders::Failure,
};

/// The proxies of a download.
#[derive(Debug)]
pub(super) struct Proxies {
    http: Option<Result<Proxy, Failure>>,
    https: Option<Result<Proxy, Failure>>,
    direct: Vec<Exception>,
}

/// One proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proxy {
    /// How it is spoken to.
    pub(super) kind: Kind,
    /// Where it is.
    pub(super) host: Host<String>,
    /// Where it listens.
    pub(super) port: u16,
    /// What it wants to know of us.
    pub(super) user: Option<User>,
}

/// How a proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// HTTP: absolute form, or CONNECT.
    Http,
    /// The same inside TLS.
    Https,
    /// SOCKS5; it resolves names itself with `remote_names` (socks5h).
    Socks {
        /// Names go to the proxy.
        remote_names: bool,
    },
}

/// A user and a password, octets as they are.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct User {
    /// The name.
    pub(super) name: Vec<u8>,
    /// The password; empty when there was none.
    pub(super) password: Vec<u8>,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Proxies {
    /// Reads the options. A proxy that cannot be understood is an error once it is needed.
    pub(super) fn new(options: &options::Proxies) -> Self {
        let choose = |own: &Option<options::Secret>| {
            let chosen = own.as_ref().or(options.all.as_ref())?;
            // An empty value means none, as in curl.
            (!chosen.0.trim().is_empty()).then(|| Proxy::parse(&chosen.0))
        };
        Self {
            http: choose(&options.http),
            https: choose(&options.https),
            direct: Exception::list(&options.no_proxy),
        }
    }

    /// The proxy for `url`, if there is one.
    ///
    /// # Errors
    /// [`Failure::Proxy`] when its URL cannot be used.
    pub(super) fn serving(&self, url: &Url) -> Result<Option<&Proxy>, Failure> {
        let chosen = if url.scheme() == "https" { &self.https } else { &self.http };
        let Some(chosen) = chosen else { return Ok(None) };
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Ok(None);
        };
        if self.direct.iter().any(|e| e.covers(&host, port)) {
            return Ok(None);
        }
        chosen.as_ref().map(Some).map_err(Clone::clone)
    }
}

impl Proxy {
    /// Reads `[scheme://][user[:password]@]host[:port]`. As in curl, no scheme means `http`, and
    /// the port is 1080 where none is given, 443 for `https`.
    fn parse(text: &str) -> Result<Self, Failure> {
        let unusable = |why: &str| refused(format!("its URL cannot be used: {why}"), None);
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let kind = match scheme.to_ascii_lowercase().as_str() {
            "http" => Kind::Http,
            "https" => Kind::Https,
            "socks5" | "socks" => Kind::Socks { remote_names: false },
            "socks5h" => Kind::Socks { remote_names: true },
            _ => return Err(unusable("the scheme is none of http, https, socks5, socks5h")),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, address) = match authority.rsplit_once('@') {
            Some((userinfo, address)) => (Some(User::parse(userinfo)), address),
            None => (None, authority),
        };
        let (host, port) = split_port(address);
        let host = Host::parse(host).map_err(|_| unusable("bad host"))?;
        let port = match port {
            Some(port) => {
                port.parse().ok().filter(|p| *p != 0).ok_or_else(|| unusable("bad port"))?
            }
            None if kind == Kind::Https => 443,
            None => 1080,
        };
        Ok(Self { kind, host, port, user })
    }

    /// `host:port`, for messages.
    pub(super) fn name(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Its host, borrowed.
    pub(super) fn host(&self) -> Host<&str> {
        match &self.host {
            Host::Domain(name) => Host::Domain(name),
            Host::Ipv4(ip) => Host::Ipv4(*ip),
            Host::Ipv6(ip) => Host::Ipv6(*ip),
        }
    }

    /// What a request carries that goes to it: `Proxy-Authorization`, where there is a user.
    pub(super) fn fields(&self) -> Result<Vec<Field>, http::Error> {
        let Some(user) = &self.user else { return Ok(Vec::new()) };
        let pair = [user.name.as_slice(), b":", &user.password].concat();
        let value = format!("Basic {}", STANDARD.encode(pair));
        Ok(vec![Field::new("Proxy-Authorization", value.as_bytes())?])
    }

    /// Asks an HTTP proxy over `pipe` for a tunnel to `host:port` (RFC 9110 section 9.3.6). It is
    /// told nothing else: no field of the user's.
    ///
    /// # Errors
    /// [`Failure::Proxy`] with the status when it refuses, without when it does not speak HTTP;
    /// [`Failure::Timeout`], [`Failure::Cancelled`].
    pub(super) fn tunnel(
        &self,
        pipe: &mut impl Pipe,
        host: &Host<&str>,
        port: u16,
        budget: &Budget,
    ) -> Result<(), Failure> {
        let mut request = format!(
            "CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: uget/{}\r\n",
            env!("CARGO_PKG_VERSION"),
        )
        .into_bytes();
        for field in self.fields().map_err(|e| refused(e.to_string(), None))? {
            request.extend([field.name().as_bytes(), b": ", field.value(), b"\r\n"].concat());
        }
        request.extend(b"\r\n");
        pipe.write_all(&request, budget).map_err(|e| self.broke(e))?;
        let head = self.read_head(pipe, budget)?;
        if (200..300).contains(&head.status) {
            return Ok(());
        }
        let reason = escape(&head.reason, REASON_SHOWN);
        Err(refused(
            format!("{} refuses the connection: {} {reason}", self.name(), head.status),
            Some(head.status),
        ))
    }

    fn read_head(&self, pipe: &mut impl Pipe, budget: &Budget) -> Result<Head, Failure> {
        let unclear = |why: String| refused(format!("{}: {why}", self.name()), None);
        let mut received = Vec::new();
        let mut chunk = vec![0; 4096];
        let mut interim = 0;
        loop {
            let parsed = Head::parse(&received).map_err(|e| unclear(e.to_string()))?;
            match parsed {
                Some((head, used)) if (100..200).contains(&head.status) => {
                    interim += 1;
                    if head.status == 101 || interim > INTERIM_MAX {
                        return Err(unclear("it answers with an interim status".to_owned()));
                    }
                    received.drain(..used.min(received.len()));
                }
                // The client speaks first in TLS: whatever follows is not the origin's.
                Some((head, used)) if used < received.len() && head.status < 300 => {
                    return Err(unclear("data before any request".to_owned()));
                }
                Some((head, _)) => return Ok(head),
                None if received.len() >= HEAD_MAX => {
                    return Err(unclear(http::Error::HeadTooLarge.to_string()));
                }
                None => {
                    let got = pipe.read(&mut chunk, budget).map_err(|e| self.broke(e))?;
                    if got == 0 {
                        return Err(unclear("it closed the connection".to_owned()));
                    }
                    received.extend_from_slice(chunk.get(..got).unwrap_or_default());
                }
            }
        }
    }

    /// What a failure on the way to or through this proxy is called.
    pub(super) fn broke(&self, failure: Failure) -> Failure {
        let because = |why: &str| refused(format!("{}: {why}", self.name()), None);
        match failure {
            Failure::Resolve { host, reason, fault } => Failure::Proxy {
                reason: format!("{host} does not resolve: {reason}"),
                status: None,
                unresolved: Some(fault),
            },
            Failure::Connect { reason, .. } => because(&reason),
            Failure::Receive { errno: 0 } => because("it closed the connection"),
            Failure::Receive { .. } => because("it reset the connection"),
            Failure::Tls { fault, reason } => {
                Failure::Tls { fault, reason: format!("proxy {}: {reason}", self.name()) }
            }
            other => other,
        }
    }
}

impl User {
    /// Reads `user[:password]`, percent-decoded.
    fn parse(userinfo: &str) -> Self {
        let (name, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        Self {
            name: percent_decode_str(name).collect(),
            password: percent_decode_str(password).collect(),
        }
    }
}

/// One entry of `no_proxy`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Exception {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    All,
    /// This name and everything below it; lower case, no dots at its ends.
    Name(String),
    Block(IpNet),
}

impl Exception {
    /// Reads a list, separated by commas or spaces, of `*`, names (a leading `.` or `*.` changes
    /// nothing), addresses and CIDR blocks, each with an optional port.
    fn list(text: &str) -> Vec<Self> {
        text.split([',', ' ', '\t'])
            .filter(|entry| !entry.is_empty())
            .filter_map(Self::parse)
            .collect()
    }

    fn parse(entry: &str) -> Option<Self> {
        if entry == "*" {
            return Some(Self { hosts: Hosts::All, port: None });
        }
        if let Some(block) = Hosts::block(entry) {
            return Some(Self { hosts: block, port: None });
        }
        let (host, port) = split_port(entry);
        let port = match port {
            Some(port) => Some(port.parse().ok()?),
            None => None,
        };
        let hosts = Hosts::block(host).unwrap_or_else(|| {
            let name = host.strip_prefix('*').unwrap_or(host);
            Hosts::Name(name.trim_matches('.').to_ascii_lowercase())
        });
        (hosts != Hosts::Name(String::new())).then_some(Self { hosts, port })
    }

    fn covers(&self, host: &Host<&str>, port: u16) -> bool {
        self.port.is_none_or(|p| p == port)
            && match (&self.hosts, host) {
                (Hosts::All, _) => true,
                (Hosts::Name(name), Host::Domain(host)) => {
                    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
                    host.strip_suffix(name.as_str())
                        .is_some_and(|front| front.is_empty() || front.ends_with('.'))
                }
                (Hosts::Block(block), Host::Ipv4(ip)) => block.contains(&IpAddr::from(*ip)),
                (Hosts::Block(block), Host::Ipv6(ip)) => block.contains(&IpAddr::from(*ip)),
                _ => false,
            }
    }
}

impl Hosts {
    /// An address, with or without brackets, or a block of them.
    fn block(text: &str) -> Option<Self> {
        let bare = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
            Some((base, bits)) if bits.is_empty() || bits.starts_with('/') => [base, bits].concat(),
            _ => text.to_owned(),
        };
        let block = bare.parse().or_else(|_| bare.parse::<IpAddr>().map(IpNet::from));
        block.ok().map(Self::Block)
    }
}

/// Splits `host:port`; an IPv6 address has brackets around it when a port follows.
fn split_port(address: &str) -> (&str, Option<&str>) {
    if address.starts_with('[') {
        return match address.split_once("]:") {
            Some((host, port)) => (address.get(..=host.len()).unwrap_or(host), Some(port)),
            None => (address, None),
        };
    }
    address.split_once(':').map_or((address, None), |(host, port)| (host, Some(port)))
}

/// A proxy's failure.
pub(super) fn refused(reason: String, status: Option<u16>) -> Failure {
    Failure::Proxy { reason, status, unresolved: None }
}

/// Characters of a reason phrase that are worth a line.
const REASON_SHOWN: usize = 80;

#[cfg(test)]
mod tests;
