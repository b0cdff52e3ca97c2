//! What a worker is sent: a queue, and a bell that is rung only for a sleeper.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::event::{EventfdFlags, eventfd};

use super::{
    message::{Order, Reporter},
    stop::Stop,
};
use crate::{link::Limits, net::Stream, orders::Conn, wire::Session};

/// What a worker is sent.
pub(super) enum Mail {
    /// A connection that is open: a link is to serve it.
    Connected(Box<Connected>),
    /// An order for one of its connections.
    Order(Conn, Order),
    /// No further order follows for this connection.
    Close(Conn),
    /// Nothing follows for any connection.
    End,
}

/// A connection that is open, on its way to the worker that serves it.
pub(super) struct Connected {
    pub(super) conn: Conn,
    pub(super) stream: Arc<Stream>,
    pub(super) secure: Option<Session>,
    pub(super) stop: Arc<Stop>,
    pub(super) reporter: Reporter,
    pub(super) limits: Limits,
}

/// The way to one worker; cheap to clone.
#[derive(Clone)]
pub(crate) struct Post(Arc<Worker>);

struct Worker {
    queue: Mutex<Queue>,
    bell: OwnedFd,
}

#[derive(Default)]
struct Queue {
    letters: VecDeque<Mail>,
    /// The worker sleeps, or is about to.
    asleep: bool,
}

impl Post {
    /// An empty queue.
    ///
    /// # Errors
    /// No further descriptor.
    pub(super) fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let bell = rustix::io::retry_on_intr(|| eventfd(0, flags))?;
        Ok(Self(Arc::new(Worker { queue: Mutex::default(), bell })))
    }

    /// Sends, and wakes the worker if it sleeps. A bell that cannot be rung costs time and nothing
    /// else: workers look at their queue now and then.
    pub(super) fn send(&self, mail: Mail) {
        let asleep = {
            let mut queue = lock(&self.0.queue);
            queue.letters.push_back(mail);
            std::mem::take(&mut queue.asleep)
        };
        if asleep {
            let one = 1_u64.to_ne_bytes();
            if rustix::io::retry_on_intr(|| rustix::io::write(&self.0.bell, &one)).is_err() {
                lock(&self.0.queue).asleep = true;
            }
        }
    }

    /// Everything that was sent. Until the next [`Self::sleep`] the bell is silent.
    pub(super) fn take(&self) -> VecDeque<Mail> {
        let mut queue = lock(&self.0.queue);
        queue.asleep = false;
        std::mem::take(&mut queue.letters)
    }

    /// The worker is about to sleep: the bell will ring. False if there is something to read.
    pub(super) fn sleep(&self) -> bool {
        let mut queue = lock(&self.0.queue);
        queue.asleep = queue.letters.is_empty();
        queue.asleep
    }

    /// Becomes readable when it is rung. It need not be read where edges are watched.
    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.0.bell.as_fd()
    }
}

/// A panic elsewhere leaves whole letters behind, which are as good as ever.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_is_rung_for_sleepers_only() {
        let post = Post::new().unwrap();
        let rung = |post: &Post| {
            let mut count = [0; 8];
            rustix::io::read(post.bell(), &mut count).is_ok()
        };
        post.send(Mail::End);
        assert!(!rung(&post), "nobody slept");
        assert!(!post.sleep(), "there is something to read");
        assert_eq!(post.take().len(), 1);
        assert!(post.sleep());
        post.send(Mail::End);
        post.send(Mail::End);
        assert!(rung(&post));
        assert_eq!(post.take().len(), 2);
    }
}
