//! The data plane against a script instead of a socket.

use std::{
    collections::VecDeque,
    future::Future,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use super::*;
use crate::{
    http::field::Validators,
    orders::{Expect, Extent, OPEN_END, RangeFault},
};

/// What the peer does next.
enum Act {
    Octets(Vec<u8>),
    End,
    Reset,
    /// Nothing, for longer than anybody waits.
    Stall,
}

/// A file, as far as bytes go.
type Bytes = Arc<Mutex<Vec<u8>>>;

struct Script {
    now: Duration,
    orders: VecDeque<Order<Bytes>>,
    acts: VecDeque<Act>,
    idle: Idle,
    buffer: Vec<u8>,
    sent: Vec<u8>,
    events: Vec<ConnEvent>,
    /// Called before each receive, as the coordinator's thread would interfere.
    between: Option<Box<dyn FnMut()>>,
}

impl Io for Script {
    type Sink = Bytes;

    fn now(&self) -> Duration {
        self.now
    }

    fn report(&mut self, event: ConnEvent) {
        self.events.push(event);
    }

    fn buffer(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    async fn order(&mut self) -> Option<Order<Bytes>> {
        self.orders.pop_front()
    }

    async fn send(&mut self, bytes: Vec<u8>) -> Result<(), Broken> {
        self.sent.extend(bytes);
        Ok(())
    }

    async fn receive(
        &mut self,
        room: Range<usize>,
        _fill: bool,
        patience: Duration,
    ) -> Result<Option<usize>, Broken> {
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
            Some(Act::Reset) => Err(Broken { errno: RESET }),
            Some(Act::Stall) => {
                self.now += patience;
                self.acts.push_front(Act::Stall);
                Ok(None)
            }
        }
    }

    async fn write(
        &mut self,
        sink: &Bytes,
        from: Range<usize>,
        offset: u64,
    ) -> Result<bool, Failure> {
        let mut file = sink.lock().unwrap();
        let start = usize::try_from(offset).unwrap();
        let end = start + from.len();
        let len = file.len().max(end);
        file.resize(len, 0);
        file[start..end].copy_from_slice(&self.buffer[from]);
        Ok(true)
    }

    async fn pause(&mut self, time: Duration) {
        self.now += time;
    }

    fn idle(&self) -> Idle {
        self.idle
    }
}

/// ECONNRESET.
const RESET: i32 = 104;

/// One link, its file, and what it reported.
struct Bench {
    file: Bytes,
    gate: Arc<Gate>,
    link: Link<Script>,
}

impl Bench {
    fn new(buffer: usize, acts: Vec<Act>) -> Self {
        let gate = Arc::new(Gate::default());
        let script = Script {
            now: Duration::ZERO,
            orders: VecDeque::new(),
            acts: acts.into(),
            idle: Idle::Quiet,
            buffer: vec![0xAA; buffer],
            sent: Vec::new(),
            events: Vec::new(),
            between: None,
        };
        let limits = Limits { stall: Duration::from_millis(600), write: buffer / 2, sums: true };
        let link = Link::new(script, Arc::clone(&gate), limits, None);
        Self { file: Bytes::default(), gate, link }
    }

    fn part(&mut self, number: u64, range: Range<u64>, total: u64) {
        self.gate.lease(Attempt(number), range.start, range.end);
        let expect =
            Expect { range, extent: Extent::all(total), validators: Validators::default() };
        self.request(number, Accept::Part(expect));
    }

    fn request(&mut self, number: u64, accept: Accept) {
        let sink = Some(Arc::clone(&self.file));
        let job = Job { attempt: Attempt(number), request: b"GET".to_vec(), accept, sink };
        self.link.io.orders.push_back(Order::Request(Box::new(job)));
    }

    fn receive(&mut self, number: u64, span: Range<u64>) {
        let (attempt, sink) = (Attempt(number), Arc::clone(&self.file));
        self.link.io.orders.push_back(Order::Receive { attempt, span, sink });
    }

    fn run(&mut self) -> Vec<Ended> {
        match pin!(self.link.serve()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(()) => {}
            Poll::Pending => unreachable!("a script never waits"),
        }
        let content = self.content();
        let ended = |event| match event {
            ConnEvent::Ended(ended) => Some(ended),
            ConnEvent::Wrote { range, crc, .. } => {
                let written = &content[range.start as usize..range.end as usize];
                assert_eq!(crc, crc32fast::hash(written), "the checksum of {range:?}");
                None
            }
            _ => None,
        };
        std::mem::take(&mut self.link.io.events).into_iter().filter_map(ended).collect()
    }

    fn content(&self) -> Vec<u8> {
        self.file.lock().unwrap().clone()
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
    assert_eq!(ended.len(), 2);
    assert_eq!(bench.content(), b"abcdefgh");
}

#[test]
fn a_wait_that_a_believed_answer_asks_for_is_told() {
    for (field, told) in [("Retry-After: 2\r\n", 1), ("", 0)] {
        let answer = part_head(0..4, 8).replace("\r\n\r\n", &format!("\r\n{field}\r\n")) + "abcd";
        let mut bench = Bench::new(4096, vec![octets(answer)]);
        bench.part(1, 0..4, 8);
        assert!(pin!(bench.link.serve()).poll(&mut Context::from_waker(Waker::noop())).is_ready());
        let heads = |event: &&ConnEvent| matches!(event, ConnEvent::Head { .. });
        assert_eq!(bench.link.io.events.iter().filter(heads).count(), told);
        assert_eq!(bench.content(), b"abcd");
    }
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
    assert_eq!(bench.run()[0].result, Err(Failure::Receive { errno: RESET }));
    assert_eq!(bench.content(), b"abc");
}

#[test]
fn a_stall_is_a_timeout_that_names_its_phase() {
    let mut bench = Bench::new(4096, vec![octets(part_head(0..10, 10) + "abc"), Act::Stall]);
    bench.part(1, 0..10, 10);
    let limit = Duration::from_millis(600);
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
        assert!(bench.link.io.sent.is_empty());
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

#[test]
fn an_end_that_we_made_ourselves_completes_nothing() {
    let cancelled = Failure::Cancelled { signal: 0 };
    let head = || octets("HTTP/1.0 200 OK\r\n\r\nabc");
    let abort_at = |bench: &mut Bench, call: usize| {
        let gate = Arc::clone(&bench.gate);
        let mut calls = 0;
        bench.link.io.between = Some(Box::new(move || {
            calls += 1;
            if calls == call {
                gate.abort();
            }
        }));
    };
    let mut bench = Bench::new(4096, vec![head(), Act::End]);
    abort_at(&mut bench, 2);
    bench.request(1, Accept::Ask);
    bench.receive(1, 0..OPEN_END);
    assert_eq!(bench.run()[0].result, Err(cancelled.clone()));
    assert_eq!(bench.content(), b"abc", "what came is kept");

    // Nor does it say anything about the peer.
    let mut bench = Bench::new(4096, vec![octets(part_head(0..4, 8) + "abcd"), Act::End]);
    abort_at(&mut bench, 2);
    bench.part(1, 0..4, 8);
    let expect = Expect { range: 4..8, extent: Extent::all(8), validators: Validators::default() };
    bench.request(2, Accept::Part(expect));
    let ended = bench.run();
    assert_eq!((ended[0].result.clone(), ended[1].result.clone()), (Ok(()), Err(cancelled)));
}
