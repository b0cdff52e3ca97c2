//! A certificate authority of the test suite's own, and what it issues.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    PKCS_RSA_SHA256,
};
use rustls::{
    ServerConfig, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    version::{TLS12, TLS13},
};

/// Signs certificates; its own lies in a file.
pub struct Authority {
    directory: tempfile::TempDir,
    params: CertificateParams,
    key: KeyPair,
    der: CertificateDer<'static>,
}

/// A chain and its key, in files and in memory.
pub struct Leaf {
    pub certificate: PathBuf,
    pub key: PathBuf,
    chain: Vec<CertificateDer<'static>>,
    key_der: Vec<u8>,
    /// `sha256//...` of its public key.
    pub pin: String,
}

/// What the loopback tests trust.
pub static TRUSTED: LazyLock<Authority> = LazyLock::new(|| {
    let authority = Authority::new("trusted");
    // SAFETY: it takes a function that stays, and calls it once.
    unsafe { libc::atexit(clean) };
    authority
});

/// What a static owns is dropped by nothing else.
extern "C" fn clean() {
    let files = fs::read_dir(TRUSTED.directory()).into_iter().flatten().flatten();
    files.for_each(|file| drop(fs::remove_file(file.path())));
    drop(fs::remove_dir(TRUSTED.directory()));
}

/// A certificate for `localhost`, `127.0.0.1` and `::1`.
pub static LOCAL: LazyLock<Leaf> = LazyLock::new(|| TRUSTED.leaf("local", |_| {}));

impl Authority {
    pub fn new(name: &str) -> Self {
        let directory = directory();
        let (params, key) = (ca(name), KeyPair::generate().unwrap());
        let certificate = params.self_signed(&key).unwrap();
        fs::write(directory.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { directory, params, key, der: certificate.der().clone() }
    }

    /// Its certificate's file.
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// The directory of that file.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// An authority that this one vouches for.
    pub fn intermediate(&self, name: &str) -> Self {
        let directory = directory();
        let (params, key) = (ca(name), KeyPair::generate().unwrap());
        let certificate = params.signed_by(&key, &self.issuer()).unwrap();
        fs::write(directory.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { directory, params, key, der: certificate.der().clone() }
    }

    /// A certificate for this machine, changed by `change`, signed by this authority.
    pub fn leaf(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        self.leaf_with(name, KeyPair::generate().unwrap(), change)
    }

    /// The same with an RSA key.
    pub fn rsa_leaf(&self, name: &str) -> Leaf {
        self.leaf_with(name, KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap(), |_| {})
    }

    fn leaf_with(
        &self,
        name: &str,
        key: KeyPair,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Leaf {
        let mut params = local();
        change(&mut params);
        let der = params.signed_by(&key, &self.issuer()).unwrap().der().clone();
        Leaf::write(self.directory.path(), name, vec![der], &key)
    }

    /// What a chain to this authority needs besides its leaf.
    pub fn der(&self) -> CertificateDer<'static> {
        self.der.clone()
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }
}

impl Leaf {
    /// What `openssl req -x509` makes: its own authority.
    pub fn self_signed(directory: &Path, authority: bool) -> Self {
        let mut params = local();
        if authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().clone();
        Self::write(directory, "self", vec![der], &key)
    }

    /// The same key with further certificates in its chain.
    pub fn with_chain(&self, more: Vec<CertificateDer<'static>>) -> Self {
        let chain: Vec<_> = self.chain.iter().cloned().chain(more).collect();
        let certificate = self.certificate.with_extension("chain.pem");
        fs::write(&certificate, pem(&chain)).unwrap();
        Self {
            certificate,
            key: self.key.clone(),
            chain,
            key_der: self.key_der.clone(),
            pin: self.pin.clone(),
        }
    }

    fn write(
        directory: &Path,
        name: &str,
        chain: Vec<CertificateDer<'static>>,
        key: &KeyPair,
    ) -> Self {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let (certificate, key_file) =
            (directory.join(format!("{name}.crt")), directory.join(format!("{name}.key")));
        fs::write(&certificate, pem(&chain)).unwrap();
        fs::write(&key_file, key.serialize_pem()).unwrap();
        let spki = rcgen::PublicKeyData::subject_public_key_info(key);
        let hash = <sha2::Sha256 as sha2::Digest>::digest(spki);
        Self {
            certificate,
            key: key_file,
            chain,
            key_der: key.serialize_der(),
            pin: format!("sha256//{}", STANDARD.encode(hash)),
        }
    }

    /// A server that shows this certificate.
    pub fn server(&self, versions: &[&'static SupportedProtocolVersion]) -> ServerConfig {
        let versions = if versions.is_empty() { &[&TLS13, &TLS12] } else { versions };
        let mut config = ServerConfig::builder_with_protocol_versions(versions)
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key_for_rustls())
            .unwrap();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
        config
    }

    /// A server that also wants to know who its clients are.
    pub fn server_asking(
        &self,
        version: &'static SupportedProtocolVersion,
        clients: std::sync::Arc<dyn rustls::server::danger::ClientCertVerifier>,
    ) -> ServerConfig {
        ServerConfig::builder_with_protocol_versions(&[version])
            .with_client_cert_verifier(clients)
            .with_single_cert(self.chain.clone(), self.key_for_rustls())
            .unwrap()
    }

    fn key_for_rustls(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key_der.clone()).into()
    }
}

/// One that others may look into: some tests run as nobody.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::Builder::new().prefix("uget-ca-").tempdir().unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(directory.path(), mode).unwrap();
    directory
}

fn ca(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, format!("{name} authority"));
    params
}

fn local() -> CertificateParams {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    let mut params = CertificateParams::new(names).unwrap();
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn pem(chain: &[CertificateDer<'_>]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let mut text = String::new();
    for der in chain {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in STANDARD.encode(der).as_bytes().chunks(64) {
            text.push_str(&String::from_utf8_lossy(line));
            text.push('\n');
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}
