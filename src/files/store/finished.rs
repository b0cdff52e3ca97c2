//! What is known of a file that was published before: which version it was, in an extended
//! attribute of its own, and that it was not changed since.
//!
//! The attribute (xattr(7), `user.uget.version`) is written to the part file right before the
//! rename, so that it comes with the name. It holds a hash of the URL (never the URL, which may
//! hold secrets), size and modification time of the file, and the strong validator. A file that was
//! written to since has another time. Filesystems without such attributes have no such memory, and
//! everything is downloaded again.
//!
//! A name, a length and an attribute can be on the disk long before the data are. So the attribute
//! says, too, whether the data were synced; if not, it is believed only in the time in which that
//! makes no difference (the epoch: this boot of the machine, this mount of the filesystem).

use std::{
    fs::File,
    os::fd::AsFd,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use rustix::{
    fs::{FileType, Mode, OFlags, Timespec, Timestamps, XattrFlags},
    io::{Errno, retry_on_intr},
};
use sha2::{Digest, Sha256};

use super::{fault::store_failure, place::Paths, publish, side};
use crate::orders::{Failure, Finished, StoreOp};

/// Opens the regular file that has the target's name.
pub(super) fn open(place: &Paths) -> Option<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let open = || rustix::fs::openat(&place.directory, place.target_name(), flags, Mode::empty());
    let file = retry_on_intr(open).ok()?;
    let stat = rustix::fs::fstat(&file).ok()?;
    (FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile).then(|| file.into())
}

/// What the file of the target's name is known to be in this `epoch`, if it came from the URL of
/// that `identity`.
pub(super) fn read(place: &Paths, identity: &[u8; 32], epoch: &str) -> Option<Finished> {
    let file = open(place)?;
    let mut text = [0; VALUE_MAX];
    let stamp = Stamp::of(&file, &mut text)?;
    (stamp.identity == hex::encode(identity) && stamp.holds(&file, epoch))
        .then(|| Finished { size: stamp.size, validator: stamp.validator.to_owned() })
}

/// Notes on the part file, all of which is there, which version it is. `synced`: it will be, before
/// it gets its name. Where that cannot be noted, nothing is: it is only ever of use.
pub(super) fn write(
    part: &File,
    identity: &[u8; 32],
    validator: &str,
    (synced, epoch): (bool, &str),
) {
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
    let lasts = if synced { Some(SYNCED.to_owned()) } else { named(epoch) };
    let Some(lasts) = lasts else { return };
    Stamp { lasts, identity: hex::encode(identity), size, time, validator }.put(part);
}

/// Takes away what an earlier attempt has noted on the part file.
pub(super) fn erase(part: &File) {
    let _ = retry_on_intr(|| rustix::fs::fremovexattr(part, ATTRIBUTE));
}

/// Makes a file that is there already last, data and name.
///
/// # Errors
/// [`Failure::Store`] with [`StoreOp::Sync`].
pub(super) fn sync(place: &Paths) -> Result<(), Failure> {
    let fail = |errno| store_failure(StoreOp::Sync, &place.target(), errno);
    let file = open(place).ok_or_else(|| fail(Errno::NOENT))?;
    let mut text = [0; VALUE_MAX];
    let stamp = Stamp::of(&file, &mut text).filter(|stamp| {
        let epoch = side::stat(&file).map(|stat| side::epoch(&file, &stat));
        stamp.lasts != SYNCED && stamp.holds(&file, &epoch.unwrap_or_default())
    });
    match retry_on_intr(|| rustix::fs::fsync(&file)) {
        // What cannot be written to has nothing to sync.
        Ok(()) | Err(Errno::INVAL | Errno::ROFS) => {}
        Err(errno) => return Err(fail(errno)),
    }
    if let Some(stamp) = stamp {
        Stamp { lasts: SYNCED.to_owned(), ..stamp }.put(&file);
    }
    publish::sync_directory(place)
        .map_err(|errno| store_failure(StoreOp::Sync, place.directory_path(), errno))
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
    let names = [place.part_name(), place.journal_name(), place.new_journal_name()];
    if names.iter().all(|name| place.stat(name).is_err()) {
        return;
    }
    // Locked, and made if only a journal is there.
    if let Ok((part, _)) = side::open_part(&place) {
        side::discard_journal(&place);
        if side::stat(&part).is_ok_and(|stat| side::is_same(&place, &stat)) {
            side::remove(&place, &place.part_name());
        }
    }
}

/// The regular file that `target` is, open for reading.
pub(crate) fn open_target(target: &Path) -> Option<File> {
    open(&Paths::of(target, false).ok()?)
}

/// What the attribute says.
#[derive(Debug, PartialEq, Eq)]
struct Stamp<'a> {
    /// [`SYNCED`], or the name of the epoch in which it is believed.
    lasts: String,
    identity: String,
    size: u64,
    /// Seconds and nanoseconds of the modification time.
    time: (i64, i64),
    validator: &'a str,
}

impl<'a> Stamp<'a> {
    /// That of `file`, read into `text`.
    fn of(file: &File, text: &'a mut [u8; VALUE_MAX]) -> Option<Self> {
        let length =
            retry_on_intr(|| rustix::fs::fgetxattr(file, ATTRIBUTE, &mut text[..])).ok()?;
        Self::parse(std::str::from_utf8(text.get(..length)?).ok()?)
    }

    /// Makes it that of `file`.
    fn put(&self, file: &File) {
        let text = self.to_string();
        if text.len() <= VALUE_MAX {
            let (text, flags) = (text.as_bytes(), XattrFlags::empty());
            let _ = retry_on_intr(|| rustix::fs::fsetxattr(file, ATTRIBUTE, text, flags));
        }
    }

    /// Whether `file` is as it was when it got this, and its data are what they were.
    fn holds(&self, file: &File, epoch: &str) -> bool {
        (self.lasts == SYNCED || named(epoch).as_ref() == Some(&self.lasts))
            && Some(self.time) == time(file)
            && Some(self.size) == size(file)
    }

    fn parse(text: &'a str) -> Option<Self> {
        let mut words = text.splitn(6, ' ');
        let mut word = || words.next().filter(|word| !word.is_empty());
        if word()? != VERSION {
            return None;
        }
        let lasts = word()?.to_owned();
        let identity = word()?.to_owned();
        let size = word()?.parse().ok()?;
        let (seconds, nanos) = word()?.split_once('.')?;
        let time = (seconds.parse().ok()?, nanos.parse().ok()?);
        let validator = word()?;
        // It becomes a field's value.
        let sound = validator.bytes().all(|b| (b' '..=b'~').contains(&b) || b >= 0x80);
        sound.then_some(Self { lasts, identity, size, time, validator })
    }
}

impl std::fmt::Display for Stamp<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { lasts, identity, size, time: (seconds, nanos), validator } = self;
        write!(f, "{VERSION} {lasts} {identity} {size} {seconds}.{nanos} {validator}")
    }
}

/// An epoch in one word that tells nothing of the machine, since attributes go where files go.
/// There is none where the epoch is not known.
fn named(epoch: &str) -> Option<String> {
    (!epoch.is_empty()).then(|| hex::encode(Sha256::digest(epoch)))
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
const VERSION: &str = "2";

/// The second word if the data are on the disk.
const SYNCED: &str = "synced";

/// No validator that is worth keeping makes it longer.
const VALUE_MAX: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_back() {
        for lasts in [SYNCED.to_owned(), named("boot 1 2").unwrap()] {
            for validator in ["\"a b\"", "Thu, 01 Jan 1970 00:00:00 GMT", "\"é\""] {
                let (lasts, identity) = (lasts.clone(), hex::encode([7; 32]));
                let stamp = Stamp { lasts, identity, size: 5, time: (-1, 999), validator };
                assert_eq!(Stamp::parse(&stamp.to_string()), Some(stamp));
            }
        }
    }

    #[test]
    fn what_is_no_stamp() {
        for text in [
            "",
            "2",
            "1 aa 5 1.1 \"a\"",
            "3 synced aa 5 1.1 \"a\"",
            "2 synced aa x 1.1 \"a\"",
            "2 synced aa -5 1.1 \"a\"",
            "2 synced aa 5 1 \"a\"",
            "2 synced aa 5 1.x \"a\"",
            "2 synced aa 5 1.1 ",
            "2 synced aa 5 1.1",
            "2 synced aa 5 1.1 \"a\"\r\nX: y",
        ] {
            assert_eq!(Stamp::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_was_not_synced_is_believed_in_its_epoch_alone() {
        let file = tempfile::tempfile().unwrap();
        let believed = |epoch: &str| {
            let mut text = [0; VALUE_MAX];
            Stamp::of(&file, &mut text).is_some_and(|stamp| stamp.holds(&file, epoch))
        };
        write(&file, &[7; 32], "\"a\"", (true, "this"));
        if !believed("this") {
            return; // There are no attributes on this filesystem.
        }
        assert!(believed("other") && believed(""), "it is on the disk");
        write(&file, &[7; 32], "\"a\"", (false, "this"));
        assert!(believed("this") && !believed("other") && !believed(""));
        erase(&file);
        assert!(!believed("this"));
        write(&file, &[7; 32], "\"a\"", (false, ""));
        assert!(!believed(""), "a time that has no name is none");
    }
}
