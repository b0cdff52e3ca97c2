//! Two transfers over one set of connections, by hand; and a thousand.

use url::Url;

use super::*;
use crate::{
    http::response::Head,
    orders::{Attempt, Connections, Ended, Policy},
};

/// The first number of the second transfer.
const SECOND: Attempt = Attempt(1 << 32);

fn transfer(path: &str) -> Transfer {
    let url = Url::parse(&format!("http://a.test/{path}")).expect("a URL");
    let policy = Policy { connections: Connections::Exactly(1), ..Policy::default() };
    Transfer::new(url, policy, None, Duration::ZERO)
}

fn commands(fleet: &mut Fleet) -> Vec<(u32, Command)> {
    let all = std::iter::from_fn(|| fleet.poll());
    all.map(|(id, command)| (id.0, command)).collect()
}

fn head() -> Head {
    let text = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    Head::parse(text).expect("a head").expect("all of it").0
}

fn opened() -> ConnEvent {
    ConnEvent::Opened { peer: None, took: Duration::ZERO }
}

fn ended(attempt: u64) -> ConnEvent {
    ConnEvent::Ended(Ended {
        attempt: Attempt(attempt),
        result: Ok(()),
        reusable: true,
        first_byte: None,
        busy: Duration::ZERO,
    })
}

/// Brings one transfer of five bytes from its open connection to its published name.
fn fetch(fleet: &mut Fleet, id: TransferId, conn: u64, attempt: u64) -> Vec<(u32, Command)> {
    let (now, conn) = (Duration::ZERO, Conn(conn));
    fleet.handle_conn(now, conn, ConnEvent::Head { attempt: Attempt(attempt), head: head() });
    fleet.handle_store(now, id, StoreEvent::Prepared(Ok(())));
    let wrote = ConnEvent::Wrote { attempt: Attempt(attempt), range: 0..5, crc: 0 };
    fleet.handle_conn(now, conn, wrote);
    commands(fleet);
    fleet.handle_conn(now, conn, ended(attempt));
    let last = commands(fleet);
    fleet.handle_store(now, id, StoreEvent::Published(Ok(())));
    last
}

#[test]
fn an_idle_connection_passes_to_the_next_transfer() {
    let mut fleet = Fleet::new(Limits { total: 1, per_host: 8 });
    let first = fleet.add(transfer("a"));
    let second = fleet.add(transfer("b"));
    let open = commands(&mut fleet);
    assert!(matches!(open[..], [(0, Command::Open { conn: Conn(0), .. })]), "{open:?}");
    fleet.handle_conn(Duration::ZERO, Conn(0), opened());
    commands(&mut fleet);
    let last = fetch(&mut fleet, first, 0, 0);
    assert!(matches!(last[..], [(0, Command::Publish { .. })]), "not closed: {last:?}");
    assert_eq!(fleet.transfer(first).outcome(), Some(Ok(())));
    let next = commands(&mut fleet);
    assert!(
        matches!(next[..], [(1, Command::Request { conn: Conn(0), attempt: SECOND, .. })]),
        "{next:?}"
    );
    fetch(&mut fleet, second, 0, SECOND.0);
    let close = commands(&mut fleet);
    assert!(fleet.is_done(), "{close:?}");
}

#[test]
fn no_two_transfers_have_a_number_in_common() {
    let mut fleet = Fleet::new(Limits { total: 8, per_host: 8 });
    let first = fleet.add(transfer("a"));
    let second = fleet.add(transfer("b"));
    let opens = commands(&mut fleet);
    let conns: Vec<_> = opens
        .iter()
        .map(|(id, command)| match command {
            Command::Open { conn, .. } => (*id, conn.0),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(conns, [(0, 0), (1, SECOND.0)]);
    fleet.handle_conn(Duration::ZERO, Conn(SECOND.0), opened());
    fleet.handle_conn(Duration::ZERO, Conn(0), opened());
    let asks = commands(&mut fleet);
    let mut numbers: Vec<_> = asks
        .iter()
        .map(|(id, command)| match command {
            Command::Request { conn, attempt, .. } => (*id, conn.0, attempt.0),
            other => panic!("{other:?}"),
        })
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [(0, 0, 0), (1, SECOND.0, SECOND.0)]);
    fetch(&mut fleet, second, SECOND.0, SECOND.0);
    assert_eq!(fleet.transfer(second).outcome(), Some(Ok(())));
    assert_eq!(fleet.transfer(first).outcome(), None);
    fetch(&mut fleet, first, 0, 0);
    commands(&mut fleet);
    assert!(fleet.is_done());
}

#[test]
fn a_stop_stops_all_and_leaves_nothing_open() {
    let mut fleet = Fleet::new(Limits { total: 8, per_host: 8 });
    fleet.add(transfer("a"));
    fleet.add(transfer("b"));
    commands(&mut fleet);
    fleet.handle_conn(Duration::ZERO, Conn(0), opened());
    commands(&mut fleet);
    fleet.stop(Duration::ZERO, Failure::Cancelled { signal: 15 });
    let closes = commands(&mut fleet);
    let count = closes.iter().filter(|(_, c)| matches!(c, Command::Close { .. })).count();
    assert_eq!(count, 2, "{closes:?}");
    assert!(!fleet.is_done(), "an attempt still runs");
    fleet.handle_conn(Duration::ZERO, Conn(0), ended(0));
    let last = commands(&mut fleet);
    assert!(matches!(last[..], [(0, Command::Abandon { .. })]), "{last:?}");
    assert!(fleet.is_done());
}

#[test]
fn one_that_is_stopped_stops_no_other() {
    let mut fleet = Fleet::new(Limits { total: 8, per_host: 8 });
    let first = fleet.add(transfer("a"));
    let second = fleet.add(transfer("b"));
    commands(&mut fleet);
    fleet.handle_conn(Duration::ZERO, Conn(SECOND.0), opened());
    fleet.stop_one(Duration::ZERO, first, Failure::Internal("a full disk"));
    let next = commands(&mut fleet);
    assert!(fleet.transfer(first).outcome().is_some_and(|outcome| outcome.is_err()), "{next:?}");
    assert_eq!(fleet.transfer(second).outcome(), None);
    fetch(&mut fleet, second, SECOND.0, SECOND.0);
    commands(&mut fleet);
    assert_eq!(fleet.transfer(second).outcome(), Some(Ok(())));
    assert!(fleet.is_done());
}

/// A shell that has one answer for everything: five bytes.
#[derive(Default)]
struct Shell {
    /// What will be told, in an order of its own.
    events: VecDeque<(TransferId, Event)>,
    /// Which transfer has which open connection, and to which host it leads.
    conns: BTreeMap<Conn, (TransferId, String)>,
    opens: usize,
    most: usize,
    most_to_one: usize,
    published: usize,
}

impl Shell {
    fn carry_out(&mut self, id: TransferId, command: Command) {
        let mut tell = |conn, event| self.events.push_back((id, Event::Conn(conn, event)));
        match command {
            Command::Open { conn, url, .. } => {
                tell(conn, opened());
                self.opens += 1;
                let host = url.host_str().unwrap_or_default().to_owned();
                assert!(self.conns.insert(conn, (id, host.clone())).is_none(), "{conn:?} twice");
                self.most = self.most.max(self.conns.len());
                let same = self.conns.values().filter(|(_, other)| *other == host).count();
                self.most_to_one = self.most_to_one.max(same);
            }
            Command::Request { conn, attempt, .. } => {
                tell(conn, ConnEvent::Head { attempt, head: head() });
                self.conns.get_mut(&conn).expect("an open connection").0 = id;
            }
            Command::Receive { conn, attempt, .. } => {
                tell(conn, ConnEvent::Wrote { attempt, range: 0..5, crc: 0 });
                tell(conn, ended(attempt.0));
            }
            Command::Close { conn } => {
                assert!(self.conns.remove(&conn).is_some(), "closed what is not open: {conn:?}");
            }
            Command::Prepare { .. } => {
                self.events.push_back((id, Event::Store(StoreEvent::Prepared(Ok(())))));
            }
            Command::Publish { total } => {
                assert_eq!(total, 5);
                self.published += 1;
                self.events.push_back((id, Event::Store(StoreEvent::Published(Ok(())))));
            }
            Command::Note(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_thousand_share_what_there_is() {
    let mut fleet = Fleet::new(Limits { total: 32, per_host: 8 });
    for number in 0..1_000 {
        // Ten hosts, one of them with half of the files.
        let host = if number % 2 == 0 { 0 } else { number % 19 / 2 };
        let url = Url::parse(&format!("http://h{host}.test/{number}")).expect("a URL");
        let policy = Policy { connections: Connections::Exactly(4), ..Policy::default() };
        fleet.add(Transfer::new(url, policy, None, Duration::ZERO));
    }
    let mut shell = Shell::default();
    for step in 0..100_000_u64 {
        while let Some((id, command)) = fleet.poll() {
            shell.carry_out(id, command);
        }
        if fleet.is_done() {
            break;
        }
        // The oldest report first, or one of the next few of another transfer.
        let other = (step * 7 % 5) as usize % shell.events.len().max(1);
        let first = shell.events.front().map(|(id, _)| *id);
        let other = shell.events.get(other).map(|(id, _)| *id).filter(|id| Some(*id) != first);
        let at = shell.events.iter().position(|(id, _)| Some(*id) == other).unwrap_or(0);
        let Some((id, event)) = shell.events.remove(at) else { panic!("nothing will happen") };
        let now = Duration::from_millis(step);
        match event {
            Event::Conn(conn, event) => fleet.handle_conn(now, conn, event),
            Event::Store(event) => fleet.handle_store(now, id, event),
            Event::Stop(_) => {}
        }
    }
    assert!(fleet.is_done());
    assert_eq!(shell.published, 1_000);
    assert!(shell.most <= 32, "{} connections at once", shell.most);
    assert!(shell.most_to_one <= 8, "{} connections to one host", shell.most_to_one);
    assert!(shell.opens < 300, "{} connections opened: they are to be shared", shell.opens);
    assert!(shell.conns.is_empty(), "left open: {:?}", shell.conns);
}
