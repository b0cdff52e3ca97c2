//! What the user wants of a transfer, as values.

use std::time::Duration;

use url::Url;

use crate::http::{
    field::{HttpDate, RangeSpec},
    request::Field,
};

/// How many connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connections {
    /// As many as make the whole faster, at most this many.
    Auto {
        /// The most.
        max: usize,
    },
    /// Exactly so many, as long as each gets at least [`Policy::min_split`] bytes. One means one
    /// plain GET.
    Exactly(usize),
}

/// What must tie the ranges of one download together (design rule 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pin {
    /// A strong validator or a digest, else one plain stream.
    #[default]
    Auto,
    /// A strong validator or a digest, else an error.
    Require,
    /// Nothing: parallel regardless, span and total checks alone.
    None,
}

/// The knobs of a transfer. Sizes are bytes.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How many connections.
    pub connections: Connections,
    /// A fixed part size; `None` lets it follow rate and round trip.
    pub part_size: Option<u64>,
    /// The first part, which is the probe.
    pub first_part: u64,
    /// The smallest span that is worth a connection of its own.
    pub min_split: u64,
    /// For a stream: how far beyond what its consumer has taken there is room for bytes.
    pub window: Option<u64>,
    /// The bytes of the object that are wanted; all of them by default.
    pub slice: Option<RangeSpec>,
    /// The content may be coded on its way: one stream, without ranges, which cannot be resumed.
    pub compressed: bool,
    /// What ties ranges together.
    pub pin: Pin,
    /// A digest will be checked, so ranges need no validator.
    pub digest: bool,
    /// Attempts in a row that may fail without a byte of progress.
    pub retries: u32,
    /// The delay before the first retry; it doubles, with jitter, up to `retry_delay_max`.
    pub retry_delay: Duration,
    /// The longest delay.
    pub retry_delay_max: Duration,
    /// The longest `Retry-After` that is waited for.
    pub retry_after_max: Duration,
    /// No retry starts later than this after the start.
    pub retry_max_time: Option<Duration>,
    /// Retry every status and failure that is not our own (`--retry-all-errors`).
    pub retry_all: bool,
    /// Start over once when the resource changed.
    pub restart_on_change: bool,
    /// The whole transfer may take so long.
    pub max_time: Option<Duration>,
    /// Refuse anything larger.
    pub max_size: Option<u64>,
    /// Hops of a redirect chain.
    pub max_redirects: u32,
    /// https may lead to http.
    pub allow_downgrade: bool,
    /// Fields that go to every origin (User-Agent, Accept).
    pub fields: Vec<Field>,
    /// Fields that go to the first origin only: whatever the user gave with `--header`,
    /// credentials, cookies.
    pub private_fields: Vec<Field>,
    /// Other URLs of the same object.
    pub mirrors: Vec<Url>,
    /// Fields that go to the mirror of the same number only: the credentials in its URL.
    pub mirror_fields: Vec<Vec<Field>>,
    /// What our own clock says at time zero, for a `Retry-After` in an answer without a `Date`.
    pub clock: Option<HttpDate>,
    /// Seeds the jitter of delays.
    pub seed: u64,
    /// A failed transfer keeps its part when a strong validator or a digest can guard a resume.
    pub keep_part: bool,
    /// What an earlier run published under the target's name: nothing is fetched if the server
    /// still has that version.
    pub finished: Option<Finished>,
}

/// A published file of which it is known what it was when it was published, and that it was not
/// changed since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Its length in bytes.
    pub size: u64,
    /// The strong validator, as [`Validators::pin`](crate::http::field::Validators::pin) has it.
    pub validator: String,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            connections: Connections::Auto { max: 16 },
            part_size: None,
            first_part: 1 << 20,
            min_split: 1 << 20,
            window: None,
            slice: None,
            compressed: false,
            pin: Pin::Auto,
            digest: false,
            retries: 5,
            retry_delay: Duration::from_millis(500),
            retry_delay_max: Duration::from_secs(60),
            retry_after_max: Duration::from_secs(300),
            retry_max_time: None,
            retry_all: false,
            restart_on_change: false,
            max_time: None,
            max_size: None,
            max_redirects: 50,
            allow_downgrade: false,
            fields: Vec::new(),
            private_fields: Vec::new(),
            mirrors: Vec::new(),
            mirror_fields: Vec::new(),
            clock: None,
            seed: 0,
            keep_part: true,
            finished: None,
        }
    }
}
