//! The server's side of TLS, for the embedded origin: a blocking stream over a blocking stream.

use std::{
    io::{self, Read, Write},
    sync::Arc,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{
    client::{Identity, provider, unusable},
    error::Error,
};

/// A server's certificate, ready to accept connections.
#[derive(Clone, Debug)]
pub(crate) struct Acceptor {
    config: Arc<ServerConfig>,
}

/// An accepted connection. The handshake happens with the first bytes that are read or written.
pub(crate) struct Accepted<S: Read + Write>(StreamOwned<ServerConnection, S>);

impl Acceptor {
    /// A server that shows this certificate. TLS 1.3 and 1.2, `http/1.1` alone, and sessions that
    /// can be resumed.
    ///
    /// # Errors
    /// A setup fault when certificate and key do not belong together.
    pub(crate) fn new(identity: Identity) -> Result<Self, Error> {
        let Identity { chain, key } = identity;
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(unusable)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config) })
    }

    /// Makes `socket` the server's end of a TLS connection.
    ///
    /// # Errors
    /// A setup fault when rustls does not want to begin.
    pub(crate) fn accept<S: Read + Write>(&self, socket: S) -> Result<Accepted<S>, Error> {
        let mut connection = ServerConnection::new(Arc::clone(&self.config)).map_err(unusable)?;
        connection.set_buffer_limit(Some(SEND_BUFFER));
        Ok(Accepted(StreamOwned::new(connection, socket)))
    }
}

impl<S: Read + Write> Accepted<S> {
    /// The stream below.
    pub(crate) fn socket(&self) -> &S {
        &self.0.sock
    }

    /// Says that nothing more comes (close_notify).
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.0.conn.send_close_notify();
        self.0.flush()
    }
}

impl<S: Read + Write> Read for Accepted<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<S: Read + Write> Write for Accepted<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Bytes that are sealed before they are handed on: a few dozen records for a call of write(2).
const SEND_BUFFER: usize = 512 * 1024;

#[cfg(test)]
mod tests {
    use std::{os::unix::net::UnixStream, thread};

    use rustls::{
        ClientConfig, ClientConnection, HandshakeKind, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    };

    use super::*;

    fn pair() -> (Acceptor, Arc<ClientConfig>) {
        let made = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let identity = Identity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        (Acceptor::new(identity).unwrap(), Arc::new(config))
    }

    /// Sends back what it receives, and says so when it is done.
    fn echo(acceptor: &Acceptor, socket: UnixStream) -> io::Result<()> {
        let mut accepted = acceptor.accept(socket).map_err(io::Error::other)?;
        let mut buffer = vec![0; 100_000];
        loop {
            let read = accepted.read(&mut buffer)?;
            if read == 0 {
                return accepted.finish();
            }
            accepted.write_all(&buffer[..read])?;
            accepted.flush()?;
        }
    }

    #[test]
    fn bytes_go_through_and_sessions_are_resumed() {
        let (acceptor, config) = pair();
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let acceptor = acceptor.clone();
            let server = thread::Builder::new().name("server".to_owned());
            let server = server.spawn(move || echo(&acceptor, theirs)).unwrap();
            let name = ServerName::try_from("a.test").unwrap();
            let connection = ClientConnection::new(Arc::clone(&config), name).unwrap();
            let mut client = StreamOwned::new(connection, ours);
            let sent: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
            let mut received = vec![0; sent.len()];
            for (out, back) in sent.chunks(64 * 1024).zip(received.chunks_mut(64 * 1024)) {
                client.write_all(out).unwrap();
                client.flush().unwrap();
                client.read_exact(back).unwrap();
            }
            assert!(sent == received);
            assert_eq!(client.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
            assert_eq!(client.conn.handshake_kind(), Some(kind));
            client.conn.send_close_notify();
            client.flush().unwrap();
            // An end without close_notify would be an error here.
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
            server.join().unwrap().unwrap();
        }
    }

    #[test]
    fn what_is_not_tls_is_an_error() {
        let (acceptor, _) = pair();
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        let error = echo(&acceptor, theirs).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
