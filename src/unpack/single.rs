//! A compressed file's content, into a file or a stream.

use std::{fs::File, io::Write as _, path::Path};

use super::{fault, gauge::Gauge, limit::Budget, queue::Content};
use crate::orders::{Failure, StoreOp};

/// Writes everything.
pub(super) fn write(
    mut file: File,
    path: &Path,
    mut content: Content,
    most: Option<u64>,
    gauge: &Gauge,
) -> Result<(), Failure> {
    let mut budget = Budget::new(most);
    loop {
        let next = content.next()?;
        if next.is_empty() {
            return Ok(());
        }
        let count = next.len();
        budget.bytes(count as u64)?;
        let written = file.write_all(next);
        written.map_err(|e| fault::store(StoreOp::Write, path, fault::errno(&e)))?;
        gauge.wrote(count as u64);
        content.take(count);
    }
}
