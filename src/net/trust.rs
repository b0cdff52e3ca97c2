//! Which certificates are believed, and who we are: files, environment and system store read into
//! what [`crate::wire`] needs.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::fault::words;
use crate::{
    options::Tls,
    orders::{Failure, TlsFault},
    wire::{Client, Identity, Roots, Setup, Trust},
};

/// The TLS clients of a download, made when the first one is needed: a download over plain HTTP
/// does not read the system's certificates.
#[derive(Debug)]
pub(super) struct Clients {
    options: Tls,
    made: OnceLock<Result<Made, Failure>>,
}

#[derive(Debug)]
struct Made {
    origin: Client,
    proxy: Client,
    note: String,
}

impl Clients {
    /// What the options ask for. Files that they name are read now.
    ///
    /// # Errors
    /// [`TlsFault::Setup`], naming the file.
    pub(super) fn new(options: &Tls) -> Result<Self, Failure> {
        let clients = Self { options: options.clone(), made: OnceLock::new() };
        let named = [&options.ca_file, &options.ca_directory, &options.certificate, &options.key];
        if named.iter().any(|path| path.is_some()) || options.pinned_pubkey.is_some() {
            clients.made()?;
        }
        Ok(clients)
    }

    /// For origins: everything applies.
    ///
    /// # Errors
    /// [`TlsFault::Setup`].
    pub(super) fn origin(&self) -> Result<&Client, Failure> {
        Ok(&self.made()?.origin)
    }

    /// For HTTPS proxies: neither pins nor our certificate are theirs.
    ///
    /// # Errors
    /// [`TlsFault::Setup`].
    pub(super) fn proxy(&self) -> Result<&Client, Failure> {
        Ok(&self.made()?.proxy)
    }

    /// Which source of trust is used, if any can be.
    pub(super) fn note(&self) -> Option<String> {
        self.made().ok().map(|made| made.note.clone())
    }

    fn made(&self) -> Result<&Made, Failure> {
        self.made.get_or_init(|| make(&self.options)).as_ref().map_err(Clone::clone)
    }
}

fn make(options: &Tls) -> Result<Made, Failure> {
    let (trust, note) = trust(options)?;
    let (tls13_only, pins) = (options.tls13_only, pins(options.pinned_pubkey.as_deref())?);
    let proxy = Setup { trust: trust.clone(), identity: None, tls13_only, pins: Vec::new() };
    let origin = Setup { trust, identity: identity(options)?, tls13_only, pins };
    Ok(Made { origin: Client::new(origin)?, proxy: Client::new(proxy)?, note })
}

/// In this order: what was asked for, what the environment says, the system, Mozilla's.
fn trust(options: &Tls) -> Result<(Trust, String), Failure> {
    if options.insecure {
        return Ok((Trust::Anything, "no certificate is checked (--insecure)".to_owned()));
    }
    let asked = (options.ca_file.as_deref(), options.ca_directory.as_deref());
    let environment = (options.env_ca_file.as_deref(), options.env_ca_directory.as_deref());
    for (source, (file, directories)) in [("", asked), (" (environment)", environment)] {
        if file.is_some() || directories.is_some() {
            let (roots, names) = named(file, directories, !source.is_empty())?;
            let note = format!("{} certificates of {names}{source} are trusted", roots.len());
            return Ok((Trust::Roots(roots), note));
        }
    }
    let mut roots = Roots::new();
    for certificate in rustls_native_certs::load_native_certs().certs {
        roots.add_der(&certificate);
    }
    if roots.len() > 0 {
        let note = format!("the system's {} certificates are trusted", roots.len());
        return Ok((Trust::Roots(roots), note));
    }
    let roots = Roots::embedded();
    let note = format!(
        "no system store: the {} certificates of Mozilla's that are built in are trusted",
        roots.len()
    );
    Ok((Trust::Roots(roots), note))
}

/// The certificates of a file, of the files in directories (separated by colons), or both.
/// With `lenient`, a directory may be missing as long as there are certificates at all.
fn named(
    file: Option<&Path>,
    directories: Option<&Path>,
    lenient: bool,
) -> Result<(Roots, String), Failure> {
    let mut roots = Roots::new();
    let mut names = Vec::new();
    if let Some(file) = file {
        if roots.add_pem(&read(file)?) == 0 {
            return Err(setup(file, "no usable certificate in it"));
        }
        names.push(file.display().to_string());
    }
    for directory in directories.iter().flat_map(|d| std::env::split_paths(d)) {
        if directory.as_os_str().is_empty() {
            continue;
        }
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            // The environment is shared with programs that do not mind.
            Err(_) if lenient => continue,
            Err(e) => return Err(setup(&directory, &words(&e))),
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths.iter().filter(|path| path.is_file()) {
            // A directory may hold other things too.
            roots.add_pem(&fs::read(path).unwrap_or_default());
        }
        names.push(directory.display().to_string());
    }
    if roots.len() == 0 {
        let place = directories.or(file).unwrap_or_else(|| Path::new(""));
        return Err(setup(place, "no usable certificate in it"));
    }
    Ok((roots, names.join(" and ")))
}

fn identity(options: &Tls) -> Result<Option<Identity>, Failure> {
    let Some(certificate) = &options.certificate else { return Ok(None) };
    let chain = read(certificate)?;
    let (key_file, key) = match &options.key {
        Some(path) => (path, read(path)?),
        None => (certificate, chain.clone()),
    };
    Identity::from_pem(&chain, &key)
        .map(Some)
        .map_err(|why| setup(if why.contains("key") { key_file } else { certificate }, why))
}

/// curl's `sha256//BASE64[;sha256//BASE64]`.
fn pins(text: Option<&str>) -> Result<Vec<[u8; 32]>, Failure> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let pin = |part: &str| {
        let hash = STANDARD.decode(part.trim().strip_prefix("sha256//")?).ok()?;
        hash.try_into().ok()
    };
    text.split(';').map(pin).collect::<Option<_>>().ok_or_else(|| Failure::Tls {
        fault: TlsFault::Setup,
        reason: "a pinned public key must be sha256// and 44 characters of base64".to_owned(),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|e| setup(path, &words(&e)))
}

fn setup(path: &Path, why: &str) -> Failure {
    Failure::Tls { fault: TlsFault::Setup, reason: format!("{}: {why}", path.display()) }
}
