//! The io_uring engine: a few workers, each a thread with one ring and one tokio-uring runtime, and
//! on each worker a task a connection.
//!
//! What tokio-uring makes of it: dropping a future does not cancel its operation, so nothing here
//! drops one. A connection is stopped by shutting its socket down ([`super::stop`]), then the
//! operation completes and the buffer comes back. `Runtime::new` is used, never `start`, which
//! panics where io_uring is refused.

mod io;
mod worker;

use std::io as std_io;

use io_uring::{IoUring, Probe, opcode};

use super::raw::{self, uninterrupted};

pub(super) use self::worker::start;

/// Descriptors that a ring and the runtime on it take.
pub(super) const RING: usize = 4;

/// Asks the kernel for a ring and for the operations that the workers need, before anything is
/// built on them: tokio-uring leaks a runtime when its ring is refused.
pub(super) fn probe() -> std_io::Result<()> {
    let mut ring = uninterrupted(|| IoUring::new(8))?;
    // Where io_uring_enter is refused, operations would wait for ever.
    raw::nop(&mut ring)?;
    // Nothing waits on the ring's own descriptor; a kernel that cannot cancel by descriptor says
    // EINVAL instead.
    if raw::cancel_nothing(&mut ring)? == -libc::EINVAL {
        return Err(std_io::Error::other(TOO_OLD));
    }
    let mut probe = Probe::new();
    if ring.submitter().register_probe(&mut probe).is_err() {
        // io_uring_register may be refused where the ring itself is not.
        return Ok(());
    }
    let needed = [opcode::Send::CODE, opcode::Write::CODE, opcode::Recv::CODE];
    if needed.iter().all(|code| probe.is_supported(*code)) {
        Ok(())
    } else {
        Err(std_io::Error::other(TOO_OLD))
    }
}

/// Cancelling by descriptor is from Linux 5.19.
const TOO_OLD: &str = "the kernel's io_uring is too old (Linux 5.19 is needed)";
