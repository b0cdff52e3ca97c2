//! The byte stream under a connection, and the ways to put an object on it.

use std::{
    fs::File,
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    ops::Range,
    os::unix::fs::FileExt,
    time::Duration,
};

use rustix::{
    fs::sendfile,
    io::Errno,
    net::{SendFlags, send},
};

use super::synthetic::{BLOCK, Synthetic, blocks};
use crate::wire::Accepted;

/// A connection's stream.
pub(super) enum Stream {
    /// Plain TCP.
    Plain(TcpStream),
    /// TLS over it.
    Tls(Box<Accepted<TcpStream>>),
}

impl Stream {
    /// Receives what is there, waiting at most `wait` for it. Zero is the end.
    pub(super) fn receive(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<usize> {
        // A limit of zero would mean none (socket(7), SO_RCVTIMEO).
        self.socket().set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
        loop {
            let read = match self {
                Self::Plain(socket) => socket.read(buffer),
                Self::Tls(stream) => stream.read(buffer),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    /// Sends all of `bytes`. With `more`, the kernel may hold a last short segment back until what
    /// follows is there to fill it (send(2), MSG_MORE).
    pub(super) fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<()> {
        let socket = match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => {
                stream.write_all(bytes)?;
                return if more { Ok(()) } else { stream.flush() };
            }
        };
        let flags = if more { SendFlags::MORE } else { SendFlags::empty() };
        let mut rest = bytes;
        while !rest.is_empty() {
            match send(&socket, rest, flags | SendFlags::NOSIGNAL) {
                Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// Sends a range of a file without the bytes passing through this process. `sent` is told of
    /// every piece.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` when the file has become shorter than the range: what was promised can no
    /// longer be kept, and only closing the connection says so.
    pub(super) fn send_file(
        &mut self,
        file: &File,
        range: Range<u64>,
        mut sent: impl FnMut(u64),
    ) -> io::Result<()> {
        let Self::Plain(socket) = self else { return self.copy_file(file, range, sent) };
        let mut offset = range.start;
        while offset < range.end {
            let count = usize::try_from(range.end - offset).unwrap_or(SEND_MAX).min(SEND_MAX);
            match sendfile(&socket, file, Some(&mut offset), count) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(piece) => sent(piece as u64),
                Err(Errno::INTR) => {}
                // A filesystem that cannot (sendfile(2), EINVAL and ENOSYS): by hand.
                Err(Errno::INVAL | Errno::NOSYS) => {
                    return self.copy_file(file, offset..range.end, sent);
                }
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// Sends a range of an object whose bytes are computed.
    pub(super) fn send_computed(
        &mut self,
        object: &Synthetic,
        range: Range<u64>,
        mut sent: impl FnMut(u64),
    ) -> io::Result<()> {
        let mut buffer = vec![0; BLOCK];
        for block in blocks(range) {
            let bytes = &mut buffer[..(block.end - block.start) as usize];
            object.fill(block.start, bytes);
            self.send(bytes, false)?;
            sent(bytes.len() as u64);
        }
        Ok(())
    }

    /// Ends the connection so that what was sent arrives: says that no more comes, and waits a
    /// little for the peer to be done. Closing a socket with unread bytes in it would reset it and
    /// take back an error message that is still on its way.
    pub(super) fn close(mut self) {
        if let Self::Tls(stream) = &mut self {
            let _ = stream.finish();
        }
        if self.socket().shutdown(Shutdown::Write).is_err() {
            return;
        }
        let mut sink = [0; 4096];
        for _ in 0..LINGER_READS {
            match self.receive(&mut sink, LINGER) {
                Ok(read) if read > 0 => {}
                _ => return,
            }
        }
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.socket(),
        }
    }

    fn copy_file(
        &mut self,
        file: &File,
        range: Range<u64>,
        mut sent: impl FnMut(u64),
    ) -> io::Result<()> {
        let mut buffer = vec![0; BLOCK];
        for block in blocks(range) {
            let bytes = &mut buffer[..(block.end - block.start) as usize];
            file.read_exact_at(bytes, block.start)?;
            self.send(bytes, false)?;
            sent(bytes.len() as u64);
        }
        Ok(())
    }
}

/// The most that one call of sendfile(2) is asked for, so that counters move.
const SEND_MAX: usize = 16 * 1024 * 1024;
const LINGER: Duration = Duration::from_millis(200);
const LINGER_READS: usize = 256;
