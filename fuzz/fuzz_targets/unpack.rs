//! Members and names: nothing outside the directory is touched, whatever they are.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| uget_fuzz::unpack::members(data));
