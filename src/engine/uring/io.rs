//! One connection's system calls as operations on a ring.

use std::{
    fs::File,
    io::{self, IoSlice},
    ops::Range,
    sync::{Arc, Weak},
    time::Duration,
};

use rustix::io::{Errno, ReadWriteFlags};
use tokio::{sync::mpsc::UnboundedReceiver, time::timeout};

use super::super::{
    message::{Order, Reporter},
    raw,
    socket::{LowWater, peek, receive_now},
};
use crate::{
    files::sink::Sink,
    link::{Broken, Idle, Io},
    net::Stream,
    orders::{ConnEvent, Failure},
};

/// A connection's socket and its buffer, which is the kernel's while an operation runs.
pub(super) struct Ring {
    pub(super) stream: Arc<Stream>,
    pub(super) reporter: Reporter,
    pub(super) orders: UnboundedReceiver<Order>,
    pub(super) buffer: Vec<u8>,
    pub(super) low_water: LowWater,
    /// How long a peer may take nothing.
    pub(super) stall: Duration,
    pub(super) inline: Inline,
}

/// Whether the filesystem of a file takes a buffered write without blocking (XFS and Btrfs do):
/// then the ring writes while the operation is submitted. Where it does not (ext4, tmpfs), a
/// kernel worker would copy the bytes on another core, and pwrite(2) by the ring's own thread is
/// cheaper.
#[derive(Default)]
pub(super) struct Inline {
    of: Weak<File>,
    good: bool,
}

impl Inline {
    fn is_known(&self, file: &Arc<File>) -> bool {
        std::ptr::eq(self.of.as_ptr(), Arc::as_ptr(file))
    }

    fn is_good(&self) -> bool {
        self.good
    }

    /// Finds it out with the first write to a file (RWF_NOWAIT, pwritev2(2)). Returns how many
    /// bytes were taken.
    fn try_out(&mut self, file: &Arc<File>, bytes: &[u8], offset: u64) -> usize {
        let flags = ReadWriteFlags::NOWAIT;
        let written = rustix::io::pwritev2(file, &[IoSlice::new(bytes)], offset, flags);
        self.of = Arc::downgrade(file);
        self.good = matches!(written, Ok(_) | Err(Errno::AGAIN));
        written.unwrap_or(0)
    }
}

impl Ring {
    /// Waits for an operation on the socket as long as `patience`, then cancels it: `ECANCELED`.
    /// tokio-uring does not cancel what is dropped, so nothing is.
    async fn patiently(
        &self,
        operation: impl Future<Output = raw::Done> + Unpin,
        patience: Duration,
    ) -> raw::Done {
        let mut operation = operation;
        match timeout(patience, &mut operation).await {
            Ok(done) => done,
            Err(_) => {
                raw::cancel(&self.stream).await;
                operation.await
            }
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

    fn buffer(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    async fn order(&mut self) -> Option<Order> {
        self.orders.recv().await
    }

    async fn send(&mut self, mut bytes: Vec<u8>) -> Result<(), Broken> {
        let mut sent = 0;
        while sent < bytes.len() {
            let operation = raw::send(&self.stream, bytes, sent);
            let (result, back) = self.patiently(operation, self.stall).await;
            bytes = back;
            match result {
                Ok(0) => return Err(Broken { errno: libc::EPIPE }),
                Ok(n) => sent += n,
                Err(error) if error.raw_os_error() == Some(libc::ECANCELED) => {
                    return Err(Broken { errno: libc::ETIMEDOUT });
                }
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        Ok(())
    }

    async fn receive(
        &mut self,
        room: Range<usize>,
        fill: bool,
        patience: Duration,
    ) -> Result<Option<usize>, Broken> {
        self.low_water.set(&*self.stream, if fill { room.len() } else { 1 });
        let buffer = std::mem::take(&mut self.buffer);
        let operation = raw::receive(&self.stream, buffer, room.clone());
        let (result, buffer) = self.patiently(operation, patience).await;
        self.buffer = buffer;
        match result {
            Err(error) if is_passing(&error) && fill => {
                receive_now(&*self.stream, self.buffer.get_mut(room).unwrap_or_default())
            }
            Err(error) if is_passing(&error) => Ok(None),
            other => other.map(Some).map_err(|error| failed(&error)),
        }
    }

    async fn write(
        &mut self,
        sink: &Sink,
        from: Range<usize>,
        offset: u64,
    ) -> Result<bool, Failure> {
        let Some(file) = sink.as_file() else { return sink.write(&self.buffer[from], offset) };
        let mut from = from;
        let mut offset = offset;
        if !self.inline.is_known(file) {
            let taken = self.inline.try_out(file, &self.buffer[from.clone()], offset);
            from.start += taken;
            offset += taken as u64;
        }
        if !self.inline.is_good() {
            return sink.write(&self.buffer[from], offset);
        }
        while !from.is_empty() {
            let buffer = std::mem::take(&mut self.buffer);
            let (result, buffer) = raw::write(file, buffer, from.clone(), offset).await;
            self.buffer = buffer;
            match result {
                Ok(0) => return Err(sink.failed(&io::ErrorKind::WriteZero.into())),
                Ok(n) => {
                    from.start += n;
                    offset += n as u64;
                }
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(sink.failed(&error)),
            }
        }
        Ok(true)
    }

    async fn pause(&mut self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn idle(&self) -> Idle {
        peek(&*self.stream)
    }
}

/// A socket operation that failed.
fn failed(error: &io::Error) -> Broken {
    Broken { errno: error.raw_os_error().unwrap_or(0) }
}

/// An operation that says "again" and means it.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN | libc::ECANCELED))
}
