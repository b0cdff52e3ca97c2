//! Objects that no URL leads to: whatever can say "this long, this version" and give "these bytes
//! of that version" is downloaded as if a server had it.
//!
//! A [`RangeSource`] is asked by the same scheduler, over the same connections, as any origin: each
//! connection is one end of a socket pair, and a thread at the other end (`serve`) answers the
//! requests out of the source. So leasing, retries, resuming, digests and progress are what they
//! are for a server, and neither engine knows the difference.
//!
//! ```no_run
//! # fn main() -> Result<(), uget::Error> {
//! let source = uget::CommandSource::new(["ssh", "backup.example"], "/srv/monday.tar");
//! let url = source.url();
//! let report = uget::Download::from_source(source, &url, uget::Options::default())?.run(&mut ())?;
//! # Ok(())
//! # }
//! ```

mod command;
mod error;
mod file;
mod hub;
mod memory;
mod range_source;
mod serve;
mod taker;

pub use self::{
    command::CommandSource,
    error::SourceError,
    file::FileSource,
    memory::MemorySource,
    range_source::{RangeSource, Version},
    taker::{Caller, Taker},
};
pub(crate) use hub::Hub;

#[cfg(test)]
mod tests;
