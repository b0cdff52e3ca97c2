//! The real binary against origins that are honest, broken or hostile, every case on both engines.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stderr, reason = "a test says on stderr why it was left out")]

#[expect(dead_code, unused_imports, reason = "written for the other end-to-end tests too")]
#[path = "../support/mod.rs"]
mod support;

mod announce;
mod bad_input;
mod check;
mod checksums;
mod coded;
mod compressed;
mod dates;
mod decompress;
mod digest;
mod digests;
mod engines;
mod extract;
mod extract_hostile;
mod fail_fast;
mod fallback;
mod files;
mod filesystems;
mod finished;
mod flags;
mod framing;
mod happy;
mod headers;
mod inherited;
mod json;
mod library;
mod mirror;
mod mirror_places;
mod names;
mod nginx;
mod odd_names;
mod parts;
mod progress;
mod recipes;
mod redirect;
mod regression;
mod retry;
mod retry_after;
mod signals;
mod slice;
mod stated;
mod streams;
mod strict206;
mod timeout;
mod trickle;
mod via;

/// A kibibyte and a mebibyte, in bytes.
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
