//! The queue of a thread that sleeps on nothing else, and who may wake it.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The way to a thread that sleeps on nothing else; cheap to clone.
pub(crate) struct Inbox<T>(Arc<Desk<T>>);

struct Desk<T> {
    pile: Mutex<Pile<T>>,
    bell: Condvar,
}

struct Pile<T> {
    letters: VecDeque<T>,
    /// One of them cannot wait.
    urgent: bool,
    /// The last time it was looked there was something: more will come.
    flowing: bool,
    sleep: Sleep,
}

/// Who may wake the reader.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sleep {
    Awake,
    /// Only what is urgent.
    Light,
    /// Anything.
    Deep,
}

impl<T> Clone for Inbox<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        let (letters, urgent, flowing) = (VecDeque::new(), false, false);
        let pile = Pile { letters, urgent, flowing, sleep: Sleep::Awake };
        Self(Arc::new(Desk { pile: Mutex::new(pile), bell: Condvar::new() }))
    }
}

impl<T> Inbox<T> {
    /// Sends, to be read at once.
    pub(crate) fn send(&self, letter: T) {
        self.put(letter, true);
    }

    /// Sends, to be read within a few milliseconds: of many of these in a row only the first wakes
    /// the reader.
    pub(crate) fn send_soon(&self, letter: T) {
        self.put(letter, false);
    }

    fn put(&self, letter: T, urgent: bool) {
        let mut pile = lock(&self.0.pile);
        pile.letters.push_back(letter);
        pile.urgent |= urgent;
        let wakes = pile.sleep == Sleep::Deep || (urgent && pile.sleep == Sleep::Light);
        if wakes {
            pile.sleep = Sleep::Awake;
            drop(pile);
            self.0.bell.notify_one();
        }
    }

    /// Everything that was sent, in order, after waiting for something until `until`.
    pub(crate) fn take(&self, until: Instant) -> VecDeque<T> {
        let mut pile = lock(&self.0.pile);
        let light = if pile.flowing { until.min(Instant::now() + SOON) } else { Instant::now() };
        loop {
            let now = Instant::now();
            let ready = pile.urgent || (now >= light && !pile.letters.is_empty());
            if ready || now >= until {
                pile.sleep = Sleep::Awake;
                pile.urgent = false;
                pile.flowing = !pile.letters.is_empty();
                return std::mem::take(&mut pile.letters);
            }
            let (sleep, end) = match now < light {
                true => (Sleep::Light, light),
                false => (Sleep::Deep, until),
            };
            pile.sleep = sleep;
            let woken = self.0.bell.wait_timeout(pile, end.saturating_duration_since(now));
            pile = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// How long what can wait waits at most.
const SOON: Duration = Duration::from_millis(3);

/// A panic elsewhere leaves whole letters behind, which are as good as ever.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_reader_is_woken_and_misses_nothing() {
        let inbox = Inbox::default();
        let sender = inbox.clone();
        let thread = thread::spawn(move || {
            for letter in 0..10_000 {
                if letter % 7 == 0 { sender.send(letter) } else { sender.send_soon(letter) }
            }
        });
        let mut next = 0;
        while next < 10_000 {
            for letter in inbox.take(Instant::now() + Duration::from_secs(60)) {
                assert_eq!(letter, next);
                next += 1;
            }
        }
        thread.join().unwrap();
        assert!(inbox.take(Instant::now()).is_empty());
    }

    #[test]
    fn what_can_wait_is_not_forgotten() {
        let inbox = Inbox::default();
        let far = || Instant::now() + Duration::from_secs(60);
        for letter in 0..3 {
            inbox.send_soon(letter);
            assert_eq!(inbox.take(far()), [letter]);
        }
    }
}
