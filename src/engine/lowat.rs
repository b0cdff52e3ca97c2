//! Wakes a receiver when there is enough, not for every segment.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

/// The low-water mark of one socket (SO_RCVLOWAT, socket(7)): a receive or a poll is woken when so
/// many octets are there, or the end of the stream. Fewer that are the last would wake nobody, so
/// the mark is never above what is still owed, and never combined with `MSG_WAITALL`, under which
/// the kernel waits for the last octets with the old mark.
#[derive(Debug)]
pub(super) struct LowWater {
    now: usize,
}

impl LowWater {
    /// As sockets are: any octet wakes.
    pub(super) fn new() -> Self {
        Self { now: 1 }
    }

    /// Asks to be woken when `wanted` octets are there, at most [`MOST`].
    pub(super) fn set(&mut self, socket: impl AsFd, wanted: usize) {
        let wanted = wanted.clamp(1, MOST);
        if wanted != self.now && set(socket, wanted).is_ok() {
            self.now = wanted;
        }
    }
}

fn set(socket: impl AsFd, octets: usize) -> io::Result<()> {
    let value = i32::try_from(octets).map_err(io::Error::other)?;
    // SAFETY: the value is an int that lives across the call, and its size is passed.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVLOWAT,
            (&raw const value).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Enough to be worth waking up for.
const MOST: usize = 512 * 1024;
