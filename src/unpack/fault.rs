//! Failures of unpacking: what an archive does wrong, and what the filesystem does.

use std::{io, os::unix::ffi::OsStrExt, path::Path};

use rustix::io::Errno;

use crate::{
    http::escape,
    orders::{ArchiveFault, Failure, StoreOp},
};

/// The archive as a whole is wrong.
pub(super) fn archive(what: impl Into<String>) -> Failure {
    Failure::Archive(ArchiveFault::Bad { member: None, what: what.into() })
}

/// A member of this name is wrong.
pub(super) fn member(name: &[u8], what: impl Into<String>) -> Failure {
    Failure::Archive(ArchiveFault::Bad { member: Some(shown(name)), what: what.into() })
}

/// `op` on `path` failed.
pub(super) fn store(op: StoreOp, path: &Path, errno: Errno) -> Failure {
    let errno = errno.raw_os_error();
    let full = io::Error::from_raw_os_error(errno).to_string();
    let text = full.split(" (os error").next().unwrap_or(&full);
    Failure::Store { op, path: printable(path), errno, reason: text.to_lowercase() }
}

/// `op` on `path` failed for a reason that has no error number.
pub(super) fn words(op: StoreOp, path: &Path, reason: &str) -> Failure {
    Failure::Store { op, path: printable(path), errno: 0, reason: reason.to_owned() }
}

/// A member of this name could not be written.
pub(super) fn writing(name: &[u8], error: &io::Error) -> Failure {
    store(StoreOp::Write, Path::new(std::ffi::OsStr::from_bytes(name)), errno(error))
}

/// The error number of an error; EIO where there is none.
pub(super) fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// What ended because something else did.
pub(super) fn cancelled() -> Failure {
    Failure::Cancelled { signal: 0 }
}

/// A member's name in messages.
pub(super) fn shown(name: &[u8]) -> String {
    escape(name, NAME_SHOWN)
}

fn printable(path: &Path) -> String {
    shown(path.as_os_str().as_bytes())
}

/// Characters of a name that a message shows.
const NAME_SHOWN: usize = 1024;
