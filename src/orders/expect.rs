//! Judges the answer to a range: believed only if every field says what was asked.

use std::ops::Range;

use super::{ChangedHow, Extent, Failure, RangeFault};
use crate::http::{
    escape,
    field::{ContentRange, HttpDate, RetryAfter, Validators},
    response::Head,
};

/// What a 206 must say to be believed (design rule 2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expect {
    /// The range asked for, of what is wanted. The answer starts there and ends at its end or
    /// earlier.
    pub range: Range<u64>,
    /// The complete length it must name, and where in the object what is wanted lies.
    pub extent: Extent,
    /// The version it must be.
    pub validators: Validators,
}

impl Expect {
    /// Judges a head. `Ok` is the range that the body carries, of what is wanted: it starts where
    /// it was asked to and is not empty, but a shorter one than asked for is legal (RFC 9110
    /// section 15.3.7).
    ///
    /// # Errors
    /// The failure, classified: a lie about the range, a changed resource, a status.
    pub fn check(&self, head: &Head) -> Result<Range<u64>, Failure> {
        match head.status {
            206 => self.check_part(head),
            200 => Err(self.whole_instead(head)),
            412 => Err(Failure::Changed(ChangedHow::Precondition)),
            416 => Err(match head.content_range() {
                Some(ContentRange::Unsatisfied { total }) if total != self.extent.complete => {
                    Failure::Changed(ChangedHow::Length { was: self.extent.complete, is: total })
                }
                _ => status(head),
            }),
            _ => Err(status(head)),
        }
    }

    /// The window comes before the version: an answer for another window often names none.
    fn check_part(&self, head: &Head) -> Result<Range<u64>, Failure> {
        let (range, total) = part(head)?;
        let (asked, was) = (self.extent.locate(&self.range), self.extent.complete);
        let Some(inside) = self
            .extent
            .inside(&range)
            .filter(|_| range.start == asked.start && range.end <= asked.end)
        else {
            return Err(Failure::Range(RangeFault::Window(range)));
        };
        if total != was {
            return Err(Failure::Changed(ChangedHow::Length { was, is: total }));
        }
        if !same_version(&self.validators, head) {
            return Err(Failure::Changed(ChangedHow::Validator));
        }
        Ok(inside)
    }

    /// A 200 whose version is still the same means that the range was ignored, perhaps by one
    /// replica of many; anything else in its place is another version.
    fn whole_instead(&self, head: &Head) -> Failure {
        let same = same_version(&self.validators, head);
        let named = self.validators.etag.is_some() || self.validators.last_modified.is_some();
        match head.content_length() {
            Some(is) if is != self.extent.complete && !head.content_coded() => {
                Failure::Changed(ChangedHow::Length { was: self.extent.complete, is })
            }
            Some(_) if same => Failure::Range(RangeFault::Ignored),
            None if same && named => Failure::Range(RangeFault::Ignored),
            _ => Failure::Changed(ChangedHow::Precondition),
        }
    }
}

/// The range and complete length of a 206, if its own arithmetic adds up.
pub(crate) fn part(head: &Head) -> Result<(Range<u64>, u64), Failure> {
    let fault = |fault| Err(Failure::Range(fault));
    if head.multipart() {
        return fault(RangeFault::Multipart);
    }
    if head.content_coded() {
        return fault(RangeFault::Coded);
    }
    let Some(ContentRange::Part { range, total: Some(total) }) = head.content_range() else {
        return fault(RangeFault::Unreadable);
    };
    if range.is_empty() || range.end > total || total > LENGTH_MAX {
        return fault(RangeFault::Unreadable);
    }
    match head.content_length() {
        Some(length) if length != range.end - range.start => fault(RangeFault::Length(length)),
        _ => Ok((range, total)),
    }
}

/// Whether an answer is of the version that `pin` names. Where a date is all that ties ranges
/// together it must be there: leaving it out is allowed (RFC 9110 section 15.3.7), but proves
/// nothing.
pub(crate) fn same_version(pin: &Validators, head: &Head) -> bool {
    let validators = head.validators();
    let by_date = pin.strong_etag().is_none() && pin.last_modified.is_some();
    pin.same_version(&validators) && (!by_date || validators.last_modified.is_some())
}

/// The status of a head as a failure.
pub(crate) fn status(head: &Head) -> Failure {
    Failure::Status {
        status: head.status,
        reason: escape(&head.reason, REASON_MAX),
        retry_after: retry_after(head),
    }
}

/// What an answer asks to wait before anything else is asked: `Retry-After`, else a rate limit.
pub(crate) fn retry_after(head: &Head) -> Option<RetryAfter> {
    head.retry_after().or_else(|| rate_limit(head))
}

/// Seconds until a rate limit is lifted, where an answer says that it is one: `RateLimit-Reset` and
/// its unregistered kin (a value as large as a Unix time is taken relative to `Date`), or the `t`
/// of a structured `RateLimit` (draft-ietf-httpapi-ratelimit-headers).
fn rate_limit(head: &Head) -> Option<RetryAfter> {
    if !matches!(head.status, 429 | 503) {
        return None;
    }
    let seconds = |value: &[u8]| match RetryAfter::parse(value.trim_ascii())? {
        RetryAfter::Seconds(seconds) => Some(seconds),
        RetryAfter::Date(_) => None,
    };
    if let Some(reset) = ["ratelimit-reset", "x-ratelimit-reset", "x-rate-limit-reset"]
        .iter()
        .find_map(|name| seconds(head.one(name)?))
    {
        if reset < UNIX_TIMES {
            return Some(RetryAfter::Seconds(reset));
        }
        let moment = RetryAfter::Date(HttpDate(i64::try_from(reset).ok()?));
        let relative = |date| RetryAfter::Seconds(moment.from(date).as_secs());
        return Some(head.validators().date.map_or(moment, relative));
    }
    let limit = head.one("ratelimit")?;
    limit
        .split(|byte| *byte == b';')
        .find_map(|item| seconds(item.trim_ascii().strip_prefix(b"t=")?))
        .map(RetryAfter::Seconds)
}

/// From here on a number of seconds is a moment: 2001.
const UNIX_TIMES: u64 = 1_000_000_000;

/// The largest complete length that is believed: what a file offset can name (`off_t`).
pub(crate) const LENGTH_MAX: u64 = i64::MAX as u64;

/// Characters of a reason phrase that are kept.
const REASON_MAX: usize = 120;

#[cfg(test)]
mod tests;
