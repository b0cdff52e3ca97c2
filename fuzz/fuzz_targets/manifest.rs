//! Checksum files: no panic, and what is understood says the same when it is written again.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| uget_fuzz::manifest::checksums(data));
