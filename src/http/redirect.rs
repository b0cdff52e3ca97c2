//! Where a redirect leads, and what may follow it there (RFC 9110 section 15.4).

use url::Url;

use super::{Error, escape};

/// Scheme, host and port: what credentials are bound to (RFC 6454).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// `http` or `https`; something else for an object that no server has.
    pub scheme: String,
    /// The host, lower case; an IPv6 address with its brackets; empty where there is none.
    pub host: String,
    /// The port; 0 where there are none.
    pub port: u16,
}

impl Origin {
    /// The origin of a URL; `None` for an http or https URL without a host.
    #[must_use]
    pub fn of(url: &Url) -> Option<Self> {
        let (host, port) = match is_http(url) {
            true => (url.host_str()?, url.port_or_known_default()?),
            false => (url.host_str().unwrap_or_default(), 0),
        };
        Some(Self { scheme: url.scheme().to_owned(), host: host.to_owned(), port })
    }
}

/// The rules of a chain of redirects.
#[derive(Clone, Debug)]
pub struct Chain {
    hops: Vec<Url>,
    limit: u32,
    allow_downgrade: bool,
    left_origin: bool,
}

impl Chain {
    /// A chain that starts at `url` and may be `limit` hops long. `allow_downgrade` lets https
    /// lead to http.
    #[must_use]
    pub fn new(url: Url, limit: u32, allow_downgrade: bool) -> Self {
        Self { hops: vec![url], limit, allow_downgrade, left_origin: false }
    }

    /// The URL that was asked last.
    #[must_use]
    pub fn current(&self) -> &Url {
        self.hops.last().unwrap_or_else(|| unreachable!("a chain starts with a URL"))
    }

    /// Follows `location`, relative to the current URL. Its fragment is dropped, and so is
    /// userinfo in it: who redirects does not choose the credentials.
    ///
    /// # Errors
    /// [`Error::BadLocation`] (missing, control characters, unparsable, not http(s), a downgrade),
    /// [`Error::RedirectLoop`], [`Error::TooManyRedirects`]. The chain is then as it was.
    pub fn follow(&mut self, location: Option<&[u8]>) -> Result<&Url, Error> {
        let location = location.ok_or_else(|| Error::BadLocation("no Location".to_owned()))?;
        if self.hops.len() > usize::try_from(self.limit).unwrap_or(usize::MAX) {
            return Err(Error::TooManyRedirects(self.limit));
        }
        let next = self.resolve(location)?;
        let origin = Origin::of(&next).filter(|_| is_http(&next)).ok_or_else(|| {
            let scheme = escape(next.scheme().as_bytes(), SCHEME_SHOWN);
            Error::BadLocation(format!("the scheme {scheme} is not http or https"))
        })?;
        if self.current().scheme() == "https" && origin.scheme == "http" && !self.allow_downgrade {
            return Err(Error::BadLocation("it leads from https to http".to_owned()));
        }
        if self.hops.iter().any(|hop| bare(hop.clone()) == next) {
            return Err(Error::RedirectLoop);
        }
        self.left_origin |= self.hops.first().and_then(Origin::of) != Some(origin);
        self.hops.push(next);
        Ok(self.current())
    }

    /// Whether the user's fields and credentials may be sent to the current URL: it and every hop
    /// before it are of the first URL's origin. They do not come back after a foreign hop.
    #[must_use]
    pub fn trusted(&self) -> bool {
        !self.left_origin
    }

    fn resolve(&self, location: &[u8]) -> Result<Url, Error> {
        let location = location.trim_ascii();
        if location.iter().any(u8::is_ascii_control) {
            return Err(Error::BadLocation("a control character in Location".to_owned()));
        }
        // The URL parser encodes UTF-8; other octets are passed on as the octets they are.
        let mut text = String::new();
        for piece in location.utf8_chunks() {
            text.push_str(piece.valid());
            text.extend(piece.invalid().iter().map(|octet| format!("%{octet:02X}")));
        }
        let next = self.current().join(&text);
        next.map(bare).map_err(|error| Error::BadLocation(error.to_string()))
    }
}

/// Whether a server has it; nothing else is led to by one.
#[must_use]
pub fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

/// `url` without what is never sent: fragment and userinfo.
fn bare(mut url: Url) -> Url {
    url.set_fragment(None);
    // Both refuse only where a URL cannot have userinfo at all.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}

/// How much of a strange scheme a message shows.
const SCHEME_SHOWN: usize = 30;

#[cfg(test)]
mod tests;
