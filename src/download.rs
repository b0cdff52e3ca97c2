//! The facade: build a [`Download`], run it, get a [`Report`].

use url::Url;

use crate::{
    error::Error,
    event::{Counter, Observer},
    options::Options,
    report::Report,
};

/// Stops a running download from another thread; cheap to clone.
#[derive(Clone, Debug)]
pub struct Canceller {}

impl Canceller {
    /// Stops the download; it fails with [`crate::ErrorKind::Cancelled`] holding `signal` (0 when there
    /// was none). May be called at any time and more than once.
    pub fn cancel(&self, signal: i32) {
        let _ = signal;
        todo!()
    }
}

/// One download.
pub struct Download {
    url: Url,
    options: Options,
    counter: Counter,
}

impl Download {
    /// A download of `url`. Nothing happens before [`Self::run`].
    ///
    /// # Errors
    /// [`crate::ErrorKind::BadUrl`] for anything that is not an absolute http or https URL with a host.
    pub fn new(url: &str, options: Options) -> Result<Self, Error> {
        let _ = (url, &options);
        todo!()
    }

    /// The progress counter, readable from any thread while the download runs.
    #[must_use]
    pub fn counter(&self) -> Counter {
        self.counter.clone()
    }

    /// What stops it from another thread.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        todo!()
    }

    /// Downloads, and returns when the name is published or the download failed.
    ///
    /// # Errors
    /// Whatever went wrong first.
    pub fn run(self, observer: &mut dyn Observer) -> Result<Report, Error> {
        let _ = (self.url, self.options, observer);
        todo!()
    }
}
