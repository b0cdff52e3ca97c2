//! Objects made up from a seed: any length, any position, the same bytes every time.

use std::{
    fs::File,
    io::{self, Read, Write as _},
    ops::Range,
    sync::Arc,
};

use rustix::fs::{MemfdFlags, memfd_create};
use sha2::{Digest as _, Sha256};

use super::{answer::Metadata, condition::Version, host::available_memory, media};

/// An object whose bytes follow from its seed: incompressible, and known at every position
/// without the ones before it.
#[derive(Clone, Debug)]
pub struct Synthetic {
    length: u64,
    seed: u64,
    stored: Option<Arc<File>>,
}

impl Synthetic {
    /// An object of `length` bytes. It takes no memory; its bytes are computed when they are sent,
    /// which costs the serving side about as much time as sending them.
    #[must_use]
    pub fn new(length: u64, seed: u64) -> Self {
        Self { length, seed, stored: None }
    }

    /// The same with its bytes laid out in memory (a memfd), so that they can be sent with
    /// sendfile(2) and serving costs next to nothing: what a benchmark wants that shares its
    /// processors with what it measures. It can be no larger than the memory that is available,
    /// because these pages can go nowhere else without swap.
    ///
    /// # Errors
    ///
    /// `OutOfMemory` when it would take more than three quarters of the memory that
    /// `/proc/meminfo` calls available; otherwise what memfd_create(2) and write(2) report.
    pub fn in_memory(self) -> io::Result<Self> {
        if available_memory().is_some_and(|available| self.length > available / 4 * 3) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let mut file = File::from(memfd_create("uget synthetic object", MemfdFlags::CLOEXEC)?);
        self.for_each_block(|block| file.write_all(block))?;
        Ok(Self { stored: Some(Arc::new(file)), ..self })
    }

    /// Its length in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Fills `out` with the bytes from position `offset` on. Past the end the pattern goes on.
    pub fn fill(&self, offset: u64, out: &mut [u8]) {
        let mut index = offset / WORD;
        let lead = (offset % WORD) as usize;
        let mut rest = out;
        if lead > 0 {
            let word = self.word(index);
            let taken = rest.len().min(word.len() - lead);
            let (now, later) = rest.split_at_mut(taken);
            now.copy_from_slice(&word[lead..lead + taken]);
            (rest, index) = (later, index.wrapping_add(1));
        }
        let (words, tail) = rest.as_chunks_mut();
        for word in words {
            *word = self.word(index);
            index = index.wrapping_add(1);
        }
        tail.copy_from_slice(&self.word(index)[..tail.len()]);
    }

    /// The SHA-256 of the whole object, in lower-case hex.
    #[must_use]
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        let hashed: Result<(), std::convert::Infallible> = self.for_each_block(|block| {
            hash.update(block);
            Ok(())
        });
        let Ok(()) = hashed;
        hex::encode(hash.finalize())
    }

    /// Holds what `reader` yields against this object, byte by byte. `None` if it is the same;
    /// else the position of the first difference, which is where the shorter one ends if that
    /// comes first.
    ///
    /// # Errors
    ///
    /// What reading reports.
    pub fn first_difference(&self, mut reader: impl Read) -> io::Result<Option<u64>> {
        let (mut wanted, mut found) = (vec![0; BLOCK], vec![0; BLOCK]);
        for range in blocks(0..self.length) {
            let length = (range.end - range.start) as usize;
            let (wanted, found) = (&mut wanted[..length], &mut found[..length]);
            self.fill(range.start, wanted);
            let read = read_full(&mut reader, found)?;
            let same = wanted.iter().zip(&found[..read]).take_while(|(a, b)| a == b).count();
            if same < length {
                return Ok(Some(range.start + same as u64));
            }
        }
        let more = read_full(&mut reader, &mut [0])? > 0;
        Ok(more.then_some(self.length))
    }

    pub(super) fn metadata(&self) -> Metadata {
        let etag = format!("\"synthetic-{:x}-{:x}\"", self.seed, self.length);
        Metadata {
            length: self.length,
            version: Version { etag: Some(etag), modified: Some(MODIFIED) },
            media_type: media::OCTETS,
            ranges: true,
        }
    }

    /// The file that holds its bytes, if they were laid out.
    pub(super) fn stored(&self) -> Option<&Arc<File>> {
        self.stored.as_ref()
    }

    fn for_each_block<E>(
        &self,
        mut use_block: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut block = vec![0; BLOCK];
        for range in blocks(0..self.length) {
            // A block is at most `BLOCK` long, which a `usize` holds.
            let block = &mut block[..(range.end - range.start) as usize];
            self.fill(range.start, block);
            use_block(block)?;
        }
        Ok(())
    }

    /// The eight bytes at position `8 * index`: SplitMix64 as a function of its counter.
    fn word(&self, index: u64) -> [u8; WORD as usize] {
        let mut z =
            self.seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).to_le_bytes()
    }
}

/// Reads until `buffer` is full or the end; returns how much there was.
fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// `range` in pieces of at most [`BLOCK`] bytes.
pub(super) fn blocks(range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let mut next = range.start;
    std::iter::from_fn(move || {
        let start = next;
        next = range.end.min(start.saturating_add(BLOCK as u64));
        (start < next).then_some(start..next)
    })
}

/// Bytes that are computed at once: they stay in the processor's cache until they are sent.
pub(super) const BLOCK: usize = 256 * 1024;
const WORD: u64 = 8;
/// 2001-09-09T01:46:40Z: the same on every run, and old enough to be a strong validator.
const MODIFIED: i64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_window_holds_the_same_bytes() {
        let object = Synthetic::new(100, 7);
        let mut whole = [0; 100];
        object.fill(0, &mut whole);
        for start in 0..whole.len() {
            for end in start..=whole.len() {
                let mut part = vec![0; end - start];
                object.fill(start as u64, &mut part);
                assert_eq!(part, whole[start..end], "{start}..{end}");
            }
        }
        let mut other = [0; 100];
        Synthetic::new(100, 8).fill(0, &mut other);
        assert_ne!(whole, other);
    }

    #[test]
    fn the_largest_positions_do_not_overflow() {
        let object = Synthetic::new(u64::MAX, u64::MAX);
        let mut bytes = [0; 100];
        object.fill(u64::MAX - 50, &mut bytes);
        assert_eq!(blocks(u64::MAX - 5..u64::MAX).next(), Some(u64::MAX - 5..u64::MAX));
        assert_eq!(blocks(u64::MAX - 5..u64::MAX).count(), 1);
        assert_eq!(blocks(3..3).count(), 0);
    }

    #[test]
    fn the_digest_is_that_of_the_bytes() {
        let object = Synthetic::new(BLOCK as u64 + 3, 1);
        let mut bytes = vec![0; BLOCK + 3];
        object.fill(0, &mut bytes);
        let wanted = hex::encode(Sha256::digest(&bytes));
        assert_eq!(object.sha256(), wanted);
        let stored = object.in_memory().expect("a small object");
        let file = stored.stored().expect("a memfd");
        let mut held = vec![0; bytes.len()];
        std::os::unix::fs::FileExt::read_exact_at(&**file, &mut held, 0).expect("readable");
        assert_eq!(held, bytes);
    }

    #[test]
    fn the_first_difference_is_found() {
        let length = BLOCK as u64 + 3;
        let object = Synthetic::new(length, 1);
        let mut bytes = vec![0; BLOCK + 3];
        object.fill(0, &mut bytes);
        let difference = |bytes: &[u8]| object.first_difference(bytes).expect("readable");
        assert_eq!(difference(&bytes), None);
        assert_eq!(difference(&bytes[..BLOCK]), Some(BLOCK as u64));
        assert_eq!(difference(&[]), Some(0));
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(difference(&longer), Some(length));
        for position in [0, 5, BLOCK - 1, BLOCK, BLOCK + 2] {
            bytes[position] ^= 1;
            assert_eq!(difference(&bytes), Some(position as u64));
            bytes[position] ^= 1;
        }
    }
}
