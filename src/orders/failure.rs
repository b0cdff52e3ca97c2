//! What went wrong with an attempt, made where the call failed and classified here, once.

mod words;

use std::{ops::Range, time::Duration};

use super::archive::ArchiveFault;
use crate::http::{self, field::RetryAfter};

/// What a time limit ran out on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Looking up a name.
    Resolve,
    /// TCP, proxy and TLS together (`--connect-timeout`).
    Connect,
    /// Waiting for the head of an answer (`--stall-timeout`).
    Head,
    /// No progress, or less than the minimum rate, in a body (`--stall-timeout`).
    Body,
    /// The whole transfer (`--max-time`).
    Transfer,
}

/// How a 206 lied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RangeFault {
    /// No, more than one, or a malformed Content-Range.
    Unreadable,
    /// Another window than was asked for. Holds what it named.
    Window(Range<u64>),
    /// Content-Length differs from the range.
    Length(u64),
    /// multipart/byteranges.
    Multipart,
    /// A content coding on a range.
    Coded,
    /// A whole answer (200) to a range, its validator unchanged: the range was ignored.
    Ignored,
    /// The whole object instead of the slice of it that is wanted.
    Unsliced,
    /// No byte of the slice is there. Holds the complete length, if the server told.
    Beyond(Option<u64>),
}

/// What limits the wait that a server asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// The longest wait that is granted (`--retry-after-max`).
    Wait,
    /// The time for retries (`--retry-max-time`).
    Retries,
    /// The whole transfer (`--max-time`).
    Transfer,
}

/// How a resource changed under the download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangedHow {
    /// The validator differs, or went missing.
    Validator,
    /// The complete length differs.
    Length {
        /// Before.
        was: u64,
        /// Now.
        is: u64,
    },
    /// 412, or a 200 to a request with If-Range.
    Precondition,
}

/// Why a name has no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameFault {
    /// Whoever must know says that there is none.
    Unknown,
    /// Nobody who knows could be asked: no name server answers, or it fails (EAI_AGAIN). The usual
    /// thing in the first second of a container.
    Temporary,
}

/// What kind of TLS trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFault {
    /// The handshake failed (exit 35).
    Handshake,
    /// The certificate is not trusted (exit 60).
    Certificate,
    /// A record was bad after the handshake (exit 56).
    Record,
    /// A local file (certificate, key, CA) is unusable (exit 2).
    Setup,
}

/// What was being done to a local file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreOp {
    /// Create or open the part file.
    Create,
    /// Take the lock on it.
    Lock,
    /// Preallocate it.
    Preallocate,
    /// Write at an offset.
    Write,
    /// Read it back for the digest.
    Read,
    /// Cut it to size.
    Truncate,
    /// Sync data or directory.
    Sync,
    /// Rename it onto the target.
    Publish,
    /// Write the journal.
    Journal,
}

/// What went wrong. Comparable, so that tests can name it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The name does not resolve.
    Resolve {
        /// Which host.
        host: String,
        /// The resolver's words.
        reason: String,
        /// Whether it may resolve a moment later.
        fault: NameFault,
    },
    /// No connection to any address.
    Connect {
        /// `host:port`.
        target: String,
        /// The last error's words.
        reason: String,
        /// Its errno, 0 if there is none.
        errno: i32,
    },
    /// The proxy cannot be resolved or reached, or refuses.
    Proxy {
        /// What it said or what failed, credentials redacted.
        reason: String,
        /// Its status, if it answered a CONNECT with one.
        status: Option<u16>,
        /// The proxy's name did not resolve, and why.
        unresolved: Option<NameFault>,
    },
    /// TLS.
    Tls {
        /// What kind.
        fault: TlsFault,
        /// rustls' words, made readable.
        reason: String,
    },
    /// A time limit ran out.
    Timeout {
        /// On what.
        phase: Phase,
        /// The limit.
        limit: Duration,
    },
    /// The connection broke while it was used. errno, 0 for an end of file.
    Receive {
        /// errno.
        errno: i32,
    },
    /// A kept-alive connection was dead, or not clean, before the first byte of an answer.
    Stale,
    /// The body ended before its range did.
    ShortBody {
        /// The range that was owed.
        range: Range<u64>,
        /// How many bytes of it came.
        got: u64,
    },
    /// The peer broke HTTP.
    Http(http::Error),
    /// A status that is no answer.
    Status {
        /// The code.
        status: u16,
        /// The reason phrase, escaped.
        reason: String,
        /// `Retry-After`.
        retry_after: Option<RetryAfter>,
    },
    /// The server wants more time than there is.
    Patience {
        /// The code of its answer.
        status: u16,
        /// How long it asks to wait.
        asked: Duration,
        /// What is too short for it.
        limit: Patience,
    },
    /// A 206, or a 200 in its place, that cannot be believed.
    Range(RangeFault),
    /// Another version than the first answer's.
    Changed(ChangedHow),
    /// `--pin require`, and there is neither a strong validator nor a digest; or ranges were
    /// required and refused.
    Unpinned,
    /// Larger than `--max-size`.
    TooLarge {
        /// The limit.
        limit: u64,
        /// The size, if it is known.
        size: Option<u64>,
    },
    /// A local file operation failed.
    Store {
        /// Which.
        op: StoreOp,
        /// On what path.
        path: String,
        /// errno; 0 where `reason` says it all.
        errno: i32,
        /// What went wrong, in words.
        reason: String,
    },
    /// The digest differs.
    Digest {
        /// `sha256` and so on.
        algorithm: &'static str,
        /// Hex.
        expected: String,
        /// Hex.
        actual: String,
    },
    /// An archive, or a compressed file, that cannot be unpacked or must not be.
    Archive(ArchiveFault),
    /// The content is not coded as it says, or in a way that was not asked for.
    Coding {
        /// What it says.
        coding: String,
        /// What is wrong with it.
        what: String,
    },
    /// What is on disk cannot be resumed, and starting over is not allowed.
    CannotResume {
        /// Why.
        reason: String,
    },
    /// A signal, or the library's caller.
    Cancelled {
        /// SIGINT, SIGTERM, SIGHUP, or 0.
        signal: i32,
    },
    /// A defect of this program, met without a panic. Holds what was believed impossible.
    Internal(&'static str),
}

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Another attempt may succeed: ask again for what is missing.
    Retry,
    /// As `Retry`, but no failure: it costs nothing of the budget.
    RetryFree,
    /// The answer was a lie or garbage. Another replica may answer better: a few attempts, then
    /// it is final.
    RetryFew,
    /// As `Retry`, and the server wants fewer connections or more time.
    RetryLater {
        /// The wait that the server asked for.
        after: Option<RetryAfter>,
    },
    /// The resource is another one now: start over if that is allowed.
    Restart,
    /// Nothing can mend it.
    Fatal,
}

impl Failure {
    /// What follows from it: the one total match (OK-12, HT-14).
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Connect { .. } | Self::Receive { .. } | Self::ShortBody { .. } => Verdict::Retry,
            Self::Timeout { phase: Phase::Transfer, .. } => Verdict::Fatal,
            Self::Timeout { .. } => Verdict::Retry,
            Self::Proxy { status: Some(status), .. } => of_status(*status, None),
            Self::Resolve { fault, .. } | Self::Proxy { unresolved: Some(fault), .. } => {
                match fault {
                    NameFault::Unknown => Verdict::Fatal,
                    NameFault::Temporary => Verdict::Retry,
                }
            }
            Self::Proxy { .. } => Verdict::Retry,
            Self::Tls { fault: TlsFault::Record, .. } => Verdict::RetryFew,
            Self::Stale => Verdict::RetryFree,
            Self::Http(error) => of_http(error),
            Self::Status { status, retry_after, .. } => of_status(*status, *retry_after),
            Self::Range(RangeFault::Beyond(_)) => Verdict::Fatal,
            Self::Range(_) => Verdict::RetryFew,
            Self::Changed(_) => Verdict::Restart,
            Self::Tls { .. }
            | Self::Patience { .. }
            | Self::Unpinned
            | Self::TooLarge { .. }
            | Self::Store { .. }
            | Self::Digest { .. }
            | Self::Archive(_)
            | Self::Coding { .. }
            | Self::CannotResume { .. }
            | Self::Cancelled { .. }
            | Self::Internal(_) => Verdict::Fatal,
        }
    }

    /// Whether the network or the other side caused it, so that `--retry-all-errors` may ask
    /// again where the verdict alone would not.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        match self {
            Self::Resolve { .. }
            | Self::Proxy { .. }
            | Self::Status { .. }
            | Self::Patience { .. } => true,
            Self::Tls { fault, .. } => *fault != TlsFault::Setup,
            Self::Http(error) => error.fault() == http::Fault::Peer,
            _ => false,
        }
    }
}

/// 408, 429 and 5xx may pass; 501 and 505 say that they will not.
fn of_status(status: u16, retry_after: Option<RetryAfter>) -> Verdict {
    match status {
        429 | 503 => Verdict::RetryLater { after: retry_after },
        501 | 505 => Verdict::Fatal,
        408 | 500..=599 if retry_after.is_some() => Verdict::RetryLater { after: retry_after },
        408 | 500..=599 => Verdict::Retry,
        _ => Verdict::Fatal,
    }
}

/// A cut message may come whole the next time. Whoever breaks the protocol is not asked again.
fn of_http(error: &http::Error) -> Verdict {
    match error {
        http::Error::Truncated => Verdict::Retry,
        _ => Verdict::Fatal,
    }
}

impl Patience {
    fn words(self) -> &'static str {
        match self {
            Self::Wait => "longer than is waited for",
            Self::Retries => "later than a retry may start",
            Self::Transfer => "later than all must be over",
        }
    }
}

impl From<http::Error> for Failure {
    fn from(error: http::Error) -> Self {
        Self::Http(error)
    }
}
