//! `-j auto`: adds connections while the total rate grows, and settles at the knee.

use std::time::Duration;

/// How many connections are worth their while, found out by trying.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ramp {
    level: usize,
    before: usize,
    /// Bytes per second with `before` connections.
    rate: u64,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// New connections find their pace until then.
    Warm { until: Duration },
    /// What comes is counted.
    Count { since: Duration, bytes: u64, until: Duration },
    /// It is known.
    Settled,
}

impl Ramp {
    /// An explicit number is obeyed.
    pub(super) fn none() -> Self {
        Self { level: usize::MAX, before: usize::MAX, rate: 0, step: Step::Settled }
    }

    /// Starts small at `now`.
    pub(super) fn new(now: Duration) -> Self {
        let until = now.saturating_add(WARM);
        Self { level: START, before: START, rate: 0, step: Step::Warm { until } }
    }

    /// The most connections that may be at work.
    pub(super) fn limit(&self) -> usize {
        self.level
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(super) fn next_timeout(&self) -> Option<Duration> {
        match self.step {
            Step::Warm { until } | Step::Count { until, .. } => Some(until),
            Step::Settled => None,
        }
    }

    /// Takes a step if it is time; `done` is what has come in all, `most` what there may be.
    pub(super) fn handle_timeout(&mut self, now: Duration, done: u64, most: usize) {
        match self.step {
            Step::Warm { until } if until <= now => {
                let until = now.saturating_add(COUNT);
                self.step = Step::Count { since: now, bytes: done, until };
            }
            Step::Count { since, bytes, until } if until <= now => {
                let nanos = now.saturating_sub(since).as_nanos().max(1);
                let came = u128::from(done.saturating_sub(bytes));
                let rate = u64::try_from(came * 1_000_000_000 / nanos).unwrap_or(u64::MAX);
                self.counted(now, rate, most);
            }
            _ => {}
        }
    }

    fn counted(&mut self, now: Duration, rate: u64, most: usize) {
        let grown = rate > 0 && u128::from(rate) * 100 >= u128::from(self.rate) * WORTH;
        if self.level > self.before && !grown {
            self.level = self.before;
            self.step = Step::Settled;
        } else if self.level >= most {
            self.step = Step::Settled;
        } else {
            self.rate = rate;
            self.before = self.level;
            self.level = self.level.saturating_mul(2).min(most);
            self.step = Step::Warm { until: now.saturating_add(WARM) };
        }
    }
}

/// Connections at first.
const START: usize = 4;

/// How long new connections have to find their pace.
const WARM: Duration = Duration::from_millis(500);

/// How long is counted.
const COUNT: Duration = Duration::from_millis(500);

/// What twice the connections must bring at least, in percent of the rate before.
const WORTH: u128 = 115;

#[cfg(test)]
mod tests {
    use super::*;

    /// A path that gives `each` bytes a second to a connection and `all` to all of them.
    fn settle(each: u64, all: u64, most: usize) -> usize {
        let mut ramp = Ramp::new(Duration::ZERO);
        let (mut now, mut done) = (Duration::ZERO, 0);
        while let Some(next) = ramp.next_timeout() {
            let rate = (each * ramp.limit().min(most) as u64).min(all);
            done += rate * (next - now).as_millis() as u64 / 1000;
            now = next;
            ramp.handle_timeout(now, done, most);
            assert!(now < Duration::from_secs(10), "it settles soon");
        }
        ramp.limit()
    }

    #[test]
    fn it_grows_while_the_rate_does() {
        assert_eq!(settle(1_000_000, u64::MAX, 16), 16);
        assert_eq!(settle(1_000_000, u64::MAX, 10), 10);
    }

    #[test]
    fn it_settles_at_the_knee() {
        assert_eq!(settle(10_000_000, 10_000_000, 16), 4);
        assert_eq!(settle(1_000_000, 8_000_000, 16), 8);
        assert_eq!(settle(0, 0, 16), 4, "a path that stands still needs no more of them");
    }

    #[test]
    fn an_explicit_number_is_obeyed() {
        assert_eq!(Ramp::none().limit(), usize::MAX);
        assert_eq!(Ramp::none().next_timeout(), None);
    }
}
