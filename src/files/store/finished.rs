//! What is known of a file that was published before: which version it was, in an extended
//! attribute of its own, and that nobody changed it since.
//!
//! The attribute (xattr(7), `user.uget.version`) is written to the part file right before the
//! rename, so that it comes with the name. It holds a hash of the URL (never the URL, which may
//! hold secrets), size and modification time of the file, and the strong validator. A file that was
//! written to since has another time. Filesystems without such attributes have no such memory, and
//! everything is downloaded again.

use std::{
    fs::File,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use rustix::{
    fs::{FileType, Mode, OFlags, Timespec, Timestamps, XattrFlags},
    io::{Errno, retry_on_intr},
};

use super::{fault::store_failure, place::Paths, publish, side};
use crate::orders::{Failure, Finished, StoreOp};

/// Opens the regular file that has the target's name.
pub(super) fn open(place: &Paths) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let open = || rustix::fs::openat(&place.directory, place.target_name(), flags, Mode::empty());
    let file = retry_on_intr(open).ok()?;
    let stat = rustix::fs::fstat(&file).ok()?;
    (FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile).then_some(file)
}

/// What the file of the target's name is known to be, if it came from the URL of that `identity`.
pub(super) fn read(place: &Paths, identity: &[u8; 32]) -> Option<Finished> {
    let file = open(place)?;
    let mut text = [0; VALUE_MAX];
    let length = rustix::fs::fgetxattr(&file, ATTRIBUTE, &mut text).ok()?;
    let text = std::str::from_utf8(text.get(..length)?).ok()?;
    let stamp = Stamp::parse(text)?;
    let is_it = stamp.identity == hex::encode(identity) && stamp.time == time(&file)?;
    (is_it && stamp.size == size(&file)?)
        .then(|| Finished { size: stamp.size, validator: stamp.validator.to_owned() })
}

/// Notes on the part file, all of which is there, which version it is. Where that cannot be noted,
/// nothing is: it is only ever of use.
pub(super) fn write(part: &File, identity: &[u8; 32], validator: &str) {
    // The kernel stamps files with a clock that ticks a few hundred times a second. A time between
    // two ticks is one that no later write leaves behind.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let modified = Timespec {
        tv_sec: i64::try_from(now.as_secs()).unwrap_or(0),
        tv_nsec: now.subsec_nanos().into(),
    };
    let omit = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT };
    let times = Timestamps { last_access: omit, last_modification: modified };
    let _ = retry_on_intr(|| rustix::fs::futimens(part, &times));
    let (Some(time), Some(size)) = (time(part), size(part)) else { return };
    let stamp = Stamp { identity: hex::encode(identity), size, time, validator };
    let text = stamp.to_string();
    if text.len() <= VALUE_MAX {
        let flags = XattrFlags::empty();
        let _ = retry_on_intr(|| rustix::fs::fsetxattr(part, ATTRIBUTE, text.as_bytes(), flags));
    }
}

/// Makes a file that is there already last, data and name.
///
/// # Errors
/// [`Failure::Store`] with [`StoreOp::Sync`].
pub(super) fn sync(place: &Paths) -> Result<(), Failure> {
    let fail = |errno| store_failure(StoreOp::Sync, &place.target(), errno);
    let file = open(place).ok_or_else(|| fail(Errno::NOENT))?;
    match retry_on_intr(|| rustix::fs::fsync(&file)) {
        // What cannot be written to has nothing to sync.
        Ok(()) | Err(Errno::INVAL | Errno::ROFS) => publish::sync_directory(place)
            .map_err(|errno| store_failure(StoreOp::Sync, place.directory_path(), errno)),
        Err(errno) => Err(fail(errno)),
    }
}

/// As [`sync`], for a target that no store is open for.
///
/// # Errors
/// As [`sync`].
pub(crate) fn sync_target(target: &Path) -> Result<(), Failure> {
    sync(&Paths::of(target, false)?)
}

/// Takes away what interrupted runs left beside a target that turned out to be finished, unless
/// another process is at work there. Nobody needs it, so nobody need hear that it cannot be taken.
pub(crate) fn clear(target: &Path) {
    let Ok(place) = Paths::of(target, false) else { return };
    let names = [place.part_name(), place.journal_name()];
    if names.iter().all(|name| place.stat(name).is_err()) {
        return;
    }
    // Locked, and made if only the journal is there.
    if let Ok((part, _)) = side::open_part(&place) {
        side::discard_journal(&place);
        if side::stat(&part).is_ok_and(|stat| side::is_same(&place, &stat)) {
            side::remove(&place, &place.part_name());
        }
    }
}

/// The regular file that `target` is, open for reading.
pub(crate) fn open_target(target: &Path) -> Option<File> {
    open(&Paths::of(target, false).ok()?).map(File::from)
}

/// What the attribute says.
#[derive(Debug, PartialEq, Eq)]
struct Stamp<'a> {
    identity: String,
    size: u64,
    /// Seconds and nanoseconds of the modification time.
    time: (i64, i64),
    validator: &'a str,
}

impl<'a> Stamp<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut words = text.splitn(5, ' ');
        let mut word = || words.next().filter(|word| !word.is_empty());
        if word()? != VERSION {
            return None;
        }
        let identity = word()?.to_owned();
        let size = word()?.parse().ok()?;
        let (seconds, nanos) = word()?.split_once('.')?;
        let time = (seconds.parse().ok()?, nanos.parse().ok()?);
        let validator = word()?;
        // It becomes a field's value.
        let sound = validator.bytes().all(|b| (b' '..=b'~').contains(&b) || b >= 0x80);
        sound.then_some(Self { identity, size, time, validator })
    }
}

impl std::fmt::Display for Stamp<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { identity, size, time: (seconds, nanos), validator } = self;
        write!(f, "{VERSION} {identity} {size} {seconds}.{nanos} {validator}")
    }
}

fn time(file: impl AsFd) -> Option<(i64, i64)> {
    let stat = rustix::fs::fstat(file).ok()?;
    Some((stat.st_mtime, i64::try_from(stat.st_mtime_nsec).ok()?))
}

fn size(file: impl AsFd) -> Option<u64> {
    u64::try_from(rustix::fs::fstat(file).ok()?.st_size).ok()
}

const ATTRIBUTE: &str = "user.uget.version";

/// The first word of the value.
const VERSION: &str = "1";

/// No validator that is worth keeping makes it longer.
const VALUE_MAX: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_back() {
        for validator in ["\"a b\"", "Thu, 01 Jan 1970 00:00:00 GMT", "\"é\""] {
            let stamp =
                Stamp { identity: hex::encode([7; 32]), size: 5, time: (-1, 999), validator };
            assert_eq!(Stamp::parse(&stamp.to_string()), Some(stamp));
        }
    }

    #[test]
    fn what_is_no_stamp() {
        for text in [
            "",
            "1",
            "2 aa 5 1.1 \"a\"",
            "1 aa x 1.1 \"a\"",
            "1 aa -5 1.1 \"a\"",
            "1 aa 5 1 \"a\"",
            "1 aa 5 1.x \"a\"",
            "1 aa 5 1.1 ",
            "1 aa 5 1.1",
            "1 aa 5 1.1 \"a\"\r\nX: y",
        ] {
            assert_eq!(Stamp::parse(text), None, "{text:?}");
        }
    }
}
