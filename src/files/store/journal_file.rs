//! The journal on disk: replaced as a whole, or appended to.

use std::{fs::File, io::Write, os::unix::fs::FileExt, sync::Arc};

use rustix::io::{Errno, retry_on_intr};

use super::{fault::store_failure, place::Paths, side};
use crate::orders::{Failure, StoreOp};

/// An open journal.
#[derive(Debug)]
pub(super) struct JournalFile {
    file: Arc<File>,
    length: u64,
}

impl JournalFile {
    /// Writes `bytes` beside the journal and renames them onto it: at no moment is there half a
    /// journal in its place; after a power cut neither, if `durable`.
    pub(super) fn replace(place: &Paths, bytes: &[u8], durable: bool) -> Result<Self, Failure> {
        let new = place.new_journal_name();
        side::remove(place, &new);
        let written = side::create(place, &new).and_then(|fd| {
            let mut file = File::from(fd);
            file.write_all(bytes).map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
            if durable {
                retry_on_intr(|| rustix::fs::fdatasync(&file))?;
            }
            let name = place.journal_name();
            retry_on_intr(|| {
                rustix::fs::renameat(&place.directory, &new, &place.directory, &name)
            })?;
            Ok(file)
        });
        match written {
            Ok(file) => Ok(Self { file: Arc::new(file), length: bytes.len() as u64 }),
            Err(errno) => {
                side::remove(place, &new);
                Err(store_failure(StoreOp::Journal, &place.target(), errno))
            }
        }
    }

    /// Appends whole records; when that fails half-way, what was written of them is cut off.
    pub(super) fn append(&mut self, records: &[u8]) -> Result<(), Errno> {
        match self.file.write_all_at(records, self.length) {
            Ok(()) => {
                self.length += records.len() as u64;
                Ok(())
            }
            Err(error) => {
                let _ = retry_on_intr(|| rustix::fs::ftruncate(&self.file, self.length));
                Err(Errno::from_io_error(&error).unwrap_or(Errno::IO))
            }
        }
    }

    /// The file, to be synced elsewhere.
    pub(super) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }
}
