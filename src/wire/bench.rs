//! Both ends of a connection in memory: `benches/tls.rs` measures the receive path alone.
#![expect(clippy::unwrap_used, reason = "for a benchmark; not part of the API")]

use std::{io::Write, sync::Arc};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{
    ServerConfig, ServerConnection,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use super::{Client, HEADROOM, Session, Setup, Trust};

/// A server that seals and a session that opens.
pub struct Receive {
    session: Session,
    server: ServerConnection,
}

impl Receive {
    /// Shakes hands.
    pub fn connected() -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(super::client::provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let mut server = ServerConnection::new(Arc::new(config)).unwrap();
        server.set_buffer_limit(None);
        let setup =
            Setup { trust: Trust::Anything, identity: None, tls13_only: false, pins: Vec::new() };
        let mut handshake = Client::new(setup).unwrap().start("localhost").unwrap();
        let mut incoming = Vec::new();
        loop {
            let progress = handshake.advance(&incoming);
            let mut sent = &progress.send[..];
            while !sent.is_empty() {
                server.read_tls(&mut sent).unwrap();
                server.process_new_packets().unwrap();
            }
            incoming.clear();
            while server.wants_write() {
                server.write_tls(&mut incoming).unwrap();
            }
            if progress.outcome.unwrap() && !server.is_handshaking() {
                break;
            }
        }
        let mut this = Self { session: handshake.finish(), server };
        // Session tickets.
        let mut buffer = vec![0; HEADROOM + incoming.len()];
        buffer[HEADROOM..].copy_from_slice(&incoming);
        this.open(&mut buffer);
        this
    }

    /// Records that hold `bytes`, behind the headroom that a connection's buffer has.
    pub fn seal(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.server.writer().write_all(bytes).unwrap();
        let mut buffer = vec![0; HEADROOM];
        while self.server.wants_write() {
            self.server.write_tls(&mut buffer).unwrap();
        }
        buffer
    }

    /// Opens what [`Self::seal`] made; returns how much plaintext there is now.
    pub fn open(&mut self, buffer: &mut [u8]) -> usize {
        let end = buffer.len();
        self.session.open(buffer, 0, HEADROOM..end).unwrap().plain.len()
    }
}
