//! Where a body ends: by length, by the last chunk, or by the end of the connection.

use std::ops::Range;

use super::Error;

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
    framing: Framing,
}

/// What [`Decoder::decode`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Octets of the input that were used (framing included); what follows belongs to nobody yet.
    pub used: usize,
    /// Where the body octets now lie in the buffer that was passed.
    pub body: Range<usize>,
    /// The body is complete.
    pub end: bool,
}

impl Decoder {
    /// A decoder at the start of a body.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        Self { framing }
    }

    /// Looks at `buffer[input]`, raw octets from the connection in order, each shown once: octets
    /// beyond `used` are shown again with the next call only if the caller keeps them.
    /// Never yields more than `room` body octets (the rest stays unused).
    ///
    /// # Errors
    /// [`Error::BadChunk`] for a malformed chunk size, missing CRLF, a line or trailer section that
    /// is too long.
    pub fn decode(
        &mut self,
        buffer: &mut [u8],
        input: Range<usize>,
        room: usize,
    ) -> Result<Decoded, Error> {
        let _ = (buffer, input, room, self.framing);
        todo!()
    }

    /// The connection ended cleanly here. `Ok` if the body is complete (close-delimited).
    ///
    /// # Errors
    /// [`Error::Truncated`] if more was announced.
    pub fn eof(&mut self) -> Result<(), Error> {
        todo!()
    }

    /// Body octets still to come, when that is known.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        todo!()
    }

    /// The body is complete.
    #[must_use]
    pub fn is_done(&self) -> bool {
        todo!()
    }
}
