//! Unpacking: an archive is extracted, or a compressed file decompressed, while it arrives.
//!
//! One thread decodes, another writes; a few buffers go round between them, so that neither waits
//! for the other, and memory is bounded whatever the archive holds. What is unpacked lies beside
//! its target, and gets its name when the archive was read to its end and believed.
//!
//! The `tar` crate parses headers, and nothing else of it is used. Below the staging directory all
//! goes through handles (`cap-std`): no member is reached by a path, and no link is followed.

#![forbid(unsafe_code)]

mod coding;
mod extract;
mod fault;
mod fetched;
mod gauge;
mod header;
mod limit;
mod member;
mod meta;
mod name;
mod pax;
mod queue;
mod remove;
mod series;
mod single;
mod sparse;
mod stage;
mod tree;

use std::{
    fmt,
    io::{self, Read, Write as _},
    path::{Path, PathBuf},
    thread,
};

pub use self::gauge::Gauge;
use self::{
    limit::{Budget, Ratio},
    queue::{Content, queue},
    stage::{Shape, Stage},
};
use crate::{
    options::Unpack,
    orders::{Failure, StoreOp},
};

/// Where to: ready before anything is asked for, and gone unless it is published.
#[derive(Debug)]
pub struct Place(Into);

enum Into {
    Staged(Stage),
    Stream(Sink),
}

impl fmt::Debug for Into {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Staged(stage) => stage.fmt(f),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// Takes all of some bytes. Where it is given none, nothing has come for a while, and it may say
/// that nothing is wanted any more.
pub type Sink = Box<dyn FnMut(&[u8]) -> Result<(), Failure> + Send>;

impl Place {
    /// A directory that is not there yet, for the members of an archive.
    ///
    /// # Errors
    /// [`Failure::Store`]: it is there, or another run is at work on it, or it cannot be made.
    pub fn directory(target: &Path) -> Result<Self, Failure> {
        Stage::open(target, Shape::Tree).map(Into::Staged).map(Self)
    }

    /// A file for what was compressed; whether another of this name is replaced.
    ///
    /// # Errors
    /// The same.
    pub fn file(target: &Path, replace: bool) -> Result<Self, Failure> {
        Stage::open(target, Shape::File { replace }).map(Into::Staged).map(Self)
    }

    /// Whatever takes what was compressed as it comes.
    #[must_use]
    pub fn stream(sink: Sink) -> Self {
        Self(Into::Stream(sink))
    }

    /// What will be published; nothing for a stream.
    #[must_use]
    pub fn target(&self) -> Option<&Path> {
        match &self.0 {
            Into::Staged(stage) => Some(stage.target()),
            Into::Stream(_) => None,
        }
    }
}

/// Why nothing was unpacked.
#[derive(Debug)]
pub enum Trouble {
    /// The input failed, in its own words.
    Input(io::Error),
    /// The archive is wrong, or cannot be written.
    Unpacking(Failure),
}

/// Everything is unpacked, and has no name yet. Dropped, it is removed.
#[derive(Debug)]
pub struct Staged {
    into: Into,
    /// The mode of a directory.
    mode: Option<u32>,
    warnings: Vec<String>,
    /// Bytes of sparse members that are in no archive.
    holes: u64,
}

/// Unpacks `input` into `place`, to its end. It is decoded on this thread and written on another; a
/// decoder may use `memory` for its window, in bytes. An input that says that nothing came for a
/// while ([`io::ErrorKind::TimedOut`]) is asked again, unless it is known already how this ends.
///
/// # Errors
/// The input's; or [`Failure::Archive`], [`Failure::Store`].
pub fn unpack(
    input: impl Read,
    place: Place,
    rules: &Unpack,
    memory: u64,
    gauge: &Gauge,
) -> Result<Staged, Trouble> {
    let (filling, content) = queue();
    let archive = matches!(&place.0, Into::Staged(stage) if stage.shape() == Shape::Tree);
    let mut ratio = Ratio::new(rules.max_extracted.is_none(), archive);
    let (own, shown) = (rules.clone(), gauge.clone());
    let write = move || write(place, content, &own, &shown);
    let writing = thread::Builder::new().name("unpack".to_owned()).spawn(write);
    let writing = writing.map_err(|error| Trouble::Unpacking(no_thread(&error)))?;
    let failed = filling.run(input, memory, &mut ratio);
    let written = writing.join().unwrap_or(Err(Failure::Internal("what unpacks has panicked")));
    if let Some(error) = failed {
        return Err(Trouble::Input(error));
    }
    let staged = written.map_err(Trouble::Unpacking)?;
    ratio.grow(staged.holes).map_err(Trouble::Unpacking)?;
    Ok(staged)
}

fn no_thread(error: &io::Error) -> Failure {
    fault::store(StoreOp::Create, Path::new("a thread"), fault::errno(error))
}

fn write(place: Place, content: Content, rules: &Unpack, gauge: &Gauge) -> Result<Staged, Failure> {
    let mut into = place.0;
    let budget = Budget::new(rules.max_extracted);
    let (mode, warnings, holes) = match &mut into {
        Into::Staged(stage) if stage.shape() == Shape::Tree => {
            let done = extract::all(stage.directory()?, content, rules, budget, gauge)?;
            (Some(done.stamp.mode), done.warnings, done.holes)
        }
        Into::Staged(stage) => {
            let mut file = stage.file()?;
            let fail = |error| fault::store(StoreOp::Write, stage.target(), fault::errno(&error));
            let sink = |bytes: &[u8]| file.write_all(bytes).map_err(fail);
            single::write(content, budget, gauge, sink)?;
            (None, Vec::new(), 0)
        }
        Into::Stream(sink) => {
            single::write(content, budget, gauge, sink)?;
            (None, Vec::new(), 0)
        }
    };
    Ok(Staged { into, mode, warnings, holes })
}

impl Staged {
    /// What could not be done, and is not worth a failure.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Gives it its name, and says which; with `sync`, so that it lasts.
    ///
    /// # Errors
    /// [`Failure::Store`]; then nothing has the name that had not before.
    pub fn publish(self, sync: bool) -> Result<Option<PathBuf>, Failure> {
        match self.into {
            Into::Staged(stage) => stage.publish(self.mode, sync).map(Some),
            Into::Stream(_) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests;
