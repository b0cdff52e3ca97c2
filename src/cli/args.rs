//! The command line: every flag, grouped by task, and nothing else. What flags mean together is
//! for `config` to say.

mod source;
mod unpack;

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, builder::NonEmptyStringValueParser};
use uget::{Algorithm, Digest, EngineChoice, Pin, RangeSpec};

use self::source::SourceArgs;
pub(crate) use self::unpack::UnpackArgs;
use super::{bench::BenchArgs, check::FilesArgs, exit, serve::ServeArgs, size};

/// A downloader for when a big file must be on this machine now, and right.
#[derive(Debug, Parser)]
#[command(
    name = "uget",
    version,
    disable_help_subcommand = true,
    args_override_self = true,
    args_conflicts_with_subcommands = true,
    max_term_width = HELP_WIDTH,
    override_usage = USAGE,
    about = ABOUT,
    after_help = "Run 'uget --help' for details, exit codes and when parallelism helps.",
    after_long_help = long_help()
)]
pub(crate) struct Cli {
    /// A URL has a scheme, so none can be taken for one of these.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// What to download: an http or https URL
    #[arg(value_name = "URL", hide = true)]
    pub(crate) urls: Vec<String>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) unpack: UnpackArgs,
    #[command(flatten)]
    pub(crate) parallel: ParallelArgs,
    #[command(flatten)]
    pub(crate) check: CheckArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) request: RequestArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) display: DisplayArgs,
}

/// What else the program does.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(ServeArgs),
    Bench(BenchArgs),
    Check(FilesArgs),
}

/// Where the bytes go.
#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Write to FILE (into it, if it is a directory), replacing it; '-' is standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Write into DIR, under a name taken from the URL
    #[arg(
        short = 'P',
        long,
        visible_alias = "output-dir",
        value_name = "DIR",
        conflicts_with = "output"
    )]
    pub(crate) directory_prefix: Option<PathBuf>,
    /// Take the name from Content-Disposition where the server sends one
    #[arg(long, conflicts_with = "output")]
    pub(crate) remote_name: bool,
    /// Only these bytes: FIRST-LAST, both included, FIRST- to the end, or -LENGTH, the last ones
    #[arg(long, value_name = "A-B", allow_negative_numbers = true)]
    pub(crate) range: Option<RangeSpec>,
    /// Write the head of the answer that is accepted to FILE; '-' is standard output
    #[arg(short = 'D', long, value_name = "FILE")]
    pub(crate) dump_header: Option<PathBuf>,
    /// Sync data and directory before the name is published (default: when a digest is given)
    #[arg(long, conflicts_with = "no_fsync")]
    pub(crate) fsync: bool,
    /// Never sync
    #[arg(long)]
    pub(crate) no_fsync: bool,
    /// Accepted for habit's sake: resuming is the default
    #[arg(short = 'c', long = "continue", conflicts_with = "no_resume")]
    pub(crate) resume: bool,
    /// Accepted as '-C -': resuming is the default, and uget finds the offset itself
    #[arg(
        short = 'C',
        long,
        value_name = "-",
        allow_hyphen_values = true,
        conflicts_with = "no_resume"
    )]
    pub(crate) continue_at: Option<String>,
    /// Start anew whatever an earlier run left, and leave nothing after a failure
    #[arg(long)]
    pub(crate) no_resume: bool,
    /// Download even what is there already and up to date
    #[arg(long)]
    pub(crate) force: bool,
    /// Start over, once, when the resource changed
    #[arg(long)]
    pub(crate) restart_on_change: bool,
}

/// How many connections, and on what.
#[derive(Args, Debug)]
#[command(next_help_heading = "Parallelism")]
pub(crate) struct ParallelArgs {
    /// Connections: 1 to 256, or auto (as many as help, at most 16); 1 is one plain GET
    #[arg(
        short = 'j',
        long,
        visible_aliases = ["parallel", "download-concurrency"],
        value_name = "N|auto",
        value_parser = connections
    )]
    pub(crate) connections: Option<Wanted>,
    /// Fixed part size; by default it follows rate and round trip
    #[arg(
        long,
        visible_aliases = ["chunk-size", "download-chunk-size"],
        value_name = "SIZE",
        value_parser = size::bytes_nonzero
    )]
    pub(crate) part_size: Option<u64>,
    /// The least that is worth a connection (default 1MiB)
    #[arg(long, value_name = "SIZE", value_parser = size::bytes_nonzero)]
    pub(crate) min_split: Option<u64>,
    /// What window and buffers of a stream (-o -) take at most (default 128MiB, at least 2MiB)
    #[arg(long, value_name = "SIZE", value_parser = size::memory)]
    pub(crate) memory: Option<u64>,
    /// What moves the bytes: auto, uring or epoll
    #[arg(long, value_name = "ENGINE", value_parser = engine)]
    pub(crate) engine: Option<EngineChoice>,
    /// What must tie the ranges together: auto, require (or fail) or none (trust lengths alone)
    #[arg(long, value_name = "PIN", value_parser = pin)]
    pub(crate) pin: Option<Pin>,
    /// Another URL of the same file; repeatable
    #[arg(long = "mirror", value_name = "URL")]
    pub(crate) mirrors: Vec<String>,
}

/// What the object must be.
#[derive(Args, Debug)]
#[command(next_help_heading = "Checking")]
pub(crate) struct CheckArgs {
    /// Publish only if the SHA-256 is HEX
    #[arg(long, value_name = "HEX", value_parser = sha256)]
    pub(crate) sha256: Option<Digest>,
    /// The same for sha256, sha512, sha384, sha224, sha1, md5 or blake3; repeatable
    #[arg(long = "digest", value_name = "ALGO:HEX")]
    pub(crate) digests: Vec<Digest>,
    /// Publish only what this list (SHA256SUMS and the like) names, and as it says; repeatable
    #[arg(long, value_name = "FILE|URL")]
    pub(crate) checksums: Vec<String>,
    /// Ask for a list beside the file, too, at its URL with SUFFIX (.sha256) behind its path
    #[arg(long, value_name = "SUFFIX", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) checksum_suffix: Option<String>,
    /// Fail if no digest of the file is given or listed
    #[arg(long)]
    pub(crate) require_digest: bool,
    /// Compute a digest and report it (sha256 unless named); repeatable
    #[arg(
        long = "print-digest",
        value_name = "ALGO",
        num_args = 0..=1,
        action = ArgAction::Append,
        require_equals = true,
        default_missing_value = "sha256"
    )]
    pub(crate) print_digests: Vec<Algorithm>,
    /// Refuse anything larger
    #[arg(long, value_name = "SIZE", value_parser = size::bytes)]
    pub(crate) max_size: Option<u64>,
}

/// Patience.
#[derive(Args, Debug)]
#[command(next_help_heading = "Retries and time limits (seconds, decimals allowed)")]
pub(crate) struct LimitArgs {
    /// Attempts in a row without progress (default 5)
    #[arg(long, value_name = "N", value_parser = size::count)]
    pub(crate) retries: Option<u32>,
    /// The same as --retries 0
    #[arg(long, conflicts_with = "retries")]
    pub(crate) fail_fast: bool,
    /// Fail where a server asks to wait longer than this (default 300)
    #[arg(long, value_name = "S", value_parser = size::seconds)]
    pub(crate) retry_after_max: Option<Duration>,
    /// Start no retry later than this
    #[arg(long, value_name = "S", value_parser = size::seconds)]
    pub(crate) retry_max_time: Option<Duration>,
    /// Retry every failure that is not this machine's
    #[arg(long, conflicts_with = "fail_fast")]
    pub(crate) retry_all_errors: bool,
    /// Limit on resolving, connecting and the TLS handshake together (default 10)
    #[arg(long, value_name = "S", value_parser = size::seconds)]
    pub(crate) connect_timeout: Option<Duration>,
    /// Limit on receiving nothing (default 30)
    #[arg(long, value_name = "S", value_parser = size::seconds)]
    pub(crate) stall_timeout: Option<Duration>,
    /// Limit on the whole download
    #[arg(long, visible_alias = "timeout", value_name = "S", value_parser = size::seconds)]
    pub(crate) max_time: Option<Duration>,
}

/// What is sent.
#[derive(Args, Debug)]
#[command(next_help_heading = "Request and credentials (for the first origin only)")]
pub(crate) struct RequestArgs {
    /// Let the content be coded on its way (gzip, br, zstd), and decode it; one stream, no resuming
    #[arg(long, conflicts_with_all = ["range", "extract", "decompress"])]
    pub(crate) compressed: bool,
    /// Send this field, or the lines of FILE; repeatable
    #[arg(short = 'H', long = "header", value_name = "'N: V'|@FILE")]
    pub(crate) headers: Vec<String>,
    /// Send the field NAME with the value of an environment variable; repeatable
    #[arg(long, value_name = "NAME=ENVVAR")]
    pub(crate) header_env: Vec<String>,
    /// User-Agent instead of uget/VERSION
    #[arg(short = 'A', long, value_name = "TEXT")]
    pub(crate) user_agent: Option<String>,
    /// Referer
    #[arg(short = 'e', long, value_name = "URL")]
    pub(crate) referer: Option<String>,
    /// Basic authentication
    #[arg(short, long, value_name = "USER:PASS", conflicts_with = "oauth2_bearer")]
    pub(crate) user: Option<String>,
    /// Bearer authentication
    #[arg(long, value_name = "TOKEN")]
    pub(crate) oauth2_bearer: Option<String>,
    /// Look the host up in ~/.netrc (or $NETRC)
    #[arg(short = 'n', long)]
    pub(crate) netrc: bool,
    /// Look the host up in FILE
    #[arg(long, value_name = "FILE")]
    pub(crate) netrc_file: Option<PathBuf>,
    /// Send these cookies ('NAME=VALUE; ...'), or those of a Netscape cookie file
    #[arg(short = 'b', long, value_name = "DATA|FILE")]
    pub(crate) cookie: Option<String>,
    /// Redirects to follow (default 50)
    #[arg(long, value_name = "N", value_parser = size::count)]
    pub(crate) max_redirs: Option<u32>,
    /// Let https redirect to http
    #[arg(long)]
    pub(crate) allow_downgrade: bool,
}

/// The way there.
#[derive(Args, Debug)]
#[command(next_help_heading = "Network")]
pub(crate) struct NetworkArgs {
    /// Go through this proxy (http, https, socks5 or socks5h); '' is none
    #[arg(short = 'x', long, value_name = "URL")]
    pub(crate) proxy: Option<String>,
    /// Hosts reached without a proxy, comma-separated; '*' is all
    #[arg(long, value_name = "LIST")]
    pub(crate) noproxy: Option<String>,
    /// IPv4 alone
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub(crate) ipv4: bool,
    /// IPv6 alone
    #[arg(short = '6', long)]
    pub(crate) ipv6: bool,
    /// Addresses for a host and port, instead of asking a resolver; repeatable
    #[arg(long, value_name = "HOST:PORT:ADDR[,ADDR]")]
    pub(crate) resolve: Vec<String>,
    /// Connect from this interface or local address
    #[arg(long, value_name = "NAME|ADDR")]
    pub(crate) interface: Option<String>,
    /// Connect to this Unix socket instead of any address
    #[arg(long, value_name = "PATH", conflicts_with = "proxy")]
    pub(crate) unix_socket: Option<PathBuf>,
    /// Spread connections over all addresses of a name (default on)
    #[arg(long, value_name = "on|off", hide_possible_values = true)]
    pub(crate) spread_ips: Option<Switch>,
}

/// Trust and identity.
#[derive(Args, Debug)]
#[command(next_help_heading = "TLS")]
pub(crate) struct TlsArgs {
    /// Trust the CA certificates (PEM) of FILE instead of the system's
    #[arg(long, value_name = "FILE")]
    pub(crate) cacert: Option<PathBuf>,
    /// Trust those of a directory instead
    #[arg(long, value_name = "DIR")]
    pub(crate) capath: Option<PathBuf>,
    /// Trust everything: anyone on the way may read and change what is downloaded
    #[arg(short = 'k', long)]
    pub(crate) insecure: bool,
    /// The client's certificate chain (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) cert: Option<PathBuf>,
    /// The client's private key (PEM; by default in the same file)
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
    /// The oldest TLS to speak: 1.2 or 1.3
    #[arg(long, value_name = "VERSION", hide_possible_values = true, value_parser = ["1.2", "1.3"])]
    pub(crate) tls_min: Option<String>,
    /// Insist on the server's public key: sha256//BASE64, several joined by ';'
    #[arg(long, value_name = "HASH")]
    pub(crate) pinned_pubkey: Option<String>,
}

/// What is said.
#[derive(Args, Debug)]
#[command(next_help_heading = "Messages")]
pub(crate) struct DisplayArgs {
    /// Say nothing but errors
    #[arg(short, long, conflicts_with_all = ["verbose", "progress"])]
    pub(crate) quiet: bool,
    /// Say what is decided and why
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Print one JSON report on standard output instead of the summary line
    #[arg(long)]
    pub(crate) json: bool,
    /// Progress on standard error: auto (a live line on a terminal), tty, json or none
    #[arg(long, value_name = "MODE", hide_possible_values = true)]
    pub(crate) progress: Option<ProgressMode>,
    /// The same as --progress none
    #[arg(long, conflicts_with = "progress")]
    pub(crate) no_progress: bool,
}

/// How many connections were asked for; unlimited, so that a silly number can be clamped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// As many as the size is worth.
    Auto,
    /// This many; saturated.
    Exactly(usize),
}

/// `on` or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

/// `--progress`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressMode {
    /// A live line where it can be drawn.
    #[default]
    Auto,
    /// A live line, whatever standard error is.
    Tty,
    /// One event a line.
    Json,
    /// Nothing.
    None,
}

/// Parses `-j`. A number of any length is a number: it is clamped, not refused.
///
/// # Errors
/// In words, for zero and for what is neither a number nor `auto`.
pub(crate) fn connections(text: &str) -> Result<Wanted, String> {
    if text.eq_ignore_ascii_case("auto") {
        return Ok(Wanted::Auto);
    }
    let number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<usize>() {
        Ok(n @ 1..) if number => Ok(Wanted::Exactly(n)),
        Err(_) if number => Ok(Wanted::Exactly(usize::MAX)),
        _ => Err("expected a number from 1 to 256, or auto".to_owned()),
    }
}

/// Parses `--engine`. `threads` is what epoll was called, and means the same.
///
/// # Errors
/// In words.
pub(crate) fn engine(text: &str) -> Result<EngineChoice, String> {
    match text {
        "auto" => Ok(EngineChoice::Auto),
        "uring" | "io_uring" => Ok(EngineChoice::Uring),
        "epoll" | "threads" => Ok(EngineChoice::Epoll),
        _ => Err("expected auto, uring or epoll".to_owned()),
    }
}

/// Parses `--pin`.
///
/// # Errors
/// In words.
pub(crate) fn pin(text: &str) -> Result<Pin, String> {
    match text {
        "auto" => Ok(Pin::Auto),
        "require" => Ok(Pin::Require),
        "none" => Ok(Pin::None),
        _ => Err("expected auto, require or none".to_owned()),
    }
}

fn sha256(text: &str) -> Result<Digest, String> {
    Digest::new(Algorithm::Sha256, text.trim())
}

fn long_help() -> String {
    format!("{PARALLELISM}\n\n{ENVIRONMENT}\n\n{}", exit::HELP)
}

const ABOUT: &str =
    "Downloads URL over many HTTP/1.1 range connections; publishes nothing until it is whole";
const USAGE: &str = "uget [OPTIONS] URL
       uget [OPTIONS] --via COMMAND PATH
       uget serve [OPTIONS] [DIR]
       uget bench [OPTIONS]
       uget check [OPTIONS] FILE...";
const HELP_WIDTH: usize = 98;
const PARALLELISM: &str = "\
When parallelism helps, and when it hurts:
  Several connections help where one is held back: on long fast paths, where a single TCP window
  fills only a share of the line, and against servers that limit each connection. The gain is
  largest up to about four and flattens after that. They do not help where the disk, this
  machine's line or the server as a whole is the limit, and they hurt servers that count
  connections: those answer 429 or 503, and uget then uses fewer. Where little time is left
  one connection is best, which is what -j auto does. When in doubt, measure: compare -j1 and -j8.";

const ENVIRONMENT: &str = "\
Environment:
  UGET_CONNECTIONS, UGET_PART_SIZE, UGET_MIN_SPLIT, UGET_ENGINE, UGET_PIN, UGET_RETRIES,
  UGET_CONNECT_TIMEOUT, UGET_STALL_TIMEOUT, UGET_MAX_TIME, UGET_MAX_SIZE, UGET_PROGRESS,
  UGET_USER_AGENT
      defaults for the flags of those names
  http_proxy, https_proxy, all_proxy, no_proxy
      as in curl; all but http_proxy also in upper case
  SSL_CERT_FILE, SSL_CERT_DIR, CURL_CA_BUNDLE
      CA certificates instead of the system's
  NETRC, HOME
      where --netrc looks
  NO_COLOR, TERM=dumb
      no live line, unless --progress tty asks for it";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use expect_test::expect_file;

    use super::*;

    #[test]
    fn flags_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_is_as_documented() {
        let short = Cli::command().term_width(HELP_WIDTH).render_help().to_string();
        expect_file!["golden/help.txt"].assert_eq(&short);
        let long = Cli::command().term_width(HELP_WIDTH).render_long_help().to_string();
        for line in short.lines().chain(long.lines()) {
            assert!(line.chars().count() < 100, "too wide: {line}");
        }
        for section in ["When parallelism helps", "Exit codes", "Environment:"] {
            assert!(long.contains(section), "{section}");
        }
    }

    #[test]
    fn numbers_of_connections() {
        assert_eq!(connections("auto"), Ok(Wanted::Auto));
        assert_eq!(connections("16"), Ok(Wanted::Exactly(16)));
        assert_eq!(connections("99999999999999999999999"), Ok(Wanted::Exactly(usize::MAX)));
    }
}
