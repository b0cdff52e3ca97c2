//! The one moment at which the target's name changes.

use std::{fs::File, path::Path};

use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, RenameFlags},
    io::{Errno, retry_on_intr},
};

use super::{
    fault::{store_failure, store_failure_words},
    place::Paths,
    side::{self, Stat},
    syncer::open_directory,
};
use crate::orders::{Failure, StoreOp};

/// Gives the part file its final mode and renames it onto the target; over an existing file only
/// when `replace`. The old file is never removed first: at every moment the name holds the old file
/// or the new one. With `sync`, the rename lasts when this returns; if that fails, it is undone.
pub(super) fn publish(
    place: &Paths,
    part: &File,
    stat: &Stat,
    replace: bool,
    sync: bool,
) -> Result<(), Failure> {
    let fail = |errno| store_failure(StoreOp::Publish, &place.target(), errno);
    let mode = final_mode(place)?;
    match retry_on_intr(|| rustix::fs::fchmod(part, mode)) {
        // FAT, and mounts whose files have one mode for all.
        Ok(()) | Err(Errno::PERM | Errno::OPNOTSUPP) => {}
        Err(errno) => return Err(fail(errno)),
    }
    if !side::is_same(place, stat) {
        return Err(store_failure_words(
            StoreOp::Publish,
            &place.part(),
            "the part file was deleted or replaced while it was written",
        ));
    }
    if !is_still_there(place) {
        return Err(store_failure_words(
            StoreOp::Publish,
            place.directory_path(),
            "the directory was moved or removed while the download ran",
        ));
    }
    if !replace {
        rename_new(place).map_err(fail)?;
    } else if !(sync && place.target_exists()) {
        rename_over(place).map_err(fail)?;
    } else {
        return exchange(place).map_err(fail);
    }
    if sync && let Err(errno) = sync_directory(place) {
        let (part, target) = (place.part_name(), place.target_name());
        let _ = rustix::fs::renameat(&place.directory, target, &place.directory, &part);
        return Err(store_failure(StoreOp::Sync, place.directory_path(), errno));
    }
    Ok(())
}

/// Exchanges part file and target, so that the old file is there to come back if the directory
/// cannot be synced. Where that is not known (some network and FUSE mounts), a rename must do.
fn exchange(place: &Paths) -> Result<(), Errno> {
    let (part, target) = (place.part_name(), place.target_name());
    let (here, flags) = (&place.directory, RenameFlags::EXCHANGE);
    let swap = || retry_on_intr(|| rustix::fs::renameat_with(here, &part, here, target, flags));
    match swap() {
        Ok(()) => {}
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOENT) => {
            rename_over(place)?;
            return sync_directory(place);
        }
        Err(errno) => return Err(errno),
    }
    sync_directory(place).inspect_err(|_| {
        let _ = swap();
    })?;
    side::remove(place, &part);
    Ok(())
}

/// Makes a rename last. A filesystem that cannot sync directories is forgiven; a directory that may
/// not be read cannot be synced.
pub(super) fn sync_directory(place: &Paths) -> Result<(), Errno> {
    match open_directory(place).and_then(|d| retry_on_intr(|| rustix::fs::fsync(&d))) {
        Err(Errno::INVAL | Errno::NOTSUP | Errno::BADF | Errno::ACCESS) => Ok(()),
        result => result,
    }
}

/// The mode of the file that is replaced, or `0666` less the umask.
fn final_mode(place: &Paths) -> Result<Mode, Failure> {
    let fail = |errno| store_failure(StoreOp::Publish, &place.target(), errno);
    let name = place.target_name();
    match place.stat(name) {
        Err(Errno::NOENT) => Ok(Mode::from_raw_mode(0o666 & !umask())),
        Err(errno) => Err(fail(errno)),
        Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
            // Without set-user-ID and the like, which a write would have cleared too.
            FileType::RegularFile => Ok(Mode::from_raw_mode(stat.st_mode & 0o777)),
            FileType::Directory => Err(fail(Errno::ISDIR)),
            _ => Err(store_failure_words(
                StoreOp::Publish,
                &place.target(),
                "something that is not a regular file has this name now",
            )),
        },
    }
}

/// The process's umask. The kernel tells it without a race (proc(5), from Linux 4.7 on); without
/// procfs it can only be learnt by changing it for a moment.
fn umask() -> u32 {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let line = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
            u32::from_str_radix(line.trim(), 8).ok()
        })
        .unwrap_or_else(|| {
            let mask = rustix::process::umask(Mode::from_raw_mode(0o077));
            rustix::process::umask(mask);
            mask.as_raw_mode()
        })
}

/// Whether the directory's path still leads to the directory.
fn is_still_there(place: &Paths) -> bool {
    let path: &Path = place.directory_path();
    let (Ok(open), Ok(named)) = (
        retry_on_intr(|| rustix::fs::fstat(&place.directory)),
        retry_on_intr(|| rustix::fs::statat(CWD, path, AtFlags::empty())),
    ) else {
        return false;
    };
    (open.st_dev, open.st_ino) == (named.st_dev, named.st_ino)
}

fn rename_over(place: &Paths) -> Result<(), Errno> {
    let (part, target) = (place.part_name(), place.target_name());
    retry_on_intr(|| rustix::fs::renameat(&place.directory, &part, &place.directory, target))
}

/// A rename that replaces nothing. Filesystems without that flag can link, which fails on an
/// existing name just the same; those that cannot do either get a check right before the rename.
fn rename_new(place: &Paths) -> Result<(), Errno> {
    let (part, target) = (place.part_name(), place.target_name());
    let (from, to, flags) = (&place.directory, &place.directory, RenameFlags::NOREPLACE);
    match retry_on_intr(|| rustix::fs::renameat_with(from, &part, to, target, flags)) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
        result => return result,
    }
    let linked = retry_on_intr(|| {
        rustix::fs::linkat(&place.directory, &part, &place.directory, target, AtFlags::empty())
    });
    match linked {
        Ok(()) => {
            side::remove(place, &part);
            Ok(())
        }
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => {
            if place.target_exists() {
                return Err(Errno::EXIST);
            }
            rename_over(place)
        }
        Err(errno) => Err(errno),
    }
}
