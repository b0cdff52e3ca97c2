//! Simulated downloads: a world from a seed, a virtual clock, a scripted origin, a faulty disk.
//!
//! Every seed runs twice: with faults, where the outcome must be right, prompt and reached within a
//! bound once the faults heal; and without, where nothing may be retried, aborted or fetched twice.
//!
//! `UGET_SIM_SEED=N cargo test --test sim` runs one seed and says everything that happens;
//! `UGET_SIM_COUNT=N` runs so many instead of 10,000.
#![expect(clippy::print_stdout, clippy::tests_outside_test_module, reason = "this is a test")]

mod check;
mod disk;
mod file;
mod line;
mod origin;
mod port;
mod referee;
mod rng;
mod scenes;
mod site;
mod worker;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use world::World;

#[test]
fn with_faults() {
    simulate(true, "with_faults");
}

#[test]
fn without_faults() {
    simulate(false, "without_faults");
}

fn simulate(faults: bool, name: &str) {
    let number = |variable| std::env::var(variable).ok().and_then(|n| n.parse::<u64>().ok());
    if let Some(seed) = number("UGET_SIM_SEED") {
        if let Err(violation) = run(seed, faults, true) {
            panic!("seed {seed}: {violation}");
        }
        return;
    }
    for seed in 0..number("UGET_SIM_COUNT").unwrap_or(10_000) {
        if let Err(violation) = run(seed, faults, false) {
            panic!(
                "seed {seed}: {violation}\nagain: UGET_SIM_SEED={seed} \
                 cargo test --test sim {name} -- --nocapture"
            );
        }
    }
}

fn run(seed: u64, faults: bool, verbose: bool) -> Result<(), String> {
    let run = || World::new(seed, faults, verbose).run();
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
        Err(format!("panicked: {}", text.unwrap_or_default()))
    })
}
