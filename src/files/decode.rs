//! Undoes a content coding as the bytes come. The end that a coding marks must come, and nothing
//! may follow it.

use std::io::{self, Write};

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::write::MultiGzDecoder;
use zstd::stream::raw::{DParameter, Decoder as Raw, Operation as _};

use crate::http::field::Coding;

/// Decodes what is written to it, into `out`.
pub(crate) struct Decoder<W: Write> {
    kind: Kind<W>,
    /// Something was written.
    begun: bool,
}

enum Kind<W: Write> {
    Identity(W),
    Gzip(Box<MultiGzDecoder<W>>),
    Zstd(Box<Zstd<W>>),
    Brotli(Box<Brotli<W>>),
}

/// Frames of zstd, one after the other.
struct Zstd<W> {
    out: W,
    raw: Raw<'static>,
    /// Within a frame.
    inside: bool,
    buffer: Vec<u8>,
}

struct Brotli<W> {
    out: W,
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    over: bool,
    buffer: Vec<u8>,
}

impl<W: Write> Decoder<W> {
    /// A decoder of what is coded so.
    ///
    /// # Errors
    /// There is no memory for it.
    pub(crate) fn new(coding: Coding, out: W) -> io::Result<Self> {
        let kind = match coding {
            Coding::Identity => Kind::Identity(out),
            Coding::Gzip => Kind::Gzip(Box::new(MultiGzDecoder::new(out))),
            Coding::Zstd => {
                let mut raw = Raw::new()?;
                raw.set_parameter(DParameter::WindowLogMax(WINDOW_LOG))?;
                Kind::Zstd(Box::new(Zstd { out, raw, inside: false, buffer: vec![0; BUFFER] }))
            }
            Coding::Brotli => {
                let alloc = StandardAlloc::default;
                let state = BrotliState::new(alloc(), alloc(), alloc());
                Kind::Brotli(Box::new(Brotli { out, state, over: false, buffer: vec![0; BUFFER] }))
            }
        };
        Ok(Self { kind, begun: false })
    }

    /// Decodes all of `bytes`.
    ///
    /// # Errors
    /// They are not of that coding, or what `out` says.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.begun |= !bytes.is_empty();
        match &mut self.kind {
            Kind::Identity(out) => out.write_all(bytes),
            Kind::Gzip(decoder) => decoder.write_all(bytes),
            Kind::Zstd(decoder) => decoder.write(bytes),
            Kind::Brotli(decoder) => decoder.write(bytes),
        }
    }

    /// Where it goes.
    pub(crate) fn out(&self) -> &W {
        match &self.kind {
            Kind::Identity(out) => out,
            Kind::Gzip(decoder) => decoder.get_ref(),
            Kind::Zstd(decoder) => &decoder.out,
            Kind::Brotli(decoder) => &decoder.out,
        }
    }

    /// Nothing more comes. Returns where it went.
    ///
    /// # Errors
    /// It is truncated, or damaged at its end.
    pub(crate) fn finish(self) -> io::Result<W> {
        let truncated = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let coded = !matches!(self.kind, Kind::Identity(_));
        if coded && !self.begun {
            return Err(truncated());
        }
        match self.kind {
            Kind::Identity(out) => Ok(out),
            Kind::Gzip(decoder) => decoder.finish(),
            Kind::Zstd(decoder) if decoder.inside => Err(truncated()),
            Kind::Zstd(decoder) => Ok(decoder.out),
            Kind::Brotli(decoder) if !decoder.over => Err(truncated()),
            Kind::Brotli(decoder) => Ok(decoder.out),
        }
    }
}

impl<W: Write> Zstd<W> {
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        loop {
            if !self.inside {
                if bytes.is_empty() {
                    return Ok(());
                }
                self.raw.reinit()?;
                self.inside = true;
            }
            let status = self.raw.run_on_buffers(bytes, &mut self.buffer)?;
            bytes = bytes.get(status.bytes_read..).unwrap_or_default();
            self.out.write_all(self.buffer.get(..status.bytes_written).unwrap_or_default())?;
            if status.remaining == 0 {
                self.inside = false;
            } else if bytes.is_empty() && status.bytes_written < self.buffer.len() {
                // With room left, it has no more to say for now.
                return Ok(());
            }
        }
    }
}

impl<W: Write> Brotli<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (mut left, mut at) = (bytes.len(), 0);
        while !self.over {
            let (mut room, mut to, mut total) = (self.buffer.len(), 0, 0);
            let result = BrotliDecompressStream(
                &mut left,
                &mut at,
                bytes,
                &mut room,
                &mut to,
                &mut self.buffer,
                &mut total,
                &mut self.state,
            );
            self.out.write_all(self.buffer.get(..to).unwrap_or_default())?;
            match result {
                BrotliResult::ResultSuccess => self.over = true,
                BrotliResult::NeedsMoreInput => return Ok(()),
                BrotliResult::NeedsMoreOutput => {}
                BrotliResult::ResultFailure => return Err(invalid("not of that coding")),
            }
        }
        if left > 0 { Err(invalid("something follows its end")) } else { Ok(()) }
    }
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// The largest window of zstd that servers may use (RFC 9659): 8 MiB.
const WINDOW_LOG: u32 = 23;

/// So much is decoded at a time.
const BUFFER: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> Vec<u8> {
        (0..9_000_u32).flat_map(|n| format!("line {} of many\n", n % 977).into_bytes()).collect()
    }

    fn coded(coding: Coding, text: &[u8]) -> Vec<u8> {
        match coding {
            Coding::Identity => text.to_vec(),
            Coding::Gzip => {
                let level = flate2::Compression::default();
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
            Coding::Zstd => zstd::encode_all(text, 3).unwrap(),
            Coding::Brotli => BROTLI.to_vec(),
        }
    }

    fn decoded(coding: Coding, pieces: &[&[u8]]) -> io::Result<Vec<u8>> {
        let mut decoder = Decoder::new(coding, Vec::new())?;
        for piece in pieces {
            decoder.write(piece)?;
        }
        decoder.finish()
    }

    const CODED: [Coding; 3] = [Coding::Gzip, Coding::Zstd, Coding::Brotli];
    /// A block of "hello" as it is, and the last one, which is empty.
    const BROTLI: &[u8] = &[0x0b, 0x02, 0x80, b'h', b'e', b'l', b'l', b'o', 0x03];

    fn plain(coding: Coding) -> Vec<u8> {
        if coding == Coding::Brotli { b"hello".to_vec() } else { text() }
    }

    #[test]
    fn it_is_decoded_however_it_comes() {
        for coding in CODED {
            let bytes = coded(coding, &text());
            assert_eq!(decoded(coding, &[&bytes]).unwrap(), plain(coding), "{coding:?}");
            for size in [1, 7, 4096] {
                let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
                assert_eq!(decoded(coding, &pieces).unwrap(), plain(coding), "{coding:?} {size}");
            }
        }
        assert_eq!(decoded(Coding::Identity, &[b"ab", b"", b"c"]).unwrap(), b"abc");
        assert_eq!(decoded(Coding::Identity, &[]).unwrap(), b"");
    }

    #[test]
    fn its_end_must_come_and_nothing_may_follow() {
        // OK-43.
        for coding in CODED {
            let bytes = coded(coding, &text());
            let cuts = if bytes.len() > 100 { vec![0, 1, 5, 20, bytes.len() / 2] } else { vec![0] };
            for cut in cuts.into_iter().chain(bytes.len() - 9..bytes.len()) {
                let result = decoded(coding, &[&bytes[..cut]]);
                assert!(result.is_err(), "{coding:?}, cut at {cut}: {:?}", result.map(|r| r.len()));
            }
            for noise in [&b"\0"[..], b"x", b"noise and more of it"] {
                assert!(decoded(coding, &[&bytes, noise]).is_err(), "{coding:?} {noise:?}");
                let together = [&bytes, noise].concat();
                assert!(decoded(coding, &[&together]).is_err(), "{coding:?} {noise:?}");
            }
        }
    }

    #[test]
    fn a_flipped_bit_is_found_where_there_is_a_checksum() {
        let bytes = coded(Coding::Gzip, &text());
        for at in [bytes.len() / 2, bytes.len() - 1, bytes.len() - 8] {
            let mut bytes = bytes.clone();
            bytes[at] ^= 4;
            assert!(decoded(Coding::Gzip, &[&bytes]).is_err(), "{at}");
        }
    }

    #[test]
    fn members_and_frames_may_follow_one_another() {
        for coding in [Coding::Gzip, Coding::Zstd] {
            let two = [coded(coding, b"one "), coded(coding, b"two")].concat();
            assert_eq!(decoded(coding, &[&two]).unwrap(), b"one two", "{coding:?}");
        }
    }

    #[test]
    fn what_takes_too_much_memory_is_refused() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(27).unwrap();
        encoder.long_distance_matching(true).unwrap();
        encoder.write_all(&text().repeat(400)).unwrap();
        let bytes = encoder.finish().unwrap();
        assert!(decoded(Coding::Zstd, &[&bytes]).is_err());
    }
}
