//! uget: downloads over many HTTP/1.1 range connections at once.
//!
//! ```no_run
//! # fn main() -> Result<(), uget::Error> {
//! let mut options = uget::Options::default();
//! options.target = uget::Target::File("debian.iso".into());
//! let download = uget::Download::new("https://mirror.example/debian.iso", options)?;
//! let counter = download.counter(); // readable from any thread while it runs
//! let report = download.run(&mut ())?;
//! assert_eq!(report.size, counter.bytes());
//! # Ok(())
//! # }
//! ```
//!
//! Or read it while it comes, over as many connections, in bounded memory:
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let options = uget::Options::default();
//! let download = uget::Download::new("https://mirror.example/rows.csv", options)?;
//! let (info, mut reader) = download.open()?;
//! println!("{:?} bytes from {}", info.size, info.final_url);
//! std::io::copy(&mut reader, &mut std::io::stdout())?;
//! # Ok(())
//! # }
//! ```
//!
//! Two planes. The *control plane* ([`transfer`], [`fleet`]) is a pure state machine that decides
//! which bytes to ask for, on which connection, when to retry and when to give up. The *data plane*
//! (the engines) owns sockets and buffers: it receives into a buffer, decrypts in place, finds the
//! body in it and writes it at its offset. Body bytes never cross a thread on their way to a file.
//!
//! | room | what it does |
//! |---|---|
//! | [`range`] | sets of bytes |
//! | [`http`] | bytes to messages and back, sans-IO |
//! | `wire` | TLS records in place; the only room that names rustls |
//! | [`journal`] | what makes a part file resumable: records, checksums, replay |
//! | [`manifest`] | checksum files: names and the digests that files must have |
//! | [`transfer`], [`fleet`] | decide about one resource, and about many |
//! | [`orders`] | what the planes say to each other |
//! | [`link`] | the data plane of one connection, over whatever tells it the time |
//! | `net` | from a URL to a connected, secured socket |
//! | [`source`] | objects that no URL leads to: commands, files, memory |
//! | `files` | part file, side files, journal on disk, digests, names |
//! | `stream` | the window: bytes that come in any order go out in one |
//! | `unpack` | archives, extracted while they arrive |
//! | `engine` | the loops: the coordinator, rings, epoll |
//! | `origin` | the embedded HTTP origin of `uget serve` and `uget bench`: with the program alone |

pub mod fleet;
pub mod http;
pub mod journal;
pub mod link;
pub mod manifest;
pub mod orders;
pub mod range;
pub mod source;
pub mod transfer;
#[doc(hidden)]
pub mod unpack;

mod credentials;
mod download;
mod engine;
mod error;
mod event;
mod files;
mod net;
mod options;
#[cfg(feature = "cli")]
pub mod origin;
mod report;
mod stream;
mod wire;

#[cfg(feature = "cli")]
#[doc(hidden)]
pub use wire::bench;

pub use download::{
    Canceller, Download, http_url,
    reader::{ObjectInfo, Reader, WriteAt, download},
};
pub use error::{Error, ErrorKind};
pub use event::{Counter, Event, Observer, Phase};
pub use files::{existing::digests_of, reread::ReadBack};
pub use http::headers::Headers;
pub use options::{
    Algorithm, ChecksumList, Connections, Credentials, Digest, EngineChoice, Family, Fsync, Header,
    HeaderDump, MEMORY_MIN, Network, Options, Pin, Proxies, RangeSpec, Resolve, Secret, Target,
    Tls, Unpack,
};
pub use report::{Report, ReportedDigest, Slice, Strategy};
pub use source::{CommandSource, FileSource, MemorySource, RangeSource};
pub use unpack::Gauge;
