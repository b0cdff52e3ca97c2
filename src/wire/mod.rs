//! TLS without sockets: handshake and records as functions of bytes. The only module that names
//! rustls.
//!
//! A [`Client`] is made once for a download and holds what is trusted, who we are, and the sessions
//! that can be resumed. Each connection is a [`handshake::Handshake`], driven with received bytes
//! until it yields a [`Session`], which seals requests and opens records inside the caller's own
//! buffer.
#![forbid(unsafe_code)]

#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod bench;
mod client;
mod error;
mod explain;
mod handshake;
#[cfg(feature = "cli")]
mod server;
mod session;
mod trust;
mod verify;

pub(crate) use client::{Client, Identity, Setup};
#[cfg(feature = "cli")]
pub(crate) use error::Error;
#[cfg(feature = "cli")]
pub(crate) use server::{Accepted, Acceptor};
pub(crate) use session::{HEADROOM, Session, record_lacks};
pub(crate) use trust::{Roots, Trust};

#[cfg(test)]
mod tests;
