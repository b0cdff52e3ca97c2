//! `-j auto`: adds connections while that makes the whole faster, and settles at the knee.
//!
//! What a connection costs is known from those that are there: the time to make one and to get a
//! first byte from it. It is worth that as long as the cost is a small share of the time that is
//! left at the rate that is measured; how many bytes are left says nothing by itself. So a small
//! object on a fast path keeps its one connection, the same object on a slow one gets a few, and
//! from then on their number doubles as long as the rate grows with it.

use std::time::Duration;

/// How many connections are worth their while, found out by trying.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ramp {
    level: usize,
    before: usize,
    /// Bytes per second with `before` connections; 0 where it is not known.
    rate: u64,
    /// Reports of written bytes since the count began.
    reports: usize,
    step: Step,
}

/// What is known of the download when a step is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outlook {
    /// Bytes that are there.
    pub(super) done: u64,
    /// Bytes that are missing.
    pub(super) left: u64,
    /// The most connections that there may be.
    pub(super) most: usize,
    /// What one more takes.
    pub(super) cost: Cost,
}

/// What a new connection takes before it brings anything.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    /// The time to make it.
    pub(super) setup: Duration,
    /// From its request to the first byte.
    pub(super) round_trip: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The first connection shows whether others are worth it.
    First { since: Duration, bytes: u64, until: Duration },
    /// New connections find their pace until then; what comes before the first of them can bring
    /// anything is the rate without them.
    Warm { since: Duration, bytes: u64, lead: Duration, until: Duration },
    /// What comes is counted.
    Count { since: Duration, bytes: u64, until: Duration },
    /// It is known.
    Settled,
}

impl Ramp {
    /// An explicit number is obeyed.
    pub(super) fn none() -> Self {
        let (level, before) = (usize::MAX, usize::MAX);
        Self { level, before, rate: 0, reports: 0, step: Step::Settled }
    }

    /// Whether it has not begun, or an explicit number is obeyed.
    pub(super) fn is_none(&self) -> bool {
        self.level == usize::MAX
    }

    /// Starts at `now`: with one connection, or with a few where one alone would take long to get
    /// going.
    pub(super) fn new(now: Duration, outlook: Outlook) -> Self {
        let until = now.saturating_add(outlook.cost.time());
        let step = Step::First { since: now, bytes: outlook.done, until };
        let mut ramp = Self { level: 1, before: 1, rate: 0, reports: 0, step };
        if outlook.is_far() {
            ramp.grow(now, START, outlook);
        }
        ramp
    }

    /// The most connections that may be at work.
    pub(super) fn limit(&self) -> usize {
        self.level
    }

    /// Bytes were written somewhere.
    pub(super) fn reported(&mut self) {
        self.reports = self.reports.saturating_add(1);
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(super) fn next_timeout(&self) -> Option<Duration> {
        match self.step {
            Step::First { until, .. } | Step::Count { until, .. } => Some(until),
            Step::Warm { lead, until, .. } => Some(lead.min(until)),
            Step::Settled => None,
        }
    }

    /// What came meanwhile says nothing of what the connections can do: it is measured anew.
    pub(super) fn again(&mut self, now: Duration, outlook: Outlook) {
        let bytes = outlook.done;
        self.reports = 0;
        self.step = match self.step {
            Step::Settled => Step::Settled,
            Step::First { .. } => {
                Step::First { since: now, bytes, until: now.saturating_add(outlook.cost.time()) }
            }
            Step::Warm { .. } | Step::Count { .. } => {
                Step::Count { since: now, bytes, until: now.saturating_add(outlook.cost.count()) }
            }
        };
    }

    /// Takes a step if it is time.
    pub(super) fn handle_timeout(&mut self, now: Duration, outlook: Outlook) {
        match self.step {
            Step::First { since, bytes, until } if until <= now => {
                let rate = rate(outlook.done.saturating_sub(bytes), now.saturating_sub(since));
                if outlook.is_worth_more(rate) {
                    self.grow(now, START, outlook);
                    if let Step::Warm { lead, until, .. } = self.step {
                        self.step = Step::Warm { since, bytes, lead, until };
                    }
                } else {
                    self.step = Step::Settled;
                }
            }
            Step::Warm { since, bytes, lead, until } if lead <= now && lead < until => {
                if self.before == 1 {
                    self.rate = rate(outlook.done.saturating_sub(bytes), now.saturating_sub(since));
                }
                self.step = Step::Warm { since, bytes, lead: until, until };
                self.handle_timeout(now, outlook);
            }
            Step::Warm { until, .. } if until <= now => {
                let until = now.saturating_add(outlook.cost.count());
                self.reports = 0;
                self.step = Step::Count { since: now, bytes: outlook.done, until };
            }
            Step::Count { since, bytes, until } if until <= now => {
                let (came, time) = (outlook.done.saturating_sub(bytes), now.saturating_sub(since));
                let most = COUNT_MAX.max(outlook.cost.count());
                if self.reports < REPORTS * self.level && time < most {
                    // Too little to tell: connections report their bytes in gulps.
                    let until = now.saturating_add(COUNT_MIN / 4).min(since.saturating_add(most));
                    self.step = Step::Count { since, bytes, until };
                } else {
                    self.counted(now, rate(came, time), outlook);
                }
            }
            _ => {}
        }
    }

    fn counted(&mut self, now: Duration, rate: u64, outlook: Outlook) {
        let (level, before) = (self.level as u128, self.before.max(1) as u128);
        let gain = u128::from(rate) * 100 / u128::from(self.rate.max(1));
        if level > before && before > 1 && (rate == 0 || gain < WORTH) {
            // The first few are of use when one fails or lags, too; more have to bring more.
            self.level = self.before;
            self.step = Step::Settled;
        } else if self.level >= outlook.most || !outlook.is_worth_more(rate) {
            if before > 1 {
                // As many as the rate needs if each brings what each brought before.
                let needed = before.saturating_mul(gain).saturating_mul(WORTH) / 10_000 + 1;
                self.level = self.level.min(usize::try_from(needed).unwrap_or(usize::MAX));
            }
            self.step = Step::Settled;
        } else {
            // Each brought as much as those before: the end is far.
            let even = self.rate > 0 && gain * before >= EVEN * level;
            let factor = if even { 4 } else { 2 };
            self.grow(now, self.level.saturating_mul(factor), outlook);
            self.rate = rate;
        }
    }

    fn grow(&mut self, now: Duration, level: usize, outlook: Outlook) {
        self.before = self.level;
        self.level = level.min(outlook.most.max(1));
        let lead = outlook.cost.setup.saturating_add(outlook.cost.round_trip).min(WARM_MAX);
        let lead = now.saturating_add(lead);
        let until = lead.saturating_add((outlook.cost.round_trip * 2).min(WARM_MAX));
        self.step = Step::Warm { since: now, bytes: outlook.done, lead, until };
    }
}

impl Outlook {
    /// Whether a connection is so far away that it would take as long to get going alone: a TCP
    /// window doubles once in a round trip.
    fn is_far(&self) -> bool {
        let doublings = (1 + self.left / FIRST_WINDOW).ilog2();
        let least = self.cost.round_trip.saturating_mul(doublings);
        least.as_nanos() >= self.cost.time().as_nanos() * SHARE
    }

    /// Whether the time that is left at this rate is long beside what a connection costs.
    fn is_worth_more(&self, rate: u64) -> bool {
        let left = u128::from(self.left) * 1_000_000_000 / u128::from(rate.max(1));
        left >= self.cost.time().as_nanos() * SHARE
    }
}

impl Cost {
    /// All of it; never less than it takes to tell a rate.
    fn time(self) -> Duration {
        self.setup.saturating_add(self.round_trip).max(COST_MIN)
    }

    /// How long is counted at least.
    fn count(self) -> Duration {
        (self.round_trip * 2).clamp(COUNT_MIN, COUNT_MAX)
    }
}

fn rate(bytes: u64, time: Duration) -> u64 {
    let rate = u128::from(bytes) * 1_000_000_000 / time.as_nanos().max(1);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

/// Connections at first, where one is not enough.
const START: usize = 4;

/// The time that is left must be so many times as long as what a connection costs.
const SHARE: u128 = 3;

/// No connection costs less: nothing is known of the rate before.
const COST_MIN: Duration = Duration::from_millis(25);

/// How long new connections have to come, and then to find their pace, at most.
const WARM_MAX: Duration = Duration::from_millis(500);

/// How long is counted, at least and at most.
const COUNT_MIN: Duration = Duration::from_millis(100);
const COUNT_MAX: Duration = Duration::from_millis(500);

/// So many reports of each connection tell its rate, however short the time.
const REPORTS: usize = 4;

/// What more connections must bring at least, in percent of the rate before.
const WORTH: u128 = 115;

/// From so many percent of its share on, a connection brought as much as those before it.
const EVEN: u128 = 75;

/// What a server sends before it hears that anything arrived.
const FIRST_WINDOW: u64 = 14_600;

#[cfg(test)]
mod tests;
