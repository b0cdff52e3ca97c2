//! Takes away what an archive left in a staging directory, whatever modes and depth it has.

use std::{
    ffi::{OsStr, OsString},
    io,
};

use cap_fs_ext::DirExt as _;
use cap_std::fs::{Dir, Permissions, PermissionsExt as _};
use rustix::{fs::RenameFlags, io::Errno};

use super::fault::errno;

/// Removes everything in `top`, which is its owner's alone. No more than two directories are open
/// at a time: what lies deeper is first moved up.
pub(super) fn contents(top: &Dir) -> io::Result<()> {
    let mut moved = 0_u64;
    loop {
        let mut names = Vec::new();
        for entry in top.entries()?.take(AT_ONCE) {
            names.push(entry?.file_name());
        }
        if names.is_empty() {
            return Ok(());
        }
        for name in names {
            if is_directory(top, &name)? {
                directory(top, &name, &mut moved)?;
            } else {
                top.remove_file(&name)?;
            }
        }
    }
}

/// Removes a directory of `top`; directories in it that are not empty become directories of `top`.
fn directory(top: &Dir, name: &OsStr, moved: &mut u64) -> io::Result<()> {
    top.set_permissions(name, Permissions::from_mode(0o700))?;
    let inside = top.open_dir_nofollow(name)?;
    for entry in inside.entries()? {
        let below = entry?.file_name();
        if !is_directory(&inside, &below)? {
            inside.remove_file(&below)?;
        } else if let Err(error) = inside.remove_dir(&below) {
            match errno(&error) {
                Errno::NOTEMPTY | Errno::EXIST => up(&inside, &below, top, moved)?,
                _ => return Err(error),
            }
        }
    }
    drop(inside);
    top.remove_dir(name)
}

/// Moves a directory to the top, under a name that is free there.
fn up(from: &Dir, name: &OsStr, top: &Dir, moved: &mut u64) -> io::Result<()> {
    // To move a directory is to change its "..".
    from.set_permissions(name, Permissions::from_mode(0o700))?;
    loop {
        *moved += 1;
        let free = OsString::from(format!(".uget-{moved}"));
        let flags = RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(from, name, top, &free, flags) {
            Err(Errno::EXIST) => {}
            Err(Errno::INVAL | Errno::NOSYS) if top.symlink_metadata(&free).is_err() => {
                return from.rename(name, top, &free);
            }
            Err(Errno::INVAL | Errno::NOSYS) => {}
            result => return Ok(result?),
        }
    }
}

fn is_directory(at: &Dir, name: &OsStr) -> io::Result<bool> {
    Ok(at.symlink_metadata(name)?.is_dir())
}

/// Names that are read before any is removed.
const AT_ONCE: usize = 1024;
