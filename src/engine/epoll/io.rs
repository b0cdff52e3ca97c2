//! One connection's system calls under readiness: none of them blocks but a write to a file.

use std::{
    ops::Range,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::{
    event::epoll::EventFlags,
    io::Errno,
    net::{SendFlags, send},
};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{
    super::{
        message::{Order, Reporter},
        socket::{LowWater, broken, peek, receive_now},
    },
    turn::Turn,
};
use crate::{
    files::sink::Sink,
    link::{Broken, Idle, Io},
    net::Stream,
    orders::{ConnEvent, Failure},
};

/// A connection's socket, its buffer, and its turn.
pub(super) struct Ready {
    pub(super) stream: Arc<Stream>,
    pub(super) reporter: Reporter,
    pub(super) orders: UnboundedReceiver<Order>,
    pub(super) turn: Rc<Turn>,
    pub(super) buffer: Vec<u8>,
    pub(super) low_water: LowWater,
    /// How long a peer may take nothing.
    pub(super) stall: Duration,
}

impl Io for Ready {
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

    async fn send(&mut self, bytes: Vec<u8>) -> Result<(), Broken> {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            match send(&*self.stream, rest, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(n) => rest = rest.get(n..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    let until = Instant::now() + self.stall;
                    if !self.turn.come(EventFlags::OUT, until).await.map_err(broken)? {
                        return Err(Broken { errno: libc::ETIMEDOUT });
                    }
                }
                Err(errno) => return Err(broken(errno)),
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
        let until = Instant::now() + patience;
        loop {
            let come = self.turn.come(EventFlags::IN, until).await.map_err(broken)?;
            // When the time is over there may be something, but less than the mark.
            let received = receive_now(&*self.stream, &mut self.buffer[room.clone()])?;
            if received.is_some() || !come {
                return Ok(received);
            }
        }
    }

    async fn write(
        &mut self,
        sink: &Sink,
        from: Range<usize>,
        offset: u64,
    ) -> Result<bool, Failure> {
        sink.write(&self.buffer[from], offset)
    }

    async fn pause(&mut self, time: Duration) {
        self.turn.pause(Instant::now() + time).await;
    }

    fn idle(&self) -> Idle {
        peek(&*self.stream)
    }
}
