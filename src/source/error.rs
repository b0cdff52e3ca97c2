//! Why a source has no answer.

use std::fmt;

/// Why a source has no answer. The texts are what people read: a line each, in lower case; what
/// cannot be printed is escaped later.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceError {
    /// There is no such object. Final.
    NotFound(String),
    /// It may not be read, or is nothing that can be read. Final.
    Denied(String),
    /// The source cannot work at all as it is. Final.
    Unusable(String),
    /// It did not work this time. Asked again, perhaps over fewer connections.
    Failed(String),
    /// The version that was asked for is no more.
    Changed,
    /// The answer is not wanted any more.
    Gone,
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(why) | Self::Denied(why) | Self::Unusable(why) | Self::Failed(why) => {
                f.write_str(why)
            }
            Self::Changed => f.write_str("it is another version now"),
            Self::Gone => f.write_str("the answer is not wanted any more"),
        }
    }
}

impl std::error::Error for SourceError {}
