//! Preallocation: to learn before the first byte that there is no room for the last.

use std::fs::File;

use rustix::{
    fs::FallocateFlags,
    io::{Errno, retry_on_intr},
    process::{Resource, getrlimit},
};

/// Gives `file` the length `total` and real blocks for it, keeping what it holds. On failure the
/// space is given back.
///
/// Where there is no fallocate (or, on tmpfs, where it would touch every page up front), the
/// length is set and the free space compared, which is right unless somebody else fills the disk.
pub(super) fn allocate(file: &File, total: u64) -> Result<(), Errno> {
    // Beyond the limit the kernel would not only refuse but send SIGXFSZ.
    let limit = getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX);
    if total > limit.min(i64::MAX as u64) {
        return Err(Errno::FBIG);
    }
    let before = rustix::fs::fstat(file)?;
    let result = if total == 0 {
        Ok(())
    } else if rustix::fs::fstatfs(file).is_ok_and(|fs| fs.f_type == TMPFS) {
        set_length(file, total, &before)
    } else {
        match retry_on_intr(|| rustix::fs::fallocate(file, FallocateFlags::empty(), 0, total)) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => set_length(file, total, &before),
            result => result,
        }
    };
    if result.is_err() {
        let _ = retry_on_intr(|| rustix::fs::ftruncate(file, before.st_size.unsigned_abs()));
    }
    result
}

fn set_length(file: &File, total: u64, before: &rustix::fs::Stat) -> Result<(), Errno> {
    // No block count means that there is no limit, or none that is told.
    if let Ok(fs) = rustix::fs::fstatvfs(file)
        && fs.f_blocks > 0
    {
        let has = before.st_blocks.unsigned_abs().saturating_mul(512);
        if fs.f_bavail.saturating_mul(fs.f_frsize) < total.saturating_sub(has) {
            return Err(Errno::NOSPC);
        }
    }
    retry_on_intr(|| rustix::fs::ftruncate(file, total))
}

/// `TMPFS_MAGIC`, statfs(2).
const TMPFS: rustix::fs::FsWord = 0x0102_1994;
