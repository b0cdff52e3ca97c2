//! Response heads, read with httparse and believed only when their framing is unambiguous.

use super::{
    Error,
    body::Framing,
    field::{ContentRange, ETag, HttpDate, RetryAfter, StatedDigest, Validators, decimal},
    text::escape,
};

/// The longest head that is read, in octets, interim heads counted each on their own.
pub const HEAD_MAX: usize = 64 * 1024;

/// The most fields that a head may have.
pub const FIELDS_MAX: usize = 256;

/// Characters of the name of a content coding that are kept.
const CODING_MAX: usize = 40;

/// A final or interim response head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// 0 for HTTP/1.0, 1 for HTTP/1.1.
    pub minor: u8,
    /// 100 to 599 (999 tolerated as final).
    pub status: u16,
    /// The reason phrase; empty if it holds anything but ASCII.
    pub reason: Vec<u8>,
    /// Field lines in order; names as received.
    pub fields: Vec<(String, Vec<u8>)>,
}

impl Head {
    /// Reads a head from the front of `input`. `Ok(None)`: more octets are needed (and fewer than
    /// [`HEAD_MAX`] are there). `Ok(Some((head, used)))`: the head took `used` octets.
    ///
    /// # Errors
    /// [`Error::HeadTooLarge`], [`Error::BadHead`] (obsolete folding, NUL, bare CR, spaces before a
    /// colon and other smuggling forms included).
    pub fn parse(input: &[u8]) -> Result<Option<(Self, usize)>, Error> {
        let within = input.get(..HEAD_MAX).unwrap_or(input);
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut fields);
        match response.parse(within) {
            Ok(httparse::Status::Complete(used)) => Ok(Some((Self::take(&response)?, used))),
            Ok(httparse::Status::Partial) if input.len() >= HEAD_MAX => Err(Error::HeadTooLarge),
            Ok(httparse::Status::Partial) => Ok(None),
            Err(httparse::Error::TooManyHeaders) => Err(Error::HeadTooLarge),
            Err(error) => Err(Error::BadHead(words(error))),
        }
    }

    fn take(response: &httparse::Response<'_, '_>) -> Result<Self, Error> {
        let field = |field: &httparse::Header<'_>| (field.name.to_owned(), field.value.to_vec());
        Ok(Self {
            minor: response.version.ok_or(Error::BadHead("invalid HTTP version"))?,
            status: response
                .code
                .filter(|code| *code >= 100)
                .ok_or(Error::BadHead("invalid response status"))?,
            reason: response.reason.unwrap_or_default().as_bytes().to_vec(),
            fields: response.headers.iter().map(field).collect(),
        })
    }

    /// The head as it came, white space around values left out.
    #[must_use]
    pub fn to_octets(&self) -> Vec<u8> {
        let mut out = format!("HTTP/1.{} {} ", self.minor, self.status).into_bytes();
        out.extend_from_slice(&self.reason);
        for (name, value) in &self.fields {
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value.trim_ascii());
        }
        out.extend_from_slice(b"\r\n\r\n");
        out
    }

    /// Every value of the field `name` (case-insensitive), in order, trimmed.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields
            .iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.trim_ascii())
    }

    /// The value of the field `name` if it occurs exactly once.
    #[must_use]
    pub fn one<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        let mut all = self.all(name);
        let first = all.next()?;
        if all.next().is_some() { None } else { Some(first) }
    }

    /// How the body ends, for an answer to GET (RFC 9112 section 6.3).
    ///
    /// # Errors
    /// [`Error::BadFraming`] for Transfer-Encoding with Content-Length, more than one
    /// Content-Length (equal ones too), lists, signs, hex, more than 2^63 - 1, a coding other than
    /// exactly one `chunked`, and Transfer-Encoding from an HTTP/1.0 peer. The RFC lets a client
    /// repair some of these; who writes them cannot be trusted with where a body ends.
    pub fn framing(&self) -> Result<Framing, Error> {
        if matches!(self.status, 100..=199 | 204 | 304) {
            return Ok(Framing::Length(0));
        }
        let mut lengths = self.all("content-length");
        let mut codings = self.all("transfer-encoding");
        let (length, coding) = (lengths.next(), codings.next());
        if lengths.next().is_some() {
            return Err(Error::BadFraming("more than one Content-Length"));
        }
        if codings.next().is_some() {
            return Err(Error::BadFraming("more than one Transfer-Encoding"));
        }
        match (coding, length) {
            (Some(_), Some(_)) => {
                Err(Error::BadFraming("both Transfer-Encoding and Content-Length"))
            }
            (Some(_), None) if self.minor == 0 => {
                Err(Error::BadFraming("Transfer-Encoding in HTTP/1.0"))
            }
            (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
            (Some(_), None) => Err(Error::BadFraming("Transfer-Encoding is not just chunked")),
            (None, Some(length)) => decimal(length)
                .map(Framing::Length)
                .ok_or(Error::BadFraming("Content-Length is not a decimal number")),
            (None, None) => Ok(Framing::Close),
        }
    }

    /// Whether the peer will keep the connection open after this message (RFC 9112 section 9.3).
    #[must_use]
    pub fn keep_alive(&self) -> bool {
        let says =
            |option: &[u8]| self.members("connection").any(|m| m.eq_ignore_ascii_case(option));
        !says(b"close") && (self.minor >= 1 || says(b"keep-alive"))
    }

    /// `Content-Range`, when there is exactly one and it is well formed.
    #[must_use]
    pub fn content_range(&self) -> Option<ContentRange> {
        ContentRange::parse(self.one("content-range")?)
    }

    /// `Content-Length`, when it is present and unambiguous.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        decimal(self.one("content-length")?)
    }

    /// The version this head names. Fields that are malformed or occur twice count as absent.
    #[must_use]
    pub fn validators(&self) -> Validators {
        let last_modified = || {
            let value = self.one("last-modified")?;
            Some((String::from_utf8(value.to_vec()).ok()?, HttpDate::parse(value)?))
        };
        Validators {
            etag: self.one("etag").and_then(ETag::parse),
            last_modified: last_modified(),
            date: self.date(),
        }
    }

    fn date(&self) -> Option<HttpDate> {
        HttpDate::parse(self.one("date")?)
    }

    /// `Retry-After`: in seconds from now where it can be told, because a date is relative to this
    /// head's own `Date`; else the date.
    #[must_use]
    pub fn retry_after(&self) -> Option<RetryAfter> {
        let after = RetryAfter::parse(self.one("retry-after")?)?;
        Some(self.date().map_or(after, |date| RetryAfter::Seconds(after.from(date).as_secs())))
    }

    /// Whether the body is coded (`Content-Encoding` other than `identity`).
    #[must_use]
    pub fn content_coded(&self) -> bool {
        self.content_codings().next().is_some()
    }

    /// The codings of the body, in the order in which they were applied, escaped; `None` if there
    /// are none.
    #[must_use]
    pub fn content_coding(&self) -> Option<String> {
        let codings: Vec<_> = self.content_codings().map(|c| escape(c, CODING_MAX)).collect();
        (!codings.is_empty()).then(|| codings.join(", "))
    }

    fn content_codings(&self) -> impl Iterator<Item = &[u8]> {
        self.members("content-encoding").filter(|coding| !coding.eq_ignore_ascii_case(b"identity"))
    }

    /// The digest that the server states of the whole representation: `Repr-Digest`, which means
    /// the whole even in a 206 (RFC 9530 section 3), else `Digest`, which is believed in a 200
    /// alone, because many took it for the part's. Nothing of a coded representation, whose bytes
    /// differ from answer to answer.
    #[must_use]
    pub fn stated_digest(&self) -> Option<StatedDigest> {
        if self.content_coded() {
            return None;
        }
        StatedDigest::of_repr(self.all("repr-digest")).or_else(|| {
            StatedDigest::of_instance(self.all("digest")).filter(|_| self.status == 200)
        })
    }

    /// Whether the body is `multipart/byteranges`.
    #[must_use]
    pub fn multipart(&self) -> bool {
        self.all("content-type").any(|value| {
            let kind = value.split(|octet| *octet == b';').next().unwrap_or_default();
            kind.trim_ascii().eq_ignore_ascii_case(b"multipart/byteranges")
        })
    }

    /// 301, 302, 303, 307 or 308.
    #[must_use]
    pub fn is_redirect(&self) -> bool {
        matches!(self.status, 301 | 302 | 303 | 307 | 308)
    }

    /// The members of a field that is a list of tokens, over all its lines (RFC 9110 section
    /// 5.6.1); empty members are passed over.
    fn members<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.all(name)
            .flat_map(|value| value.split(|octet| *octet == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|member| !member.is_empty())
    }
}

fn words(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::HeaderName => "invalid field name",
        httparse::Error::HeaderValue => "invalid field value",
        httparse::Error::NewLine => "invalid line end",
        httparse::Error::Status => "invalid response status",
        httparse::Error::Token => "invalid token",
        httparse::Error::TooManyHeaders => "too many fields",
        httparse::Error::Version => "invalid HTTP version",
    }
}

#[cfg(test)]
mod tests;
