//! The one thing that has to be read in a certificate by hand: when it is valid.

/// `notBefore` and `notAfter` of an X.509 certificate, in seconds since 1970 (RFC 5280 section
/// 4.1.2.5). `None` when it cannot be read.
pub(super) fn validity(certificate: &[u8]) -> Option<(u64, u64)> {
    let (certificate, _) = take(certificate, SEQUENCE)?;
    let (tbs, _) = take(certificate, SEQUENCE)?;
    // The version is absent in version 1.
    let tbs = take(tbs, VERSION).map_or(tbs, |(_, rest)| rest);
    let (_serial, tbs) = take(tbs, INTEGER)?;
    let (_algorithm, tbs) = take(tbs, SEQUENCE)?;
    let (_issuer, tbs) = take(tbs, SEQUENCE)?;
    let (validity, _) = take(tbs, SEQUENCE)?;
    let (not_before, validity) = time(validity)?;
    let (not_after, _) = time(validity)?;
    Some((not_before, not_after))
}

/// Takes one element with this tag off the front: its content, and what follows it.
fn take(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        // Nothing in a certificate needs more than three octets of length.
        let count = usize::from(first & 0x7f);
        let (octets, rest) = rest.split_at_checked(count)?;
        if !(1..=3).contains(&count) {
            return None;
        }
        (octets.iter().fold(0, |n, octet| n << 8 | usize::from(*octet)), rest)
    };
    if found != tag {
        return None;
    }
    rest.split_at_checked(length)
}

/// A UTCTime (`YYMMDDHHMMSSZ`, 1950 to 2049) or GeneralizedTime (`YYYYMMDDHHMMSSZ`).
fn time(der: &[u8]) -> Option<(u64, &[u8])> {
    let (text, rest, year_digits) = match take(der, UTC_TIME) {
        Some((text, rest)) => (text, rest, 2),
        None => take(der, GENERALIZED_TIME).map(|(text, rest)| (text, rest, 4))?,
    };
    let digits = text.strip_suffix(b"Z")?;
    if digits.len() != year_digits + 10 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let (year, fields) = digits.split_at_checked(year_digits)?;
    let mut year = number(year);
    if year_digits == 2 {
        year += if year < 50 { 2000 } else { 1900 };
    }
    let mut fields = fields.chunks_exact(2).map(number);
    let mut next = || fields.next();
    let (month, day, hour, minute, second) = (next()?, next()?, next()?, next()?, next()?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return (year < 1970).then_some((0, rest));
    }
    let days = days_before(year, month) + day - 1;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second, rest))
}

fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0'))
}

/// Days from 1970 to the first of a month; `year` is at least 1970.
fn days_before(year: u64, month: u64) -> u64 {
    // Years begin in March here, so that the leap day is the last.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let of_years = 365 * year + year / 4 - year / 100 + year / 400;
    of_years + (153 * month + 2) / 5 - 719_468
}

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn validity_of_a_real_certificate() {
        let mut parameters = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(2001, 2, 28);
        parameters.not_after = rcgen::date_time_ymd(2096, 3, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        assert_eq!(validity(certificate.der()), Some((983_318_400, 3_981_398_400)));
        for cut in 0..certificate.der().len() {
            let _ = validity(&certificate.der()[..cut]);
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = validity(&bytes);
            let _ = time(&bytes);
        }
    }
}
