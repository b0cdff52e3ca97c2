//! Hashes a file while it still arrives: a thread that follows the contiguous prefix, so that
//! little is left to do at the end.

use std::{
    fs::File,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use super::{
    hasher::{Computed, Hasher},
    reread::{self, ReadBack},
};
use crate::options::Algorithm;

/// The thread that follows one file.
pub(crate) struct Follower {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<io::Result<Vec<Computed>>>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default)]
struct State {
    /// The end of the contiguous prefix.
    frontier: u64,
    /// The complete length, once every byte is there.
    total: Option<u64>,
    stop: bool,
}

impl Follower {
    /// Starts to follow `file`, from its beginning.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(crate) fn start(
        file: Arc<File>,
        algorithms: Vec<Algorithm>,
        read_back: ReadBack,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("uget-digest".to_owned())
            .spawn(move || follow(&file, &of_thread, &algorithms, read_back))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// The contiguous prefix ends at `frontier` now.
    pub(crate) fn advance(&self, frontier: u64) {
        let mut state = self.shared.lock();
        if frontier > state.frontier {
            state.frontier = frontier;
            drop(state);
            self.shared.changed.notify_one();
        }
    }

    /// Every byte is there: hashes what is left. Blocks.
    ///
    /// # Errors
    /// The file cannot be read back, it shrank, or [`Stopper::stop`] was called.
    pub(crate) fn finish(mut self, total: u64) -> io::Result<Vec<Computed>> {
        {
            let mut state = self.shared.lock();
            state.frontier = total;
            state.total = Some(total);
        }
        self.shared.changed.notify_one();
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) | None => Err(io::Error::other("the digest's thread ended early")),
        }
    }

    /// What makes [`Self::finish`] return early, from another thread.
    pub(crate) fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.shared))
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stopper().stop();
    }
}

/// Stops a [`Follower`].
pub(crate) struct Stopper(Arc<Shared>);

impl Stopper {
    pub(crate) fn stop(&self) {
        self.0.lock().stop = true;
        self.0.changed.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is enough to hash behind `hashed`, or nothing more will come.
    fn wait(&self, hashed: u64) -> State {
        let enough =
            |state: &State| state.stop || state.total.is_some() || state.frontier - hashed >= STEP;
        let mut state = self.lock();
        while !enough(&state) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        *state
    }
}

fn follow(
    file: &File,
    shared: &Shared,
    algorithms: &[Algorithm],
    read_back: ReadBack,
) -> io::Result<Vec<Computed>> {
    let mut hashers: Vec<Hasher> = algorithms.iter().map(|of| Hasher::new(*of)).collect();
    let mut hashed = 0;
    loop {
        let state = shared.wait(hashed);
        if state.stop {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let end = state.frontier.min(hashed + reread::WINDOW);
        read_back(file, hashed..end, &mut |bytes| {
            for hasher in &mut hashers {
                hasher.update(bytes);
            }
        })?;
        hashed = end;
        if state.total == Some(hashed) {
            let computed = hashers.into_iter().map(Hasher::finish);
            return Ok(algorithms.iter().copied().zip(computed).collect());
        }
    }
}

/// Less than this is not worth reading while more is on its way.
const STEP: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn every_algorithm_hashes_a_file_that_arrives_in_pieces() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let all = vec![
            Algorithm::Sha256,
            Algorithm::Sha512,
            Algorithm::Sha1,
            Algorithm::Md5,
            Algorithm::Blake3,
        ];
        let follower = Follower::start(Arc::clone(&file), all, reread::pread).unwrap();
        file.write_all_at(&vec![b'a'; 3 << 20], 0).unwrap();
        follower.advance(3 << 20);
        file.write_all_at(b"abc", 3 << 20).unwrap();
        let computed = follower.finish((3 << 20) + 3).unwrap();
        let mut whole = vec![b'a'; 3 << 20];
        whole.extend_from_slice(b"abc");
        for (algorithm, text) in computed {
            let mut hasher = Hasher::new(algorithm);
            hasher.update(&whole);
            assert_eq!(text, hasher.finish(), "{algorithm:?}");
        }
    }

    #[test]
    fn a_stopped_follower_does_not_wait_for_the_rest() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let follower = Follower::start(file, vec![Algorithm::Md5], reread::pread).unwrap();
        follower.stopper().stop();
        assert!(follower.finish(1 << 30).is_err());
    }
}
