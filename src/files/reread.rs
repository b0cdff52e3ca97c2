//! Reads bytes that are on disk already, for digests.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt};

/// Shows a range of a file, piece by piece and in order, to what hashes it.
///
/// # Errors
/// The file cannot be read, or ends before the range does.
pub type ReadBack = fn(&File, Range<u64>, &mut dyn FnMut(&[u8])) -> io::Result<()>;

/// Bytes that are read back before it is asked whether to go on.
pub(crate) const WINDOW: u64 = 4 << 20;

/// Reads into a buffer: a [`ReadBack`] that is good anywhere.
///
/// # Errors
/// As [`ReadBack`].
pub(crate) fn pread(file: &File, range: Range<u64>, read: &mut dyn FnMut(&[u8])) -> io::Result<()> {
    let left = range.end.saturating_sub(range.start);
    let mut buffer = vec![0; usize::try_from(left).unwrap_or(PIECE).min(PIECE)];
    let mut at = range.start;
    while at < range.end {
        let len = usize::try_from(range.end - at).unwrap_or(PIECE).min(buffer.len());
        let piece = buffer.get_mut(..len).unwrap_or_default();
        match file.read_exact_at(piece, at) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(io::Error::other("the file shrank while it was read"));
            }
            Err(error) => return Err(error),
        }
        read(piece);
        at += len as u64;
    }
    Ok(())
}

/// So much fits a second-level cache.
const PIECE: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn every_byte_of_a_range_is_shown_once() {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..3 * PIECE + 7).map(|i| (i % 251) as u8).collect();
        file.write_all(&bytes).unwrap();
        let mut seen = Vec::new();
        pread(&file, 5..bytes.len() as u64, &mut |piece| seen.extend_from_slice(piece)).unwrap();
        assert_eq!(seen, bytes[5..]);
        pread(&file, 9..9, &mut |_| panic!("nothing")).unwrap();
    }

    #[test]
    fn a_file_that_is_too_short_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        let error = pread(&file, 0..1, &mut |_| ()).unwrap_err();
        assert!(error.to_string().contains("shrank"), "{error}");
    }
}
