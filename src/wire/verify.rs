//! Whether a server is who it says it is.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use rustls::{
    CertificateError, DigitallySignedStruct, Error as Tls, OtherError, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs::cipher_suite, verify_tls12_signature,
        verify_tls13_signature,
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::{error::Error, trust::Trust};
use crate::orders::TlsFault;

/// Trust, then pins. What was found good is remembered for a minute, so that sixteen connections
/// that open together cost one check of the chain.
#[derive(Debug)]
pub(super) struct Verifier {
    /// `None` trusts everybody.
    chains: Option<Arc<WebPkiServerVerifier>>,
    named: BTreeSet<Vec<u8>>,
    pins: Vec<[u8; 32]>,
    algorithms: WebPkiSupportedAlgorithms,
    believed: Mutex<Option<Believed>>,
}

/// A chain that was checked.
#[derive(Debug, PartialEq, Eq)]
struct Believed {
    chain: Vec<Vec<u8>>,
    name: ServerName<'static>,
    at: u64,
}

impl Verifier {
    pub(super) fn new(
        trust: Trust,
        pins: Vec<[u8; 32]>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, Error> {
        let (chains, named) = match trust {
            Trust::Anything => (None, BTreeSet::new()),
            Trust::Roots(roots) => {
                let chains = WebPkiServerVerifier::builder_with_provider(
                    Arc::new(roots.store),
                    Arc::clone(provider),
                )
                .build()
                .map_err(|e| Error::new(TlsFault::Setup, e.to_string().to_lowercase()))?;
                (Some(chains), roots.named)
            }
        };
        let algorithms = provider.signature_verification_algorithms;
        Ok(Self { chains, named, pins, algorithms, believed: Mutex::default() })
    }

    fn trusted(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<(), Tls> {
        let Some(chains) = &self.chains else { return Ok(()) };
        match chains.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            Ok(_) => Ok(()),
            Err(Tls::InvalidCertificate(CertificateError::Other(other)))
                if other.0.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity)
                    && self.named.contains(end_entity.as_ref()) =>
            {
                itself(end_entity, name)
            }
            Err(e) => Err(e),
        }
    }

    fn pinned(&self, end_entity: &CertificateDer<'_>) -> Result<(), Tls> {
        if self.pins.is_empty() {
            return Ok(());
        }
        let certificate = webpki::EndEntityCert::try_from(end_entity)
            .map_err(|_| Tls::InvalidCertificate(CertificateError::BadEncoding))?;
        let key = certificate.subject_public_key_info();
        let suite = cipher_suite::TLS13_AES_128_GCM_SHA256;
        let Some(suite) = suite.tls13() else {
            return Err(Tls::General("no SHA-256".to_owned()));
        };
        let hash = suite.common.hash_provider.hash(key.as_ref());
        if self.pins.iter().any(|pin| pin.as_slice() == hash.as_ref()) {
            return Ok(());
        }
        let other = OtherError(Arc::new(NotPinned));
        Err(Tls::InvalidCertificate(CertificateError::Other(other)))
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Tls> {
        let candidate = Believed {
            chain: std::iter::once(end_entity).chain(intermediates).map(|c| c.to_vec()).collect(),
            name: name.to_owned(),
            at: now.as_secs() / BELIEVED_SECONDS,
        };
        let mut believed = self.believed.lock().unwrap_or_else(PoisonError::into_inner);
        if believed.as_ref() != Some(&candidate) {
            self.trusted(end_entity, intermediates, name, ocsp, now)?;
            self.pinned(end_entity)?;
            *believed = Some(candidate);
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Tls> {
        if self.anybody() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Tls> {
        if self.anybody() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl Verifier {
    /// Nothing is known about the peer, so its signature says nothing either; old keys that could
    /// not be checked must not stand in the way of `--insecure`.
    fn anybody(&self) -> bool {
        self.chains.is_none() && self.pins.is_empty()
    }
}

/// The server shows the very certificate that the user named, and it is marked as an authority's,
/// as `openssl req -x509` does: no chain is to be built. It is of its time, or that would have been
/// the complaint; only the name is to be checked.
fn itself(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), Tls> {
    let parsed = rustls::server::ParsedCertificate::try_from(certificate)?;
    rustls::client::verify_server_name(&parsed, name)
}

/// The server's key is none of the pinned ones.
#[derive(Debug)]
struct NotPinned;

impl fmt::Display for NotPinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its public key is not the pinned one")
    }
}

impl std::error::Error for NotPinned {}

/// How long a checked chain is believed without another look at the clock's effect on it.
const BELIEVED_SECONDS: u64 = 60;
