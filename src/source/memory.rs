//! An object in memory.

use std::{ops::Range, sync::Arc};

use super::{Caller, RangeSource, SourceError, Taker, Version};

/// An object in memory. Its version is a digest of its bytes.
#[derive(Clone, Debug)]
pub struct MemorySource {
    bytes: Arc<[u8]>,
    version: Version,
}

impl MemorySource {
    /// These bytes.
    #[must_use]
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        let tag = Some(blake3::hash(&bytes).to_hex().to_string());
        let version = Version { length: Some(bytes.len() as u64), tag, whole: false };
        Self { bytes, version }
    }
}

impl RangeSource for MemorySource {
    fn version(&self, _: &Caller<'_>) -> Result<Version, SourceError> {
        Ok(self.version.clone())
    }

    fn read(
        &self,
        version: &Version,
        range: Range<u64>,
        to: &mut Taker<'_>,
    ) -> Result<(), SourceError> {
        if *version != self.version {
            return Err(SourceError::Changed);
        }
        let at = |offset| usize::try_from(offset).unwrap_or(usize::MAX);
        to.give(self.bytes.get(at(range.start)..at(range.end)).unwrap_or_default())
    }
}
