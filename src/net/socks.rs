//! SOCKS5 (RFC 1928) with user and password (RFC 1929).

use std::net::SocketAddr;

use url::Host;

use super::{
    budget::Budget,
    proxy::{Proxy, User, refused},
    stream::Pipe,
};
use crate::orders::Failure;

/// Where a SOCKS proxy is asked to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Destination<'a> {
    /// An address that was resolved here, or was one from the start.
    Address(SocketAddr),
    /// A name for the proxy to resolve.
    Name(&'a str, u16),
}

impl<'a> Destination<'a> {
    /// `host` as the proxy is to see it; `None` for a name that must be resolved here first.
    pub(super) fn of(host: &Host<&'a str>, port: u16, remote_names: bool) -> Option<Self> {
        match host {
            Host::Ipv4(ip) => Some(Self::Address(SocketAddr::new((*ip).into(), port))),
            Host::Ipv6(ip) => Some(Self::Address(SocketAddr::new((*ip).into(), port))),
            Host::Domain(name) if remote_names => Some(Self::Name(name, port)),
            Host::Domain(_) => None,
        }
    }
}

/// Asks the SOCKS5 proxy at the other end of `pipe` to connect to `to`.
///
/// # Errors
/// [`Failure::Proxy`] when it refuses or does not speak SOCKS5; [`Failure::Timeout`],
/// [`Failure::Cancelled`].
pub(super) fn ask(
    proxy: &Proxy,
    pipe: &mut impl Pipe,
    to: &Destination<'_>,
    budget: &Budget,
) -> Result<(), Failure> {
    let because = |why: &str| refused(format!("{}: {why}", proxy.name()), None);
    let methods: &[u8] = if proxy.user.is_some() {
        &[VERSION, 2, NO_AUTH, PASSWORD]
    } else {
        &[VERSION, 1, NO_AUTH]
    };
    pipe.write_all(methods, budget).map_err(|e| proxy.broke(e))?;
    match (read::<2>(proxy, pipe, budget)?, &proxy.user) {
        ([VERSION, NO_AUTH], _) => {}
        ([VERSION, PASSWORD], Some(user)) => {
            let login = login(user).ok_or_else(|| because("user or password is too long"))?;
            pipe.write_all(&login, budget).map_err(|e| proxy.broke(e))?;
            if read::<2>(proxy, pipe, budget)?[1] != 0 {
                return Err(because("it refuses user and password"));
            }
        }
        ([VERSION, NONE_SUITS], None) => return Err(because("it wants a user and a password")),
        ([VERSION, _], _) => return Err(because("it wants another authentication")),
        _ => return Err(because("it does not speak SOCKS5")),
    }
    let request = request(to).ok_or_else(|| because("the host's name is too long"))?;
    pipe.write_all(&request, budget).map_err(|e| proxy.broke(e))?;
    let [version, reply, _, kind] = read::<4>(proxy, pipe, budget)?;
    if version != VERSION {
        return Err(because("it does not speak SOCKS5"));
    }
    if reply != 0 {
        return Err(because(reply_words(reply)));
    }
    // The address it connects from, which interests nobody, ends the reply.
    let rest = match kind {
        IPV4 => 4,
        IPV6 => 16,
        NAME => usize::from(read::<1>(proxy, pipe, budget)?[0]),
        _ => return Err(because("it does not speak SOCKS5")),
    };
    let mut address = vec![0; rest + 2];
    pipe.read_exact(&mut address, budget).map_err(|e| proxy.broke(e))
}

fn read<const N: usize>(
    proxy: &Proxy,
    pipe: &mut impl Pipe,
    budget: &Budget,
) -> Result<[u8; N], Failure> {
    let mut octets = [0; N];
    pipe.read_exact(&mut octets, budget).map_err(|e| proxy.broke(e))?;
    Ok(octets)
}

/// RFC 1929 section 2.
fn login(user: &User) -> Option<Vec<u8>> {
    let mut login = vec![1, u8::try_from(user.name.len()).ok()?];
    login.extend(&user.name);
    login.push(u8::try_from(user.password.len()).ok()?);
    login.extend(&user.password);
    Some(login)
}

/// RFC 1928 section 4.
fn request(to: &Destination<'_>) -> Option<Vec<u8>> {
    let mut request = vec![VERSION, CONNECT, 0];
    let port = match to {
        Destination::Address(SocketAddr::V4(v4)) => {
            request.push(IPV4);
            request.extend(v4.ip().octets());
            v4.port()
        }
        Destination::Address(SocketAddr::V6(v6)) => {
            request.push(IPV6);
            request.extend(v6.ip().octets());
            v6.port()
        }
        Destination::Name(name, port) => {
            request.extend([NAME, u8::try_from(name.len()).ok()?]);
            request.extend(name.as_bytes());
            *port
        }
    };
    request.extend(port.to_be_bytes());
    Some(request)
}

/// RFC 1928 section 6.
fn reply_words(reply: u8) -> &'static str {
    match reply {
        1 => "general failure",
        2 => "its rules do not allow the connection",
        3 => "it finds the network unreachable",
        4 => "it finds the host unreachable",
        5 => "it finds the connection refused",
        6 => "the time to live has expired",
        7 => "it does not know how to connect",
        8 => "it does not know this kind of address",
        _ => "it refuses the connection",
    }
}

const VERSION: u8 = 5;
const NO_AUTH: u8 = 0;
const PASSWORD: u8 = 2;
const NONE_SUITS: u8 = 0xff;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;
