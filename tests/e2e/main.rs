//! The real binary against origins that are honest, broken or hostile, every case on both engines.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stderr, reason = "a test says on stderr why it was left out")]

#[path = "../support/mod.rs"]
mod support;
