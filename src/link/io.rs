//! What a link needs of a machine: a socket, a clock, something to write to, and orders.

use std::{ops::Range, time::Duration};

use super::order::Order;
use crate::orders::{ConnEvent, Failure};

/// The machine as one connection sees it: its socket, its clock, its sink, its orders.
#[expect(async_fn_in_trait, reason = "a worker's futures stay on its thread")]
pub trait Io {
    /// Where bodies are written to.
    type Sink;

    /// The time, on a clock that never goes backwards.
    fn now(&self) -> Duration;

    /// Tells the coordinator.
    fn report(&mut self, event: ConnEvent);

    /// The connection's buffer.
    fn buffer(&mut self) -> &mut [u8];

    /// The coordinator's next order; `None` when it wants no more of this connection.
    async fn order(&mut self) -> Option<Order<Self::Sink>>;

    /// Sends everything.
    async fn send(&mut self, bytes: Vec<u8>) -> Result<(), Broken>;

    /// Receives into `room`. `Ok(Some(0))` is the end of the stream. `Ok(None)` says that nothing
    /// came in about `patience`. With `fill`, it may wait as long for much to come, because all of
    /// `room` is owed.
    async fn receive(
        &mut self,
        room: Range<usize>,
        fill: bool,
        patience: Duration,
    ) -> Result<Option<usize>, Broken>;

    /// Writes `from` of the buffer at `offset`, all of it; or nothing, and false, if there is no
    /// room for it yet.
    async fn write(
        &mut self,
        sink: &Self::Sink,
        from: Range<usize>,
        offset: u64,
    ) -> Result<bool, Failure>;

    /// Lets time pass.
    async fn pause(&mut self, time: Duration);

    /// What lies on an idle connection, without waiting.
    fn idle(&self) -> Idle;
}

/// A socket call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// errno, 0 where there is none.
    pub errno: i32,
}

/// What lies on an idle connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Nothing: it can be used.
    Quiet,
    /// Octets that were not asked for.
    Octets,
    /// Its end.
    Closed,
}
