//! What a checksum file says, and which of its entries are about one download.

use std::borrow::Cow;

use crate::{http, options::Digest};

/// A checksum file that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<'a> {
    /// The names in their order, each once.
    pub entries: Vec<Entry<'a>>,
    /// It is a signed message. The signature was not looked at.
    pub signed: bool,
    /// Digests of algorithms that uget does not know, which nothing is checked against.
    pub unknown: Option<Unknown>,
}

/// A name, and what the file must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// As it is listed: a path relative to the list, whose octets need not be text.
    pub name: Cow<'a, [u8]>,
    /// Every one of them must match, at most one of a kind. There is none where the algorithms are
    /// unknown.
    pub digests: Vec<Digest>,
}

/// Digests that cannot be checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// How many there are.
    pub count: usize,
    /// The line of the first, counted from 1.
    pub line: usize,
    /// Its algorithm's name, escaped.
    pub tag: String,
}

/// Why a list says nothing of a download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unlisted {
    /// It names it nowhere.
    Absent,
    /// It names several files that may be meant, and they differ: two of them, escaped.
    Ambiguous(String, String),
    /// It names it, but with no digest that uget knows.
    Unknown,
}

impl List<'_> {
    /// The digests of a download that is known under these paths: that of its URL, that of its
    /// target. An entry is about it if its whole path is the end of one of them; where no entry is,
    /// those whose last component is the same. Entries that contradict each other are an error.
    ///
    /// # Errors
    /// As [`Unlisted`] says.
    pub fn digests(&self, paths: &[&[u8]]) -> Result<Vec<Digest>, Unlisted> {
        let paths: Vec<Vec<&[u8]>> = paths.iter().map(|path| components(path)).collect();
        let mut exact = Vec::new();
        let mut alike = Vec::new();
        for entry in &self.entries {
            let own = components(&entry.name);
            if own.is_empty() {
                continue;
            }
            if paths.iter().any(|path| path.ends_with(&own)) {
                exact.push(entry);
            } else if paths.iter().any(|path| path.last() == own.last()) {
                alike.push(entry);
            }
        }
        united(if exact.is_empty() { &alike } else { &exact })
    }
}

/// What entries that are about one file say together.
fn united(entries: &[&Entry<'_>]) -> Result<Vec<Digest>, Unlisted> {
    let mut digests = Vec::new();
    let first = entries.first().ok_or(Unlisted::Absent)?;
    for entry in entries {
        for digest in &entry.digests {
            if !add(&mut digests, digest) {
                let shown = |entry: &Entry<'_>| http::escape(&entry.name, NAME_SHOWN);
                return Err(Unlisted::Ambiguous(shown(first), shown(entry)));
            }
        }
    }
    if digests.is_empty() { Err(Unlisted::Unknown) } else { Ok(digests) }
}

/// Adds a digest, unless it is there already. False if there is another of its kind.
pub fn add(digests: &mut Vec<Digest>, digest: &Digest) -> bool {
    match digests.iter().find(|given| given.algorithm == digest.algorithm) {
        Some(given) => given.hex == digest.hex,
        None => {
            digests.push(digest.clone());
            true
        }
    }
}

/// The components of a path, without those that say nothing.
fn components(path: &[u8]) -> Vec<&[u8]> {
    let parts = path.split(|&octet| octet == b'/');
    parts.filter(|part| !part.is_empty() && *part != b".").collect()
}

/// Characters of a name that are shown.
pub(super) const NAME_SHOWN: usize = 200;
