//! Sequences of inserts and removes against a bitmap.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| uget_fuzz::range::range_set(data));
