//! Whose certificates are believed.

use std::collections::BTreeSet;

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// Whose certificates are believed.
#[derive(Clone, Debug)]
pub(crate) enum Trust {
    /// Those that chain to one of these.
    Roots(Roots),
    /// Anybody's (`--insecure`).
    Anything,
}

/// A set of root certificates.
#[derive(Clone, Debug)]
pub(crate) struct Roots {
    pub(super) store: RootCertStore,
    /// Those that were named by the user, whole: one of them may be the server's own.
    pub(super) named: BTreeSet<Vec<u8>>,
}

impl Roots {
    /// None at all.
    pub(crate) fn new() -> Self {
        Self { store: RootCertStore::empty(), named: BTreeSet::new() }
    }

    /// Mozilla's, as built into this program.
    pub(crate) fn embedded() -> Self {
        let mut roots = Self::new();
        roots.store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        roots
    }

    /// Adds the certificates of a PEM file that the user named; returns how many are usable.
    pub(crate) fn add_pem(&mut self, pem: &[u8]) -> usize {
        let mut added = 0;
        for certificate in CertificateDer::pem_slice_iter(pem).flatten() {
            // A bundle and a directory often hold the same ones.
            if self.named.contains(certificate.as_ref()) {
                added += 1;
            } else if self.store.add(certificate.clone()).is_ok() {
                self.named.insert(certificate.to_vec());
                added += 1;
            }
        }
        added
    }

    /// Adds one certificate; whether it is usable.
    pub(crate) fn add_der(&mut self, der: &[u8]) -> bool {
        self.store.add(CertificateDer::from(der)).is_ok()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.store.len()
    }
}
