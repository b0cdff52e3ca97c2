//! Any sequence of legal events: every command is legal, and it comes to an end.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| uget_fuzz::transfer::transfer(data));
