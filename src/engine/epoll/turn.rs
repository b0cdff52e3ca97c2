//! When one connection's task has its turn: what it waits for, until when, and what of that the
//! loop has seen.

use std::{
    cell::Cell, future::poll_fn, os::fd::OwnedFd, rc::Rc, sync::Arc, task::Poll, time::Instant,
};

use rustix::{
    event::epoll::{self, EventData, EventFlags},
    io::Errno,
};

use crate::net::Stream;

/// Shared by the loop and one connection's task. The loop looks at it instead of being woken: a
/// task is polled when what it waits for has come, or its time.
pub(super) struct Turn {
    epoll: Rc<OwnedFd>,
    socket: Arc<Stream>,
    token: u64,
    /// What is waited for on the socket, until when; `None` while an order is.
    wait: Cell<Option<(EventFlags, Instant)>>,
    /// It has come.
    come: Cell<bool>,
    /// What the kernel was told to watch. Left as it is between two waits, so that a busy
    /// connection costs no call for it.
    watched: Cell<Option<EventFlags>>,
}

impl Turn {
    pub(super) fn new(epoll: Rc<OwnedFd>, socket: Arc<Stream>, token: u64) -> Self {
        let (wait, come, watched) = Default::default();
        Self { epoll, socket, token, wait, come, watched }
    }

    /// Waits for `what` until `until`. Whether it has come. Readiness is asked of
    /// the kernel by level: what came before is seen, and with a low-water mark nothing that is
    /// less is.
    pub(super) async fn come(&self, what: EventFlags, until: Instant) -> Result<bool, Errno> {
        self.watch(what)?;
        self.wait(what, until).await;
        Ok(self.come.get())
    }

    /// Lets time pass, whatever comes on the socket.
    pub(super) async fn pause(&self, until: Instant) {
        if self.watched.take().is_some() {
            let _ = epoll::delete(&*self.epoll, &*self.socket);
        }
        self.wait(EventFlags::empty(), until).await;
    }

    async fn wait(&self, what: EventFlags, until: Instant) {
        self.come.set(false);
        self.wait.set(Some((what, until)));
        // The loop polls when it is time to, and not before.
        let mut asked = false;
        poll_fn(
            |_| if std::mem::replace(&mut asked, true) { Poll::Ready(()) } else { Poll::Pending },
        )
        .await;
        self.wait.set(None);
    }

    /// The kernel says that something has come. Whether that is waited for; if not, it is watched
    /// no more until it is.
    pub(super) fn event(&self) -> bool {
        let waits = self.wait.get().is_some();
        if waits {
            self.come.set(true);
        } else if self.watched.take().is_some() {
            let _ = epoll::delete(&*self.epoll, &*self.socket);
        }
        waits
    }

    /// Until when the task waits at most.
    pub(super) fn until(&self) -> Option<Instant> {
        self.wait.get().map(|(_, until)| until)
    }

    fn watch(&self, what: EventFlags) -> Result<(), Errno> {
        let data = EventData::new_u64(self.token);
        match self.watched.get() {
            Some(watched) if watched == what => return Ok(()),
            Some(_) => epoll::modify(&*self.epoll, &*self.socket, data, what)?,
            None => epoll::add(&*self.epoll, &*self.socket, data, what)?,
        }
        self.watched.set(Some(what));
        Ok(())
    }
}
