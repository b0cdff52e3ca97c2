//! Field values, locations and text from the other side.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| uget_fuzz::http::field(data));
