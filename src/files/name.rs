//! File names from URLs and servers: always one visible component, whatever was sent.

use percent_encoding::percent_decode_str;
use url::Url;

/// The name for what `url` names, when nobody chose one: its last segment that is not empty,
/// percent-decoded and made safe; `index.html` if there is none.
pub(crate) fn from_url(url: &Url) -> String {
    url.path_segments()
        .and_then(|mut segments| segments.rfind(|segment| !segment.is_empty()))
        .and_then(|segment| visible(&percent_decode_str(segment).decode_utf8_lossy()))
        .unwrap_or_else(|| "index.html".to_owned())
}

/// The name of what a compressed file holds: without the suffix that says how it is compressed.
pub(crate) fn without_coding(name: String) -> String {
    let known = CODINGS.iter().find_map(|(suffix, instead)| {
        let stem = name.len().checked_sub(suffix.len()).filter(|stem| *stem > 0)?;
        let (stem, end) = name.split_at_checked(stem)?;
        end.eq_ignore_ascii_case(suffix).then(|| format!("{stem}{instead}"))
    });
    known.unwrap_or(name)
}

/// Suffixes of compressed files, and what is there without.
const CODINGS: [(&str, &str); 10] = [
    (".gz", ""),
    (".zst", ""),
    (".xz", ""),
    (".bz2", ""),
    (".lz4", ""),
    (".tgz", ".tar"),
    (".tzst", ".tar"),
    (".txz", ".tar"),
    (".tbz2", ".tar"),
    (".tbz", ".tar"),
];

/// The name that a server proposes in `Content-Disposition` (already decoded), made safe: what
/// follows its last slash or backslash (RFC 6266 section 4.3). `None` if nothing is left of it.
pub(crate) fn from_disposition(proposed: &str) -> Option<String> {
    proposed.rsplit(['/', '\\']).next().and_then(visible)
}

/// One visible component: no separator, nothing that a terminal obeys or does not show, no dots or
/// space around it (hidden files, `.`, `..`, what other systems leave out), nothing that a program
/// would take for an option, at most [`LENGTH_MAX`] octets.
fn visible(text: &str) -> Option<String> {
    let text = text.trim_matches(is_loose);
    let name: String = text.chars().map(|c| if is_unfit(c) { '_' } else { c }).collect();
    let name = match name.strip_prefix('-') {
        Some(rest) => format!("_{rest}"),
        None => name,
    };
    (!name.is_empty()).then(|| shorten(name))
}

/// Cut to the length that filesystems take, at a character, the extension kept.
fn shorten(name: String) -> String {
    if name.len() <= LENGTH_MAX {
        return name;
    }
    let extension = name
        .rfind('.')
        .and_then(|dot| name.get(dot..))
        .filter(|extension| extension.len() <= EXTENSION_MAX)
        .unwrap_or_default();
    let room = LENGTH_MAX - extension.len();
    let stem = (0..=room).rev().find_map(|end| name.get(..end)).unwrap_or_default();
    format!("{stem}{extension}").trim_end_matches(is_loose).to_owned()
}

/// What a name neither begins nor ends with.
fn is_loose(c: char) -> bool {
    c == '.' || c.is_whitespace()
}

fn is_unfit(c: char) -> bool {
    c == '/' || c.is_control() || c == char::REPLACEMENT_CHARACTER || is_invisible(c)
}

/// Characters that are not seen, or that reorder those that are (general category Cf, and the line
/// separators).
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' | '\u{3164}' | '\u{ffa0}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `NAME_MAX` of Linux (limits.h).
const LENGTH_MAX: usize = 255;

/// What counts as an extension worth keeping, with its dot.
const EXTENSION_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_segment_names_the_file() {
        for (url, name) in [
            ("http://h/a/b.iso", "b.iso"),
            ("http://h/a/b.iso?x=/y#z", "b.iso"),
            ("http://h/a/b/", "b"),
            ("http://h/a//", "a"),
            ("http://h", "index.html"),
            ("http://h/?q=x", "index.html"),
            ("http://h/a%20b.txt", "a b.txt"),
            ("http://h/%C3%A9.txt", "é.txt"),
            ("http://h/%ff.txt", "_.txt"),
            ("http://h/%2fetc%2fpasswd", "_etc_passwd"),
            ("http://h/..%2f..%2fx", "_.._x"),
            ("http://h/a/../..", "index.html"),
            ("http://h/%2e%2e", "index.html"),
            ("http://h/.bashrc", "bashrc"),
            ("http://h/...", "index.html"),
            ("http://h/-rf", "_rf"),
            ("http://h/--", "_-"),
            ("http://h/.%20-rf", "_rf"),
            ("http://h/a.iso.%20.", "a.iso"),
            ("http://h/a%00b%0ac%1b%7f", "a_b_c__"),
            ("http://h/a%E2%80%AEgpj.exe", "a_gpj.exe"),
            ("http://h/%20%20", "index.html"),
            ("http://h/a%5cb", "a\\b"),
            ("http://h/x;type=a", "x;type=a"),
        ] {
            assert_eq!(from_url(&Url::parse(url).unwrap()), name, "{url}");
        }
    }

    #[test]
    fn a_proposed_name_is_its_last_component() {
        for (proposed, name) in [
            ("report.pdf", Some("report.pdf")),
            ("../../etc/passwd", Some("passwd")),
            ("C:\\Users\\x\\a.doc", Some("a.doc")),
            ("/abs", Some("abs")),
            (". . .x", Some("x")),
            ("x/-o", Some("_o")),
            ("-", Some("_")),
            (". .", None),
            ("..", None),
            (".", None),
            ("", None),
            ("a/", None),
            ("a\r\nSet-Cookie: x", Some("a__Set-Cookie: x")),
        ] {
            assert_eq!(from_disposition(proposed).as_deref(), name, "{proposed}");
        }
    }

    #[test]
    fn long_names_keep_their_extension_and_whole_characters() {
        let name = from_disposition(&format!("{}.tar", "é".repeat(300))).unwrap();
        assert!(name.len() <= LENGTH_MAX && name.ends_with("é.tar"), "{name}");
        assert_eq!(from_disposition(&"x".repeat(256)).unwrap().len(), 255);
        let not_one = format!("a.{}", "x".repeat(300));
        assert_eq!(from_disposition(&not_one).unwrap().len(), 255);
    }

    proptest! {
        #[test]
        fn whatever_is_proposed_is_one_visible_component(text in ".{0,400}") {
            if let Some(name) = from_disposition(&text) {
                prop_assert!(!name.is_empty() && name.len() <= LENGTH_MAX);
                prop_assert!(!name.starts_with(['.', '-', ' ']) && !name.ends_with(['.', ' ']));
                prop_assert!(!name.contains('/') && !name.chars().any(char::is_control));
                let path = std::path::Path::new("d").join(&name);
                prop_assert_eq!(path.components().count(), 2);
            }
        }
    }
}
