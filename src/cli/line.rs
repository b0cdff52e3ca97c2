//! The live line: what it says at a moment, in so many columns, and how fast bytes flow. Pure.

use std::{collections::VecDeque, time::Duration};

use console::measure_text_width;
use uget::Phase;

use super::text;

/// One moment of a download.
#[derive(Clone, Debug)]
pub(crate) struct View<'a> {
    /// What is downloaded; escaped here.
    pub(crate) name: &'a str,
    /// What it is doing.
    pub(crate) phase: &'a Phase,
    /// Since when.
    pub(crate) phase_for: Duration,
    /// Since the start.
    pub(crate) elapsed: Duration,
    /// Bytes in place, those of earlier runs included.
    pub(crate) bytes: u64,
    /// Bytes of earlier runs.
    pub(crate) resumed: u64,
    /// The complete length.
    pub(crate) total: Option<u64>,
    /// Open connections.
    pub(crate) connections: usize,
    /// Bytes a second, lately.
    pub(crate) rate: Option<f64>,
    /// Members of an archive, and the name of the last; escaped already.
    pub(crate) members: Option<(u64, String)>,
}

/// The line for `view`, at most `columns` wide as a terminal counts. What matters least goes first
/// when there is no room; the time since the start stays longest, because it shows life.
pub(crate) fn render(view: &View<'_>, columns: usize) -> String {
    let name = text::escape(view.name);
    for limit in NAME_COLUMNS {
        let segments = segments(view, &tail(&name, limit));
        if width(&segments) <= columns {
            return with_gauge(view, &segments, columns);
        }
    }
    let mut segments = segments(view, &tail(&name, NAME_COLUMNS[NAME_COLUMNS.len() - 1]));
    while segments.len() > 1 && width(&segments) > columns {
        if let Some(least) = (0..segments.len()).max_by_key(|&i| segments[i].rank) {
            segments.remove(least);
        }
    }
    head(&joined(&segments), columns)
}

/// A piece of the line, and how soon it goes: the highest first.
struct Segment {
    rank: u8,
    text: String,
}

fn segments(view: &View<'_>, name: &str) -> Vec<Segment> {
    let mut all = Vec::with_capacity(8);
    let mut push = |rank, text: String| all.push(Segment { rank, text });
    if !name.is_empty() {
        push(4, name.to_owned());
    }
    let elapsed = text::duration(view.elapsed);
    if view.bytes <= view.resumed && !matches!(view.phase, Phase::Verifying | Phase::Publishing) {
        push(2, phase(view));
        push(0, elapsed);
        return all;
    }
    if view.total.is_some() {
        push(PERCENT, format!("{:3}%", text::percent(view.bytes, view.total)));
    }
    push(2, text::bytes(view.bytes));
    if let Some(total) = view.total {
        push(3, format!("of {}", text::bytes(total)));
    }
    if matches!(view.phase, Phase::Waiting { .. } | Phase::Verifying | Phase::Publishing) {
        push(5, phase(view));
    } else {
        let rate = view.rate.unwrap_or(0.0);
        push(5, text::rate(rate));
        if let Some(eta) = text::eta(view.bytes, view.total, rate) {
            push(6, format!("ETA {}", text::duration(eta)));
        }
        push(7, super::message::connections(view.connections));
    }
    if let Some((count, name)) = &view.members {
        push(6, super::message::members(*count));
        push(8, tail(name, MEMBER_COLUMNS));
    }
    push(0, elapsed);
    all
}

/// The phase in words.
fn phase(view: &View<'_>) -> String {
    match view.phase {
        Phase::Connecting => "connecting".to_owned(),
        Phase::Probing => "waiting for an answer".to_owned(),
        Phase::Allocating { size } => format!("allocating {}", text::bytes(*size)),
        Phase::Downloading => "waiting for data".to_owned(),
        Phase::Waiting { delay, why } => {
            let left = text::duration(delay.saturating_sub(view.phase_for));
            format!("again in {left}: {}", text::escape(why))
        }
        Phase::Verifying => "verifying".to_owned(),
        Phase::Publishing => "publishing".to_owned(),
        _ => "working".to_owned(),
    }
}

/// The pieces, with a gauge after the percentage where there is room for one.
fn with_gauge(view: &View<'_>, segments: &[Segment], columns: usize) -> String {
    let room = columns.saturating_sub(width(segments) + GAP.len() + 2).min(GAUGE_MOST);
    let after = segments.iter().position(|s| s.rank == PERCENT);
    let (Some(after), GAUGE_LEAST..) = (after, room) else { return joined(segments) };
    let share = text::percent(view.bytes, view.total) as usize * room / 100;
    let gauge = format!("[{}{}]", "#".repeat(share), "-".repeat(room - share));
    let mut texts: Vec<&str> = segments.iter().map(|s| s.text.as_str()).collect();
    texts.insert(after + 1, &gauge);
    texts.join(GAP)
}

fn joined(segments: &[Segment]) -> String {
    segments.iter().map(|s| s.text.as_str()).collect::<Vec<_>>().join(GAP)
}

fn width(segments: &[Segment]) -> usize {
    let texts: usize = segments.iter().map(|s| measure_text_width(&s.text)).sum();
    texts + GAP.len() * segments.len().saturating_sub(1)
}

/// The end of `text` in at most `columns`, with `…` before it when something was cut.
fn tail(text: &str, columns: usize) -> String {
    if measure_text_width(text) <= columns {
        return text.to_owned();
    }
    let mut room = columns.saturating_sub(1);
    let mut start = text.len();
    for (at, c) in text.char_indices().rev() {
        match room.checked_sub(columns_of(c)) {
            Some(left) => (room, start) = (left, at),
            None => break,
        }
    }
    format!("…{}", &text[start..])
}

/// The beginning of `text` in at most `columns`.
fn head(text: &str, columns: usize) -> String {
    let mut room = columns;
    let fits = |c: &char| match room.checked_sub(columns_of(*c)) {
        Some(left) => {
            room = left;
            true
        }
        None => false,
    };
    text.chars().take_while(fits).collect()
}

fn columns_of(c: char) -> usize {
    measure_text_width(c.encode_utf8(&mut [0; 4]))
}

/// The rate over the last second. Times are counted from the start of the download.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rate {
    /// Oldest first, at least [`SAMPLE_EVERY`] apart; the first is the start of the window.
    samples: VecDeque<(Duration, u64)>,
}

impl Rate {
    /// Notes how many bytes there are at `now`. As long as they do not grow from the first, time
    /// does not count: the rate is measured from the first byte, and what an earlier run left is
    /// no part of it.
    pub(crate) fn sample(&mut self, now: Duration, bytes: u64) {
        let still_waiting = self.samples.len() == 1 && self.samples[0].1 == bytes;
        // Events lag a little behind the counter: a restart is less than the window began with.
        let went_back = self.samples.front().is_some_and(|&(_, first)| bytes < first);
        if still_waiting || went_back {
            self.samples.clear();
        }
        match self.samples.back() {
            Some(&(last, _)) if now < last + SAMPLE_EVERY => return,
            _ => self.samples.push_back((now, bytes)),
        }
        // The window starts at the youngest sample that is at least a second old.
        while self.samples.len() > 1 && self.samples[1].0 + WINDOW <= now {
            self.samples.pop_front();
        }
    }

    /// Bytes a second in the window that ends with `bytes` at `now`; absent before the first byte.
    pub(crate) fn per_second(&self, now: Duration, bytes: u64) -> Option<f64> {
        let &(since, then) = self.samples.front()?;
        let time = now.checked_sub(since).filter(|time| !time.is_zero())?;
        let grown = bytes.checked_sub(then)?;
        (grown > 0 || self.samples.len() > 1).then(|| text::average(grown, time))
    }
}

/// The percentage's rank, shared with nothing that is shown together with it.
const PERCENT: u8 = 1;
const GAP: &str = "  ";
const NAME_COLUMNS: [usize; 3] = [40, 20, 10];
const MEMBER_COLUMNS: usize = 30;
const GAUGE_LEAST: usize = 8;
const GAUGE_MOST: usize = 30;
const WINDOW: Duration = Duration::from_secs(1);
const SAMPLE_EVERY: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    fn view<'a>(name: &'a str, phase: &'a Phase) -> View<'a> {
        View {
            name,
            phase,
            phase_for: Duration::ZERO,
            elapsed: Duration::from_secs(3),
            bytes: 430 << 20,
            resumed: 0,
            total: Some(1 << 30),
            connections: 16,
            rate: Some(85.25 * 1_048_576.0),
            members: None,
        }
    }

    #[test]
    fn the_whole_line() {
        let downloading = view("debian.iso", &Phase::Downloading);
        let table = [
            (
                118,
                "debian.iso   41%  [############------------------]  430.00 MiB  of 1.00 GiB  \
                 85.25 MiB/s  ETA 6s  16 connections  3s",
            ),
            (
                90,
                "debian.iso   41%  430.00 MiB  of 1.00 GiB  85.25 MiB/s  ETA 6s  \
                 16 connections  3s",
            ),
            (70, "debian.iso   41%  430.00 MiB  of 1.00 GiB  85.25 MiB/s  ETA 6s  3s"),
            (50, "debian.iso   41%  430.00 MiB  of 1.00 GiB  3s"),
            (30, " 41%  430.00 MiB  3s"),
            (8, " 41%  3s"),
            (2, "3s"),
            (1, "3"),
            (0, ""),
        ];
        for (columns, want) in table {
            assert_eq!(render(&downloading, columns), want, "{columns} columns");
        }
    }

    #[test]
    fn rt_16_phases_before_the_first_byte() {
        let allocating = Phase::Allocating { size: 1 << 30 };
        let waiting =
            Phase::Waiting { delay: Duration::from_secs(5), why: "503\nagain".to_owned() };
        let table = [
            (Phase::Connecting, "debian.iso  connecting  3s"),
            (Phase::Probing, "debian.iso  waiting for an answer  3s"),
            (allocating, "debian.iso  allocating 1.00 GiB  3s"),
            (Phase::Downloading, "debian.iso  waiting for data  3s"),
            (waiting, "debian.iso  again in 3s: 503\\nagain  3s"),
        ];
        for (phase, want) in &table {
            let resumed = View {
                bytes: 10,
                resumed: 10,
                phase_for: Duration::from_secs(2),
                ..view("debian.iso", phase)
            };
            assert_eq!(render(&resumed, 78), *want);
        }
    }

    #[test]
    fn members_of_an_archive() {
        let members = |count, name: &str| Some((count, name.to_owned()));
        let some = View {
            members: members(1204, "usr/share/doc/a-rather-long-name/changelog.gz"),
            ..view("debian", &Phase::Downloading)
        };
        assert_eq!(
            render(&some, 130),
            "debian   41%  430.00 MiB  of 1.00 GiB  85.25 MiB/s  ETA 6s  16 connections  \
             1204 members  …rather-long-name/changelog.gz  3s"
        );
        assert_eq!(
            render(&some, 80),
            "debian   41%  430.00 MiB  of 1.00 GiB  85.25 MiB/s  ETA 6s  1204 members  3s"
        );
        let one = View { members: members(1, "x"), ..some };
        assert!(render(&one, 130).ends_with("1 member  x  3s"));
    }

    #[test]
    fn unknown_total_and_the_end() {
        let unknown = View { total: None, ..view("debian.iso", &Phase::Downloading) };
        assert_eq!(
            render(&unknown, 118),
            "debian.iso  430.00 MiB  85.25 MiB/s  16 connections  3s"
        );
        let done = View { bytes: 1 << 30, ..view("debian.iso", &Phase::Verifying) };
        assert_eq!(render(&done, 60), "debian.iso  100%  1.00 GiB  of 1.00 GiB  verifying  3s");
    }

    /// LB-13: cutting by bytes splits characters, cutting by characters overflows the terminal.
    #[test]
    fn lb_13_no_name_breaks_the_line() {
        let names = [
            "ünïcödé-文件名-很长的名字-一直很长-下载中-.tar.gz",
            "🏔️👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦.iso",
            "e\u{301}\u{301}\u{301}e\u{301}",
            "\u{1b}[31mred\u{1b}[0m\r\n",
            "",
            &"x".repeat(5000),
        ];
        let phases = [Phase::Connecting, Phase::Downloading, Phase::Publishing];
        for name in names {
            for phase in &phases {
                for columns in 0..130 {
                    let line = render(&view(name, phase), columns);
                    assert!(measure_text_width(&line) <= columns, "{columns}: {line:?}");
                    assert!(!line.contains(['\n', '\r', '\u{1b}']), "{line:?}");
                }
            }
        }
        let line = render(&view(names[0], &Phase::Downloading), 118);
        assert!(
            line.starts_with("…") && line.contains("下载中-.tar.gz  "),
            "the tail is kept: {line}"
        );
    }

    /// OKX-13, RT-15: a window of a second, from the first byte on, without what was there before.
    #[test]
    fn okx_13_rolling_rate() {
        let at = Duration::from_millis;
        let shown =
            |rate: &Rate, now, bytes| rate.per_second(at(now), bytes).map(|r| r.round() as u64);
        let mut rate = Rate::default();
        for now in (0..5000).step_by(150) {
            rate.sample(at(now), 1000);
            assert_eq!(shown(&rate, now, 1000), None, "nothing yet");
        }
        // The last look without growth was at 4950 ms: bytes flow from then on, 100 a second.
        assert_eq!(shown(&rate, 5050, 1010), Some(100));
        for now in (5050..9000).step_by(50) {
            let bytes = 1000 + (now - 4950) / 10;
            rate.sample(at(now), bytes);
            // An event that lags behind the counter is no restart.
            rate.sample(at(now), bytes - 3);
            assert_eq!(shown(&rate, now, bytes), Some(100), "{now}");
            assert!(rate.samples.len() <= 6);
        }
        // Ten times as fast: a second and a quarter later nothing is left of the old rate.
        let knee = 1000 + (9000 - 4950) / 10;
        for now in (9000..10_250).step_by(50) {
            rate.sample(at(now), knee + (now - 9000));
        }
        assert_eq!(shown(&rate, 10_250, knee + 1250), Some(1000));
        // A stall is seen as one.
        for now in (10_250..13_000).step_by(150) {
            rate.sample(at(now), knee + 1250);
        }
        assert_eq!(shown(&rate, 13_000, knee + 1250), Some(0));
        // A restart begins anew.
        rate.sample(at(13_500), 0);
        assert_eq!(shown(&rate, 13_600, 10), Some(100));
    }
}
