//! Where things are unpacked to before they have their name: a directory or a file beside it, held
//! by a lock, which is gone when it is not published.

use std::{
    ffi::{OsStr, OsString},
    fs::{DirBuilder, File},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{ffi::OsStrExt, fs::DirBuilderExt},
    },
    path::{Path, PathBuf},
};

use cap_std::fs::Dir;
use rustix::{
    fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, RenameFlags, Stat},
    io::{Errno, retry_on_intr},
};
use sha2::{Digest, Sha256};

use super::{fault, meta::umask, remove};
use crate::orders::{Failure, StoreOp};

/// What is staged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A directory; nothing may have its name.
    Tree,
    /// A file, which takes the place of another if `replace`.
    File { replace: bool },
}

/// A directory or file that will have a name, or be gone.
#[derive(Debug)]
pub(super) struct Stage {
    target: PathBuf,
    shape: Shape,
    /// The directory that both names are in (`O_PATH`).
    parent: OwnedFd,
    /// The name that it has meanwhile.
    side: OsString,
    /// Held open and locked.
    held: OwnedFd,
    /// Descriptors for nothing but to be closed: to remove takes some, when there may be no more.
    spare: Vec<OwnedFd>,
    published: bool,
}

impl Stage {
    /// Makes what will be `target`, and the directories above it. What an earlier run left is
    /// removed; what another is at work on is left alone.
    pub(super) fn open(target: &Path, shape: Shape) -> Result<Self, Failure> {
        let fail = |errno| fault::store(StoreOp::Create, target, errno);
        let name = target.file_name().ok_or_else(|| fail(Errno::EXIST))?;
        let parent = open_parent(target).map_err(fail)?;
        let taken = stat(&parent, name).is_ok();
        if taken && shape != (Shape::File { replace: true }) {
            return Err(exists(StoreOp::Create, target));
        }
        let side = side_name(name);
        let spare = (0..=SPARE).map(|_| parent.try_clone()).collect::<Result<Vec<_>, _>>();
        let mut spare = spare.map_err(|error| fail(fault::errno(&error)))?;
        // What is made can be opened.
        spare.pop();
        for _ in 0..TRIES {
            let held = match shape {
                Shape::Tree => hold_tree(&parent, &side),
                Shape::File { .. } => hold_file(&parent, &side),
            };
            let held = held.map_err(|errno| match errno {
                Errno::AGAIN => fault::store(StoreOp::Lock, target, errno),
                Errno::PERM => fault::words(StoreOp::Create, target, FOREIGN),
                errno => fail(errno),
            })?;
            let own = rustix::fs::fstat(&held).map_err(fail)?;
            // Between its making and the lock, another run may have taken it for left behind.
            if stat(&parent, &side).is_ok_and(|now| same(&now, &own)) {
                let target = target.with_file_name(name);
                let stage = Self { target, shape, parent, side, held, spare, published: false };
                stage
                    .clear()
                    .map_err(|errno| fault::store(StoreOp::Create, &stage.path(), errno))?;
                return Ok(stage);
            }
        }
        Err(fail(Errno::AGAIN))
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    /// What will have its name.
    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// The directory, to be filled.
    pub(super) fn directory(&self) -> Result<Dir, Failure> {
        self.file().map(Dir::from_std_file)
    }

    /// The file, to be written.
    pub(super) fn file(&self) -> Result<File, Failure> {
        let again = self.held.try_clone().map(File::from);
        again.map_err(|e| fault::store(StoreOp::Create, &self.path(), fault::errno(&e)))
    }

    /// Gives it its mode and its name. With `sync`, both last when this returns.
    pub(super) fn publish(mut self, mode: Option<u32>, sync: bool) -> Result<PathBuf, Failure> {
        let fail = |errno| fault::store(StoreOp::Publish, &self.target, errno);
        let unsynced = |errno| fault::store(StoreOp::Sync, &self.target, errno);
        let lost = |words| fault::words(StoreOp::Publish, &self.target, words);
        if !self.is_still_there() {
            return Err(lost(MOVED));
        }
        let mode = Mode::from_raw_mode(mode.unwrap_or_else(|| self.file_mode()));
        match rustix::fs::fchmod(&self.held, mode) {
            // FAT, and mounts whose files have one mode for all.
            Ok(()) | Err(Errno::PERM | Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(fail(errno)),
        }
        if sync {
            self.sync().map_err(unsynced)?;
        }
        let name = self.target.file_name().unwrap_or_default();
        if !self.is_called(&self.side) {
            return Err(lost(TAKEN_AWAY));
        }
        match self.shape {
            Shape::File { replace: true } => self.rename(name),
            _ => self.rename_new(name),
        }
        .map_err(|errno| match errno {
            Errno::EXIST | Errno::NOTEMPTY => exists(StoreOp::Publish, &self.target),
            errno => fail(errno),
        })?;
        // No rename takes a handle: what was put there just before has the name now. Where nothing
        // has it, what waited for it has moved it on.
        if stat(&self.parent, name).is_ok() && !self.is_called(name) {
            self.published = true;
            return Err(lost(SWAPPED));
        }
        if sync && let Err(errno) = self.sync_parent() {
            let back = |from: &OsStr, to: &OsStr| {
                rustix::fs::renameat(&self.parent, from, &self.parent, to)
            };
            let _ = back(name, &self.side);
            return Err(unsynced(errno));
        }
        self.published = true;
        Ok(self.target.clone())
    }

    fn sync(&self) -> Result<(), Errno> {
        match self.shape {
            Shape::Tree => retry_on_intr(|| rustix::fs::syncfs(&self.held)),
            Shape::File { .. } => retry_on_intr(|| rustix::fs::fsync(&self.held)),
        }
    }

    /// A filesystem that cannot sync directories is forgiven, as is a directory that cannot be
    /// read.
    fn sync_parent(&self) -> Result<(), Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = retry_on_intr(|| rustix::fs::openat(&self.parent, ".", flags, Mode::empty()));
        match open.and_then(|parent| retry_on_intr(|| rustix::fs::fsync(&parent))) {
            Err(Errno::INVAL | Errno::NOTSUP | Errno::BADF | Errno::ACCESS) => Ok(()),
            result => result,
        }
    }

    fn rename(&self, name: &OsStr) -> Result<(), Errno> {
        retry_on_intr(|| rustix::fs::renameat(&self.parent, &self.side, &self.parent, name))
    }

    /// Renames only if nothing has the name. Where the filesystem cannot promise that, it is looked
    /// at just before; a directory that appears in between is replaced only if it is empty.
    fn rename_new(&self, name: &OsStr) -> Result<(), Errno> {
        let (here, flags) = (&self.parent, RenameFlags::NOREPLACE);
        match retry_on_intr(|| rustix::fs::renameat_with(here, &self.side, here, name, flags)) {
            Err(Errno::INVAL | Errno::NOSYS) => match stat(here, name) {
                Ok(_) => Err(Errno::EXIST),
                Err(Errno::NOENT) => self.rename(name),
                Err(errno) => Err(errno),
            },
            result => result,
        }
    }

    /// The mode of the file that is replaced, or what any new file has.
    fn file_mode(&self) -> u32 {
        let name = self.target.file_name().unwrap_or_default();
        match stat(&self.parent, name) {
            Ok(old) if FileType::from_raw_mode(old.st_mode) == FileType::RegularFile => {
                old.st_mode & 0o777
            }
            _ => 0o666 & !umask(),
        }
    }

    /// Whether the path still leads to the directory that was opened.
    fn is_still_there(&self) -> bool {
        let path = or_here(self.target.parent());
        let now = retry_on_intr(|| rustix::fs::stat(path));
        let own = retry_on_intr(|| rustix::fs::fstat(&self.parent));
        matches!((now, own), (Ok(now), Ok(own)) if same(&now, &own))
    }

    /// Whether what is held has this name.
    fn is_called(&self, name: &OsStr) -> bool {
        let own = rustix::fs::fstat(&self.held);
        matches!((stat(&self.parent, name), own), (Ok(now), Ok(own)) if same(&now, &own))
    }

    /// Removes what is in it.
    fn clear(&self) -> Result<(), Errno> {
        match self.shape {
            Shape::File { .. } => retry_on_intr(|| rustix::fs::ftruncate(&self.held, 0)),
            Shape::Tree => {
                rustix::fs::fchmod(&self.held, Mode::RWXU)?;
                let again = self.held.try_clone().map_err(|error| fault::errno(&error))?;
                remove::contents(&Dir::from_std_file(File::from(again)))
                    .map_err(|error| fault::errno(&error))
            }
        }
    }

    fn path(&self) -> PathBuf {
        self.target.with_file_name(&self.side)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !self.published {
            self.spare.clear();
            // What cannot be removed now is the next run's to remove.
            let _ = self.clear();
            if self.is_called(&self.side) {
                let flags = match self.shape {
                    Shape::Tree => AtFlags::REMOVEDIR,
                    Shape::File { .. } => AtFlags::empty(),
                };
                let _ = rustix::fs::unlinkat(&self.parent, &self.side, flags);
            }
        }
    }
}

/// Opens the directory that `target` is or will be in; makes it and those above.
fn open_parent(target: &Path) -> Result<OwnedFd, Errno> {
    let path = or_here(target.parent());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = || retry_on_intr(|| rustix::fs::openat(CWD, path, flags, Mode::empty()));
    match open() {
        Err(Errno::NOENT) => {
            let made = DirBuilder::new().recursive(true).mode(0o777).create(path);
            made.map_err(|error| fault::errno(&error))?;
            open()
        }
        result => result,
    }
}

/// Makes or finds the directory of this name, and locks it.
fn hold_tree(parent: &OwnedFd, side: &OsStr) -> Result<OwnedFd, Errno> {
    match retry_on_intr(|| rustix::fs::mkdirat(parent, side, Mode::RWXU)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let held = retry_on_intr(|| rustix::fs::openat(parent, side, flags, Mode::empty()))?;
    lock(held, FileType::Directory)
}

/// The same with a file.
fn hold_file(parent: &OwnedFd, side: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // A FIFO of that name would wait for its reader.
    let flags = flags | OFlags::NONBLOCK;
    let mode = Mode::RUSR | Mode::WUSR;
    let held = retry_on_intr(|| rustix::fs::openat(parent, side, flags, mode))?;
    lock(held, FileType::RegularFile)
}

/// Locks what is ours; EPERM for what is not, EAGAIN where another holds it.
fn lock(held: OwnedFd, kind: FileType) -> Result<OwnedFd, Errno> {
    let stat = rustix::fs::fstat(held.as_fd())?;
    let ours = stat.st_uid == rustix::process::geteuid().as_raw();
    let linked = kind == FileType::RegularFile && stat.st_nlink > 1;
    if !ours || linked || FileType::from_raw_mode(stat.st_mode) != kind {
        return Err(Errno::PERM);
    }
    retry_on_intr(|| rustix::fs::flock(&held, FlockOperation::NonBlockingLockExclusive))?;
    Ok(held)
}

fn stat(at: &OwnedFd, name: &OsStr) -> Result<Stat, Errno> {
    retry_on_intr(|| rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW))
}

fn same(one: &Stat, other: &Stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

fn exists(op: StoreOp, target: &Path) -> Failure {
    fault::words(op, target, "it is there already")
}

/// `.NAME.uget-stage`; a name that would be too long is cut and told apart by a hash.
fn side_name(name: &OsStr) -> OsString {
    let name = name.as_bytes();
    let mut side = vec![b'.'];
    match name.get(..NAME_CUT) {
        Some(cut) if name.len() > NAME_MAX - SUFFIX.len() - 1 => {
            side.extend_from_slice(cut);
            side.push(b'~');
            side.extend(hex::encode(Sha256::digest(name)).bytes().take(16));
        }
        _ => side.extend_from_slice(name),
    }
    side.extend_from_slice(SUFFIX);
    OsStr::from_bytes(&side).to_owned()
}

/// The empty path means the current directory.
fn or_here(path: Option<&Path>) -> &Path {
    path.filter(|path| !path.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

const SUFFIX: &[u8] = b".uget-stage";
const NAME_MAX: usize = 255;
const NAME_CUT: usize = 200;
/// Descriptors that it takes to remove a tree.
const SPARE: usize = 6;
/// How often a staging directory is made anew that another run took away.
const TRIES: usize = 16;
const FOREIGN: &str = "the name of its staging directory is taken";
const MOVED: &str = "the directory was moved or removed meanwhile";
const TAKEN_AWAY: &str = "what was staged was moved or removed meanwhile";
const SWAPPED: &str = "what has the name now is something else, not what was staged";
