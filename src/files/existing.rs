//! Reads a file that has the target's name already, before anything is asked: it may be the object.

use std::{fs::File, io, path::Path};

use super::{
    checks::Checks,
    hasher::{Computed, Hasher},
    patience::Patience,
    reread::{self, ReadBack},
    sink, store,
};
use crate::{
    options::{Algorithm, Digest},
    orders::{Failure, StoreOp},
};

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
        let mut goes_on = || patience.check();
        let algorithms = checks.algorithms();
        let computed = hash(&file, size, algorithms, checks.read_back, &mut goes_on, failed)?;
        // What grew meanwhile is not what was hashed.
        let same = length(&file).map_err(failed)? == size;
        Ok(same.then_some(Self { size, computed }))
    }
}

/// The digests of an open file, by these algorithms. `None` if its length changed while it was
/// read.
///
/// # Errors
/// It cannot be read to its end.
pub fn digests_of(
    file: &File,
    algorithms: &[Algorithm],
    read_back: ReadBack,
) -> io::Result<Option<Vec<Digest>>> {
    let size = length(file)?;
    let computed = hash(file, size, algorithms.to_vec(), read_back, &mut || Ok(()), |e| e)?;
    let digest = |(algorithm, hex)| Digest { algorithm, hex };
    Ok((length(file)? == size).then(|| computed.into_iter().map(digest).collect()))
}

fn hash<E>(
    file: &File,
    size: u64,
    algorithms: Vec<Algorithm>,
    read_back: ReadBack,
    goes_on: &mut dyn FnMut() -> Result<(), E>,
    failed: impl Fn(io::Error) -> E,
) -> Result<Vec<Computed>, E> {
    let mut hashers: Vec<Hasher> = algorithms.iter().map(|of| Hasher::new(*of)).collect();
    let mut at = 0;
    while at < size {
        goes_on()?;
        let end = size.min(at + reread::WINDOW);
        let mut read = |bytes: &[u8]| hashers.iter_mut().for_each(|hasher| hasher.update(bytes));
        read_back(file, at..end, &mut read).map_err(&failed)?;
        at = end;
    }
    Ok(algorithms.into_iter().zip(hashers.into_iter().map(Hasher::finish)).collect())
}

/// The file's length in bytes.
fn length(file: &File) -> io::Result<u64> {
    let stat = rustix::io::retry_on_intr(|| rustix::fs::fstat(file))?;
    Ok(stat.st_size.unsigned_abs())
}
