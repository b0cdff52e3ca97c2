//! A connection as the transfer knows it, the request that runs on it, and all of them together.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    ops::{Deref, DerefMut, Range},
    time::Duration,
};

use super::{pace::Pace, work::Blame};
use crate::http::redirect::Origin;
use crate::orders::{Attempt, Conn};

/// The connections, and their numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Links {
    all: BTreeMap<Conn, Link>,
    /// The first numbers are a transfer's own, whatever other transfers there are.
    first: u64,
    next_conn: u64,
    next_attempt: u64,
    /// The rate of the connection in the middle, until another rate is measured.
    typical: Option<u64>,
    measured: bool,
}

/// One connection.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// Where it leads.
    pub(super) origin: Option<Origin>,
    /// Which place it leads to.
    pub(super) place: usize,
    /// What it is doing.
    pub(super) state: State,
    /// The address at the other end.
    pub(super) peer: Option<IpAddr>,
    /// It has brought an answer: the server takes it.
    pub(super) proven: bool,
    /// When it was asked for, or sent its last request.
    pub(super) since: Duration,
    /// How long it took to open.
    pub(super) took: Duration,
    /// How fast it is.
    pub(super) pace: Pace,
}

/// What a connection is doing.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// Being opened.
    Opening,
    /// Open, and nothing is asked.
    Idle,
    /// A request runs.
    Busy(Job),
    /// It was told to close while a request ran; the end of that is awaited.
    Closing(Job),
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Job {
    /// Its number.
    pub(super) attempt: Attempt,
    /// What it is for, and how far it got.
    pub(super) role: Role,
    /// The bytes it was leased, or will be; its end is `OPEN_END` when no length is known.
    pub(super) span: Range<u64>,
    /// The next byte to be written: everything of the span before it is in the file.
    pub(super) at: u64,
    /// The span was taken from the free bytes, and what is not written goes back there.
    pub(super) leased: bool,
    /// Which place it was sent to.
    pub(super) place: usize,
    /// What failed at the start of the span before.
    pub(super) blame: Blame,
    /// When it was sent.
    pub(super) sent: Duration,
    /// How many others were served there then.
    pub(super) beside: usize,
    /// When bytes were written last, or it was sent.
    pub(super) moved: Duration,
    /// When it had last gone another stride ([`super::tail`]), or began.
    pub(super) strode: Duration,
    /// Whether its span can be, or is being, shortened.
    pub(super) shrink: Shrink,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The question: its head is awaited.
    Ask,
    /// Another place is asked whether it has the object: its head is awaited.
    Scout,
    /// Its head is believed; it waits for the part file.
    Wait,
    /// Its body is of no use.
    Skip,
    /// Bytes of a range of a place that has to show again what ties it to the others: its head is
    /// awaited.
    Check,
    /// Bytes of a range.
    Part,
    /// Everything, in one stream.
    Stream,
}

/// The state of a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shrink {
    /// None is wanted.
    No,
    /// Asked for.
    Pending,
    /// It was tried, and nothing was left to take.
    Refused,
}

impl Deref for Links {
    type Target = BTreeMap<Conn, Link>;

    fn deref(&self) -> &Self::Target {
        &self.all
    }
}

impl DerefMut for Links {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.all
    }
}

impl Links {
    /// Takes in a connection that is being opened.
    pub(super) fn add(&mut self, link: Link) -> Conn {
        let conn = Conn(self.next_conn);
        self.next_conn += 1;
        self.all.insert(conn, link);
        conn
    }

    /// Whether no connection was ever opened.
    pub(super) fn is_untouched(&self) -> bool {
        self.next_conn == self.first
    }

    /// Numbers begin here.
    pub(super) fn number_from(&mut self, first: u64) {
        self.first = first;
        self.next_conn = first;
        self.next_attempt = first;
    }

    /// The number of the next request.
    pub(super) fn next_attempt(&self) -> u64 {
        self.next_attempt
    }

    /// A request is sent.
    pub(super) fn sent(&mut self, attempt: Attempt) {
        self.next_attempt = self.next_attempt.max(attempt.0 + 1);
    }

    /// The connections that a test holds for.
    pub(super) fn which(&self, test: impl Fn(&Link) -> bool) -> Vec<Conn> {
        self.all.iter().filter(|(_, link)| test(link)).map(|(conn, _)| *conn).collect()
    }

    pub(super) fn count(&self, test: impl Fn(&Link) -> bool) -> usize {
        self.all.values().filter(|link| test(link)).count()
    }

    /// Open ones.
    pub(super) fn open(&self) -> usize {
        self.count(|link| link.is_idle() || link.is_busy())
    }

    /// Those that are not on their way out.
    pub(super) fn alive(&self) -> usize {
        self.count(|link| !link.is_closing())
    }

    /// Those of a place that are not on their way out.
    pub(super) fn at(&self, place: usize) -> usize {
        self.count(|link| link.place == place && !link.is_closing())
    }

    pub(super) fn busy(&self) -> usize {
        self.count(Link::is_busy)
    }

    pub(super) fn any_opening(&self) -> bool {
        self.all.values().any(|link| matches!(link.state, State::Opening))
    }

    /// Nothing runs, nor is the end of anything awaited.
    pub(super) fn is_quiet(&self) -> bool {
        !self.all.values().any(|link| link.is_busy() || link.is_closing())
    }

    /// Those of a place that have brought an answer. One that has nothing to do is one, too: a
    /// server may count connections and not requests.
    pub(super) fn proven(&self, place: usize) -> usize {
        self.count(|link| link.place == place && link.proven && !link.is_closing())
    }

    /// Whether a request in `role` is under way.
    pub(super) fn has_role(&self, role: Role) -> bool {
        self.all.values().filter_map(Link::job).any(|job| job.role == role)
    }

    /// The requests that bring bytes of ranges.
    pub(super) fn parts(&self) -> impl Iterator<Item = (Conn, &Link, &Job)> {
        let jobs = self.all.iter().filter_map(|(conn, link)| Some((*conn, link, link.job()?)));
        jobs.filter(|(_, _, job)| job.is_part())
    }

    pub(super) fn attempt_mut(&mut self, conn: Conn, attempt: Attempt) -> Option<&mut Job> {
        self.all.get_mut(&conn)?.attempt_mut(attempt)
    }

    /// The rate of some connection was measured anew.
    pub(super) fn measured(&mut self) {
        self.measured = true;
    }

    /// Looks for the rate in the middle again, if any changed. It outlives the connections.
    pub(super) fn refresh(&mut self) {
        if std::mem::take(&mut self.measured) {
            let mut rates: Vec<u64> = self.all.values().filter_map(|l| l.pace.rate()).collect();
            if rates.len() >= 3 {
                self.typical = middle(&mut rates);
            }
        }
    }

    /// The rate of the connection in the middle, if at least three were measured.
    pub(super) fn typical(&self) -> Option<u64> {
        self.typical
    }
}

/// The one in the middle.
pub(super) fn middle(rates: &mut [u64]) -> Option<u64> {
    let at = rates.len() / 2;
    (at < rates.len()).then(|| *rates.select_nth_unstable(at).1)
}

impl Link {
    /// A connection that is being opened.
    pub(super) fn opening(origin: Option<Origin>, place: usize, now: Duration) -> Self {
        Self {
            origin,
            place,
            state: State::Opening,
            peer: None,
            proven: false,
            since: now,
            took: Duration::ZERO,
            pace: Pace::default(),
        }
    }

    /// The request that runs on it and is still wanted.
    pub(super) fn job(&self) -> Option<&Job> {
        match &self.state {
            State::Busy(job) => Some(job),
            _ => None,
        }
    }

    /// The request `attempt`, wanted or not.
    pub(super) fn attempt_mut(&mut self, attempt: Attempt) -> Option<&mut Job> {
        match &mut self.state {
            State::Busy(job) | State::Closing(job) if job.attempt == attempt => Some(job),
            _ => None,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    pub(super) fn is_busy(&self) -> bool {
        matches!(self.state, State::Busy(_))
    }

    pub(super) fn is_closing(&self) -> bool {
        matches!(self.state, State::Closing(_))
    }
}

impl Job {
    /// Bytes that it brought.
    pub(super) fn brought(&self) -> u64 {
        self.at - self.span.start
    }

    /// Bytes that it still owes.
    pub(super) fn owes(&self) -> u64 {
        self.span.end.saturating_sub(self.at)
    }

    /// Whether no byte of its body is wanted yet.
    pub(super) fn is_awaiting(&self) -> bool {
        matches!(self.role, Role::Ask | Role::Scout | Role::Check | Role::Wait)
    }

    /// Whether it brings bytes of a range.
    pub(super) fn is_part(&self) -> bool {
        self.role == Role::Part
    }
}
