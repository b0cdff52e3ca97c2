//! TLS trouble, as this room says it and as the planes are told.

use std::fmt;

use crate::orders::{Failure, TlsFault};

/// TLS trouble, in words that say what is wrong with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Error {
    /// What kind.
    pub(crate) fault: TlsFault,
    /// A lower-case fragment.
    pub(crate) reason: String,
}

impl Error {
    pub(super) fn new(fault: TlsFault, reason: impl Into<String>) -> Self {
        Self { fault, reason: reason.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Error {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Tls { fault: error.fault, reason: error.reason }
    }
}
