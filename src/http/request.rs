//! Requests: one GET, its range, its precondition, and the fields that the user asked for.

use std::ops::Range;

use url::Url;

use super::Error;

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
}

/// A field of the request; the value may be a secret and is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Field {
    name: String,
    value: Vec<u8>,
}

impl Field {
    /// # Errors
    /// [`Error::BadField`] when the name is not a token or the value holds CR, LF, NUL or another
    /// control character but TAB.
    pub fn new(name: &str, value: &[u8]) -> Result<Self, Error> {
        let _ = (name, value);
        todo!()
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
    /// Further fields in order. One of these replaces the default field of the same name
    /// (`User-Agent`, `Accept`, `Host`); `Range`, `If-Range`, `Connection`, `Content-Length` and
    /// `Transfer-Encoding` among them are left out, because the range client owns those.
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
            fields: Vec::new(),
        }
    }

    /// The octets to send: `Host`, `User-Agent: uget/VERSION`, `Accept: */*`,
    /// `Accept-Encoding: identity`, range and preconditions, then [`Self::fields`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        todo!()
    }
}
