//! When a signed URL stops working, as far as it says so itself.
//!
//! Amazon (`X-Amz-Date`, `X-Amz-Expires`; Google has the same with `X-Goog-`) names a start and
//! seconds, CloudFront and the older signatures a Unix time (`Expires`), Azure a date (`se`). Our
//! own clock may be wrong, so the moment is taken relative to the `Date` of the answer.

use std::time::Duration;

use url::Url;

use crate::http::field::HttpDate;

/// How long `url` works from the moment that the server calls `date`; zero when it is over.
pub(super) fn lifetime(url: &Url, date: HttpDate) -> Option<Duration> {
    let end = expiry(url)?;
    let left = end.saturating_sub(date.0);
    Some(Duration::from_secs(u64::try_from(left).unwrap_or(0)))
}

/// The second, since 1970, in which it expires.
fn expiry(url: &Url) -> Option<i64> {
    let value = |name: &str| {
        let mut pairs = url.query_pairs();
        pairs.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.into_owned())
    };
    for signer in ["X-Amz", "X-Goog"] {
        if let (Some(date), Some(seconds)) =
            (value(&format!("{signer}-Date")), value(&format!("{signer}-Expires")))
        {
            let seconds: u32 = seconds.parse().ok()?;
            return Some(instant(&date)? + i64::from(seconds));
        }
    }
    if value("sig").is_some()
        && let Some(end) = value("se")
    {
        return instant(&end);
    }
    let signed = value("Signature").is_some();
    let end = value("Expires").filter(|_| signed)?;
    end.parse::<u32>().ok().map(i64::from)
}

/// `20240131T120000Z` or `2024-01-31T12:00:00Z`, a date alone included (RFC 3339, ISO 8601 basic).
fn instant(text: &str) -> Option<i64> {
    let plain = text.chars().all(|c| c.is_ascii_digit() || "-:TZ".contains(c));
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    if !plain || !matches!(digits.len(), 8 | 12 | 14) {
        return None;
    }
    let number = |at| digits.get(at..at + 2).map_or(Some(0), |two| two.parse().ok());
    let time = (number(8)?, number(10)?, number(12)?);
    let moment =
        HttpDate::of_calendar(digits.get(..4)?.parse().ok()?, number(4)?, number(6)?, time)?;
    Some(moment.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_706_702_400; // 2024-01-31T12:00:00Z

    fn left(query: &str) -> Option<u64> {
        let url = Url::parse(&format!("https://bucket.test/object?{query}")).expect("a URL");
        lifetime(&url, HttpDate(NOON)).map(|left| left.as_secs())
    }

    #[test]
    fn signers_are_understood() {
        assert_eq!(
            left("X-Amz-Date=20240131T115900Z&X-Amz-Expires=900&X-Amz-Signature=x"),
            Some(840)
        );
        assert_eq!(left("X-Goog-Date=20240131T120000Z&X-Goog-Expires=1"), Some(1));
        assert_eq!(left("Expires=1706702460&Signature=x&Key-Pair-Id=y"), Some(60));
        assert_eq!(left("se=2024-01-31T12%3A10%3A00Z&sig=x"), Some(600));
        assert_eq!(left("se=2024-02-01&sig=x"), Some(43_200));
        assert_eq!(left("Expires=1&Signature=x"), Some(0), "over");
    }

    #[test]
    fn other_urls_say_nothing() {
        for query in [
            "",
            "Expires=1706702460",
            "se=1&sig=x",
            "se=2024-13-01&sig=x",
            "X-Amz-Date=nonsense&X-Amz-Expires=900",
            "X-Amz-Date=20240131T115900Z&X-Amz-Expires=99999999999999999999",
            "X-Amz-Date=99999999999999999999&X-Amz-Expires=1",
        ] {
            assert_eq!(left(query), None, "{query}");
        }
    }
}
