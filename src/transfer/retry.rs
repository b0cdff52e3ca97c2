//! When to ask again, and when to stop asking.

use std::time::Duration;

use crate::orders::Policy;

/// Counts failed attempts against what the policy allows, and spaces them out.
///
/// Three bounds. *In a row*: attempts of a transfer (here) or of a span (its blame) that brought
/// nothing at all; any byte resets it. *Poor in a row*: attempts that brought next to nothing, so
/// that a byte and a reset for ever comes to an end. *Overall*: poor attempts against the bytes
/// that came.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    retries: u32,
    first: Duration,
    longest: Duration,
    until: Option<Duration>,
    streak: u32,
    streak_since: Duration,
    poor: u32,
    spent: u32,
    /// Failures that were not charged since bytes came.
    excused: u32,
    random: u64,
}

/// A failed attempt, as the budget sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charge {
    /// When it was sent. Attempts that were under way together fail together: once.
    pub(super) sent: Duration,
    /// How many bytes it brought.
    pub(super) brought: u64,
    /// How many attempts in a row at the same offset failed with nothing, this one included.
    pub(super) failures: u32,
}

impl Budget {
    /// A full budget for a transfer that starts at `now`.
    pub(super) fn new(policy: &Policy, now: Duration) -> Self {
        Self {
            retries: policy.retries,
            first: policy.retry_delay,
            longest: policy.retry_delay_max,
            until: policy.retry_max_time.map(|time| now.saturating_add(time)),
            streak: 0,
            streak_since: now,
            poor: 0,
            spent: 0,
            excused: 0,
            random: policy.seed ^ 0x9e37_79b9_7f4a_7c15,
        }
    }

    /// Bytes came: what failed before was not for ever.
    pub(super) fn progress(&mut self) {
        self.streak = 0;
        self.excused = 0;
    }

    /// Whether one more failure may go uncharged.
    pub(super) fn may_excuse(&self) -> bool {
        self.excused < EXCUSED_MAX
    }

    /// A failure is not charged.
    pub(super) fn excuse(&mut self) {
        self.excused = self.excused.saturating_add(1);
    }

    /// Attempts in a row without a byte.
    pub(super) fn streak(&self) -> u32 {
        self.streak
    }

    /// A charged failure of an attempt at an object of `total` bytes, `done` of them here. `Some`
    /// is the delay before the next attempt; `None` says that there is none.
    pub(super) fn charge(
        &mut self,
        now: Duration,
        charge: Charge,
        total: Option<u64>,
        done: u64,
    ) -> Option<Duration> {
        if self.retries == 0 {
            return None;
        }
        if charge.brought == 0 && charge.sent >= self.streak_since {
            self.streak = self.streak.saturating_add(1);
            self.streak_since = now;
        }
        if charge.brought >= rich(total) {
            self.poor = 0;
            return self.in_time(now, Duration::ZERO);
        }
        self.poor = self.poor.saturating_add(1);
        self.spent = self.spent.saturating_add(1);
        let row = charge.failures.max(self.streak);
        let poor_max = self.retries.saturating_mul(4).max(POOR_IN_A_ROW);
        let overall = u64::from(self.retries.saturating_mul(4).max(POOR_OVERALL)) + (done >> 20);
        let over = row > self.retries
            || (charge.brought > 0 && self.poor > poor_max)
            || u64::from(self.spent) > overall;
        if over {
            return None;
        }
        let delay = self.delay(row.max(1));
        self.in_time(now, delay)
    }

    /// Whether an attempt after `delay` still starts in the time that the user gave.
    pub(super) fn in_time(&self, now: Duration, delay: Duration) -> Option<Duration> {
        match self.until {
            Some(until) if now.saturating_add(delay) > until => None,
            _ => Some(delay),
        }
    }

    /// The delay after so many failures in a row: it doubles, and varies by a quarter either way
    /// so that clients that failed together do not come back together.
    pub(super) fn delay(&mut self, failures: u32) -> Duration {
        let doubled = self.first.saturating_mul(1 << (failures - 1).min(16)).min(self.longest);
        let jitter = 768 + (self.next_random() % 513) as u32;
        (doubled.saturating_mul(jitter) / 1024).min(self.longest)
    }

    /// splitmix64 (Steele, Lea, Flood 2014): one addition, two multiplications, no state to
    /// speak of.
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// From how many bytes on an attempt was worth its while. An attempt that brings a 256th of the
/// object can be repeated 256 times at most, so it needs no other bound.
fn rich(total: Option<u64>) -> u64 {
    total.map_or(RICH, |total| (total / 256).min(RICH)).max(1)
}

/// From so many bytes on an attempt is worth its while whatever the object's length.
const RICH: u64 = 16 << 10;

/// Failures between two bytes of progress that may go uncharged.
const EXCUSED_MAX: u32 = 64;

/// Attempts in a row that may bring next to nothing.
const POOR_IN_A_ROW: u32 = 20;

/// Attempts that may bring next to nothing, over all; one more for every MiB that came.
const POOR_OVERALL: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn charge(sent: u64, brought: u64, failures: u32) -> Charge {
        Charge { sent: Duration::from_secs(sent), brought, failures }
    }

    #[test]
    fn delays_double_with_jitter_up_to_the_cap() {
        let policy = Policy { retries: 20, ..Policy::default() };
        let mut budget = Budget::new(&policy, Duration::ZERO);
        for n in 1..=20 {
            let now = Duration::from_secs(u64::from(n) * 100);
            let delay = budget.charge(now, charge(now.as_secs(), 0, n), None, 0);
            let plain = Duration::from_millis(500 * (1 << (n - 1).min(16)));
            let most = (plain * 5 / 4 + Duration::from_millis(1)).min(policy.retry_delay_max);
            let least = (plain * 3 / 4).min(policy.retry_delay_max * 3 / 4);
            let delay = delay.expect("within the budget");
            assert!((least..=most).contains(&delay), "{n}: {delay:?}");
        }
        let now = Duration::from_secs(10_000);
        assert_eq!(budget.charge(now, charge(10_000, 0, 21), None, 0), None);
    }

    #[test]
    fn attempts_that_were_under_way_together_count_once() {
        let mut budget = Budget::new(&Policy::default(), Duration::ZERO);
        for _ in 0..16 {
            assert!(budget.charge(Duration::from_secs(5), charge(1, 0, 1), None, 0).is_some());
        }
        assert_eq!(budget.streak(), 1);
    }

    #[test]
    fn a_byte_and_a_reset_for_ever_ends() {
        let mut budget = Budget::new(&Policy::default(), Duration::ZERO);
        let mut attempts = 0;
        while budget
            .charge(Duration::from_secs(attempts), charge(attempts, 1, 0), Some(1 << 30), attempts)
            .is_some()
        {
            budget.progress();
            attempts += 1;
            assert!(attempts < 1000, "it has to end");
        }
        assert_eq!(attempts, u64::from(POOR_IN_A_ROW));
    }

    #[test]
    fn real_progress_may_be_interrupted_any_number_of_times() {
        let mut budget = Budget::new(&Policy::default(), Duration::ZERO);
        for n in 0..10_000 {
            let delay =
                budget.charge(Duration::from_secs(n), charge(n, 64 << 10, 0), None, n << 16);
            assert_eq!(delay, Some(Duration::ZERO));
            budget.progress();
        }
    }

    #[test]
    fn no_retries_is_fail_fast() {
        let policy = Policy { retries: 0, ..Policy::default() };
        let mut budget = Budget::new(&policy, Duration::ZERO);
        assert_eq!(budget.charge(Duration::ZERO, charge(0, 1 << 30, 0), None, 1 << 30), None);
    }

    #[test]
    fn no_retry_starts_after_the_time_for_retries() {
        let policy = Policy { retry_max_time: Some(Duration::from_secs(10)), ..Policy::default() };
        let mut budget = Budget::new(&policy, Duration::ZERO);
        assert!(budget.charge(Duration::from_secs(9), charge(0, 0, 1), None, 0).is_some());
        assert!(budget.charge(Duration::from_secs(10), charge(10, 0, 1), None, 0).is_none());
    }
}
