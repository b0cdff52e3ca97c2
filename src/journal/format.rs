//! Records and their checksums: the bytes of a journal.
//!
//! ```text
//! 0        8        12
//! +--------+--------+----------+----------+----
//! | magic  | version| record   | record   | ...      all numbers little-endian
//! +--------+--------+----------+----------+----
//!
//! record:  crc u32 | kind u16 | length u16 | payload (length octets)
//! header   (kind 1): total u64 (2^64-1: unknown) | complete u64 (the same) | inode u64
//!                    | identity [u8; 32] | epoch text | url text | validator text
//! written  (kind 2): start u64 | end u64 | crc of the bytes u32
//! synced   (kind 3): start u64 | end u64
//! sealed   (kind 4): size u64 | modified time | changed time
//! time:    seconds i64 | nanoseconds u32
//! text:    length u16 (2^16-1: absent) | UTF-8
//! ```
//!
//! The checksum of a record continues from the checksum of the record before it (and the first from
//! the preamble), so a record that is believed vouches for everything in front of it, and a stale
//! block of an older journal, a repeated or a reordered record is as visible as a flipped bit. The
//! version sits before the first record, so that any later format can be told apart unread.
//! Checksums are CRC-32 (ISO-HDLC: zlib's).

use std::ops::Range;

use crc32fast::Hasher;

use super::claims::Claim;

/// What is being downloaded, into which file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The boot of the machine and the mount of the filesystem under which unsynced records hold.
    pub epoch: String,
    /// A hash that names the resource asked for; equal only if its bytes may be joined.
    pub identity: [u8; 32],
    /// The URL for human readers, without secrets. Never compared.
    pub url: String,
    /// How many bytes are wanted, if that was known.
    pub total: Option<u64>,
    /// The complete length of the object: more than that where only a slice of it is wanted.
    pub complete: Option<u64>,
    /// The strong validator, if there was one. One longer than 8 KiB counts as none.
    pub validator: Option<String>,
    /// The part file's inode number; 0 where the filesystem has no lasting ones.
    pub inode: u64,
}

/// One entry of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Always the first, and only there.
    Header(Header),
    /// The kernel has these bytes.
    Written(Claim),
    /// The disk has these bytes, which were written.
    Synced(Range<u64>),
    /// The part file was left like this: if it still is, every claim holds. Only ever the last.
    Sealed(Seal),
}

/// How the part file was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// Its length.
    pub size: u64,
    /// When its bytes were changed last, in seconds and nanoseconds: a time that no write leaves.
    pub modified: (i64, u32),
    /// When anything of it was changed last. Programs cannot choose it.
    pub changed: (i64, u32),
}

/// The running checksum: each record's continues from the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain(u32);

impl Chain {
    /// The chain at the end of the preamble.
    #[must_use]
    pub fn start() -> Self {
        Self(crc32(0, &PREAMBLE))
    }
}

/// Appends `record` to `out` and moves the chain on.
pub fn encode(record: &Record, chain: &mut Chain, out: &mut Vec<u8>) {
    let mut body = Vec::with_capacity(64);
    body.extend_from_slice(&record.kind().to_le_bytes());
    body.extend_from_slice(&[0; 2]);
    match record {
        Record::Header(header) => header.encode(&mut body),
        Record::Written(claim) => {
            put_range(&mut body, &claim.range);
            body.extend_from_slice(&claim.crc.to_le_bytes());
        }
        Record::Synced(range) => put_range(&mut body, range),
        Record::Sealed(seal) => {
            body.extend_from_slice(&seal.size.to_le_bytes());
            for (seconds, nanos) in [seal.modified, seal.changed] {
                body.extend_from_slice(&seconds.to_le_bytes());
                body.extend_from_slice(&nanos.to_le_bytes());
            }
        }
    }
    // A header is at most 64 + 3 * (2 + TEXT_MAX) octets, which fits.
    let length = u16::try_from(body.len() - 4).unwrap_or(u16::MAX);
    body[2..4].copy_from_slice(&length.to_le_bytes());
    chain.0 = crc32(chain.0, &body);
    out.extend_from_slice(&chain.0.to_le_bytes());
    out.extend_from_slice(&body);
}

/// Reads the record at the front of `input` and moves the chain on; returns it with the octets it
/// takes. `None`: torn or damaged here, and the chain stays where it was.
pub(super) fn decode(input: &[u8], chain: &mut Chain) -> Option<(Record, usize)> {
    let (crc, body) = input.split_first_chunk::<4>()?;
    let mut fields = Reader(body);
    let kind = fields.u16()?;
    let length = usize::from(fields.u16()?);
    let body = body.get(..length.checked_add(4)?)?;
    let sum = crc32(chain.0, body);
    if sum != u32::from_le_bytes(*crc) {
        return None;
    }
    let mut payload = Reader(body.get(4..)?);
    let record = match kind {
        HEADER => Record::Header(Header::decode(&mut payload)?),
        WRITTEN => Record::Written(Claim { range: payload.range()?, crc: payload.u32()? }),
        SYNCED => Record::Synced(payload.range()?),
        SEALED => Record::Sealed(Seal {
            size: payload.u64()?,
            modified: payload.time()?,
            changed: payload.time()?,
        }),
        _ => return None,
    };
    if !payload.0.is_empty() {
        return None;
    }
    chain.0 = sum;
    Some((record, length + FRAME))
}

impl Record {
    fn kind(&self) -> u16 {
        match self {
            Self::Header(_) => HEADER,
            Self::Written(_) => WRITTEN,
            Self::Synced(_) => SYNCED,
            Self::Sealed(_) => SEALED,
        }
    }
}

impl Header {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.total.unwrap_or(UNKNOWN).to_le_bytes());
        out.extend_from_slice(&self.complete.unwrap_or(UNKNOWN).to_le_bytes());
        out.extend_from_slice(&self.inode.to_le_bytes());
        out.extend_from_slice(&self.identity);
        put_text(out, Some(cut(&self.epoch)));
        put_text(out, Some(cut(&self.url)));
        put_text(out, self.validator.as_deref().filter(|v| v.len() <= TEXT_MAX));
    }

    fn decode(payload: &mut Reader<'_>) -> Option<Self> {
        let total = payload.u64()?;
        let complete = payload.u64()?;
        let inode = payload.u64()?;
        let identity = *payload.take::<32>()?;
        Some(Self {
            total: (total != UNKNOWN).then_some(total),
            complete: (complete != UNKNOWN).then_some(complete),
            inode,
            identity,
            epoch: payload.text()??,
            url: payload.text()??,
            validator: payload.text()?,
        })
    }
}

/// What is left of a record to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(head)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(|octets| u16::from_le_bytes(*octets))
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(|octets| u32::from_le_bytes(*octets))
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(|octets| u64::from_le_bytes(*octets))
    }

    fn range(&mut self) -> Option<Range<u64>> {
        Some(self.u64()?..self.u64()?)
    }

    fn time(&mut self) -> Option<(i64, u32)> {
        Some((self.take().map(|octets| i64::from_le_bytes(*octets))?, self.u32()?))
    }

    /// The outer `None` is damage, the inner an absent text.
    fn text(&mut self) -> Option<Option<String>> {
        let length = self.u16()?;
        if length == ABSENT {
            return Some(None);
        }
        let (head, rest) = self.0.split_at_checked(usize::from(length))?;
        self.0 = rest;
        Some(Some(std::str::from_utf8(head).ok()?.to_owned()))
    }
}

fn put_range(out: &mut Vec<u8>, range: &Range<u64>) {
    out.extend_from_slice(&range.start.to_le_bytes());
    out.extend_from_slice(&range.end.to_le_bytes());
}

fn put_text(out: &mut Vec<u8>, text: Option<&str>) {
    let length = text.map_or(ABSENT, |t| u16::try_from(t.len()).unwrap_or(0));
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(text.unwrap_or_default().as_bytes());
}

/// At most [`TEXT_MAX`] octets of a text, whole characters.
fn cut(text: &str) -> &str {
    (0..=TEXT_MAX).rev().find_map(|end| text.get(..end.min(text.len()))).unwrap_or_default()
}

/// The checksum of `data`, continuing from `crc`.
fn crc32(crc: u32, data: &[u8]) -> u32 {
    let mut sum = Hasher::new_with_initial(crc);
    sum.update(data);
    sum.finalize()
}

/// The format written and read here. Old journals are of value for hours: another version means a
/// fresh start, in either direction.
pub const VERSION: u32 = 3;

/// The first octets of every journal: magic and version.
pub const PREAMBLE: [u8; 12] = {
    let v = VERSION.to_le_bytes();
    [b'u', b'g', b'e', b't', b'j', b'r', b'n', b'\n', v[0], v[1], v[2], v[3]]
};

/// The octets of magic at the front of the preamble.
pub(super) const MAGIC_LENGTH: usize = 8;

/// The longest text in a header, in octets.
pub(super) const TEXT_MAX: usize = 8 << 10;

/// Octets around a payload.
const FRAME: usize = 8;

/// The octets of a record that holds a claim.
pub(super) const CLAIM_RECORD: usize = FRAME + 20;

const HEADER: u16 = 1;
const WRITTEN: u16 = 2;
const SYNCED: u16 = 3;
const SEALED: u16 = 4;
const UNKNOWN: u64 = u64::MAX;
const ABSENT: u16 = u16::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_the_standard_test_vector() {
        assert_eq!(crc32(0, b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(crc32(0, b"1234"), b"56789"), crc32(0, b"123456789"));
    }

    #[test]
    fn texts_beyond_the_limit_are_cut_or_absent() {
        let header = Header {
            epoch: "e".into(),
            identity: [7; 32],
            url: "ü".repeat(TEXT_MAX),
            total: None,
            complete: None,
            validator: Some("v".repeat(TEXT_MAX + 1)),
            inode: 0,
        };
        let mut out = Vec::new();
        encode(&Record::Header(header), &mut Chain::start(), &mut out);
        let (record, used) = decode(&out, &mut Chain::start()).unwrap();
        assert_eq!(used, out.len());
        let Record::Header(read) = record else { panic!("{record:?}") };
        assert_eq!(read.url.len(), TEXT_MAX);
        assert_eq!(read.validator, None);
    }

    #[test]
    fn the_golden_bytes_of_version_3() {
        let header = Header {
            epoch: "boot".into(),
            identity: [0xab; 32],
            url: "http://h/f".into(),
            total: Some(1000),
            complete: Some(2000),
            validator: Some("\"v1\"".into()),
            inode: 5,
        };
        let mut chain = Chain::start();
        let mut out = PREAMBLE.to_vec();
        encode(&Record::Header(header), &mut chain, &mut out);
        let claim = Claim { range: 0..512, crc: 0x1234_5678 };
        encode(&Record::Written(claim), &mut chain, &mut out);
        encode(&Record::Synced(0..256), &mut chain, &mut out);
        let seal = Seal { size: 1000, modified: (-1, 999_999_999), changed: (1 << 33, 7) };
        encode(&Record::Sealed(seal), &mut chain, &mut out);
        let hex: String = out.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, GOLDEN, "a change of the format needs a new VERSION");
    }

    const GOLDEN: &str = "\
        756765746a726e0a03000000aa9f60a001005000e803000000000000d00700000000000005000000\
        00000000abababababababababababababababababababababababababababababababab0400626f\
        6f740a00687474703a2f2f682f660400227631221ba3fc7a02001400000000000000000000020000\
        0000000078563412b283bdc80300100000000000000000000001000000000000debd3ff404002000\
        e803000000000000ffffffffffffffffffc99a3b000000000200000007000000";
}
