//! What a finished download reports.

use std::{ops::Range, path::PathBuf, time::Duration};

use crate::http::headers::Headers;

/// How the bytes came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Many ranges.
    Ranges,
    /// One plain stream.
    Stream,
    /// Nothing was fetched: it was there already.
    UpToDate,
}

impl Strategy {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ranges => "ranges",
            Self::Stream => "stream",
            Self::UpToDate => "up-to-date",
        }
    }
}

/// A slice of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Which bytes, half-open.
    pub range: Range<u64>,
    /// The complete length of the object.
    pub complete_length: u64,
}

/// A digest of what was downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReportedDigest {
    /// `sha256` and so on.
    pub algorithm: &'static str,
    /// Lower-case hex.
    pub value: String,
    /// It was given, by the user or by the server (`Repr-Digest`), and matched.
    pub verified: bool,
}

impl ReportedDigest {
    /// A digest by its algorithm's name and its hex.
    #[must_use]
    pub fn new(algorithm: &'static str, value: impl Into<String>, verified: bool) -> Self {
        Self { algorithm, value: value.into(), verified }
    }
}

/// The facts of one download; what is unknown is absent.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The URL asked for, redacted.
    pub url: String,
    /// The URL after redirects, redacted.
    pub final_url: String,
    /// The published file; absent for standard output.
    pub path: Option<PathBuf>,
    /// The complete length in bytes; of a slice, its own.
    pub size: u64,
    /// Which bytes of the object these are, if they are not all; absent as well where no answer
    /// told.
    pub slice: Option<Slice>,
    /// Bytes fetched in this run.
    pub transferred: u64,
    /// Bytes of earlier runs that were used.
    pub resumed: u64,
    /// What the answer that was accepted first says of it; absent where nothing was asked.
    pub headers: Option<Headers>,
    /// `ETag`, as received.
    pub etag: Option<String>,
    /// `Last-Modified`, as received.
    pub last_modified: Option<String>,
    /// `Content-Encoding`: the file holds the content so coded.
    pub content_encoding: Option<String>,
    /// Members of an archive that was extracted.
    pub members: Option<u64>,
    /// Bytes that were unpacked, as they were written; absent where nothing was.
    pub extracted: Option<u64>,
    /// The digests that were computed; those that were checked come first.
    pub digests: Vec<ReportedDigest>,
    /// The end of the object was known by a length or a last chunk (not by a close).
    pub verified_length: bool,
    /// How the bytes came.
    pub strategy: Strategy,
    /// Why one stream was used where many were wanted.
    pub fallback_reason: Option<String>,
    /// `uring` or `epoll`; `none` where nothing had to be asked and none was chosen.
    pub engine: &'static str,
    /// The most connections that were open at once.
    pub connections: usize,
    /// Requests sent, redirects and retries included.
    pub requests: u64,
    /// Attempts that were made again.
    pub retries: u64,
    /// From the start to the published name.
    pub elapsed: Duration,
    /// From the first body byte to the last.
    pub transfer_elapsed: Duration,
}

impl Report {
    /// A digest was given, by the user or by the server (`Repr-Digest`), and it matched.
    #[must_use]
    pub fn verified(&self) -> bool {
        self.digests.iter().any(|digest| digest.verified)
    }

    /// A report on `url` (redacted already) that says nothing yet: zero everywhere, and one stream.
    #[must_use]
    pub fn new(url: impl Into<String>, engine: &'static str) -> Self {
        let url = url.into();
        Self {
            final_url: url.clone(),
            url,
            path: None,
            size: 0,
            slice: None,
            transferred: 0,
            resumed: 0,
            headers: None,
            etag: None,
            last_modified: None,
            content_encoding: None,
            members: None,
            extracted: None,
            digests: Vec::new(),
            verified_length: true,
            strategy: Strategy::Stream,
            fallback_reason: None,
            engine,
            connections: 0,
            requests: 0,
            retries: 0,
            elapsed: Duration::ZERO,
            transfer_elapsed: Duration::ZERO,
        }
    }
}
