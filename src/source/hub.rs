//! The connections to a source: a socket pair and a thread each.

use std::{
    collections::BTreeMap,
    fmt, io,
    os::unix::net::UnixStream,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::net::{Shutdown, shutdown};

use super::{range_source::RangeSource, serve::serve};

/// A source, and who asks it.
#[derive(Clone)]
pub(crate) struct Hub {
    source: Arc<dyn RangeSource>,
    calls: Arc<Calls>,
}

/// What its connections share.
#[derive(Default)]
struct Calls {
    state: Mutex<State>,
    /// One is over.
    over: Condvar,
}

#[derive(Default)]
struct State {
    next: u64,
    /// Those that are served.
    live: BTreeMap<u64, Arc<UnixStream>>,
    /// What was said last about an answer that broke off.
    words: Option<String>,
}

impl Hub {
    pub(crate) fn new(source: Arc<dyn RangeSource>) -> Self {
        Self { source, calls: Arc::default() }
    }

    /// A connection to it.
    ///
    /// # Errors
    /// No descriptor, or no thread.
    pub(crate) fn open(&self) -> io::Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair()?;
        let theirs = Arc::new(theirs);
        let call = self.calls.begin(&theirs);
        let source = Arc::clone(&self.source);
        let answer = move || {
            let call = call;
            serve(&*source, &theirs, &mut |words| call.broke_off(words));
        };
        thread::Builder::new().name("uget-source".to_owned()).stack_size(STACK).spawn(answer)?;
        Ok(ours)
    }

    /// What the source said when it broke an answer off, last.
    pub(crate) fn words(&self) -> Option<String> {
        lock(&self.calls.state).words.clone()
    }

    /// Hangs up everywhere, and waits until nobody is served any more, but not longer than `limit`:
    /// what a source has started on somebody's behalf is to be over, too.
    pub(crate) fn finish(&self, limit: Duration) {
        let until = Instant::now() + limit;
        let mut state = lock(&self.calls.state);
        for stream in state.live.values() {
            // One that is closed already is as good.
            let _ = shutdown(&**stream, Shutdown::Both);
        }
        while !state.live.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.calls.over.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hub")
    }
}

impl Calls {
    fn begin(self: &Arc<Self>, stream: &Arc<UnixStream>) -> Call {
        let mut state = lock(&self.state);
        let number = state.next;
        state.next += 1;
        state.live.insert(number, Arc::clone(stream));
        Call { number, calls: Arc::clone(self) }
    }
}

/// One that is served, until it is dropped.
struct Call {
    number: u64,
    calls: Arc<Calls>,
}

impl Call {
    fn broke_off(&self, words: String) {
        lock(&self.calls.state).words = Some(words);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        lock(&self.calls.state).live.remove(&self.number);
        self.calls.over.notify_all();
    }
}

/// A panic elsewhere leaves whole entries behind, which are as good as ever.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stack of a serving thread; its buffers are on the heap.
const STACK: usize = 512 * 1024;
