//! What a transfer looks like from outside.

use std::{ops::Range, sync::Arc, time::Duration};

use url::Url;

use super::{Extent, Failure};
use crate::http::{
    field::{StatedDigest, Validators},
    response::Head,
};

/// What a transfer is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Activity {
    /// The first connection is being opened.
    Connecting,
    /// The first question is out.
    Probing,
    /// The part file is made ready.
    Allocating {
        /// The complete length, 0 if it is not known.
        size: u64,
    },
    /// Bytes flow.
    Downloading,
    /// Nothing runs until then.
    Waiting {
        /// Until when, on the clock of the transfer.
        until: Duration,
        /// What for.
        why: Failure,
    },
    /// All bytes are there; the store makes the name of them.
    Publishing,
    /// It has failed, or starts over: what runs still is awaited.
    Ending,
    /// It is over.
    Done,
}

/// How the bytes come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// It is not known yet.
    Unknown,
    /// Ranges.
    Ranges,
    /// One plain stream.
    Stream,
    /// They were there already: nothing is fetched.
    UpToDate,
}

/// A snapshot of a transfer, for progress: nothing in it is copied from what answers said.
#[derive(Clone, Debug)]
pub struct View {
    /// What it is doing.
    pub activity: Activity,
    /// An answer told what there is, the part file is ready for it, and bytes are fetched or made
    /// the file.
    pub discovered: bool,
    /// The complete length in bytes, if known.
    pub total: Option<u64>,
    /// Bytes in place, resumed ones included.
    pub done: u64,
    /// Bytes of an earlier run among them.
    pub resumed: u64,
    /// Connections that are open now.
    pub connections: usize,
    /// The most that were open at once.
    pub connections_max: usize,
    /// How many it wants.
    pub planned: usize,
    /// Requests sent, redirects and retries included.
    pub requests: u64,
    /// Attempts that failed and were made again.
    pub retries: u64,
    /// How the bytes come.
    pub route: Route,
}

/// What answers said of the object.
#[derive(Clone, Debug)]
pub struct Account {
    /// The URL after redirects.
    pub final_url: Url,
    /// How long the object is and what of it is wanted, once an answer told.
    pub extent: Option<Extent>,
    /// The version that is downloaded.
    pub validators: Validators,
    /// The head of the first answer that was accepted.
    pub head: Option<Arc<Head>>,
    /// The digest that the accepted answer states of the whole object.
    pub stated: Option<StatedDigest>,
    /// `Content-Disposition` of the accepted answer, raw.
    pub disposition: Option<Vec<u8>>,
    /// The coding of the content, if it has one: the bytes are saved as they come.
    pub content_encoding: Option<String>,
    /// Why it is one stream where ranges were wanted.
    pub fallback: Option<&'static str>,
    /// The end of the object is known by a length or a last chunk, not by a close.
    pub verified_length: bool,
}

/// Why a transfer failed: the first failure that nothing could mend, not those it caused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What went wrong.
    pub failure: Failure,
    /// The range that was asked for, if there was one.
    pub range: Option<Range<u64>>,
    /// How many attempts in a row failed there, the last included; 0 when no attempt did.
    pub attempts: u32,
    /// Which URL was asked.
    pub url: Url,
}
