//! A compressed file's content, to wherever it goes.

use std::time::Duration;

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
        // What takes nothing may say so while nothing comes.
        let Some(next) = content.soon(LOOK)? else {
            sink(&[])?;
            continue;
        };
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

/// How often to look whether what comes is still wanted.
const LOOK: Duration = Duration::from_millis(200);
