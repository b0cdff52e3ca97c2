//! The field values that decide a range download: parsed strictly, or not at all.

use std::{ops::Range, time::Duration};

mod coding;
mod date;
mod disposition;
mod grammar;
mod range_spec;
mod stated;

pub use coding::Coding;
pub use date::HttpDate;
pub use disposition::disposition_filename;
pub(super) use grammar::decimal;
use grammar::{OCTETS_MAX, decimal_u64, is_digits, split_once};
pub use range_spec::RangeSpec;
pub use stated::StatedDigest;

/// A parsed `Content-Range` (RFC 9110 section 14.4). Only the unit `bytes` is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContentRange {
    /// `bytes S-E/T`, or `bytes S-E/*` with no total.
    Part {
        /// The range sent, half-open.
        range: Range<u64>,
        /// The complete length, if stated.
        total: Option<u64>,
    },
    /// `bytes */T` of a 416.
    Unsatisfied {
        /// The complete length.
        total: u64,
    },
}

impl ContentRange {
    /// Reads one field value. `None` for anything that is not exactly this grammar: another unit,
    /// signs, spaces, an end before the start, a total not above the end, or beyond 2^63 - 1.
    /// Unit names are case-insensitive (section 14.1).
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (unit, rest) = value.split_at_checked(UNIT.len())?;
        if !unit.eq_ignore_ascii_case(UNIT) {
            return None;
        }
        let (range, total) = split_once(rest, b'/')?;
        if range == b"*" {
            return Some(Self::Unsatisfied { total: decimal(total)? });
        }
        let (first, last) = split_once(range, b'-')?;
        let range = decimal(first)?..decimal(last)?.checked_add(1)?;
        let total = if total == b"*" { None } else { Some(decimal(total)?) };
        let fits = range.end <= total.unwrap_or(OCTETS_MAX);
        (fits && !range.is_empty()).then_some(Self::Part { range, total })
    }
}

/// An entity tag (RFC 9110 section 8.8.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ETag {
    /// `W/` was in front: never sent as a precondition, but compared.
    pub weak: bool,
    /// With its quotes, exactly as received.
    pub opaque: String,
}

impl ETag {
    /// Reads one field value; `None` if it is not an entity tag. One that is not UTF-8 could not
    /// be sent back as it came and counts as none.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (weak, opaque) = match value.strip_prefix(b"W/") {
            Some(opaque) => (true, opaque),
            None => (false, value),
        };
        let inner = opaque.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        let etagc = |octet: &u8| matches!(octet, 0x21 | 0x23..=0x7e | 0x80..);
        let opaque = std::str::from_utf8(opaque).ok().filter(|_| inner.iter().all(etagc))?;
        Some(Self { weak, opaque: opaque.to_owned() })
    }
}

/// What names one version of a resource: the fields of the response that was believed first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    /// `ETag`, weak or strong.
    pub etag: Option<ETag>,
    /// `Last-Modified`, exactly as received, and what it means.
    pub last_modified: Option<(String, HttpDate)>,
    /// `Date` of the same response.
    pub date: Option<HttpDate>,
}

impl Validators {
    /// The value that `If-Range` may carry (RFC 9110 section 13.1.5): a strong entity tag, or a
    /// strong date where there is no entity tag at all.
    #[must_use]
    pub fn if_range(&self) -> Option<&str> {
        match &self.etag {
            Some(_) => self.strong_etag(),
            None => self.strong_date(),
        }
    }

    /// What says in a journal which version this is, if ranges that agree in it may be joined: a
    /// strong entity tag, else a strong date, behind the weak entity tag if there is one.
    #[must_use]
    pub fn pin(&self) -> Option<String> {
        if let Some(tag) = self.strong_etag() {
            return Some(tag.to_owned());
        }
        let date = self.strong_date()?;
        Some(
            self.etag
                .as_ref()
                .map_or_else(|| date.to_owned(), |weak| format!("W/{} {date}", weak.opaque)),
        )
    }

    /// Whether ranges of answers that say this alike may be joined.
    #[must_use]
    pub fn is_strong(&self) -> bool {
        self.strong_etag().is_some() || self.strong_date().is_some()
    }

    /// `Last-Modified`, if it is strong because it is at least 60 seconds older than `Date` (RFC
    /// 9110 section 8.8.2.2).
    fn strong_date(&self) -> Option<&str> {
        let (text, modified) = self.last_modified.as_ref()?;
        let age = self.date?.0.checked_sub(modified.0)?;
        (age >= STRONG_AGE_SECONDS).then_some(text)
    }

    /// The entity tag, with its quotes, if it is a strong one.
    #[must_use]
    pub fn strong_etag(&self) -> Option<&str> {
        self.etag.as_ref().filter(|tag| !tag.weak).map(|tag| tag.opaque.as_str())
    }

    /// Whether a later response with `other` can be the same version.
    ///
    /// Where there was an entity tag there must be one that matches by the weak comparison
    /// (RFC 9110 section 8.8.3.2). Two strong ones decide alone, because mirrors may disagree
    /// about the date of the same content. Otherwise a Last-Modified that differs says no; one
    /// that is missing says nothing, because an answer to `If-Range` may leave it out (section
    /// 15.3.7).
    #[must_use]
    pub fn same_version(&self, other: &Self) -> bool {
        if let Some(ours) = &self.etag {
            match &other.etag {
                Some(theirs) if ours == theirs && !ours.weak => return true,
                Some(theirs) if ours == theirs => {}
                _ => return false,
            }
        }
        match (&self.last_modified, &other.last_modified) {
            (Some((_, ours)), Some((_, theirs))) => ours == theirs,
            _ => true,
        }
    }
}

/// `Retry-After` (RFC 9110 section 10.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// Seconds from now.
    Seconds(u64),
    /// A date; relative to the response's own `Date` when it has one.
    Date(HttpDate),
}

impl RetryAfter {
    /// Reads one field value. A number of 2^31 or more is no time; a negative one is over.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        if is_digits(value) {
            return decimal_u64(value).filter(|seconds| *seconds < 1 << 31).map(Self::Seconds);
        }
        if value.strip_prefix(b"-").is_some_and(is_digits) {
            return Some(Self::Seconds(0));
        }
        HttpDate::parse(value).map(Self::Date)
    }

    /// How long it is from `now` on; what is past is no time at all.
    #[must_use]
    pub fn from(self, now: HttpDate) -> Duration {
        match self {
            Self::Seconds(seconds) => Duration::from_secs(seconds),
            Self::Date(then) => {
                Duration::from_secs(u64::try_from(then.0.saturating_sub(now.0)).unwrap_or(0))
            }
        }
    }
}

const UNIT: &[u8] = b"bytes ";

/// How much older than `Date` a `Last-Modified` must be to be strong.
const STRONG_AGE_SECONDS: i64 = 60;

#[cfg(test)]
mod tests;
