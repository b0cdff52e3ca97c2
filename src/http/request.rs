//! Requests: one GET, its range, its precondition, and the fields that the user asked for.

use std::{borrow::Cow, ops::Range};

use url::Url;

use super::{Error, escape, is_token};

/// How the request target is written (RFC 9112 section 3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetForm {
    /// `/path?query`: to an origin, or through a tunnel.
    #[default]
    Origin,
    /// `http://host/path?query`: to a proxy.
    Absolute,
}

/// The bytes that are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The whole resource, no Range field.
    Whole,
    /// `bytes=S-E`; never empty.
    Part(Range<u64>),
    /// `bytes=S-`: everything from there.
    From(u64),
    /// `bytes=-N`: the last so many bytes.
    Last(u64),
}

/// A field of the request; the value may be a secret and is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Field {
    name: String,
    value: Vec<u8>,
}

impl Field {
    /// A field, the white space around its value taken off.
    ///
    /// # Errors
    /// [`Error::BadField`] when the name is not a token or the value holds CR, LF, NUL or another
    /// control character but TAB.
    pub fn new(name: &str, value: &[u8]) -> Result<Self, Error> {
        let value = value.trim_ascii();
        if name.is_empty() || !name.bytes().all(is_token) || !value.iter().copied().all(is_text) {
            return Err(Error::BadField(escape(name.as_bytes(), NAME_SHOWN)));
        }
        Ok(Self { name: name.to_owned(), value: value.to_vec() })
    }

    /// The field's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The field's value, secrets included.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        &self.value
    }
}

impl std::fmt::Debug for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: [redacted]", self.name)
    }
}

/// A GET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Where it goes; userinfo and fragment are never written.
    pub url: Url,
    /// How the target is written.
    pub form: TargetForm,
    /// Which bytes.
    pub ask: Ask,
    /// The value of `If-Range`, with a range only.
    pub if_range: Option<String>,
    /// The value of `If-None-Match`.
    pub if_none_match: Option<String>,
    /// The value of `If-Modified-Since`.
    pub if_modified_since: Option<String>,
    /// The content may be coded: `gzip`, `br` or `zstd`.
    pub compressed: bool,
    /// Further fields in order. One of these replaces the default field of the same name
    /// (`User-Agent`, `Accept`, `Host`; of several `Host`s the first counts). Those that the range
    /// client owns are left out: `Range`, `If-Range`, `Accept-Encoding` (coded ranges cannot be
    /// joined), `Connection`, `Content-Length`, `Transfer-Encoding` and what else would change
    /// where messages end or who reads them.
    pub fields: Vec<Field>,
}

impl Request {
    /// A plain GET of `url`.
    #[must_use]
    pub fn get(url: Url) -> Self {
        Self {
            url,
            form: TargetForm::Origin,
            ask: Ask::Whole,
            if_range: None,
            if_none_match: None,
            if_modified_since: None,
            compressed: false,
            fields: Vec::new(),
        }
    }

    /// The octets to send: `Host`, `User-Agent: uget/VERSION`, `Accept: */*`, `Accept-Encoding`
    /// (`identity` unless it may be coded), range and preconditions, then [`Self::fields`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        out.extend_from_slice(b"GET ");
        self.write_target(&mut out);
        out.extend_from_slice(b" HTTP/1.1\r\n");
        match self.chosen("Host").next() {
            Some(host) => write_field(&mut out, "Host", &host.value),
            None => write_field(&mut out, "Host", authority(&self.url).as_bytes()),
        }
        for (name, value) in [("User-Agent", USER_AGENT), ("Accept", "*/*")] {
            if self.chosen(name).next().is_none() {
                write_field(&mut out, name, value.as_bytes());
            }
        }
        let codings: &[u8] = if self.compressed { b"gzip, br, zstd" } else { b"identity" };
        write_field(&mut out, "Accept-Encoding", codings);
        for (name, value) in self.conditions() {
            write_field(&mut out, name, value.as_bytes());
        }
        for field in self.fields.iter().filter(|field| !self.owns(&field.name)) {
            write_field(&mut out, &field.name, &field.value);
        }
        out.extend_from_slice(b"\r\n");
        out
    }

    fn write_target(&self, out: &mut Vec<u8>) {
        if self.form == TargetForm::Absolute {
            out.extend_from_slice(self.url.scheme().as_bytes());
            out.extend_from_slice(b"://");
            out.extend_from_slice(authority(&self.url).as_bytes());
        }
        out.extend_from_slice(self.url.path().as_bytes());
        if let Some(query) = self.url.query() {
            out.push(b'?');
            out.extend_from_slice(query.as_bytes());
        }
    }

    /// The range and the preconditions that are set.
    fn conditions(&self) -> impl Iterator<Item = (&'static str, Cow<'_, str>)> {
        let range = self.ask.field_value();
        let if_range = self.if_range.as_deref().filter(|_| range.is_some());
        [
            ("Range", range.map(Cow::Owned)),
            ("If-Range", if_range.map(Cow::Borrowed)),
            ("If-None-Match", self.if_none_match.as_deref().map(Cow::Borrowed)),
            ("If-Modified-Since", self.if_modified_since.as_deref().map(Cow::Borrowed)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }

    /// The user's fields of this name.
    fn chosen(&self, name: &str) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name))
    }

    /// Whether a user's field of this name is not written after the others: this client alone
    /// decides about it, or it was written already.
    fn owns(&self, name: &str) -> bool {
        let is = |owned: &str| owned.eq_ignore_ascii_case(name);
        OWNED.iter().copied().any(is)
            || (self.if_none_match.is_some() && is("If-None-Match"))
            || (self.if_modified_since.is_some() && is("If-Modified-Since"))
    }
}

impl Ask {
    /// The value of `Range` (RFC 9110 section 14.2). An empty part, which callers do not make,
    /// asks for the one octet at its start.
    fn field_value(&self) -> Option<String> {
        match self {
            Self::Whole => None,
            Self::Part(range) => {
                let last = range.end.saturating_sub(1).max(range.start);
                Some(format!("bytes={}-{last}", range.start))
            }
            Self::From(start) => Some(format!("bytes={start}-")),
            Self::Last(length) => Some(format!("bytes=-{length}")),
        }
    }
}

/// Host, and port where it is not the scheme's own; IPv6 addresses in brackets.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Writes one field. Octets that a value cannot hold are dropped: a validator that is damaged so
/// matches nothing, where one that ended the line would start a field of its own.
fn write_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend(value.iter().copied().filter(|octet| is_text(*octet)));
    out.extend_from_slice(b"\r\n");
}

/// Whether a field value may hold this octet (RFC 9110 section 5.5).
fn is_text(octet: u8) -> bool {
    octet == b'\t' || !octet.is_ascii_control()
}

/// How much of a bad field name a message shows.
const NAME_SHOWN: usize = 60;

const USER_AGENT: &str = concat!("uget/", env!("CARGO_PKG_VERSION"));

/// Fields that users cannot add at the end: `Host` because it was written first, the others
/// because they belong to the range client or frame a message that has no body.
const OWNED: [&str; 13] = [
    "Host",
    "Range",
    "If-Range",
    "Accept-Encoding",
    "Connection",
    "Keep-Alive",
    "Proxy-Connection",
    "Content-Length",
    "Transfer-Encoding",
    "TE",
    "Trailer",
    "Upgrade",
    "Expect",
];

#[cfg(test)]
mod tests;
