//! The seal on a part file that was left in order: as long as it is whole, nobody wrote to the file
//! since, and nobody need read it.
//!
//! It is made of the file's length and times. Every write moves both of them (of a mapping: the
//! first write to a page that was written back), and no program can choose the time of change. But
//! the kernel stamps files with a clock that ticks a few hundred times a second, so a write right
//! behind the seal might leave the same times. Two things prevent that. The file gets a time of
//! modification between two ticks, which no write leaves behind. And the seal is done only when
//! the clock has ticked, so that whoever puts that time back later leaves another time of change.

use std::{
    fs::File,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rustix::{
    fs::{FsWord, Timespec, Timestamps},
    io::retry_on_intr,
    time::{ClockId, clock_gettime},
};

use crate::journal::Seal;

/// Seals a file that is written to no more. `None` where that would prove nothing.
pub(super) fn set(part: &File) -> Option<Seal> {
    let kind = retry_on_intr(|| rustix::fs::fstatfs(part)).ok()?.f_type;
    if !TRUE_TO_TIME.contains(&kind) {
        return None;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let modified = (i64::try_from(now.as_secs()).ok()?, now.subsec_nanos());
    let time = Timespec { tv_sec: modified.0, tv_nsec: modified.1.into() };
    let omit = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT };
    let times = Timestamps { last_access: omit, last_modification: time };
    retry_on_intr(|| rustix::fs::futimens(part, &times)).ok()?;
    let seal = look(part)?;
    // A filesystem that rounds times, a tick right now, or somebody who writes.
    let is_odd = seal.modified == modified && seal.modified != seal.changed;
    (is_odd && has_ticked(seal.changed)).then_some(seal)
}

/// What a seal made now would say.
pub(super) fn look(part: &File) -> Option<Seal> {
    let stat = retry_on_intr(|| rustix::fs::fstat(part)).ok()?;
    Some(Seal {
        size: stat.st_size.unsigned_abs(),
        modified: (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).ok()?),
        changed: (stat.st_ctime, u32::try_from(stat.st_ctime_nsec).ok()?),
    })
}

/// Waits until the clock that files are stamped with has moved on from `stamp`: one tick.
fn has_ticked(stamp: (i64, u32)) -> bool {
    let until = Instant::now() + TICK_MAX;
    loop {
        let now = clock_gettime(ClockId::RealtimeCoarse);
        if (now.tv_sec, now.tv_nsec) > (stamp.0, stamp.1.into()) {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// The slowest clock ticks a hundred times a second.
const TICK_MAX: Duration = Duration::from_millis(50);

/// Filesystems whose times move with every write, by this machine's clock: ext2 to ext4, XFS,
/// Btrfs, F2FS, and overlays, which are of them (statfs(2)). Not tmpfs, where writes through a
/// mapping leave no trace; not ZFS, where they leave it late; nothing that others write to.
const TRUE_TO_TIME: [FsWord; 5] = [0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010, 0x794c_7630];

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::FileExt};

    use super::*;

    #[test]
    fn every_write_breaks_a_seal() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[7; 8192], 0).unwrap();
        // Right behind the seal and over and over, because that is when it may be missed.
        for round in 0..50 {
            let Some(seal) = set(&file) else { return };
            assert_eq!(look(&file), Some(seal.clone()), "it is whole as long as nobody writes");
            match round % 4 {
                0 => file.write_all_at(b"!", 4000).unwrap(),
                1 => file.set_len(8192).unwrap(),
                2 => {
                    file.write_all_at(b"!", 4000).unwrap();
                    let (seconds, nanos) = seal.modified;
                    let time = UNIX_EPOCH + Duration::new(seconds.unsigned_abs(), nanos);
                    file.set_times(fs::FileTimes::new().set_modified(time)).unwrap();
                    assert_eq!(look(&file).unwrap().modified, seal.modified, "it was put back");
                }
                _ => file.set_len(8191).unwrap(),
            }
            assert_ne!(look(&file), Some(seal), "round {round}");
        }
    }

    #[test]
    fn there_is_none_where_it_would_prove_nothing() {
        if let Ok(file) = tempfile::tempfile_in("/dev/shm") {
            assert_eq!(set(&file), None);
        }
    }
}
