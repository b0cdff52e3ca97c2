//! Where the tests of unpacking take place.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use crate::{
    options::Unpack,
    orders::{ArchiveFault, Failure},
    unpack::{Gauge, Place, Staged, Trouble, unpack},
};

/// A directory to unpack into, and things beside it.
pub(super) struct World(tempfile::TempDir);

/// What can be seen of a tree: by path, what is there.
pub(super) type Tree = BTreeMap<String, String>;

impl World {
    pub(super) fn new() -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        fs::create_dir(world.path("work")).unwrap();
        fs::create_dir(world.path("canary")).unwrap();
        fs::write(world.path("canary/file"), "unharmed").unwrap();
        fs::write(world.path("file"), "unharmed").unwrap();
        world
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Where to unpack to.
    pub(super) fn target(&self) -> PathBuf {
        self.path("work/dir")
    }

    /// Unpacks and publishes.
    pub(super) fn extract(&self, archive: &[u8], plan: &Unpack) -> Result<Vec<String>, Failure> {
        let staged = staged(Odd::of(archive), Place::directory(&self.target())?, plan)?;
        let warnings = staged.warnings().to_vec();
        assert_eq!(staged.publish(false)?, Some(self.target()));
        Ok(warnings)
    }

    /// Unpacks what is refused; says why, when nothing is left of it and nothing else has changed.
    pub(super) fn refuse(&self, archive: &[u8], plan: &Unpack) -> Failure {
        let before = self.all(true);
        let failure = self.extract(archive, plan).expect_err("it should have been refused");
        assert_eq!(self.all(true), before);
        failure
    }

    /// Unpacks what is right, into an empty place; says what is there then.
    pub(super) fn accept(&self, archive: &[u8], plan: &Unpack) -> Tree {
        let before = self.all(false);
        let warnings = self.extract(archive, plan).expect("it should have been unpacked");
        assert_eq!(warnings, Vec::<String>::new());
        assert_eq!(self.all(false), before);
        tree(&self.target())
    }

    /// Everything there is, but for the time of the directory that is worked in; and, unless
    /// `inside`, what is in that.
    fn all(&self, inside: bool) -> Tree {
        let mut all = tree(self.0.path());
        all.retain(|path, _| path != "work" && (inside || !path.starts_with("work/")));
        all
    }
}

/// Unpacks; an input that fails is [`Failure::Cancelled`].
pub(super) fn staged(input: impl Read, place: Place, plan: &Unpack) -> Result<Staged, Failure> {
    unpack(input, place, plan, MEMORY, &Gauge::default()).map_err(|trouble| match trouble {
        Trouble::Unpacking(failure) => failure,
        Trouble::Input(error) => {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            Failure::Cancelled { signal: 0 }
        }
    })
}

/// The failure of what is larger than this.
pub(super) fn too_large(limit: u64) -> Failure {
    Failure::Archive(ArchiveFault::TooLarge { limit })
}

/// Everything below a directory, and itself: kind, mode, links, times, content.
pub(super) fn tree(top: &Path) -> Tree {
    let mut found = Tree::new();
    walk(top, "", &mut found);
    found
}

fn walk(path: &Path, name: &str, found: &mut Tree) {
    let data = fs::symlink_metadata(path).unwrap();
    let what = if data.is_symlink() {
        format!("-> {:?}", fs::read_link(path).unwrap())
    } else if data.is_dir() {
        "directory".to_owned()
    } else if data.is_file() {
        let content = fs::read(path).unwrap();
        format!("{} links, {} bytes, {}", data.nlink(), content.len(), crc32fast::hash(&content))
    } else {
        "special".to_owned()
    };
    let mode = data.permissions().mode() & 0o7777;
    // What the tests themselves make gets its time from the clock, which is of no interest.
    let time = format!("{}.{:09}", data.mtime(), data.mtime_nsec());
    found.insert(name.to_owned(), format!("{mode:o} {time} {what}"));
    if data.is_dir() {
        for entry in fs::read_dir(path).unwrap().map(Result::unwrap) {
            let own = entry.file_name().to_string_lossy().into_owned();
            let below = if name.is_empty() { own } else { format!("{name}/{own}") };
            walk(&entry.path(), &below, found);
        }
    }
}

/// Bytes that come in pieces of odd sizes, and then the end or an error.
pub(super) struct Odd {
    bytes: Vec<u8>,
    at: usize,
    turn: usize,
    fails: bool,
}

impl Odd {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), at: 0, turn: bytes.len(), fails: false }
    }

    pub(super) fn failing(bytes: &[u8]) -> Self {
        Self { fails: true, ..Self::of(bytes) }
    }
}

impl Read for Odd {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        const SIZES: [usize; 7] = [1, 7, 511, 512, 513, 4096, 100_000];
        self.turn += 1;
        let left = &self.bytes[self.at..];
        if left.is_empty() && self.fails {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let count = left.len().min(into.len()).min(SIZES[self.turn % SIZES.len()]);
        into[..count].copy_from_slice(&left[..count]);
        self.at += count;
        Ok(count)
    }
}

/// What a decoder may use.
pub(super) const MEMORY: u64 = 128 << 20;
