//! A connection as the transfer knows it, and the request that runs on it.

use std::{net::IpAddr, ops::Range, time::Duration};

use super::{pace::Pace, work::Blame};
use crate::http::redirect::Origin;
use crate::orders::Attempt;

/// One connection.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// Where it leads.
    pub(super) origin: Option<Origin>,
    /// Which mirror it leads to; `None` is the first place.
    pub(super) mirror: Option<usize>,
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
    /// Which mirror it was sent to.
    pub(super) mirror: Option<usize>,
    /// What failed at the start of the span before.
    pub(super) blame: Blame,
    /// When it was sent.
    pub(super) sent: Duration,
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
    /// A mirror is asked whether it has the object: its head is awaited.
    Scout,
    /// Its head is believed; it waits for the part file.
    Wait,
    /// Its body is of no use.
    Skip,
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

impl Link {
    /// A connection that is being opened.
    pub(super) fn opening(origin: Option<Origin>, now: Duration) -> Self {
        Self {
            origin,
            mirror: None,
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

    /// Whether it brings bytes of a range.
    pub(super) fn is_part(&self) -> bool {
        self.role == Role::Part
    }
}
