//! Simulated downloads: a world from a seed, a virtual clock, a scripted origin, a faulty disk.
//!
//! Every seed runs twice: with faults, where the outcome must be right, prompt and reached within a
//! bound once the faults heal; and without, where nothing may be retried, aborted or fetched twice.
//!
//! A third kind has places that do not know of each other: each has its own versions, moments of
//! change, refusals and lies. There the file must be one version of one object, and the run a
//! success while one good place is left.
//!
//! In a quarter of all worlds it is a stream instead of a file, with a window and a consumer that
//! is fast or slow, stops for minutes, or leaves: no byte of it may be written beyond the window,
//! or handed on twice, or behind a gap.
//!
//! `UGET_SIM_SEED=N cargo test --test sim` runs one seed and says everything that happens;
//! `UGET_SIM_COUNT=N` runs so many instead of 4,000; `UGET_SIM_ALL=1` goes on after what is wrong
//! and lists all of it.
#![expect(clippy::print_stdout, clippy::tests_outside_test_module, reason = "this is a test")]

mod alone;
mod check;
mod disk;
mod file;
mod judge;
#[expect(unreachable_pub, reason = "the fuzz target calls it from another crate")]
#[path = "../../fuzz/src/transfer.rs"]
mod legal;
mod line;
mod lottery;
mod origin;
mod port;
mod referee;
mod rng;
mod scenes;
mod site;
mod stream;
mod worker;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use world::{Kind, World};

#[test]
fn with_faults() {
    simulate(Kind::Faults, "with_faults");
}

#[test]
fn without_faults() {
    simulate(Kind::Calm, "without_faults");
}

#[test]
fn places_that_lie() {
    simulate(Kind::Places, "places_that_lie");
}

/// What the fuzz target does, with octets from a fixed seed.
#[test]
fn any_legal_sequence_of_events() {
    for seed in 0..20_000 {
        let mut rng = rng::Rng::new(seed);
        let octets: Vec<u8> = (0..rng.magnitude(9)).map(|_| rng.next() as u8).collect();
        if catch_unwind(|| legal::transfer(&octets)).is_err() {
            panic!("seed {seed}: {octets:?}");
        }
    }
}

fn simulate(kind: Kind, name: &str) {
    each_seed(name, 4_000, |seed, verbose| World::new(seed, kind, verbose).run());
}

/// Runs every seed up to `count`, or the one that was asked for.
fn each_seed(name: &str, count: u64, run: impl Fn(u64, bool) -> Result<(), String>) {
    let run = |seed, verbose| {
        catch_unwind(AssertUnwindSafe(|| run(seed, verbose))).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
            Err(format!("panicked: {}", text.unwrap_or_default()))
        })
    };
    let number = |variable| std::env::var(variable).ok().and_then(|n| n.parse::<u64>().ok());
    if let Some(seed) = number("UGET_SIM_SEED") {
        if let Err(violation) = run(seed, true) {
            panic!("seed {seed}: {violation}");
        }
        return;
    }
    let all = std::env::var_os("UGET_SIM_ALL").is_some();
    for seed in 0..number("UGET_SIM_COUNT").unwrap_or(count) {
        if let Err(violation) = run(seed, false) {
            if all {
                println!("seed {seed}: {violation}");
                continue;
            }
            panic!(
                "seed {seed}: {violation}\nagain: UGET_SIM_SEED={seed} \
                 cargo test --test sim {name} -- --nocapture"
            );
        }
    }
}
