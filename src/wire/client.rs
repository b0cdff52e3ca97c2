//! What is the same for all connections of a download: trust, identity, resumable sessions.

use std::sync::Arc;

use rustls::{
    ClientConfig,
    client::{Resumption, UnbufferedClientConnection},
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    version::{TLS12, TLS13},
};

use super::{error::Error, handshake::Handshake, trust::Trust, verify::Verifier};
use crate::orders::TlsFault;

/// Makes handshakes that share trust, identity and sessions. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    config: Arc<ClientConfig>,
}

/// Everything that can be asked of a [`Client`].
#[derive(Debug)]
pub(crate) struct Setup {
    /// Whose certificates are believed.
    pub(crate) trust: Trust,
    /// Who we are, when a server asks.
    pub(crate) identity: Option<Identity>,
    /// Refuse TLS 1.2.
    pub(crate) tls13_only: bool,
    /// SHA-256 of the public keys (SubjectPublicKeyInfo) of which the server must have one; empty
    /// for no such demand.
    pub(crate) pins: Vec<[u8; 32]>,
}

impl Client {
    /// A client for one download.
    ///
    /// # Errors
    /// [`TlsFault::Setup`] when there are no roots, or certificate and key do not belong together.
    pub(crate) fn new(setup: Setup) -> Result<Self, Error> {
        let provider = Arc::new(provider());
        let versions: &[_] = if setup.tls13_only { &[&TLS13] } else { &[&TLS13, &TLS12] };
        let verifier = Verifier::new(setup.trust, setup.pins, &provider)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(unusable)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match setup.identity {
            Some(Identity { chain, key }) => {
                builder.with_client_auth_cert(chain, key).map_err(unusable)?
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        Ok(Self { config: Arc::new(config) })
    }

    /// A new connection's handshake with `host`: a name, or an IP address without brackets.
    ///
    /// # Errors
    /// [`TlsFault::Handshake`] for a host that cannot be in a certificate.
    pub(crate) fn start(&self, host: &str) -> Result<Handshake, Error> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Error::new(TlsFault::Handshake, format!("{host:?} is not a TLS name")))?;
        let connection = UnbufferedClientConnection::new(Arc::clone(&self.config), name)
            .map_err(|e| Error::new(TlsFault::Handshake, e.to_string().to_lowercase()))?;
        Ok(Handshake::new(connection))
    }
}

/// A certificate chain and its private key.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads both from PEM.
    ///
    /// # Errors
    /// In words, without the file's name.
    pub(crate) fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, &'static str> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain).flatten().collect();
        if chain.is_empty() {
            return Err("no certificate in it");
        }
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| "no private key in it (one with a passphrase cannot be used)")?;
        Ok(Self { chain, key })
    }
}

pub(super) fn unusable(error: rustls::Error) -> Error {
    let words = match error {
        rustls::Error::InconsistentKeys(_) => "certificate and key do not belong together".into(),
        other => other.to_string().to_lowercase(),
    };
    Error::new(TlsFault::Setup, words)
}

/// AES before ChaCha20 where the CPU has AES, the cheaper key size first; the reverse where not.
/// Key exchange is post-quantum by default, by a feature of rustls.
pub(super) fn provider() -> CryptoProvider {
    use aws_lc_rs::cipher_suite as suite;
    let aes = [
        suite::TLS13_AES_128_GCM_SHA256,
        suite::TLS13_AES_256_GCM_SHA384,
        suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ];
    let chacha = [
        suite::TLS13_CHACHA20_POLY1305_SHA256,
        suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ];
    let cipher_suites = if cpu_has_aes() {
        aes.into_iter().chain(chacha).collect()
    } else {
        chacha.into_iter().chain(aes).collect()
    };
    CryptoProvider { cipher_suites, ..aws_lc_rs::default_provider() }
}

#[cfg(target_arch = "x86_64")]
fn cpu_has_aes() -> bool {
    std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq")
}

#[cfg(target_arch = "aarch64")]
fn cpu_has_aes() -> bool {
    std::arch::is_aarch64_feature_detected!("aes")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn cpu_has_aes() -> bool {
    false
}

/// Hosts whose sessions are kept: origin, redirects and mirrors.
const SESSIONS: usize = 64;
