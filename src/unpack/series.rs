//! Codings whose streams may follow one another in one file: gzip's members, bzip2's streams, lz4's
//! frames.

use std::io::{self, BufRead, Read};

use bzip2::bufread::BzDecoder;
use flate2::bufread::GzDecoder;
use lz4_flex::frame::FrameDecoder;

use super::fetched::Fetched;

/// A decoder of one stream that gives its input back where the stream ends.
pub(super) trait Single<R>: Read + Sized {
    /// Whether a stream begins with these bytes.
    fn begins(bytes: &[u8]) -> bool;
    /// Starts to decode.
    fn open(input: Fetched<R>) -> Self;
    /// The input, behind what was decoded.
    fn close(self) -> Fetched<R>;
}

/// One stream after the other, until the input ends. Zeros may pad the end, nothing else.
pub(super) enum Series<S, R> {
    Inside(S),
    Between(Fetched<R>),
    Over,
}

impl<R: Read, S: Single<R>> Series<S, R> {
    pub(super) fn new(input: Fetched<R>) -> Self {
        Self::Between(input)
    }
}

impl<R: Read, S: Single<R>> Read for Series<S, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match std::mem::replace(self, Self::Over) {
                Self::Over => return Ok(0),
                Self::Between(mut input) => {
                    let next = input.peek(MAGIC)?;
                    if S::begins(next) {
                        *self = Self::Inside(S::open(input));
                    } else {
                        zeros_alone(&mut input)?;
                    }
                }
                Self::Inside(mut stream) => match stream.read(into)? {
                    0 if !into.is_empty() => *self = Self::Between(stream.close()),
                    count => {
                        *self = Self::Inside(stream);
                        return Ok(count);
                    }
                },
            }
        }
    }
}

/// Takes what is left, which must be zeros.
fn zeros_alone(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let have = input.fill_buf()?;
        if have.is_empty() {
            return Ok(());
        }
        if have.iter().any(|byte| *byte != 0) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "something follows its end"));
        }
        let count = have.len();
        input.consume(count);
    }
}

impl<R: Read> Single<R> for GzDecoder<Fetched<R>> {
    fn begins(bytes: &[u8]) -> bool {
        bytes.starts_with(&[0x1f, 0x8b])
    }

    fn open(input: Fetched<R>) -> Self {
        Self::new(input)
    }

    fn close(self) -> Fetched<R> {
        self.into_inner()
    }
}

impl<R: Read> Single<R> for BzDecoder<Fetched<R>> {
    fn begins(bytes: &[u8]) -> bool {
        bytes.starts_with(b"BZh")
    }

    fn open(input: Fetched<R>) -> Self {
        Self::new(input)
    }

    fn close(self) -> Fetched<R> {
        self.into_inner()
    }
}

/// One frame of lz4, or one that is to be skipped.
pub(super) enum Lz4<R: Read> {
    Frame(Box<FrameDecoder<Watched<R>>>),
    Skipped(Fetched<R>),
}

/// Notes when a decoder meets the end of the input: one for lz4 takes an end in the middle of a
/// frame for the end of the frame.
pub(super) struct Watched<R> {
    input: Fetched<R>,
    ended: bool,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(into)?;
        self.ended |= count == 0 && !into.is_empty();
        Ok(count)
    }
}

impl<R: Read> Single<R> for Lz4<R> {
    fn begins(bytes: &[u8]) -> bool {
        bytes.starts_with(&LZ4) || skippable(bytes)
    }

    fn open(mut input: Fetched<R>) -> Self {
        match input.peek(MAGIC) {
            Ok(bytes) if skippable(bytes) => Self::Skipped(input),
            _ => Self::Frame(Box::new(FrameDecoder::new(Watched { input, ended: false }))),
        }
    }

    fn close(self) -> Fetched<R> {
        match self {
            Self::Frame(frame) => frame.into_inner().input,
            Self::Skipped(input) => input,
        }
    }
}

impl<R: Read> Read for Lz4<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Frame(frame) => {
                let count = frame.read(into)?;
                if count == 0 && !into.is_empty() && frame.get_ref().ended {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Ok(count)
            }
            Self::Skipped(input) => skip_frame(input).map(|()| 0),
        }
    }
}

/// Takes a frame that holds nothing of the content: its magic, a length, that many bytes.
fn skip_frame(input: &mut impl Read) -> io::Result<()> {
    let mut head = [0; 8];
    input.read_exact(&mut head)?;
    let [_, _, _, _, length @ ..] = head;
    let length = u64::from(u32::from_le_bytes(length));
    let skipped = io::copy(&mut input.take(length), &mut io::sink())?;
    if skipped == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// A skippable frame, which zstd and lz4 have in common.
pub(super) fn skippable(bytes: &[u8]) -> bool {
    matches!(bytes, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// A frame of lz4.
pub(super) const LZ4: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
/// As much as tells one coding from another.
const MAGIC: usize = 4;
