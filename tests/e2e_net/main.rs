//! The real binary on its way to an origin: TLS, names, proxies, credentials; every case on both
//! engines, against real servers and proxies where there are any.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stderr, reason = "a test says on stderr why it was left out")]

#[path = "../support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "these cases do not need all of what they stand on")]
mod support;

mod daemon;

mod certificates;
mod leaks;
mod names_again;
mod proxies;
mod reach;
mod records;
mod servers;
mod ssh;

/// A kibibyte and a mebibyte, in bytes.
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
