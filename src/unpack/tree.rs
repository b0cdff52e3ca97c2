//! Directories below the staging directory, entered from it one by one, without following links.
//!
//! A directory that is entered can be written into; what it is to be (mode, times) it becomes when
//! it is left. Only the directories on the way down to the last member are remembered, so memory
//! does not grow with the archive, and a directory that is entered again gets back what it had.

use std::{
    ffi::{OsStr, OsString},
    io,
};

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt as _, OpenOptionsMaybeDirExt as _};
use cap_std::fs::{
    Dir, DirBuilder, DirBuilderExt as _, MetadataExt, OpenOptions, Permissions, PermissionsExt as _,
};
use rustix::{
    fs::{Mode, Timespec, Timestamps, UTIME_OMIT},
    io::Errno,
};

use super::fault::errno;

/// What a directory is to be when it is left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    pub(super) mode: u32,
    /// Seconds and nanoseconds; left alone where there is none.
    pub(super) mtime: Option<(i64, u32)>,
}

/// Why a directory cannot be entered.
#[derive(Debug)]
pub(super) enum Blocked {
    /// Something on the way is not a directory.
    NoDirectory,
    /// The filesystem says so.
    Failed(io::Error),
}

/// The way from the staging directory to where members are written.
pub(super) struct Tree {
    root: Dir,
    root_stamp: Stamp,
    levels: Vec<(OsString, Stamp)>,
    /// The last of the levels; the root where there is none.
    here: Option<Dir>,
    /// What a directory is that no member speaks of.
    usual: Stamp,
}

impl Tree {
    /// The tree of a staging directory; `mode`: what directories are that no member speaks of.
    pub(super) fn new(root: Dir, mode: u32) -> Self {
        let usual = Stamp { mode, mtime: None };
        Self { root, root_stamp: usual, levels: Vec::new(), here: None, usual }
    }

    /// The directory entered last.
    pub(super) fn here(&self) -> &Dir {
        self.here.as_ref().unwrap_or(&self.root)
    }

    /// What the directory entered last will be.
    pub(super) fn stamp(&mut self) -> &mut Stamp {
        self.levels.last_mut().map_or(&mut self.root_stamp, |(_, stamp)| stamp)
    }

    /// Goes to the directory of this name; makes what is missing.
    pub(super) fn enter(&mut self, parts: &[OsString]) -> Result<(), Blocked> {
        let same = self.levels.iter().zip(parts).take_while(|((own, _), part)| own == *part);
        let common = same.count();
        self.leave(common).map_err(Blocked::Failed)?;
        for part in parts.get(common..).unwrap_or_default() {
            let (next, stamp) = match open(self.here(), part, true) {
                Err(Blocked::Failed(error)) if error.kind() == io::ErrorKind::NotFound => {
                    make(self.here(), part).map_err(Blocked::Failed)?;
                    (open(self.here(), part, true)?.0, self.usual)
                }
                opened => opened?,
            };
            self.here = Some(next);
            self.levels.push((part.clone(), stamp));
        }
        Ok(())
    }

    /// The directory of this name, which must be there; where members are written stays the same.
    pub(super) fn find(&self, parts: &[OsString]) -> Result<Dir, Blocked> {
        let mut at = self.root.try_clone().map_err(Blocked::Failed)?;
        for part in parts {
            at = open(&at, part, false)?.0;
        }
        Ok(at)
    }

    /// Leaves all directories; says what the root is to be.
    pub(super) fn finish(mut self) -> io::Result<Stamp> {
        self.leave(0)?;
        set_mtime(&self.root, self.root_stamp.mtime)?;
        Ok(self.root_stamp)
    }

    /// Leaves directories until only so many are entered.
    fn leave(&mut self, keep: usize) -> io::Result<()> {
        while self.levels.len() > keep {
            let Some((_, stamp)) = self.levels.pop() else { break };
            let left = self.here.take();
            if !self.levels.is_empty() {
                let parts: Vec<OsString> =
                    self.levels.iter().map(|(name, _)| name.clone()).collect();
                self.here = Some(self.find(&parts).map_err(Blocked::into_error)?);
            }
            if let Some(left) = left {
                rustix::fs::fchmod(&left, Mode::from_raw_mode(stamp.mode))?;
                set_mtime(&left, stamp.mtime)?;
            }
        }
        Ok(())
    }
}

impl Blocked {
    pub(super) fn into_error(self) -> io::Error {
        match self {
            Self::NoDirectory => Errno::NOTDIR.into(),
            Self::Failed(error) => error,
        }
    }
}

/// Opens a directory, never a link to one; with what it is now. One that `writable` is asked of, or
/// that may not be searched, is given to its owner.
fn open(at: &Dir, name: &OsStr, writable: bool) -> Result<(Dir, Stamp), Blocked> {
    let data = at.symlink_metadata(name).map_err(Blocked::Failed)?;
    if !data.is_dir() {
        return Err(Blocked::NoDirectory);
    }
    let stamp = Stamp { mode: data.mode() & 0o7777, mtime: Some(mtime(&data)) };
    if writable && stamp.mode & OWNER != OWNER {
        at.set_permissions(name, Permissions::from_mode(stamp.mode | OWNER))
            .map_err(Blocked::Failed)?;
    }
    // Not as a place only (`O_PATH`), which takes neither mode nor time.
    let mut options = OpenOptions::new();
    options.read(true).maybe_dir(true).follow(FollowSymlinks::No);
    match at.open_with(name, &options) {
        Ok(file) => Ok((Dir::from_std_file(file.into_std()), stamp)),
        Err(error) if matches!(errno(&error), Errno::LOOP | Errno::NOTDIR) => {
            Err(Blocked::NoDirectory)
        }
        Err(error) => Err(Blocked::Failed(error)),
    }
}

fn mtime(data: &cap_std::fs::Metadata) -> (i64, u32) {
    (MetadataExt::mtime(data), u32::try_from(MetadataExt::mtime_nsec(data)).unwrap_or(0))
}

/// Makes a directory that is its owner's alone until it is left.
pub(super) fn make(at: &Dir, name: &OsStr) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.mode(OWNER);
    at.create_dir_with(name, &builder)
}

/// Sets a directory's or file's time of modification.
pub(super) fn set_mtime(of: impl std::os::fd::AsFd, mtime: Option<(i64, u32)>) -> io::Result<()> {
    let Some(mtime) = mtime else { return Ok(()) };
    Ok(rustix::fs::futimens(of, &times(mtime))?)
}

/// This time of modification, and whatever time of access there is.
pub(super) fn times((seconds, nanos): (i64, u32)) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: nanos.into() },
    }
}

/// What a directory must let its owner do.
const OWNER: u32 = 0o700;
