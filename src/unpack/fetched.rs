//! The archive's bytes as they were fetched: counted, and to be looked at before they are taken.

use std::{
    cell::{Cell, RefCell},
    io::{self, BufRead, Read},
    rc::Rc,
    sync::Weak,
};

/// What is known of the input from outside the decoders that hold it.
#[derive(Debug, Default)]
pub(super) struct Taken {
    bytes: Cell<u64>,
    failed: RefCell<Option<io::Error>>,
}

impl Taken {
    /// Bytes that were fetched so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// The input's error, if it failed, which is not the archive's fault.
    pub(super) fn error(&self) -> Option<io::Error> {
        self.failed.take()
    }
}

/// A reader whose next bytes can be looked at.
pub(super) struct Fetched<R> {
    input: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    taken: Rc<Taken>,
    /// Goes with what takes the content.
    taker: Weak<()>,
}

impl<R: Read> Fetched<R> {
    /// An input that may say that nothing came for a while ([`io::ErrorKind::TimedOut`]): it is
    /// asked again as long as there is a `taker`.
    pub(super) fn new(input: R, taker: Weak<()>) -> Self {
        let buffer = vec![0; BUFFER];
        Self { input, buffer, start: 0, end: 0, taken: Rc::default(), taker }
    }

    pub(super) fn taken(&self) -> Rc<Taken> {
        Rc::clone(&self.taken)
    }

    /// The next `count` bytes, fewer only where the input ends.
    pub(super) fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        if self.start + count > self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        while self.end - self.start < count && self.more()? {}
        let end = self.end.min(self.start + count);
        Ok(self.buffer.get(self.start..end).unwrap_or_default())
    }

    /// Reads more behind what is there; says whether there was any.
    fn more(&mut self) -> io::Result<bool> {
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        let read = loop {
            match self.input.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    if self.taker.strong_count() == 0 {
                        return Err(io::ErrorKind::BrokenPipe.into());
                    }
                }
                result => break result,
            }
        };
        // Decoders put words of their own around an error: it is kept as it is.
        let read = read.map_err(|error| {
            let kind = error.kind();
            self.taken.failed.replace(Some(error));
            io::Error::from(kind)
        })?;
        self.end += read;
        self.taken.bytes.set(self.taken.bytes.get() + read as u64);
        Ok(read > 0)
    }
}

impl<R: Read> BufRead for Fetched<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            self.more()?;
        }
        Ok(self.buffer.get(self.start..self.end).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.start = self.end.min(self.start + amount);
    }
}

impl<R: Read> Read for Fetched<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let have = self.fill_buf()?;
        let count = have.len().min(into.len());
        if let (Some(to), Some(from)) = (into.get_mut(..count), have.get(..count)) {
            to.copy_from_slice(from);
        }
        self.consume(count);
        Ok(count)
    }
}

/// How much is read at a time.
const BUFFER: usize = 256 << 10;
