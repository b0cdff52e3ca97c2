//! Goes through a checksum file, line by line.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use super::{
    line::{self, Line},
    list::{self, Entry, List, NAME_SHOWN, Unknown},
};
use crate::{http, options::Digest};

/// Why a checksum file was not understood. `Display` is one line, escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    line: Option<usize>,
    what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl std::error::Error for Fault {}

/// No list is longer, in bytes.
pub const MOST: usize = 64 << 20;

/// The file that a list lies beside, by the list's name: `a.iso` for `a.iso.sha256`.
#[must_use]
pub fn beside(list: &[u8]) -> Option<&[u8]> {
    let name = list.rsplit(|&octet| octet == b'/').next()?;
    let dot = name.iter().rposition(|&octet| octet == b'.').filter(|&dot| dot > 0)?;
    let (stem, extension) = name.split_at_checked(dot)?;
    let extension = extension.to_ascii_lowercase();
    EXTENSIONS.contains(&extension.as_slice()).then_some(stem)
}

/// Understands a checksum file. The `name` of the list tells whether digests of 64 digits are
/// BLAKE3's (`.b3`, `B3SUMS`); a digest without a name is that of the file `beside` it.
///
/// # Errors
/// The first line that is none of a list, or what is wrong with the whole.
pub fn parse<'a>(text: &'a [u8], name: &[u8], beside: Option<&'a [u8]>) -> Result<List<'a>, Fault> {
    let whole = |what: &str| Fault { line: None, what: what.to_owned() };
    if text.len() > MOST {
        return Err(whole("it is larger than 64 MiB"));
    }
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let nul = text.contains(&0);
    let mut reader = Reader::new(line::Dialect { blake3: is_blake3(name), escapes: !nul }, beside);
    for (number, line) in text.split(|&octet| octet == if nul { 0 } else { b'\n' }).enumerate() {
        let line = if nul { line } else { line.strip_suffix(b"\r").unwrap_or(line) };
        let took = reader.take(line, number + 1);
        took.map_err(|what| Fault { line: Some(number + 1), what })?;
    }
    reader.finish().map_err(whole)
}

/// Goes through the lines.
struct Reader<'a> {
    dialect: line::Dialect,
    beside: Option<&'a [u8]>,
    armour: Armour,
    entries: Vec<Entry<'a>>,
    /// Where in `entries` a name is, without `./` before it.
    places: BTreeMap<Cow<'a, [u8]>, usize>,
    /// There was a digest without a name.
    bare: bool,
    /// There was one with a name.
    named: bool,
    unknown: Option<Unknown>,
}

/// Where in a signed message a line is (RFC 9580 section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Armour {
    /// There is none, so far.
    None,
    /// In its header.
    Header,
    /// In what is signed.
    Message,
    /// In the signature.
    Signature,
    /// Behind it.
    Over,
}

impl<'a> Reader<'a> {
    fn new(dialect: line::Dialect, beside: Option<&'a [u8]>) -> Self {
        Self {
            dialect,
            beside,
            armour: Armour::None,
            entries: Vec::new(),
            places: BTreeMap::new(),
            bare: false,
            named: false,
            unknown: None,
        }
    }

    fn take(&mut self, line: &'a [u8], number: usize) -> Result<(), String> {
        let edge = line.trim_ascii_end();
        match self.armour {
            Armour::None if edge == b"-----BEGIN PGP SIGNED MESSAGE-----" => {
                if !self.entries.is_empty() {
                    return Err(OUTSIDE.to_owned());
                }
                self.armour = Armour::Header;
                Ok(())
            }
            Armour::None => self.listed(line, number),
            Armour::Header => {
                if edge.is_empty() {
                    self.armour = Armour::Message;
                } else if !edge.contains(&b':') {
                    return Err("it is no field of a signed message's header".to_owned());
                }
                Ok(())
            }
            Armour::Message if edge == b"-----BEGIN PGP SIGNATURE-----" => {
                self.armour = Armour::Signature;
                Ok(())
            }
            Armour::Message => self.listed(line.strip_prefix(b"- ").unwrap_or(line), number),
            Armour::Signature => {
                if edge == b"-----END PGP SIGNATURE-----" {
                    self.armour = Armour::Over;
                }
                Ok(())
            }
            Armour::Over if edge.is_empty() => Ok(()),
            Armour::Over => Err(OUTSIDE.to_owned()),
        }
    }

    fn listed(&mut self, line: &'a [u8], number: usize) -> Result<(), String> {
        let (name, digest) = match line::parse(line, self.dialect)? {
            Line::Nothing => return Ok(()),
            Line::Bare(digest) => {
                self.bare = true;
                let beside = self.beside.ok_or(
                    "a digest without a name, and the list's own name does not tell of which file",
                )?;
                (Cow::Borrowed(beside), Some(digest))
            }
            Line::Named { name, digest } => {
                self.named = true;
                (name, Some(digest))
            }
            Line::Unknown { name, tag } => {
                self.named = true;
                let tag = || http::escape(tag, TAG_SHOWN);
                let unknown = self.unknown.get_or_insert_with(|| Unknown {
                    count: 0,
                    line: number,
                    tag: tag(),
                });
                unknown.count += 1;
                (name, None)
            }
        };
        if self.bare && self.named {
            return Err("a digest without a name in a list of names".to_owned());
        }
        self.add(name, digest)
    }

    fn add(&mut self, name: Cow<'a, [u8]>, digest: Option<Digest>) -> Result<(), String> {
        let next = self.entries.len();
        let place = *self.places.entry(plain(&name)).or_insert(next);
        if place == next {
            self.entries.push(Entry { name, digests: Vec::new() });
        }
        // It is there: it was pushed now or before.
        let (Some(entry), Some(digest)) = (self.entries.get_mut(place), digest) else {
            return Ok(());
        };
        if list::add(&mut entry.digests, &digest) {
            return Ok(());
        }
        let (name, kind) = (http::escape(&entry.name, NAME_SHOWN), digest.algorithm.name());
        Err(format!("{name} is listed with two digests of one kind ({kind})"))
    }

    fn finish(self) -> Result<List<'a>, &'static str> {
        match self.armour {
            Armour::Header | Armour::Message | Armour::Signature => {
                Err("the signed message breaks off")
            }
            Armour::None | Armour::Over if self.entries.is_empty() => {
                Err("there is no digest in it")
            }
            Armour::None | Armour::Over => Ok(List {
                entries: self.entries,
                signed: self.armour == Armour::Over,
                unknown: self.unknown,
            }),
        }
    }
}

/// A name without `./` before it, which means the same file.
fn plain<'a>(name: &Cow<'a, [u8]>) -> Cow<'a, [u8]> {
    match name {
        Cow::Borrowed(name) => Cow::Borrowed(without_dot(name)),
        Cow::Owned(name) => Cow::Owned(without_dot(name).to_vec()),
    }
}

fn without_dot(mut name: &[u8]) -> &[u8] {
    while let Some(rest) = name.strip_prefix(b"./").filter(|rest| !rest.is_empty()) {
        name = rest;
    }
    name
}

/// Whether digests of 64 digits in the list of this name are BLAKE3's.
fn is_blake3(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    BLAKE3.iter().any(|end| name.ends_with(end))
}

/// What a list's name ends with where it lies beside a file.
const EXTENSIONS: [&[u8]; 20] = [
    b".sha256",
    b".sha256sum",
    b".sha256sums",
    b".sha512",
    b".sha512sum",
    b".sha512sums",
    b".sha384",
    b".sha384sum",
    b".sha224",
    b".sha224sum",
    b".sha1",
    b".sha1sum",
    b".sha1sums",
    b".md5",
    b".md5sum",
    b".md5sums",
    b".b3",
    b".b3sum",
    b".blake3",
    b".checksum",
];
const BLAKE3: [&[u8]; 5] = [b".b3", b".b3sum", b"b3sums", b".blake3", b"blake3sums"];
const OUTSIDE: &str = "it is outside of the signed message";
/// Characters of an unknown algorithm's name that are shown.
const TAG_SHOWN: usize = 30;
