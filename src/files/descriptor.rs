//! A pipe, terminal, FIFO or device that takes bytes in order.

use std::{os::fd::OwnedFd, path::PathBuf, time::Duration};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::FileType,
    io::Errno,
};

use super::store::store_failure;
use crate::orders::{Failure, StoreOp};

/// A descriptor that is written in order.
#[derive(Debug)]
pub(crate) struct Descriptor {
    fd: OwnedFd,
    /// For messages.
    path: PathBuf,
}

impl Descriptor {
    /// An open descriptor, and what it is called. A pipe is made as long as is allowed, so that
    /// writer and reader wake one another less often.
    pub(crate) fn new(path: PathBuf, fd: OwnedFd) -> Self {
        if rustix::pipe::fcntl_getpipe_size(&fd).is_ok_and(|size| size < PIPE) {
            let _ = rustix::pipe::fcntl_setpipe_size(&fd, PIPE);
        }
        Self { fd, path }
    }

    /// Writes some of `bytes`: none if it takes none for a while. Where it blocks, so does this.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<usize, Failure> {
        match rustix::io::write(&self.fd, bytes) {
            Ok(0) if !bytes.is_empty() => Err(self.failed(Errno::IO)),
            Ok(count) => Ok(count),
            Err(Errno::INTR) => Ok(0),
            // Standard output may have been made non-blocking by others who have it.
            Err(Errno::AGAIN) => {
                self.poll(PollFlags::OUT, WAIT);
                Ok(0)
            }
            Err(errno) => Err(self.failed(errno)),
        }
    }

    /// Whether no reader is left, so that a write would fail. False where that cannot be said.
    pub(crate) fn is_deserted(&self) -> bool {
        let stat = rustix::fs::fstat(&self.fd);
        let kind = stat.map(|stat| FileType::from_raw_mode(stat.st_mode));
        matches!(kind, Ok(FileType::Fifo | FileType::Socket))
            && self.poll(PollFlags::empty(), Duration::ZERO).intersects(GONE)
    }

    /// The failure of a stream without a reader.
    pub(crate) fn deserted(&self) -> Failure {
        self.failed(Errno::PIPE)
    }

    fn failed(&self, errno: Errno) -> Failure {
        store_failure(StoreOp::Write, &self.path, errno)
    }

    fn poll(&self, what: PollFlags, wait: Duration) -> PollFlags {
        let mut fds = [PollFd::new(&self.fd, what)];
        // What cannot be waited for is met by the next write.
        let _ = poll(&mut fds, Timespec::try_from(wait).ok().as_ref());
        let [fd] = fds;
        fd.revents()
    }
}

/// What poll(2) says of a pipe without a reader.
const GONE: PollFlags = PollFlags::ERR.union(PollFlags::HUP);

/// What any user may make of a pipe (pipe(7)).
const PIPE: usize = 1 << 20;

/// How long a write waits for room.
const WAIT: Duration = Duration::from_millis(200);
