//! Recovery, shown on the real binary: whatever ends a run, the next one ends right and fetches
//! only what is missing. Every case on both engines.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stderr, reason = "a test says on stderr why it was left out")]

#[expect(dead_code, unused_imports, reason = "written for the other end-to-end tests too")]
#[path = "../support/mod.rs"]
mod support;

mod again;
mod beneath;
mod changes;
mod damage;
mod halves;
mod kills;
mod moments;
mod power;
mod side_files;
mod syscalls;

/// A kibibyte and a mebibyte, in bytes.
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
