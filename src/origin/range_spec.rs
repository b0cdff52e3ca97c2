//! What a `Range` field asks for, and what that means for an object of a given length.

use std::ops::Range;

/// One range of a `Range` field with the unit `bytes` (RFC 9110 section 14.1.2), not yet held
/// against the length of anything.
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
        let spec = set.trim_ascii();
        let dash = spec.iter().position(|&byte| byte == b'-')?;
        let (first, last) = (&spec[..dash], &spec[dash + 1..]);
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
