//! The embedded HTTP origin that `uget serve` and `uget bench` use.
//!
//! A small HTTP/1.1 server: GET and HEAD, ranges and preconditions as RFC 9110 has them, one
//! blocking thread per connection, sendfile(2). What to answer is decided without I/O
//! ([`Answer::new`] holds a [`Request`] against [`Metadata`]); the rest is a loop around it.

mod answer;
mod certificate;
mod condition;
mod connection;
mod date;
mod directory;
pub mod host;
mod media;
mod range_spec;
mod request;
mod stream;
mod synthetic;
mod target;

use std::{
    collections::BTreeMap,
    io::{self, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

pub use answer::{Answer, Body, Metadata};
pub use certificate::Certificate;
pub use condition::Version;
pub use range_spec::RangeSpec;
pub use request::{Method, Refusal, Request};
use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, eventfd, poll},
    fd::OwnedFd,
    io::Errno,
};
pub use synthetic::Synthetic;

use self::stream::Stream;
use crate::wire::Acceptor;

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

/// How it is served.
#[derive(Clone)]
pub struct OriginOptions {
    /// Connections that are served at once; more are answered with 503.
    pub connections_max: usize,
    /// How long a connection may be silent before, and how long it may take to send, a request;
    /// and how long it may accept nothing of a response.
    pub idle_timeout: Duration,
    /// Speak TLS, with this certificate.
    pub tls: Option<Certificate>,
    /// Called after every response, on the connection's thread.
    pub log: Option<Arc<Log>>,
}

/// Told of every response.
pub type Log = dyn Fn(&Access<'_>) + Send + Sync;

/// One response, for a log. The texts are the peer's: escape them before they are shown.
#[derive(Clone, Debug)]
pub struct Access<'a> {
    /// Who asked.
    pub peer: SocketAddr,
    /// `-` if it was no request.
    pub method: &'a str,
    /// The request target; the first line of what came if it was no request.
    pub target: &'a str,
    /// The `Range` field.
    pub range: Option<&'a [u8]>,
    /// The status answered.
    pub status: u16,
    /// Bytes of the body that were handed to the kernel.
    pub body_bytes: u64,
    /// Nothing failed while it was sent.
    pub complete: bool,
    /// How long sending took.
    pub elapsed: Duration,
}

/// What was served so far. All of it only grows.
#[derive(Debug, Default)]
pub struct Counters {
    connections: AtomicU64,
    requests: AtomicU64,
    bytes: AtomicU64,
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

impl Default for OriginOptions {
    fn default() -> Self {
        Self { connections_max: 512, idle_timeout: Duration::from_secs(60), tls: None, log: None }
    }
}

impl Counters {
    /// Connections accepted, refused ones included.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    /// Responses sent, refusals included.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// Bytes of bodies handed to the kernel.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    fn count_request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    fn count_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
    }
}

/// What all connections share.
struct Shared {
    served: Served,
    acceptor: Option<Acceptor>,
    options: OriginOptions,
    counters: Counters,
    stop: AtomicBool,
    /// Readable when it is time to stop.
    wake: OwnedFd,
    /// The open connections by number, to end them.
    open: Mutex<BTreeMap<u64, TcpStream>>,
    /// Signalled when one has ended.
    closed: Condvar,
}

/// The content, opened.
enum Served {
    Tree(directory::Tree),
    Synthetic(Synthetic),
}

impl Shared {
    fn stopping(&self) -> bool {
        self.stop.load(Relaxed)
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, TcpStream>> {
        // The map is whole after every statement that changes it, so a panic elsewhere leaves
        // nothing half done.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all connections and waits until their threads are done with them.
    fn finish(&self) {
        self.stop.store(true, Relaxed);
        let mut open = self.open();
        // Who waits for a request reads its end; who sends a response may finish it.
        open.values().for_each(|socket| drop(socket.shutdown(Shutdown::Read)));
        let deadline = Instant::now() + GRACE;
        while !open.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                open.values().for_each(|socket| drop(socket.shutdown(Shutdown::Both)));
            }
            let wait = left.max(Duration::from_millis(10));
            let waited = self.closed.wait_timeout(open, wait);
            open = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
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

/// How long a response on its way may take after the origin was told to stop.
const GRACE: Duration = Duration::from_secs(1);
/// A connection's thread needs little: its buffers are on the heap.
const STACK: usize = 256 * 1024;

#[cfg(test)]
mod tests;
