//! The field values that decide a range download: parsed strictly, or not at all.

use std::ops::Range;

mod date;
mod disposition;
mod stated;

pub use date::HttpDate;
pub use disposition::disposition_filename;
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
    /// The value that `If-Range` may carry (RFC 9110 section 13.1.5): a strong entity tag, else a
    /// `Last-Modified` that is strong because it is at least 60 seconds older than `Date` (section
    /// 8.8.2.2), else `None`. A weak entity tag counts as none here.
    #[must_use]
    pub fn strong(&self) -> Option<&str> {
        self.strong_etag().or_else(|| {
            let (text, modified) = self.last_modified.as_ref()?;
            let age = self.date?.0.checked_sub(modified.0)?;
            (age >= STRONG_AGE_SECONDS).then_some(text)
        })
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
    /// Reads one field value. More seconds than fit mean for ever ([`u64::MAX`]).
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        if is_digits(value) {
            return Some(Self::Seconds(decimal_u64(value).unwrap_or(u64::MAX)));
        }
        HttpDate::parse(value).map(Self::Date)
    }
}

/// `1*DIGIT` up to 2^63 - 1, as file offsets are signed: no sign, no space, no list.
pub(super) fn decimal(value: &[u8]) -> Option<u64> {
    decimal_u64(value).filter(|number| *number <= OCTETS_MAX)
}

fn decimal_u64(value: &[u8]) -> Option<u64> {
    if !is_digits(value) {
        return None;
    }
    value.iter().try_fold(0u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}

fn is_digits(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(u8::is_ascii_digit)
}

fn split_once(value: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let index = value.iter().position(|octet| *octet == at)?;
    Some((value.get(..index)?, value.get(index + 1..)?))
}

const UNIT: &[u8] = b"bytes ";

/// The most octets that a resource may have.
const OCTETS_MAX: u64 = i64::MAX as u64;

/// How much older than `Date` a `Last-Modified` must be to be strong.
const STRONG_AGE_SECONDS: i64 = 60;

#[cfg(test)]
mod tests;
