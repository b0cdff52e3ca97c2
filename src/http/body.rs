//! Where a body ends: by length, by the last chunk, or by the end of the connection.

use std::ops::Range;

use super::Error;
use chunked::{Step, at_most};

mod chunked;

/// How a body is delimited (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Exactly so many octets (0 for answers that have no body).
    Length(u64),
    /// Chunked transfer coding.
    Chunked,
    /// Everything until the connection closes.
    Close,
}

/// Finds the body in the octets of a connection. Plain lengths are never copied; chunked bodies
/// are compacted in place so that what is written is contiguous.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoder {
    state: State,
}

/// What [`Decoder::decode`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Octets of the input that were used (framing included); what follows was not looked at.
    pub used: usize,
    /// Where the body octets now lie in the buffer that was passed: within the used octets.
    pub body: Range<usize>,
    /// The body is complete.
    pub end: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Length(u64),
    Chunked(Step),
    Close,
    Done,
}

impl Decoder {
    /// A decoder at the start of a body.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(Step::START),
            Framing::Close => State::Close,
        };
        Self { state }
    }

    /// Looks at `buffer[input]`, raw octets from the connection in order, each shown once: octets
    /// beyond `used` are shown again with the next call only if the caller keeps them. They are
    /// left as they are; the used ones may be moved.
    ///
    /// Never yields more than `room` body octets (the rest stays unused). Framing around them is
    /// read on even when no room is left, so that with exactly enough room the end is seen; what
    /// is then unused while `end` is false is the next body octet, too many for that room. With
    /// `room` 0 nothing but framing is read.
    ///
    /// # Errors
    /// [`Error::BadChunk`] for a malformed chunk size, missing CRLF, a line or trailer section that
    /// is too long. The connection is lost, and so are the octets shown with this call.
    pub fn decode(
        &mut self,
        buffer: &mut [u8],
        input: Range<usize>,
        room: usize,
    ) -> Result<Decoded, Error> {
        let end = input.end.min(buffer.len());
        let input = input.start.min(end)..end;
        let plain = |taken: usize| (taken, input.start..input.start + taken);
        let (used, body) = match &mut self.state {
            State::Done => plain(0),
            State::Close => plain(input.len().min(room)),
            State::Length(left) => {
                let taken = at_most(*left, input.len().min(room));
                *left -= taken as u64;
                plain(taken)
            }
            State::Chunked(step) => step.decode(buffer, input.clone(), room)?,
        };
        if matches!(self.state, State::Length(0) | State::Chunked(Step::End)) {
            self.state = State::Done;
        }
        Ok(Decoded { used, body, end: self.is_done() })
    }

    /// The connection ended cleanly here. `Ok` if the body is complete (close-delimited).
    ///
    /// # Errors
    /// [`Error::Truncated`] if more was announced.
    pub fn eof(&mut self) -> Result<(), Error> {
        match self.state {
            State::Done | State::Close => {
                self.state = State::Done;
                Ok(())
            }
            State::Length(_) | State::Chunked(_) => Err(Error::Truncated),
        }
    }

    /// Body octets still to come, when that is known.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Done => Some(0),
            State::Length(left) => Some(left),
            State::Chunked(_) | State::Close => None,
        }
    }

    /// The body is complete.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }
}

#[cfg(test)]
mod tests;
