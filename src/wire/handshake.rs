//! A handshake, from the first ClientHello to the moment when a request may be sent.

use rustls::{
    client::UnbufferedClientConnection,
    unbuffered::{ConnectionState, UnbufferedStatus},
};

use super::{
    error::Error,
    explain::explain,
    session::{Session, encode},
};
use crate::orders::TlsFault;

/// A handshake under way. The caller moves the bytes.
pub(crate) struct Handshake {
    connection: UnbufferedClientConnection,
    /// Received and not yet understood.
    received: Vec<u8>,
}

/// What a step of a handshake led to.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Octets to send now, whatever the outcome: on failure an alert that tells the peer why.
    pub(crate) send: Vec<u8>,
    /// Whether the handshake is complete, after these octets are sent; if not, more must be
    /// received.
    pub(crate) outcome: Result<bool, Error>,
}

impl Handshake {
    pub(super) fn new(connection: UnbufferedClientConnection) -> Self {
        Self { connection, received: Vec::new() }
    }

    /// Takes in octets from the peer (none at first) and goes as far as they allow.
    pub(crate) fn advance(&mut self, received: &[u8]) -> Progress {
        self.received.extend_from_slice(received);
        let mut send = Vec::new();
        let outcome = self.run(&mut send);
        if outcome.is_err() {
            self.collect_alert(&mut send);
        }
        Progress { send, outcome }
    }

    /// The connection, once [`Self::advance`] has said that it is complete and everything is sent.
    pub(crate) fn finish(self) -> Session {
        Session::new(self.connection, self.received)
    }

    fn run(&mut self, send: &mut Vec<u8>) -> Result<bool, Error> {
        loop {
            let length = self.received.len();
            let UnbufferedStatus { discard, state } =
                self.connection.process_tls_records(&mut self.received);
            let done = match state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    encode(&mut data, send).map(|()| None)
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    Ok(None)
                }
                Ok(ConnectionState::WriteTraffic(_)) => Ok(Some(true)),
                Ok(ConnectionState::BlockedHandshake) => Ok(Some(false)),
                Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                    Err(Error::new(TlsFault::Handshake, "the server ends the handshake"))
                }
                // Nothing was asked yet: whatever this is, it is no answer.
                Ok(_) => Err(Error::new(TlsFault::Handshake, "data before any request")),
                Err(error) => Err(explain(&error, TlsFault::Handshake)),
            };
            self.received.drain(..discard.min(length));
            if let Some(done) = done? {
                return Ok(done);
            }
        }
    }

    /// The alert that a failed connection has left to send: at most one. rustls must see the rest
    /// of the input again, for it keeps positions in it, and must not be asked twice, for it would
    /// fail again and send another.
    fn collect_alert(&mut self, send: &mut Vec<u8>) {
        let state = self.connection.process_tls_records(&mut self.received).state;
        if let Ok(ConnectionState::EncodeTlsData(mut data)) = state {
            // There is an error already, and it says more.
            let _ = encode(&mut data, send);
        }
    }
}
