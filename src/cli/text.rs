//! Numbers and foreign text as people read them. Pure.

use std::time::Duration;

/// `text` with whatever moves a cursor, hides or reorders text written as an escape.
pub(crate) fn escape(text: &str) -> String {
    uget::http::escape(text.as_bytes(), usize::MAX)
}

/// `512 B`, `1.5 KiB`, `70.00 MiB`: bytes whole, KiB with one decimal, more with two.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let mut value = n as f64 / 1024.0;
    let mut unit = 0;
    // What would round up to 1024 is already one of the next unit.
    while unit + 1 < UNITS.len() && value >= if unit == 0 { 1023.95 } else { 1023.995 } {
        value /= 1024.0;
        unit += 1;
    }
    let decimals = if unit == 0 { 1 } else { 2 };
    format!("{value:.decimals$} {}", UNITS[unit])
}

/// `85.20 MiB/s`.
pub(crate) fn rate(bytes_per_second: f64) -> String {
    // A float that is no number or too large becomes 0 or the largest integer.
    format!("{}/s", bytes(bytes_per_second as u64))
}

/// Bytes a second; 0 where there was no time.
pub(crate) fn average(bytes: u64, time: Duration) -> f64 {
    let seconds = time.as_secs_f64();
    if seconds > 0.0 { bytes as f64 / seconds } else { 0.0 }
}

/// `1s`, `42s`, `3m12s`, `2h05m`: at least a second, for a line that is redrawn.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs().max(1);
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s:02}s"),
        (h, m, _) => format!("{h}h{m:02}m"),
    }
}

/// `1.23s`, `3m12.40s`, `2h05m12s`: to 10 ms, for a line that stays.
pub(crate) fn precise(time: Duration) -> String {
    let centis = (time.as_millis() + 5) / 10;
    let (minutes, seconds) = (centis / 6000, centis % 6000);
    let (whole, hundredths) = (seconds / 100, seconds % 100);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{whole}.{hundredths:02}s"),
        (0, m) => format!("{m}m{whole:02}.{hundredths:02}s"),
        (h, m) => format!("{h}h{m:02}m{whole:02}s"),
    }
}

/// `85.20 MiB/s` times this long remains; absent when it is unknown, absurd (more than a day) or
/// over.
pub(crate) fn eta(done: u64, total: Option<u64>, bytes_per_second: f64) -> Option<Duration> {
    let left = total?.checked_sub(done).filter(|&left| left > 0)?;
    if bytes_per_second.is_nan() || bytes_per_second <= 0.0 {
        return None;
    }
    let seconds = left as f64 / bytes_per_second;
    (seconds <= LONGEST_ETA_SECONDS).then(|| Duration::from_secs_f64(seconds))
}

/// 0 to 100, rounded down, so that 100 means all of it; 0 where the total is unknown, 100 where
/// it is nothing.
pub(crate) fn percent(done: u64, total: Option<u64>) -> u64 {
    match total {
        None => 0,
        Some(0) => 100,
        Some(total) => {
            u64::try_from(u128::from(done) * 100 / u128::from(total)).unwrap_or(100).min(100)
        }
    }
}

const LONGEST_ETA_SECONDS: f64 = 86_400.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_escaped() {
        let table = [
            ("plain ünïcode 文件", "plain ünïcode 文件"),
            ("a\nb", "a\\nb"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("\u{7f}\r\0", "\\u{7f}\\r\\u{0}"),
            ("exe\u{202e}gpj", "exe\\u{202e}gpj"),
            ("\u{2028}\u{200b}", "\\u{2028}\\u{200b}"),
        ];
        for (text, want) in table {
            assert_eq!(escape(text), want);
            assert_eq!(escape(&escape(text)), want, "twice is the same as once");
        }
    }

    #[test]
    fn sizes() {
        let table = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1024 * 1024 - 1, "1.00 MiB"),
            (1 << 20, "1.00 MiB"),
            (73_400_320, "70.00 MiB"),
            ((1 << 30) - 1, "1.00 GiB"),
            (1 << 30, "1.00 GiB"),
            (5 << 40, "5.00 TiB"),
            (u64::MAX, "16.00 EiB"),
        ];
        for (n, want) in table {
            assert_eq!(bytes(n), want);
        }
        assert_eq!(rate(1536.9), "1.5 KiB/s");
        assert_eq!(rate(f64::NAN), "0 B/s");
        assert_eq!(rate(f64::INFINITY), "16.00 EiB/s");
        assert_eq!(average(100, Duration::ZERO), 0.0);
    }

    #[test]
    fn durations() {
        let table =
            [(0, "1s"), (1, "1s"), (42, "42s"), (192, "3m12s"), (60, "1m00s"), (7500, "2h05m")];
        for (seconds, want) in table {
            assert_eq!(duration(Duration::from_secs(seconds)), want);
        }
        let table = [
            (0, "0.00s"),
            (4, "0.00s"),
            (5, "0.01s"),
            (1234, "1.23s"),
            (59_996, "1m00.00s"),
            (192_400, "3m12.40s"),
            (7_512_000, "2h05m12s"),
        ];
        for (millis, want) in table {
            assert_eq!(precise(Duration::from_millis(millis)), want);
        }
    }

    #[test]
    fn ok_23_eta() {
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(eta(200, Some(1000), 100.0), seconds(8));
        assert_eq!(eta(200, None, 100.0), None, "no total");
        for rate in [0.0, -1.0, f64::NAN] {
            assert_eq!(eta(200, Some(1000), rate), None, "rate {rate}");
        }
        assert_eq!(eta(1000, Some(1000), 100.0), None, "finished");
        assert_eq!(eta(2000, Some(1000), 100.0), None, "more than all");
        assert_eq!(eta(0, Some(86_400), 1.0), seconds(86_400));
        assert_eq!(eta(0, Some(86_401), 1.0), None, "more than a day");
        assert_eq!(eta(0, Some(u64::MAX), f64::MIN_POSITIVE), None, "absurd");
    }

    #[test]
    fn ok_24_percent() {
        let table = [
            (200, Some(100), 100),
            (0, Some(100), 0),
            (999, Some(1000), 99),
            (1000, Some(1000), 100),
            (5, None, 0),
            (0, Some(0), 100),
            (u64::MAX, Some(u64::MAX), 100),
        ];
        for (done, total, want) in table {
            assert_eq!(percent(done, total), want);
        }
    }
}
