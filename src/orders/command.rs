//! The words between a transfer and the shell around it: what must be done, what happened.

use std::{net::IpAddr, ops::Range, time::Duration};

use url::Url;

use super::{Expect, Extent, Failure, Finished};
use crate::{
    http::{field::Validators, request::Request, response::Head},
    journal::Held,
    range::RangeSet,
};

/// A connection's number; never used twice in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Conn(pub u64);

/// The number of one request for one span; never used twice in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt(pub u64);

/// What the shell must do. Each is carried out in the order polled.
#[derive(Clone, Debug)]
pub enum Command {
    /// Open a connection to the origin of `url`. Answered by [`ConnEvent::Opened`] or
    /// [`ConnEvent::Failed`].
    Open {
        /// Its number from now on.
        conn: Conn,
        /// Whose origin to connect to.
        url: Url,
        /// An address that stalled or failed: try the others first.
        avoid: Option<IpAddr>,
    },
    /// Send a request on an open, idle connection. Answered by [`ConnEvent::Head`] when `accept`
    /// is [`Accept::Ask`], and always in the end by exactly one [`ConnEvent::Ended`].
    Request {
        /// On which connection.
        conn: Conn,
        /// The attempt's number from now on.
        attempt: Attempt,
        /// What to send.
        request: Request,
        /// Which answer is believed.
        accept: Accept,
    },
    /// The answer to a [`ConnEvent::Head`]: its body is believed and lies at `span` in the object
    /// (`OPEN_END` when its length is not known). The worker starts to write.
    Receive {
        /// On which connection.
        conn: Conn,
        /// Of which attempt.
        attempt: Attempt,
        /// Where the body belongs.
        span: Range<u64>,
    },
    /// The answer to a [`ConnEvent::Head`]: its body is of no use. The worker keeps the
    /// connection if the rest of the body costs nothing to pass over, else closes it; it ends the
    /// attempt with `Ended { result: Ok(()), .. }`.
    Skip {
        /// On which connection.
        conn: Conn,
        /// Of which attempt.
        attempt: Attempt,
    },
    /// Lower the end of a running attempt's span to `end`, or as near to it as what was already
    /// claimed allows. Carried out at once; answered by [`ConnEvent::Shrunk`] before any later
    /// event of that attempt.
    Shrink {
        /// On which connection.
        conn: Conn,
        /// Of which attempt.
        attempt: Attempt,
        /// The wanted end.
        end: u64,
    },
    /// Close the connection now, whatever it is doing. A running attempt still ends with one
    /// [`ConnEvent::Ended`] (bytes already received are written first), then nothing follows.
    Close {
        /// Which connection.
        conn: Conn,
    },
    /// Make the part file ready: create or reopen it, and preallocate what is wanted if that is
    /// known. Answered by [`StoreEvent::Prepared`], or once by [`StoreEvent::Found`]. Nothing is
    /// received before the answer. A second one starts over with an empty part file (a restart).
    Prepare {
        /// The complete length, and what of it is wanted.
        extent: Option<Extent>,
        /// The version that the journal will name.
        validators: Validators,
        /// Resume on what the journal held instead of starting empty.
        resume: bool,
    },
    /// Every byte is written: cut the part file to `total`, check the digest, sync if asked,
    /// publish. Answered by [`StoreEvent::Published`].
    Publish {
        /// The complete length.
        total: u64,
    },
    /// What is being published is not wanted any more: the consumer of a stream takes nothing more.
    /// Not answered, but by the [`StoreEvent::Published`] that is due.
    Withhold,
    /// The digest did not match, and these bytes are fetched again from a better place: they are
    /// not there after all, and the part file takes bytes once more. The answer to a
    /// [`StoreEvent::Published`] that failed; answered by [`StoreEvent::Prepared`].
    Refetch {
        /// Which bytes.
        lost: RangeSet,
    },
    /// The finished file that an earlier run published is what there is: leave it as it is, and
    /// take away what was made for a download. Answered by [`StoreEvent::Published`].
    Keep,
    /// The transfer failed: close the part file and keep it with its journal, or remove both.
    /// Not answered.
    Abandon {
        /// Keep for a later resume.
        keep: bool,
    },
    /// Something worth a line for people (`-v`, or a warning). Not answered.
    Note(Note),
}

/// Which answer to a request is believed without asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accept {
    /// None: report the head and wait for [`Command::Receive`] or [`Command::Skip`].
    Ask,
    /// A 206 for exactly this.
    Part(Expect),
}

/// What a connection reports.
#[derive(Clone, Debug)]
pub enum ConnEvent {
    /// It is open (TLS included) and idle.
    Opened {
        /// The address at the other end, unless a proxy or a Unix socket is between.
        peer: Option<IpAddr>,
        /// How long it took.
        took: Duration,
    },
    /// It could not be opened, or an idle connection was closed by the other side or by a
    /// surprise on it. The number is dead.
    Failed {
        /// Why.
        failure: Failure,
    },
    /// The final head of an attempt whose `accept` was [`Accept::Ask`]; the worker waits. Or of one
    /// that it has believed itself, where that asks for a wait.
    Head {
        /// Of which attempt.
        attempt: Attempt,
        /// The head.
        head: Head,
    },
    /// The end of an attempt's span was lowered.
    Shrunk {
        /// Of which attempt.
        attempt: Attempt,
        /// Where it ends now: what was claimed cannot be taken back.
        end: u64,
    },
    /// Bytes are in the file: contiguous to the ones before in the same attempt, at least one
    /// event per MiB. All bytes of an attempt are reported before it ends.
    Wrote {
        /// Of which attempt.
        attempt: Attempt,
        /// Which bytes.
        range: Range<u64>,
        /// Their CRC-32, of what was received and not of what the file has now; 0 where there is no
        /// journal to vouch for it.
        crc: u32,
    },
    /// The attempt is over.
    Ended(Ended),
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Which attempt.
    pub attempt: Attempt,
    /// `Ok`: the answer was believed and every byte of the span (as shrunk, as shortened by a
    /// legal shorter 206, or up to the body's own end for `OPEN_END`) is in the file.
    pub result: Result<(), Failure>,
    /// The connection is open, idle and clean; otherwise its number is dead.
    pub reusable: bool,
    /// From the request's last byte to the answer's first, if there was one.
    pub first_byte: Option<Duration>,
    /// From the request to the end, waiting for our own disk or decision not included.
    pub busy: Duration,
}

/// What the store reports.
#[derive(Clone, Debug)]
pub enum StoreEvent {
    /// The part file is ready.
    Prepared(Result<(), Failure>),
    /// Instead of [`Self::Prepared`], once, when the answer has told the target's name: what an
    /// earlier run left under it.
    Found(Found),
    /// The consumer of a stream has taken everything below. Not an answer.
    Consumed {
        /// Where it goes on.
        to: u64,
    },
    /// The name is published, or it is not.
    Published(Result<(), Failure>),
}

/// What an earlier run left under a name that was not known before.
#[derive(Clone, Debug)]
pub enum Found {
    /// Some of an object.
    Part(Held),
    /// A whole one.
    File(Finished),
}

/// Everything that can happen to a transfer.
#[derive(Clone, Debug)]
pub enum Event {
    /// On one of its connections.
    Conn(Conn, ConnEvent),
    /// At its store.
    Store(StoreEvent),
    /// It is to end: a signal, or a failure outside of it. The failure is what will be
    /// reported unless there is one already.
    Stop(Failure),
}

/// Something worth telling people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// One stream instead of many, and why.
    Fallback(&'static str),
    /// A redirect was followed.
    Redirected(Url),
    /// An attempt failed and will be made again.
    Retrying {
        /// What happened.
        failure: Failure,
        /// In how long.
        delay: Duration,
        /// How many attempts in a row made no progress, this one included.
        failures: u32,
    },
    /// The server takes fewer connections than were wanted.
    FewerConnections(usize),
    /// Bytes of an earlier run are used.
    Resumed {
        /// How many.
        bytes: u64,
    },
    /// What was on disk is of no use: a fresh start, and why.
    FreshStart(String),
    /// The end of the body could not be verified by a length.
    Unverified,
    /// The content is coded so, and is saved as it comes.
    Coded(String),
    /// This place for the object is not asked any more.
    MirrorDropped {
        /// The URL that the user gave for it.
        url: Url,
        /// Why, unless it is that it has another object.
        failure: Option<Failure>,
    },
    /// A connection that lagged far behind the others was closed; another takes over its rest.
    Replaced,
}
