//! The pieces that field values are made of.

/// `1*DIGIT` up to 2^63 - 1, as file offsets are signed: no sign, no space, no list.
pub(in crate::http) fn decimal(value: &[u8]) -> Option<u64> {
    decimal_u64(value).filter(|number| *number <= OCTETS_MAX)
}

/// `1*DIGIT` up to 2^64 - 1.
pub(super) fn decimal_u64(value: &[u8]) -> Option<u64> {
    if !is_digits(value) {
        return None;
    }
    value.iter().try_fold(0u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}

/// `1*DIGIT`.
pub(super) fn is_digits(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(u8::is_ascii_digit)
}

/// What is before and after the first `at`.
pub(super) fn split_once(value: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let index = value.iter().position(|octet| *octet == at)?;
    Some((value.get(..index)?, value.get(index + 1..)?))
}

/// The most octets that a resource may have.
pub(super) const OCTETS_MAX: u64 = i64::MAX as u64;
