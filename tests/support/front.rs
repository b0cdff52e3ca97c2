//! TLS in front of a plain server, well behaved or not.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    os::fd::AsRawFd as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustls::{HandshakeKind, ServerConfig, ServerConnection};

/// Terminates TLS and passes the plain octets on. Ends when dropped.
pub struct Front {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What it does besides.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manners {
    /// The end of the stream comes without close_notify.
    pub rude_end: bool,
    /// New keys every so many octets of answers.
    pub update_every: Option<usize>,
    /// After so many octets of answers, octets that are no record.
    pub garbage_after: Option<usize>,
}

struct Shared {
    config: Arc<ServerConfig>,
    to: SocketAddr,
    manners: Manners,
    stop: AtomicBool,
    full: AtomicUsize,
    resumed: AtomicUsize,
}

impl Front {
    pub fn start(config: ServerConfig, to: SocketAddr, manners: Manners) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            config: Arc::new(config),
            to,
            manners,
            stop: AtomicBool::new(false),
            full: AtomicUsize::new(0),
            resumed: AtomicUsize::new(0),
        });
        let ours = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if ours.stop.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&ours);
                thread::spawn(move || drop(serve(&shared, client)));
            }
        });
        Self { address, shared }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn at(&self, target: &str) -> String {
        format!("https://localhost:{}{target}", self.address.port())
    }

    /// How many handshakes were full ones, and how many resumed an earlier session.
    pub fn handshakes(&self) -> (usize, usize) {
        let count = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
        (count(&self.shared.full), count(&self.shared.resumed))
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
    }
}

fn serve(shared: &Arc<Shared>, client: TcpStream) -> io::Result<()> {
    let mut tls = ServerConnection::new(Arc::clone(&shared.config)).map_err(io::Error::other)?;
    tls.set_buffer_limit(None);
    client.set_nodelay(true)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut &client)?;
    }
    tls.write_tls(&mut &client).ok();
    match tls.handshake_kind() {
        Some(HandshakeKind::Resumed) => shared.resumed.fetch_add(1, Ordering::SeqCst),
        _ => shared.full.fetch_add(1, Ordering::SeqCst),
    };
    let origin = TcpStream::connect(shared.to)?;
    origin.set_nodelay(true)?;
    let (tls, client, origin) = (Arc::new(Mutex::new(tls)), Arc::new(client), Arc::new(origin));
    let answers = {
        let (tls, client, origin) = (Arc::clone(&tls), Arc::clone(&client), Arc::clone(&origin));
        let manners = shared.manners;
        thread::spawn(move || {
            if send_answers(&tls, &client, &origin, manners).is_ok() {
                drop(client.shutdown(Shutdown::Write));
            }
        })
    };
    drop(pass_requests(&tls, &client, &origin));
    drop(origin.shutdown(Shutdown::Write));
    drop(answers.join());
    Ok(())
}

fn pass_requests(
    tls: &Mutex<ServerConnection>,
    mut client: &TcpStream,
    mut origin: &TcpStream,
) -> io::Result<()> {
    let mut chunk = vec![0; 16 * 1024];
    loop {
        let mut plain = Vec::new();
        {
            let mut tls = tls.lock().unwrap();
            tls.process_new_packets().map_err(io::Error::other)?;
            let mut reader = tls.reader();
            while let Ok(got @ 1..) = reader.read(&mut chunk) {
                plain.extend_from_slice(&chunk[..got]);
            }
        }
        origin.write_all(&plain)?;
        let got = client.read(&mut chunk)?;
        if got == 0 {
            return Ok(());
        }
        let mut tls = tls.lock().unwrap();
        let mut rest = &chunk[..got];
        while !rest.is_empty() {
            tls.read_tls(&mut rest)?;
            tls.process_new_packets().map_err(io::Error::other)?;
        }
    }
}

/// Ends a connection with a reset, as soon as the last holder lets go of it. What was sent before
/// has reached the other side by then.
fn reset(client: &TcpStream) {
    let deadline = Instant::now() + Duration::from_secs(2);
    let mut waiting = 1;
    while waiting > 0 && Instant::now() < deadline {
        // SAFETY: TIOCOUTQ writes one int.
        unsafe { libc::ioctl(client.as_raw_fd(), libc::TIOCOUTQ, &mut waiting) };
        thread::sleep(Duration::from_millis(1));
    }
    drop(socket2::SockRef::from(client).set_linger(Some(Duration::ZERO)));
    drop(client.shutdown(Shutdown::Read));
}

fn send_answers(
    tls: &Mutex<ServerConnection>,
    mut client: &TcpStream,
    mut origin: &TcpStream,
    manners: Manners,
) -> io::Result<()> {
    let mut chunk = vec![0; 64 * 1024];
    let (mut sent, mut updated) = (0, 0);
    loop {
        let got = origin.read(&mut chunk).inspect_err(|_| reset(client))?;
        let mut tls = tls.lock().unwrap();
        if got == 0 {
            if !manners.rude_end {
                tls.send_close_notify();
            }
            while tls.wants_write() {
                tls.write_tls(&mut client)?;
            }
            return Ok(());
        }
        tls.writer().write_all(&chunk[..got])?;
        sent += got;
        if manners.update_every.is_some_and(|every| sent - updated >= every) {
            updated = sent;
            tls.refresh_traffic_keys().map_err(io::Error::other)?;
        }
        while tls.wants_write() {
            tls.write_tls(&mut client)?;
        }
        if manners.garbage_after.is_some_and(|after| sent >= after) {
            client.write_all(b"\x17\x03\x03\x00\x20this is not what was encrypted!!")?;
            return Ok(());
        }
    }
}
