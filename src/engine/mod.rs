//! The shells: threads, sockets, files and clocks around the state machines.
//!
//! [`coordinator`] runs the control plane on the caller's thread. Each connection is a link
//! ([`crate::link`]) on a worker of one of two loops of one shape ([`uring`], [`epoll`]): a thread
//! a core. Mail goes to a worker through its [`post`]; everything that is reported comes back as
//! [`Message`]s.

pub(crate) mod budget;
pub(crate) mod clerk;
pub(crate) mod consumer;
pub(crate) mod coordinator;
pub(crate) mod delivery;
mod epoll;
pub(crate) mod feed;
mod inbox;
mod message;
mod opening;
pub(crate) mod plain;
mod post;
mod raw;
pub(crate) mod shelf;
mod socket;
mod stop;
pub(crate) mod tap;
mod told;
pub(crate) mod unpacker;
mod uring;

use std::{io, thread, time::Duration};

use crossbeam_channel::{Receiver, Sender, bounded};

use self::{
    message::Alarm,
    opening::Opening,
    post::{Mail, Post},
};
use crate::{options::EngineChoice, orders::Failure};

pub(crate) use self::{inbox::Inbox, message::Message};

/// The workers of one of the two loops. They end when it is dropped and their connections are over.
pub(crate) struct Engine {
    kind: Kind,
    workers: Vec<Post>,
    /// How many workers there may be; all but the first start when a connection needs them.
    most: usize,
    next: usize,
    inbox: Inbox<Message>,
    /// Held by every worker until its thread ends.
    alive: Sender<()>,
    over: Receiver<()>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Completions: tokio-uring, a ring a worker.
    Uring,
    /// Readiness: an epoll instance a worker.
    Epoll,
}

impl Engine {
    /// Sets up the engine that was chosen, for `most` connections. With `Auto`, whatever the kernel
    /// says against io_uring means epoll, and the second value says what that was.
    ///
    /// # Errors
    /// Why the one that was named cannot be used.
    pub(crate) fn detect(
        choice: EngineChoice,
        most: usize,
        inbox: &Inbox<Message>,
    ) -> Result<(Self, Option<String>), String> {
        let epoll = || {
            Self::start(Kind::Epoll, most, inbox)
                .map_err(|error| format!("epoll cannot be used: {error}"))
        };
        if choice == EngineChoice::Epoll {
            return Ok((epoll()?, None));
        }
        match Self::start(Kind::Uring, most, inbox) {
            Ok(engine) => Ok((engine, None)),
            Err(error) if choice == EngineChoice::Uring => {
                Err(format!("io_uring cannot be used: {error}"))
            }
            Err(error) => {
                Ok((epoll()?, Some(format!("io_uring cannot be used ({error}), epoll is"))))
            }
        }
    }

    /// Starts the first of as many workers as there are cores, but not more than `most`.
    ///
    /// # Errors
    /// Whatever the system says while a worker is set up. For a ring: EPERM and ENOSYS (seccomp,
    /// sysctl, old kernels), ENOMEM (RLIMIT_MEMLOCK), EMFILE and others.
    fn start(kind: Kind, most: usize, inbox: &Inbox<Message>) -> io::Result<Self> {
        let mut cores = thread::available_parallelism().map_or(1, usize::from).min(most).max(1);
        let left = descriptors_left();
        if kind == Kind::Uring {
            uring::probe()?;
            // A socket each, and what a ring needs itself.
            if left < most + cores + cores * uring::RING {
                return Err(io::Error::other("too few file descriptors (RLIMIT_NOFILE)"));
            }
        } else if left < SCARCE {
            cores = 1;
        }
        let (workers, inbox) = (Vec::new(), inbox.clone());
        let (alive, over) = bounded(0);
        let mut engine = Self { kind, workers, most: cores, next: 0, inbox, alive, over };
        engine.start_worker()?;
        Ok(engine)
    }

    fn start_worker(&mut self) -> io::Result<()> {
        let post = Post::new()?;
        let name = format!("uget-loop-{}", self.workers.len());
        let alarm = (Alarm(self.inbox.clone()), self.alive.clone());
        match self.kind {
            Kind::Uring => uring::start(name, post.clone(), alarm)?,
            Kind::Epoll => epoll::start(name, post.clone(), alarm)?,
        }
        self.workers.push(post);
        Ok(())
    }

    /// Its name in reports.
    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            Kind::Uring => "uring",
            Kind::Epoll => "epoll",
        }
    }

    /// Brings up a connection for the next worker; returns that worker's post.
    ///
    /// # Errors
    /// No thread can be started.
    fn open(&mut self, opening: Opening) -> io::Result<Post> {
        if self.next >= self.workers.len() && self.workers.len() < self.most {
            // One worker works; if there is no other, the connections share it.
            self.most = self.start_worker().map_or(self.workers.len(), |()| self.most);
        }
        let worker = self.next % self.workers.len().max(1);
        self.next = self.next.wrapping_add(1);
        let post = self.workers.get(worker).ok_or_else(|| io::Error::other("no worker"))?;
        opening.start(post.clone())?;
        Ok(post.clone())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.workers.iter().for_each(|worker| worker.send(Mail::End));
        // Their connections are over by now, unless one of them is stuck.
        let (alone, _) = bounded(0);
        drop(std::mem::replace(&mut self.alive, alone));
        let _ = self.over.recv_timeout(PARTING);
    }
}

/// How long the workers have to end.
const PARTING: Duration = Duration::from_millis(50);

/// A connection that cannot be tried for want of a thread.
fn no_thread(error: &io::Error) -> Failure {
    Failure::Connect {
        target: "a thread".to_owned(),
        reason: error.to_string(),
        errno: error.raw_os_error().unwrap_or(0),
    }
}

/// How many descriptors this process may still open (RLIMIT_NOFILE, getrlimit(2)).
pub(crate) fn descriptors_left() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
    match std::fs::read_dir("/proc/self/fd") {
        // One of those that are counted is the directory's own.
        Ok(open) => limit.saturating_sub(open.count()),
        Err(error) if error.raw_os_error() == Some(libc::EMFILE) => 0,
        Err(_) => limit.saturating_sub(OPEN_GUESS),
    }
}

/// Open descriptors where /proc cannot be read.
const OPEN_GUESS: usize = 8;

/// With fewer descriptors than this left, one worker does it all: each takes two.
const SCARCE: usize = 32;
