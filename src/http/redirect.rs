//! Where a redirect leads, and what may follow it there (RFC 9110 section 15.4).

use url::Url;

use super::Error;

/// Scheme, host and port: what credentials are bound to (RFC 6454).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// `http` or `https`.
    pub scheme: String,
    /// The host, lower case; an IPv6 address with its brackets.
    pub host: String,
    /// The port, never absent.
    pub port: u16,
}

impl Origin {
    /// The origin of an http or https URL; `None` for other schemes.
    #[must_use]
    pub fn of(url: &Url) -> Option<Self> {
        let _ = url;
        todo!()
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

    /// Follows `location`, relative to the current URL, its fragment dropped.
    ///
    /// # Errors
    /// [`Error::BadLocation`] (missing, unparsable, not http(s), a downgrade, userinfo in it),
    /// [`Error::RedirectLoop`], [`Error::TooManyRedirects`].
    pub fn follow(&mut self, location: Option<&[u8]>) -> Result<&Url, Error> {
        let _ = (location, self.limit, self.allow_downgrade);
        todo!()
    }

    /// Whether the user's fields and credentials may be sent to the current URL: it and every hop
    /// before it are of the first URL's origin. They do not come back after a foreign hop.
    #[must_use]
    pub fn trusted(&self) -> bool {
        !self.left_origin
    }
}
