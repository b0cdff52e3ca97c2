//! The certificate that an origin shows.

use std::{fmt, io};

use crate::wire::{Acceptor, Identity};

/// A certificate chain and its private key, both as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The chain, the server's own certificate first.
    pub chain: Vec<u8>,
    /// The private key (PKCS #8, PKCS #1 or SEC 1), without a passphrase.
    pub key: Vec<u8>,
}

impl Certificate {
    /// A new one that nobody has signed but itself, for these host names and IP addresses.
    /// Clients have to be told to trust it.
    ///
    /// # Errors
    ///
    /// A name that cannot be in a certificate (`InvalidInput`), or no key could be made.
    pub fn self_signed(names: &[String]) -> io::Result<Self> {
        let made = rcgen::generate_simple_self_signed(names)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error.to_string()))?;
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        Ok(Self { chain: chain.into_bytes(), key: key.into_bytes() })
    }

    pub(super) fn acceptor(&self) -> io::Result<Acceptor> {
        let unusable = |reason: String| io::Error::new(io::ErrorKind::InvalidInput, reason);
        let identity = Identity::from_pem(&self.chain, &self.key)
            .map_err(|reason| unusable(reason.to_owned()))?;
        Acceptor::new(identity).map_err(|error| unusable(error.reason))
    }
}

impl fmt::Debug for Certificate {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}
