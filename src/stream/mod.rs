//! Many writers, one consumer, one order: bytes come in at any offset of a window and go out from
//! the first to the last, each once, in memory that is promised beforehand.
//!
//! [`Inlet`] is the writers' end. What a writer may write is decided under a lock, and copied
//! outside of it. [`Outlet`] is the consumer's end; there is one. A block is used again only when
//! all of it was consumed. The consumer copies out of a block, or hands it to write(2), which
//! copies: never vmsplice(2) or splice(2) of this memory, because a consumer behind a pipe that
//! splices it onward would see the next bytes in the place of these.
//!
//! Nothing here can wait for itself: parts are leased only up to the end of the window, so that a
//! byte that is on its way has its room already; a plain stream, which is leased whole, is told
//! that there is no room and asks again.

#![forbid(unsafe_code)]

mod blocks;
mod window;

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::orders::Failure;
use blocks::{Block, Blocks};
use window::{Piece, Room, Window};

/// How large the window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Bytes of a block.
    pub(crate) block: usize,
    /// How many blocks.
    pub(crate) blocks: usize,
}

impl Shape {
    /// How far beyond what was consumed may be written.
    pub(crate) fn window(self) -> u64 {
        Window::new(self.block, self.blocks).bytes()
    }
}

/// The writers' end of a stream; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Inlet(Arc<Stream>);

/// The consumer's end of a stream. When it is dropped, nothing can be written any more.
#[derive(Debug)]
pub(crate) struct Outlet {
    stream: Arc<Stream>,
    held: Held,
    /// The offset of the next byte.
    at: u64,
    /// A copy of part of a block.
    copy: Vec<u8>,
}

/// What there is for the consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// [`Outlet::bytes`].
    Bytes,
    /// Nothing came so far.
    Quiet,
    /// Every byte was consumed.
    End,
    /// It ends here, and is not whole.
    Broken,
}

#[derive(Debug)]
struct Stream {
    state: Mutex<State>,
    news: Condvar,
    blocks: Blocks,
}

#[derive(Debug)]
struct State {
    window: Window,
    flow: Flow,
    /// The consumer waits.
    waiting: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Open,
    /// No more comes; what is there in order is still the consumer's.
    Failed,
    /// Nothing comes and nothing goes.
    Closed,
}

/// What the consumer holds of the window.
#[derive(Debug)]
enum Held {
    Nothing,
    /// These bytes of a block.
    Block(Block, usize, usize),
    /// From here on, the copy.
    Copy(usize),
}

/// A stream, from its first byte on.
pub(crate) fn stream(shape: Shape) -> (Inlet, Outlet) {
    let Shape { block, blocks } = shape;
    let window = Window::new(block, blocks);
    let stream = Arc::new(Stream {
        state: Mutex::new(State { window, flow: Flow::Open, waiting: false }),
        news: Condvar::new(),
        blocks: Blocks::new(block, blocks.max(2)),
    });
    let outlet =
        Outlet { stream: Arc::clone(&stream), held: Held::Nothing, at: 0, copy: Vec::new() };
    (Inlet(stream), outlet)
}

impl Inlet {
    /// How far beyond what was consumed may be written.
    pub(crate) fn window(&self) -> u64 {
        self.0.lock().window.bytes()
    }

    /// Writes all of `bytes` at `offset`, or, if there is no room for them yet, nothing: false.
    ///
    /// # Errors
    /// The consumer is gone, or the bytes were written before.
    pub(crate) fn write(&self, bytes: &[u8], offset: u64) -> Result<bool, Failure> {
        let range = offset..offset.saturating_add(bytes.len() as u64);
        {
            let mut state = self.0.lock();
            if state.flow != Flow::Open {
                return Err(Failure::Cancelled { signal: 0 });
            }
            match state.window.reserve(range.clone()) {
                Room::Granted => {}
                Room::Full => return Ok(false),
                Room::Refused => return Err(Failure::Internal("a byte of a stream came twice")),
            }
        }
        self.0.blocks.write(bytes, offset);
        let mut state = self.0.lock();
        if state.window.fill(range) && std::mem::take(&mut state.waiting) {
            drop(state);
            self.0.news.notify_one();
        }
        Ok(true)
    }

    /// The object begins anew: nothing that was written counts. False if some of it was taken.
    pub(crate) fn restart(&self) -> bool {
        self.0.lock().window.restart()
    }

    /// The object does not begin anew any more.
    pub(crate) fn commit(&self) {
        self.0.lock().window.commit();
    }

    /// Every byte is written.
    pub(crate) fn finish(&self, total: u64) {
        self.0.tell(|state| state.window.finish(total));
    }

    /// No more comes. The consumer has what is there in order.
    pub(crate) fn fail(&self) {
        self.0.tell(|state| {
            if state.flow == Flow::Open {
                state.flow = Flow::Failed;
            }
        });
    }

    /// Nothing comes and nothing goes any more.
    pub(crate) fn close(&self) {
        self.0.tell(|state| state.flow = Flow::Closed);
    }
}

impl Outlet {
    /// Waits for bytes, as long as `patience`. What [`Self::bytes`] has is consumed first.
    pub(crate) fn next(&mut self, patience: Duration) -> Next {
        let mut state = self.stream.lock();
        if !self.bytes().is_empty() {
            return if state.flow == Flow::Closed { Next::Broken } else { Next::Bytes };
        }
        let until = Instant::now() + patience;
        let piece = loop {
            if state.flow == Flow::Closed {
                return Next::Broken;
            }
            match state.window.take() {
                Piece::End => return Next::End,
                Piece::None if state.flow == Flow::Failed => return Next::Broken,
                Piece::None => {}
                piece => break piece,
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Next::Quiet;
            }
            state.waiting = true;
            let woken = self.stream.news.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
            state.waiting = false;
        };
        drop(state);
        self.hold(piece);
        Next::Bytes
    }

    fn hold(&mut self, piece: Piece) {
        let blocks = &self.stream.blocks;
        self.held = match piece {
            Piece::Block(range) => match blocks.lift(range.start) {
                Some(block) => {
                    let length = usize::try_from(range.end - range.start).unwrap_or(0);
                    let end = block.len();
                    Held::Block(block, end.saturating_sub(length), end)
                }
                None => Held::Nothing,
            },
            Piece::Some(range) => {
                blocks.copy(range, &mut self.copy);
                Held::Copy(0)
            }
            Piece::None | Piece::End => Held::Nothing,
        };
    }

    /// The next bytes, if [`Self::next`] has found some.
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.held {
            Held::Nothing => &[],
            Held::Block(block, from, to) => block.get(*from..*to).unwrap_or_default(),
            Held::Copy(from) => self.copy.get(*from..).unwrap_or_default(),
        }
    }

    /// So many of [`Self::bytes`] are consumed. Whether that makes room for others.
    pub(crate) fn consume(&mut self, count: usize) -> bool {
        let count = count.min(self.bytes().len());
        self.at += count as u64;
        match &mut self.held {
            Held::Nothing => {}
            Held::Block(_, from, _) | Held::Copy(from) => *from += count,
        }
        let over = self.bytes().is_empty() && count > 0;
        if over {
            if let Held::Block(block, ..) = std::mem::replace(&mut self.held, Held::Nothing) {
                self.stream.blocks.give_back(block);
            }
            self.stream.lock().window.consume(self.at);
        }
        over
    }

    /// The offset of the next byte.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.stream.tell(|state| state.flow = Flow::Closed);
    }
}

impl Stream {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves plain numbers behind, which are as good as ever.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.news.notify_all();
    }
}

#[cfg(test)]
mod tests;
