//! TLS over a stream while the connection is being made ready.

use std::ops::Range;

use url::Host;

use super::{
    budget::Budget,
    stream::{Pipe, Stream},
};
use crate::{
    orders::{Failure, TlsFault},
    wire::{Client, HEADROOM, Session},
};

/// Shakes hands with `host` over `pipe`.
///
/// # Errors
/// [`Failure::Tls`]; a peer that hangs up in the middle is a failed handshake too.
pub(super) fn shake_hands(
    client: &Client,
    host: &Host<&str>,
    pipe: &mut impl Pipe,
    budget: &Budget,
) -> Result<Session, Failure> {
    let mut handshake = client.start(&bare(host))?;
    let mut chunk = vec![0; CHUNK];
    let mut got = 0;
    loop {
        let progress = handshake.advance(chunk.get(..got).unwrap_or_default());
        let sent = pipe.write_all(&progress.send, budget);
        if progress.outcome? {
            sent?;
            return Ok(handshake.finish());
        }
        sent?;
        got = match pipe.read(&mut chunk, budget) {
            Ok(0) | Err(Failure::Receive { errno: 0 }) => {
                return Err(hung_up("the server closed the connection in the TLS handshake"));
            }
            Err(Failure::Receive { .. }) => {
                return Err(hung_up("the server reset the connection in the TLS handshake"));
            }
            other => other?,
        };
    }
}

/// A stream inside TLS: to an HTTPS proxy.
#[derive(Debug)]
pub(super) struct Secured {
    pub(super) stream: Stream,
    pub(super) session: Session,
    buffer: Vec<u8>,
    plain: Range<usize>,
    cipher: Range<usize>,
    closed: bool,
}

impl Secured {
    /// `session` was established over `stream`.
    pub(super) fn new(stream: Stream, mut session: Session) -> Self {
        let leftover = session.take_leftover();
        let mut buffer = vec![0; HEADROOM + leftover.len().max(ROOM)];
        let cipher = HEADROOM..HEADROOM + leftover.len();
        if let Some(room) = buffer.get_mut(cipher.clone()) {
            room.copy_from_slice(&leftover);
        }
        Self { stream, session, buffer, plain: 0..0, cipher, closed: false }
    }

    /// Plaintext that is there already.
    pub(super) fn plain(&self) -> &[u8] {
        self.buffer.get(self.plain.clone()).unwrap_or_default()
    }

    /// The first `count` octets of it are done with.
    pub(super) fn consume(&mut self, count: usize) {
        self.plain.start = (self.plain.start + count).min(self.plain.end);
    }

    /// Whether the peer said that nothing follows.
    pub(super) fn closed(&self) -> bool {
        self.closed
    }

    /// Where to receive into, when no plaintext is left.
    pub(super) fn room(&mut self) -> &mut [u8] {
        self.buffer.copy_within(self.cipher.clone(), HEADROOM);
        self.cipher = HEADROOM..HEADROOM + self.cipher.len();
        self.buffer.get_mut(self.cipher.end..).unwrap_or_default()
    }

    /// Opens what is there after `got` octets came into [`Self::room`]; returns what to send.
    ///
    /// # Errors
    /// [`Failure::Tls`].
    pub(super) fn received(&mut self, got: usize) -> Result<Vec<u8>, Failure> {
        self.cipher.end += got;
        let opened = self.session.open(&mut self.buffer, 0, self.cipher.clone())?;
        self.plain = opened.plain;
        self.cipher = opened.rest;
        self.closed = opened.closed;
        Ok(opened.send)
    }
}

impl Pipe for Secured {
    fn read(&mut self, into: &mut [u8], budget: &Budget) -> Result<usize, Failure> {
        while self.plain().is_empty() && !self.closed {
            // What came with the handshake is looked at first.
            let send = if self.cipher.is_empty() { None } else { Some(self.received(0)?) };
            let send = match send {
                Some(send) if !self.plain().is_empty() || self.closed => send,
                _ => {
                    let mut chunk = vec![0; self.room().len().min(CHUNK)];
                    let got = self.stream.read(&mut chunk, budget)?;
                    if got == 0 {
                        return Ok(0);
                    }
                    if let (Some(room), Some(new)) = (self.room().get_mut(..got), chunk.get(..got))
                    {
                        room.copy_from_slice(new);
                    }
                    self.received(got)?
                }
            };
            self.stream.write_all(&send, budget)?;
        }
        let count = self.plain().len().min(into.len());
        if let (Some(into), Some(plain)) = (into.get_mut(..count), self.plain().get(..count)) {
            into.copy_from_slice(plain);
        }
        self.consume(count);
        Ok(count)
    }

    fn write_all(&mut self, bytes: &[u8], budget: &Budget) -> Result<(), Failure> {
        let sealed = self.session.seal(bytes)?;
        self.stream.write_all(&sealed, budget)
    }
}

/// A host as certificates name it: without brackets or the root's dot.
fn bare(host: &Host<&str>) -> String {
    match host {
        Host::Domain(name) => name.strip_suffix('.').unwrap_or(name).to_owned(),
        Host::Ipv4(ip) => ip.to_string(),
        Host::Ipv6(ip) => ip.to_string(),
    }
}

fn hung_up(reason: &str) -> Failure {
    Failure::Tls { fault: TlsFault::Handshake, reason: reason.to_owned() }
}

const CHUNK: usize = 16 * 1024;

/// Ciphertext that is received at once through a proxy's TLS: a few records, and more than the
/// longest handshake message.
const ROOM: usize = 128 * 1024;
