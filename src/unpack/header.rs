//! One block of a tar archive: its checksum and its numbers.

use tar::{EntryType, Header};

use super::fault;
use crate::orders::Failure;

/// A header whose checksum is right, and what it holds but names.
pub(super) struct Block(Header);

impl Block {
    /// Reads a block that is not all zeros.
    pub(super) fn parse(bytes: &[u8; BLOCK]) -> Result<Self, Failure> {
        if !has_checksum(bytes) {
            return Err(fault::archive("a header's checksum is wrong"));
        }
        let mut header = Header::new_old();
        *header.as_mut_bytes() = *bytes;
        // To all readers of tar, the fields of ustar are there whatever its version.
        if bytes.get(MAGIC) == Some(b"ustar\0")
            && let Some(version) = header.as_mut_bytes().get_mut(VERSION)
        {
            version.fill(b'0');
        }
        Ok(Self(header))
    }

    pub(super) fn kind(&self) -> EntryType {
        self.0.entry_type()
    }

    /// The name, with its prefix where the format has one.
    pub(super) fn name(&self) -> Vec<u8> {
        let name = text(&self.0.as_old().name);
        match self.0.as_ustar().map(|ustar| text(&ustar.prefix)) {
            Some(prefix) if !prefix.is_empty() => [prefix, b"/", name].concat(),
            _ => name.to_vec(),
        }
    }

    pub(super) fn link(&self) -> Vec<u8> {
        text(&self.0.as_old().linkname).to_vec()
    }

    pub(super) fn size(&self) -> Result<u64, Failure> {
        positive(&self.0.as_old().size, "size")
    }

    pub(super) fn mode(&self) -> Result<u32, Failure> {
        small(&self.0.as_old().mode, "mode").map(|mode| mode & 0o7777)
    }

    pub(super) fn owner(&self) -> Result<(u32, u32), Failure> {
        let old = self.0.as_old();
        Ok((small(&old.uid, "uid")?, small(&old.gid, "gid")?))
    }

    pub(super) fn mtime(&self) -> Result<i64, Failure> {
        number(&self.0.as_old().mtime).ok_or_else(|| bad("mtime"))
    }

    /// Major and minor number of a device.
    pub(super) fn device(&self) -> Result<(u32, u32), Failure> {
        match (self.0.as_ustar(), self.0.as_gnu()) {
            (Some(at), _) => Ok((small(&at.dev_major, "major")?, small(&at.dev_minor, "minor")?)),
            (_, Some(at)) => Ok((small(&at.dev_major, "major")?, small(&at.dev_minor, "minor")?)),
            _ => Err(bad("device")),
        }
    }

    /// The old GNU format of sparse files: the real size, the pieces in this block, whether a block
    /// of further pieces follows.
    pub(super) fn sparse(&self) -> Result<(u64, Vec<Piece>, bool), Failure> {
        let gnu = self.0.as_gnu().ok_or_else(|| fault::archive("a sparse member has no map"))?;
        let fields = gnu.sparse.iter().map(|s| (&s.offset, &s.numbytes));
        let pieces = pieces(fields)?;
        Ok((positive(&gnu.realsize, "real size")?, pieces, gnu.isextended[0] == 1))
    }
}

/// Further pieces of the map of a sparse file, and whether there are more still.
pub(super) fn more_pieces(block: &[u8; BLOCK]) -> Result<(Vec<Piece>, bool), Failure> {
    let mut more = tar::GnuExtSparseHeader::new();
    *more.as_mut_bytes() = *block;
    let fields = more.sparse.iter().map(|s| (&s.offset, &s.numbytes));
    Ok((pieces(fields)?, more.isextended[0] == 1))
}

/// Where a piece of a sparse file lies in it, and how long it is.
pub(super) type Piece = (u64, u64);

fn pieces<'a>(
    fields: impl Iterator<Item = (&'a [u8; 12], &'a [u8; 12])>,
) -> Result<Vec<Piece>, Failure> {
    let there = fields.take_while(|(offset, length)| offset[0] != 0 || length[0] != 0);
    there.map(|(offset, length)| Ok((positive(offset, "map")?, positive(length, "map")?))).collect()
}

/// Whether content begins like a tar archive: a header with its checksum, or the zeros of an empty
/// one.
pub(super) fn looks_like_tar(bytes: &[u8]) -> bool {
    let Ok(block) = <&[u8; BLOCK]>::try_from(bytes) else { return false };
    has_checksum(block) || is_zero(block)
}

pub(super) fn is_zero(block: &[u8; BLOCK]) -> bool {
    block.iter().all(|byte| *byte == 0)
}

/// The sum of all octets, the checksum's own taken for spaces; some old writers took octets as
/// signed.
fn has_checksum(block: &[u8; BLOCK]) -> bool {
    let octets =
        || block.iter().enumerate().map(|(at, b)| if SUM.contains(&at) { b' ' } else { *b });
    let unsigned: i64 = octets().map(i64::from).sum();
    let signed: i64 = octets().map(|octet| i64::from(octet.cast_signed())).sum();
    let stated = block.get(SUM).and_then(number);
    !is_zero(block) && stated.is_some_and(|stated| stated == unsigned || stated == signed)
}

fn bad(what: &str) -> Failure {
    fault::archive(format!("a header's {what} is no number"))
}

fn positive(field: &[u8], what: &str) -> Result<u64, Failure> {
    number(field).and_then(|n| u64::try_from(n).ok()).ok_or_else(|| bad(what))
}

fn small(field: &[u8], what: &str) -> Result<u32, Failure> {
    number(field).and_then(|n| u32::try_from(n).ok()).ok_or_else(|| bad(what))
}

/// A number of a header: octal digits, or, with the first bit set, the octets of a binary one.
fn number(field: &[u8]) -> Option<i64> {
    match field {
        [first, rest @ ..] if first & 0x80 != 0 => {
            let negative = first & 0x40 != 0;
            let top = if negative { i128::from(*first) - 0x100 } else { i128::from(first & 0x3f) };
            let all = rest.iter().try_fold(top, |sum, octet| {
                sum.checked_mul(256).map(|sum| sum + i128::from(*octet))
            })?;
            i64::try_from(all).ok()
        }
        _ => {
            let text = field.trim_ascii_start();
            let end = text.iter().position(|b| matches!(b, 0 | b' ')).unwrap_or(text.len());
            let (digits, rest) = text.split_at_checked(end)?;
            if rest.iter().any(|b| !matches!(b, 0 | b' ')) {
                return None;
            }
            digits.iter().try_fold(0_i64, |sum, digit| match digit {
                b'0'..=b'7' => sum.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
                _ => None,
            })
        }
    }
}

/// What comes before the NUL.
fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    field.get(..end).unwrap_or_default()
}

/// What everything in a tar archive is a multiple of.
pub(super) const BLOCK: usize = 512;
/// Where the format's name is, and its version.
const MAGIC: std::ops::Range<usize> = 257..263;
const VERSION: std::ops::Range<usize> = 263..265;
/// Where the checksum is.
const SUM: std::ops::Range<usize> = 148..156;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let table: &[(&[u8], Option<i64>)] = &[
            (b"0000644\0", Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"644", Some(0o644)),
            (b"\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"", Some(0)),
            (b"777777777777", Some(0o777_777_777_777)),
            (b"0000648\0", None),
            (b"-1\0", None),
            (b"0x1f\0", None),
            (b"12\x0034\0", None),
            (b"12 junk", None),
            (b"\x80\0\0\0\0\0\0\0\0\0\0\x05", Some(5)),
            (b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", Some(i64::MAX)),
            (b"\x80\0\0\0\x80\0\0\0\0\0\0\0", None),
            (b"\x80\x01\0\0\0\0\0\0\0\0\0\0", None),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
        ];
        for (field, want) in table {
            assert_eq!(number(field), *want, "{field:?}");
        }
    }
}
