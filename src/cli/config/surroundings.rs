//! What surrounds the process: the environment, and the limit on descriptors.

use std::{ffi::OsString, path::PathBuf};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use uget::{Error, ErrorKind};

/// What surrounds the process: a value, so that tests need not change their own.
pub(crate) struct Surroundings<'a> {
    /// Looks a variable up.
    pub(crate) variable: &'a dyn Fn(&str) -> Option<OsString>,
}

impl Surroundings<'_> {
    /// The process's own. Raises the soft limit on descriptors to the hard one.
    pub(crate) fn of_process() -> Self {
        let limit = getrlimit(Resource::Nofile);
        // Where that is refused (setrlimit(2)), the soft limit is what there is.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
        Surroundings { variable: &|name| std::env::var_os(name) }
    }

    /// A variable that is set, not empty, and text.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] when it is not UTF-8.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Error> {
        let Some(value) = (self.variable)(name).filter(|v| !v.is_empty()) else { return Ok(None) };
        value
            .into_string()
            .map(Some)
            .map_err(|_| usage(format!("the value of {name} is not UTF-8")))
    }

    /// A variable that is set and not empty, as a path.
    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        (self.variable)(name).filter(|v| !v.is_empty()).map(PathBuf::from)
    }

    /// The flag's value, else the variable's, by the flag's own parser.
    pub(super) fn or_variable<T>(
        &self,
        flag: Option<T>,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Error> {
        if flag.is_some() {
            return Ok(flag);
        }
        let Some(text) = self.text(name)? else { return Ok(None) };
        parse(&text).map(Some).map_err(|why| usage(format!("invalid value in {name}: {why}")))
    }
}

/// A usage error.
pub(super) fn usage(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Usage, what)
}
