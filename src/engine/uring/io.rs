//! One connection's system calls as operations on a ring.

use std::{
    io,
    ops::Range,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd},
    rc::Rc,
    time::Instant,
};

use rustix::net::{Shutdown, shutdown};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_uring::{
    buf::{BoundedBuf, fixed::FixedBuf},
    net::TcpStream,
};

use super::{
    super::{
        Order,
        connect::Stream,
        link::{Idle, Io},
        threads::peek,
        watch,
    },
    worker::Shared,
};
use crate::{sink::Sink, transfer::Failure};

/// A connection's buffer, registered with the ring or not.
pub(super) enum Buffer {
    Fixed(FixedBuf),
    Plain(Vec<u8>),
}

/// Operations on a ring. While one runs the kernel owns the buffer.
pub(super) struct Ring {
    stream: TcpStream,
    orders: UnboundedReceiver<Order>,
    buffer: Option<Buffer>,
    shared: Rc<Shared>,
}

impl Ring {
    pub(super) fn new(
        stream: Stream,
        orders: UnboundedReceiver<Order>,
        buffer: Buffer,
        shared: Rc<Shared>,
    ) -> Self {
        // SAFETY: the descriptor was just given up by its only owner, and is a connected stream
        // socket. tokio-uring's operations do not care whether it is TCP or Unix.
        let stream = unsafe { TcpStream::from_raw_fd(OwnedFd::from(stream).into_raw_fd()) };
        Self { stream, orders, buffer: Some(buffer), shared }
    }

    fn socket(&self) -> BorrowedFd<'_> {
        // SAFETY: the socket is open as long as `stream`, which `self` owns.
        unsafe { BorrowedFd::borrow_raw(self.stream.as_raw_fd()) }
    }

    fn take(&mut self) -> io::Result<Buffer> {
        self.buffer.take().ok_or_else(|| io::Error::other("the buffer is out"))
    }
}

impl Io for Ring {
    fn buffer(&mut self) -> &mut [u8] {
        match &mut self.buffer {
            Some(Buffer::Fixed(buffer)) => buffer,
            Some(Buffer::Plain(buffer)) => buffer,
            None => &mut [],
        }
    }

    async fn order(&mut self) -> Option<Order> {
        self.orders.recv().await
    }

    async fn send(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        self.stream.write_all(bytes).await.0
    }

    async fn receive(
        &mut self,
        room: Range<usize>,
        until: Instant,
        _fill: bool,
    ) -> io::Result<Option<usize>> {
        let buffer = self.take()?;
        let socket = self.socket();
        let (result, buffer) = match buffer {
            Buffer::Fixed(buffer) => {
                let operation = self.stream.read_fixed(buffer.slice(room));
                let (result, slice) = before(operation, until, socket).await;
                (result, Buffer::Fixed(slice.into_inner()))
            }
            Buffer::Plain(buffer) => {
                let operation = self.stream.read(buffer.slice(room));
                let (result, slice) = before(operation, until, socket).await;
                (result, Buffer::Plain(slice.into_inner()))
            }
        };
        self.buffer = Some(buffer);
        match result {
            Ok(0) if Instant::now() >= until => Ok(None),
            Err(error) if is_passing(&error) => Ok(None),
            other => other.map(Some),
        }
    }

    async fn write(&mut self, sink: &Sink, from: Range<usize>, offset: u64) -> Result<(), Failure> {
        let Some(file) = sink.as_file() else {
            // A stream takes bytes in order, from one connection, which is all this worker has.
            return sink.write(&self.buffer()[from], offset);
        };
        let file = self.shared.file(file).map_err(|error| sink.failed(&error))?;
        loop {
            let buffer = self.take().map_err(|error| sink.failed(&error))?;
            let (result, buffer) = match buffer {
                Buffer::Fixed(buffer) => {
                    let slice = buffer.slice(from.clone());
                    let (result, slice) = file.write_fixed_all_at(slice, offset).await;
                    (result, Buffer::Fixed(slice.into_inner()))
                }
                Buffer::Plain(buffer) => {
                    let slice = buffer.slice(from.clone());
                    let (result, slice) = file.write_all_at(slice, offset).await;
                    (result, Buffer::Plain(slice.into_inner()))
                }
            };
            self.buffer = Some(buffer);
            match result {
                Err(error) if is_passing(&error) => {}
                other => return other.map_err(|error| sink.failed(&error)),
            }
        }
    }

    fn idle(&self) -> Idle {
        peek(self.socket())
    }
}

/// Runs an operation to its end. When `until` has come the socket is shut down, which ends it.
async fn before<T>(
    operation: impl Future<Output = T>,
    mut until: Instant,
    socket: BorrowedFd<'_>,
) -> T {
    let mut operation = std::pin::pin!(operation);
    loop {
        if let Ok(done) = tokio::time::timeout_at(until.into(), operation.as_mut()).await {
            return done;
        }
        match watch::excuse(until, Instant::now()) {
            Some(later) => until = later,
            None => break,
        }
    }
    // A socket that is not connected any more has ended the operation already.
    let _ = shutdown(socket, Shutdown::Both);
    operation.await
}

/// An operation that says "again" and means it.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}
