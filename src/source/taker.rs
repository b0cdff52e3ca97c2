//! Who asks a source, and who takes what it gives.

use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{SendFlags, send},
};

use super::SourceError;

/// Who asks: a connection. It hangs up when the answer is not wanted any more.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a>(&'a UnixStream);

impl<'a> Caller<'a> {
    pub(super) fn new(stream: &'a UnixStream) -> Self {
        Self(stream)
    }

    /// Whether it has hung up. Something that waits can wait for that, too: poll(2) reports
    /// `POLLHUP` or `POLLRDHUP` on its descriptor.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        let mut fds = [PollFd::new(self.0, PollFlags::RDHUP)];
        match poll(&mut fds, Some(&Timespec::default())) {
            Ok(ready) => ready > 0,
            Err(errno) => errno != Errno::INTR,
        }
    }
}

impl AsFd for Caller<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Takes the bytes of one answer, in order. The head of the answer goes out before the first of
/// them, so a source that finds out before what is wrong can still say so. The last byte is held
/// back until the source has said that all was right.
#[derive(Debug)]
pub struct Taker<'a> {
    stream: &'a UnixStream,
    head: Option<Vec<u8>>,
    /// How many bytes are still owed, where that is known; else they go out as chunks.
    owed: Option<u64>,
    held: Option<u8>,
}

impl<'a> Taker<'a> {
    /// `head` goes before `owed` bytes.
    pub(super) fn new(stream: &'a UnixStream, head: Vec<u8>, owed: Option<u64>) -> Self {
        Self { stream, head: Some(head), owed, held: None }
    }

    /// Who takes them.
    #[must_use]
    pub fn caller(&self) -> Caller<'a> {
        Caller(self.stream)
    }

    /// Gives the next bytes. Blocks while they are not taken.
    ///
    /// # Errors
    /// [`SourceError::Gone`] when nobody wants them, [`SourceError::Failed`] when they are more
    /// than were asked for.
    pub fn give(&mut self, bytes: &[u8]) -> Result<(), SourceError> {
        let Some((last, most)) = bytes.split_last() else { return Ok(()) };
        let Some(owed) = self.owed else { return self.chunk(bytes) };
        let Some(left) = owed.checked_sub(bytes.len() as u64) else {
            return Err(SourceError::Failed("it gave more bytes than were asked for".to_owned()));
        };
        self.owed = Some(left);
        self.begin()?;
        if left > 0 {
            return self.send(bytes);
        }
        self.held = Some(*last);
        self.send(most)
    }

    /// Whether something is out already.
    pub(super) fn has_begun(&self) -> bool {
        self.head.is_none()
    }

    /// The source says that all was right.
    pub(super) fn finish(mut self) -> Result<(), SourceError> {
        match self.owed {
            Some(0) => {}
            Some(left) => {
                let why = format!("it ended {left} bytes before the range did");
                return Err(SourceError::Failed(why));
            }
            None => {
                self.begin()?;
                return self.send(b"0\r\n\r\n");
            }
        }
        self.begin()?;
        self.held.take().map_or(Ok(()), |last| self.send(&[last]))
    }

    fn chunk(&mut self, bytes: &[u8]) -> Result<(), SourceError> {
        self.begin()?;
        self.send(format!("{:x}\r\n", bytes.len()).as_bytes())?;
        self.send(bytes)?;
        self.send(b"\r\n")
    }

    fn begin(&mut self) -> Result<(), SourceError> {
        self.head.take().map_or(Ok(()), |head| self.send(&head))
    }

    fn send(&self, bytes: &[u8]) -> Result<(), SourceError> {
        send_all(self.stream, bytes).map_err(|_| SourceError::Gone)
    }
}

/// send(2) until all is out, without the signal that a closed peer would mean.
pub(super) fn send_all(stream: &UnixStream, bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match send(stream, rest, SendFlags::NOSIGNAL) {
            Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}
