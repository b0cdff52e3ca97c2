//! An open socket, and bytes through it while the connection is being made ready.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use rustix::event::PollFlags;

use super::{budget::Budget, fault::broken};
use crate::orders::Failure;

/// A connected stream socket. Non-blocking while this module makes it ready, blocking once it is
/// handed out.
#[derive(Debug)]
pub(crate) enum Stream {
    /// To an address.
    Tcp(TcpStream),
    /// To a path, or to the relay inside a TLS proxy.
    Unix(UnixStream),
}

impl Stream {
    /// Switches `O_NONBLOCK`.
    pub(crate) fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        match self {
            Self::Tcp(s) => s.set_nonblocking(on),
            Self::Unix(s) => s.set_nonblocking(on),
        }
    }

    /// read(2), once.
    pub(super) fn read_now(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(s) => s.read(into),
            Self::Unix(s) => s.read(into),
        }
    }

    /// write(2), once.
    pub(super) fn write_now(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(s) => s.write(bytes),
            Self::Unix(s) => s.write(bytes),
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(s) => s.as_fd(),
            Self::Unix(s) => s.as_fd(),
        }
    }
}

impl From<Stream> for OwnedFd {
    fn from(stream: Stream) -> Self {
        match stream {
            Stream::Tcp(s) => s.into(),
            Stream::Unix(s) => s.into(),
        }
    }
}

/// A byte stream within a [`Budget`]: a socket, or TLS over one.
pub(super) trait Pipe {
    /// Reads what is there, at least one byte; 0 at the end of the stream.
    ///
    /// # Errors
    /// [`Failure::Receive`], [`Failure::Timeout`], [`Failure::Cancelled`], [`Failure::Tls`].
    fn read(&mut self, into: &mut [u8], budget: &Budget) -> Result<usize, Failure>;

    /// Writes all of it.
    ///
    /// # Errors
    /// As [`Self::read`].
    fn write_all(&mut self, bytes: &[u8], budget: &Budget) -> Result<(), Failure>;

    /// Reads until `into` is full.
    ///
    /// # Errors
    /// As [`Self::read`]; an early end is [`Failure::Receive`] without an errno.
    fn read_exact(&mut self, into: &mut [u8], budget: &Budget) -> Result<(), Failure> {
        let mut rest = into;
        while !rest.is_empty() {
            let got = self.read(rest, budget)?;
            if got == 0 {
                return Err(Failure::Receive { errno: 0 });
            }
            rest = rest.split_at_mut(got).1;
        }
        Ok(())
    }
}

impl Pipe for Stream {
    fn read(&mut self, into: &mut [u8], budget: &Budget) -> Result<usize, Failure> {
        loop {
            match self.read_now(into) {
                Ok(got) => return Ok(got),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    budget.ready(&*self, PollFlags::IN)?;
                }
                Err(e) => return Err(broken(&e)),
            }
        }
    }

    fn write_all(&mut self, bytes: &[u8], budget: &Budget) -> Result<(), Failure> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.write_now(rest) {
                Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    budget.ready(&*self, PollFlags::OUT)?;
                }
                Err(e) => return Err(broken(&e)),
            }
        }
        Ok(())
    }
}
