//! Preallocation: to learn before the first byte that there is no room for the last.

use std::fs::File;

use rustix::{
    fs::FallocateFlags,
    io::{Errno, retry_on_intr},
    process::{Resource, geteuid, getrlimit},
};

/// Gives `file` the length `total` and real blocks for it, keeping what it holds. On failure the
/// space is given back.
///
/// The free space is compared first: a filesystem may hand out all that it has before it finds that
/// there is not enough, and everybody else would be without until it is given back. Where there is
/// no fallocate (or, on tmpfs, where it would touch every page up front), that is all, which is
/// right unless somebody else fills the disk.
pub(super) fn allocate(file: &File, total: u64) -> Result<(), Errno> {
    // Beyond the limit the kernel would not only refuse but send SIGXFSZ.
    let limit = getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX);
    if total > limit.min(i64::MAX as u64) {
        return Err(Errno::FBIG);
    }
    let before = retry_on_intr(|| rustix::fs::fstat(file))?;
    if total.saturating_sub(before.st_blocks.unsigned_abs().saturating_mul(512)) > free(file) {
        return Err(Errno::NOSPC);
    }
    let set_length = || retry_on_intr(|| rustix::fs::ftruncate(file, total));
    let result = if total == 0
        || retry_on_intr(|| rustix::fs::fstatfs(file)).is_ok_and(|fs| fs.f_type == TMPFS)
    {
        set_length()
    } else {
        match retry_on_intr(|| rustix::fs::fallocate(file, FallocateFlags::empty(), 0, total)) {
            // EPERM: seccomp filters of containers answer with it for whatever they do not know.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::PERM) => set_length(),
            result => result,
        }
    };
    if result.is_err() {
        let _ = retry_on_intr(|| rustix::fs::ftruncate(file, before.st_size.unsigned_abs()));
    }
    result
}

/// Bytes that this process may still write on the filesystem of `file`; without a limit where it
/// tells none.
fn free(file: &File) -> u64 {
    match retry_on_intr(|| rustix::fs::fstatvfs(file)) {
        Ok(fs) if fs.f_blocks > 0 => {
            // A share is kept for root.
            let blocks = if geteuid().is_root() { fs.f_bfree } else { fs.f_bavail };
            blocks.saturating_mul(fs.f_frsize)
        }
        _ => u64::MAX,
    }
}

/// `TMPFS_MAGIC`, statfs(2).
const TMPFS: rustix::fs::FsWord = 0x0102_1994;
