//! An object in a file of this machine.

use std::{
    fs::{File, Metadata, OpenOptions},
    io,
    ops::Range,
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::PathBuf,
};

use url::Url;

use super::{Caller, RangeSource, SourceError, Taker, Version};

/// A regular file. Its version is what stat(2) says: device, inode, length, and when its data and
/// its inode were changed last. A change within one tick of the kernel's clock (4 ms) that keeps
/// the length is not seen.
#[derive(Clone, Debug)]
pub struct FileSource {
    path: PathBuf,
}

impl FileSource {
    /// The file at this path. It is looked at when it is asked for.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Its URL, which names it where one is wanted; `None` unless the path is absolute.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        Url::from_file_path(&self.path).ok().map(String::from)
    }

    fn open(&self) -> Result<(File, Version), SourceError> {
        // To open a FIFO would wait for a writer.
        let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&self.path);
        let file = opened.map_err(|error| self.failed(&error))?;
        let version = self.look(&file)?;
        Ok((file, version))
    }

    fn look(&self, file: &File) -> Result<Version, SourceError> {
        let data = file.metadata().map_err(|error| self.failed(&error))?;
        if data.is_file() {
            return Ok(version(&data));
        }
        let what = if data.is_dir() { "a directory" } else { "no regular file" };
        Err(SourceError::Denied(format!("{} is {what}", self.path.display())))
    }

    fn failed(&self, error: &io::Error) -> SourceError {
        let why = format!("cannot read {}: {error}", self.path.display());
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => SourceError::NotFound(why),
            io::ErrorKind::PermissionDenied => SourceError::Denied(why),
            _ => SourceError::Failed(why),
        }
    }
}

impl RangeSource for FileSource {
    fn version(&self, _: &Caller<'_>) -> Result<Version, SourceError> {
        self.open().map(|(_, version)| version)
    }

    fn read(
        &self,
        version: &Version,
        range: Range<u64>,
        to: &mut Taker<'_>,
    ) -> Result<(), SourceError> {
        let (file, now) = self.open()?;
        if now != *version {
            return Err(SourceError::Changed);
        }
        let mut buffer = vec![0; BUFFER];
        let mut at = range.start;
        while at < range.end {
            let want = usize::try_from(range.end - at).map_or(BUFFER, |left| left.min(BUFFER));
            let room = buffer.get_mut(..want).unwrap_or_default();
            let got = match file.read_at(room, at) {
                Ok(0) => return Err(SourceError::Changed),
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.failed(&error)),
            };
            to.give(buffer.get(..got).unwrap_or_default())?;
            at += got as u64;
        }
        if self.look(&file)? == now { Ok(()) } else { Err(SourceError::Changed) }
    }
}

fn version(data: &Metadata) -> Version {
    let tag = format!(
        "{:x}-{:x}-{:x}-{}.{:09}-{}.{:09}",
        data.dev(),
        data.ino(),
        data.size(),
        data.mtime(),
        data.mtime_nsec(),
        data.ctime(),
        data.ctime_nsec()
    );
    Version { length: Some(data.size()), tag: Some(tag), whole: false }
}

const BUFFER: usize = 256 * 1024;
