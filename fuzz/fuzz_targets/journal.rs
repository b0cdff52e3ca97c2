//! Any bytes as a journal: no panic, and what is believed lies within the total and survives a cut
//! at the place where the journal says that it is sound.
#![no_main]

use libfuzzer_sys::fuzz_target;
use uget::journal::{PREAMBLE, Replay, replay};

fuzz_target!(|data: &[u8]| {
    check(data);
    // Most inputs would fail on the magic alone.
    check(&[&PREAMBLE[..], data].concat());
});

fn check(bytes: &[u8]) {
    let Replay::Resumable(state) = replay(bytes, "epoch") else { return };
    assert!(state.valid <= bytes.len());
    assert!(state.done.iter().all(|range| range.start < range.end && range.end <= state.total));
    assert!(state.claims.iter().all(|claim| state.done.contains(claim.range.clone())));
    assert!(state.synced.iter().all(|range| state.done.contains(range)));
    assert_eq!(replay(&bytes[..state.valid], "epoch"), Replay::Resumable(state));
}
