//! Names to addresses: one lookup per name and download, on a thread that nobody has to wait for.
//!
//! getaddrinfo(3) cannot be interrupted, so it runs on a detached thread, and whoever asked waits
//! for its answer only as long as the connection's budget lasts.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use dns_lookup::{AddrInfoHints, LookupError, LookupErrorKind, SockType, getaddrinfo};
use url::Host;

use super::budget::Budget;
use crate::{
    options::{Family, Network, Resolve},
    orders::{Failure, NameFault, Phase},
};

/// Looks names up and remembers the answers for one download.
#[derive(Debug)]
pub(crate) struct Resolver {
    family: Family,
    fixed: Vec<Resolve>,
    zone: Option<u32>,
    known: Mutex<BTreeMap<(String, u16), Arc<Lookup>>>,
    ask: Ask,
}

/// What asks the system: replaced in tests.
type Ask = fn(&str, u16) -> Answer;

/// The addresses of a name, or why there are none: in words, and whether for good.
type Answer = Result<Vec<SocketAddr>, (String, NameFault)>;

impl Resolver {
    /// One that follows `network`'s `--resolve`, `-4`, `-6` and zone.
    ///
    /// # Errors
    /// [`Failure::Connect`] when the zone names no interface.
    pub(crate) fn new(network: &Network) -> Result<Self, Failure> {
        let zone = network.zone.as_deref().map(zone_index).transpose()?;
        Ok(Self {
            family: network.family,
            fixed: network.resolve.clone(),
            zone,
            known: Mutex::default(),
            ask: system,
        })
    }

    /// The addresses of `host`, of the families that are allowed, in the system's order; never
    /// empty. Literals, `localhost` (RFC 6761 section 6.3) and `--resolve` ask nobody.
    ///
    /// # Errors
    /// [`Failure::Resolve`], [`Failure::Timeout`], [`Failure::Cancelled`].
    pub(crate) fn addresses(
        &self,
        host: &Host<&str>,
        port: u16,
        budget: &Budget,
    ) -> Result<Vec<SocketAddr>, Failure> {
        let all = match self.without_asking(host, port) {
            Some(known) => known,
            None => self.look_up(&host.to_string(), port, budget)?,
        };
        let usable: Vec<_> = all.into_iter().filter(|a| self.family.allows(a.ip())).collect();
        if usable.is_empty() {
            let family = if self.family == Family::V6 { "IPv6" } else { "IPv4" };
            return Err(unresolved(host, (format!("no {family} address"), NameFault::Unknown)));
        }
        Ok(usable)
    }

    /// Drops the answer for a name, because none of its addresses could be reached: the next
    /// connection asks again.
    pub(crate) fn forget(&self, host: &Host<&str>, port: u16) {
        lock(&self.known).remove(&(host.to_string(), port));
    }

    fn without_asking(&self, host: &Host<&str>, port: u16) -> Option<Vec<SocketAddr>> {
        let name = host.to_string();
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let fixed = |r: &&Resolve| {
            r.port == port && (r.host == "*" || r.host.trim_matches(['[', ']']) == bare)
        };
        if let Some(fixed) = self.fixed.iter().rev().find(fixed) {
            return Some(fixed.addresses.clone());
        }
        match host {
            Host::Ipv4(v4) => Some(vec![SocketAddr::from((*v4, port))]),
            Host::Ipv6(v6) => {
                let scope = if v6.is_unicast_link_local() { self.zone.unwrap_or(0) } else { 0 };
                Some(vec![SocketAddrV6::new(*v6, port, 0, scope).into()])
            }
            Host::Domain(name) if is_localhost(name) => Some(vec![
                SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
                SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            ]),
            Host::Domain(_) => None,
        }
    }

    /// Waits for the one lookup of this name, which the first caller starts.
    fn look_up(&self, name: &str, port: u16, budget: &Budget) -> Result<Vec<SocketAddr>, Failure> {
        let key = (name.to_owned(), port);
        let lookup = {
            let mut known = lock(&self.known);
            match known.get(&key) {
                Some(lookup) => Arc::clone(lookup),
                None => {
                    let lookup = Lookup::start(self.ask, name, port).map_err(|e| {
                        let why = format!("no thread to look it up: {e}");
                        unresolved(&name, (why, NameFault::Temporary))
                    })?;
                    known.insert(key.clone(), Arc::clone(&lookup));
                    lookup
                }
            }
        };
        lookup.wait(budget)?.map_err(|why| {
            let mut known = lock(&self.known);
            if known.get(&key).is_some_and(|l| Arc::ptr_eq(l, &lookup)) {
                known.remove(&key);
            }
            unresolved(&name, why)
        })
    }
}

/// Takes an IPv6 zone (RFC 6874, `%25eth0`, or a bare `%eth0`) out of a URL's host, because a
/// [`url::Url`] cannot hold one. Returns the URL without it, and the zone, which belongs into
/// [`Network::zone`].
pub(crate) fn split_zone(url: &str) -> (String, Option<String>) {
    let untouched = || (url.to_owned(), None);
    let Some((scheme, rest)) = url.split_once("://") else { return untouched() };
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (userinfo, host) =
        authority.rfind('@').map_or(("", authority), |at| authority.split_at(at + 1));
    let Some((literal, port)) = host.strip_prefix('[').and_then(|h| h.split_once(']')) else {
        return untouched();
    };
    let Some((address, zone)) = literal.split_once('%') else { return untouched() };
    let zone = zone.strip_prefix("25").filter(|z| !z.is_empty()).unwrap_or(zone);
    (format!("{scheme}://{userinfo}[{address}]{port}{path}"), Some(zone.to_owned()))
}

impl Family {
    fn allows(self, ip: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => ip.is_ipv4(),
            Self::V6 => ip.is_ipv6(),
        }
    }
}

/// One question to the system, and its answer once it is there.
#[derive(Debug, Default)]
struct Lookup {
    answer: Mutex<Option<Answer>>,
    answered: Condvar,
}

impl Lookup {
    fn start(ask: Ask, name: &str, port: u16) -> io::Result<Arc<Self>> {
        let lookup = Arc::new(Self::default());
        let (theirs, name) = (Arc::clone(&lookup), name.to_owned());
        thread::Builder::new().name("resolve".to_owned()).spawn(move || {
            let answer = ask(&name, port);
            *lock(&theirs.answer) = Some(answer);
            theirs.answered.notify_all();
        })?;
        Ok(lookup)
    }

    fn wait(&self, budget: &Budget) -> Result<Answer, Failure> {
        let mut answer = lock(&self.answer);
        loop {
            if let Some(answer) = &*answer {
                return Ok(answer.clone());
            }
            let wait = budget.slice(Phase::Resolve, None)?;
            answer =
                self.answered.wait_timeout(answer, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// getaddrinfo(3), each address once.
fn system(name: &str, port: u16) -> Answer {
    let hints = AddrInfoHints { socktype: SockType::Stream.into(), ..AddrInfoHints::default() };
    let found = getaddrinfo(Some(name), None, Some(hints)).map_err(|e| unanswered(&e))?;
    let mut all: Vec<SocketAddr> = Vec::new();
    // An address of a family that is neither IPv4 nor IPv6 is of no use.
    for mut address in found.filter_map(Result::ok).map(|info| info.sockaddr) {
        address.set_port(port);
        if !all.contains(&address) {
            all.push(address);
        }
    }
    Ok(all)
}

/// The resolver's own words, without the introduction, and whether to ask again. A name server that
/// fails, or that cannot be reached yet, is EAI_AGAIN; a lack of memory or descriptors passes too.
fn unanswered(error: &LookupError) -> (String, NameFault) {
    let words = error.to_string();
    let words = words.strip_prefix("failed to lookup address information: ").unwrap_or(&words);
    let fault = match error.kind() {
        LookupErrorKind::Again | LookupErrorKind::Memory | LookupErrorKind::System => {
            NameFault::Temporary
        }
        _ => NameFault::Unknown,
    };
    (words.to_lowercase(), fault)
}

fn unresolved(host: &impl ToString, (reason, fault): (String, NameFault)) -> Failure {
    Failure::Resolve { host: host.to_string(), reason, fault }
}

fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost")
}

/// An interface's index, from its name or its number (RFC 4007 section 11.2).
fn zone_index(zone: &str) -> Result<u32, Failure> {
    if let Ok(index) = zone.parse() {
        return Ok(index);
    }
    let path = format!("/sys/class/net/{zone}/ifindex");
    let found = if zone.contains('/') { None } else { std::fs::read_to_string(path).ok() };
    found.and_then(|text| text.trim().parse().ok()).ok_or_else(|| Failure::Connect {
        target: format!("%{zone}"),
        reason: "no such network interface".to_owned(),
        errno: rustix::io::Errno::NODEV.raw_os_error(),
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
