//! Response heads: more octets never change a verdict, and accessors never panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| uget_fuzz::http::head(data));
