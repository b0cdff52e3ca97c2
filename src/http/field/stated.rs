//! Digests that a server states of what it sends: `Repr-Digest` (RFC 9530) and its elder `Digest`
//! (RFC 3230).

use super::grammar::split_once;

/// What a server says the bytes of the whole representation hash to: at least one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatedDigest {
    /// SHA-256.
    pub sha256: Option<[u8; 32]>,
    /// SHA-512.
    pub sha512: Option<[u8; 64]>,
}

impl StatedDigest {
    /// Reads the values of all `Repr-Digest` lines: a dictionary of byte sequences (RFC 8941
    /// section 3.2). Other algorithms are passed over; a field that is not a dictionary says
    /// nothing (RFC 8941 section 4.2).
    #[must_use]
    pub fn of_repr<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let joined = lines.collect::<Vec<_>>().join(&b", "[..]);
        let mut found = Self::default();
        let mut rest = joined.trim_ascii();
        while !rest.is_empty() {
            let (key, after) = key(rest)?;
            let (value, after) = match after.split_first() {
                Some((b'=', after)) => item(after)?,
                _ => (None, after),
            };
            found.note(key, value);
            let after = parameters(after)?.trim_ascii_start();
            rest = match after.split_first() {
                None => after,
                // Nothing may end in a comma.
                Some((b',', after)) => Some(after.trim_ascii_start()).filter(|r| !r.is_empty())?,
                Some(_) => return None,
            };
        }
        found.some()
    }

    /// Reads the values of all `Digest` lines: a list of `algorithm=base64`, whose algorithms are
    /// case-insensitive (RFC 3230 section 4.3.2).
    #[must_use]
    pub fn of_instance<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let mut found = Self::default();
        for member in lines.flat_map(|line| line.split(|octet| *octet == b',')) {
            let Some((algorithm, value)) = split_once(member, b'=') else { continue };
            found.note(&algorithm.trim_ascii().to_ascii_lowercase(), base64(value.trim_ascii()));
        }
        found.some()
    }

    /// The last of several members with one key counts (RFC 8941 section 4.2.2).
    fn note(&mut self, key: &[u8], value: Option<Vec<u8>>) {
        match key {
            b"sha-256" => self.sha256 = value.and_then(|value| value.try_into().ok()),
            b"sha-512" => self.sha512 = value.and_then(|value| value.try_into().ok()),
            _ => {}
        }
    }

    fn some(self) -> Option<Self> {
        (self.sha256.is_some() || self.sha512.is_some()).then_some(self)
    }
}

/// A key and what follows it.
fn key(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let inner = |octet: &u8| {
        octet.is_ascii_lowercase() || octet.is_ascii_digit() || b"_-.*".contains(octet)
    };
    let first = text.first()?;
    if !(first.is_ascii_lowercase() || *first == b'*') {
        return None;
    }
    let end = text.iter().position(|octet| !inner(octet)).unwrap_or(text.len());
    text.split_at_checked(end)
}

/// One value: its bytes if it is a byte sequence, and what follows it.
fn item(text: &[u8]) -> Option<(Option<Vec<u8>>, &[u8])> {
    match text.first()? {
        b':' => {
            let (inside, after) = split_once(text.get(1..)?, b':')?;
            Some((Some(base64(inside)?), after))
        }
        b'"' => Some((None, string(text.get(1..)?)?)),
        // An inner list holds values and ends at its bracket.
        b'(' => {
            let mut rest = text.get(1..)?;
            loop {
                rest = rest.trim_ascii_start();
                match rest.first()? {
                    b')' => return Some((None, rest.get(1..)?)),
                    b'(' => return None,
                    _ => rest = parameters(item(rest)?.1)?,
                }
            }
        }
        _ => {
            let bare = |octet: &u8| octet.is_ascii_graphic() && !b",;()\"".contains(octet);
            let end = text.iter().position(|octet| !bare(octet)).unwrap_or(text.len());
            (end > 0).then(|| text.get(end..)).flatten().map(|after| (None, after))
        }
    }
}

/// What follows a string whose opening quote was read.
fn string(text: &[u8]) -> Option<&[u8]> {
    let mut escaped = false;
    let end = text.iter().position(|octet| match octet {
        _ if escaped => {
            escaped = false;
            false
        }
        b'\\' => {
            escaped = true;
            false
        }
        octet => *octet == b'"',
    })?;
    text.get(end + 1..)
}

/// What follows the parameters of a value, which say nothing here.
fn parameters(mut text: &[u8]) -> Option<&[u8]> {
    while let Some(after) = text.strip_prefix(b";") {
        let (_, after) = key(after.trim_ascii_start())?;
        text = match after.split_first() {
            Some((b'=', after)) if !after.starts_with(b"(") => item(after)?.1,
            Some((b'=', _)) => return None,
            _ => after,
        };
    }
    Some(text)
}

/// Base64 (RFC 4648 section 4). Padding may be missing (RFC 8941 section 4.2.7).
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let bare = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    let padded = bare.len() != text.len();
    if bare.len() % 4 == 1 || padded && !text.len().is_multiple_of(4) {
        return None;
    }
    let (mut bits, mut count, mut out) = (0_u32, 0_u32, Vec::with_capacity(bare.len() / 4 * 3));
    for octet in bare {
        let six = match octet {
            b'A'..=b'Z' => octet - b'A',
            b'a'..=b'z' => octet - b'a' + 26,
            b'0'..=b'9' => octet - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 0xff) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Of 32 zero bytes.
    const ZEROS: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    fn short(sha256: [u8; 32]) -> StatedDigest {
        StatedDigest { sha256: Some(sha256), sha512: None }
    }

    fn repr(text: &str) -> Option<StatedDigest> {
        StatedDigest::of_repr(text.lines().map(str::as_bytes))
    }

    #[test]
    fn dictionaries_of_digests() {
        let zeros = Some(short([0; 32]));
        let long = Some(StatedDigest { sha256: None, sha512: Some([0; 64]) });
        let both = Some(StatedDigest { sha256: Some([0; 32]), sha512: Some([0; 64]) });
        let sixty_four = format!("{}==", "A".repeat(86));
        for (text, want) in [
            (format!("sha-256=:{ZEROS}:"), zeros.clone()),
            (format!("  sha-256=:{ZEROS}:  "), zeros.clone()),
            (format!("sha-256=:{}:", ZEROS.trim_end_matches('=')), zeros.clone()),
            (format!("sha-256=:{ZEROS}:;q=1;x;y=\"a,b\""), zeros.clone()),
            (format!("md5=:AAAA:, sha-256=:{ZEROS}:"), zeros.clone()),
            (format!("a=\"sha-256=:x:,\\\"\",sha-256=:{ZEROS}:"), zeros.clone()),
            (
                format!("a=(1 \"b)\" :AA==:;q=1), b, c=?1, d=tok/en, sha-256=:{ZEROS}:"),
                zeros.clone(),
            ),
            (format!("sha-512=:{sixty_four}:, sha-256=:{ZEROS}:"), both),
            (format!("sha-512=:{sixty_four}:\nunixsum=:AAAA:"), long.clone()),
            (format!("sha-256=:AAAA:, sha-256=:{ZEROS}:"), zeros),
            (format!("sha-256=:{ZEROS}:, sha-256=:AAAA:"), None),
            (format!("sha-256=:AAAA:, sha-512=:{sixty_four}:"), long),
            (format!("SHA-256=:{ZEROS}:"), None),
            (format!("sha-256={ZEROS}"), None),
            (format!("sha-256=\"{ZEROS}\""), None),
            (format!("sha-256=:{ZEROS}"), None),
            (format!("sha-256=:{ZEROS}:,"), None),
            (format!("sha-256=:{ZEROS}: x"), None),
            (format!("sha-256=:{ZEROS}:, ="), None),
            (format!("sha-256 =:{ZEROS}:"), None),
            (format!("sha-256=:*{ZEROS}:"), None),
            (format!("sha-256=:{ZEROS}=:"), None),
            ("sha-256".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(repr(&text), want, "{text}");
        }
    }

    #[test]
    fn the_elder_form() {
        let zeros = Some(short([0; 32]));
        for (text, want) in [
            (format!("SHA-256={ZEROS}"), zeros.clone()),
            (format!("md5=AAAA, sha-256={ZEROS} "), zeros),
            (format!("sha-256=:{ZEROS}:"), None),
            ("sha-256".to_owned(), None),
        ] {
            let read = StatedDigest::of_instance(std::iter::once(text.as_bytes()));
            assert_eq!(read, want, "{text}");
        }
    }

    #[test]
    fn base64_by_the_book() {
        for (text, want) in [
            ("", Some("")),
            ("Zg==", Some("f")),
            ("Zm8=", Some("fo")),
            ("Zm9v", Some("foo")),
            ("Zm9vYmE", Some("fooba")),
            ("+/+/", None),
            ("Zm9vY", None),
            ("Zg=", None),
            ("Zg===", None),
            ("=", None),
            ("Z g=", None),
            ("-_-_", None),
        ] {
            let read = base64(text.as_bytes());
            let read = read.filter(|bytes| bytes.is_ascii());
            assert_eq!(read.as_deref(), want.map(str::as_bytes), "{text}");
        }
        assert_eq!(base64(b"+/+/").unwrap(), [0xfb, 0xff, 0xbf]);
    }

    proptest! {
        #[test]
        fn no_value_panics(text in "[ -~]{0,80}", sharp in "[a:;=,()\"\\\\ *A-]{0,40}") {
            for text in [text, sharp] {
                let _ = repr(&text);
                let _ = StatedDigest::of_instance(std::iter::once(text.as_bytes()));
            }
        }

        #[test]
        fn what_is_written_is_read_back(bytes: [u8; 32]) {
            use ::base64::Engine as _;
            let text = ::base64::engine::general_purpose::STANDARD.encode(bytes);
            let want = Some(short(bytes));
            prop_assert_eq!(repr(&format!("sha-256=:{text}:")), want);
        }
    }
}
