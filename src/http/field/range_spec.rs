//! What a `Range` field asks for, and what that means for an object of a given length.

use std::{
    fmt,
    ops::{Bound, Range, RangeBounds},
    str::FromStr,
};

use super::grammar::{OCTETS_MAX, split_once};

/// One range of a `Range` field with the unit `bytes` (RFC 9110 section 14.1.2), not yet held
/// against the length of anything. As text it is what follows the unit: `0-499`, `500-`, `-500`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeSpec {
    /// `bytes=FIRST-LAST`; both ends are included, `last` is not before `first`.
    Between {
        /// The first position.
        first: u64,
        /// The last position.
        last: u64,
    },
    /// `bytes=FIRST-`: to the end, whatever that is.
    From(u64),
    /// `bytes=-LENGTH`: the last so many bytes.
    Suffix(u64),
}

impl RangeSpec {
    /// Reads a field value that holds exactly one range. `None` for another unit, a list of
    /// ranges and everything that is not this grammar: RFC 9110 section 14.2 lets a server ignore
    /// those, and then the answer is the whole object.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (unit, set) = value.split_at_checked(UNIT.len())?;
        if !unit.eq_ignore_ascii_case(UNIT) {
            return None;
        }
        Self::of_set(set.trim_ascii())
    }

    fn of_set(set: &[u8]) -> Option<Self> {
        let (first, last) = split_once(set, b'-')?;
        match (first.is_empty(), last.is_empty()) {
            (true, true) => None,
            (true, false) => Some(Self::Suffix(number(last)?)),
            (false, true) => Some(Self::From(number(first)?)),
            (false, false) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::Between { first, last })
            }
        }
    }

    /// The range of half-open `bounds`: `0..500`, `500..`. `None` when there is nothing in them.
    #[must_use]
    pub fn of(bounds: impl RangeBounds<u64>) -> Option<Self> {
        let first = match bounds.start_bound() {
            Bound::Included(first) => *first,
            Bound::Excluded(before) => before.checked_add(1)?,
            Bound::Unbounded => 0,
        };
        let last = match bounds.end_bound() {
            Bound::Included(last) => *last,
            Bound::Excluded(end) => end.checked_sub(1)?,
            Bound::Unbounded => return Some(Self::From(first)),
        };
        (first <= last).then_some(Self::Between { first, last })
    }

    /// Where it starts, unless that is counted from the end.
    #[must_use]
    pub fn first(self) -> Option<u64> {
        match self {
            Self::Between { first, .. } | Self::From(first) => Some(first),
            Self::Suffix(_) => None,
        }
    }

    /// The most bytes that it can be, unless that depends on the object.
    #[must_use]
    pub fn most(self) -> Option<u64> {
        match self {
            Self::Between { first, last } => Some(last.saturating_sub(first).saturating_add(1)),
            Self::From(_) => None,
            Self::Suffix(length) => Some(length),
        }
    }

    /// The positions meant in an object of `length` bytes: a last position past the end is moved
    /// to the end, a suffix longer than the object is all of it. `None` when nothing is left,
    /// which is what status 416 says.
    #[must_use]
    pub fn resolve(self, length: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::Between { first, last } => first..length.min(last.saturating_add(1)),
            Self::From(first) => first..length,
            Self::Suffix(wanted) => length.saturating_sub(wanted)..length,
        };
        (range.start < range.end).then_some(range)
    }
}

impl fmt::Display for RangeSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Between { first, last } => write!(f, "{first}-{last}"),
            Self::From(first) => write!(f, "{first}-"),
            Self::Suffix(length) => write!(f, "-{length}"),
        }
    }
}

impl FromStr for RangeSpec {
    type Err = String;

    /// Of what a user types, nothing that holds no byte or lies beyond any file.
    fn from_str(text: &str) -> Result<Self, String> {
        let spec = Self::of_set(text.as_bytes()).ok_or(EXPECTED)?;
        let largest = match spec {
            Self::Suffix(0) => return Err("the last 0 bytes are none".to_owned()),
            Self::Between { last, .. } => last,
            Self::From(number) | Self::Suffix(number) => number,
        };
        if largest >= OCTETS_MAX {
            return Err("beyond any file".to_owned());
        }
        Ok(spec)
    }
}

const EXPECTED: &str = "expected FIRST-LAST, FIRST- or -LENGTH in bytes, such as 0-499";

/// A decimal number; one beyond 64 bits is past the end of any object, and stays so.
fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |value, &digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        Some(value.saturating_mul(10).saturating_add(digit))
    })
}

const UNIT: &[u8] = b"bytes=";

#[cfg(test)]
mod tests {
    use super::*;

    /// PG-22: the rules of RFC 9110 section 14.1.2, for origin and client alike. `None` is 416.
    #[test]
    fn ranges_are_resolved_by_the_table() {
        for (set, length, wanted) in [
            ("0-499", 1000, Some(0..500)),
            ("500-999", 1000, Some(500..1000)),
            ("0-0", 1000, Some(0..1)),
            ("999-999", 1000, Some(999..1000)),
            ("0-999", 1000, Some(0..1000)),
            ("0-1000", 1000, Some(0..1000)),
            ("500-99999999999999999999", 1000, Some(500..1000)),
            ("1000-1000", 1000, None),
            ("1000-", 1000, None),
            ("5000-6000", 1000, None),
            ("0-", 1000, Some(0..1000)),
            ("999-", 1000, Some(999..1000)),
            ("-1", 1000, Some(999..1000)),
            ("-1000", 1000, Some(0..1000)),
            ("-1001", 1000, Some(0..1000)),
            ("-0", 1000, None),
            ("0-0", 0, None),
            ("-1", 0, None),
            ("0-", 0, None),
        ] {
            let spec = RangeSpec::parse(format!("bytes={set}").as_bytes()).expect("one range");
            assert_eq!(spec.resolve(length), wanted, "{set} of {length}");
        }
    }

    #[test]
    fn what_a_user_types_holds_a_byte_that_a_file_may_have() {
        for text in ["0-499", "5-5", "7-", "-3", "0-9223372036854775806"] {
            let spec: RangeSpec = text.parse().expect(text);
            assert_eq!(spec.to_string(), text);
        }
        let refused = [
            "",
            "-",
            "5",
            "5-2",
            "-0",
            "a-b",
            "1-2-3",
            " 1-2",
            "+1-2",
            "0-1,3-4",
            "bytes=0-1",
            "0-9223372036854775807",
            "9223372036854775807-",
            "-99999999999999999999",
            "1K-2K",
        ];
        for text in refused {
            assert!(text.parse::<RangeSpec>().is_err(), "{text}");
        }
    }

    #[test]
    fn half_open_bounds_make_inclusive_ends() {
        // PG-21.
        let text = |spec: Option<RangeSpec>| spec.map(|spec| spec.to_string());
        for (spec, wanted) in [
            (RangeSpec::of(0..500), Some("0-499")),
            (RangeSpec::of(5..6), Some("5-5")),
            (RangeSpec::of(5..=6), Some("5-6")),
            (RangeSpec::of(..7), Some("0-6")),
            (RangeSpec::of(7..), Some("7-")),
            (RangeSpec::of(..), Some("0-")),
            (RangeSpec::of(5..5), None),
            (RangeSpec::of(0..0), None),
        ] {
            assert_eq!(text(spec).as_deref(), wanted);
        }
        let reversed = std::ops::Range { start: 6, end: 5 };
        assert_eq!(RangeSpec::of(reversed), None);
    }

    #[test]
    fn reads_one_range_and_nothing_else() {
        use RangeSpec::{Between, From, Suffix};
        let cases: &[(&str, Option<RangeSpec>)] = &[
            ("bytes=0-4", Some(Between { first: 0, last: 4 })),
            ("bytes=5-5", Some(Between { first: 5, last: 5 })),
            ("BYTES=5-", Some(From(5))),
            ("bytes= 5- ", Some(From(5))),
            ("bytes=-3", Some(Suffix(3))),
            ("bytes=0-99999999999999999999999", Some(Between { first: 0, last: u64::MAX })),
            ("bytes=99999999999999999999999-", Some(From(u64::MAX))),
            ("", None),
            ("bytes", None),
            ("bytes=", None),
            ("bytes=-", None),
            ("bytes=5", None),
            ("bytes=5-2", None),
            ("bytes=a-b", None),
            ("bytes=1-2-3", None),
            ("bytes=+1-2", None),
            ("bytes=--1", None),
            ("bytes=1 -2", None),
            ("bytes=0-1,3-4", None),
            ("bytes=0-1,", None),
            ("bytes 0-4/10", None),
            ("items=0-4", None),
            ("0-4", None),
        ];
        for (value, wanted) in cases {
            assert_eq!(RangeSpec::parse(value.as_bytes()), *wanted, "{value}");
        }
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let most = RangeSpec::Between { first: 0, last: u64::MAX };
        assert_eq!(most.resolve(u64::MAX), Some(0..u64::MAX));
        assert_eq!(RangeSpec::From(u64::MAX).resolve(u64::MAX), None);
        assert_eq!(RangeSpec::Suffix(u64::MAX).resolve(3), Some(0..3));
    }
}
