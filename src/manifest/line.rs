//! One line of a checksum file.

use std::borrow::Cow;

use crate::{
    http,
    options::{Algorithm, Digest},
};

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Nothing: it is empty, or a comment.
    Nothing,
    /// A digest, and not of what.
    Bare(Digest),
    /// A digest and a name.
    Named { name: Cow<'a, [u8]>, digest: Digest },
    /// A digest that cannot be checked.
    Unknown { name: Cow<'a, [u8]>, tag: &'a [u8] },
}

/// How lines of a list are to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialect {
    /// Digests of 64 digits are BLAKE3's, not SHA-256's.
    pub(super) blake3: bool,
    /// A backslash at the start means that there are escapes in the name.
    pub(super) escapes: bool,
}

/// Understands a line, without what ended it.
///
/// # Errors
/// In words.
pub(super) fn parse(line: &[u8], dialect: Dialect) -> Result<Line<'_>, String> {
    if line.first() == Some(&b'#') {
        return Ok(Line::Nothing);
    }
    let line = line.trim_ascii_start();
    if line.is_empty() {
        return Ok(Line::Nothing);
    }
    let (escaped, rest) = match line.strip_prefix(b"\\").filter(|_| dialect.escapes) {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let digits = rest.iter().take_while(|octet| octet.is_ascii_hexdigit()).count();
    let (hex, after) = rest.split_at_checked(digits).unwrap_or((rest, &[]));
    if digits >= LEAST_DIGITS && after.first().is_none_or(|&octet| is_blank(octet)) {
        return untagged(hex, after, escaped, dialect);
    }
    tagged(rest, escaped)
        .unwrap_or_else(|| Err(format!("\"{}\" is no line of a checksum file", shown(line))))
}

/// `HEX  NAME`, `HEX *NAME`, `HEX NAME` or `HEX`.
fn untagged<'a>(
    hex: &[u8],
    after: &'a [u8],
    escaped: bool,
    dialect: Dialect,
) -> Result<Line<'a>, String> {
    let algorithm = match hex.len() {
        64 if dialect.blake3 => Some(Algorithm::Blake3),
        digits => BY_LENGTH.into_iter().find(|of| of.hex_len() == digits),
    };
    let algorithm =
        algorithm.ok_or_else(|| format!("{} hex digits: uget knows no such digest", hex.len()))?;
    let digest = digest(algorithm, hex)?;
    if after.len() < 2 && !escaped {
        return Ok(Line::Bare(digest));
    }
    let name = after.get(1..).unwrap_or_default();
    let name = name.strip_prefix(b" ").or_else(|| name.strip_prefix(b"*")).unwrap_or(name);
    Ok(Line::Named { name: unescaped(name, escaped)?, digest })
}

/// `TAG (NAME) = HEX`, with or without the blanks. `None` if it is something else.
fn tagged(line: &[u8], escaped: bool) -> Option<Result<Line<'_>, String>> {
    let is_tag = |octet: &u8| octet.is_ascii_alphanumeric() || b"-/_".contains(octet);
    let (tag, rest) = line.split_at_checked(line.iter().take_while(|o| is_tag(o)).count())?;
    let rest = rest.strip_prefix(b" ").unwrap_or(rest).strip_prefix(b"(")?;
    // What follows the last bracket cannot hold one.
    let (name, tail) = rest.split_at_checked(rest.iter().rposition(|&octet| octet == b')')?)?;
    let value = tail.get(1..)?.trim_ascii().strip_prefix(b"=")?.trim_ascii();
    if tag.is_empty() || value.is_empty() {
        return None;
    }
    Some(with_tag(tag, name, value, escaped))
}

fn with_tag<'a>(
    tag: &'a [u8],
    name: &'a [u8],
    value: &[u8],
    escaped: bool,
) -> Result<Line<'a>, String> {
    let name = unescaped(name, escaped)?;
    match algorithm(tag) {
        Some(algorithm) => Ok(Line::Named { name, digest: digest(algorithm, value)? }),
        None => Ok(Line::Unknown { name, tag }),
    }
}

/// The algorithm of a tag, as coreutils, OpenSSL and the BSDs write it.
fn algorithm(tag: &[u8]) -> Option<Algorithm> {
    let tag = std::str::from_utf8(tag).ok()?.to_ascii_lowercase();
    tag.replace("sha2-", "sha").parse().ok()
}

fn digest(algorithm: Algorithm, hex: &[u8]) -> Result<Digest, String> {
    Digest::new(algorithm, &String::from_utf8_lossy(hex))
}

/// The name behind its escapes, if it has any.
fn unescaped(name: &[u8], escaped: bool) -> Result<Cow<'_, [u8]>, String> {
    if name.is_empty() {
        return Err(NAMELESS.to_owned());
    }
    if !escaped {
        return Ok(Cow::Borrowed(name));
    }
    let mut plain = Vec::with_capacity(name.len());
    let mut octets = name.iter();
    while let Some(&octet) = octets.next() {
        plain.push(match (octet, octet == b'\\') {
            (octet, false) => octet,
            (_, true) => match octets.next() {
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b'\\') => b'\\',
                _ => return Err(format!("bad escape in the name {}", shown(name))),
            },
        });
    }
    Ok(Cow::Owned(plain))
}

fn is_blank(octet: u8) -> bool {
    octet == b' ' || octet == b'\t'
}

fn shown(text: &[u8]) -> String {
    http::escape(text, SHOWN)
}

/// Algorithms by the length of their digests, where nothing else tells.
const BY_LENGTH: [Algorithm; 6] = [
    Algorithm::Sha256,
    Algorithm::Sha512,
    Algorithm::Sha384,
    Algorithm::Sha224,
    Algorithm::Sha1,
    Algorithm::Md5,
];
/// A word of hex digits that is shorter is no digest: a tag may be made of such letters.
const LEAST_DIGITS: usize = 16;
const NAMELESS: &str = "the name is missing";
/// Characters of a line that are shown.
const SHOWN: usize = 80;
