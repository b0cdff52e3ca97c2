//! Extended headers of pax: records that replace or add to what a member's header says.

use super::{
    fault,
    header::Piece,
    sparse::{Map, PIECES},
};
use crate::orders::Failure;

/// What extended headers say of a member.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) mtime: Option<(i64, u32)>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    /// Names and values of extended attributes.
    pub(super) attributes: Vec<(Vec<u8>, Vec<u8>)>,
    sparse: Sparse,
}

/// GNU's words for sparse files, of three versions.
#[derive(Clone, Debug, Default)]
struct Sparse {
    major: Option<u64>,
    size: Option<u64>,
    name: Option<Vec<u8>>,
    pieces: Vec<Piece>,
    /// An offset whose length has not come.
    offset: Option<u64>,
    mapped: bool,
}

/// How a pax header says that a member is sparse.
#[derive(Debug)]
pub(super) enum Told {
    /// The map is in the header.
    Map(Map),
    /// The map comes before the content (version 1.0); the real size.
    Ahead(u64),
}

impl Said {
    /// Takes the records of one more header of a member.
    pub(super) fn add(&mut self, records: &[u8]) -> Result<(), Failure> {
        each(records, |key, value| self.record(key, value))
    }

    /// Takes the records of a header for all members that follow. What names or frames a single
    /// member has no business there.
    pub(super) fn add_for_all(&mut self, records: &[u8]) -> Result<(), Failure> {
        each(records, |key, value| {
            let single = matches!(key, b"path" | b"linkpath" | b"size");
            if single || key.starts_with(b"GNU.sparse.") {
                return Err(fault::archive("a header for all members names a single one"));
            }
            if key.starts_with(ATTRIBUTE) { Ok(()) } else { self.record(key, value) }
        })
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), Failure> {
        let given = (!value.is_empty()).then(|| value.to_vec());
        match key {
            b"path" => self.path = given,
            b"linkpath" => self.link = given,
            b"size" => self.size = whole(value)?,
            b"uid" => self.uid = whole(value)?.map(small).transpose()?,
            b"gid" => self.gid = whole(value)?.map(small).transpose()?,
            b"mtime" if value.is_empty() => self.mtime = None,
            b"mtime" => self.mtime = Some(time(value).ok_or_else(bad)?),
            _ => {
                if let Some(name) = key.strip_prefix(ATTRIBUTE) {
                    self.attributes.push((unescaped(name), value.to_vec()));
                } else if let Some(what) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.record(what, value)?;
                }
            }
        }
        Ok(())
    }

    /// The name of a sparse member; its header holds another for programs that do not know this.
    pub(super) fn sparse_name(&mut self) -> Option<Vec<u8>> {
        self.sparse.name.take()
    }

    /// Whether and how the member is sparse.
    pub(super) fn sparse(&mut self) -> Result<Option<Told>, Failure> {
        let Sparse { major, size, pieces, offset, mapped, .. } = std::mem::take(&mut self.sparse);
        let no_map = || fault::archive("a sparse member has no map");
        match (major, size) {
            (Some(1), Some(size)) => Ok(Some(Told::Ahead(size))),
            (None | Some(0), Some(size)) if mapped && offset.is_none() => {
                Ok(Some(Told::Map(Map::new(pieces, size)?)))
            }
            (None, None) if !mapped => Ok(None),
            _ => Err(no_map()),
        }
    }
}

impl Sparse {
    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), Failure> {
        match key {
            b"major" => self.major = whole(value)?,
            b"size" | b"realsize" => self.size = whole(value)?,
            b"name" => self.name = Some(value.to_vec()),
            b"numblocks" => self.mapped = true,
            b"offset" => {
                self.mapped = true;
                self.offset = whole(value)?;
            }
            b"numbytes" => {
                let offset = self.offset.take().ok_or_else(bad)?;
                self.piece(offset, whole(value)?.ok_or_else(bad)?)?;
            }
            b"map" => {
                self.mapped = true;
                let mut numbers = value.split(|b| *b == b',').filter(|text| !text.is_empty());
                while let Some(offset) = numbers.next() {
                    let length = numbers.next().ok_or_else(bad)?;
                    let (offset, length) = (whole(offset)?, whole(length)?);
                    self.piece(offset.ok_or_else(bad)?, length.ok_or_else(bad)?)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn piece(&mut self, offset: u64, length: u64) -> Result<(), Failure> {
        if self.pieces.len() >= PIECES {
            return Err(fault::archive("a sparse member has too many pieces"));
        }
        self.pieces.push((offset, length));
        Ok(())
    }
}

/// Calls `take` with key and value of every record: `LENGTH KEY=VALUE\n`.
fn each(
    mut records: &[u8],
    mut take: impl FnMut(&[u8], &[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    while !records.is_empty() {
        let space = records.iter().position(|b| *b == b' ').ok_or_else(bad)?;
        let (digits, _) = records.split_at_checked(space).ok_or_else(bad)?;
        let length = whole(digits)?.and_then(|n| usize::try_from(n).ok()).ok_or_else(bad)?;
        let (record, rest) = records.split_at_checked(length).ok_or_else(bad)?;
        let record = record.get(space + 1..).and_then(|r| r.strip_suffix(b"\n"));
        let record = record.ok_or_else(bad)?;
        let equals = record.iter().position(|b| *b == b'=').ok_or_else(bad)?;
        let (key, value) = record.split_at_checked(equals).ok_or_else(bad)?;
        take(key, value.get(1..).unwrap_or_default())?;
        records = rest;
    }
    Ok(())
}

/// The name of an attribute as it was: GNU tar escapes what would end a key, and its own sign.
fn unescaped(mut name: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let (rest, octet) = match name {
            [] => return out,
            [b'%', b'3', b'D', rest @ ..] => (rest, b'='),
            [b'%', b'2', b'5', rest @ ..] => (rest, b'%'),
            [first, rest @ ..] => (rest, *first),
        };
        out.push(octet);
        name = rest;
    }
}

/// A decimal number; `None` where the value is empty, which takes an earlier one back.
pub(super) fn whole(text: &[u8]) -> Result<Option<u64>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    let number = text.iter().try_fold(0_u64, |sum, digit| match digit {
        b'0'..=b'9' => sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    });
    // What a file can be long.
    number.filter(|n| i64::try_from(*n).is_ok()).map(Some).ok_or_else(bad)
}

fn small(number: u64) -> Result<u32, Failure> {
    u32::try_from(number).map_err(|_| bad())
}

/// Seconds and nanoseconds of `1700000000.25`, which may be negative.
fn time(text: &[u8]) -> Option<(i64, u32)> {
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let dot = text.iter().position(|b| *b == b'.').unwrap_or(text.len());
    let (seconds, fraction) = text.split_at_checked(dot)?;
    let seconds = i64::try_from(whole(seconds).ok()??).ok()?;
    let fraction = fraction.get(1..).unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = fraction.iter().chain(std::iter::repeat(&b'0')).take(9);
    let nanos = digits.fold(0_u32, |sum, digit| 10 * sum + u32::from(digit - b'0'));
    Some(match (negative, nanos) {
        (false, _) => (seconds, nanos),
        (true, 0) => (-seconds, 0),
        // Nanoseconds count forward from the second below.
        (true, _) => (-seconds - 1, 1_000_000_000 - nanos),
    })
}

fn bad() -> Failure {
    fault::archive("an extended header cannot be read")
}

const ATTRIBUTE: &[u8] = b"SCHILY.xattr.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let table: &[(&str, Option<(i64, u32)>)] = &[
            ("0", Some((0, 0))),
            ("1700000000.25", Some((1_700_000_000, 250_000_000))),
            ("1.123456789999", Some((1, 123_456_789))),
            ("-1", Some((-1, 0))),
            ("-1.5", Some((-2, 500_000_000))),
            ("1.", Some((1, 0))),
            ("", None),
            (".5", None),
            ("1.5x", None),
            ("1e5", None),
            ("99999999999999999999", None),
        ];
        for (text, want) in table {
            assert_eq!(time(text.as_bytes()), *want, "{text}");
        }
    }

    #[test]
    fn records_that_cannot_be_read() {
        for text in ["x", "5", "0 a=b\n", "9 a=b\n", "6 a=b", "5 a=b\n", "6 abb\n", "-6 a=b\n"] {
            assert!(Said::default().add(text.as_bytes()).is_err(), "{text:?}");
        }
        let mut said = Said::default();
        said.add(b"10 path=a\n8 size=\n25 SCHILY.xattr.user.a=\0\n").unwrap();
        assert_eq!(said.path.as_deref(), Some(&b"a"[..]));
        assert_eq!(said.attributes, [(b"user.a".to_vec(), b"\0".to_vec())]);
    }

    #[test]
    fn names_of_attributes() {
        for (key, want) in [
            ("user.a%3Db", "user.a=b"),
            ("user.100%25", "user.100%"),
            ("user.%253D", "user.%3D"),
            ("user.%3d%41%", "user.%3d%41%"),
        ] {
            let rest = format!(" SCHILY.xattr.{key}=v\n");
            let mut said = Said::default();
            said.add(format!("{}{rest}", rest.len() + 2).as_bytes()).unwrap();
            assert_eq!(said.attributes, [(want.as_bytes().to_vec(), b"v".to_vec())]);
        }
    }

    #[test]
    fn a_header_for_all_frames_none() {
        for text in ["10 path=a\n", "14 linkpath=a\n", "10 size=5\n", "23 GNU.sparse.major=1\n"] {
            assert!(Said::default().add_for_all(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
