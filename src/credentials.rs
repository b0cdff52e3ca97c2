//! Who we are, as fields of a request: user and password, token, netrc, cookies.
//!
//! What is made here goes to the first origin only. Nothing of it is ever part of a message.

mod cookies;
mod netrc;

use std::{
    fs, io,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use percent_encoding::percent_decode_str;
use url::Url;

use crate::{
    error::{Error, ErrorKind},
    http::{self, request::Field},
    options::{Credentials, Options},
};

/// The fields that only the origin of `url` may see: the user's own, then `Referer`,
/// `Authorization` and `Cookie`. A field of the user's own replaces the one that would be made
/// here. Reads the netrc file and the cookie file.
///
/// For `Authorization`, in this order: `--user`, the URL's userinfo, a bearer token, netrc; but a
/// password that netrc knows completes a user that came without one.
///
/// # Errors
/// [`ErrorKind::Usage`] for a file that cannot be read, and for CR, LF or NUL in what would become
/// a field.
pub(crate) fn private_fields(url: &Url, options: &Options) -> Result<Vec<Field>, Error> {
    let mut fields = Vec::new();
    for header in &options.headers {
        fields.push(field(&header.name, header.value.0.as_bytes())?);
    }
    if let Some(referer) = &options.referer {
        fields.push(field("Referer", referer.as_bytes())?);
    }
    let own = |name: &str| options.headers.iter().any(|h| h.name.eq_ignore_ascii_case(name));
    if !own("Authorization")
        && let Some(value) = authorization(url, &options.credentials)?
    {
        fields.push(field("Authorization", &value)?);
    }
    if !own("Cookie")
        && let Some(value) = cookie(url, &options.credentials)?
    {
        fields.push(field("Cookie", &value)?);
    }
    Ok(fields)
}

/// The field that the user and password in a URL make, for the origin of that alone.
///
/// # Errors
/// [`ErrorKind::Usage`] for a control character in them.
pub(crate) fn url_fields(url: &Url) -> Result<Vec<Field>, Error> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(Vec::new());
    }
    let name: Vec<u8> = percent_decode_str(url.username()).collect();
    let password: Vec<u8> = percent_decode_str(url.password().unwrap_or_default()).collect();
    Ok(vec![field("Authorization", &basic(&name, &password)?)?])
}

fn authorization(url: &Url, credentials: &Credentials) -> Result<Option<Vec<u8>>, Error> {
    if let Some(user) = &credentials.user {
        let (name, password) = user.0.split_once(':').unwrap_or((&user.0, ""));
        return basic(name.as_bytes(), password.as_bytes()).map(Some);
    }
    let name: Vec<u8> = percent_decode_str(url.username()).collect();
    if let Some(password) = url.password() {
        let password: Vec<u8> = percent_decode_str(password).collect();
        return basic(&name, &password).map(Some);
    }
    if name.is_empty()
        && let Some(token) = &credentials.bearer
    {
        return Ok(Some(format!("Bearer {}", token.0).into_bytes()));
    }
    if let Some(path) = &credentials.netrc
        && let Some(text) = read(path, credentials.netrc_required, "netrc")?
    {
        let host = url.host_str().unwrap_or_default();
        let wanted = (!name.is_empty()).then_some(name.as_slice());
        if let Some(login) = netrc::find(&text, host.trim_matches(['[', ']']), wanted) {
            return basic(&login.name, &login.password).map(Some);
        }
    }
    if name.is_empty() { Ok(None) } else { basic(&name, b"").map(Some) }
}

/// RFC 7617. The name cannot hold a colon, and neither can hold a control character.
fn basic(name: &[u8], password: &[u8]) -> Result<Vec<u8>, Error> {
    if name.contains(&b':') {
        return Err(Error::new(ErrorKind::Usage, "a user name cannot hold a colon"));
    }
    if name.iter().chain(password).any(|octet| octet.is_ascii_control()) {
        return Err(Error::new(ErrorKind::Usage, "user or password holds a control character"));
    }
    let pair = [name, b":", password].concat();
    Ok(format!("Basic {}", STANDARD.encode(pair)).into_bytes())
}

fn cookie(url: &Url, credentials: &Credentials) -> Result<Option<Vec<u8>>, Error> {
    let Some(cookie) = &credentials.cookie else { return Ok(None) };
    if cookie.0.contains('=') {
        return Ok(Some(cookie.0.clone().into_bytes()));
    }
    if cookie.0.is_empty() {
        return Ok(None);
    }
    let Some(file) = read(Path::new(&cookie.0), true, "cookie file")? else { return Ok(None) };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    Ok(cookies::for_url(&file, url, now))
}

fn field(name: &str, value: &[u8]) -> Result<Field, Error> {
    Field::new(name, value).map_err(|e| Error::new(ErrorKind::Usage, e.to_string()))
}

/// A file that may be missing unless it is `required`. `None` where it is.
fn read(path: &Path, required: bool, what: &str) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(octets) => Ok(Some(octets)),
        Err(e) if e.kind() == io::ErrorKind::NotFound && !required => Ok(None),
        Err(e) => {
            let path = http::escape(path.as_os_str().as_encoded_bytes(), PATH_SHOWN);
            let text = e.to_string();
            let words = text.split(" (os error").next().unwrap_or_default().to_lowercase();
            Err(Error::new(ErrorKind::Usage, format!("cannot read the {what} {path}: {words}")))
        }
    }
}

/// Characters of a path that are worth a line.
const PATH_SHOWN: usize = 200;

#[cfg(test)]
mod tests;
