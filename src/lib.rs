//! uget: downloads over many HTTP/1.1 range connections at once.
//!
//! Two planes. The *control plane* ([`transfer`], [`fleet`]) is a pure state machine that decides
//! which bytes to ask for, on which connection, when to retry and when to give up. The *data plane*
//! (the engines) owns sockets and buffers: it receives into a buffer, decrypts in place, finds the
//! body in it and writes it at its offset. Body bytes never cross a thread on their way to a file.

pub mod fleet;
pub mod http;
pub mod journal;
pub mod range;
pub mod transfer;

mod credentials;
mod download;
mod engine;
mod error;
mod event;
mod options;
pub mod origin;
mod report;
mod sink;
mod wire;

pub use download::{Canceller, Download};
pub use engine::resolve::split_zone;
pub use error::{Error, ErrorKind};
pub use event::{Counter, Event, Observer, Phase};
pub use options::{
    Algorithm, Connections, Credentials, Digest, EngineChoice, Family, Fsync, Header, Network,
    Options, Pin, Proxies, Resolve, Secret, Target, Tls,
};
pub use report::{Report, Strategy};
