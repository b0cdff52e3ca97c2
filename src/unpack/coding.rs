//! The coding of an archive, told by its content, and its decoder.

use std::io::{self, Read};

use bzip2::bufread::BzDecoder;
use flate2::bufread::GzDecoder;
use liblzma::{bufread::XzDecoder, stream};

use super::{
    fault,
    fetched::Fetched,
    header::{self, BLOCK},
    series::{LZ4, Lz4, Series, skippable},
};
use crate::{
    http::escape,
    orders::{ArchiveFault, Failure},
};

/// How content is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// A tar archive as it is.
    Tar,
    Gzip,
    Zstd,
    Xz,
    Bzip2,
    Lz4,
}

impl Coding {
    /// Its name in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tar => "tar",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
            Self::Lz4 => "lz4",
        }
    }

    /// Looks at the first bytes.
    ///
    /// # Errors
    /// The content is none of these; or the input failed.
    pub(super) fn of<R: Read>(input: &mut Fetched<R>) -> Result<Self, Failure> {
        let bytes = input.peek(BLOCK).map_err(|_| fault::cancelled())?;
        match bytes {
            [] => Err(fault::archive("it is empty")),
            [0x1f, 0x8b, ..] => Ok(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Self::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Ok(Self::Xz),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Ok(Self::Bzip2),
            _ if bytes.starts_with(&LZ4) => Ok(Self::Lz4),
            // Whose it is shows behind it; zstd's own tools make nearly all of them.
            _ if skippable(bytes) => Ok(behind_skippable(input)),
            _ if header::looks_like_tar(bytes) => Ok(Self::Tar),
            _ => Err(unknown(bytes)),
        }
    }

    /// The decoder of `input`, which may use this much memory for its window, in bytes.
    ///
    /// # Errors
    /// A decoder cannot be made.
    pub(super) fn decoder<'a, R: Read + 'a>(
        self,
        input: Fetched<R>,
        memory: u64,
    ) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::Tar => Box::new(input),
            Self::Gzip => Box::new(Series::<GzDecoder<_>, _>::new(input)),
            Self::Bzip2 => Box::new(Series::<BzDecoder<_>, _>::new(input)),
            Self::Lz4 => Box::new(Series::<Lz4<_>, _>::new(input)),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
                decoder.window_log_max(memory.max(1).ilog2().clamp(WINDOW_MIN, WINDOW_MAX))?;
                Box::new(decoder)
            }
            Self::Xz => {
                let decoder = stream::Stream::new_stream_decoder(memory, stream::CONCATENATED)?;
                Box::new(XzDecoder::new_stream(input, decoder))
            }
        })
    }
}

/// The coding of what begins with a frame that is to be skipped, as far as can be seen from here.
fn behind_skippable<R: Read>(input: &mut Fetched<R>) -> Coding {
    let Ok(&[_, _, _, _, a, b, c, d]) = input.peek(8) else { return Coding::Zstd };
    let behind = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    let end = behind.saturating_add(8 + LZ4.len());
    let seen = if end <= SEEN { input.peek(end).unwrap_or_default() } else { &[] };
    if seen.ends_with(&LZ4) { Coding::Lz4 } else { Coding::Zstd }
}

/// Says what content looks like that is no archive.
fn unknown(bytes: &[u8]) -> Failure {
    let text = bytes.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(0);
    let start = bytes.get(text..).unwrap_or_default().to_ascii_lowercase();
    let html = [&b"<!doctype html"[..], b"<html", b"<head", b"<!--"];
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") {
        return Failure::Archive(ArchiveFault::Zip);
    }
    if html.iter().any(|begin| start.starts_with(begin)) {
        return fault::archive("it is an HTML page");
    }
    let shown = escape(bytes.get(..bytes.len().min(SHOWN)).unwrap_or_default(), 4 * SHOWN);
    fault::archive(format!("its content is of no known kind (it begins with \"{shown}\")"))
}

/// Windows of zstd, as powers of two: what its own tools take by default is the most.
const WINDOW_MIN: u32 = 10;
const WINDOW_MAX: u32 = 27;
/// How far a frame is looked behind.
const SEEN: usize = 64 << 10;
/// How many bytes of unknown content are quoted.
const SHOWN: usize = 16;
