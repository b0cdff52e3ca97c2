//! One connection's buffer as it fills: ciphertext to plaintext to body, always moving towards the
//! front, so that what is written lies in one piece. Sans-IO; shared by both engines.

use std::ops::Range;

use crate::{
    http::{self, body::Decoder},
    orders::Failure,
    wire::{HEADROOM, Session, record_lacks},
};

/// Where things lie in a connection's buffer: `out`, then `raw`, then `cipher`, ascending and
/// disjoint.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    /// Body bytes that wait to be written.
    out: Range<usize>,
    /// Plaintext that was not looked at yet.
    raw: Range<usize>,
    /// Ciphertext that does not make a record yet; unused without TLS.
    cipher: Range<usize>,
    /// What is left free between plaintext and ciphertext, so that a record's plaintext gets to its
    /// place in one move.
    headroom: usize,
}

/// What receiving led to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrived {
    /// Must be sent before anything else (a TLS key update's answer).
    pub(crate) send: Vec<u8>,
    /// The peer has said that nothing follows (close_notify).
    pub(crate) closed: bool,
}

impl Intake {
    /// An empty buffer, under TLS or not.
    pub(crate) fn new(secure: bool) -> Self {
        Self { headroom: if secure { HEADROOM } else { 0 }, ..Self::default() }
    }

    /// Where the next octets from the socket go in a buffer of `capacity`; empty if it is full.
    pub(crate) fn room(&self, capacity: usize) -> Range<usize> {
        let start = match self.cipher.is_empty() {
            true => self.raw.end + self.headroom,
            false => self.cipher.end,
        };
        start.min(capacity)..capacity
    }

    /// How many octets are sure to come while `missing` of plaintext are: at least one. Ciphertext
    /// that waits for the end of its record may hold some of them; to wait for all of them again
    /// would be to wait in vain.
    pub(crate) fn due(&self, buffer: &[u8], missing: usize) -> usize {
        let waiting = buffer.get(self.cipher.clone()).unwrap_or_default();
        missing.saturating_sub(waiting.len()).max(record_lacks(waiting)).max(1)
    }

    /// Plaintext that was not looked at yet.
    pub(crate) fn raw<'a>(&self, buffer: &'a [u8]) -> &'a [u8] {
        &buffer[self.raw.clone()]
    }

    /// Whether plaintext lies there that was not asked for.
    pub(crate) fn has_raw(&self) -> bool {
        !self.raw.is_empty()
    }

    /// Body bytes that wait to be written.
    pub(crate) fn out(&self) -> Range<usize> {
        self.out.clone()
    }

    /// The front `used` octets of the plaintext were a head.
    pub(crate) fn consume(&mut self, used: usize) {
        self.raw.start = (self.raw.start + used).min(self.raw.end);
        self.out = self.raw.start..self.raw.start;
    }

    /// `received` octets were put at the front of [`Self::room`].
    ///
    /// # Errors
    /// A TLS record that is bad.
    pub(crate) fn arrived(
        &mut self,
        buffer: &mut [u8],
        received: usize,
        session: Option<&mut Session>,
    ) -> Result<Arrived, Failure> {
        let Some(session) = session else {
            self.raw.end += received;
            return Ok(Arrived::default());
        };
        let start = self.room(buffer.len()).start;
        if self.cipher.is_empty() {
            self.cipher = start..start;
        }
        self.cipher.end += received;
        let records = session.open(buffer, self.raw.end, self.cipher.clone())?;
        self.raw.end = records.plain.end;
        self.cipher = records.rest;
        Ok(Arrived { send: records.send, closed: records.closed })
    }

    /// Finds up to `room` further body bytes in the plaintext and lines them up behind
    /// [`Self::out`]. Returns how many.
    ///
    /// # Errors
    /// Chunked coding that is malformed.
    pub(crate) fn decode(
        &mut self,
        buffer: &mut [u8],
        decoder: &mut Decoder,
        room: usize,
    ) -> Result<usize, http::Error> {
        let found = decoder.decode(buffer, self.raw.clone(), room)?;
        self.raw.start = (self.raw.start + found.used).min(self.raw.end);
        let len = found.body.len();
        if self.out.is_empty() {
            self.out = found.body;
        } else if len > 0 {
            if found.body.start != self.out.end {
                buffer.copy_within(found.body, self.out.end);
            }
            self.out.end += len;
        }
        Ok(len)
    }

    /// The last `count` of the bytes that wait are not to be written.
    pub(crate) fn take_back(&mut self, count: usize) {
        self.out.end = self.out.end.saturating_sub(count).max(self.out.start);
    }

    /// What waited was written: the rest moves to the front of the buffer.
    pub(crate) fn written(&mut self, buffer: &mut [u8]) {
        let raw = self.raw.len();
        let cipher = self.cipher.len();
        if raw > 0 && self.raw.start > 0 {
            buffer.copy_within(self.raw.clone(), 0);
        }
        let start = (raw + self.headroom).min(self.cipher.start);
        if cipher > 0 && self.cipher.start > start {
            buffer.copy_within(self.cipher.clone(), start);
        }
        self.out = 0..0;
        self.raw = 0..raw;
        self.cipher = start..start + cipher;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::body::Framing;

    #[test]
    fn a_plain_body_is_not_moved() {
        let mut buffer = *b"HEADbody........";
        let mut intake = Intake::default();
        intake.arrived(&mut buffer, 8, None).unwrap();
        intake.consume(4);
        let mut decoder = Decoder::new(Framing::Length(4));
        assert_eq!(intake.decode(&mut buffer, &mut decoder, 100).unwrap(), 4);
        assert_eq!(intake.out(), 4..8);
        intake.written(&mut buffer);
        assert_eq!(intake.room(16), 0..16);
        assert!(!intake.has_raw());
    }

    #[test]
    fn chunks_are_lined_up_and_the_rest_stays() {
        let mut buffer = [0; 64];
        let text = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nX";
        let mut intake = Intake::default();
        let mut decoder = Decoder::new(Framing::Chunked);
        let mut body = Vec::new();
        for octet in text {
            let at = intake.room(buffer.len()).start;
            buffer[at] = *octet;
            intake.arrived(&mut buffer, 1, None).unwrap();
            if !decoder.is_done() {
                intake.decode(&mut buffer, &mut decoder, 100).unwrap();
            }
            if body.is_empty() && intake.out().len() == 4 {
                body.extend_from_slice(&buffer[intake.out()]);
                intake.written(&mut buffer);
            }
        }
        body.extend_from_slice(&buffer[intake.out()]);
        assert_eq!(body, b"abcde");
        assert!(decoder.is_done());
        assert_eq!(intake.raw(&buffer), b"X");
    }

    #[test]
    fn what_is_due_never_exceeds_what_comes() {
        let mut buffer = vec![0; 4096 + HEADROOM];
        let mut intake = Intake::new(true);
        let header = [0x17, 3, 3, 0x10, 0x16];
        buffer[HEADROOM..HEADROOM + 5].copy_from_slice(&header);
        assert_eq!(intake.due(&buffer, 5000), 5000, "all of it is still on its way");
        intake.cipher = HEADROOM..HEADROOM + 5;
        assert_eq!(intake.due(&buffer, 10), 0x1016, "to the end of the record");
        intake.cipher.end += 4000;
        assert_eq!(intake.due(&buffer, 4096), 0x1016 - 4000);
        assert_eq!(intake.due(&buffer, 100_000), 100_000 - 4005);
        assert_eq!(Intake::default().due(&[], 7), 7);
        assert_eq!(Intake::default().due(&[], 0), 1);
    }
}
