//! Failures in words: lowercase fragments that say what failed on what.

use std::{fmt, time::Duration};

use super::{ChangedHow, Failure, Phase, RangeFault, StoreOp};
use crate::{http::field::RetryAfter, orders::OPEN_END};

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "resolving the name",
            Self::Connect => "connecting",
            Self::Head => "waiting for an answer",
            Self::Body => "receiving the body",
            Self::Transfer => "downloading",
        })
    }
}

impl fmt::Display for StoreOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Lock => "lock",
            Self::Preallocate => "allocate space for",
            Self::Write => "write",
            Self::Read => "read back",
            Self::Truncate => "truncate",
            Self::Sync => "sync",
            Self::Publish => "publish",
            Self::Journal => "write the journal of",
        })
    }
}

impl fmt::Display for RangeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable => write!(f, "the answer to a range names no usable Content-Range"),
            Self::Window(got) => {
                write!(f, "the server sent another range ({}-{})", got.start, got.end)
            }
            Self::Length(got) => {
                write!(f, "the answer to a range says it is {got} bytes long, which it cannot be")
            }
            Self::Multipart => write!(f, "the server answered a single range with several"),
            Self::Coded => write!(f, "the server coded the content of a range"),
            Self::Ignored => write!(f, "the server ignored the range and sent everything"),
            Self::Unsliced => {
                write!(f, "the server has no ranges: it sent everything instead of the slice")
            }
            Self::Beyond(Some(length)) => {
                write!(f, "the slice lies beyond the end of the object, which is {length} bytes")
            }
            Self::Beyond(None) => write!(f, "the slice lies beyond the end of the object"),
        }
    }
}

impl fmt::Display for ChangedHow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Validator => write!(f, "its validator differs"),
            Self::Length { was, is } => write!(f, "it was {was} bytes long and is {is}"),
            Self::Precondition => write!(f, "the server no longer has that version"),
        }
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve { host, reason, .. } => write!(f, "cannot resolve {host}: {reason}"),
            Self::Connect { target, reason, .. } => {
                write!(f, "cannot connect to {target}: {reason}")
            }
            Self::Proxy { reason, status: Some(status), .. } => {
                write!(f, "the proxy answered {status}: {reason}")
            }
            Self::Proxy { reason, .. } => write!(f, "proxy: {reason}"),
            Self::Tls { reason, .. } => write!(f, "tls: {reason}"),
            Self::Timeout { phase: phase @ (Phase::Head | Phase::Body), limit } => {
                write!(f, "stalled for {} while {phase}", seconds(*limit))
            }
            Self::Timeout { phase, limit } => {
                write!(f, "timed out after {} while {phase}", seconds(*limit))
            }
            Self::Receive { errno: 0 } => write!(f, "the server closed the connection"),
            Self::Receive { errno } => {
                write!(f, "receive failed: {}", std::io::Error::from_raw_os_error(*errno))
            }
            Self::Stale => write!(f, "the kept connection was closed by the server"),
            Self::ShortBody { range, got } if range.end == OPEN_END => {
                write!(f, "the body ended early, after {got} bytes")
            }
            Self::ShortBody { range, got } => {
                write!(f, "the body ended early: {got} of {} bytes", range.end - range.start)
            }
            Self::Http(error) => write!(f, "{error}"),
            Self::Status { status, reason, retry_after } => {
                write!(f, "{}", answered(*status, reason, *retry_after))
            }
            Self::Patience { status, asked, limit } => {
                let (asked, limit) = (asked.as_secs(), limit.words());
                write!(f, "the server answered {status} and asks to retry after {asked} s, {limit}")
            }
            Self::Range(fault) => write!(f, "{fault}"),
            Self::Changed(how) => write!(f, "the resource changed during the download: {how}"),
            Self::Unpinned => {
                write!(f, "nothing ties the ranges together: no strong validator and no digest")
            }
            Self::TooLarge { limit, size: Some(size) } => {
                write!(f, "the resource is {size} bytes, more than the limit of {limit}")
            }
            Self::TooLarge { limit, size: None } => {
                write!(f, "the resource is larger than the limit of {limit} bytes")
            }
            Self::Store { op, path, errno: errno @ 1.., reason } if reason.is_empty() => {
                let error = std::io::Error::from_raw_os_error(*errno);
                write!(f, "cannot {op} {path}: {error}")
            }
            Self::Store { op, path, reason, .. } => write!(f, "cannot {op} {path}: {reason}"),
            Self::Digest { algorithm, expected, actual } => {
                write!(f, "{algorithm} mismatch: expected {expected}, got {actual}")
            }
            Self::Archive(fault) => write!(f, "{fault}"),
            Self::Coding { coding, what } => write!(f, "the content, coded in {coding}: {what}"),
            Self::CannotResume { reason } => write!(f, "cannot resume: {reason}"),
            Self::Cancelled { signal: 0 } => write!(f, "cancelled"),
            Self::Cancelled { signal } => write!(f, "cancelled by signal {signal}"),
            Self::Internal(what) => write!(f, "a defect of this program: {what}"),
        }
    }
}

/// `30 s`, `1.5 s`, `0.25 s`.
fn seconds(limit: Duration) -> String {
    format!("{} s", limit.as_secs_f64())
}

/// `the server answered 503 Busy (retry after 3 s)`.
fn answered(status: u16, reason: &str, retry_after: Option<RetryAfter>) -> String {
    let mut text = format!("the server answered {status}");
    if !reason.is_empty() {
        text = format!("{text} {reason}");
    }
    match retry_after {
        Some(RetryAfter::Seconds(after)) => format!("{text} (retry after {after} s)"),
        Some(RetryAfter::Date(_)) => format!("{text} (retry later)"),
        None => text,
    }
}
