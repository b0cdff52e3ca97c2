//! TLS without sockets: handshake and records as functions of bytes. The only module that names
//! rustls.
//!
//! A [`Client`] is made once for a download and holds what is trusted, who we are, and the sessions
//! that can be resumed. Each connection is a [`handshake::Handshake`], driven with received bytes
//! until it yields a [`Session`], which seals requests and opens records inside the caller's own
//! buffer.
#![forbid(unsafe_code)]

#[doc(hidden)]
pub mod bench;
mod client;
mod der;
mod explain;
mod handshake;
mod server;
mod session;
mod verify;

use std::fmt;

pub(crate) use client::{Client, Identity, Roots, Setup, Trust};
pub(crate) use server::{Accepted, Acceptor};
pub(crate) use session::{HEADROOM, Session, record_lacks};

/// What kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A certificate, key or CA that was given cannot be used.
    Setup,
    /// The handshake failed, or the peer refuses us.
    Handshake,
    /// The certificate is not trusted.
    Certificate,
    /// After the handshake: a record that is not what the protocol allows.
    Record,
}

/// TLS trouble, in words that say what is wrong with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Error {
    /// What kind.
    pub(crate) fault: Fault,
    /// A lower-case fragment.
    pub(crate) reason: String,
}

impl Error {
    fn new(fault: Fault, reason: impl Into<String>) -> Self {
        Self { fault, reason: reason.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests;
