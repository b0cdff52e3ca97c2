//! The io_uring engine: a few workers, each a thread with one ring and one tokio-uring runtime, and
//! on each worker a task a connection.
//!
//! What tokio-uring makes of it: dropping a future does not cancel its operation, so nothing here
//! drops one. A connection is stopped by shutting its socket down ([`super::stop`]), then the
//! operation completes and the buffer comes back. `Runtime::new` is used, never `start`, which
//! panics where io_uring is refused.

mod io;
mod receive;
mod worker;

use std::{io as std_io, os::fd::AsRawFd, thread};

use crossbeam_channel::bounded;
use io_uring::{IoUring, Probe, opcode, squeue, types};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::{Opening, descriptors_left};
use crate::link::Limits;

/// The io_uring engine. Workers end when it is dropped and their connections are over.
pub(crate) struct Uring {
    workers: Vec<UnboundedSender<Opening>>,
    /// How many workers there may be; all but the first start when a connection needs them.
    most: usize,
    /// Registered buffers of each.
    buffers: usize,
    limits: Limits,
    next: usize,
}

impl Uring {
    /// Starts the first of as many workers as there are cores, but not more than `most`
    /// connections, of which `likely` are likely: so many get registered buffers. The second value
    /// says what is less than it could be.
    ///
    /// # Errors
    /// Whatever the system says while a ring is set up: EPERM and ENOSYS (seccomp, sysctl, old
    /// kernels), ENOMEM (RLIMIT_MEMLOCK), EMFILE and others.
    pub(crate) fn start(
        most: usize,
        likely: usize,
        limits: Limits,
    ) -> std_io::Result<(Self, Option<String>)> {
        probe()?;
        let cores = thread::available_parallelism().map_or(1, usize::from).min(most).max(1);
        // A socket each, the part file once for each ring, and what a ring needs itself.
        if descriptors_left() < most + cores + cores * RING {
            return Err(std_io::Error::other("too few file descriptors (RLIMIT_NOFILE)"));
        }
        let buffers = likely.min(most).div_ceil(cores);
        let mut uring = Self { workers: Vec::new(), most: cores, buffers, limits, next: 0 };
        let note = uring.start_worker()?;
        Ok((uring, note))
    }

    fn start_worker(&mut self) -> std_io::Result<Option<String>> {
        let (openings, inbox) = unbounded_channel();
        let (ready, started) = bounded(1);
        let (buffer, buffers) = (self.limits.buffer(), self.buffers);
        thread::Builder::new()
            .name(format!("uget-ring-{}", self.workers.len()))
            .spawn(move || worker::run(inbox, buffer, buffers, &ready))?;
        let gone = |_| Err(std_io::Error::other("the worker ended while it was set up"));
        let note = started.recv().unwrap_or_else(gone)?;
        self.workers.push(openings);
        Ok(note)
    }

    /// Hands a connection to the next worker.
    ///
    /// # Errors
    /// The worker is gone.
    pub(crate) fn open(&mut self, opening: Opening) -> std_io::Result<()> {
        if self.next >= self.workers.len() && self.workers.len() < self.most {
            // One ring works; if there is no other, the connections share it.
            self.most = self.start_worker().map_or(self.workers.len(), |_| self.most);
        }
        let worker = self.next % self.workers.len().max(1);
        self.next = self.next.wrapping_add(1);
        let gone = || std_io::Error::other("a worker ended early");
        self.workers.get(worker).ok_or_else(gone)?.send(opening).map_err(|_| gone())
    }
}

/// Descriptors that a ring and the runtime on it take.
const RING: usize = 4;

/// Makes a call again for as long as a signal interrupts it.
fn uninterrupted<T>(mut call: impl FnMut() -> std_io::Result<T>) -> std_io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == std_io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Asks the kernel for a ring and for the operations that the workers need, before anything is
/// built on them: tokio-uring leaks a runtime when its ring is refused.
fn probe() -> std_io::Result<()> {
    let mut ring = uninterrupted(|| IoUring::new(8))?;
    // Where io_uring_enter is refused, operations would wait for ever.
    let nop = opcode::Nop::new().build();
    complete(&mut ring, &nop)?;
    // Nothing waits on the ring's own descriptor; a kernel that cannot cancel by descriptor says
    // EINVAL instead.
    let fd = types::Fd(ring.as_raw_fd());
    let cancel = opcode::AsyncCancel2::new(types::CancelBuilder::fd(fd)).build();
    if complete(&mut ring, &cancel)? == -libc::EINVAL {
        return Err(std_io::Error::other(TOO_OLD));
    }
    let mut probe = Probe::new();
    if ring.submitter().register_probe(&mut probe).is_err() {
        // io_uring_register may be refused where the ring itself is not; that only costs the
        // registered buffers.
        return Ok(());
    }
    let needed = [opcode::Send::CODE, opcode::Write::CODE, opcode::Recv::CODE];
    if needed.iter().all(|code| probe.is_supported(*code)) {
        Ok(())
    } else {
        Err(std_io::Error::other(TOO_OLD))
    }
}

/// Runs one operation that refers to no memory, and returns its result.
fn complete(ring: &mut IoUring, operation: &squeue::Entry) -> std_io::Result<i32> {
    // SAFETY: the operation refers to no memory.
    let pushed = unsafe { ring.submission().push(operation) };
    pushed.map_err(std_io::Error::other)?;
    uninterrupted(|| ring.submit_and_wait(1))?;
    let entry = ring.completion().next();
    entry.map(|entry| entry.result()).ok_or_else(|| std_io::Error::other("the ring is mute"))
}

/// Cancelling by descriptor is from Linux 5.19.
const TOO_OLD: &str = "the kernel's io_uring is too old (Linux 5.19 is needed)";
