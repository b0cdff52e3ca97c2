//! What a source is: length, version, and ranges of that version.

use std::ops::Range;

use super::{
    error::SourceError,
    taker::{Caller, Taker},
};

/// Something that has an object: it says how long it is and which version, and gives ranges of that
/// version. Offsets and lengths are bytes.
///
/// It is asked from several threads at once, one for each connection, and may block. What it says
/// is not taken on trust: a part counts when [`Self::read`] has returned `Ok` and given exactly as
/// many bytes as the range has. One that panics ends its connection, and is asked again on another.
/// One that hangs is a stall: after the stall timeout its connection is hung up, which [`Caller`]
/// tells, and the download goes on without waiting for the thread.
pub trait RangeSource: Send + Sync {
    /// Length and version as they are now. Asked once a request, so an answer should be kept for as
    /// long as nothing speaks against it.
    ///
    /// # Errors
    /// See [`SourceError`].
    fn version(&self, caller: &Caller<'_>) -> Result<Version, SourceError>;

    /// Gives these bytes, in order, and all of them, of `version`, which is one that
    /// [`Self::version`] gave before. The range is not empty and ends within the length; where
    /// there is no length it is `0..u64::MAX`, and means everything.
    ///
    /// # Errors
    /// [`SourceError::Changed`] where that version is no more, also when this is found out after
    /// bytes were given: they are not used then. See [`SourceError`] for the others.
    fn read(
        &self,
        version: &Version,
        range: Range<u64>,
        to: &mut Taker<'_>,
    ) -> Result<(), SourceError>;
}

/// What is known of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// How long it is, in bytes. Without a length there are no ranges.
    pub length: Option<u64>,
    /// What tells this version from every other one: equal tags promise equal bytes, in later runs
    /// too. Letters, digits and punctuation but `"`. Without a tag the bytes come in one stream,
    /// and nothing is resumed.
    pub tag: Option<String>,
    /// It is given as a whole alone.
    pub whole: bool,
}
