//! Text that should be a URL.

use url::Url;

use crate::{
    error::{Error, ErrorKind},
    http,
};

/// An absolute http or https URL with a host, from text that may be anything. It is not repeated in
/// the error, because it may hold secrets.
///
/// # Errors
/// [`ErrorKind::BadUrl`], with what was probably meant.
pub fn http_url(text: &str) -> Result<Url, Error> {
    let bad = |what: String| Error::new(ErrorKind::BadUrl, what);
    let Some((scheme, rest)) = text.split_once("://") else {
        let error = bad("the URL has no scheme".to_owned());
        return Err(match probably_meant(text) {
            Some(url) => error.with_hint(format!("did you mean {url}")),
            None => error,
        });
    };
    // The URL standard would skip these slashes and take the path's first segment for a host.
    if rest.starts_with(['/', '\\']) && scheme.to_ascii_lowercase().starts_with("http") {
        return Err(bad("unusable URL: no host".to_owned()));
    }
    let url = Url::parse(text).map_err(|why| bad(format!("unusable URL: {why}")))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        "http" | "https" => Err(bad("unusable URL: no host".to_owned())),
        other => {
            let shown = http::escape(other.as_bytes(), SCHEME_SHOWN);
            Err(bad(format!("unsupported scheme {shown}")).with_hint("http and https work"))
        }
    }
}

/// The URL that a text without `://` probably stands for; nothing that may hold a password.
fn probably_meant(text: &str) -> Option<String> {
    let bare = text.split(['?', '#']).next().filter(|bare| !bare.is_empty())?;
    let plausible = !bare.contains('@')
        && !bare.starts_with(['/', '.', '-', ':'])
        && !["http:", "https:"].iter().any(|scheme| bare.starts_with(scheme));
    plausible.then(|| format!("http://{}", http::escape(bare.as_bytes(), URL_SHOWN)))
}

/// How much of a scheme that is not ours is quoted, in characters.
const SCHEME_SHOWN: usize = 20;
/// How much of what was probably meant is quoted, in characters.
const URL_SHOWN: usize = 200;
