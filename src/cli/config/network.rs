//! Proxies, addresses, trust: from flags, and from the variables that curl reads too.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use uget::{Error, Family, Options, Proxies, Resolve, Secret};
use url::Url;

use super::{
    super::args::{NetworkArgs, Switch, TlsArgs},
    surroundings::{Surroundings, usage},
};

/// Applies the flags of the network group.
///
/// # Errors
/// [`uget::ErrorKind::Usage`].
pub(super) fn apply(
    args: NetworkArgs,
    around: &Surroundings<'_>,
    options: &mut Options,
) -> Result<(), Error> {
    let network = &mut options.network;
    network.family = match (args.ipv4, args.ipv6) {
        (true, _) => Family::V4,
        (_, true) => Family::V6,
        _ => Family::Any,
    };
    network.resolve = args.resolve.iter().map(|text| resolve(text)).collect::<Result<_, _>>()?;
    if args.interface.as_ref().is_some_and(|name| name.is_empty() || name.contains('\0')) {
        return Err(usage("--interface: the name is empty"));
    }
    network.interface = args.interface;
    network.unix_socket = args.unix_socket;
    network.spread_ips = args.spread_ips != Some(Switch::Off);
    network.proxy = proxies(args.proxy, args.noproxy, around)?;
    if network.unix_socket.is_some() {
        network.proxy = Proxies::default();
    }
    Ok(())
}

/// Applies the flags of the TLS group.
///
/// # Errors
/// [`uget::ErrorKind::Usage`].
pub(super) fn apply_tls(
    args: TlsArgs,
    around: &Surroundings<'_>,
    options: &mut Options,
) -> Result<(), Error> {
    if let Some(pins) = &args.pinned_pubkey
        && !pins.split(';').all(|pin| pin.starts_with("sha256//") && pin.len() > 8)
    {
        let error = usage("--pinned-pubkey: expected sha256//BASE64");
        return Err(error.with_hint("several are joined by ';'; files of keys are not read"));
    }
    let tls = &mut options.tls;
    tls.ca_file = args.cacert;
    tls.ca_directory = args.capath;
    // curl's order: its own variable goes before OpenSSL's.
    tls.env_ca_file = around.path("CURL_CA_BUNDLE").or_else(|| around.path("SSL_CERT_FILE"));
    tls.env_ca_directory = around.path("SSL_CERT_DIR").and_then(first_directory);
    tls.insecure = args.insecure;
    tls.certificate = args.cert;
    tls.key = args.key;
    tls.tls13_only = args.tls_min.as_deref() == Some("1.3");
    tls.pinned_pubkey = args.pinned_pubkey;
    Ok(())
}

/// OpenSSL takes a list joined by colons; the first that exists is used.
fn first_directory(list: PathBuf) -> Option<PathBuf> {
    if !list.as_os_str().as_encoded_bytes().contains(&b':') {
        return Some(list);
    }
    std::env::split_paths(&list).find(|path| path.is_dir())
}

/// curl's rules: `--proxy` replaces every variable; `http_proxy` counts in lower case alone,
/// because a CGI server sets `HTTP_PROXY` from a request's `Proxy` field; lower case goes first
/// elsewhere.
fn proxies(
    proxy: Option<String>,
    noproxy: Option<String>,
    around: &Surroundings<'_>,
) -> Result<Proxies, Error> {
    let either = |lower: &str, upper: &str| match around.text(lower)? {
        None => around.text(upper),
        found => Ok(found),
    };
    let no_proxy = match noproxy {
        Some(list) => list,
        None => either("no_proxy", "NO_PROXY")?.unwrap_or_default(),
    };
    if let Some(text) = proxy {
        let all = if text.is_empty() { None } else { Some(flag_proxy(&text)?) };
        return Ok(Proxies { all, no_proxy, ..Proxies::default() });
    }
    let with_scheme = |text: Option<String>| text.map(|text| Secret(schemed(&text)));
    Ok(Proxies {
        http: with_scheme(around.text("http_proxy")?),
        https: with_scheme(either("https_proxy", "HTTPS_PROXY")?),
        all: with_scheme(either("all_proxy", "ALL_PROXY")?),
        no_proxy,
    })
}

fn flag_proxy(text: &str) -> Result<Secret, Error> {
    let text = schemed(text);
    let known = ["http", "https", "socks5", "socks5h"];
    match Url::parse(&text) {
        Ok(url) if !known.contains(&url.scheme()) => {
            Err(usage(format!("--proxy: unsupported scheme {}", url.scheme()))
                .with_hint("http, https, socks5 and socks5h work"))
        }
        Ok(url) if url.host_str().is_some_and(|host| !host.is_empty()) => Ok(Secret(text)),
        _ => Err(usage("--proxy: unusable URL").with_hint("a proxy looks like http://host:3128")),
    }
}

fn schemed(text: &str) -> String {
    if text.contains("://") { text.to_owned() } else { format!("http://{text}") }
}

/// `HOST:PORT:ADDR[,ADDR]`; IPv6 addresses with or without brackets.
fn resolve(text: &str) -> Result<Resolve, Error> {
    let parse = || {
        let (host, rest) = match text.strip_prefix('[') {
            Some(bracketed) => {
                let (host, rest) = bracketed.split_once(']')?;
                (format!("[{host}]"), rest.strip_prefix(':')?)
            }
            None => text.split_once(':').map(|(host, rest)| (host.to_owned(), rest))?,
        };
        let (port, addresses) = rest.split_once(':')?;
        let port = port.parse::<u16>().ok().filter(|&port| port > 0)?;
        let address = |text: &str| {
            let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
            bare.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, port))
        };
        let addresses = addresses.split(',').map(address).collect::<Option<Vec<_>>>()?;
        (!host.is_empty()).then(|| Resolve { host: host.to_ascii_lowercase(), port, addresses })
    };
    parse().ok_or_else(|| {
        usage(format!("--resolve: expected HOST:PORT:ADDR, got {text}"))
            .with_hint("for instance example.org:443:192.0.2.7")
    })
}
