//! The `transfer` room: any sequence of what a shell may legally report.
//!
//! The octets choose what happens next among what may: a connection opens or fails, an answer
//! comes, bytes are written, an attempt ends, the store answers, time passes, it is stopped. The
//! model of the shell checks each command against what it knows, so that an illegal one is found
//! at once.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use uget::{
    http::{field::RangeSpec, response::Head},
    orders::{
        Accept, Attempt, Command, Conn, ConnEvent, Connections, Ended, Event, Failure, OPEN_END,
        Phase, Policy, StoreEvent, StoreOp,
    },
    transfer::Transfer,
};
use url::Url;

/// A shell that does what the octets say.
struct Shell<'a> {
    octets: &'a [u8],
    conns: BTreeMap<Conn, State>,
    /// The store was told to do this, and has not answered.
    store: Option<Told>,
    over: bool,
    ended: u64,
    requests: u64,
}

#[derive(Clone, Debug)]
enum State {
    Opening,
    Idle,
    Asking { attempt: Attempt, closing: bool },
    Waiting { attempt: Attempt, closing: bool, skipped: bool },
    Moving { attempt: Attempt, span: Range<u64>, closing: bool },
}

#[derive(Clone, Copy)]
enum Told {
    Prepare,
    Publish,
}

/// Whatever a shell reports, in whatever order, each command is legal, and it comes to an end.
pub fn transfer(data: &[u8]) {
    let [first, octets @ ..] = data else { return };
    let url = |host: u8| Url::parse(&format!("http://h{host}.test/file"));
    let (Ok(one), Ok(two)) = (url(0), url(1)) else { unreachable!() };
    let policy = Policy {
        connections: match first & 3 {
            0 => Connections::Exactly(1),
            1 => Connections::Auto { max: 8 },
            _ => Connections::Exactly(4),
        },
        slice: match octets.len() % 4 {
            0 => RangeSpec::of(1 << 10..1 << 17),
            1 => Some(RangeSpec::Suffix(1 << 17)),
            _ => None,
        },
        first_part: 1 << 16,
        min_split: 1 << 16,
        digest: first & 4 != 0,
        restart_on_change: first & 8 != 0,
        retries: u32::from(first >> 5),
        mirrors: if first & 16 != 0 { vec![two] } else { Vec::new() },
        ..Policy::default()
    };
    let mut transfer = Transfer::new(one, policy, None, Duration::ZERO);
    let mut shell =
        Shell { octets, conns: BTreeMap::new(), store: None, over: false, ended: 0, requests: 0 };
    let mut now = Duration::ZERO;
    for _ in 0..4_000 {
        while let Some(command) = transfer.poll() {
            shell.carry_out(command);
        }
        let view = transfer.view();
        assert!(view.total.is_none_or(|total| view.done <= total));
        assert!(shell.ended <= shell.requests);
        if transfer.outcome().is_some() {
            assert!(shell.conns.is_empty(), "over, with {:?}", shell.conns);
            return;
        }
        let timeout = transfer.next_timeout();
        match shell.happens() {
            Some(event) => {
                now += Duration::from_millis(u64::from(shell.octet()));
                // Time does not pass a timeout unnoticed.
                now = timeout.map_or(now, |timeout| now.min(timeout.max(now)));
                transfer.handle(now, event);
            }
            None => match timeout {
                Some(timeout) => {
                    now = now.max(timeout);
                    transfer.handle_timeout(now);
                }
                None => panic!("nothing will ever happen"),
            },
        }
    }
    // Without octets the shell refuses everything, which no transfer outlives.
    assert!(!shell.octets.is_empty(), "it goes on for ever");
}

impl Shell<'_> {
    /// The next octet; 0 when there are none.
    fn octet(&mut self) -> u8 {
        match self.octets.split_first() {
            Some((first, rest)) => {
                self.octets = rest;
                *first
            }
            None => 0,
        }
    }

    fn carry_out(&mut self, command: Command) {
        assert!(!self.over, "{command:?} after the end");
        match command {
            Command::Open { conn, .. } => {
                assert!(self.conns.insert(conn, State::Opening).is_none(), "{conn:?} twice");
            }
            Command::Request { conn, attempt, accept, .. } => {
                self.requests += 1;
                let idle = matches!(self.conns.get(&conn), Some(State::Idle));
                assert!(idle, "a request on {:?}", self.conns.get(&conn));
                let closing = false;
                let state = match accept {
                    Accept::Ask => State::Asking { attempt, closing },
                    Accept::Part(expect) => State::Moving { attempt, span: expect.range, closing },
                };
                self.conns.insert(conn, state);
            }
            Command::Receive { conn, attempt, span } => {
                assert!(matches!(
                    self.conns.get(&conn),
                    Some(State::Waiting { attempt: of, .. }) if *of == attempt
                ));
                assert!(self.store.is_none(), "a body before its part file");
                self.conns.insert(conn, State::Moving { attempt, span, closing: false });
            }
            Command::Skip { conn, attempt } => match self.conns.get_mut(&conn) {
                Some(State::Waiting { attempt: of, skipped, .. }) if *of == attempt => {
                    *skipped = true;
                }
                other => panic!("nothing to skip: {other:?}"),
            },
            Command::Shrink { .. } | Command::Withhold | Command::Note(_) => {}
            Command::Close { conn } => match self.conns.get_mut(&conn) {
                Some(State::Opening | State::Idle) => drop(self.conns.remove(&conn)),
                Some(
                    State::Asking { closing, .. }
                    | State::Waiting { closing, .. }
                    | State::Moving { closing, .. },
                ) => assert!(!std::mem::replace(closing, true), "{conn:?} closed twice"),
                None => panic!("{conn:?} is closed already"),
            },
            Command::Prepare { .. } | Command::Refetch { .. } => self.tell(Told::Prepare),
            Command::Publish { .. } | Command::Keep => self.tell(Told::Publish),
            Command::Abandon { .. } => self.over = true,
        }
    }

    fn tell(&mut self, told: Told) {
        assert!(self.store.replace(told).is_none(), "the store was told twice");
    }

    /// What happens next; `None`: nothing but the time.
    fn happens(&mut self) -> Option<Event> {
        let choice = self.octet();
        if choice == 255 {
            return Some(Event::Stop(Failure::Cancelled { signal: 2 }));
        }
        let alone = self.conns.values().all(|state| matches!(state, State::Idle));
        if let Some(told) = self.store.filter(|_| alone || choice.is_multiple_of(3)) {
            self.store = None;
            let fails = self.octet() % 16 == 1;
            let (op, errno) = (StoreOp::Write, 28);
            let failure = Failure::Store { op, path: "x".into(), errno, reason: String::new() };
            let result = if fails { Err(failure) } else { Ok(()) };
            return Some(Event::Store(match told {
                Told::Prepare => StoreEvent::Prepared(result),
                Told::Publish => StoreEvent::Published(result),
            }));
        }
        let busy = self.conns.iter().filter(|(_, state)| !matches!(state, State::Idle));
        let busy: Vec<_> = busy.map(|(conn, state)| (*conn, state.clone())).collect();
        let (conn, state) = busy.get(usize::from(choice) % busy.len().max(1))?.clone();
        Some(Event::Conn(conn, self.report(conn, state)))
    }

    fn report(&mut self, conn: Conn, state: State) -> ConnEvent {
        let what = self.octet();
        match state {
            State::Opening if what.is_multiple_of(4) => {
                self.conns.remove(&conn);
                ConnEvent::Failed { failure: refused() }
            }
            State::Opening => {
                self.conns.insert(conn, State::Idle);
                ConnEvent::Opened { peer: None, took: Duration::from_millis(20) }
            }
            State::Asking { attempt, closing: false } if !what.is_multiple_of(4) => {
                self.conns.insert(conn, State::Waiting { attempt, closing: false, skipped: false });
                ConnEvent::Head { attempt, head: self.head() }
            }
            State::Moving { attempt, span, closing }
                if !what.is_multiple_of(4) && span.start < span.end =>
            {
                let left = span.end - span.start;
                let most = if span.end == OPEN_END { 1 << 20 } else { left };
                let some = (most * u64::from(what) / 255).clamp(1, most);
                let range = span.start..span.start + some;
                self.conns
                    .insert(conn, State::Moving { attempt, span: range.end..span.end, closing });
                ConnEvent::Wrote { attempt, range, crc: 0 }
            }
            State::Asking { attempt, closing }
            | State::Waiting { attempt, closing, .. }
            | State::Moving { attempt, closing, .. } => {
                let whole = match &state {
                    State::Moving { span, .. } => span.is_empty() || span.end == OPEN_END,
                    State::Waiting { skipped, .. } => *skipped,
                    _ => false,
                };
                self.end(conn, attempt, closing, whole)
            }
            State::Idle => unreachable!("not chosen"),
        }
    }

    fn end(&mut self, conn: Conn, attempt: Attempt, closing: bool, whole: bool) -> ConnEvent {
        let what = self.octet();
        let result = match what % 8 {
            _ if closing => Err(Failure::Cancelled { signal: 0 }),
            _ if whole => Ok(()),
            0 | 1 => Err(Failure::Receive { errno: 104 }),
            2 => Err(Failure::Stale),
            3 => Err(Failure::Timeout { phase: Phase::Body, limit: Duration::from_secs(30) }),
            4 => Err(Failure::Http(uget::http::Error::Truncated)),
            5 => Err(Failure::Changed(uget::orders::ChangedHow::Validator)),
            _ => Err(Failure::ShortBody { range: 0..1, got: 0 }),
        };
        let reusable = result.is_ok() && !closing && what & 64 == 0;
        self.ended += 1;
        if reusable {
            self.conns.insert(conn, State::Idle);
        } else {
            self.conns.remove(&conn);
        }
        let (first_byte, busy) = (Some(Duration::from_millis(9)), Duration::from_millis(99));
        ConnEvent::Ended(Ended { attempt, result, reusable, first_byte, busy })
    }

    fn head(&mut self) -> Head {
        let (kind, tag) = (self.octet(), self.octet() % 2);
        let size = [0, 1, 70_000, 3 << 20][usize::from(kind / 64)];
        let status = match kind % 12 {
            0 => "404 No\r\nContent-Length: 0",
            1 => "503 Later\r\nRetry-After: 2\r\nContent-Length: 0",
            2 => "429 Later\r\nContent-Length: 0",
            3 => "302 There\r\nLocation: /elsewhere\r\nContent-Length: 0",
            4 => "416 No\r\nContent-Range: bytes */3145728\r\nContent-Length: 0",
            5 => "206 Part\r\nContent-Range: bytes 0-65535/3145728\r\nContent-Length: 65536",
            6 => "206 Part\r\nContent-Range: bytes 0-9/70000\r\nContent-Length: 10",
            7 => "206 Part\r\nContent-Range: bytes 0-9/*\r\nContent-Length: 10",
            8 => "304 Same",
            9 => "200 OK\r\nConnection: close",
            _ => "200 OK",
        };
        let mut text = format!("HTTP/1.1 {status}\r\nETag: \"{tag}\"\r\n");
        if status == "200 OK" {
            text.push_str(&format!("Content-Length: {size}\r\n"));
        }
        text.push_str("\r\n");
        match Head::parse(text.as_bytes()) {
            Ok(Some((head, _))) => head,
            other => unreachable!("{other:?} of {text}"),
        }
    }
}

fn refused() -> Failure {
    Failure::Connect { target: "h:80".to_owned(), reason: "refused".to_owned(), errno: 111 }
}
