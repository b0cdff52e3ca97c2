//! Reads a part file that was left behind: are its bytes those that were written?
//!
//! Nothing is read through a mapping: somebody who damages the file may still be at it.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use crc32fast::Hasher;

use crate::{journal::Claim, orders::Failure};

/// Which of the claims hold of `part`. `wait` is asked for every MiB whether to go on.
///
/// # Errors
/// What `wait` says.
pub(super) fn verify(
    part: &File,
    claims: &[Claim],
    wait: &mut dyn FnMut() -> Result<(), Failure>,
) -> Result<Vec<bool>, Failure> {
    let work = Work {
        part,
        claims,
        next: AtomicUsize::new(0),
        hold: claims.iter().map(|_| AtomicBool::new(false)).collect(),
    };
    let stop = AtomicBool::new(false);
    let mut result = Ok(());
    thread::scope(|scope| {
        for _ in 1..threads(claims) {
            let run = || work.run(|| !stop.load(Ordering::Relaxed));
            let builder = thread::Builder::new().name("uget-verify".to_owned());
            if builder.stack_size(STACK).spawn_scoped(scope, run).is_err() {
                break;
            }
        }
        work.run(|| {
            result = wait();
            result.is_ok()
        });
        stop.store(result.is_err(), Ordering::Relaxed);
    });
    result.map(|()| work.hold.into_iter().map(AtomicBool::into_inner).collect())
}

/// What the threads share.
struct Work<'a> {
    part: &'a File,
    claims: &'a [Claim],
    next: AtomicUsize,
    hold: Vec<AtomicBool>,
}

impl Work<'_> {
    /// Takes claim after claim until there are none, or `go_on` says no.
    fn run(&self, mut go_on: impl FnMut() -> bool) {
        let mut buffer = vec![0; CHUNK];
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let (Some(claim), Some(hold)) = (self.claims.get(index), self.hold.get(index)) else {
                return;
            };
            match holds(self.part, claim, &mut buffer, &mut go_on) {
                Some(holds) => hold.store(holds, Ordering::Relaxed),
                None => return,
            }
        }
    }
}

/// Whether one claim holds; what cannot be read is not there. `None`: told to stop.
fn holds(
    part: &File,
    claim: &Claim,
    buffer: &mut [u8],
    go_on: &mut dyn FnMut() -> bool,
) -> Option<bool> {
    let mut sum = Hasher::new();
    let mut at = claim.range.start;
    while at < claim.range.end {
        if !go_on() {
            return None;
        }
        let left = usize::try_from(claim.range.end - at).unwrap_or(usize::MAX);
        let room = buffer.len().min(left);
        let chunk = buffer.get_mut(..room)?;
        if part.read_exact_at(chunk, at).is_err() {
            return Some(false);
        }
        sum.update(chunk);
        at += chunk.len() as u64;
    }
    Some(sum.finalize() == claim.crc)
}

/// One thread alone reads a small file, or a slow disk, as fast as it goes.
fn threads(claims: &[Claim]) -> usize {
    let bytes: u64 = claims.iter().map(|claim| claim.range.end - claim.range.start).sum();
    let worthwhile = usize::try_from(bytes / WORTHWHILE).unwrap_or(usize::MAX);
    thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX).min(worthwhile)
}

/// Read at a time: it stays in a core's cache until it is summed up.
const CHUNK: usize = 1 << 20;

/// So many bytes are worth a thread.
const WORTHWHILE: u64 = 64 << 20;

/// From memory, this many threads read as fast as memory goes; from a disk, fewer would do.
const THREADS_MAX: usize = 4;

const STACK: usize = 128 << 10;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn part(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn claims(bytes: &[u8], step: usize) -> Vec<Claim> {
        let claim = |(index, chunk): (usize, &[u8])| {
            let start = (index * step) as u64;
            Claim { range: start..start + chunk.len() as u64, crc: crc32fast::hash(chunk) }
        };
        bytes.chunks(step).enumerate().map(claim).collect()
    }

    #[test]
    fn what_was_changed_or_cut_off_does_not_hold() {
        let bytes: Vec<u8> = (0..5_u32 << 20).map(|at| (at % 251) as u8).collect();
        let file = part(&bytes);
        let claims = claims(&bytes, 1_500_000);
        let check = || verify(&file, &claims, &mut || Ok(())).unwrap();
        assert_eq!(check(), [true; 4]);
        file.write_all_at(b"!", 1_500_000).unwrap();
        assert_eq!(check(), [true, false, true, true]);
        file.set_len((5 << 20) - 1).unwrap();
        assert_eq!(check(), [true, false, true, false]);
        file.set_len(5 << 20).unwrap();
        assert_eq!(check(), [true, false, true, false]);
    }

    #[test]
    fn several_threads_find_the_same_and_stop_when_told() {
        let bytes = vec![7; 256 << 20];
        let file = part(&bytes);
        let mut claims = claims(&bytes, 16 << 20);
        claims[9].crc ^= 1;
        let hold = verify(&file, &claims, &mut || Ok(())).unwrap();
        assert!(hold.iter().enumerate().all(|(index, hold)| *hold == (index != 9)), "{hold:?}");
        let mut asked = 0;
        let stopped = verify(&file, &claims, &mut || {
            asked += 1;
            if asked > 3 { Err(Failure::Cancelled { signal: 2 }) } else { Ok(()) }
        });
        assert_eq!(stopped, Err(Failure::Cancelled { signal: 2 }));
        assert_eq!(asked, 4);
    }
}
