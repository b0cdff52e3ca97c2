//! One request and its answer on one connection: interim answers, the head, then the body.

use super::{Error, body::Decoder, response::Head};

/// The most interim (1xx) answers before the final one.
pub const INTERIM_MAX: usize = 20;

/// The receiving half of an exchange, after the request was sent.
#[derive(Clone, Debug, Default)]
pub struct Exchange {
    interim: usize,
}

/// The final head of an exchange and what follows from it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The final head.
    pub head: Head,
    /// Finds the body.
    pub body: Decoder,
    /// The connection may be used again once the body is complete and nothing follows it
    /// (HTTP/1.1 or explicit keep-alive, no `Connection: close`, not close-delimited).
    pub keep_alive: bool,
}

impl Exchange {
    /// Looks for the final head at the front of `input`, passing over interim answers (101 is
    /// refused: nothing here asks for an upgrade). Returns how many octets are used up either
    /// way; `None` asks for more.
    ///
    /// # Errors
    /// Any of [`Head::parse`], [`Head::framing`], [`Error::TooManyInterim`].
    pub fn head(&mut self, input: &[u8]) -> Result<(usize, Option<Answer>), Error> {
        let _ = (input, self.interim);
        todo!()
    }
}
