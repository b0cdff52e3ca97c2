//! Finds the connections that lag so far behind the others that another one had better take over.
//!
//! A connection that needs several times as long for a MiB as the others do, or that has brought a
//! fraction of what they would have, is slow; the connections of one place are compared with those
//! of the others, too, so that a place that crawls steadily gives its parts back. A slow one is
//! closed: what it received is written first and counts, the rest goes back to the queue, and a new
//! connection, to another address or place if there is one, takes over. Nothing is fetched twice.
//!
//! It is looked for at every beat, and not at every event: the look costs a sort.

use std::time::Duration;

use super::{
    Stage, Transfer,
    conn::{Job, Link, middle},
};
use crate::orders::{Conn, Note, OPEN_END};

impl Transfer {
    /// Looks for connections that lag, if it is time.
    pub(super) fn beat(&mut self) {
        if self.pulse.is_none_or(|at| at > self.now) {
            return;
        }
        self.pulse = None;
        for conn in self.laggards() {
            let Some(link) = self.links.get(&conn) else { continue };
            let (place, peer) = (link.place, link.peer);
            self.counts.replaced += 1;
            if let Some(place) = self.places.at_mut(place) {
                place.avoid = peer;
            }
            self.take_from(place);
            self.note(Note::Replaced);
            self.close(conn);
        }
    }

    /// The connections that have lagged too long.
    fn laggards(&self) -> Vec<Conn> {
        let most = 2 * self.edition.planned as u64 + (self.edition.work.done_bytes() >> 26);
        if self.stage != Stage::Moving || self.policy.retries == 0 || self.counts.replaced >= most {
            return Vec::new();
        }
        let spare = !self.edition.work.has_due(self.now) && self.links.values().any(Link::is_idle);
        let lag = if spare { LAG_AT_THE_END } else { LAG };
        let trip = self.links.values().filter_map(|link| link.pace.round_trip()).max();
        let trips = trip.unwrap_or_default().saturating_mul(4).saturating_add(LEAST);
        let crew = Crew::new(self);
        let mut laggards = Vec::new();
        for (conn, link, job) in self.links.parts() {
            let Some(typical) = crew.typical(link.place) else { continue };
            let due = patience(job, typical, lag, trips);
            // The others must have gone on meanwhile, or it is the path that stands still.
            let half = due.saturating_sub(due.saturating_sub(job.sent.max(job.strode)) / 2);
            if due <= self.now && crew.is_lively(link.place, job, half) {
                laggards.push(conn);
            }
        }
        laggards
    }

    /// Bytes per second of a running job, as far as it can be told.
    pub(super) fn rate_of(&self, conn: Conn, job: &Job) -> Option<u64> {
        let since = |time: Duration| time.saturating_sub(job.sent).as_nanos();
        let rate = |bytes: u64, nanos: u128| {
            u64::try_from(u128::from(bytes) * 1_000_000_000 / nanos.max(1)).unwrap_or(u64::MAX)
        };
        // Less than a stride has come since the last sign.
        let most = rate(job.brought().saturating_add(STRIDE), since(self.now));
        let seen = (job.brought() > 0).then(|| rate(job.brought(), since(job.moved)));
        let known = seen.or_else(|| self.links.get(&conn).and_then(|link| link.pace.rate()));
        Some(known.or_else(|| self.links.typical())?.min(most).max(1))
    }

    /// How long a job will still take.
    pub(super) fn time_left(&self, conn: Conn, job: &Job) -> Duration {
        match self.rate_of(conn, job) {
            Some(rate) if job.span.end != OPEN_END => nanos(job.owes(), rate),
            // Nothing is known: the longer the later.
            _ => Duration::from_nanos(job.owes()),
        }
    }
}

/// Until when a job may go without another sign of life.
fn patience(job: &Job, typical: u64, lag: u32, trips: Duration) -> Duration {
    let time = |bytes| nanos(bytes, typical);
    // Too long for the next stride, or too little for the time so far.
    let stride = STRIDE.min(job.owes().saturating_add(job.brought() % STRIDE));
    let stride = time(stride).saturating_mul(lag).saturating_add(trips);
    let due = job.strode.saturating_add(stride);
    if job.brought() == 0 {
        return due;
    }
    let on_average = time(job.brought())
        .saturating_mul(lag)
        .max(time(STRIDE / 2).max(ENOUGH_TO_TELL))
        .saturating_add(trips);
    due.min(job.sent.saturating_add(on_average))
}

/// What the connections are compared with, made once for all of them.
struct Crew {
    /// The rate in the middle of all.
    typical: Option<u64>,
    /// The same of every place that has the object: its number, the rate.
    places: Vec<(usize, Option<u64>)>,
    /// By place: how many wait for work, how many there are, and when the parts moved last.
    signs: Vec<Signs>,
}

#[derive(Default)]
struct Signs {
    place: usize,
    idle: usize,
    all: usize,
    moved: Vec<Duration>,
}

impl Crew {
    fn new(transfer: &Transfer) -> Self {
        let mut crew =
            Self { typical: transfer.links.typical(), places: Vec::new(), signs: Vec::new() };
        for (place, _) in transfer.places.live() {
            let of = || transfer.links.values().filter(|link| link.place == place);
            let good = transfer.edition.spot(place).is_some();
            let mut rates: Vec<u64> = of().filter_map(|link| link.pace.rate()).collect();
            crew.places.push((place, middle(&mut rates).filter(|_| good)));
            let parts = of().filter_map(Link::job).filter(|job| job.is_part());
            let mut moved: Vec<_> = parts.map(|job| job.moved).collect();
            moved.sort_unstable();
            crew.signs.push(Signs {
                place,
                idle: of().filter(|link| link.is_idle()).count(),
                all: of().filter(|link| link.is_idle() || link.is_busy()).count(),
                moved,
            });
        }
        crew
    }

    /// What a connection to a place is compared with: all of them if there are enough, or those of
    /// a better place.
    fn typical(&self, place: usize) -> Option<u64> {
        let others = self.places.iter().filter(|(other, _)| *other != place);
        others.filter_map(|(_, rate)| *rate).chain(self.typical).max()
    }

    /// Whether most of the others have moved since then, or one at another place.
    fn is_lively(&self, place: usize, job: &Job, since: Duration) -> bool {
        let (mut all, mut alive, mut elsewhere) = (0, 0, 0);
        for signs in &self.signs {
            let moved = signs.moved.len() - signs.moved.partition_point(|at| *at < since);
            all += signs.all;
            alive += signs.idle + moved;
            if signs.place != place {
                elsewhere += signs.idle + moved;
            }
        }
        // It is one of them itself.
        all -= all.min(1);
        alive -= usize::from(job.moved >= since).min(alive);
        elsewhere > 0 || all >= 2 && 2 * alive > all
    }
}

/// The time that `bytes` take.
fn nanos(bytes: u64, rate: u64) -> Duration {
    let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// By how much progress is measured; a worker tells of it at least as often.
pub(super) const STRIDE: u64 = 1 << 20;

/// How often it is looked for what lags.
pub(super) const BEAT: Duration = Duration::from_millis(50);

/// How many times as long as the others a connection may take for it.
const LAG: u32 = 8;

/// The same when nothing is left to lease and another connection has nothing to do: what the
/// laggard still owes comes sooner from there.
const LAG_AT_THE_END: u32 = 4;

/// No connection is too slow before this.
const LEAST: Duration = Duration::from_millis(200);

/// No average is believed before this, nor before the others bring half a stride.
const ENOUGH_TO_TELL: Duration = Duration::from_millis(500);
