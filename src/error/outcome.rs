//! What became of a transfer, in the words of the public API.

use crate::{
    error::{Error, ErrorKind},
    event::Event,
    http::{self, redirect::is_http},
    orders::{
        ArchiveFault, Failure, NameFault, Note, Patience, Phase, RangeFault, StoreOp, TlsFault,
        Trouble,
    },
};

/// The public error of a failed transfer: one line that names the URL, what went wrong, the range
/// and the attempt, with a hint where something can be done.
pub(crate) fn error(trouble: &Trouble) -> Error {
    let failure = &trouble.failure;
    let kind = kind(failure);
    if let ErrorKind::Cancelled(_) = kind {
        return Error::new(kind, failure.to_string());
    }
    let mut context = match failure {
        Failure::Store { .. } => failure.to_string(),
        // No server answers for it, and its own words are all there is.
        Failure::Status { reason, .. } if !is_http(&trouble.url) && !reason.is_empty() => {
            format!("{}: {reason}", http::redact(&trouble.url))
        }
        _ => format!("{}: {failure}", http::redact(&trouble.url)),
    };
    let mut details = Vec::new();
    if let Some(range) = &trouble.range {
        details.push(match range.end {
            u64::MAX => format!("from byte {}", range.start),
            end => format!("bytes {}..{end}", range.start),
        });
    }
    if trouble.attempts > 1 {
        details.push(format!("attempt {}", trouble.attempts));
    }
    if !details.is_empty() && !matches!(failure, Failure::Store { .. } | Failure::Digest { .. }) {
        context = format!("{context} ({})", details.join(", "));
    }
    let error = Error::new(kind, context);
    match hint(failure) {
        Some(_) if matches!(failure, Failure::Status { .. }) && !is_http(&trouble.url) => error,
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// The public error of a failure before there was a transfer.
pub(crate) fn early(failure: &Failure) -> Error {
    let error = Error::new(kind(failure), failure.to_string());
    match hint(failure) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// The same, with what a source said of an answer that broke off.
pub(crate) fn with_words(error: Error, words: Option<String>) -> Error {
    let cut = matches!(error.kind(), ErrorKind::Partial | ErrorKind::Receive | ErrorKind::Timeout);
    match words.filter(|_| cut) {
        Some(words) => {
            let words = http::escape(words.as_bytes(), WORDS_SHOWN);
            error.with_hint(format!("the far side said: {words}"))
        }
        None => error,
    }
}

/// The one total map from failures to kinds.
fn kind(failure: &Failure) -> ErrorKind {
    match failure {
        Failure::Resolve { .. } => ErrorKind::ResolveHost,
        Failure::Connect { .. } => ErrorKind::Connect,
        Failure::Proxy { unresolved: Some(_), .. } => ErrorKind::ResolveProxy,
        Failure::Proxy { status: Some(status), .. } => ErrorKind::Status(*status),
        Failure::Proxy { .. } => ErrorKind::Connect,
        Failure::Tls { fault: TlsFault::Handshake, .. } => ErrorKind::TlsHandshake,
        Failure::Tls { fault: TlsFault::Certificate, .. } => ErrorKind::Certificate,
        Failure::Tls { fault: TlsFault::Setup, .. } => ErrorKind::Usage,
        Failure::Tls { fault: TlsFault::Record, .. } | Failure::Receive { .. } | Failure::Stale => {
            ErrorKind::Receive
        }
        Failure::Timeout { .. } => ErrorKind::Timeout,
        Failure::ShortBody { .. } | Failure::Http(http::Error::Truncated) => ErrorKind::Partial,
        Failure::Http(http::Error::TooManyRedirects(_) | http::Error::RedirectLoop) => {
            ErrorKind::TooManyRedirects
        }
        Failure::Http(http::Error::BadField(_)) => ErrorKind::Usage,
        Failure::Http(_) => ErrorKind::Protocol,
        Failure::Status { status, .. } | Failure::Patience { status, .. } => {
            ErrorKind::Status(*status)
        }
        Failure::Range(RangeFault::Ignored | RangeFault::Unsliced | RangeFault::Beyond(_))
        | Failure::Unpinned => ErrorKind::Range,
        Failure::Range(_) => ErrorKind::Protocol,
        Failure::Changed(_) => ErrorKind::Changed,
        Failure::TooLarge { .. } | Failure::Archive(ArchiveFault::TooLarge { .. }) => {
            ErrorKind::TooLarge
        }
        Failure::Archive(_) => ErrorKind::Archive,
        Failure::Store { .. } => ErrorKind::Write,
        Failure::Digest { .. } => ErrorKind::Digest,
        Failure::Coding { .. } => ErrorKind::Coding,
        Failure::CannotResume { .. } => ErrorKind::CannotResume,
        Failure::Cancelled { signal } => ErrorKind::Cancelled(*signal),
        Failure::Internal(_) => ErrorKind::Internal,
    }
}

/// What can be done about it, where something can.
fn hint(failure: &Failure) -> Option<&'static str> {
    match failure {
        Failure::Resolve { fault: NameFault::Temporary, .. }
        | Failure::Proxy { unresolved: Some(NameFault::Temporary), .. } => {
            Some("no name server answers for it; --retries N asks more often")
        }
        Failure::Resolve { .. } => Some("check the name, or give its address with --resolve"),
        Failure::Tls { fault: TlsFault::Certificate, .. } => {
            Some("trust another authority with --cacert FILE; --insecure trusts anybody")
        }
        Failure::Timeout { phase: Phase::Resolve | Phase::Connect, .. } => {
            Some("--connect-timeout SECONDS sets the limit")
        }
        Failure::Timeout { phase: Phase::Head | Phase::Body, .. } => {
            Some("--stall-timeout SECONDS sets the limit; run the same command to resume")
        }
        Failure::Timeout { phase: Phase::Transfer, .. } => {
            Some("--max-time SECONDS sets the limit; run the same command to resume")
        }
        Failure::Status { status: 401 | 407, .. } => {
            Some("give credentials with --user, --netrc or --header")
        }
        Failure::Status { status: 403, .. } => {
            Some("the URL may have expired, or credentials are missing (--user, --header)")
        }
        Failure::Patience { limit: Patience::Wait, .. } => {
            Some("--retry-after-max SECONDS sets the limit; run the same command to resume")
        }
        Failure::Patience { limit: Patience::Retries, .. } => {
            Some("--retry-max-time SECONDS sets the limit; run the same command to resume")
        }
        Failure::Patience { limit: Patience::Transfer, .. } => {
            Some("--max-time SECONDS sets the limit; run the same command to resume")
        }
        Failure::Changed(_) => Some(
            "--restart-on-change starts over once; if several servers answer for this name, \
             --spread-ips off stays with one",
        ),
        Failure::Range(RangeFault::Unsliced) => {
            Some("without --range all of it comes: -o - | tail -c +N | head -c LENGTH cuts it")
        }
        Failure::Range(RangeFault::Beyond(_)) => {
            Some("--range -N takes the last N bytes, whatever the length")
        }
        Failure::Coding { .. } => Some("without --compressed it comes as it is"),
        Failure::Unpinned => Some("give a digest with --sha256, or use --pin none"),
        Failure::TooLarge { .. } => Some("--max-size SIZE sets the limit"),
        Failure::Archive(fault) => fault.hint(),
        Failure::Store { op: StoreOp::Lock, .. } => Some("another uget is at work on this target"),
        Failure::Store { errno: libc::ENOSPC | libc::EDQUOT, .. } => {
            Some("free some space and run the same command again")
        }
        Failure::Store { errno: libc::EEXIST, .. } => Some("--output FILE replaces a file"),
        _ => None,
    }
}

/// A note for the observer, unless another event says it already.
pub(crate) fn note(note: &Note) -> Option<Event> {
    Some(match note {
        Note::Fallback(why) => Event::Note(format!("one stream: {why}")),
        Note::Redirected(url) => Event::Note(format!("redirected to {}", http::redact(url))),
        Note::Retrying { failure, delay, .. } if delay.is_zero() => {
            Event::Note(format!("{failure}; asking again for what is missing"))
        }
        Note::Retrying { failure, delay, failures } => {
            let delay = delay.as_secs_f64();
            Event::Note(format!(
                "{failure}; retrying in {delay:.1} s (failure {failures} in a row)"
            ))
        }
        Note::FewerConnections(count) => {
            Event::Note(format!("the server takes {count} connections"))
        }
        Note::FreshStart(why) => Event::Warning(format!("starting over: {why}")),
        Note::Unverified => Event::Warning(
            "the server gave no length: the end of the object could not be verified".to_owned(),
        ),
        Note::Coded(coding) => Event::Warning(format!(
            "the server sends the content coded ({coding}); it is saved as it comes"
        )),
        Note::MirrorDropped { url, failure } => {
            let why = failure
                .as_ref()
                .map_or_else(|| "it has another object".to_owned(), ToString::to_string);
            Event::Warning(format!("{} is not used any more: {why}", http::redact(url)))
        }
        Note::Replaced => Event::Note("a slow connection was replaced".to_owned()),
        // `Event::Discovered` holds the bytes.
        Note::Resumed { .. } => return None,
    })
}

/// How much of what a source said is told, in characters.
const WORDS_SHOWN: usize = 300;
