//! TLS inside TLS: a thread that carries the octets of an HTTPS proxy's tunnel, so that whoever
//! speaks through it has a plain socket.

use std::{io, os::unix::net::UnixStream, thread};

use rustix::event::{PollFd, PollFlags, poll};

use super::{fault::unconnected, secure::Secured, stream::Stream};
use crate::orders::Failure;

/// The plain end of `outer`'s tunnel. The thread ends when either side does.
///
/// # Errors
/// [`Failure::Connect`] when there is no socket or no thread to be had.
pub(super) fn relay(outer: Secured) -> Result<Stream, Failure> {
    let none = |e: io::Error| unconnected("the relay to the proxy".to_owned(), &e);
    let (ours, theirs) = UnixStream::pair().map_err(none)?;
    ours.set_nonblocking(true).map_err(none)?;
    let inner = Stream::Unix(theirs);
    inner.set_nonblocking(true).map_err(none)?;
    let relay =
        Relay { outer, inner, outgoing: Pending::default(), chunk: vec![0; CHUNK], ended: false };
    thread::Builder::new().name("relay".to_owned()).spawn(move || relay.run()).map_err(none)?;
    Ok(Stream::Unix(ours))
}

struct Relay {
    /// The proxy; what it sent waits in its buffer.
    outer: Secured,
    /// Whoever speaks through it.
    inner: Stream,
    /// Sealed, for the proxy.
    outgoing: Pending,
    chunk: Vec<u8>,
    /// Nothing more comes from the proxy.
    ended: bool,
}

#[derive(Default)]
struct Pending {
    octets: Vec<u8>,
    sent: usize,
}

impl Relay {
    /// Until one side ends. An error is an end: whoever speaks inside has TLS of their own, which
    /// tells a truncation.
    fn run(mut self) {
        // What came with the handshake.
        let mut alive = self.take_in(0).is_ok();
        while alive {
            if self.ended && self.outer.plain().is_empty() {
                return;
            }
            alive = self.wait().and_then(|()| self.turn()).is_ok();
        }
    }

    fn wait(&self) -> io::Result<()> {
        let mut inner = PollFlags::empty();
        let mut outer = PollFlags::empty();
        inner.set(PollFlags::IN, self.outgoing.is_empty());
        inner.set(PollFlags::OUT, !self.outer.plain().is_empty());
        outer.set(PollFlags::IN, self.outer.plain().is_empty() && !self.ended);
        outer.set(PollFlags::OUT, !self.outgoing.is_empty());
        let mut fds = [PollFd::new(&self.inner, inner), PollFd::new(&self.outer.stream, outer)];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Moves what can be moved without waiting.
    fn turn(&mut self) -> io::Result<()> {
        if self.outer.plain().is_empty()
            && !self.ended
            && let Some(got) = self.receive()?
        {
            self.ended = got == 0;
            self.take_in(got)?;
        }
        if !self.outer.plain().is_empty()
            && let Some(sent) = now(self.inner.write_now(self.outer.plain()))?
        {
            self.outer.consume(sent);
        }
        if self.outgoing.is_empty()
            && let Some(got) = now(self.inner.read_now(&mut self.chunk))?
        {
            if got == 0 {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let plain = self.chunk.get(..got).unwrap_or_default();
            let sealed = self.outer.session.seal(plain).map_err(io::Error::other)?;
            self.outgoing.octets.extend(sealed);
        }
        self.flush()
    }

    fn receive(&mut self) -> io::Result<Option<usize>> {
        let room = self.outer.room().len().min(self.chunk.len());
        let chunk = self.chunk.get_mut(..room).unwrap_or_default();
        let got = now(self.outer.stream.read_now(chunk))?;
        let new = self.chunk.get(..got.unwrap_or(0)).unwrap_or_default();
        if let Some(room) = self.outer.room().get_mut(..new.len()) {
            room.copy_from_slice(new);
        }
        Ok(got)
    }

    fn take_in(&mut self, got: usize) -> io::Result<()> {
        let send = self.outer.received(got).map_err(|_| io::ErrorKind::InvalidData)?;
        self.ended |= self.outer.closed();
        self.outgoing.octets.extend(send);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let rest = self.outgoing.octets.get(self.outgoing.sent..).unwrap_or_default();
        if let Some(sent) = now(self.outer.stream.write_now(rest))? {
            self.outgoing.sent += sent;
        }
        if self.outgoing.is_empty() {
            self.outgoing = Pending::default();
        }
        Ok(())
    }
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.sent >= self.octets.len()
    }
}

/// `None` for what would block.
fn now(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

const CHUNK: usize = 16 * 1024;
