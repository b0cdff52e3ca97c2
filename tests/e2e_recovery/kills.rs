//! SIGKILL at random moments: never a wrong file, and next to nothing is fetched twice.
//!
//! `UGET_KILLS` says how many kills there are on each engine, `UGET_SEED` where they are.

use std::{sync::Mutex, thread, time::Duration};

use crate::{KIB, MIB, moments::Moments, support::*};

const SIZE: usize = 12 * MIB;
const CONNECTIONS: u64 = 6;
/// So that a download takes about four seconds.
const RATE: u64 = 512 * KIB as u64;

/// One kill and what it cost.
struct Killed {
    seed: u64,
    after: Duration,
    /// Bytes that were fetched twice.
    twice: u64,
    /// Bytes that the second run fetched.
    second: u64,
}

#[test]
fn kills_uring() {
    kills(Engine::Uring);
}

#[test]
fn kills_epoll() {
    kills(Engine::Epoll);
}

fn kills(engine: Engine) {
    let count = number("UGET_KILLS").unwrap_or(12);
    let first = number("UGET_SEED").unwrap_or(1);
    let next = Mutex::new(first..first + count);
    let killed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(seed) = { next.lock().unwrap().next() } {
                    Test::run_on(engine, |t| {
                        let one = kill(t, seed);
                        killed.lock().unwrap().push(one);
                    });
                }
            });
        }
    });
    let killed = killed.into_inner().unwrap();
    if killed.is_empty() {
        return;
    }
    let twice: u64 = killed.iter().map(|one| one.twice).sum();
    let share = twice as f64 / (killed.len() as f64 * SIZE as f64);
    let mut worst: Vec<&Killed> = killed.iter().collect();
    worst.sort_by_key(|one| std::cmp::Reverse(one.twice));
    eprintln!("{engine:?}: {} kills, {:.2} % fetched twice", killed.len(), share * 100.0);
    for one in worst.iter().take(5) {
        eprintln!(
            "  seed {}: killed after {:?}, {} KiB twice, {} KiB in the second run",
            one.seed,
            one.after,
            one.twice >> 10,
            one.second >> 10
        );
    }
    assert!(share <= 0.02, "{:.2} % of the bytes were fetched twice", share * 100.0);
}

fn kill(t: &Test, seed: u64) -> Killed {
    let object = Object::random(seed, SIZE);
    let origin = Origin::of(&object).mode(Mode::Rate(RATE)).start();
    let connections = format!("-j{CONNECTIONS}");
    let mut args = vec![connections.as_str(), "-o", "object.bin"];
    let sha256 = object.sha256();
    let mut moments = Moments::of(seed);
    if moments.below(2) == 0 {
        args.extend(["--sha256", &sha256]);
    }
    let url = origin.url();
    args.push(&url);
    let after = moments.between(Duration::from_millis(5), Duration::from_millis(4500));
    let running = t.uget(&args).start();
    thread::sleep(after);
    running.signal(libc::SIGKILL);
    let output = running.wait();
    let over = output.status.success();
    if over || t.path("object.bin").exists() {
        t.holds(&output, "object.bin", &object);
    }
    assert!(origin.log().wait_closed());
    let sent = origin.log().sent();
    let output = t.uget(&args).run();
    t.delivers(&output, "object.bin", &object);
    assert!(origin.log().wait_closed());
    let all = origin.log().sent();
    // Whoever was done before the kill may ask once more.
    let twice = if over { 0 } else { all.saturating_sub(object.len()) };
    Killed { seed, after, twice, second: all - sent }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
