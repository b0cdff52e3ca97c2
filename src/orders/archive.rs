//! What can be wrong with an archive.

use std::fmt;

/// Why an archive, or a compressed file, is not unpacked. Names are escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArchiveFault {
    /// It is damaged, or holds what it may not.
    Bad {
        /// The member at fault; none where it is the whole.
        member: Option<String>,
        /// What is wrong with it.
        what: String,
    },
    /// A device or a FIFO, without `--devices`.
    Device {
        /// Its name.
        member: String,
    },
    /// It is a zip file, which cannot be read from its beginning.
    Zip,
    /// Its decoder wants more memory than it may have.
    Window,
    /// It grows so much that it can only be meant to.
    Bomb,
    /// It holds more than `--max-extracted`.
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
}

impl ArchiveFault {
    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Bad { .. } => None,
            Self::Device { .. } => Some("--devices makes devices and FIFOs"),
            Self::Zip => Some("download it with -o FILE, then use unzip"),
            Self::Window => Some("--memory SIZE allows more"),
            Self::Bomb => Some("--max-extracted SIZE says how much is right"),
            Self::TooLarge { .. } => Some("--max-extracted SIZE sets the limit"),
        }
    }
}

impl fmt::Display for ArchiveFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bad { member: Some(member), what } => {
                write!(f, "cannot unpack the member {member}: {what}")
            }
            Self::Bad { member: None, what } => write!(f, "cannot unpack it: {what}"),
            Self::Device { member } => {
                write!(f, "cannot unpack the member {member}: it is a device or a FIFO")
            }
            Self::Zip => write!(f, "cannot unpack it: it is a zip file"),
            Self::Window => write!(f, "cannot unpack it: it takes more memory than is allowed"),
            Self::Bomb => {
                write!(f, "cannot unpack it: it grows to more than a thousand times its size")
            }
            Self::TooLarge { limit } => {
                write!(f, "what it holds is larger than the limit of {limit} bytes")
            }
        }
    }
}
