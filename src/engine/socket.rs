//! What both loops ask of a socket without waiting.

use std::os::fd::AsFd;

use rustix::{
    io::Errno,
    net::{RecvFlags, recv},
};

use super::raw;
use crate::link::{Broken, Idle};

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
        if wanted != self.now && raw::set_low_water(socket.as_fd(), wanted).is_ok() {
            self.now = wanted;
        }
    }
}

/// Takes what is there: less than the low-water mark, or nothing, which is `None`.
pub(super) fn receive_now(socket: impl AsFd, into: &mut [u8]) -> Result<Option<usize>, Broken> {
    match recv(socket, into, RecvFlags::DONTWAIT) {
        Ok((received, _)) => Ok(Some(received)),
        Err(Errno::AGAIN | Errno::INTR) => Ok(None),
        Err(errno) => Err(broken(errno)),
    }
}

/// What lies on a socket, without taking it.
pub(super) fn peek(socket: impl AsFd) -> Idle {
    let mut octet = [0];
    match recv(socket, &mut octet[..], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((0, _)) => Idle::Closed,
        Ok(_) => Idle::Octets,
        Err(Errno::AGAIN | Errno::INTR) => Idle::Quiet,
        Err(_) => Idle::Closed,
    }
}

/// A socket call that failed.
pub(super) fn broken(errno: Errno) -> Broken {
    Broken { errno: errno.raw_os_error() }
}

/// Enough to be worth waking up for.
const MOST: usize = 512 * 1024;
