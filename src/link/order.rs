//! What a connection is told, and the sizes and times that it keeps to.

use std::{ops::Range, time::Duration};

use crate::orders::{Accept, Attempt};

/// What a worker is told about one connection; `S` is where its engine writes bodies to.
#[derive(Debug)]
pub enum Order<S> {
    /// Send a request.
    Request(Box<Job<S>>),
    /// The head of this attempt is believed.
    Receive {
        /// Which attempt.
        attempt: Attempt,
        /// Where the body belongs.
        span: Range<u64>,
        /// Where it is written to.
        sink: S,
    },
    /// The body of this attempt is of no use.
    Skip {
        /// Which attempt.
        attempt: Attempt,
    },
}

/// One request for one span.
#[derive(Debug)]
pub struct Job<S> {
    /// Its number.
    pub attempt: Attempt,
    /// The request as it is sent.
    pub request: Vec<u8>,
    /// Which answer is believed.
    pub accept: Accept,
    /// Where to write to; there once the part file is.
    pub sink: Option<S>,
}

/// Sizes and times that every connection keeps to.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// No progress while reading.
    pub stall: Duration,
    /// How much is written at a time, in bytes.
    pub write: usize,
    /// What is written is summed up, for a journal that will vouch for it.
    pub sums: bool,
}

impl Limits {
    /// The length of a connection's buffer: what is written at a time, and besides it room for a
    /// head, for what TLS adds, and for a record that is not whole yet.
    #[must_use]
    pub fn buffer(&self) -> usize {
        self.write + SLACK
    }
}

/// See [`Limits::buffer`]; at least a head of the largest size.
pub(crate) const SLACK: usize = 64 * 1024;
