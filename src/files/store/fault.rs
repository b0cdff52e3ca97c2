//! Failures of local files, in words.

use std::{io, os::unix::ffi::OsStrExt, path::Path};

use rustix::io::Errno;

use crate::{
    http::escape,
    orders::{Failure, StoreOp},
};

/// `op` on `path` failed with `errno`.
pub(crate) fn store_failure(op: StoreOp, path: &Path, errno: Errno) -> Failure {
    let errno = errno.raw_os_error();
    Failure::Store { op, path: printable(path), errno, reason: words(errno) }
}

/// `path` cannot be made, because it exists; `reason` says what that means.
pub(crate) fn store_exists(path: &Path, reason: &str) -> Failure {
    let (op, errno) = (StoreOp::Create, Errno::EXIST.raw_os_error());
    Failure::Store { op, path: printable(path), errno, reason: reason.to_owned() }
}

/// `op` on `path` failed for a reason that has no error number.
pub(crate) fn store_failure_words(op: StoreOp, path: &Path, reason: &str) -> Failure {
    Failure::Store { op, path: printable(path), errno: 0, reason: reason.to_owned() }
}

/// A path for a message: whoever named the file, the terminal is safe.
fn printable(path: &Path) -> String {
    escape(path.as_os_str().as_bytes(), PATH_MAX)
}

/// The C library's words for an error number, as a fragment.
fn words(errno: i32) -> String {
    let full = io::Error::from_raw_os_error(errno).to_string();
    let text = full.split(" (os error").next().unwrap_or(&full);
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// Characters of a path that a message shows.
const PATH_MAX: usize = 1024;
