//! Part file and journal as found on disk: opened without trusting them.
//!
//! Whoever can write to the directory can leave anything under these names: a link to a file that
//! must not be touched, a FIFO that blocks, another user's file. So links are not followed, and
//! only a regular file of our own with no other name is used. Anything else loses its name, is
//! never opened for writing, and the download starts afresh; where the name cannot be taken away,
//! it is an error.

use std::{
    ffi::OsStr,
    fs::File,
    io::Read,
    os::fd::{AsFd, OwnedFd},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, StatxFlags},
    io::{Errno, retry_on_intr},
};

use super::{
    fault::{store_failure, store_failure_words},
    place::Paths,
};
use crate::orders::{Failure, StoreOp};

/// What identifies an open file, and its size when it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) device: u64,
    pub(super) inode: u64,
    /// The inode number if it means anything after a remount, else 0.
    pub(super) lasting_inode: u64,
    pub(super) size: u64,
}

/// Opens the part file and locks it, or creates it; says which.
pub(super) fn open_part(place: &Paths) -> Result<(File, bool), Failure> {
    let name = place.part_name();
    let fail = |errno| store_failure(StoreOp::Create, &place.part(), errno);
    for _ in 0..ATTEMPTS {
        let found = place.stat(&name);
        let (file, created) = match found {
            Err(Errno::NOENT) => match create(place, &name) {
                Err(Errno::EXIST) => continue,
                result => (result.map_err(fail)?, true),
            },
            Err(errno) => return Err(fail(errno)),
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile => {
                unlink(place, &name).map_err(fail)?;
                continue;
            }
            Ok(stat) => match open(place, &name, OFlags::RDWR) {
                Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => continue,
                // Ours, but without permissions: made under a umask that took them all.
                Err(Errno::ACCESS) if stat.st_uid == own_uid() => {
                    unlink(place, &name).map_err(fail)?;
                    continue;
                }
                result => (result.map_err(fail)?, false),
            },
        };
        lock(&file, place)?;
        // Between opening and locking, the file may have been published or removed by the process
        // that held the lock: then what is locked is not the part file any more.
        let stat = retry_on_intr(|| rustix::fs::fstat(&file)).map_err(fail)?;
        match place.stat(&name) {
            Ok(now) if (now.st_dev, now.st_ino) == (stat.st_dev, stat.st_ino) => {}
            _ => continue,
        }
        if created || is_ours(&stat) {
            // A ring would take O_NONBLOCK as "fail rather than wait", on regular files too.
            retry_on_intr(|| rustix::fs::fcntl_setfl(&file, OFlags::empty())).map_err(fail)?;
            return Ok((file.into(), created));
        }
        unlink(place, &name).map_err(fail)?;
    }
    Err(store_failure_words(StoreOp::Create, &place.part(), "the file keeps changing"))
}

/// What identifies an open file.
pub(super) fn stat(file: &File) -> Result<Stat, Errno> {
    let stat = retry_on_intr(|| rustix::fs::fstat(file))?;
    let volatile = retry_on_intr(|| rustix::fs::fstatfs(file))
        .is_ok_and(|fs| VOLATILE_INODES.contains(&fs.f_type));
    Ok(Stat {
        device: stat.st_dev,
        inode: stat.st_ino,
        lasting_inode: if volatile { 0 } else { stat.st_ino },
        size: u64::try_from(stat.st_size).unwrap_or(0),
    })
}

/// The name of the time in which unsynced data holds: this boot of the machine (random(4)), and
/// this mount of the filesystem, since after an unmount, or on a copy of the disk, only the disk
/// counts. Mounts are told apart by a number that is never used twice from Linux 6.8 on (statx(2)),
/// and by a weaker one before. Empty, which nothing matches, where the boot has no name.
pub(super) fn epoch(part: &File, stat: &Stat) -> String {
    let Ok(boot) = std::fs::read_to_string("/proc/sys/kernel/random/boot_id") else {
        return String::new();
    };
    let unique = StatxFlags::from_bits_retain(MNT_ID_UNIQUE);
    let mount = [unique, StatxFlags::MNT_ID]
        .into_iter()
        .find_map(|wanted| {
            let statx = || rustix::fs::statx(part, "", AtFlags::EMPTY_PATH, wanted);
            let got = retry_on_intr(statx).ok()?;
            (got.stx_mask & wanted.bits() != 0).then_some(got.stx_mnt_id)
        })
        .unwrap_or(0);
    format!("{} {:x} {mount:x}", boot.trim(), stat.device)
}

/// A directory in the journal's place cannot be replaced. Found out early, it costs nothing.
///
/// # Errors
/// [`Failure::Store`] that names it.
pub(super) fn check_journal(place: &Paths) -> Result<(), Failure> {
    match place.stat(&place.journal_name()) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
            Err(store_failure(StoreOp::Create, &place.journal(), Errno::ISDIR))
        }
        _ => Ok(()),
    }
}

/// The journal's bytes; `None` if there is none. In words, if it cannot be used.
pub(super) fn read_journal(place: &Paths) -> Result<Option<Vec<u8>>, String> {
    let name = place.journal_name();
    match place.stat(&name) {
        Err(Errno::NOENT) => return Ok(None),
        Ok(stat) if is_ours(&stat) => {}
        _ => return Err("the journal is not a file of our own".to_owned()),
    }
    let file = open(place, &name, OFlags::RDONLY)
        .map_err(|errno| format!("the journal cannot be opened: {errno}"))?;
    if !retry_on_intr(|| rustix::fs::fstat(&file)).is_ok_and(|stat| is_ours(&stat)) {
        return Err("the journal is not a file of our own".to_owned());
    }
    let mut bytes = Vec::new();
    let read = File::from(file).take(JOURNAL_MAX + 1).read_to_end(&mut bytes);
    match read {
        Err(error) => Err(format!("the journal cannot be read: {error}")),
        Ok(length) if length as u64 > JOURNAL_MAX => Err("the journal is too large".to_owned()),
        Ok(_) => Ok(Some(bytes)),
    }
}

/// Takes the journal away, for good: emptied and synced before it is unlinked, so that a power cut
/// cannot bring it back beside a part file that holds other bytes by then.
pub(super) fn discard_journal(place: &Paths) {
    let name = place.journal_name();
    let found = place.stat(&name);
    if found.is_ok_and(|stat| is_ours(&stat))
        && let Ok(file) = open(place, &name, OFlags::WRONLY)
        && retry_on_intr(|| rustix::fs::fstat(&file)).is_ok_and(|stat| is_ours(&stat))
    {
        let _ = retry_on_intr(|| rustix::fs::ftruncate(&file, 0));
        let _ = retry_on_intr(|| rustix::fs::fdatasync(&file));
    }
    remove(place, &name);
    remove(place, &place.new_journal_name());
}

/// Unlinks a side file. That it is gone already, or cannot be, changes nothing: it proves nothing
/// without its partner.
pub(super) fn remove(place: &Paths, name: &OsStr) {
    let _ = unlink(place, name);
}

/// Whether the part file's name still means the file that is open.
pub(super) fn is_same(place: &Paths, stat: &Stat) -> bool {
    place
        .stat(&place.part_name())
        .is_ok_and(|now| (now.st_dev, now.st_ino) == (stat.device, stat.inode))
}

/// A new file of our own, readable by us alone until it is published.
pub(super) fn create(place: &Paths, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    retry_on_intr(|| rustix::fs::openat(&place.directory, name, flags, Mode::RUSR | Mode::WUSR))
}

fn open(place: &Paths, name: &OsStr, access: OFlags) -> Result<OwnedFd, Errno> {
    let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    retry_on_intr(|| rustix::fs::openat(&place.directory, name, flags, Mode::empty()))
}

fn unlink(place: &Paths, name: &OsStr) -> Result<(), Errno> {
    match retry_on_intr(|| rustix::fs::unlinkat(&place.directory, name, AtFlags::empty())) {
        Err(Errno::NOENT) => Ok(()),
        result => result,
    }
}

/// Takes the lock. The lock of a process that was killed may outlive it for a moment: a ring that
/// had the file in use is taken down behind its back (io_uring(7)).
fn lock(file: impl AsFd, place: &Paths) -> Result<(), Failure> {
    let try_lock =
        || retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive));
    let until = Instant::now() + LOCK_WAIT;
    let mut locked = try_lock();
    while locked == Err(Errno::WOULDBLOCK) && Instant::now() < until {
        thread::sleep(LOCK_POLL);
        locked = try_lock();
    }
    match locked {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => Err(store_failure_words(
            StoreOp::Lock,
            &place.part(),
            "another process is downloading to this name",
        )),
        // A filesystem without locks (some network mounts): nothing can be promised there.
        Err(Errno::NOSYS | Errno::NOLCK | Errno::OPNOTSUPP | Errno::INVAL) => Ok(()),
        Err(errno) => Err(store_failure(StoreOp::Lock, &place.part(), errno)),
    }
}

fn is_ours(stat: &rustix::fs::Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
        && stat.st_uid == own_uid()
        && stat.st_nlink == 1
}

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// How long a lock may be somebody else's before it is taken for a living process's.
const LOCK_WAIT: Duration = Duration::from_millis(300);
const LOCK_POLL: Duration = Duration::from_millis(10);

/// Others may race for a name, but not for ever.
const ATTEMPTS: usize = 16;

/// No journal of ours grows so long.
const JOURNAL_MAX: u64 = 4 << 20;

/// `STATX_MNT_ID_UNIQUE`, linux/stat.h.
const MNT_ID_UNIQUE: u32 = 0x4000;

/// Filesystems that number inodes as they come: FAT, exFAT, FUSE (statfs(2)).
const VOLATILE_INODES: [rustix::fs::FsWord; 3] = [0x4d44, 0x2011_bab0, 0x6573_5546];
