//! The flags for what no server has.

use clap::Args;

/// Where objects come from that no server has.
#[derive(Args, Debug)]
#[command(next_help_heading = "Without a server")]
pub(crate) struct SourceArgs {
    /// Take a file, given by its path in place of the URL, from where COMMAND runs a shell: it is
    /// run with one more argument, as in --via 'kubectl exec -i POD -- sh -c'
    #[arg(
        long,
        value_name = "COMMAND",
        conflicts_with_all = OF_SERVERS
    )]
    pub(crate) via: Option<String>,
}

/// What speaks of servers and the way to them.
const OF_SERVERS: [&str; 28] = [
    "remote_name",
    "mirrors",
    "headers",
    "header_env",
    "user_agent",
    "referer",
    "user",
    "oauth2_bearer",
    "netrc",
    "netrc_file",
    "cookie",
    "max_redirs",
    "allow_downgrade",
    "proxy",
    "noproxy",
    "ipv4",
    "ipv6",
    "resolve",
    "interface",
    "unix_socket",
    "spread_ips",
    "cacert",
    "capath",
    "insecure",
    "cert",
    "key",
    "tls_min",
    "pinned_pubkey",
];
