//! Bytes to messages and back: HTTP/1.1 as a client speaks it, sans-IO.
//!
//! Nothing here owns a socket, a clock or a buffer. Callers pass the bytes they have and are told
//! how many were used and what they meant. RFC 9110 (semantics) and RFC 9112 (HTTP/1.1) are cited
//! at each decision. Inclusive range ends exist only in [`field`] and [`request`]; everywhere else
//! a range is a half-open `Range<u64>`.
#![forbid(unsafe_code)]

pub mod body;
pub mod exchange;
pub mod field;
pub mod headers;
pub mod redirect;
pub mod request;
pub mod response;

mod error;
mod text;

pub use error::{Error, Fault};
pub use text::{escape, redact};

/// Whether `octet` may stand in a token, such as a field name (RFC 9110 section 5.6.2).
fn is_token(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet)
}
