//! Paths of many kinds, as fluids: what auto takes against the best fixed number.

use super::*;

/// A path: what it gives to a connection, and to all of them.
#[derive(Clone, Copy, Debug)]
struct Path {
    each: u64,
    all: u64,
    trip: Duration,
}

/// How a download went.
#[derive(Debug)]
struct Run {
    time: Duration,
    /// Connections at the end.
    last: usize,
    /// It was found out how many are of use.
    settled: bool,
}

impl Path {
    fn cost(&self) -> Cost {
        Cost { setup: self.trip * 2, round_trip: self.trip }
    }

    fn rate(&self, connections: usize) -> u64 {
        (self.each * connections as u64).min(self.all)
    }

    /// The first connection is there, all others come together.
    fn fixed(&self, bytes: u64, count: usize) -> Duration {
        let lead = if count > 1 { self.trip * 3 } else { Duration::ZERO };
        let alone = super::super::pace::bytes_in(self.rate(1), lead, 1);
        let rest = |bytes: u64, rate| Duration::from_secs_f64(bytes as f64 / rate as f64);
        match bytes.checked_sub(alone) {
            Some(left) => lead + rest(left, self.rate(count)),
            None => rest(bytes, self.rate(1)),
        }
    }

    fn auto(&self, bytes: u64, most: usize) -> Run {
        let step = Duration::from_millis(1);
        let mut outlook = Outlook { done: 0, left: bytes, most, cost: self.cost() };
        let mut ramp = Ramp::new(Duration::ZERO, outlook);
        let mut starts = vec![Duration::ZERO];
        let mut now = Duration::ZERO;
        while outlook.left > 0 {
            // Workers tell of what they wrote every 20 ms.
            if now.as_millis().is_multiple_of(20) {
                (0..starts.len()).for_each(|_| ramp.reported());
            }
            ramp.handle_timeout(now, outlook);
            starts.truncate(ramp.limit());
            starts.resize(ramp.limit(), now + self.trip * 3);
            let flowing = starts.iter().filter(|start| **start <= now).count();
            if ramp.next_timeout().is_none() && flowing == starts.len() {
                let rest = outlook.left as f64 / self.rate(flowing) as f64;
                return Run {
                    time: now + Duration::from_secs_f64(rest),
                    last: flowing,
                    settled: true,
                };
            }
            let came = (self.rate(flowing) / 1000).min(outlook.left);
            outlook.done += came;
            outlook.left -= came;
            now += step;
            assert!(now < Duration::from_secs(3600), "it settles: {self:?}");
        }
        Run { time: now, last: starts.len(), settled: false }
    }
}

/// Rates of a connection and of the line, in MB/s, and round trips.
fn paths() -> impl Iterator<Item = Path> {
    let millis = Duration::from_millis;
    let trips = [Duration::from_micros(100), millis(5), millis(30), millis(100), millis(250)];
    let lines = [(1, 9_000), (4, 9_000), (4, 24), (10, 40), (30, 30), (30, 400), (900, 2_500)];
    let mega = 1_000_000;
    let path =
        move |trip, (each, all): (u64, u64)| Path { each: each * mega, all: all * mega, trip };
    trips.into_iter().flat_map(move |trip| lines.into_iter().map(move |line| path(trip, line)))
}

/// In MiB: whole objects, and what is left of resumed ones, which is no different.
const SIZES: [u64; 9] = [1, 4, 8, 16, 64, 160, 512, 1024, 10 * 1024];

#[test]
fn auto_is_near_the_best_fixed_number_and_adds_no_more_than_gain() {
    for path in paths() {
        for size in SIZES {
            let (bytes, most) = (size << 20, size.min(16) as usize);
            let best = (1..=most).map(|count| path.fixed(bytes, count)).min().unwrap_or_default();
            let auto = path.auto(bytes, most);
            // To find out costs the making of a connection twice, and a count.
            let lost = path.cost().time() * 2 + COUNT_MIN;
            let late = auto.time > best.mul_f64(1.15) + lost;
            assert!(!late, "{size} MiB: {auto:?} instead of {best:?} on {path:?}");
            let knee = usize::try_from(path.all.div_ceil(path.each)).unwrap_or(usize::MAX);
            let useful = (knee.saturating_mul(5) / 4 + 1).max(START);
            let over = auto.settled && auto.last > useful;
            assert!(!over, "{size} MiB: {auto:?}, {useful} are of use on {path:?}");
        }
    }
}

#[test]
fn a_resumed_tail_on_a_server_that_limits_each_connection_gets_all_of_them() {
    let path = Path { each: 4_000_000, all: u64::MAX, trip: Duration::from_millis(30) };
    let auto = path.auto(80 << 20, 16);
    assert_eq!(auto.last, 16, "16 MiB for each would be five");
    assert!(auto.time < path.fixed(80 << 20, 16).mul_f64(1.3), "{auto:?}");
}

#[test]
fn a_small_object_on_a_fast_path_keeps_its_one_connection() {
    let path = Path { each: 900_000_000, all: 2_000_000_000, trip: Duration::from_micros(100) };
    for size in [1, 8, 32] {
        assert_eq!(path.auto(size << 20, 16).last, 1, "{size} MiB");
    }
}

#[test]
fn it_settles_at_the_knee() {
    let path = |each, all| Path { each, all, trip: Duration::from_millis(20) };
    for (each, all, most, want) in [
        (1_000_000, u64::MAX, 16, 16),
        (1_000_000, u64::MAX, 10, 10),
        (10_000_000, 10_000_000, 16, 4),
        (1_000_000, 8_000_000, 16, 10),
        (2_000_000, 6_000_000, 16, 4),
    ] {
        let run = path(each, all).auto(1 << 30, most);
        assert_eq!(run.last, want, "{each} and {all}");
    }
}

#[test]
fn a_path_that_stands_still_gets_no_more_than_a_few() {
    let outlook = Outlook { done: 0, left: 1 << 30, most: 16, cost: Cost::default() };
    let mut ramp = Ramp::new(Duration::ZERO, outlook);
    while let Some(next) = ramp.next_timeout() {
        assert!(next < Duration::from_secs(10), "it settles soon");
        ramp.handle_timeout(next, outlook);
    }
    assert_eq!(ramp.limit(), START);
}

#[test]
fn an_explicit_number_is_obeyed() {
    assert_eq!(Ramp::none().limit(), usize::MAX);
    assert_eq!(Ramp::none().next_timeout(), None);
}
