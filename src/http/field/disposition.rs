//! The file name in a `Content-Disposition` (RFC 6266).

use crate::http::is_token;

/// The file name that a `Content-Disposition` proposes (RFC 6266: `filename*` before `filename`),
/// decoded but not yet made safe: it may hold separators and control characters.
///
/// The first parameter of each name counts. A value without quotes runs to the next `;`, blanks
/// included, because servers write that; a `filename*` that is malformed is passed over.
#[must_use]
pub fn disposition_filename(value: &[u8]) -> Option<String> {
    let (mut plain, mut extended) = (None, None);
    let mut rest = after(value, b';')?;
    loop {
        let name = rest.split(|octet| matches!(octet, b'=' | b';')).next()?;
        let behind = rest.get(name.len()..)?;
        let name = name.trim_ascii();
        let (text, next) = match behind.strip_prefix(b"=") {
            Some(behind) => parameter(behind.trim_ascii_start()),
            None => (Vec::new(), after(behind, b';')),
        };
        if name.eq_ignore_ascii_case(b"filename*") {
            extended = extended.or_else(|| ext_value(&text));
        } else if name.eq_ignore_ascii_case(b"filename") {
            plain = plain.or(Some(text));
        }
        match next {
            Some(next) => rest = next,
            None => break,
        }
    }
    extended.or_else(|| plain.map(decode)).filter(|name| !name.is_empty())
}

/// One value and what follows its `;`.
fn parameter(input: &[u8]) -> (Vec<u8>, Option<&[u8]>) {
    let Some(quoted) = input.strip_prefix(b"\"") else {
        let bare = input.split(|octet| *octet == b';').next().unwrap_or_default();
        return (bare.trim_ascii().to_vec(), after(input, b';'));
    };
    let mut text = Vec::new();
    let mut octets = quoted.iter();
    while let Some(octet) = octets.next() {
        match octet {
            b'"' => break,
            b'\\' => text.extend(octets.next()),
            _ => text.push(*octet),
        }
    }
    (text, after(octets.as_slice(), b';'))
}

/// `UTF-8'en'%e2%82%ac` (RFC 8187 section 3.2), in UTF-8 or ISO-8859-1.
fn ext_value(text: &[u8]) -> Option<String> {
    let mut parts = text.splitn(3, |octet| *octet == b'\'');
    let (charset, _language, coded) = (parts.next()?, parts.next()?, parts.next()?);
    let mut decoded = Vec::new();
    let mut octets = coded.iter();
    while let Some(octet) = octets.next() {
        match octet {
            b'%' => decoded.push((hex(octets.next()?)? << 4) | hex(octets.next()?)?),
            octet if is_token(*octet) => decoded.push(*octet),
            _ => return None,
        }
    }
    if charset.eq_ignore_ascii_case(b"UTF-8") {
        String::from_utf8(decoded).ok()
    } else {
        charset.eq_ignore_ascii_case(b"ISO-8859-1").then(|| latin1(&decoded))
    }
}

fn hex(octet: &u8) -> Option<u8> {
    char::from(*octet).to_digit(16).and_then(|digit| digit.try_into().ok())
}

/// Plain values are UTF-8 where servers mean well, else what the RFC says.
fn decode(text: Vec<u8>) -> String {
    String::from_utf8(text).unwrap_or_else(|error| latin1(error.as_bytes()))
}

fn latin1(text: &[u8]) -> String {
    text.iter().copied().map(char::from).collect()
}

fn after(value: &[u8], separator: u8) -> Option<&[u8]> {
    let index = value.iter().position(|octet| *octet == separator)?;
    value.get(index + 1..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_and_decoded() {
        for (value, name) in [
            (&b"attachment; filename=a.bin"[..], Some("a.bin")),
            (b"inline; filename=\"a b;c.bin\"", Some("a b;c.bin")),
            (b"attachment;filename = \"a\\\"b\\\\c\" ; size=3", Some("a\"b\\c")),
            (b"attachment; FileName=a b.bin ; x=y", Some("a b.bin")),
            (b"attachment; filename=\"x.bin\"; filename*=UTF-8''%e2%82%ac.bin", Some("€.bin")),
            (b"attachment; filename*=utf-8'en'a%20b; filename=x", Some("a b")),
            (b"attachment; filename*=iso-8859-1''%e9", Some("é")),
            (b"attachment; filename*=UTF-8''%ff; filename=x", Some("x")),
            (b"attachment; filename*=UTF-8''%4; filename=x", Some("x")),
            (b"attachment; filename*=UTF-8''a b; filename=x", Some("x")),
            (b"attachment; filename*=KOI8-R''a; filename=x", Some("x")),
            (b"attachment; filename*=nonsense; filename=x", Some("x")),
            (b"attachment; a=\"; filename=bad\"; filename=good", Some("good")),
            (b"attachment; filename=first; filename=second", Some("first")),
            (b"attachment; filename=\"\xc3\xa9\"", Some("é")),
            (b"attachment; filename=\"\xe9\"", Some("é")),
            (b"attachment; filename=\"open", Some("open")),
            (b"attachment; filename=\"open\\", Some("open")),
            (b"attachment; filename=../../etc/passwd", Some("../../etc/passwd")),
            (b"attachment; filename=a%20b", Some("a%20b")),
            (b"attachment; filename=\"\"", None),
            (b"attachment; filename", None),
            (b"attachment; filename=", None),
            (b"attachment", None),
            (b"filename=x", None),
            (b"attachment;;;", None),
            (b"", None),
        ] {
            let shown = value.escape_ascii().to_string();
            assert_eq!(disposition_filename(value).as_deref(), name, "{shown}");
        }
    }
}
