//! Where the files of a target lie: names, the directory they share, and what is no place for one.

use std::{
    ffi::{OsStr, OsString},
    fs::DirBuilder,
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt, fs::DirBuilderExt},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat},
    io::{Errno, retry_on_intr},
};
use sha2::{Digest, Sha256};

use super::fault::store_failure;
use crate::orders::{Failure, StoreOp};

/// What a path given for output is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A regular file, or nothing yet. Links are followed as a write would follow them, so this is
    /// where the file really is or will be.
    File(PathBuf),
    /// A directory, or a path that can only be one (it ends in a slash).
    Directory(PathBuf),
    /// A FIFO, a device, a socket, or an open file under `/proc` (`/dev/stdout`): to be written
    /// into in order, never to be renamed over.
    Stream(PathBuf),
}

impl Place {
    /// Looks at `path`.
    ///
    /// # Errors
    /// [`Failure::Store`] with [`StoreOp::Create`]: a component is no directory or may not be
    /// searched, too many links.
    pub(crate) fn of(path: &Path) -> Result<Self, Failure> {
        let fail = |errno| store_failure(StoreOp::Create, path, errno);
        if path.as_os_str().is_empty() {
            return Err(fail(Errno::NOENT));
        }
        if path.as_os_str().as_bytes().ends_with(b"/") {
            return Ok(Self::Directory(path.to_owned()));
        }
        let mut at = path.to_owned();
        for _ in 0..LINKS_MAX {
            let found = retry_on_intr(|| rustix::fs::statat(CWD, &at, AtFlags::SYMLINK_NOFOLLOW));
            let stat = match found {
                Ok(stat) => stat,
                Err(Errno::NOENT) => return Ok(Self::File(at)),
                Err(errno) => return Err(fail(errno)),
            };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => return Ok(Self::File(at)),
                FileType::Directory => return Ok(Self::Directory(at)),
                FileType::Symlink => {}
                _ => return Ok(Self::Stream(path.to_owned())),
            }
            let parent = at.parent().unwrap_or_else(|| Path::new("/"));
            if retry_on_intr(|| rustix::fs::statfs(or_here(parent)))
                .is_ok_and(|fs| fs.f_type == PROC)
            {
                return Ok(Self::Stream(path.to_owned()));
            }
            let link =
                retry_on_intr(|| rustix::fs::readlinkat(CWD, &at, Vec::new())).map_err(fail)?;
            at = parent.join(OsStr::from_bytes(link.as_bytes()));
        }
        Err(fail(Errno::LOOP))
    }
}

/// The directory of a target, held open, and the names in it.
#[derive(Debug)]
pub(super) struct Paths {
    /// Opened as a place only (`O_PATH`), so a directory that may not be listed is good enough.
    pub(super) directory: OwnedFd,
    directory_path: PathBuf,
    name: OsString,
    name_max: usize,
}

impl Paths {
    /// Opens the directory of `target`, and makes it (and those above) when `create`.
    pub(super) fn of(target: &Path, create: bool) -> Result<Self, Failure> {
        let fail = |errno| store_failure(StoreOp::Create, target, errno);
        let name = target.file_name().ok_or_else(|| fail(Errno::ISDIR))?.to_owned();
        let directory_path = target.parent().map(Path::to_owned).unwrap_or_default();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let at = or_here(&directory_path);
        let open = || retry_on_intr(|| rustix::fs::openat(CWD, at, flags, Mode::empty()));
        let directory = match open() {
            Err(Errno::NOENT) if create => make_directory(at).and_then(|()| open()),
            result => result,
        };
        let directory = directory.map_err(|e| store_failure(StoreOp::Create, at, e))?;
        // Some filesystems say 0, or nothing.
        let name_max =
            retry_on_intr(|| rustix::fs::fstatvfs(&directory)).map_or(0, |fs| fs.f_namemax);
        let name_max = usize::try_from(name_max).ok().filter(|n| *n >= 64).unwrap_or(255);
        if name.len() > name_max {
            return Err(fail(Errno::NAMETOOLONG));
        }
        Ok(Self { directory, directory_path, name, name_max })
    }

    /// The target's own name in the directory.
    pub(super) fn target_name(&self) -> &OsStr {
        &self.name
    }

    /// The part file's name in the directory.
    pub(super) fn part_name(&self) -> OsString {
        side_name(&self.name, ".uget-part", self.name_max)
    }

    /// The journal's name in the directory.
    pub(super) fn journal_name(&self) -> OsString {
        side_name(&self.name, ".uget-journal", self.name_max)
    }

    /// The name under which a journal is written before it replaces the old one.
    pub(super) fn new_journal_name(&self) -> OsString {
        side_name(&self.name, ".uget-journal~", self.name_max)
    }

    /// The final path.
    pub(super) fn target(&self) -> PathBuf {
        self.directory_path.join(&self.name)
    }

    /// The part file's path.
    pub(super) fn part(&self) -> PathBuf {
        self.directory_path.join(self.part_name())
    }

    /// The journal's path.
    pub(super) fn journal(&self) -> PathBuf {
        self.directory_path.join(self.journal_name())
    }

    /// The directory's path, never empty.
    pub(super) fn directory_path(&self) -> &Path {
        or_here(&self.directory_path)
    }

    /// What has a name in the directory, links not followed.
    pub(super) fn stat(&self, name: &OsStr) -> Result<Stat, Errno> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        retry_on_intr(|| rustix::fs::statat(&self.directory, name, flags))
    }

    /// Whether anything has the target's name, a dangling link included.
    pub(super) fn target_exists(&self) -> bool {
        self.stat(&self.name).is_ok()
    }
}

/// Makes `directory` if it is not there, and sees that files can be made in it: for when their
/// names are not known yet.
///
/// # Errors
/// [`Failure::Store`] with [`StoreOp::Create`].
pub(crate) fn ready_directory(directory: &Path) -> Result<(), Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = || retry_on_intr(|| rustix::fs::openat(CWD, directory, flags, Mode::empty()));
    open()
        .or_else(|errno| match errno {
            Errno::NOENT => make_directory(directory).and_then(|()| open()),
            errno => Err(errno),
        })
        .and_then(|_| {
            let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
            rustix::fs::accessat(CWD, directory, access, AtFlags::EACCESS)
        })
        .or_else(|errno| match errno {
            // Kernels before 5.8 know no flags there.
            Errno::NOSYS | Errno::INVAL => Ok(()),
            errno => Err(store_failure(StoreOp::Create, directory, errno)),
        })
}

/// Makes a directory and those above it.
fn make_directory(path: &Path) -> Result<(), Errno> {
    let made = DirBuilder::new().recursive(true).mode(0o755).create(path);
    made.map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))
}

/// `.NAME` and a suffix; a name that would be too long for the filesystem is cut and told apart by
/// a hash.
fn side_name(name: &OsStr, suffix: &str, max: usize) -> OsString {
    let name = name.as_bytes();
    let mut side = vec![b'.'];
    if name.len() + LONGEST_SUFFIX < max {
        side.extend_from_slice(name);
    } else {
        let room = max - 1 - HASH_DIGITS - LONGEST_SUFFIX - 1;
        // Not in the middle of a character, if it is text.
        let mut cut = room.min(name.len());
        while cut > 0 && name.get(cut).is_some_and(|b| b & 0xc0 == 0x80) {
            cut -= 1;
        }
        side.extend_from_slice(&name[..cut]);
        side.push(b'~');
        side.extend(hex::encode(Sha256::digest(name)).bytes().take(HASH_DIGITS));
    }
    side.extend_from_slice(suffix.as_bytes());
    OsStr::from_bytes(&side).to_owned()
}

/// The empty path means the current directory.
fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

const LONGEST_SUFFIX: usize = ".uget-journal~".len();
const HASH_DIGITS: usize = 16;

/// As the kernel does (path_resolution(7)).
const LINKS_MAX: usize = 40;

/// `PROC_SUPER_MAGIC`, statfs(2).
const PROC: rustix::fs::FsWord = 0x9fa0;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn side_names_fit() {
        let side = |name: &str, max| side_name(OsStr::new(name), ".uget-part", max);
        assert_eq!(side("a.iso", 255), ".a.iso.uget-part");
        for length in 200..=255 {
            for name in ["x".repeat(length), "é".repeat(length / 2)] {
                let out = side(&name, 255).into_string().unwrap();
                assert!(out.len() <= 255, "{out}");
                assert!(out.starts_with('.') && out.ends_with(".uget-part"));
            }
        }
        assert_ne!(side(&("x".repeat(250) + "1"), 255), side(&("x".repeat(250) + "2"), 255));
        assert_eq!(
            side(&"x".repeat(143), 143).len(),
            143 - ".uget-journal~".len() + ".uget-part".len()
        );
    }

    #[test]
    fn what_a_path_is() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("file"), "x").unwrap();
        std::fs::create_dir(at("sub")).unwrap();
        symlink("file", at("link")).unwrap();
        symlink("sub/missing", at("dangling")).unwrap();
        symlink("loop", at("loop")).unwrap();
        rustix::fs::mknodat(CWD, at("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        for (path, want) in [
            (at("file"), Place::File(at("file"))),
            (at("missing"), Place::File(at("missing"))),
            (at("link"), Place::File(at("file"))),
            (at("dangling"), Place::File(at("sub/missing"))),
            (at("sub"), Place::Directory(at("sub"))),
            (at("missing/"), Place::Directory(at("missing/"))),
            (at("fifo"), Place::Stream(at("fifo"))),
            ("/dev/null".into(), Place::Stream("/dev/null".into())),
            ("/proc/self/fd/0".into(), Place::Stream("/proc/self/fd/0".into())),
        ] {
            assert_eq!(Place::of(&path), Ok(want), "{path:?}");
        }
        assert!(Place::of(&at("loop")).is_err());
        assert!(Place::of(&at("file/below")).is_err());
        assert!(Place::of(Path::new("")).is_err());
    }
}
