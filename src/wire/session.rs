//! An established connection: requests are sealed, records opened inside the caller's buffer.

use std::{fmt, ops::Range};

use rustls::{
    HandshakeKind, ProtocolVersion,
    client::UnbufferedClientConnection,
    unbuffered::{
        ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
    },
};

use super::{error::Error, explain::explain};
use crate::orders::TlsFault;

/// An established TLS connection, without its socket.
pub struct Session {
    connection: UnbufferedClientConnection,
    /// Received with the end of the handshake.
    leftover: Vec<u8>,
    /// Ciphertext of which rustls has taken note but not let go: the beginning of a handshake
    /// message whose end is still to come. It insists on seeing it again.
    held: Vec<u8>,
    /// Plaintext that has no room yet before the record it came in.
    spill: Vec<u8>,
    closed: bool,
    /// After an error rustls' positions in the input mean nothing any more.
    dead: bool,
}

/// What [`Session::open`] made of the ciphertext.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpenedRecords {
    /// The new plaintext, from `plain_at` on.
    pub(crate) plain: Range<usize>,
    /// Ciphertext that is not a whole record yet; what is received next belongs at its end. It has
    /// not moved, so the room between the plaintext and it is where the next record's plaintext
    /// goes without a detour.
    pub(crate) rest: Range<usize>,
    /// Octets that must be sent, such as the answer to a key update; usually none.
    pub(crate) send: Vec<u8>,
    /// The peer has said that nothing more follows. The end of the stream without this is a
    /// truncation, unless the message said itself where it ends.
    pub(crate) closed: bool,
}

/// The room to leave between the place for plaintext and the first ciphertext in a buffer: the
/// largest record's plaintext. With less, every record is copied once more.
pub(crate) const HEADROOM: usize = 16 * 1024;

impl Session {
    pub(super) fn new(connection: UnbufferedClientConnection, leftover: Vec<u8>) -> Self {
        let mut session = Self {
            connection,
            leftover: Vec::new(),
            held: Vec::new(),
            spill: Vec::new(),
            closed: false,
            dead: false,
        };
        session.hold(&leftover);
        session.leftover = leftover;
        session
    }

    /// Ciphertext that came with the end of the handshake. It goes before everything that is
    /// received from now on.
    pub(crate) fn take_leftover(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.leftover)
    }

    /// Encrypts a request; returns what to send.
    ///
    /// # Errors
    /// [`TlsFault::Record`] when the connection cannot be written to any more.
    pub(crate) fn seal(&mut self, plain: &[u8]) -> Result<Vec<u8>, Error> {
        self.alive()?;
        let sealed = self.try_seal(plain);
        self.dead = sealed.is_err();
        sealed
    }

    fn try_seal(&mut self, plain: &[u8]) -> Result<Vec<u8>, Error> {
        let mut send = Vec::new();
        loop {
            let status = self.connection.process_tls_records(&mut self.held);
            match status.state.map_err(|e| explain(&e, TlsFault::Record))? {
                ConnectionState::EncodeTlsData(mut data) => encode(&mut data, &mut send)?,
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::WriteTraffic(mut traffic) => {
                    encrypt(&mut traffic, plain, &mut send)?;
                    return Ok(send);
                }
                ConnectionState::PeerClosed => self.closed = true,
                _ => {
                    return Err(Error::new(
                        TlsFault::Record,
                        "the connection cannot be written to",
                    ));
                }
            }
        }
    }

    /// Decrypts every whole record of `buffer[cipher]` and puts the plaintext at `plain_at`, which
    /// is not after `cipher.start`, without gaps.
    ///
    /// # Errors
    /// [`TlsFault::Record`] for anything that the protocol does not allow, and
    /// [`TlsFault::Handshake`] when the peer refuses us after all (a client certificate that it
    /// wanted). The connection is dead then, and so is the buffer's content.
    pub(crate) fn open(
        &mut self,
        buffer: &mut [u8],
        plain_at: usize,
        cipher: Range<usize>,
    ) -> Result<OpenedRecords, Error> {
        if plain_at > cipher.start || cipher.start > cipher.end || cipher.end > buffer.len() {
            return Err(Error::new(TlsFault::Record, "a window outside the buffer"));
        }
        let mut opened = OpenedRecords {
            plain: plain_at..plain_at,
            rest: cipher,
            send: Vec::new(),
            closed: self.closed,
        };
        self.alive()?;
        self.dead = true;
        while self.step(buffer, &mut opened)? {}
        self.dead = false;
        if self.closed {
            // What follows a close_notify means nothing (RFC 8446 section 6.1).
            opened.rest.start = opened.rest.end;
        }
        opened.closed = self.closed;
        let rest = buffer.get(opened.rest.clone()).unwrap_or_default();
        self.hold(rest);
        Ok(opened)
    }

    /// Version, cipher and kind of handshake, for people who want details.
    pub(crate) fn summary(&self) -> String {
        let version = match self.connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
            _ => "TLS 1.3",
        };
        let suite = self
            .connection
            .negotiated_cipher_suite()
            .map_or_else(String::new, |s| format!(" {:?}", s.suite()));
        let group = self
            .connection
            .negotiated_key_exchange_group()
            .map_or_else(String::new, |g| format!(" {:?}", g.name()));
        let resumed = if self.resumed() { ", resumed" } else { "" };
        format!("{version}{suite}{group}{resumed}")
    }

    /// Whether an earlier connection's session was resumed.
    pub(crate) fn resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    fn alive(&self) -> Result<(), Error> {
        if self.dead {
            return Err(Error::new(TlsFault::Record, "the connection has failed before"));
        }
        Ok(())
    }

    /// Goes on to the next state of the connection; false when more must be received.
    fn step(&mut self, buffer: &mut [u8], opened: &mut OpenedRecords) -> Result<bool, Error> {
        let outside = || Error::new(TlsFault::Record, "a window outside the buffer");
        let (front, back) = buffer.split_at_mut(opened.rest.start);
        let cipher = back.get_mut(..opened.rest.len()).ok_or_else(outside)?;
        let UnbufferedStatus { mut discard, state } = self.connection.process_tls_records(cipher);
        let more = match state.map_err(|e| explain(&e, TlsFault::Record))? {
            ConnectionState::ReadTraffic(mut traffic) => {
                while let Some(record) = traffic.next_record() {
                    let record = record.map_err(|e| explain(&e, TlsFault::Record))?;
                    discard += record.discard;
                    let end = opened.plain.end + record.payload.len();
                    match front.get_mut(opened.plain.end..end) {
                        Some(room) if self.spill.is_empty() => {
                            room.copy_from_slice(record.payload);
                            opened.plain.end = end;
                        }
                        _ => self.spill.extend_from_slice(record.payload),
                    }
                }
                true
            }
            ConnectionState::EncodeTlsData(mut data) => {
                encode(&mut data, &mut opened.send)?;
                true
            }
            ConnectionState::TransmitTlsData(data) => {
                data.done();
                true
            }
            ConnectionState::PeerClosed => {
                self.closed = true;
                true
            }
            _ => false,
        };
        opened.rest.start = (opened.rest.start + discard).min(opened.rest.end);
        self.pour(buffer, opened)?;
        Ok(more)
    }

    /// Moves spilt plaintext to its place, now that its record is done with.
    fn pour(&mut self, buffer: &mut [u8], opened: &mut OpenedRecords) -> Result<(), Error> {
        if self.spill.is_empty() {
            return Ok(());
        }
        let end = opened.plain.end + self.spill.len();
        let room = buffer
            .get_mut(opened.plain.end..end)
            .filter(|_| end <= opened.rest.start)
            .ok_or_else(|| Error::new(TlsFault::Record, "a record grew when it was opened"))?;
        room.copy_from_slice(&self.spill);
        opened.plain.end = end;
        self.spill.clear();
        Ok(())
    }

    /// Keeps a copy of `rest` when it begins with a whole record: then rustls has looked at it.
    fn hold(&mut self, rest: &[u8]) {
        self.held.clear();
        if let [_, _, _, high, low, after @ ..] = rest
            && after.len() >= usize::from(u16::from_be_bytes([*high, *low]))
        {
            self.held.extend_from_slice(rest);
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({})", self.summary())
    }
}

/// How many octets are missing at the end of `cipher` until its one record is whole; none when
/// there is nothing or more than that (RFC 8446 section 5.1).
pub(crate) fn record_lacks(cipher: &[u8]) -> usize {
    match cipher {
        [] => 0,
        [_, _, _, high, low, after @ ..] => {
            usize::from(u16::from_be_bytes([*high, *low])).saturating_sub(after.len())
        }
        short => HEADER - short.len(),
    }
}

/// Appends an encoded record to `send`.
pub(super) fn encode<D>(data: &mut EncodeTlsData<'_, D>, send: &mut Vec<u8>) -> Result<(), Error> {
    let needed = match data.encode(&mut []) {
        Ok(_) => return Ok(()),
        Err(EncodeError::InsufficientSize(size)) => size.required_size,
        Err(e @ EncodeError::AlreadyEncoded) => {
            return Err(Error::new(TlsFault::Record, e.to_string()));
        }
    };
    let at = send.len();
    send.resize(at + needed, 0);
    let room = send.get_mut(at..).unwrap_or_default();
    data.encode(room).map_err(|e| Error::new(TlsFault::Record, e.to_string()))?;
    Ok(())
}

fn encrypt<D>(
    traffic: &mut WriteTraffic<'_, D>,
    plain: &[u8],
    send: &mut Vec<u8>,
) -> Result<(), Error> {
    let at = send.len();
    let mut room = plain.len() + ROOM_FOR_ONE;
    loop {
        send.resize(at + room, 0);
        match traffic.encrypt(plain, send.get_mut(at..).unwrap_or_default()) {
            Ok(written) => {
                send.truncate(at + written);
                return Ok(());
            }
            Err(EncryptError::InsufficientSize(size)) if size.required_size > room => {
                room = size.required_size;
            }
            Err(e) => return Err(Error::new(TlsFault::Record, e.to_string())),
        }
    }
}

/// A record's type, version and length.
const HEADER: usize = 5;

/// What one record adds to its plaintext, in any cipher suite.
const ROOM_FOR_ONE: usize = 64;
