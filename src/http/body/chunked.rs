//! The chunked transfer coding (RFC 9112 section 7.1), one octet of framing at a time.

use std::ops::Range;

use crate::http::Error;

/// Where in the coding the next octet lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// In the digits of a chunk size.
    Size {
        size: u64,
        digits: u8,
    },
    /// In white space between the size and a `;`.
    Gap {
        size: u64,
        line: u16,
    },
    /// In chunk extensions, which are passed over.
    Extension {
        size: u64,
        line: u16,
    },
    /// At the LF that ends a chunk's header.
    SizeLf {
        size: u64,
    },
    /// In chunk data; never 0.
    Data {
        left: u64,
    },
    /// At the CR, then the LF, that ends a chunk.
    DataCr,
    DataLf,
    /// At the start of a trailer line, after so many octets of trailers.
    Trailer {
        seen: u32,
    },
    /// In the name, then the value, of a trailer field, which is passed over.
    Name {
        seen: u32,
    },
    Value {
        seen: u32,
    },
    /// At the LF that ends a trailer line.
    ValueLf {
        seen: u32,
    },
    /// At the LF of the last, empty line.
    EndLf,
    /// Behind the coding.
    End,
}

impl Step {
    pub(super) const START: Self = Self::Size { size: 0, digits: 0 };

    /// Reads `buffer[input]`; returns how much was used and where the body octets of it now lie.
    pub(super) fn decode(
        &mut self,
        buffer: &mut [u8],
        input: Range<usize>,
        room: usize,
    ) -> Result<(usize, Range<usize>), Error> {
        let mut at = input.start;
        let mut body = at..at;
        while at < input.end && *self != Self::End {
            let Self::Data { left } = *self else {
                let octet = buffer.get(at).copied().unwrap_or_default();
                *self = self.framing(octet)?;
                at += 1;
                continue;
            };
            let taken = at_most(left, (input.end - at).min(room - body.len()));
            if taken == 0 {
                break;
            }
            if body.is_empty() {
                body = at..at;
            }
            if body.end != at {
                buffer.copy_within(at..at + taken, body.end);
            }
            body.end += taken;
            at += taken;
            *self = match left - taken as u64 {
                0 => Self::DataCr,
                left => Self::Data { left },
            };
        }
        Ok((at - input.start, body))
    }

    /// The step after one octet that is not chunk data.
    fn framing(self, octet: u8) -> Result<Self, Error> {
        match self {
            Self::Size { size, digits } => Self::size(size, digits, octet),
            Self::Gap { size, line } => match octet {
                b' ' | b'\t' => Ok(Self::Gap { size, line: longer(line)? }),
                b';' => Ok(Self::Extension { size, line: longer(line)? }),
                _ => Err(Error::BadChunk("a chunk size is not a hexadecimal number")),
            },
            Self::Extension { size, line } => match octet {
                b'\r' => Ok(Self::SizeLf { size }),
                _ if is_control(octet) => {
                    Err(Error::BadChunk("control character in a chunk extension"))
                }
                _ => Ok(Self::Extension { size, line: longer(line)? }),
            },
            Self::SizeLf { size } => lf(
                octet,
                match size {
                    0 => Self::Trailer { seen: 0 },
                    left => Self::Data { left },
                },
            ),
            Self::DataCr if octet == b'\r' => Ok(Self::DataLf),
            Self::DataCr => Err(Error::BadChunk("chunk data is longer than its size")),
            Self::DataLf => lf(octet, Self::START),
            Self::Trailer { .. } if octet == b'\r' => Ok(Self::EndLf),
            Self::Trailer { seen } | Self::Name { seen } => Self::name(self, seen, octet),
            Self::Value { seen } => match octet {
                b'\r' => Ok(Self::ValueLf { seen: more(seen)? }),
                _ if is_control(octet) => Err(Error::BadChunk("control character in a trailer")),
                _ => Ok(Self::Value { seen: more(seen)? }),
            },
            Self::ValueLf { seen } => lf(octet, Self::Trailer { seen: more(seen)? }),
            Self::EndLf => lf(octet, Self::End),
            // `decode` never brings an octet here.
            Self::Data { .. } | Self::End => Ok(self),
        }
    }

    fn size(size: u64, digits: u8, octet: u8) -> Result<Self, Error> {
        if let Some(digit) = char::from(octet).to_digit(16) {
            // Sixteen digits fit in 64 bits: the shift loses nothing.
            return match (size << 4) | u64::from(digit) {
                _ if digits >= SIZE_DIGITS => Err(Error::BadChunk("a chunk size is too large")),
                size if size > SIZE_MAX => Err(Error::BadChunk("a chunk size is too large")),
                size => Ok(Self::Size { size, digits: digits + 1 }),
            };
        }
        match octet {
            _ if digits == 0 => Err(Error::BadChunk("a chunk size is not a hexadecimal number")),
            b'\r' => Ok(Self::SizeLf { size }),
            b';' => Ok(Self::Extension { size, line: 0 }),
            b' ' | b'\t' => Ok(Self::Gap { size, line: 0 }),
            _ => Err(Error::BadChunk("a chunk size is not a hexadecimal number")),
        }
    }

    fn name(self, seen: u32, octet: u8) -> Result<Self, Error> {
        match octet {
            b':' if matches!(self, Self::Name { .. }) => Ok(Self::Value { seen: more(seen)? }),
            _ if crate::http::is_token(octet) => Ok(Self::Name { seen: more(seen)? }),
            _ => Err(Error::BadChunk("a trailer is not a field")),
        }
    }
}

fn lf(octet: u8, next: Step) -> Result<Step, Error> {
    if octet == b'\n' { Ok(next) } else { Err(Error::BadChunk("CR without LF")) }
}

fn is_control(octet: u8) -> bool {
    octet.is_ascii_control() && octet != b'\t'
}

fn longer(line: u16) -> Result<u16, Error> {
    if line < LINE_MAX { Ok(line + 1) } else { Err(Error::BadChunk("a chunk header is too long")) }
}

fn more(seen: u32) -> Result<u32, Error> {
    if seen < TRAILER_MAX { Ok(seen + 1) } else { Err(Error::BadChunk("trailers are too long")) }
}

/// The smaller of an amount announced and an amount at hand.
pub(super) fn at_most(announced: u64, at_hand: usize) -> usize {
    usize::try_from(announced).unwrap_or(usize::MAX).min(at_hand)
}

/// The most digits of a chunk size, leading zeros included.
const SIZE_DIGITS: u8 = 16;

/// The largest chunk: file offsets are signed.
const SIZE_MAX: u64 = i64::MAX as u64;

/// The most octets of extensions behind a chunk size.
const LINE_MAX: u16 = 4096;

/// The most octets of the trailer section, the same as of a head.
const TRAILER_MAX: u32 = 64 * 1024;
