//! The recorder: every request, every connection, what was sent and when.

use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{Condvar, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use super::request::Request;

/// What an origin has seen so far.
pub struct Log {
    started: Instant,
    state: Mutex<State>,
    changed: Condvar,
}

/// A request and how its answer went.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub request: Request,
    /// The status that was answered.
    pub status: u16,
    /// Bytes of the body that were given to the kernel.
    pub sent: u64,
    /// When the answer was over, in whatever way.
    pub finished: Option<Duration>,
}

#[derive(Default)]
struct State {
    exchanges: Vec<Exchange>,
    connections: usize,
    open: BTreeSet<usize>,
    peak_open: usize,
    in_flight: usize,
    peak_in_flight: usize,
    ranged: usize,
    last_close: Option<Duration>,
}

impl Log {
    pub fn new() -> Self {
        Self { started: Instant::now(), state: Mutex::default(), changed: Condvar::new() }
    }

    /// Since the origin started.
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Everything so far, in order of arrival.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.lock().exchanges.clone()
    }

    /// The requests so far, in order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.lock().exchanges.iter().map(|exchange| exchange.request.clone()).collect()
    }

    /// How many requests came.
    pub fn count(&self) -> usize {
        self.lock().exchanges.len()
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.lock().connections
    }

    /// The most connections that were open at once, as seen from this side.
    pub fn peak_connections(&self) -> usize {
        self.lock().peak_open
    }

    /// The most requests that were being answered at once.
    pub fn peak_in_flight(&self) -> usize {
        self.lock().peak_in_flight
    }

    /// Bytes of bodies given to the kernel, over all answers.
    pub fn sent(&self) -> u64 {
        self.lock().exchanges.iter().map(|exchange| exchange.sent).sum()
    }

    /// The ranges asked for, of an object of `len` bytes, in order of arrival.
    pub fn ranges(&self, len: u64) -> Vec<Range<u64>> {
        self.lock().exchanges.iter().filter_map(|exchange| exchange.request.range(len)).collect()
    }

    /// How many bytes of an object of `len` bytes were asked for more than once.
    pub fn overlap(&self, len: u64) -> u64 {
        let mut ranges = self.ranges(len);
        ranges.sort_by_key(|range| range.start);
        let (mut end, mut twice) = (0, 0);
        for range in ranges {
            twice += end.min(range.end).saturating_sub(range.start);
            end = end.max(range.end);
        }
        twice
    }

    /// Waits until `enough` holds; false when it does not within ten seconds.
    pub fn wait(&self, enough: impl Fn(&[Exchange]) -> bool) -> bool {
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut state = self.lock();
        while !enough(&state.exchanges) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .0;
        }
        true
    }

    /// Waits until every connection is closed by the other side; false after ten seconds.
    pub fn wait_closed(&self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if self.lock().open.is_empty() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    /// When the last connection so far went away.
    pub fn last_close(&self) -> Option<Duration> {
        self.lock().last_close
    }

    pub(super) fn opened(&self) -> (usize, usize) {
        let mut state = self.lock();
        let connection = state.connections;
        state.connections += 1;
        state.open.insert(connection);
        state.peak_open = state.peak_open.max(state.open.len());
        (connection, state.open.len())
    }

    pub(super) fn closed(&self, connection: usize) {
        let now = self.now();
        let mut state = self.lock();
        state.open.remove(&connection);
        state.last_close = Some(now);
    }

    /// Takes a request in and gives it its numbers.
    pub(super) fn begin(&self, mut request: Request) -> Request {
        let mut state = self.lock();
        request.number = state.exchanges.len();
        request.ranged = state.ranged;
        request.at = self.now();
        if request.field("range").is_some() {
            state.ranged += 1;
        }
        state.in_flight += 1;
        state.peak_in_flight = state.peak_in_flight.max(state.in_flight);
        state.exchanges.push(Exchange {
            request: request.clone(),
            status: 0,
            sent: 0,
            finished: None,
        });
        self.changed.notify_all();
        request
    }

    pub(super) fn answering(&self, number: usize, status: u16) {
        self.lock().exchanges[number].status = status;
        self.changed.notify_all();
    }

    pub(super) fn sending(&self, number: usize, bytes: u64) {
        self.lock().exchanges[number].sent += bytes;
        self.changed.notify_all();
    }

    pub(super) fn end(&self, number: usize) {
        let now = self.now();
        let mut state = self.lock();
        state.in_flight -= 1;
        state.exchanges[number].finished = Some(now);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
