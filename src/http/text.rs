//! Text from the other side, made safe for a terminal.

use std::fmt::Write as _;

use url::Url;

/// `text` with every control character (C0, DEL, C1), bidirectional override, invisible character
/// and line separator written as an escape (`\n`, `\u{1b}`), octets that are not UTF-8 as `\xNN`,
/// cut with `…` before it grows longer than `max` characters. No escape is cut in the middle.
///
/// Everything a server says passes through here before it reaches a terminal or a log.
#[must_use]
pub fn escape(text: &[u8], max: usize) -> String {
    let mut safe = String::new();
    let mut left = max;
    for piece in text.utf8_chunks() {
        let valid = piece.valid().chars().map(escape_char);
        let invalid = piece.invalid().iter().map(|octet| Escaped::Octet(*octet));
        for escaped in valid.chain(invalid) {
            let Some(rest) = left.checked_sub(escaped.width()) else {
                safe.push('…');
                return safe;
            };
            left = rest;
            escaped.push_to(&mut safe);
        }
    }
    safe
}

/// `url` as messages show it: without userinfo and fragment, and with every value of its query
/// replaced by `…` (the keys stay), because presigned URLs carry their secrets there.
#[must_use]
pub fn redact(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_fragment(None);
    shown.set_query(None);
    // Both refuse only where a URL cannot have userinfo at all.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    let mut text = String::from(shown);
    if let Some(query) = url.query() {
        for (index, pair) in query.split('&').enumerate() {
            text.push(if index == 0 { '?' } else { '&' });
            if let Some((key, _)) = pair.split_once('=') {
                text.push_str(key);
                text.push('=');
            }
            text.push('…');
        }
    }
    text
}

enum Escaped {
    Plain(char),
    Short(char),
    Code(char),
    Octet(u8),
}

impl Escaped {
    /// How many characters it takes when written.
    fn width(&self) -> usize {
        match self {
            Self::Plain(_) => 1,
            Self::Short(_) => 2,
            Self::Code(c) => c.escape_unicode().count(),
            Self::Octet(_) => 4,
        }
    }

    fn push_to(&self, text: &mut String) {
        // Writing to a String cannot fail.
        let _ = match self {
            Self::Plain(c) => text.write_char(*c),
            Self::Short(c) => write!(text, "\\{c}"),
            Self::Code(c) => write!(text, "{}", c.escape_unicode()),
            Self::Octet(octet) => write!(text, "\\x{octet:02x}"),
        };
    }
}

fn escape_char(c: char) -> Escaped {
    match c {
        '\n' => Escaped::Short('n'),
        '\r' => Escaped::Short('r'),
        '\t' => Escaped::Short('t'),
        c if c.is_control() || is_deceptive(c) => Escaped::Code(c),
        c => Escaped::Plain(c),
    }
}

/// Characters that move, hide or reorder the text around them (Unicode TR 36, TR 9).
fn is_deceptive(c: char) -> bool {
    matches!(c,
        '\u{ad}'                        // soft hyphen
        | '\u{61c}'                     // Arabic letter mark
        | '\u{180e}'                    // Mongolian vowel separator
        | '\u{200b}'..='\u{200f}'       // zero-width, direction marks
        | '\u{2028}'..='\u{202e}'       // line and paragraph separator, embeddings, overrides
        | '\u{2060}'..='\u{206f}'       // word joiner, isolates, deprecated controls
        | '\u{feff}'                    // byte order mark
        | '\u{fff9}'..='\u{fffb}'       // interlinear annotation
        | '\u{e0000}'..='\u{e007f}') // tags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_a_terminal_is_escaped() {
        for (text, safe) in [
            (&b"plain \xc3\xa9\xe2\x82\xac"[..], "plain é€"),
            (b"a\nb\r\tc", r"a\nb\r\tc"),
            (b"\x1b[2J\x07\0", r"\u{1b}[2J\u{7}\u{0}"),
            (b"\x7f\xc2\x9b31m", r"\u{7f}\u{9b}31m"),
            ("\u{202e}gpj.exe\u{2066}".as_bytes(), r"\u{202e}gpj.exe\u{2066}"),
            (
                "a\u{200b}b\u{2028}c\u{2029}d\u{feff}".as_bytes(),
                r"a\u{200b}b\u{2028}c\u{2029}d\u{feff}",
            ),
            (b"\xff\xc3(", r"\xff\xc3("),
        ] {
            assert_eq!(escape(text, 200), safe);
        }
    }

    #[test]
    fn it_is_cut_between_characters() {
        assert_eq!(escape(b"abc", 3), "abc");
        assert_eq!(escape(b"abcd", 3), "abc…");
        assert_eq!(escape("ééé".as_bytes(), 2), "éé…");
        assert_eq!(escape(b"a\x1bb", 5), "a…");
        assert_eq!(escape(b"a", 0), "…");
        assert_eq!(escape(b"", 0), "");
    }

    #[test]
    fn urls_lose_their_secrets() {
        for (url, shown) in [
            ("http://h/p", "http://h/p"),
            ("http://user:pw@h:81/p#frag", "http://h:81/p"),
            ("http://user@h/p", "http://h/p"),
            ("https://h/p?X-Amz-Signature=abc&b=", "https://h/p?X-Amz-Signature=…&b=…"),
            ("https://h/p?token", "https://h/p?…"),
            ("https://h/p?token&a=b=c", "https://h/p?…&a=…"),
            ("https://h/p?", "https://h/p?…"),
            ("http://[::1]:8080/", "http://[::1]:8080/"),
        ] {
            assert_eq!(redact(&Url::parse(url).unwrap()), shown);
        }
    }
}
