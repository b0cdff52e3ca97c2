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
    fs::File,
    io::{self, Read},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    thread,
};

pub use self::gauge::Gauge;
use self::{
    extract::{Extracted, Rules},
    limit::Ratio,
    queue::{Content, queue},
    stage::{Shape, Stage},
};
use crate::orders::{Failure, StoreOp};

/// How members are taken, and what limits them. The default refuses what needs an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// So many leading components of every name are dropped.
    pub strip: usize,
    /// The most that all content together may have, in bytes; without it, a guard looks at how much
    /// an archive grows.
    pub most: Option<u64>,
    /// Devices and FIFOs are made.
    pub devices: bool,
    /// set-user-ID, set-group-ID and sticky bits are kept.
    pub setuid: bool,
    /// As root: owners are those of the archive.
    pub owner: bool,
    /// What a decoder may use for its window, in bytes.
    pub memory: u64,
}

impl Default for Plan {
    fn default() -> Self {
        let (most, memory) = (None, 128 << 20);
        Self { strip: 0, most, devices: false, setuid: false, owner: false, memory }
    }
}

/// Where to: ready before anything is asked for, and gone unless it is published.
#[derive(Debug)]
pub struct Place(Into);

#[derive(Debug)]
enum Into {
    Staged(Stage),
    Stream(PathBuf, OwnedFd),
}

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

    /// An open descriptor for what was compressed, which takes it as it comes.
    #[must_use]
    pub fn stream(name: &Path, fd: OwnedFd) -> Self {
        Self(Into::Stream(name.to_owned(), fd))
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
}

/// Unpacks `input` into `place`, to its end. It is decoded on this thread and written on another.
///
/// # Errors
/// The input's; or [`Failure::Archive`], [`Failure::Store`].
pub fn unpack(
    input: impl Read,
    place: Place,
    plan: &Plan,
    gauge: &Gauge,
) -> Result<Staged, Trouble> {
    let (filling, content) = queue();
    let archive = matches!(&place.0, Into::Staged(stage) if stage.shape() == Shape::Tree);
    let ratio = Ratio::new(plan.most.is_none(), archive);
    let (own, shown) = (plan.clone(), gauge.clone());
    let write = move || write(place, content, &own, &shown);
    let writing = thread::Builder::new().name("unpack".to_owned()).spawn(write);
    let writing = writing.map_err(|error| Trouble::Unpacking(no_thread(&error)))?;
    let failed = filling.run(input, plan.memory, ratio);
    let written = writing.join().unwrap_or(Err(Failure::Internal("what unpacks has panicked")));
    match failed {
        Some(error) => Err(Trouble::Input(error)),
        None => written.map_err(Trouble::Unpacking),
    }
}

fn no_thread(error: &io::Error) -> Failure {
    fault::store(StoreOp::Create, Path::new("a thread"), fault::errno(error))
}

fn write(place: Place, content: Content, plan: &Plan, gauge: &Gauge) -> Result<Staged, Failure> {
    let mut into = place.0;
    let written = match &mut into {
        Into::Staged(stage) if stage.shape() == Shape::Tree => {
            let rules = Rules {
                strip: plan.strip,
                devices: plan.devices,
                setuid: plan.setuid,
                owner: plan.owner,
                most: plan.most,
            };
            extract::all(stage.directory()?, content, &rules, gauge)
                .map(|Extracted { stamp, warnings }| (Some(stamp.mode), warnings))
        }
        Into::Staged(stage) => {
            single::write(stage.file()?, stage.target(), content, plan.most, gauge)
                .map(|()| (None, Vec::new()))
        }
        Into::Stream(path, fd) => {
            let file = fd.try_clone().map(File::from);
            let file = file.map_err(|e| fault::store(StoreOp::Write, path, fault::errno(&e)))?;
            single::write(file, path, content, plan.most, gauge).map(|()| (None, Vec::new()))
        }
    };
    written.map(|(mode, warnings)| Staged { into, mode, warnings })
}

impl Staged {
    /// What could not be done, and is not worth a failure.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Gives it its name; with `sync`, so that it lasts.
    ///
    /// # Errors
    /// [`Failure::Store`]; then nothing has the name that had not before.
    pub fn publish(self, sync: bool) -> Result<PathBuf, Failure> {
        match self.into {
            Into::Staged(stage) => stage.publish(self.mode, sync),
            Into::Stream(path, _) => Ok(path),
        }
    }
}

#[cfg(test)]
mod tests;
