//! One connection's system calls as operations on a ring.

use std::{
    io,
    ops::Range,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use rustix::{io::Errno, net::RecvFlags};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_uring::{
    buf::{BoundedBuf, fixed::FixedBuf},
    net::TcpStream,
};

use super::{
    super::{
        Order, Reporter,
        lowat::LowWater,
        stop::Stop,
        threads::{broken, peek},
    },
    receive::receive,
    worker::Shared,
};
use crate::{
    files::sink::Sink,
    link::{Broken, Idle, Io},
    net::Stream,
    orders::{ConnEvent, Failure},
};

/// A connection's buffer, registered with the ring or not.
pub(super) enum Buffer {
    Fixed(FixedBuf),
    Plain(Vec<u8>),
}

impl Buffer {
    /// Its bytes.
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        match self {
            Self::Fixed(buffer) => buffer,
            Self::Plain(buffer) => buffer,
        }
    }
}

/// Operations on a ring. While one runs the kernel owns the buffer.
pub(super) struct Ring {
    stream: TcpStream,
    stop: Arc<Stop>,
    reporter: Reporter,
    orders: UnboundedReceiver<Order>,
    buffer: Option<Buffer>,
    shared: Rc<Shared>,
    low_water: LowWater,
}

impl Ring {
    pub(super) fn new(
        stream: Stream,
        (stop, reporter): (Arc<Stop>, Reporter),
        orders: UnboundedReceiver<Order>,
        shared: Rc<Shared>,
    ) -> Self {
        // SAFETY: the descriptor was just given up by its only owner, and is a connected stream
        // socket. tokio-uring's operations do not care whether it is TCP or Unix.
        let stream = unsafe { TcpStream::from_raw_fd(OwnedFd::from(stream).into_raw_fd()) };
        let (buffer, low_water) = (Some(shared.buffer()), LowWater::new());
        Self { stream, stop, reporter, orders, buffer, shared, low_water }
    }

    /// Takes what is there: less than the low-water mark, or nothing.
    fn receive_now(&mut self, room: Range<usize>) -> Result<Option<usize>, Broken> {
        let bytes = self.buffer.as_mut().and_then(|buffer| buffer.bytes().get_mut(room));
        let Some(bytes) = bytes else { return Ok(None) };
        match rustix::net::recv(socket(&self.stream), bytes, RecvFlags::DONTWAIT) {
            Ok((received, _)) => Ok(Some(received)),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(errno) => Err(broken(errno)),
        }
    }
}

impl Io for Ring {
    type Sink = Sink;

    fn now(&self) -> Duration {
        self.reporter.now()
    }

    fn report(&mut self, event: ConnEvent) {
        self.reporter.report(event);
    }

    fn retire(&mut self) {
        self.stop.detach();
    }

    fn buffer(&mut self) -> &mut [u8] {
        self.buffer.as_mut().map_or(&mut [], Buffer::bytes)
    }

    async fn order(&mut self) -> Option<Order> {
        self.orders.recv().await
    }

    async fn send(&mut self, bytes: Vec<u8>) -> Result<(), Broken> {
        self.stream.write_all(bytes).await.0.map_err(|error| failed(&error))
    }

    async fn receive(
        &mut self,
        room: Range<usize>,
        fill: bool,
        patience: Duration,
    ) -> Result<Option<usize>, Broken> {
        let socket = socket(&self.stream);
        self.low_water.set(socket, if fill { room.len() } else { 1 });
        let buffer = taken(&mut self.buffer).map_err(|error| failed(&error))?;
        let (result, buffer) = receive(socket, buffer, room.clone(), patience).await;
        self.buffer = Some(buffer);
        match result {
            Err(error) if is_passing(&error) && fill => self.receive_now(room),
            Err(error) if is_passing(&error) => Ok(None),
            other => other.map(Some).map_err(|error| failed(&error)),
        }
    }

    async fn write(&mut self, sink: &Sink, from: Range<usize>, offset: u64) -> Result<(), Failure> {
        let Some(file) = sink.as_file() else {
            // A stream takes bytes in order, from one connection, which is all this worker has.
            return sink.write(&self.buffer()[from], offset);
        };
        let file = self.shared.file(file).map_err(|error| sink.failed(&error))?;
        loop {
            let buffer = taken(&mut self.buffer).map_err(|error| sink.failed(&error))?;
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
        peek(socket(&self.stream))
    }
}

fn socket(stream: &TcpStream) -> BorrowedFd<'_> {
    // SAFETY: the socket is open as long as the stream, which is borrowed as long.
    unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) }
}

fn taken(buffer: &mut Option<Buffer>) -> io::Result<Buffer> {
    buffer.take().ok_or_else(|| io::Error::other("the buffer is out"))
}

/// A socket operation that failed.
fn failed(error: &io::Error) -> Broken {
    Broken { errno: error.raw_os_error().unwrap_or(0) }
}

/// An operation that says "again" and means it.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN | libc::ECANCELED))
}
