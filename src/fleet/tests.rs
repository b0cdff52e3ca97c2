//! Two transfers over one set of connections, by hand.

use url::Url;

use super::*;
use crate::{
    http::response::Head,
    orders::{Connections, Ended, Policy},
};

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
        reused: false,
        first_byte: None,
        busy: Duration::ZERO,
    })
}

/// Brings one transfer of five bytes from its open connection to its published name.
fn fetch(fleet: &mut Fleet, id: TransferId, conn: u32, attempt: u64) -> Vec<(u32, Command)> {
    let (now, conn) = (Duration::ZERO, Conn(conn));
    fleet.handle_conn(now, conn, ConnEvent::Head { attempt: Attempt(attempt), head: head() });
    fleet.handle_store(now, id, StoreEvent::Prepared(Ok(())));
    fleet.handle_conn(now, conn, ConnEvent::Wrote { attempt: Attempt(attempt), range: 0..5 });
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
        matches!(next[..], [(1, Command::Request { conn: Conn(0), attempt: Attempt(1), .. })]),
        "{next:?}"
    );
    fetch(&mut fleet, second, 0, 1);
    let close = commands(&mut fleet);
    assert!(fleet.is_done(), "{close:?}");
}

#[test]
fn numbers_are_the_fleets_own() {
    let mut fleet = Fleet::new(Limits { total: 8, per_host: 8 });
    let first = fleet.add(transfer("a"));
    let second = fleet.add(transfer("b"));
    let opens = commands(&mut fleet);
    assert!(
        matches!(
            opens[..],
            [(0, Command::Open { conn: Conn(0), .. }), (1, Command::Open { conn: Conn(1), .. })]
        ),
        "{opens:?}"
    );
    fleet.handle_conn(Duration::ZERO, Conn(1), opened());
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
    assert_eq!(numbers, [(0, 0, 0), (1, 1, 1)]);
    fetch(&mut fleet, second, 1, 1);
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
