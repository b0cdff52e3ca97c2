//! Where bytes go: a part file at offsets, or a stream in order.

use std::{
    fs::File,
    io,
    os::{fd::OwnedFd, unix::fs::FileExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use rustix::{fs::FileType, io::Errno};

use super::{
    hasher::{Computed, Hasher},
    store::{store_failure, store_failure_words},
};
use crate::{
    options::Algorithm,
    orders::{Failure, StoreOp},
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
    Stream(Arc<Mutex<Stream>>),
}

/// A pipe, terminal, FIFO or device that takes bytes in order.
#[derive(Debug)]
struct Stream {
    fd: OwnedFd,
    /// Bytes that were taken.
    position: u64,
    hashers: Vec<(Algorithm, Hasher)>,
}

impl Sink {
    /// A file that is written at offsets.
    pub(crate) fn file(path: PathBuf, file: Arc<File>) -> Self {
        Self { path: Arc::new(path), kind: Kind::File(file, Arc::default()) }
    }

    /// A descriptor that is written in order.
    pub(crate) fn stream(path: PathBuf, fd: OwnedFd) -> Self {
        let stream = Stream { fd, position: 0, hashers: Vec::new() };
        Self { path: Arc::new(path), kind: Kind::Stream(Arc::new(Mutex::new(stream))) }
    }

    /// The file, if it is one: an engine may write to it by other means.
    pub(crate) fn as_file(&self) -> Option<&Arc<File>> {
        match &self.kind {
            Kind::File(file, _) => Some(file),
            Kind::Stream(_) => None,
        }
    }

    /// What a stream takes is hashed with these, from its first byte on.
    pub(crate) fn hash(&self, algorithms: &[Algorithm]) {
        let Kind::Stream(stream) = &self.kind else { return };
        let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
        if stream.position == 0 {
            stream.hashers = algorithms.iter().map(|of| (*of, Hasher::new(*of))).collect();
        }
    }

    /// The digests of what a stream took; nothing for a file.
    pub(crate) fn computed(&self) -> Vec<Computed> {
        match &self.kind {
            Kind::File(..) => Vec::new(),
            Kind::Stream(stream) => {
                let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
                stream.hashers.drain(..).map(|(of, hasher)| (of, hasher.finish())).collect()
            }
        }
    }

    /// Writes all of `bytes` at `offset`, blocking.
    ///
    /// # Errors
    /// What the system says, as a write failure of this sink's path.
    pub(crate) fn write(&self, bytes: &[u8], offset: u64) -> Result<(), Failure> {
        let written = match &self.kind {
            Kind::File(file, turn) => {
                let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
                file.write_all_at(bytes, offset)
            }
            Kind::Stream(stream) => {
                stream.lock().unwrap_or_else(PoisonError::into_inner).write(bytes, offset)
            }
        };
        written.map_err(|error| self.failed(&error))
    }

    /// Whether nobody is left to read what is written: a write would fail. `None` where that cannot
    /// be said, or a write that is under way will say it.
    pub(crate) fn is_deserted(&self) -> Option<bool> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let Kind::Stream(stream) = &self.kind else { return None };
        let stream = stream.try_lock().ok()?;
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&stream.fd).ok()?.st_mode);
        if !matches!(kind, FileType::Fifo | FileType::Socket) {
            return None;
        }
        let mut fds = [PollFd::new(&stream.fd, PollFlags::empty())];
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).ok()?;
        let [fd] = fds;
        Some(fd.revents().intersects(PollFlags::ERR | PollFlags::HUP))
    }

    /// The failure of a stream that nobody reads.
    pub(crate) fn deserted(&self) -> Failure {
        store_failure(StoreOp::Write, &self.path, Errno::PIPE)
    }

    /// A write failure of this sink.
    pub(crate) fn failed(&self, error: &io::Error) -> Failure {
        failure(StoreOp::Write, &self.path, error)
    }
}

impl Stream {
    fn write(&mut self, mut bytes: &[u8], offset: u64) -> io::Result<()> {
        if offset != self.position {
            return Err(io::Error::other("a stream takes bytes in order"));
        }
        while !bytes.is_empty() {
            match rustix::io::write(&self.fd, bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    let (taken, rest) = bytes.split_at_checked(n).unwrap_or((bytes, &[]));
                    self.hashers.iter_mut().for_each(|(_, hasher)| hasher.update(taken));
                    bytes = rest;
                    self.position += n as u64;
                }
                Err(rustix::io::Errno::INTR) => {}
                // Somebody made our standard output non-blocking; wait until it takes more.
                Err(rustix::io::Errno::AGAIN) => wait_writable(&self.fd)?,
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }
}

/// A local file failure from what the system said.
pub(crate) fn failure(op: StoreOp, path: &Path, error: &io::Error) -> Failure {
    match rustix::io::Errno::from_io_error(error) {
        Some(errno) => store_failure(op, path, errno),
        None => store_failure_words(op, path, &error.to_string()),
    }
}

fn wait_writable(fd: &OwnedFd) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};
    match poll(&mut [PollFd::new(fd, PollFlags::OUT)], None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
