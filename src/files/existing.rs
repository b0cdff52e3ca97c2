//! Reads a file that has the target's name already, before anything is asked: it may be the object.

use std::{fs::File, io, path::Path};

use super::{
    checks::Checks,
    hasher::{Computed, Hasher},
    patience::Patience,
    reread, sink, store,
};
use crate::orders::{Failure, StoreOp};

/// A regular file that was there before.
pub(crate) struct Existing {
    /// In bytes.
    pub(crate) size: u64,
    /// Every digest that is wanted of it.
    pub(crate) computed: Vec<Computed>,
}

impl Existing {
    /// Hashes the file at `target`. `None` if there is none that can be read.
    ///
    /// # Errors
    /// It cannot be read to its end, or `patience` is over.
    pub(crate) fn of(
        target: &Path,
        checks: &Checks,
        patience: &Patience,
    ) -> Result<Option<Self>, Failure> {
        let Some(file) = store::open_target(target) else { return Ok(None) };
        let failed = |error: io::Error| sink::failure(StoreOp::Read, target, &error);
        let size = length(&file).map_err(failed)?;
        let computed = hash(&file, size, checks, patience, failed)?;
        // What grew meanwhile is not what was hashed.
        let same = length(&file).map_err(failed)? == size;
        Ok(same.then_some(Self { size, computed }))
    }
}

fn hash(
    file: &File,
    size: u64,
    checks: &Checks,
    patience: &Patience,
    failed: impl Fn(io::Error) -> Failure,
) -> Result<Vec<Computed>, Failure> {
    let algorithms = checks.algorithms();
    let mut hashers: Vec<Hasher> = algorithms.iter().map(|of| Hasher::new(*of)).collect();
    let mut at = 0;
    while at < size {
        patience.check()?;
        let end = size.min(at + reread::WINDOW);
        let mut read = |bytes: &[u8]| hashers.iter_mut().for_each(|hasher| hasher.update(bytes));
        (checks.read_back)(file, at..end, &mut read).map_err(&failed)?;
        at = end;
    }
    Ok(algorithms.into_iter().zip(hashers.into_iter().map(Hasher::finish)).collect())
}

/// The file's length in bytes.
fn length(file: &File) -> io::Result<u64> {
    let stat = rustix::io::retry_on_intr(|| rustix::fs::fstat(file))?;
    Ok(stat.st_size.unsigned_abs())
}
