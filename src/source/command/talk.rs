//! What comes from the far shell: lines with a mark, and blocks of bytes between them.
//!
//! The frame of a part, where `uget:N` is the mark of this one command:
//!
//! ```text
//! whatever the far side prints when it greets
//! uget:N at STAT
//! <a block of a length that we chose>uget:N more
//! <the next one>uget:N more
//! uget:N end STAT
//! ```
//!
//! No byte of a block is passed on before the line behind it stood where it must stand. So whatever
//! a shell, a terminal or a transport puts in between or leaves out is found out before it counts:
//! it moves the line. And what stat said first it must say at the end.

use super::{super::SourceError, script::Mark};

/// Where bytes of the far command come from.
pub(super) trait Bytes {
    /// The next ones, at least one; 0 at the end.
    fn read(&mut self, into: &mut [u8]) -> Result<usize, SourceError>;
}

/// Reads what a command says.
pub(super) struct Talk<B> {
    pub(super) from: B,
    mark: Vec<u8>,
    buffer: Vec<u8>,
    /// What lies in the buffer and was not taken yet.
    start: usize,
    end: usize,
}

impl<B: Bytes> Talk<B> {
    pub(super) fn new(from: B, mark: &Mark) -> Self {
        let mark = mark.text().into_bytes();
        Self { from, mark, buffer: Vec::new(), start: 0, end: 0 }
    }

    /// What the next marked line says. What comes before it is passed over, as long as it is no
    /// more than a greeting may be; `None` when nothing comes any more.
    pub(super) fn line(&mut self) -> Result<Option<String>, SourceError> {
        loop {
            if let Some(at) = find(self.rest(), &self.mark) {
                self.start += at + self.mark.len();
                return self.words().map(Some);
            }
            if self.rest().len() > NOISE_MAX {
                return Err(SourceError::Failed("it says too much before the bytes".to_owned()));
            }
            if !self.more()? {
                return Ok(None);
            }
        }
    }

    /// The next `length` bytes, which a line that says `more` follows at once.
    pub(super) fn block(&mut self, length: usize) -> Result<&[u8], SourceError> {
        let behind = [&self.mark[..], b" more\n"].concat();
        // At once, and not more than that.
        self.buffer.reserve_exact(length + behind.len() + READ);
        while self.rest().len() < length + behind.len() {
            if !self.more()? {
                return Err(SourceError::Failed("it ended early".to_owned()));
            }
        }
        let (start, middle) = (self.start, self.start + length);
        if !self.buffer.get(middle..self.end).unwrap_or_default().starts_with(&behind) {
            return Err(SourceError::Failed("something else is among the bytes".to_owned()));
        }
        self.start = middle + behind.len();
        Ok(self.buffer.get(start..middle).unwrap_or_default())
    }

    /// Passes everything on that comes before the last marked line, and returns what that says.
    pub(super) fn all(
        &mut self,
        mut give: impl FnMut(&[u8]) -> Result<(), SourceError>,
    ) -> Result<String, SourceError> {
        while self.more()? {
            let most = self.rest().len().saturating_sub(TAIL);
            give(self.rest().get(..most).unwrap_or_default())?;
            self.start += most;
        }
        let Some(at) = rfind(self.rest(), &self.mark) else {
            return Err(SourceError::Failed("it ended early".to_owned()));
        };
        give(self.rest().get(..at).unwrap_or_default())?;
        self.start += at + self.mark.len();
        self.words()
    }

    /// The rest of a marked line.
    fn words(&mut self) -> Result<String, SourceError> {
        loop {
            if let Some(length) = self.rest().iter().position(|octet| *octet == b'\n') {
                let line = self.rest().get(..length).unwrap_or_default();
                if line.ends_with(b"\r") {
                    return Err(SourceError::Unusable(TERMINAL.to_owned()));
                }
                let line = String::from_utf8_lossy(line).trim().to_owned();
                self.start += length + 1;
                return Ok(line);
            }
            if self.rest().len() > LINE_MAX || !self.more()? {
                return Err(SourceError::Failed("it ended early".to_owned()));
            }
        }
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Reads on. False at the end.
    fn more(&mut self) -> Result<bool, SourceError> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.buffer.len() < self.end + READ {
            self.buffer.resize(self.end + READ, 0);
        }
        let got = self.from.read(self.buffer.get_mut(self.end..).unwrap_or_default())?;
        self.end += got;
        Ok(got > 0)
    }
}

fn find(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    bytes.windows(mark.len()).position(|window| window == mark)
}

fn rfind(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    bytes.windows(mark.len()).rposition(|window| window == mark)
}

const TERMINAL: &str = "the far side is a terminal, which changes bytes (leave out -t)";

/// What a far side may print when it greets.
const NOISE_MAX: usize = 64 << 10;
/// The longest line of ours.
const LINE_MAX: usize = 4 << 10;
/// Where the last line of ours must be, with what is printed behind it.
const TAIL: usize = 4 << 10;
/// The least room there is for a read.
const READ: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Script(Vec<u8>, usize);

    impl Bytes for Script {
        fn read(&mut self, into: &mut [u8]) -> Result<usize, SourceError> {
            let count = self.0.len().min(self.1.max(1)).min(into.len());
            into[..count].copy_from_slice(&self.0[..count]);
            self.0.drain(..count);
            Ok(count)
        }
    }

    fn talk(said: &[u8], step: usize) -> Talk<Script> {
        Talk::new(Script(said.to_vec(), step), &Mark::new("N".to_owned()))
    }

    /// What two blocks of four and three bytes come to, and what the lines around them say.
    fn two(said: &[u8], step: usize) -> Result<(Vec<u8>, String, String), SourceError> {
        let mut talk = talk(said, step);
        let gone = || SourceError::Failed("no line".to_owned());
        let at = talk.line()?.ok_or_else(gone)?;
        let mut bytes = talk.block(4)?.to_vec();
        bytes.extend_from_slice(talk.block(3)?);
        let end = talk.line()?.ok_or_else(gone)?;
        Ok((bytes, at, end))
    }

    const GOOD: &[u8] = b"hi\nuget:N at 1 2\nab\ncuget:N more\n\0\r\nuget:N more\nuget:N end 1 2\n";

    #[test]
    fn blocks_are_what_lies_between_the_lines() {
        for step in 1..GOOD.len() {
            let (bytes, at, end) = two(GOOD, step).unwrap();
            assert_eq!(bytes, b"ab\nc\0\r\n");
            assert_eq!((&*at, &*end), ("at 1 2", "end 1 2"));
        }
    }

    #[test]
    fn a_terminal_is_told_apart() {
        let said = GOOD.iter().flat_map(|octet| match octet {
            b'\n' => b"\r\n".to_vec(),
            other => vec![*other],
        });
        let error = two(&said.collect::<Vec<_>>(), 9).unwrap_err();
        assert!(matches!(error, SourceError::Unusable(_)), "{error:?}");
    }

    proptest! {
        #[test]
        fn what_is_put_in_or_left_out_never_becomes_bytes(
            at in 0..GOOD.len(),
            put in proptest::collection::vec(any::<u8>(), 0..9),
            out in 0_usize..9,
            step in 1_usize..40,
        ) {
            let mut said = GOOD.to_vec();
            let out = out.min(said.len() - at);
            said.splice(at..at + out, put.iter().copied());
            // To replace bytes by as many others is what no frame can tell.
            prop_assume!(put.len() != out);
            if let Ok((bytes, ..)) = two(&said, step) {
                prop_assert_eq!(bytes, b"ab\nc\0\r\n");
            }
        }
    }

    #[test]
    fn everything_ends_with_the_last_line() {
        let long = vec![b'x'; 3 * READ];
        for (said, bytes) in [
            (&b"uget:N end 1\n"[..], &b""[..]),
            (b"abcuget:N end 1\n", b"abc"),
            (b"abc\nuget:N end 1\ngood bye\n", b"abc\n"),
            (&[&long[..], b"uget:N end 1\n"].concat(), &long),
        ] {
            let mut got = Vec::new();
            let mut talk = talk(said, 1000);
            let end = talk.all(|bytes| {
                got.extend_from_slice(bytes);
                Ok(())
            });
            assert_eq!(end.unwrap(), "end 1");
            assert!(got == bytes);
        }
        assert!(talk(b"abc", 2).all(|_| Ok(())).is_err());
    }
}
