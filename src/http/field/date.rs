//! HTTP-date in its three formats (RFC 9110 section 5.6.7), and what else is said of moments.

use std::{fmt, str::FromStr};

use time::{Date, Month, OffsetDateTime};

/// Seconds since 1970-01-01T00:00:00Z, from an HTTP-date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HttpDate(pub i64);

impl HttpDate {
    /// Reads the three formats of RFC 9110 section 5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`,
    /// `Sunday, 06-Nov-94 08:49:37 GMT` and `Sun Nov  6 08:49:37 1994`. Years of two digits are
    /// 1970 to 2069. The day of the week must be one, but need not be the right one.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        if let Some((weekday, rest)) = text.split_once(", ") {
            let rest = rest.strip_suffix(" GMT")?;
            return if SHORT_DAYS.contains(&weekday) {
                imf_fixdate(rest)
            } else {
                LONG_DAYS.contains(&weekday).then(|| rfc850(rest))?
            };
        }
        let (weekday, rest) = text.split_once(' ')?;
        SHORT_DAYS.contains(&weekday).then(|| asctime(rest))?
    }

    /// A moment in UTC by the calendar; `None` for one that there never is. A leap second is
    /// written as 60.
    #[must_use]
    pub fn of_calendar(year: i32, month: u8, day: u8, time: (u8, u8, u8)) -> Option<Self> {
        let (hour, minute, second) = time;
        let date = Date::from_calendar_date(year, Month::try_from(month).ok()?, day).ok()?;
        let leap = second == 60;
        let at = date.with_hms(hour, minute, second - u8::from(leap)).ok()?.assume_utc();
        Some(Self(at.unix_timestamp() + i64::from(leap)))
    }

    /// `2026-11-20 16:00:00 UTC`.
    #[must_use]
    pub fn utc(self) -> String {
        let at = self.calendar();
        format!("{} {:02}:{:02}:{:02} UTC", at.date(), at.hour(), at.minute(), at.second())
    }

    /// Years outside 0 to 9999, which the formats cannot say, are moved to their ends.
    fn calendar(self) -> OffsetDateTime {
        let seconds = self.0.clamp(FIRST, LAST);
        OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`: the one format that is sent.
impl fmt::Display for HttpDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.calendar();
        let (weekday, month) = (at.weekday().to_string(), at.month().to_string());
        write!(f, "{weekday:.3}, {:02} {month:.3} {:04} ", at.day(), at.year())?;
        write!(f, "{:02}:{:02}:{:02} GMT", at.hour(), at.minute(), at.second())
    }
}

/// `06 Nov 1994 08:49:37`
fn imf_fixdate(text: &str) -> Option<HttpDate> {
    let [day, month, year, time] = fields(text, ' ')?;
    instant(digits(year, 4)?, month, digits(day, 2)?, time)
}

/// `06-Nov-94 08:49:37`
fn rfc850(text: &str) -> Option<HttpDate> {
    let (date, time) = text.split_once(' ')?;
    let [day, month, year] = fields(date, '-')?;
    let year = match digits::<i32>(year, 2)? {
        year @ 70.. => 1900 + year,
        year => 2000 + year,
    };
    instant(year, month, digits(day, 2)?, time)
}

/// `Nov  6 08:49:37 1994`
fn asctime(text: &str) -> Option<HttpDate> {
    let (month, rest) = text.split_once(' ')?;
    let (day, rest) = rest.split_at_checked(2)?;
    let day = match day.strip_prefix(' ') {
        Some(day) => digits(day, 1)?,
        None => digits(day, 2)?,
    };
    let [time, year] = fields(rest.strip_prefix(' ')?, ' ')?;
    instant(digits(year, 4)?, month, day, time)
}

fn instant(year: i32, month: &str, day: u8, time: &str) -> Option<HttpDate> {
    let month = (1..).zip(MONTHS).find(|(_, name)| *name == month)?.0;
    let [hour, minute, second] = fields(time, ':')?;
    let time = (digits(hour, 2)?, digits(minute, 2)?, digits(second, 2)?);
    HttpDate::of_calendar(year, month, day, time)
}

fn fields<const N: usize>(text: &str, separator: char) -> Option<[&str; N]> {
    let mut parts = text.split(separator);
    let mut found = [""; N];
    for slot in &mut found {
        *slot = parts.next()?;
    }
    parts.next().is_none().then_some(found)
}

/// Exactly `count` decimal digits.
fn digits<T: FromStr>(text: &str, count: usize) -> Option<T> {
    let plain = text.len() == count && text.bytes().all(|octet| octet.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

/// 0000-01-01T00:00:00Z and 9999-12-31T23:59:59Z.
const FIRST: i64 = -62_167_219_200;
const LAST: i64 = 253_402_300_799;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const SHORT_DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

const LONG_DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_formats_mean_the_same() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(HttpDate::parse(text.as_bytes()), Some(HttpDate(784_111_777)), "{text}");
            for end in 0..text.len() {
                let cut = HttpDate::parse(&text.as_bytes()[..end]);
                assert_eq!(cut, None, "{}", &text[..end]);
            }
        }
    }

    #[test]
    fn instants_are_those_of_date_1() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Wed, 31 Dec 1969 23:59:59 GMT", -1),
            ("Tue, 29 Feb 2000 12:00:00 GMT", 951_825_600),
            ("Sat, 01 Mar 2100 00:00:00 GMT", 4_107_542_400),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
            ("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_800),
            ("Mon, 01 Jan 0001 00:00:00 GMT", -62_135_596_800),
            ("Monday, 01-Jan-69 00:00:00 GMT", 3_124_224_000),
            ("Thursday, 01-Jan-70 00:00:00 GMT", 0),
            ("Fri Nov 16 08:49:37 2018", 1_542_358_177),
        ] {
            assert_eq!(HttpDate::parse(text.as_bytes()), Some(HttpDate(seconds)), "{text}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let mut expected = HttpDate::parse(b"Sat, 01 Jan 1900 00:00:00 GMT").unwrap().0;
        for year in 1900..2301 {
            for month in MONTHS {
                for day in 1..=31 {
                    let text = format!("Sat, {day:02} {month} {year} 00:00:00 GMT");
                    if let Some(date) = HttpDate::parse(text.as_bytes()) {
                        assert_eq!(date.0, expected, "{text}");
                        expected += 86_400;
                    }
                }
            }
        }
        let after = HttpDate::parse(b"Sat, 01 Jan 2301 00:00:00 GMT").unwrap().0;
        assert_eq!(after, expected);
    }

    #[test]
    fn dates_are_written_in_one_format() {
        for (seconds, wanted) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (-1, "Wed, 31 Dec 1969 23:59:59 GMT"),
            (4_102_444_799, "Thu, 31 Dec 2099 23:59:59 GMT"),
            (i64::MIN, "Sat, 01 Jan 0000 00:00:00 GMT"),
            (i64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(HttpDate(seconds).to_string(), wanted);
        }
    }

    #[test]
    fn moments_are_told_in_utc() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_799, "2000-02-29 23:59:59 UTC"),
            (1_798_761_599, "2026-12-31 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
            (253_402_300_799, "9999-12-31 23:59:59 UTC"),
        ] {
            assert_eq!(HttpDate(seconds).utc(), text);
        }
    }

    #[test]
    fn other_text_is_no_date() {
        for text in [
            "",
            "0",
            "-1",
            "now",
            "1994-11-06T08:49:37Z",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 GMT ",
            "sun, 06 Nov 1994 08:49:37 GMT",
            "Son, 06 Nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Sun, 29 Feb 1900 08:49:37 GMT",
            "Sun, 06 Now 1994 08:49:37 GMT",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 06 Nov 1994 8:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37:00 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sun, 06-Nov-94 08:49:37 GMT",
            "Sun Nov 6 08:49:37 1994",
            "Sun Nov  6 08:49:37 1994 GMT",
            "Sun Nov \u{e9} 08:49:37 1994",
            "Sun, \u{661}6 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(HttpDate::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(HttpDate::parse(b"\xff"), None);
    }
}
