//! What the system says about a connection, as failures.

use std::io;

use crate::orders::Failure;

/// No connection to `target`.
pub(super) fn unconnected(target: String, error: &io::Error) -> Failure {
    let errno = error.raw_os_error().unwrap_or(0);
    Failure::Connect { target, reason: words(error), errno }
}

/// An established connection that broke while it was still being made ready.
pub(super) fn broken(error: &io::Error) -> Failure {
    Failure::Receive { errno: error.raw_os_error().unwrap_or(0) }
}

/// What the system says about an error, without the number that std adds.
pub(super) fn words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error").map_or(text.as_str(), |(words, _)| words).to_lowercase()
}
