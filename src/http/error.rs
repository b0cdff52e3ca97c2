//! What can be wrong with a message, and whose fault it is.

use std::fmt;

/// Who broke the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This program, or what its user typed: nothing was sent.
    Local,
    /// The other side: the connection cannot be used again.
    Peer,
}

/// A message that cannot be built or cannot be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A field name or value from the user holds CR, LF, NUL or another octet that a field cannot
    /// hold (RFC 9110 section 5.5). Holds the field's name, escaped.
    BadField(String),
    /// The head is longer than [`crate::http::response::HEAD_MAX`] octets or has too many fields.
    HeadTooLarge,
    /// The head is not HTTP/1.x. Holds httparse's words.
    BadHead(&'static str),
    /// More interim (1xx) responses than [`crate::http::exchange::INTERIM_MAX`].
    TooManyInterim,
    /// The framing fields contradict each other or themselves (RFC 9112 section 6.3).
    BadFraming(&'static str),
    /// A chunk header, chunk end or trailer is malformed (RFC 9112 section 7.1).
    BadChunk(&'static str),
    /// The connection ended inside a head, or inside a body whose end is known.
    Truncated,
    /// More octets than the body may have.
    Overlong,
    /// `Location` is missing, unparsable, or names a scheme that is not allowed. Holds why.
    BadLocation(String),
    /// The chain of redirects visits a URL twice.
    RedirectLoop,
    /// More hops than `--max-redirs` allows. Holds the limit.
    TooManyRedirects(u32),
}

impl Error {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::BadField(_) => Fault::Local,
            _ => Fault::Peer,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadField(name) => {
                write!(f, "field \"{name}\" holds a character that a field cannot hold")
            }
            Self::HeadTooLarge => write!(f, "the response head is too large"),
            Self::BadHead(why) => write!(f, "the response head is not HTTP/1: {why}"),
            Self::TooManyInterim => write!(f, "too many interim responses"),
            Self::BadFraming(why) => write!(f, "ambiguous message framing: {why}"),
            Self::BadChunk(why) => write!(f, "bad chunked coding: {why}"),
            Self::Truncated => write!(f, "the connection was closed inside a message"),
            Self::Overlong => write!(f, "the body is longer than was announced"),
            Self::BadLocation(why) => write!(f, "bad redirect: {why}"),
            Self::RedirectLoop => write!(f, "redirect loop"),
            Self::TooManyRedirects(limit) => write!(f, "more than {limit} redirects"),
        }
    }
}

impl std::error::Error for Error {}
