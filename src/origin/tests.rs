//! The origin over real loopback sockets.

use std::{
    io::Read,
    net::{Ipv4Addr, SocketAddrV4},
    ops::Range,
    os::unix::fs::FileExt,
    sync::mpsc,
    time::{Instant, SystemTime},
};

use super::{shared::GRACE, *};

const LOOPBACK: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));
const LENGTH: u64 = 3_000_000;

fn start(content: Content, options: OriginOptions) -> Running {
    let origin = Origin::bind(LOOPBACK, content, options).expect("a free port");
    origin.spawn().expect("a thread")
}

fn synthetic() -> Running {
    start(Content::Synthetic(Synthetic::new(LENGTH, 5)), OriginOptions::default())
}

/// A client's end of a connection.
struct Client {
    socket: TcpStream,
    received: Vec<u8>,
}

struct Reply {
    head: String,
    body: Vec<u8>,
}

impl Reply {
    fn status(&self) -> u16 {
        self.head[9..12].parse().expect("a status")
    }

    fn field(&self, name: &str) -> Option<&str> {
        let prefix = format!("{name}: ");
        self.head.lines().find_map(|line| line.strip_prefix(&prefix))
    }
}

impl Client {
    fn new(running: &Running) -> Self {
        let socket = TcpStream::connect(running.local_addr()).expect("a connection");
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        Self { socket, received: Vec::new() }
    }

    fn send(&mut self, text: &str) {
        self.socket.write_all(text.as_bytes()).expect("sent");
    }

    fn get(&mut self, path: &str, fields: &str) -> Reply {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: h\r\n{fields}\r\n"));
        self.reply(true)
    }

    fn more(&mut self) -> usize {
        let mut buffer = vec![0; 65536];
        let read = self.socket.read(&mut buffer).expect("received in time");
        self.received.extend_from_slice(&buffer[..read]);
        read
    }

    fn reply(&mut self, with_body: bool) -> Reply {
        let end = loop {
            let found = self.received.windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(found) = found {
                break found + 4;
            }
            assert_ne!(self.more(), 0, "closed before a response");
        };
        let head = String::from_utf8(self.received.drain(..end).collect()).expect("ASCII");
        let mut reply = Reply { head, body: Vec::new() };
        let length = reply.field("Content-Length").map_or(0, |n| n.parse().expect("a number"));
        if with_body && reply.status() != 304 {
            while self.received.len() < length {
                assert_ne!(self.more(), 0, "closed within a body");
            }
            reply.body = self.received.drain(..length).collect();
        }
        reply
    }

    fn is_closed(&mut self) -> bool {
        self.received.is_empty() && self.more() == 0
    }
}

fn expected(range: Range<u64>) -> Vec<u8> {
    let mut bytes = vec![0; (range.end - range.start) as usize];
    Synthetic::new(LENGTH, 5).fill(range.start, &mut bytes);
    bytes
}

#[test]
fn one_connection_serves_many_requests() {
    for stored in [false, true] {
        let object = Synthetic::new(LENGTH, 5);
        let object = if stored { object.in_memory().expect("memory") } else { object };
        let running = start(Content::Synthetic(object), OriginOptions::default());
        let mut client = Client::new(&running);
        let whole = client.get("/any", "");
        assert_eq!((whole.status(), whole.body), (200, expected(0..LENGTH)));
        let part = client.get("/any", "Range: bytes=1000001-2000000\r\n");
        assert_eq!(part.status(), 206);
        assert_eq!(part.field("Content-Range"), Some("bytes 1000001-2000000/3000000"));
        assert!(part.body == expected(1_000_001..2_000_001));
        client.send("HEAD /any HTTP/1.1\r\nHost: h\r\n\r\n");
        let head = client.reply(false);
        assert_eq!(head.field("Content-Length"), Some("3000000"));
        assert_eq!(client.get("/", "Range: bytes=3000000-\r\n").status(), 416);
        assert_eq!(client.get("/", "If-None-Match: *\r\n").status(), 304);
        assert_eq!(running.counters().connections(), 1);
        running.stop().expect("stopped");
    }
}

#[test]
fn requests_may_be_pipelined_and_trickle() {
    let running = synthetic();
    let mut client = Client::new(&running);
    let request = "GET / HTTP/1.1\r\nHost: h\r\nRange: bytes=0-9\r\n\r\n";
    client.send(&request.repeat(3));
    for _ in 0..3 {
        assert_eq!(client.reply(true).body, expected(0..10));
    }
    for byte in request.bytes() {
        client.send(&char::from(byte).to_string());
    }
    assert_eq!(client.reply(true).body, expected(0..10));
    client.send("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
    client.send(request);
    assert_eq!(client.reply(true).body.len() as u64, LENGTH);
    assert_eq!(client.reply(true).body.len(), 10);
}

#[test]
fn the_connection_ends_when_it_was_said_so() {
    let running = synthetic();
    for request in [
        "GET / HTTP/1.0\r\nRange: bytes=0-9\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nRange: bytes=0-9\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
        "nonsense\r\n\r\n",
    ] {
        let mut client = Client::new(&running);
        client.send(request);
        let reply = client.reply(true);
        assert_eq!(reply.field("Connection"), Some("close"), "{request}");
        assert!(client.is_closed(), "{request}");
    }
    let mut client = Client::new(&running);
    client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\nRange: bytes=0-9\r\n\r\n");
    assert_eq!(client.reply(true).field("Connection"), Some("keep-alive"));
    assert_eq!(client.get("/", "Range: bytes=0-9\r\n").status(), 206);
}

#[test]
fn silence_ends_a_connection_and_half_a_request_gets_408() {
    let options =
        OriginOptions { idle_timeout: Duration::from_millis(100), ..OriginOptions::default() };
    let running = start(Content::Synthetic(Synthetic::new(1, 1)), options);
    assert!(Client::new(&running).is_closed());
    let mut client = Client::new(&running);
    client.send("GET / HT");
    assert_eq!(client.reply(true).status(), 408);
    assert!(client.is_closed());
}

#[test]
fn too_many_connections_are_turned_away() {
    let options = OriginOptions { connections_max: 1, ..OriginOptions::default() };
    let running = start(Content::Synthetic(Synthetic::new(1, 1)), options);
    let mut first = Client::new(&running);
    assert_eq!(first.get("/", "").status(), 200);
    let mut second = Client::new(&running);
    assert_eq!(second.reply(true).status(), 503);
    assert!(second.is_closed());
    drop(first);
    let deadline = Instant::now() + Duration::from_secs(5);
    while Client::new(&running).get("/", "Connection: close\r\n").status() != 200 {
        assert!(Instant::now() < deadline, "the first connection was never given up");
    }
}

#[test]
fn stopping_ends_idle_connections_at_once() {
    let took = || {
        let running = synthetic();
        let mut idle = Client::new(&running);
        assert_eq!(idle.get("/", "Range: bytes=0-9\r\n").status(), 206);
        let began = Instant::now();
        running.stop().expect("stopped");
        assert!(idle.is_closed());
        began.elapsed()
    };
    // A busy machine may be late, but hardly ten times in a row.
    let soon = (0..10).any(|_| took() < GRACE);
    assert!(soon, "nothing was on its way that was worth waiting for");
}

#[test]
fn an_error_arrives_though_the_body_was_not_read() {
    let running = synthetic();
    let mut client = Client::new(&running);
    client.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\n");
    client.send(&"x".repeat(300_000));
    thread::sleep(Duration::from_millis(50));
    assert_eq!(client.reply(true).status(), 405);
    assert!(client.is_closed());
}

#[test]
fn stopping_cuts_stalled_responses_soon() {
    let running = start(Content::Synthetic(Synthetic::new(1 << 40, 1)), OriginOptions::default());
    let began = Instant::now();
    let mut stalled = Client::new(&running);
    stalled.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    stalled.more();
    let address = running.local_addr();
    running.stop().expect("stopped");
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}

#[test]
fn a_tree_is_served_and_logged() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("a b.txt");
    std::fs::write(&path, "hello, world").expect("written");
    std::fs::create_dir(directory.path().join("sub")).expect("made");
    let (log, logged) = mpsc::channel();
    let log: Arc<Log> = Arc::new(move |access: &Access<'_>| {
        let line = format!("{} {} {}", access.status, access.target, access.body_bytes);
        log.send(line).expect("someone listens");
    });
    let options = OriginOptions { log: Some(log), ..OriginOptions::default() };
    let running = start(Content::Directory(directory.path().to_owned()), options);
    let mut client = Client::new(&running);
    let whole = client.get("/a%20b.txt", "");
    assert_eq!(whole.body, b"hello, world");
    assert_eq!(whole.field("Content-Type"), Some("text/plain; charset=utf-8"));
    let etag = whole.field("ETag").expect("a tag").to_owned();
    let pinned = format!("Range: bytes=7-\r\nIf-Range: {etag}\r\n");
    assert_eq!(client.get("/a%20b.txt", &pinned).body, b"world");
    assert_eq!(client.get("/sub", "").field("Location"), Some("/sub/"));
    assert_eq!(client.get("/sub/", "").status(), 200);
    assert_eq!(client.get("/%2e%2e/x", "").status(), 400);
    assert_eq!(client.get("/none", "").status(), 404);

    // Another version under the same name: the pin does not hold.
    let file = std::fs::File::options().write(true).open(&path).expect("opened");
    file.write_all_at(b"J", 0).expect("written");
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(5)).expect("set");
    let changed = client.get("/a%20b.txt", &pinned);
    assert_eq!((changed.status(), changed.body), (200, b"Jello, world".to_vec()));
    running.stop().expect("stopped");
    let lines: Vec<String> = logged.try_iter().collect();
    assert_eq!(lines[0], "200 /a%20b.txt 12");
    assert_eq!(lines[1], "206 /a%20b.txt 5");
    assert_eq!(lines.len(), 7);
}

#[test]
fn a_file_that_shrinks_meanwhile_cuts_the_response_short() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("f");
    let file = std::fs::File::create(&path).expect("created");
    let length = 64 * 1024 * 1024;
    file.set_len(length).expect("grown");
    let running = start(Content::Directory(directory.path().to_owned()), OriginOptions::default());
    let mut client = Client::new(&running);
    client.send("GET /f HTTP/1.1\r\nHost: h\r\n\r\n");
    while client.received.is_empty() {
        client.more();
    }
    file.set_len(0).expect("shrunk");
    let mut rest = Vec::new();
    client.socket.read_to_end(&mut rest).expect("an end");
    assert!((client.received.len() + rest.len()) < length as usize);
}
