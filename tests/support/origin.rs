//! The fault-injecting origin: HTTP/1.1 on plain threads, with no HTTP library in the way, so that
//! it can send what no library would.

use std::{
    cell::Cell,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    authority::LOCAL,
    front::{Front, Manners},
    mode::Mode,
    object::Object,
    record::Log,
    reply::{Chunked, End, Framing, Reply, Version},
    request::Request,
};

/// A running origin; it ends, and so does every connection to it, when this is dropped.
pub struct Origin {
    address: SocketAddr,
    /// What the tests talk to instead, where they are to do it over TLS.
    front: Option<Front>,
    world: Arc<World>,
}

/// An origin that is not running yet.
pub struct Setup {
    version: Version,
    bends: Vec<Bend>,
    limit: Option<Limit>,
}

/// What happens to connections beyond a number of open ones.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// Each is reset as soon as it is accepted.
    Rst(usize),
    /// Requests on them are answered with 503, then they are closed.
    Busy(usize),
    /// Requests on them are answered with 429, then they are closed.
    TooMany(usize),
}

type Bend = Box<dyn Fn(&Request, &mut Reply) + Send + Sync>;

struct World {
    setup: Setup,
    log: Log,
    stop: AtomicBool,
    streams: Mutex<Vec<Weak<TcpStream>>>,
}

impl Origin {
    /// An honest origin of `object` with a strong ETag, on any path.
    pub fn of(object: &Object) -> Setup {
        Setup { version: Version::strong(object.clone(), "v1"), bends: Vec::new(), limit: None }
    }

    /// The URL that the tests ask for.
    pub fn url(&self) -> String {
        self.at("/object.bin")
    }

    /// The URL of a path (and query) on this origin.
    pub fn at(&self, target: &str) -> String {
        let scheme = if self.front.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{target}", self.address())
    }

    /// Where the binary is to connect to.
    pub fn address(&self) -> SocketAddr {
        self.front.as_ref().map_or(self.address, Front::address)
    }

    pub fn log(&self) -> &Log {
        &self.world.log
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.world.stop.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
        let streams = self.world.streams.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in streams.iter().filter_map(Weak::upgrade) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

impl Setup {
    /// Plays a mode of the catalogue; several are played one after the other on the same answer.
    pub fn mode(self, mode: Mode) -> Self {
        let version = self.version.clone();
        self.bend(move |request, reply| mode.play(request, &version, reply))
    }

    /// Changes answers in any way.
    pub fn bend(mut self, bend: impl Fn(&Request, &mut Reply) + Send + Sync + 'static) -> Self {
        self.bends.push(Box::new(bend));
        self
    }

    /// The resource's ETag as it is sent, quotes included; none for `None`.
    pub fn etag(mut self, etag: Option<&str>) -> Self {
        self.version.etag = etag.map(str::to_owned);
        self
    }

    pub fn last_modified(mut self, date: &str) -> Self {
        self.version.last_modified = Some(date.to_owned());
        self
    }

    pub fn limit(mut self, limit: Limit) -> Self {
        self.limit = Some(limit);
        self
    }

    pub fn start(self) -> Origin {
        self.serve(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())
    }

    /// As [`Self::start`], where another origin was before: as soon as that one is gone.
    pub fn start_at(self, address: SocketAddr) -> Origin {
        let listener = (0..1000).find_map(|_| {
            thread::sleep(Duration::from_millis(5));
            TcpListener::bind(address).ok()
        });
        self.serve(listener.expect("the address stays in use"))
    }

    fn serve(self, listener: TcpListener) -> Origin {
        let address = listener.local_addr().unwrap();
        let world = Arc::new(World {
            setup: self,
            log: Log::new(),
            stop: AtomicBool::new(false),
            streams: Mutex::default(),
        });
        let shared = Arc::clone(&world);
        thread::spawn(move || accept(&listener, &shared));
        let front =
            over_tls().then(|| Front::start(LOCAL.server(&[]), address, Manners::default()));
        Origin { address, front, world }
    }
}

thread_local! {
    /// Whether the case that runs on this thread puts its origins behind TLS.
    static OVER_TLS: Cell<bool> = const { Cell::new(false) };
}

/// Runs a case with TLS in front of every origin that it starts on this thread.
pub fn behind_tls(case: impl FnOnce()) {
    OVER_TLS.set(true);
    case();
    OVER_TLS.set(false);
}

/// Whether origins are to be behind TLS: where the case says so, or `UGET_TEST_TLS=1`.
pub fn over_tls() -> bool {
    OVER_TLS.get() || std::env::var_os("UGET_TEST_TLS").is_some_and(|value| value == "1")
}

fn accept(listener: &TcpListener, world: &Arc<World>) {
    for stream in listener.incoming() {
        if world.stop.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let stream = Arc::new(stream);
        world.streams.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&stream));
        let (connection, open) = world.log.opened();
        let world = Arc::clone(world);
        thread::spawn(move || {
            let end = converse(&world, &stream, connection, open);
            close(&stream, end.unwrap_or(End::Fin));
            drop(stream);
            world.log.closed(connection);
        });
    }
}

/// Answers requests until the connection ends; says how it is to be closed.
fn converse(world: &World, stream: &TcpStream, connection: usize, open: usize) -> io::Result<End> {
    stream.set_nodelay(true)?;
    let refused = match world.setup.limit {
        Some(Limit::Rst(most)) if open > most => return Ok(End::Rst),
        Some(Limit::Busy(most)) if open > most => Some((503, "Service Unavailable")),
        Some(Limit::TooMany(most)) if open > most => Some((429, "Too Many Requests")),
        _ => None,
    };
    let mut buffer = Vec::new();
    for on_connection in 0.. {
        let Some(raw) = read_head(stream, &mut buffer)? else { return Ok(End::Fin) };
        let mut request = Request::parse(&raw);
        request.connection = connection;
        request.on_connection = on_connection;
        let request = world.log.begin(request);
        let mut reply = Reply::honest(&request, &world.setup.version);
        for bend in &world.setup.bends {
            bend(&request, &mut reply);
        }
        if let Some((status, reason)) = refused {
            reply = Reply::status(status, reason).with("Connection", "close");
            reply.end = End::Fin;
        }
        world.log.answering(request.number, reply.status);
        let end = answer(world, stream, &request, &reply);
        world.log.end(request.number);
        let end = end?;
        if end != End::KeepAlive {
            return Ok(end);
        }
    }
    Ok(End::Fin)
}

/// The next head, or `None` at an orderly end. What follows it stays in `buffer`.
fn read_head(mut stream: &TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    loop {
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = buffer.split_off(at + 4);
            return Ok(Some(std::mem::replace(buffer, rest)));
        }
        let mut piece = [0; 4096];
        match stream.read(&mut piece)? {
            0 => return Ok(None),
            n => buffer.extend_from_slice(&piece[..n]),
        }
    }
}

fn answer(world: &World, stream: &TcpStream, request: &Request, reply: &Reply) -> io::Result<End> {
    thread::sleep(reply.delay);
    if world.stop.load(Ordering::SeqCst) {
        return Ok(End::Fin);
    }
    let mut wire = Wire { world, stream, reply, number: request.number, paced: None };
    if let Some(raw) = &reply.raw {
        wire.send(raw)?;
        return Ok(reply.end);
    }
    // In one write, so that a small answer is one segment.
    let mut head = reply.prelude.clone();
    head.extend(reply.head());
    wire.send(&head)?;
    if request.method != "HEAD"
        && let Some(end) = wire.send_body()?
    {
        return Ok(end);
    }
    wire.send(&reply.after)?;
    Ok(reply.end)
}

struct Wire<'a> {
    world: &'a World,
    stream: &'a TcpStream,
    reply: &'a Reply,
    number: usize,
    /// When the body began, and how much of it went out.
    paced: Option<(Instant, u64)>,
}

impl Wire<'_> {
    /// Sends the body as framed; `Some` when it was cut.
    fn send_body(&mut self) -> io::Result<Option<End>> {
        let whole = self.reply.body.bytes();
        let (body, cut) = match self.reply.cut {
            Some((at, end)) => (&whole[..whole.len().min(at as usize)], Some(end)),
            None => (whole, None),
        };
        match &self.reply.framing {
            Framing::Chunked(chunked) => self.send_chunks(chunked, body, whole.len(), cut)?,
            _ => self.send_data(body)?,
        }
        Ok(cut)
    }

    fn send_chunks(
        &mut self,
        chunked: &Chunked,
        body: &[u8],
        whole: usize,
        cut: Option<End>,
    ) -> io::Result<()> {
        let mut sent = 0;
        for chunk in body.chunks(chunked.size) {
            // A chunk that the cut shortens announces what it would have been.
            let announced = chunked.size.min(whole - sent);
            self.send(format!("{announced:x}{}\r\n", chunked.extension).as_bytes())?;
            self.send_data(chunk)?;
            sent += chunk.len();
            if chunk.len() == announced {
                self.send(b"\r\n")?;
            }
        }
        if cut.is_none() && chunked.last {
            self.send(format!("0\r\n{}\r\n", chunked.trailers).as_bytes())?;
        }
        Ok(())
    }

    fn send_data(&mut self, data: &[u8]) -> io::Result<()> {
        let Some(rate) = self.reply.rate else {
            for slice in data.chunks(256 << 10) {
                self.send(slice)?;
                self.world.log.sending(self.number, slice.len() as u64);
            }
            return Ok(());
        };
        let (start, mut sent) = self.paced.unwrap_or_else(|| (Instant::now(), 0));
        for slice in data.chunks((rate as usize / 50).clamp(1, 16 << 10)) {
            self.send(slice)?;
            self.world.log.sending(self.number, slice.len() as u64);
            sent += slice.len() as u64;
            let due = Duration::from_secs_f64(sent as f64 / rate as f64);
            let pause = due.saturating_sub(start.elapsed());
            match &self.reply.hurry {
                Some(gate) => drop(gate.pass_within(pause)),
                None => thread::sleep(pause),
            }
        }
        self.paced = Some((start, sent));
        Ok(())
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut stream = self.stream;
        let Some((size, pause)) = self.reply.drip else { return stream.write_all(bytes) };
        for piece in bytes.chunks(size) {
            stream.write_all(piece)?;
            thread::sleep(pause);
        }
        Ok(())
    }
}

/// Closes in the way asked for. An orderly close waits for the other side's, so that bytes still
/// under way are not lost to a reset.
fn close(mut stream: &TcpStream, end: End) {
    let mut sink = [0; 4096];
    match end {
        End::Rst => {
            await_sent(stream);
            drop(socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)));
        }
        End::Stall => while matches!(stream.read(&mut sink), Ok(1..)) {},
        End::Fin | End::KeepAlive => {
            drop(stream.shutdown(Shutdown::Write));
            drop(stream.set_read_timeout(Some(Duration::from_secs(2))));
            while matches!(stream.read(&mut sink), Ok(1..)) {}
        }
    }
}

/// Waits until the other side's kernel has everything, two seconds at most: a reset throws away
/// what is still queued here, and a test says to the byte what arrives before it.
fn await_sent(stream: &TcpStream) {
    use std::os::fd::AsRawFd as _;
    for _ in 0..1000 {
        let mut queued: libc::c_int = 0;
        // SAFETY: TIOCOUTQ (tcp(7): SIOCOUTQ) writes one int, which lives here.
        let asked = unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut queued) };
        if asked != 0 || queued == 0 {
            return;
        }
        thread::sleep(Duration::from_millis(2));
    }
}
