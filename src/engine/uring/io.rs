//! One connection's system calls as operations on a ring.

use std::{io, ops::Range, sync::Arc, time::Duration};

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

    fn retire(&mut self) {}

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

    /// pwrite(2) by the ring's own thread: through the ring, ext4 and tmpfs take no buffered write
    /// inline, and a kernel worker would copy it on another core.
    async fn write(&mut self, sink: &Sink, from: Range<usize>, offset: u64) -> Result<(), Failure> {
        sink.write(&self.buffer[from], offset)
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
