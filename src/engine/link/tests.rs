//! The data plane against a script instead of a socket.

use std::{collections::VecDeque, fs::File, os::unix::fs::FileExt, sync::Arc};

use crossbeam_channel::{Receiver, unbounded};

use super::*;
use crate::{
    engine::Message,
    http::field::Validators,
    transfer::{Conn, Expect, OPEN_END, RangeFault},
};

/// What the peer does next.
enum Act {
    Octets(Vec<u8>),
    End,
    Reset,
    /// Nothing, for longer than anybody waits.
    Stall,
}

struct Script {
    orders: VecDeque<Order>,
    acts: VecDeque<Act>,
    idle: Idle,
    buffer: Vec<u8>,
    sent: Arc<std::sync::Mutex<Vec<u8>>>,
    /// Called before each receive, as the coordinator's thread would interfere.
    between: Option<Box<dyn FnMut()>>,
}

impl Io for Script {
    fn buffer(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    async fn order(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    async fn send(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        self.sent.lock().unwrap().extend(bytes);
        Ok(())
    }

    async fn receive(
        &mut self,
        room: Range<usize>,
        _fill: bool,
        _patience: Duration,
    ) -> io::Result<Option<usize>> {
        if let Some(between) = &mut self.between {
            between();
        }
        match self.acts.pop_front() {
            Some(Act::Octets(mut octets)) => {
                assert!(!room.is_empty(), "a receive without room");
                let n = octets.len().min(room.len());
                self.buffer[room.start..room.start + n].copy_from_slice(&octets[..n]);
                let rest = octets.split_off(n);
                if !rest.is_empty() {
                    self.acts.push_front(Act::Octets(rest));
                }
                Ok(Some(n))
            }
            Some(Act::End) | None => Ok(Some(0)),
            Some(Act::Reset) => Err(io::Error::from_raw_os_error(libc::ECONNRESET)),
            Some(Act::Stall) => {
                std::thread::sleep(Duration::from_millis(5));
                self.acts.push_front(Act::Stall);
                Ok(None)
            }
        }
    }

    async fn write(&mut self, sink: &Sink, from: Range<usize>, offset: u64) -> Result<(), Failure> {
        sink.write(&self.buffer[from], offset)
    }

    fn idle(&self) -> Idle {
        self.idle
    }
}

/// One link, its file, and what it reported.
struct Bench {
    file: Arc<File>,
    sink: Sink,
    gate: Arc<Gate>,
    messages: Receiver<Message>,
    link: Link<Script>,
}

impl Bench {
    fn new(buffer: usize, acts: Vec<Act>) -> Self {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let sink = Sink::file("part".into(), Arc::clone(&file));
        let gate = Arc::new(Gate::default());
        let (sender, messages) = unbounded();
        let script = Script {
            orders: VecDeque::new(),
            acts: acts.into(),
            idle: Idle::Quiet,
            buffer: vec![0xAA; buffer],
            sent: Arc::default(),
            between: None,
        };
        let limits = Limits { stall: Duration::from_millis(60), write: buffer / 2 };
        let reporter = Reporter::new(Conn(1), sender);
        let link = Link::new(script, Arc::clone(&gate), reporter, limits, None);
        Self { file, sink, gate, messages, link }
    }

    fn part(&mut self, number: u64, range: Range<u64>, total: u64) {
        self.gate.lease(Attempt(number), range.start, range.end);
        let expect = Expect { range, total, validators: Validators::default() };
        self.request(number, Accept::Part(expect));
    }

    fn request(&mut self, number: u64, accept: Accept) {
        let sink = Some(self.sink.clone());
        let job = Job { attempt: Attempt(number), request: b"GET".to_vec(), accept, sink };
        self.link.io.orders.push_back(Order::Request(Box::new(job)));
    }

    fn receive(&mut self, number: u64, span: Range<u64>) {
        let (attempt, sink) = (Attempt(number), self.sink.clone());
        self.link.io.orders.push_back(Order::Receive { attempt, span, sink });
    }

    fn run(&mut self) -> Vec<Ended> {
        crate::engine::threads::run(self.link.serve());
        let conn = |message| match message {
            Message::Conn(_, ConnEvent::Ended(ended)) => Some(ended),
            _ => None,
        };
        self.messages.try_iter().filter_map(conn).collect()
    }

    fn content(&self) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(self.file.metadata().unwrap().len()).unwrap()];
        self.file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }
}

fn octets(text: impl AsRef<[u8]>) -> Act {
    Act::Octets(text.as_ref().to_vec())
}

fn part_head(range: Range<u64>, total: u64) -> String {
    format!(
        "HTTP/1.1 206 P\r\nContent-Length: {}\r\nContent-Range: bytes {}-{}/{total}\r\n\r\n",
        range.end - range.start,
        range.start,
        range.end - 1
    )
}

#[test]
fn two_parts_on_one_connection_land_where_they_belong() {
    let first = part_head(0..4, 8) + "abcd";
    let second = part_head(4..8, 8) + "efgh";
    let acts = vec![octets(&first[..10]), octets(&first[10..]), octets(second)];
    let mut bench = Bench::new(4096, acts);
    bench.part(1, 0..4, 8);
    bench.part(2, 4..8, 8);
    // The second lease is taken by the coordinator when it orders the second request.
    let gate = Arc::clone(&bench.gate);
    let mut calls = 0;
    bench.link.io.between = Some(Box::new(move || {
        calls += 1;
        match calls {
            1 => gate.lease(Attempt(1), 0, 4),
            3 => gate.lease(Attempt(2), 4, 8),
            _ => {}
        }
    }));
    let ended = bench.run();
    assert!(ended.iter().all(|e| e.result == Ok(()) && e.reusable), "{ended:?}");
    assert_eq!(ended.iter().map(|e| e.reused).collect::<Vec<_>>(), [false, true]);
    assert_eq!(bench.content(), b"abcdefgh");
}

#[test]
fn a_body_that_ends_short_keeps_what_came() {
    let mut bench = Bench::new(4096, vec![octets(part_head(2..10, 10) + "abc"), Act::End]);
    bench.part(1, 2..10, 10);
    let ended = bench.run();
    assert_eq!(ended[0].result, Err(Failure::ShortBody { range: 2..10, got: 3 }));
    assert!(!ended[0].reusable);
    assert_eq!(bench.content(), b"\0\0abc");
}

#[test]
fn a_reset_keeps_what_came() {
    let mut bench = Bench::new(4096, vec![octets(part_head(0..10, 10) + "abc"), Act::Reset]);
    bench.part(1, 0..10, 10);
    assert_eq!(bench.run()[0].result, Err(Failure::Receive { errno: libc::ECONNRESET }));
    assert_eq!(bench.content(), b"abc");
}

#[test]
fn a_stall_is_a_timeout_that_names_its_phase() {
    let mut bench = Bench::new(4096, vec![octets(part_head(0..10, 10) + "abc"), Act::Stall]);
    bench.part(1, 0..10, 10);
    let limit = Duration::from_millis(60);
    assert_eq!(bench.run()[0].result, Err(Failure::Timeout { phase: Phase::Body, limit }));
    assert_eq!(bench.content(), b"abc");

    let mut bench = Bench::new(4096, vec![octets("HTTP/1.1 2"), Act::Stall]);
    bench.part(1, 0..10, 10);
    assert_eq!(bench.run()[0].result, Err(Failure::Timeout { phase: Phase::Head, limit }));
}

#[test]
fn a_chunked_body_longer_than_its_span_is_an_error_and_not_written() {
    let head = "HTTP/1.1 206 P\r\nTransfer-Encoding: chunked\r\n\
                Content-Range: bytes 0-3/9\r\n\r\n";
    let mut bench = Bench::new(4096, vec![octets(format!("{head}6\r\nabcdef\r\n0\r\n\r\n"))]);
    bench.part(1, 0..4, 9);
    assert_eq!(bench.run()[0].result, Err(http::Error::Overlong.into()));
    assert_eq!(bench.content(), b"abcd");
}

#[test]
fn a_chunked_body_without_its_last_chunk_is_short() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut bench = Bench::new(4096, vec![octets(format!("{head}3\r\nabc\r\n")), Act::End]);
    bench.request(1, Accept::Ask);
    bench.receive(1, 0..OPEN_END);
    let ended = bench.run();
    assert_eq!(ended[0].result, Err(Failure::ShortBody { range: 0..OPEN_END, got: 3 }));
}

#[test]
fn a_close_delimited_body_ends_with_the_connection() {
    let mut bench = Bench::new(
        256,
        vec![octets("HTTP/1.0 200 OK\r\n\r\n"), octets("x".repeat(1000)), Act::End],
    );
    bench.request(1, Accept::Ask);
    bench.receive(1, 0..OPEN_END);
    let ended = bench.run();
    assert_eq!((ended[0].result.clone(), ended[0].reusable), (Ok(()), false));
    assert_eq!(bench.content(), vec![b'x'; 1000]);
}

#[test]
fn a_shrunk_span_ends_early_and_costs_the_connection() {
    let body = "0123456789".repeat(100);
    let acts = vec![octets(part_head(0..1000, 1000)), octets(&body[..200]), octets(&body[200..])];
    let mut bench = Bench::new(256, acts);
    bench.part(1, 0..1000, 1000);
    let gate = Arc::clone(&bench.gate);
    let mut calls = 0;
    bench.link.io.between = Some(Box::new(move || {
        calls += 1;
        if calls == 3 {
            assert_eq!(gate.shrink(Attempt(1), 300), Some(300));
        }
    }));
    let ended = bench.run();
    assert_eq!((ended[0].result.clone(), ended[0].reusable), (Ok(()), false));
    assert_eq!(bench.content(), &body.as_bytes()[..300]);
}

#[test]
fn octets_behind_an_answer_retire_the_connection() {
    let mut bench = Bench::new(4096, vec![octets(part_head(0..4, 8) + "abcdGARBAGE")]);
    bench.part(1, 0..4, 8);
    let ended = bench.run();
    assert_eq!((ended[0].result.clone(), ended[0].reusable), (Ok(()), false));
    assert_eq!(bench.content(), b"abcd");
}

#[test]
fn octets_on_an_idle_connection_make_it_stale_before_anything_is_sent() {
    for idle in [Idle::Octets, Idle::Closed] {
        let mut bench = Bench::new(4096, vec![octets(part_head(0..4, 8) + "abcd")]);
        bench.link.io.idle = idle;
        bench.part(1, 0..4, 8);
        assert_eq!(bench.run()[0].result, Err(Failure::Stale));
        assert!(bench.link.io.sent.lock().unwrap().is_empty());
    }
}

#[test]
fn a_lie_about_the_range_is_never_written() {
    let mut bench = Bench::new(4096, vec![octets(part_head(1..5, 8) + "abcd")]);
    bench.part(1, 0..4, 8);
    assert_eq!(bench.run()[0].result, Err(Failure::Range(RangeFault::Window(1..5))));
    assert!(bench.content().is_empty());
}

#[test]
fn a_skipped_answer_is_drained_only_if_that_costs_nothing() {
    let redirect = "HTTP/1.1 302 F\r\nLocation: /x\r\nContent-Length: 2\r\n\r\nok";
    let mut bench = Bench::new(4096, vec![octets(redirect)]);
    bench.request(1, Accept::Ask);
    bench.link.io.orders.push_back(Order::Skip { attempt: Attempt(1) });
    assert!(bench.run()[0].reusable);

    let long = "HTTP/1.1 403 F\r\nContent-Length: 1000000\r\n\r\nno";
    let mut bench = Bench::new(4096, vec![octets(long), Act::Stall]);
    bench.request(1, Accept::Ask);
    bench.link.io.orders.push_back(Order::Skip { attempt: Attempt(1) });
    let ended = bench.run();
    assert_eq!((ended[0].result.clone(), ended[0].reusable), (Ok(()), false));
}

#[test]
fn every_cut_of_a_chunked_answer_gives_the_same_bytes() {
    let answer =
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                   5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\n";
    for cut in 1..answer.len() {
        let mut bench = Bench::new(4096, vec![octets(&answer[..cut]), octets(&answer[cut..])]);
        bench.request(1, Accept::Ask);
        bench.receive(1, 0..OPEN_END);
        let ended = bench.run();
        assert_eq!((ended[0].result.clone(), ended[0].reusable), (Ok(()), true), "cut {cut}");
        assert_eq!(bench.content(), b"hello world", "cut {cut}");
    }
}
