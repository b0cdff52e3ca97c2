//! The embedded HTTP origin that `uget serve` and `uget bench` use.
//!
//! A small HTTP/1.1 server: GET and HEAD, ranges and preconditions as RFC 9110 has them, one
//! blocking thread per connection, sendfile(2). What to answer is decided without I/O
//! ([`Answer::new`] holds a [`Request`] against [`Metadata`]); the rest is a loop around it.

mod answer;
mod certificate;
mod condition;
mod connection;
mod directory;
pub mod host;
mod media;
mod request;
mod shared;
mod stream;
mod synthetic;
mod target;

use std::{
    io::{self, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

pub use answer::{Answer, Body, Metadata};
pub use certificate::Certificate;
pub use condition::Version;
pub use request::{Method, Refusal, Request};
use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, eventfd, poll},
    io::Errno,
};
pub use shared::{Access, Counters, Log, OriginOptions};
pub use synthetic::Synthetic;

use self::{
    shared::{Served, Shared},
    stream::Stream,
};

/// A server that is bound to its address and not serving yet.
pub struct Origin {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What is served.
#[derive(Clone, Debug)]
pub enum Content {
    /// A directory and everything below it, nothing outside of it.
    Directory(PathBuf),
    /// One made-up object, under every path.
    Synthetic(Synthetic),
}

/// A server in the background. It is stopped when this is dropped.
pub struct Running {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Origin {
    /// Listens on `address` (port 0: any free one) and opens what is to be served.
    ///
    /// # Errors
    ///
    /// The address cannot be bound, the directory cannot be opened, or the certificate cannot be
    /// used (`InvalidInput`).
    pub fn bind(address: SocketAddr, content: Content, options: OriginOptions) -> io::Result<Self> {
        let served = match content {
            Content::Directory(path) => Served::Tree(directory::Tree::open(&path)?),
            Content::Synthetic(object) => Served::Synthetic(object),
        };
        let acceptor = options.tls.as_ref().map(Certificate::acceptor).transpose()?;
        let listener = TcpListener::bind(address)?;
        // Waiting is poll(2)'s; a connection that is gone again must not block accept(2).
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let shared = Shared {
            served,
            acceptor,
            options,
            counters: Counters::default(),
            stop: AtomicBool::new(false),
            wake,
            open: Mutex::default(),
            closed: Condvar::new(),
        };
        Ok(Self { listener, address, shared: Arc::new(shared) })
    }

    /// The address it listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves on this thread, until accepting connections fails for good.
    ///
    /// # Errors
    ///
    /// What poll(2) or accept(2) reports, if it is not of a kind that passes.
    pub fn run(self) -> io::Result<()> {
        let outcome = accept_all(&self.listener, &self.shared);
        drop(self.listener);
        self.shared.finish();
        outcome
    }

    /// Serves in the background.
    ///
    /// # Errors
    ///
    /// No thread can be started.
    pub fn spawn(self) -> io::Result<Running> {
        let (address, shared) = (self.address, Arc::clone(&self.shared));
        let thread = thread::Builder::new().name("origin".to_owned()).spawn(|| self.run())?;
        Ok(Running { address, shared, thread: Some(thread) })
    }
}

impl Running {
    /// The address it listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The certificate that it shows.
    #[must_use]
    pub fn certificate(&self) -> Option<&Certificate> {
        self.shared.options.tls.as_ref()
    }

    /// What was served so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Accepts nothing more, ends idle connections, gives responses on their way a second, and
    /// returns when every thread has ended.
    ///
    /// # Errors
    ///
    /// Serving had failed before.
    pub fn stop(mut self) -> io::Result<()> {
        self.end()
    }

    fn end(&mut self) -> io::Result<()> {
        self.shared.stop.store(true, Relaxed);
        // A full counter wakes as well as one more.
        let _ = rustix::io::write(&self.shared.wake, &1_u64.to_ne_bytes());
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) => Err(io::Error::other("the origin's thread panicked")),
            None => Ok(()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// Takes the connection with this number out of the open ones when its thread ends, however.
struct Registration {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.shared.open().remove(&self.number);
        self.shared.closed.notify_all();
    }
}

fn accept_all(listener: &TcpListener, shared: &Arc<Shared>) -> io::Result<()> {
    while !shared.stopping() {
        let mut ready =
            [PollFd::new(listener, PollFlags::IN), PollFd::new(&shared.wake, PollFlags::IN)];
        match poll(&mut ready, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        match listener.accept() {
            Ok((socket, peer)) => admit(socket, peer, shared),
            Err(error) if is_passing(&error) => {}
            // No descriptors or no memory: some will come back when a connection ends.
            Err(error) if is_scarcity(&error) => thread::sleep(Duration::from_millis(20)),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn admit(socket: TcpStream, peer: SocketAddr, shared: &Arc<Shared>) {
    let number = shared.counters.connections.fetch_add(1, Relaxed);
    let Ok(handle) = prepare(&socket, &shared.options) else { return };
    {
        let mut open = shared.open();
        if open.len() >= shared.options.connections_max {
            drop(open);
            return turn_away(socket);
        }
        open.insert(number, handle);
    }
    let registration = Registration { shared: Arc::clone(shared), number };
    // Without a thread the closure is dropped, and the connection and its registration with it.
    let _ = thread::Builder::new().name(format!("origin-{number}")).stack_size(STACK).spawn(
        move || {
            // A certificate that worked once does not fail later.
            let Ok(stream) = wrap(socket, &registration.shared) else { return };
            connection::serve(stream, peer, &registration.shared);
        },
    );
}

fn wrap(socket: TcpStream, shared: &Shared) -> Result<Stream, crate::wire::Error> {
    match &shared.acceptor {
        None => Ok(Stream::Plain(socket)),
        Some(acceptor) => Ok(Stream::Tls(Box::new(acceptor.accept(socket)?))),
    }
}

/// Sets a socket up and returns a second handle on it.
fn prepare(socket: &TcpStream, options: &OriginOptions) -> io::Result<TcpStream> {
    socket.set_nonblocking(false)?;
    // Heads wait for their bodies by MSG_MORE; nothing else should wait.
    socket.set_nodelay(true)?;
    socket.set_write_timeout(Some(options.idle_timeout.max(Duration::from_millis(1))))?;
    socket.try_clone()
}

/// Says that there are too many. The socket's buffer is empty, so this does not block.
fn turn_away(mut socket: TcpStream) {
    let _ = socket.write_all(
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\
          Connection: close\r\n\r\n",
    );
    let _ = socket.shutdown(Shutdown::Write);
}

/// accept(2), ERROR HANDLING: what concerned one connection that is gone already.
fn is_passing(error: &io::Error) -> bool {
    use Errno as E;
    let passing = [
        E::AGAIN,
        E::INTR,
        E::CONNABORTED,
        E::NETDOWN,
        E::PROTO,
        E::NOPROTOOPT,
        E::HOSTDOWN,
        E::NONET,
        E::HOSTUNREACH,
        E::OPNOTSUPP,
        E::NETUNREACH,
        E::PERM,
    ];
    Errno::from_io_error(error).is_some_and(|errno| passing.contains(&errno))
}

fn is_scarcity(error: &io::Error) -> bool {
    let scarce = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    Errno::from_io_error(error).is_some_and(|errno| scarce.contains(&errno))
}

/// A connection's thread needs little: its buffers are on the heap.
const STACK: usize = 256 * 1024;

#[cfg(test)]
mod tests;
