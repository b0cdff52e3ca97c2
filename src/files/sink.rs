//! Where bytes go, at offsets: a part file, or the window of a stream.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    content::Shared,
    store::{store_failure, store_failure_words},
};
use crate::{
    orders::{Failure, StoreOp},
    stream::Inlet,
};

/// Where a body is written to. Cheap to clone; shared by all connections of a transfer.
#[derive(Clone, Debug)]
pub(crate) struct Sink {
    /// For messages.
    path: Arc<PathBuf>,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// With the turn to write: the kernel lets one thread at a time write to an inode through the
    /// page cache, and has the others spin on its lock.
    File(Arc<File>, Arc<Mutex<()>>),
    Stream(Inlet),
    /// Content that is decoded on its way into a file, in order.
    Coded(Shared),
}

impl Sink {
    /// A file that is written at offsets.
    pub(crate) fn file(path: PathBuf, file: Arc<File>) -> Self {
        Self { path: Arc::new(path), kind: Kind::File(file, Arc::default()) }
    }

    /// The window of a stream.
    pub(crate) fn stream(inlet: Inlet) -> Self {
        Self { path: Arc::default(), kind: Kind::Stream(inlet) }
    }

    /// Content that is decoded on its way into a file.
    pub(crate) fn coded(path: PathBuf, content: Shared) -> Self {
        Self { path: Arc::new(path), kind: Kind::Coded(content) }
    }

    /// The file, if it is one: an engine may write to it by other means.
    pub(crate) fn as_file(&self) -> Option<&Arc<File>> {
        match &self.kind {
            Kind::File(file, _) => Some(file),
            Kind::Stream(_) | Kind::Coded(_) => None,
        }
    }

    /// Writes all of `bytes` at `offset`, blocking; or, where a stream has no room for them yet,
    /// nothing: false.
    ///
    /// # Errors
    /// What the system says, as a write failure of this sink's path.
    pub(crate) fn write(&self, bytes: &[u8], offset: u64) -> Result<bool, Failure> {
        match &self.kind {
            Kind::File(file, turn) => {
                let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
                let written = file.write_all_at(bytes, offset);
                written.map(|()| true).map_err(|error| self.failed(&error))
            }
            Kind::Stream(inlet) => inlet.write(bytes, offset),
            Kind::Coded(content) => content.write(bytes, offset).map(|()| true),
        }
    }

    /// A write failure of this sink.
    pub(crate) fn failed(&self, error: &io::Error) -> Failure {
        failure(StoreOp::Write, &self.path, error)
    }
}

/// A local file failure from what the system said.
pub(crate) fn failure(op: StoreOp, path: &Path, error: &io::Error) -> Failure {
    match rustix::io::Errno::from_io_error(error) {
        Some(errno) => store_failure(op, path, errno),
        None => store_failure_words(op, path, &error.to_string()),
    }
}
