//! One request as the origin saw it.

use std::{ops::Range, time::Duration};

use uget::RangeSpec;

/// A request with its full head and where it stands in the order of arrival.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its place among all requests of this origin, from 0.
    pub number: usize,
    /// Its place among the requests that carry a Range field, from 0; that of the next one for a
    /// request without.
    pub ranged: usize,
    /// Which connection it came on, from 0.
    pub connection: usize,
    /// Its place on that connection, from 0.
    pub on_connection: usize,
    /// When its head was complete, since the origin started.
    pub at: Duration,
    pub method: String,
    pub target: String,
    pub fields: Vec<(String, String)>,
    /// The head as it came, blank line included.
    pub raw: Vec<u8>,
}

impl Request {
    /// Splits a head into its parts, leniently: judging it is the tests' business.
    pub fn parse(raw: &[u8]) -> Self {
        let text = String::from_utf8_lossy(raw);
        let mut lines = text.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let method = words.next().unwrap_or_default().to_owned();
        let target = words.next().unwrap_or_default().to_owned();
        let fields = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Self {
            number: 0,
            ranged: 0,
            connection: 0,
            on_connection: 0,
            at: Duration::ZERO,
            method,
            target,
            fields,
            raw: raw.to_vec(),
        }
    }

    /// The first field of this lower-case name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The half-open range of a `Range` field of one range, of an object of `len` bytes: a last
    /// position is not moved to the end. Lists and what is none are none.
    pub fn range(&self, len: u64) -> Option<Range<u64>> {
        match RangeSpec::parse(self.field("range")?.as_bytes())? {
            RangeSpec::Between { first, last } => Some(first..last.saturating_add(1)),
            RangeSpec::From(first) => Some(first..len),
            RangeSpec::Suffix(length) => Some(len.saturating_sub(length)..len),
        }
    }
}
