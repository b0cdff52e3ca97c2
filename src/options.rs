//! What a user can ask of a download. The binary's flags and the library's builder both end here.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use url::Url;

pub use crate::http::field::RangeSpec;
pub use crate::orders::{Connections, Pin};
use crate::{http::field::StatedDigest, orders::Policy};

/// Where the bytes go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Into this file, replacing what is there; or into this directory when it is one.
    File(PathBuf),
    /// Into this directory, under a name taken from the URL; never over an existing file.
    Directory(PathBuf),
    /// In order to standard output.
    Stdout,
    /// The members of an archive, into this directory, which must not be there yet.
    Extract(PathBuf),
}

/// How an archive's members are taken, and what limits them. The default refuses what needs an
/// option.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unpack {
    /// A compressed file's content is what is wanted ([`Target::Extract`] means it anyway).
    pub decompress: bool,
    /// So many leading components of every name are dropped.
    pub strip_components: usize,
    /// The most that all content together may have, in bytes; without it, a guard looks at how much
    /// an archive grows.
    pub max_extracted: Option<u64>,
    /// Devices and FIFOs are made.
    pub devices: bool,
    /// set-user-ID, set-group-ID and sticky bits are kept.
    pub preserve_setuid: bool,
    /// As root: owners are those of the archive.
    pub same_owner: bool,
}

/// Where the head of the accepted answer goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderDump {
    /// Into this file, whatever was in it.
    File(PathBuf),
    /// To standard output.
    Stdout,
}

/// Which engine moves the bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineChoice {
    /// io_uring where the kernel allows it, else epoll.
    #[default]
    Auto,
    /// io_uring or an error.
    Uring,
    /// Readiness and `pwrite`.
    Epoll,
}

/// When data and directory are synced before the name is published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fsync {
    /// When a digest was given.
    #[default]
    Auto,
    /// Always (`--fsync`).
    Always,
    /// Never (`--no-fsync`).
    Never,
}

/// A digest algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
    /// SHA-384.
    Sha384,
    /// SHA-224.
    Sha224,
    /// SHA-1.
    Sha1,
    /// MD5.
    Md5,
    /// BLAKE3, 256 bits.
    Blake3,
}

impl Algorithm {
    /// Its name in options and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
            Self::Sha384 => "sha384",
            Self::Sha224 => "sha224",
            Self::Sha1 => "sha1",
            Self::Md5 => "md5",
            Self::Blake3 => "blake3",
        }
    }

    /// The digest's length in hex digits.
    #[must_use]
    pub fn hex_len(self) -> usize {
        2 * self.bytes()
    }

    fn bytes(self) -> usize {
        match self {
            Self::Sha256 | Self::Blake3 => 32,
            Self::Sha512 => 64,
            Self::Sha384 => 48,
            Self::Sha224 => 28,
            Self::Sha1 => 20,
            Self::Md5 => 16,
        }
    }
}

impl FromStr for Algorithm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "sha256" | "sha-256" => Ok(Self::Sha256),
            "sha512" | "sha-512" => Ok(Self::Sha512),
            "sha384" | "sha-384" => Ok(Self::Sha384),
            "sha224" | "sha-224" => Ok(Self::Sha224),
            "sha1" | "sha-1" => Ok(Self::Sha1),
            "md5" => Ok(Self::Md5),
            "blake3" => Ok(Self::Blake3),
            _ => Err("expected sha256, sha512, sha384, sha224, sha1, md5 or blake3".to_owned()),
        }
    }
}

/// A digest that the object must have: `ALGO:HEX`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// Which algorithm.
    pub algorithm: Algorithm,
    /// Lower-case hex of the right length.
    pub hex: String,
}

impl Digest {
    /// A digest from its hex digits.
    ///
    /// # Errors
    /// In words, when the text is not hex of the algorithm's length.
    pub fn new(algorithm: Algorithm, hex: &str) -> Result<Self, String> {
        let want = algorithm.hex_len();
        if hex.len() != want {
            return Err(format!(
                "expected {want} hex digits for {}, got {} characters",
                algorithm.name(),
                hex.chars().count()
            ));
        }
        if !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(format!("expected {want} hex digits for {}", algorithm.name()));
        }
        Ok(Self { algorithm, hex: hex.to_ascii_lowercase() })
    }

    /// What a server says.
    pub(crate) fn from_stated(stated: &StatedDigest) -> Vec<Self> {
        let short = stated.sha256.map(|bytes| (Algorithm::Sha256, hex::encode(bytes)));
        let long = stated.sha512.map(|bytes| (Algorithm::Sha512, hex::encode(bytes)));
        short.into_iter().chain(long).map(|(algorithm, hex)| Self { algorithm, hex }).collect()
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (algorithm, hex) = text.split_once(':').ok_or("expected ALGO:HEX")?;
        Self::new(algorithm.parse()?, hex)
    }
}

/// Where a checksum list is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChecksumList {
    /// On this machine.
    File(PathBuf),
    /// It is fetched as the object is, at most 16 MiB of it.
    Url(Url),
}

/// A value that is never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A field to send, as `Name: value`; the value may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Secret,
}

/// Which address families may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// Both.
    #[default]
    Any,
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
}

/// `--resolve HOST:PORT:ADDR[,ADDR]`: addresses for a host and port, without asking a resolver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolve {
    /// The host, lower case.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Where to connect to instead.
    pub addresses: Vec<SocketAddr>,
}

/// Names, addresses and the way there.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// Address families.
    pub family: Family,
    /// Fixed addresses.
    pub resolve: Vec<Resolve>,
    /// Interface name or local address to connect from.
    pub interface: Option<String>,
    /// The zone of a link-local IPv6 literal in the URL (`[fe80::1%25eth0]`), which the URL itself
    /// cannot hold: an interface's name or index.
    pub zone: Option<String>,
    /// Connect to this Unix socket instead of any address.
    pub unix_socket: Option<PathBuf>,
    /// Spread connections over all addresses of a name.
    pub spread_ips: bool,
    /// Proxies.
    pub proxy: Proxies,
}

/// Which proxy serves which URL, with curl's rules. Values are URLs (`http`, `https`, `socks5`,
/// `socks5h`); they may hold credentials.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// For `http` URLs.
    pub http: Option<Secret>,
    /// For `https` URLs.
    pub https: Option<Secret>,
    /// For whatever has none of its own.
    pub all: Option<Secret>,
    /// Hosts that are reached directly: curl's `no_proxy` list.
    pub no_proxy: String,
}

/// TLS: trust and identity.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// CA certificates (PEM) instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// A directory of CA certificates instead of the system's.
    pub ca_directory: Option<PathBuf>,
    /// CA file from the environment (`SSL_CERT_FILE`, `CURL_CA_BUNDLE`): after the options above.
    pub env_ca_file: Option<PathBuf>,
    /// CA directory from the environment (`SSL_CERT_DIR`).
    pub env_ca_directory: Option<PathBuf>,
    /// Trust everything (`--insecure`).
    pub insecure: bool,
    /// The client's certificate chain (PEM).
    pub certificate: Option<PathBuf>,
    /// The client's private key (PEM); by default in the same file.
    pub key: Option<PathBuf>,
    /// Refuse TLS 1.2.
    pub tls13_only: bool,
    /// `sha256//BASE64[;sha256//...]`, as in curl.
    pub pinned_pubkey: Option<String>,
}

/// Who we are.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// `USER:PASS` for Basic authentication; userinfo in the URL counts when this is absent.
    pub user: Option<Secret>,
    /// A bearer token.
    pub bearer: Option<Secret>,
    /// Look the host up in this netrc file when there is nothing else.
    pub netrc: Option<PathBuf>,
    /// A missing netrc file is an error.
    pub netrc_required: bool,
    /// A `Cookie` field, or the path of a Netscape cookie file when it holds no `=`.
    pub cookie: Option<Secret>,
}

/// The least that [`Options::memory`] may be, in bytes.
pub const MEMORY_MIN: u64 = 2 << 20;

/// Everything that can be asked of a download but the URL. `Default` is what the program does
/// without flags.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to.
    pub target: Target,
    /// Take the name from `Content-Disposition` where there is one (`--remote-name`).
    pub remote_name: bool,
    /// The bytes of the object that are wanted; all of them by default.
    pub range: Option<RangeSpec>,
    /// How many connections.
    pub connections: Connections,
    /// A fixed part size in bytes.
    pub part_size: Option<u64>,
    /// The smallest span worth a connection, in bytes.
    pub min_split: Option<u64>,
    /// What window and buffers of a stream may take together, in bytes, 2 MiB at least; 128 MiB,
    /// or less where there is little.
    pub memory: Option<u64>,
    /// Let the content be coded on its way (gzip, br, zstd), and decode it: one stream that cannot
    /// be resumed. Digests and [`Self::max_size`] are of what is decoded.
    pub compressed: bool,
    /// Where to write the head of the answer that was accepted, as it came, before the first byte
    /// of its body: not of redirects, refusals and other answers that were not.
    pub dump_header: Option<HeaderDump>,
    /// Which engine.
    pub engine: EngineChoice,
    /// What ties ranges together.
    pub pin: Pin,
    /// The digests that the object must have, every one of them.
    pub digests: Vec<Digest>,
    /// Lists of which one at least must name the object, and which demand what they say of it.
    pub checksums: Vec<ChecksumList>,
    /// What is added to the URL's path for the list beside the object, such as `.sha256`. It may be
    /// missing (404), with a warning.
    pub checksum_suffix: Option<String>,
    /// Fail before the object is asked for if no digest of it is demanded.
    pub require_digest: bool,
    /// Digests to compute and report.
    pub print_digests: Vec<Algorithm>,
    /// Attempts in a row without progress.
    pub retries: u32,
    /// The longest `Retry-After` that is waited for.
    pub retry_after_max: Duration,
    /// No retry later than this after the start.
    pub retry_max_time: Option<Duration>,
    /// Retry every failure that is not our own.
    pub retry_all_errors: bool,
    /// Limit on resolving, connecting and the TLS handshake together.
    pub connect_timeout: Duration,
    /// Limit on no progress while reading.
    pub stall_timeout: Duration,
    /// Limit on the whole download.
    pub max_time: Option<Duration>,
    /// Hops of a redirect chain.
    pub max_redirects: u32,
    /// https may lead to http.
    pub allow_downgrade: bool,
    /// Refuse anything larger, in bytes.
    pub max_size: Option<u64>,
    /// When to sync.
    pub fsync: Fsync,
    /// Use what an earlier run left.
    pub resume: bool,
    /// Download even what is there already and up to date.
    pub force: bool,
    /// Start over once when the resource changed.
    pub restart_on_change: bool,
    /// How what was fetched is unpacked.
    pub unpack: Unpack,
    /// Other URLs of the same object.
    pub mirrors: Vec<Url>,
    /// Fields to send to the first origin.
    pub headers: Vec<Header>,
    /// `User-Agent` instead of `uget/VERSION`.
    pub user_agent: Option<String>,
    /// `Referer`.
    pub referer: Option<String>,
    /// Who we are.
    pub credentials: Credentials,
    /// The way there.
    pub network: Network,
    /// Trust.
    pub tls: Tls,
}

impl Options {
    /// Whether content that may be coded is to be unpacked or cut besides.
    pub(crate) fn is_contradictory(&self) -> bool {
        let unpacks = self.unpack.decompress || matches!(self.target, Target::Extract(_));
        self.compressed && (unpacks || self.slice().is_some())
    }

    /// The slice that is wanted: `0-` is everything, and none.
    pub(crate) fn slice(&self) -> Option<RangeSpec> {
        self.range.filter(|range| *range != RangeSpec::From(0))
    }
}

impl Default for Options {
    fn default() -> Self {
        let policy = Policy::default();
        Self {
            target: Target::Directory(PathBuf::from(".")),
            remote_name: false,
            range: None,
            compressed: false,
            dump_header: None,
            connections: policy.connections,
            part_size: policy.part_size,
            min_split: None,
            memory: None,
            engine: EngineChoice::Auto,
            pin: policy.pin,
            digests: Vec::new(),
            checksums: Vec::new(),
            checksum_suffix: None,
            require_digest: false,
            print_digests: Vec::new(),
            retries: policy.retries,
            retry_after_max: policy.retry_after_max,
            retry_max_time: policy.retry_max_time,
            retry_all_errors: policy.retry_all,
            connect_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            max_time: policy.max_time,
            max_redirects: policy.max_redirects,
            allow_downgrade: policy.allow_downgrade,
            max_size: policy.max_size,
            fsync: Fsync::Auto,
            resume: true,
            force: false,
            restart_on_change: policy.restart_on_change,
            unpack: Unpack::default(),
            mirrors: Vec::new(),
            headers: Vec::new(),
            user_agent: None,
            referer: None,
            credentials: Credentials::default(),
            network: Network { spread_ips: true, ..Network::default() },
            tls: Tls::default(),
        }
    }
}
