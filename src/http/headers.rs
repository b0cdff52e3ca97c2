//! The fields of an answer as they describe the object, however it came.

use std::fmt;

use super::response::Head;

/// What the answer that was accepted says of the object, or of the slice that was wanted: the same
/// fields whether that was a 200 or a 206, in order, without those of one message and its way here.
/// `Content-Length` is the length of the whole. Values may be anything, and some are secrets
/// ([`Self::is_secret`]), which are not shown for debugging.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, Vec<u8>)>);

impl Headers {
    /// Those of `head`, for an object of this length.
    #[must_use]
    pub fn of(head: &Head, length: Option<u64>) -> Self {
        let named: Vec<Vec<u8>> = head
            .all("connection")
            .flat_map(|value| value.split(|octet| *octet == b','))
            .map(|option| option.trim_ascii().to_ascii_lowercase())
            .collect();
        let part = head.status == 206;
        let stays = |name: &str| {
            let is = |of: &&str| of.eq_ignore_ascii_case(name);
            let own = part && OF_A_PART.iter().any(is);
            !own && !OF_THE_MESSAGE.iter().any(is)
                && !named.contains(&name.to_ascii_lowercase().into_bytes())
        };
        let fields = head.fields.iter().filter(|(name, _)| stays(name));
        let mut fields: Vec<(String, Vec<u8>)> =
            fields.map(|(name, value)| (name.clone(), value.trim_ascii().to_vec())).collect();
        if let Some(length) = length {
            fields.push(("Content-Length".to_owned(), length.to_string().into_bytes()));
        }
        Self(fields)
    }

    /// Those of the same content without its coding.
    #[must_use]
    pub fn decoded(mut self) -> Self {
        self.0.retain(|(name, _)| !name.eq_ignore_ascii_case("content-encoding"));
        self
    }

    /// Names, as received, and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// The values of the fields of this name, whatever the case of its letters.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(move |(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Whether the value of a field is nobody's business but that of who asked.
    #[must_use]
    pub fn is_secret(name: &str) -> bool {
        ["set-cookie", "set-cookie2", "authentication-info"]
            .iter()
            .any(|of| of.eq_ignore_ascii_case(name))
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(name, value): (&str, &[u8])| {
            let secret = Self::is_secret(name);
            let value = if secret { "[redacted]".into() } else { String::from_utf8_lossy(value) };
            (name.to_owned(), value.into_owned())
        };
        f.debug_list().entries(self.iter().map(shown)).finish()
    }
}

/// What says how one message is framed and brought here (RFC 9110 section 7.6.1), or which part of
/// the object it holds.
const OF_THE_MESSAGE: [&str; 11] = [
    "Content-Length",
    "Content-Range",
    "Transfer-Encoding",
    "Connection",
    "Keep-Alive",
    "Proxy-Connection",
    "Proxy-Authenticate",
    "Proxy-Authentication-Info",
    "TE",
    "Trailer",
    "Upgrade",
];

/// Digests of the octets of one answer.
const OF_A_PART: [&str; 2] = ["Content-Digest", "Content-MD5"];

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(head: &str, length: Option<u64>) -> String {
        let text = format!("HTTP/1.1 {}\r\n\r\n", head.replace('\n', "\r\n"));
        let (head, _) = Head::parse(text.as_bytes()).expect("a head").expect("all of it");
        let line =
            |(name, value): (&str, &[u8])| format!("{name}: {}", String::from_utf8_lossy(value));
        Headers::of(&head, length).iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_200_and_a_206_say_the_same() {
        // GR-08, GRX-07.
        let whole =
            headers("200 OK\nETag: \"a\"\nContent-Length: 1000\nX-A:  1 \nX-A: 2", Some(1000));
        let part = headers(
            "206 Partial Content\nETag: \"a\"\nContent-Range: bytes 0-9/1000\nContent-Length: 10\n\
             X-A:  1 \nContent-Digest: sha-256=:AAAA:\nX-A: 2",
            Some(1000),
        );
        assert_eq!(whole, "ETag: \"a\"\nX-A: 1\nX-A: 2\nContent-Length: 1000");
        assert_eq!(part, whole);
    }

    #[test]
    fn what_is_of_one_message_is_left_out() {
        let said = headers(
            "200 OK\nTransfer-Encoding: chunked\nconnection: close, x-Hop\nX-Hop: 1\nKeep-Alive: 5\n\
             Trailer: X\nUpgrade: h2c\nTE: x\nContent-Digest: y\nContent-Type: text/plain",
            None,
        );
        assert_eq!(said, "Content-Digest: y\nContent-Type: text/plain");
    }

    #[test]
    fn secrets_are_not_shown() {
        let text = "HTTP/1.1 200 OK\r\nset-cookie: hush\r\nX: y\r\n\r\n";
        let (head, _) = Head::parse(text.as_bytes()).expect("a head").expect("all of it");
        let headers = Headers::of(&head, None);
        assert!(!format!("{headers:?}").contains("hush"), "{headers:?}");
        assert_eq!(headers.all("Set-Cookie").next(), Some(&b"hush"[..]));
    }
}
