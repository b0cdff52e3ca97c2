//! The public error: what kind of failure, and in words.

pub(crate) mod outcome;

use std::fmt;

/// The kinds of failure that callers tell apart. The program's exit codes are a total function of
/// this, which is why it may be matched exhaustively: whoever adds a kind is made to choose its
/// code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The options contradict each other or name something impossible.
    Usage,
    /// The URL cannot be used.
    BadUrl,
    /// The proxy's name does not resolve.
    ResolveProxy,
    /// The host's name does not resolve.
    ResolveHost,
    /// No connection to origin or proxy.
    Connect,
    /// The peer broke HTTP.
    Protocol,
    /// The transfer ended short.
    Partial,
    /// An HTTP status of 400 or above.
    Status(u16),
    /// A local file could not be written.
    Write,
    /// A time limit ran out.
    Timeout,
    /// Ranges were required and refused, or a server lies about them.
    Range,
    /// The TLS handshake failed.
    TlsHandshake,
    /// What is on disk cannot be resumed.
    CannotResume,
    /// Too many redirects, or a loop.
    TooManyRedirects,
    /// Sending or receiving failed.
    Receive,
    /// The certificate is not trusted.
    Certificate,
    /// The content is not coded as it says, or in a way that was not asked for.
    Coding,
    /// Larger than `--max-size`.
    TooLarge,
    /// The digest differs.
    Digest,
    /// The resource changed while it was downloaded.
    Changed,
    /// An archive is damaged, or holds what is refused.
    Archive,
    /// Cancelled by a signal (its number) or by the caller (0).
    Cancelled(i32),
    /// A defect of this program.
    Internal,
}

impl ErrorKind {
    /// Its name in reports for machines: lower case, with hyphens.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::BadUrl => "bad-url",
            Self::ResolveProxy => "resolve-proxy",
            Self::ResolveHost => "resolve-host",
            Self::Connect => "connect",
            Self::Protocol => "protocol",
            Self::Partial => "partial",
            Self::Status(_) => "status",
            Self::Write => "write",
            Self::Timeout => "timeout",
            Self::Range => "range",
            Self::TlsHandshake => "tls-handshake",
            Self::CannotResume => "cannot-resume",
            Self::TooManyRedirects => "too-many-redirects",
            Self::Receive => "receive",
            Self::Certificate => "certificate",
            Self::Coding => "coding",
            Self::TooLarge => "too-large",
            Self::Digest => "digest",
            Self::Changed => "changed",
            Self::Archive => "archive",
            Self::Cancelled(_) => "cancelled",
            Self::Internal => "internal",
        }
    }
}

/// Why a download failed. `Display` is one line, lower case, without a trailing period; it names
/// the range, the attempt, the phase and the redacted URL where those are known, and control
/// characters from the other side are escaped in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    context: String,
    hint: Option<String>,
}

impl Error {
    /// An error of `kind` that says `context`.
    #[must_use]
    pub fn new(kind: ErrorKind, context: impl Into<String>) -> Self {
        Self { kind, context: context.into(), hint: None }
    }

    /// The same with a line on what can be done.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// What kind of failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)
    }
}

impl std::error::Error for Error {}
