//! A download of what no server has.

use std::sync::Arc;

use url::Url;

use super::Download;
use crate::{
    error::{Error, ErrorKind},
    http::redirect::is_http,
    options::Options,
    source::{Hub, RangeSource},
};

impl Download {
    /// A download of the object that `source` has. `url` names it, in messages and reports, and
    /// is what a later run resumes it under: an absolute URL of any scheme but http and https, such
    /// as `file:///srv/image` or `backup://monday/7`; its last segment is the file's name where
    /// none is chosen. What speaks of servers among the options (fields, proxies, TLS) is
    /// of no concern to it.
    ///
    /// # Errors
    /// [`ErrorKind::BadUrl`] for any other text.
    pub fn from_source(
        source: impl RangeSource + 'static,
        url: &str,
        options: Options,
    ) -> Result<Self, Error> {
        let bad = |what: String| Error::new(ErrorKind::BadUrl, what);
        let url = Url::parse(url).map_err(|why| bad(format!("unusable URL: {why}")))?;
        if is_http(&url) || url.cannot_be_a_base() {
            return Err(bad("a source is named by a URL such as file:///a".to_owned()));
        }
        Ok(Self::of(url, options, Some(Hub::new(Arc::new(source)))))
    }
}
