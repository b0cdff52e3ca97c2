//! A request as the origin hears it: bytes to a [`Request`], or to the status that refuses them.

/// What is asked for. Only what the origin acts on is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The method; others are refused before there is a request.
    pub method: Method,
    /// The request target as sent (RFC 9112 section 3.2): path and query, or a whole URL.
    pub target: String,
    /// The connection is to stay open afterwards.
    pub keep_alive: bool,
    /// HTTP/1.0: staying open has to be said in the response.
    pub http10: bool,
    /// Bytes of a request body, to be skipped.
    pub content_length: u64,
    /// `Range`; absent when there are several.
    pub range: Option<Vec<u8>>,
    /// `If-Range`.
    pub if_range: Option<Vec<u8>>,
    /// `If-Match`, several lines joined.
    pub if_match: Option<Vec<u8>>,
    /// `If-None-Match`, several lines joined.
    pub if_none_match: Option<Vec<u8>>,
    /// `If-Modified-Since`.
    pub if_modified_since: Option<Vec<u8>>,
    /// `If-Unmodified-Since`.
    pub if_unmodified_since: Option<Vec<u8>>,
}

/// The methods that are served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// GET.
    #[default]
    Get,
    /// HEAD.
    Head,
}

impl Method {
    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
        }
    }
}

/// Why the bytes are not a request that is served: a status and a reason in words. After any of
/// these the connection is closed, because where the next request begins is not certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// 400, 405, 413, 414, 431, 501 or 505.
    pub status: u16,
    /// A lowercase fragment.
    pub reason: &'static str,
}

/// What the bytes received so far are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// The beginning of a request.
    Partial,
    /// A whole head, and how long it is.
    Complete(Box<Request>, usize),
}

/// Reads the head of a request from the start of `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Refusal> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut head = httparse::Request::new(&mut fields);
    match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length <= HEAD_MAX => {
            let request = accept(&head)?;
            Ok(Parsed::Complete(Box::new(request), length))
        }
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_MAX => Ok(Parsed::Partial),
        Ok(_) if bytes.contains(&b'\n') => Err(refuse(431, "the request head is too long")),
        Ok(_) => Err(refuse(414, "the request target is too long")),
        Err(httparse::Error::TooManyHeaders) => Err(refuse(431, "too many fields")),
        Err(httparse::Error::Version) if names_a_version(bytes) => {
            Err(refuse(505, "only HTTP/1.1 and HTTP/1.0 are spoken here"))
        }
        Err(_) => Err(refuse(400, "this is not an HTTP request")),
    }
}

fn accept(head: &httparse::Request<'_, '_>) -> Result<Request, Refusal> {
    let (Some(method), Some(target), Some(minor)) = (head.method, head.path, head.version) else {
        return Err(refuse(400, "the request line is incomplete"));
    };
    if target.len() > TARGET_MAX {
        return Err(refuse(414, "the request target is too long"));
    }
    let fields = Fields(head.headers);
    fields.check_framing()?;
    // RFC 9112 section 3.2: a request without a Host, or with two, is answered with 400.
    match fields.count("host") {
        1 => {}
        0 if minor == 0 => {}
        _ => return Err(refuse(400, "exactly one host field is needed")),
    }
    let method = match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" | "PUT" | "DELETE" | "PATCH" | "OPTIONS" | "TRACE" | "CONNECT" => {
            return Err(refuse(405, "only GET and HEAD are served"));
        }
        _ => return Err(refuse(501, "this method is not known")),
    };
    let content_length = fields.content_length()?;
    if content_length > BODY_MAX {
        return Err(refuse(413, "a request body is not wanted"));
    }
    Ok(Request {
        method,
        target: target.to_owned(),
        keep_alive: !fields.lists("connection", "close")
            && (minor == 1 || fields.lists("connection", "keep-alive")),
        http10: minor == 0,
        content_length,
        range: fields.only("range"),
        if_range: fields.only("if-range"),
        if_match: fields.joined("if-match"),
        if_none_match: fields.joined("if-none-match"),
        if_modified_since: fields.only("if-modified-since"),
        if_unmodified_since: fields.only("if-unmodified-since"),
    })
}

/// The fields of a head, by name.
struct Fields<'a>(&'a [httparse::Header<'a>]);

impl Fields<'_> {
    fn all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let named = self.0.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
        named.map(|field| field.value.trim_ascii())
    }

    fn count(&self, name: &str) -> usize {
        self.all(name).count()
    }

    /// The value of a field that may stand once only; several are as good as none.
    fn only(&self, name: &str) -> Option<Vec<u8>> {
        let mut values = self.all(name);
        let value = values.next()?;
        values.next().is_none().then(|| value.to_vec())
    }

    /// The values of a list field as one list (RFC 9110 section 5.3).
    fn joined(&self, name: &str) -> Option<Vec<u8>> {
        let values: Vec<&[u8]> = self.all(name).collect();
        (!values.is_empty()).then(|| values.join(&b", "[..]))
    }

    fn lists(&self, name: &str, token: &str) -> bool {
        self.all(name)
            .flat_map(|value| value.split(|&byte| byte == b','))
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }

    /// RFC 9112 section 6: what cannot be framed for certain is how requests are smuggled.
    fn check_framing(&self) -> Result<(), Refusal> {
        if self.count("transfer-encoding") == 0 {
            return Ok(());
        }
        if self.count("content-length") > 0 {
            return Err(refuse(400, "transfer-encoding and content-length contradict each other"));
        }
        Err(refuse(501, "no transfer coding is understood in a request"))
    }

    fn content_length(&self) -> Result<u64, Refusal> {
        let mut values = self.all("content-length");
        let Some(value) = values.next() else { return Ok(0) };
        if values.next().is_some() || !value.iter().all(u8::is_ascii_digit) {
            return Err(refuse(400, "content-length is not one number"));
        }
        let number = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
        number.ok_or_else(|| refuse(400, "content-length is not one number"))
    }
}

/// Whether the request line ends with a version, if one that is not spoken.
fn names_a_version(bytes: &[u8]) -> bool {
    let line = bytes.split(|&byte| byte == b'\n').find(|line| !line.trim_ascii().is_empty());
    let last = line.and_then(|line| line.trim_ascii().rsplit(|&byte| byte == b' ').next());
    last.and_then(|word| word.strip_prefix(b"HTTP/")).is_some_and(|number| {
        !number.is_empty() && number.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
    })
}

fn refuse(status: u16, reason: &'static str) -> Refusal {
    Refusal { status, reason }
}

/// Bytes of a request head that are read before it is refused.
pub(super) const HEAD_MAX: usize = 32 * 1024;
const TARGET_MAX: usize = 8 * 1024;
const FIELDS_MAX: usize = 100;
/// Bytes of a request body that are skipped for the sake of a kept connection.
const BODY_MAX: u64 = 64 * 1024;

#[cfg(test)]
mod tests;
