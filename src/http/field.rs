//! The field values that decide a range download: parsed strictly, or not at all.

use std::ops::Range;

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
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let _ = value;
        todo!()
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
    /// Reads one field value; `None` if it is not an entity tag.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let _ = value;
        todo!()
    }
}

/// Seconds since 1970-01-01T00:00:00Z, from an HTTP-date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HttpDate(pub i64);

impl HttpDate {
    /// Reads the three formats of RFC 9110 section 5.6.7.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let _ = value;
        todo!()
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
    /// 8.8.2.2), else `None`.
    #[must_use]
    pub fn strong(&self) -> Option<&str> {
        todo!()
    }

    /// Whether a later response with `other` can be the same version: an entity tag (weak ones
    /// too) or Last-Modified that differs, or a tag that is missing where there was one, says no.
    #[must_use]
    pub fn same_version(&self, other: &Self) -> bool {
        let _ = other;
        todo!()
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
    /// Reads one field value.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let _ = value;
        todo!()
    }
}

/// The file name that a `Content-Disposition` proposes (RFC 6266: `filename*` before `filename`),
/// decoded but not yet made safe: see [`crate::sink::name`].
#[must_use]
pub fn disposition_filename(value: &[u8]) -> Option<String> {
    let _ = value;
    todo!()
}
