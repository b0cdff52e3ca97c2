//! Response heads, read with httparse and believed only when their framing is unambiguous.

use super::{
    Error,
    body::Framing,
    field::{ContentRange, RetryAfter, Validators},
};

/// The longest head that is read, in octets, interim heads counted each on their own.
pub const HEAD_MAX: usize = 64 * 1024;

/// The most fields that a head may have.
pub const FIELDS_MAX: usize = 256;

/// A final or interim response head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// 0 for HTTP/1.0, 1 for HTTP/1.1.
    pub minor: u8,
    /// 100 to 599 (999 tolerated as final).
    pub status: u16,
    /// The reason phrase, raw.
    pub reason: Vec<u8>,
    /// Field lines in order; names as received.
    pub fields: Vec<(String, Vec<u8>)>,
}

impl Head {
    /// Reads a head from the front of `input`. `Ok(None)`: more octets are needed (and fewer than
    /// [`HEAD_MAX`] are there). `Ok(Some((head, used)))`: the head took `used` octets.
    ///
    /// # Errors
    /// [`Error::HeadTooLarge`], [`Error::BadHead`] (obsolete folding, NUL, bare CR, spaces before a
    /// colon and other smuggling forms included).
    pub fn parse(input: &[u8]) -> Result<Option<(Self, usize)>, Error> {
        let _ = input;
        todo!()
    }

    /// Every value of the field `name` (case-insensitive), in order, trimmed.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields
            .iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.trim_ascii())
    }

    /// The value of the field `name` if it occurs exactly once.
    #[must_use]
    pub fn one<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        let mut all = self.all(name);
        let first = all.next()?;
        if all.next().is_some() { None } else { Some(first) }
    }

    /// How the body ends, for an answer to GET (RFC 9112 section 6.3).
    ///
    /// # Errors
    /// [`Error::BadFraming`] for Transfer-Encoding with Content-Length, two different
    /// Content-Lengths, lists, signs, hex, overflow, a coding other than `chunked`, and
    /// Transfer-Encoding from an HTTP/1.0 peer.
    pub fn framing(&self) -> Result<Framing, Error> {
        todo!()
    }

    /// Whether the peer will keep the connection open after this message.
    #[must_use]
    pub fn keep_alive(&self) -> bool {
        todo!()
    }

    /// `Content-Range`, when there is exactly one and it is well formed.
    #[must_use]
    pub fn content_range(&self) -> Option<ContentRange> {
        ContentRange::parse(self.one("content-range")?)
    }

    /// `Content-Length`, when it is present and unambiguous.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        todo!()
    }

    /// The version this head names.
    #[must_use]
    pub fn validators(&self) -> Validators {
        todo!()
    }

    /// `Retry-After`, in seconds from now: a date is taken relative to this head's own `Date`
    /// (absent: no value). Never negative.
    #[must_use]
    pub fn retry_after_seconds(&self) -> Option<u64> {
        let _ = RetryAfter::parse;
        todo!()
    }

    /// Whether the body is coded (`Content-Encoding` other than `identity`).
    #[must_use]
    pub fn content_coded(&self) -> bool {
        todo!()
    }

    /// Whether the body is `multipart/byteranges`.
    #[must_use]
    pub fn multipart(&self) -> bool {
        todo!()
    }

    /// 301, 302, 303, 307 or 308.
    #[must_use]
    pub fn is_redirect(&self) -> bool {
        matches!(self.status, 301 | 302 | 303 | 307 | 308)
    }
}
