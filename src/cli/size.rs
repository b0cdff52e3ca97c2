//! Parses what people type for amounts: sizes in bytes, counts and spans of seconds.

use std::time::Duration;

/// The bytes that `text` names: a number, perhaps with decimals, and a unit. `K`, `M`, `G`, `T`
/// (also as `KiB` and so on) are powers of 1024, `KB`, `MB`, `GB`, `TB` powers of 1000; case does
/// not matter, `B` and nothing are bytes.
///
/// # Errors
/// In words, for anything else and for what does not fit an offset (2^63 - 1).
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = unit_scale(unit).ok_or(EXPECTED_SIZE)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || (number.contains('.') && fraction.is_empty()) || fraction.contains('.') {
        return Err(EXPECTED_SIZE.to_owned());
    }
    let whole: u64 = whole.parse().map_err(|_| TOO_LARGE)?;
    let total = whole.checked_mul(scale).and_then(|n| n.checked_add(part_of(fraction, scale)));
    total.filter(|&n| n <= MAX_BYTES).ok_or_else(|| TOO_LARGE.to_owned())
}

/// The same, but zero makes no sense.
///
/// # Errors
/// In words, as [`bytes`], and for zero.
pub(crate) fn bytes_nonzero(text: &str) -> Result<u64, String> {
    match bytes(text)? {
        0 => Err("expected at least one byte".to_owned()),
        n => Ok(n),
    }
}

/// The memory of a stream.
///
/// # Errors
/// In words, as [`bytes`], and for less than a stream can do with.
pub(crate) fn memory(text: &str) -> Result<u64, String> {
    match bytes(text)? {
        n if n < uget::MEMORY_MIN => Err("a stream takes 2MiB at least".to_owned()),
        n => Ok(n),
    }
}

/// How often: a whole number.
///
/// # Errors
/// In words, for anything else and for more than 32 bits hold.
pub(crate) fn count(text: &str) -> Result<u32, String> {
    let number = text.bytes().all(|b| b.is_ascii_digit());
    let expected = || "expected a whole number, such as 5".to_owned();
    text.parse().ok().filter(|_| number).ok_or_else(expected)
}

/// A time limit in seconds, with decimals: `30`, `0.5`.
///
/// # Errors
/// In words, for anything that is not a plain decimal number, for zero, for less than a
/// millisecond and for more than ten years, which no clock arithmetic should have to survive.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let value: f64 = if plain { text.parse().map_err(|_| EXPECTED_SECONDS)? } else { -1.0 };
    if !(0.0..=MAX_SECONDS).contains(&value) {
        return Err(EXPECTED_SECONDS.to_owned());
    }
    let limit = Duration::try_from_secs_f64(value).map_err(|_| EXPECTED_SECONDS)?;
    if limit < Duration::from_millis(1) {
        return Err("expected more than zero seconds".to_owned());
    }
    Ok(limit)
}

fn unit_scale(unit: &str) -> Option<u64> {
    let unit = unit.to_ascii_lowercase();
    let (power, base) = match unit.as_bytes() {
        [] | [b'b'] => return Some(1),
        [p] | [p, b'i', b'b'] => (*p, 1024_u64),
        [p, b'b'] => (*p, 1000),
        _ => return None,
    };
    let exponent = 1 + b"kmgt".iter().position(|&p| p == power)?;
    base.checked_pow(u32::try_from(exponent).ok()?)
}

/// The decimals of a number, in bytes: `5` of a KiB are 512. Rounds down.
fn part_of(fraction: &str, scale: u64) -> u64 {
    let mut decimals = 0_u128;
    let mut divisor = 1_u128;
    // Twelve decimals of a TiB are one byte; what follows them cannot matter.
    for digit in fraction.bytes().take(12) {
        decimals = decimals * 10 + u128::from(digit.saturating_sub(b'0'));
        divisor *= 10;
    }
    u64::try_from(decimals * u128::from(scale) / divisor).unwrap_or(u64::MAX)
}

const MAX_BYTES: u64 = i64::MAX as u64;
const MAX_SECONDS: f64 = 10.0 * 365.0 * 86_400.0;
const EXPECTED_SIZE: &str = "expected a size such as 1048576, 512K, 8MiB or 1.5G";
const EXPECTED_SECONDS: &str = "expected seconds such as 30 or 0.5, more than zero";
const TOO_LARGE: &str = "too large";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let table: &[(&str, u64)] = &[
            ("0", 0),
            ("1", 1),
            ("1048576", 1 << 20),
            ("1b", 1),
            ("8B", 8),
            ("1k", 1024),
            ("1K", 1024),
            ("1KiB", 1024),
            ("1KB", 1000),
            ("8MiB", 8 << 20),
            ("8m", 8 << 20),
            ("8MB", 8_000_000),
            ("1.5G", 3 << 29),
            ("0.5k", 512),
            ("2TiB", 2 << 40),
            ("9223372036854775807", i64::MAX as u64),
            ("0.3333333333333333333333333333k", 341),
        ];
        for (text, want) in table {
            assert_eq!(bytes(text), Ok(*want), "{text}");
        }
        for text in [
            "",
            "k",
            ".5k",
            "5.",
            "1.2.3",
            "-1",
            "+1",
            "1e3",
            " 1",
            "1 k",
            "1x",
            "1kib/s",
            "1ib",
            "0x10",
            "9223372036854775808",
            "99999999999999999999999",
            "9000000T",
            "١",
            "1é",
        ] {
            assert!(bytes(text).is_err(), "{text:?}");
        }
        assert!(bytes_nonzero("0").is_err() && bytes_nonzero("0.0001k").is_err());
        assert_eq!(bytes_nonzero("1"), Ok(1));
    }

    #[test]
    fn counts() {
        assert_eq!((count("0"), count("4294967295")), (Ok(0), Ok(u32::MAX)));
        for text in ["", "-1", "+1", "4294967296", "x", "1.5"] {
            assert!(count(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn spans_of_seconds() {
        assert_eq!(seconds("30"), Ok(Duration::from_secs(30)));
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(seconds(".25"), Ok(Duration::from_millis(250)));
        for text in [
            "",
            "0",
            "0.0",
            "-1",
            "-0",
            "nan",
            "NaN",
            "inf",
            "infinity",
            "1e9",
            "1e400",
            "5s",
            ".",
            "1.2.3",
            "0.0000000001",
            "99999999999",
            &"9".repeat(400),
        ] {
            assert!(seconds(text).is_err(), "{text:?}");
        }
    }
}
