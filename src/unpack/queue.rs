//! Between the thread that decodes and the one that writes: a few buffers that go round.

use std::{
    io::{self, Read},
    sync::{Arc, Weak},
    time::Duration,
};

use crossbeam_channel::{Receiver, Select, Sender, bounded};

use super::{
    coding::Coding,
    fault,
    fetched::{Fetched, Taken},
    limit::Ratio,
};
use crate::orders::{ArchiveFault, Failure};

/// The sending end.
pub(super) struct Filling {
    full: Sender<Result<Vec<u8>, Failure>>,
    empty: Receiver<Vec<u8>>,
    /// Whether the other end is there still, for as long as there is nothing to send it.
    taker: Weak<()>,
}

/// The receiving end: the decoded content, in order.
pub(super) struct Content {
    full: Receiver<Result<Vec<u8>, Failure>>,
    empty: Sender<Vec<u8>>,
    buffer: Vec<u8>,
    start: usize,
    over: bool,
    _alive: Arc<()>,
}

/// The two ends of a queue.
pub(super) fn queue() -> (Filling, Content) {
    let (full, incoming) = bounded(BUFFERS);
    let (back, empty) = bounded(BUFFERS);
    for _ in 0..BUFFERS {
        // There is room for all of them.
        let _ = back.try_send(Vec::new());
    }
    let alive = Arc::new(());
    let filling = Filling { full, empty, taker: Arc::downgrade(&alive) };
    let (buffer, start, over) = (Vec::new(), 0, false);
    (filling, Content { full: incoming, empty: back, buffer, start, over, _alive: alive })
}

impl Filling {
    /// Decodes `input` to its end, unless the other end is gone before. What fails is the last
    /// thing that is sent; an end is an empty buffer. Returns the input's error, if that failed.
    pub(super) fn run(self, input: impl Read, memory: u64, ratio: &mut Ratio) -> Option<io::Error> {
        let input = Fetched::new(input, Weak::clone(&self.taker));
        let taken = input.taken();
        let last = self.decode(input, &taken, memory, ratio).map(|()| Vec::new());
        let error = taken.error();
        let last = if error.is_some() { Err(fault::cancelled()) } else { last };
        // If the other end gave up, it knows why.
        let _ = self.full.send(last);
        error
    }

    fn decode<R: Read>(
        &self,
        mut input: Fetched<R>,
        taken: &Taken,
        memory: u64,
        ratio: &mut Ratio,
    ) -> Result<(), Failure> {
        let coding = Coding::of(&mut input)?;
        ratio.coding(coding)?;
        let mut decoder = coding.decoder(input, memory).map_err(|e| broken(coding, &e))?;
        while let Ok(mut buffer) = self.empty.recv() {
            buffer.resize(BUFFER, 0);
            let count = fill(&mut *decoder, &mut buffer).map_err(|e| broken(coding, &e))?;
            ratio.count(count as u64, taken.bytes())?;
            if count == 0 {
                return Ok(());
            }
            buffer.truncate(count);
            if self.full.send(Ok(buffer)).is_err() {
                break;
            }
        }
        Ok(())
    }
}

impl Content {
    /// What comes next, at least a byte; nothing at the end.
    pub(super) fn next(&mut self) -> Result<&[u8], Failure> {
        while self.start == self.buffer.len() && !self.over {
            let used = std::mem::take(&mut self.buffer);
            // Both ends have room for all buffers; the other end may be gone.
            let _ = self.empty.try_send(used);
            self.start = 0;
            self.buffer = self.full.recv().unwrap_or_else(|_| Err(fault::cancelled()))?;
            self.over = self.buffer.is_empty();
        }
        Ok(self.buffer.get(self.start..).unwrap_or_default())
    }

    /// The same, waiting for no longer than this: `None` where nothing has come.
    pub(super) fn soon(&mut self, patience: Duration) -> Result<Option<&[u8]>, Failure> {
        if self.start == self.buffer.len() && !self.over {
            let mut next = Select::new();
            next.recv(&self.full);
            if next.ready_timeout(patience).is_err() {
                return Ok(None);
            }
        }
        self.next().map(Some)
    }

    /// So much of it is used.
    pub(super) fn take(&mut self, count: usize) {
        self.start = self.buffer.len().min(self.start + count);
    }

    /// Gives `count` bytes to `sink` in pieces.
    ///
    /// # Errors
    /// What the sink says; the content ends before.
    pub(super) fn pass(
        &mut self,
        mut count: u64,
        mut sink: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        while count > 0 {
            let next = self.next()?;
            let length = usize::try_from(count).unwrap_or(usize::MAX).min(next.len());
            if length == 0 {
                return Err(truncated());
            }
            sink(next.get(..length).unwrap_or_default())?;
            self.take(length);
            count -= length as u64;
        }
        Ok(())
    }

    /// Fills `into`; says how much there was before the end.
    pub(super) fn fill(&mut self, into: &mut [u8]) -> Result<usize, Failure> {
        let mut have = 0;
        while have < into.len() {
            let next = self.next()?;
            let length = next.len().min(into.len() - have);
            if length == 0 {
                break;
            }
            if let (Some(to), Some(from)) = (into.get_mut(have..have + length), next.get(..length))
            {
                to.copy_from_slice(from);
            }
            self.take(length);
            have += length;
        }
        Ok(have)
    }
}

/// Fills a buffer as far as the content goes: small pieces would each cost a turn of the queue.
fn fill(decoder: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut have = 0;
    while let Some(room) = buffer.get_mut(have..).filter(|room| !room.is_empty()) {
        match decoder.read(room) {
            Ok(0) => break,
            Ok(count) => have += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(have)
}

/// A decoder refuses what it reads.
fn broken(coding: Coding, error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return truncated();
    }
    let xz = error.get_ref().and_then(|inner| inner.downcast_ref::<liblzma::stream::Error>());
    let zstd = coding == Coding::Zstd && error.to_string().contains("too much memory");
    if zstd || xz == Some(&liblzma::stream::Error::MemLimit) {
        return Failure::Archive(ArchiveFault::Window);
    }
    fault::archive(format!("its {} data are damaged: {error}", coding.name()))
}

/// The content ends where there must be more.
pub(super) fn truncated() -> Failure {
    fault::archive("it is truncated")
}

/// How many buffers there are, and how large; together what is between the threads.
const BUFFERS: usize = 4;
const BUFFER: usize = 512 << 10;
