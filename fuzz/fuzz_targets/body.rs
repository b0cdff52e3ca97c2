//! Bodies: however the octets are cut they mean the same, and what a plain decoder says.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| uget_fuzz::http::body(data));
