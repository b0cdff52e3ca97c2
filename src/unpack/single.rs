//! A compressed file's content, to wherever it goes.

use super::{gauge::Gauge, limit::Budget, queue::Content};
use crate::orders::Failure;

/// Writes everything.
pub(super) fn write(
    mut content: Content,
    mut budget: Budget,
    gauge: &Gauge,
    mut sink: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    loop {
        let next = content.next()?;
        if next.is_empty() {
            return Ok(());
        }
        let count = next.len();
        budget.bytes(count as u64)?;
        sink(next)?;
        gauge.wrote(count as u64);
        content.take(count);
    }
}
