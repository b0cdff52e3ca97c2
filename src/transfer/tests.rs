//! Scripts: what a shell reports by hand, and what the machine must say to it.

mod finished;

use std::ops::Range;

use super::*;
use crate::orders::*;
use crate::{
    http::{request::Ask, response::Head},
    range::RangeSet,
};

mod guards;
mod lag;
mod places;
mod resume;
mod streams;
mod tags;
mod waits;

/// A transfer and the commands that it gave.
struct Script {
    transfer: Transfer,
    now: Duration,
}

const MIB: u64 = 1 << 20;

fn policy(connections: usize) -> Policy {
    Policy { connections: Connections::Exactly(connections), ..Policy::default() }
}

fn head(status: &str, fields: &str) -> Head {
    let text = format!("HTTP/1.1 {status}\r\n{fields}\r\n");
    match Head::parse(text.as_bytes()) {
        Ok(Some((head, _))) => head,
        other => panic!("{other:?}"),
    }
}

fn part(range: Range<u64>, total: u64) -> Head {
    let (first, last, length) = (range.start, range.end - 1, range.end - range.start);
    let fields = format!(
        "Content-Range: bytes {first}-{last}/{total}\r\nContent-Length: {length}\r\nETag: \"a\"\r\n"
    );
    head("206 Partial Content", &fields)
}

impl Script {
    fn new(policy: Policy) -> Self {
        Self::resume(policy, None)
    }

    fn resume(policy: Policy, held: Option<Held>) -> Self {
        let url = Url::parse("http://a.test/file").expect("a URL");
        let now = Duration::ZERO;
        Self { transfer: Transfer::new(url, policy, held, now), now }
    }

    /// Every command but notes.
    fn commands(&mut self) -> Vec<Command> {
        let all = std::iter::from_fn(|| self.transfer.poll());
        all.filter(|command| !matches!(command, Command::Note(_))).collect()
    }

    fn tell(&mut self, event: Event) -> Vec<Command> {
        self.transfer.handle(self.now, event);
        self.commands()
    }

    fn conn(&mut self, conn: u64, event: ConnEvent) -> Vec<Command> {
        self.tell(Event::Conn(Conn(conn), event))
    }

    fn opened(&mut self, conn: u64) -> Vec<Command> {
        self.conn(conn, ConnEvent::Opened { peer: None, took: Duration::from_millis(1) })
    }

    fn answer(&mut self, conn: u64, attempt: u64, head: Head) -> Vec<Command> {
        self.conn(conn, ConnEvent::Head { attempt: Attempt(attempt), head })
    }

    fn prepared(&mut self) -> Vec<Command> {
        self.tell(Event::Store(StoreEvent::Prepared(Ok(()))))
    }

    fn wrote(&mut self, conn: u64, attempt: u64, range: Range<u64>) -> Vec<Command> {
        self.conn(conn, ConnEvent::Wrote { attempt: Attempt(attempt), range, crc: 0 })
    }

    fn ended(
        &mut self,
        conn: u64,
        attempt: u64,
        result: Result<(), Failure>,
        reusable: bool,
    ) -> Vec<Command> {
        self.conn(
            conn,
            ConnEvent::Ended(Ended {
                attempt: Attempt(attempt),
                result,
                reusable,
                first_byte: Some(Duration::from_millis(1)),
                busy: Duration::from_millis(100),
            }),
        )
    }

    /// Connects, asks, and hands out the probe of an object of `total` bytes.
    fn probed(policy: Policy, total: u64) -> (Self, Vec<Command>) {
        let mut script = Self::new(policy);
        assert!(matches!(script.commands()[..], [Command::Open { conn: Conn(0), .. }]));
        assert!(matches!(script.opened(0)[..], [Command::Request { .. }]));
        let prepare = script.answer(0, 0, part(0..MIB.min(total), total));
        assert!(matches!(prepare[..], [Command::Prepare { resume: false, .. }]), "{prepare:?}");
        let commands = script.prepared();
        (script, commands)
    }

    fn trouble(&self) -> Failure {
        match self.transfer.outcome() {
            Some(Err(trouble)) => trouble.failure,
            other => panic!("{other:?}"),
        }
    }
}

fn reset() -> Result<(), Failure> {
    Err(Failure::Receive { errno: 104 })
}

fn opens(commands: &[Command]) -> usize {
    commands.iter().filter(|command| matches!(command, Command::Open { .. })).count()
}

#[test]
fn one_connection_is_one_plain_get() {
    // RT-08, CF-07, rule 7.
    let mut script = Script::new(policy(1));
    script.commands();
    let ask = script.opened(0);
    let [Command::Request { request, accept: Accept::Ask, .. }] = &ask[..] else {
        panic!("{ask:?}");
    };
    assert_eq!((&request.ask, &request.if_range), (&Ask::Whole, &None));
    script.answer(0, 0, head("200 OK", "Content-Length: 10\r\n"));
    let receive = script.prepared();
    assert!(matches!(&receive[..], [Command::Receive { span, .. }] if *span == (0..10)));
    script.wrote(0, 0, 0..10);
    let publish = script.ended(0, 0, Ok(()), true);
    assert!(matches!(publish[..], [Command::Close { .. }, Command::Publish { total: 10 }]));
    script.tell(Event::Store(StoreEvent::Published(Ok(()))));
    assert_eq!(script.transfer.outcome(), Some(Ok(())));
    assert_eq!(script.transfer.view().requests, 1);
}

#[test]
fn an_object_that_fits_takes_one_request() {
    let (mut script, commands) = Script::probed(policy(16), 1000);
    assert!(matches!(&commands[..], [Command::Receive { span, .. }] if *span == (0..1000)));
    script.wrote(0, 0, 0..1000);
    let publish = script.ended(0, 0, Ok(()), true);
    assert!(matches!(publish[..], [Command::Close { .. }, Command::Publish { total: 1000 }]));
}

#[test]
fn others_start_before_the_first_part_ends() {
    // RT-05, PG-12: in flight are as many as there are connections, the probe included.
    let (mut script, commands) = Script::probed(policy(4), 64 * MIB);
    assert_eq!(opens(&commands), 3, "{commands:?}");
    let ask = script.opened(1);
    let [Command::Request { request, accept: Accept::Part(expect), .. }] = &ask[..] else {
        panic!("{ask:?}");
    };
    assert_eq!(request.ask, Ask::Part(MIB..2 * MIB));
    assert_eq!(request.if_range.as_deref(), Some("\"a\""));
    assert_eq!((expect.range.clone(), expect.extent.complete), (MIB..2 * MIB, 64 * MIB));
}

#[test]
fn nothing_is_asked_after_a_failure_that_nothing_mends() {
    // RT-03, RT-04, RT-34, rule 12: the others are closed, their ends awaited, the first cause
    // told.
    let (mut script, _) = Script::probed(policy(4), 64 * MIB);
    script.opened(1);
    script.opened(2);
    let forbidden =
        Failure::Status { status: 403, reason: "Forbidden".to_owned(), retry_after: None };
    let closes = script.ended(1, 1, Err(forbidden.clone()), false);
    let all = closes.iter().all(|command| matches!(command, Command::Close { .. }));
    assert!(all && closes.len() == 3, "{closes:?}");
    assert_eq!(script.transfer.outcome(), None, "two attempts still run");
    assert!(script.wrote(0, 0, 0..1000).is_empty());
    assert!(script.ended(0, 0, reset(), false).is_empty());
    let last = script.ended(2, 2, Err(Failure::Cancelled { signal: 0 }), false);
    assert!(matches!(last[..], [Command::Abandon { keep: true }]), "{last:?}");
    assert_eq!(script.trouble(), forbidden);
    assert!(script.tell(Event::Stop(Failure::Cancelled { signal: 2 })).is_empty());
    assert_eq!(script.trouble(), forbidden, "a status outranks what was cancelled after it");
}

#[test]
fn a_retry_starts_at_the_first_missing_byte() {
    // RT-01, RT-02, OK-11.
    let (mut script, _) = Script::probed(policy(2), 2 * MIB);
    script.wrote(0, 0, 0..600_000);
    let again = script.ended(0, 0, reset(), false);
    assert_eq!(opens(&again), 1, "progress costs no delay: {again:?}");
    script.opened(1);
    let ask = script.opened(2);
    let [Command::Request { request, .. }] = &ask[..] else { panic!("{ask:?}") };
    let Ask::Part(range) = &request.ask else { panic!("{request:?}") };
    assert!(range.start >= 600_000, "{range:?}");
}

#[test]
fn a_late_error_after_every_byte_is_success() {
    // RT-23, LB-11, FS-33: even where nothing may be retried.
    for retries in [0, 5] {
        let (mut script, _) = Script::probed(Policy { retries, ..policy(4) }, 1000);
        script.wrote(0, 0, 0..1000);
        let publish = script.ended(0, 0, reset(), false);
        assert!(matches!(publish[..], [Command::Publish { total: 1000 }]), "{publish:?}");
    }
}

#[test]
fn a_body_that_is_longer_than_its_range_is_an_error_even_at_the_end() {
    // CF-06, PG-04.
    let (mut script, _) = Script::probed(policy(4), 1000);
    script.wrote(0, 0, 0..1000);
    let overlong = Failure::Http(crate::http::Error::Overlong);
    let end = script.ended(0, 0, Err(overlong.clone()), false);
    assert!(matches!(end[..], [Command::Abandon { .. }]), "{end:?}");
    assert_eq!(script.trouble(), overlong);
}

#[test]
fn a_stream_without_a_validator_starts_over_from_nothing() {
    // OK-13, RT-38: the counter is reset by the second Prepare.
    let mut script = Script::new(policy(1));
    script.commands();
    script.opened(0);
    script.answer(0, 0, head("200 OK", "Content-Length: 10\r\n"));
    script.prepared();
    script.wrote(0, 0, 0..7);
    script.ended(0, 0, reset(), false);
    script.now = script.transfer.next_timeout().expect("a delay");
    script.transfer.handle_timeout(script.now);
    assert!(matches!(script.commands()[..], [Command::Open { .. }]));
    let ask = script.opened(1);
    assert!(matches!(&ask[..], [Command::Request { request, .. }] if request.ask == Ask::Whole));
    let prepare = script.answer(1, 1, head("200 OK", "Content-Length: 5\r\n"));
    let of = Some(Extent::all(5));
    let anew =
        matches!(&prepare[..], [Command::Prepare { extent, resume: false, .. }] if *extent == of);
    assert!(anew, "{prepare:?}");
    assert_eq!(script.transfer.view().done, 0);
}

#[test]
fn a_stream_with_a_strong_validator_goes_on_where_it_broke() {
    let mut script = Script::new(policy(1));
    script.commands();
    script.opened(0);
    script.answer(0, 0, head("200 OK", "Content-Length: 100000\r\nETag: \"a\"\r\n"));
    script.prepared();
    script.wrote(0, 0, 0..70_000);
    script.ended(0, 0, reset(), false);
    let ask = script.opened(1);
    let [Command::Request { request, .. }] = &ask[..] else { panic!("{ask:?}") };
    assert_eq!(request.ask, Ask::Part(70_000..100_000));
    assert_eq!(request.if_range.as_deref(), Some("\"a\""));
    let receive = script.answer(1, 1, part(70_000..100_000, 100_000));
    assert!(matches!(&receive[..], [Command::Receive { span, .. }] if *span == (70_000..100_000)));
}

#[test]
fn a_refused_connect_is_tried_again_within_the_budget_alone() {
    let mut script = Script::new(Policy { retries: 2, ..policy(4) });
    let refused = || Failure::Connect {
        target: "a.test:80".to_owned(),
        reason: "refused".to_owned(),
        errno: 111,
    };
    for conn in 0..3 {
        let open = script.commands();
        assert!(matches!(open[..], [Command::Open { .. }]), "{conn}: {open:?}");
        script
            .transfer
            .handle(script.now, Event::Conn(Conn(conn), ConnEvent::Failed { failure: refused() }));
        if let Some(next) = script.transfer.next_timeout() {
            script.now = next;
            script.transfer.handle_timeout(next);
        }
    }
    let end = script.commands();
    assert!(matches!(end[..], [Command::Abandon { .. }]), "{end:?}");
    assert_eq!(script.trouble(), refused());
    assert!(script.now >= Duration::from_millis(1_000), "two delays: {:?}", script.now);
}

#[test]
fn a_retry_after_beyond_the_patience_fails_at_once() {
    // Contract 5 and 14. 300 s is what is waited for.
    for (after, fails) in [(301, true), (300, false)] {
        let mut script = Script::new(policy(4));
        script.commands();
        script.opened(0);
        script.answer(0, 0, head("503 Busy", &format!("Retry-After: {after}\r\n")));
        let end = script.ended(0, 0, Ok(()), false);
        if fails {
            assert!(matches!(end[..], [Command::Abandon { .. }]), "{end:?}");
            assert!(script.trouble().to_string().contains("retry after 301 s"));
        } else {
            assert_eq!(script.transfer.next_timeout(), Some(Duration::from_secs(300)));
        }
    }
}

#[test]
fn a_connection_too_many_is_not_a_failure() {
    // Contract 6, HT-09: the server takes two.
    let (mut script, _) = Script::probed(policy(4), 64 * MIB);
    script.wrote(0, 0, 0..1000);
    script.opened(1);
    script.opened(2);
    script.opened(3);
    assert!(script.ended(2, 2, reset(), false).is_empty(), "no new connection for it");
    let busy = Failure::Status { status: 503, reason: "Busy".to_owned(), retry_after: None };
    assert!(script.ended(3, 3, Err(busy), false).is_empty());
    assert_eq!(script.transfer.view().retries, 0);
    // What they were to fetch is fetched by the others, when its wait is over.
    script.wrote(0, 0, 1000..MIB);
    script.now = Duration::from_secs(1);
    let next = script.ended(0, 0, Ok(()), true);
    let [Command::Request { request, .. }] = &next[..] else { panic!("{next:?}") };
    assert_eq!(request.ask, Ask::Part(2 * MIB..3 * MIB));
    assert!(script.transfer.next_timeout().is_some(), "one more is tried some day");
}

#[test]
fn an_expired_url_is_resolved_again_once_for_all() {
    // HT-10.
    let mut script = Script::new(policy(4));
    script.commands();
    script.opened(0);
    script.answer(0, 0, head("302 Found", "Location: http://b.test/file?sig=1\r\n"));
    let over = script.ended(0, 0, Ok(()), true);
    assert!(matches!(over[..], [Command::Close { .. }, Command::Open { .. }]), "{over:?}");
    script.opened(1);
    script.answer(1, 1, part(0..MIB, 64 * MIB));
    let opens = script.prepared();
    assert!(opens.len() == 4, "{opens:?}");
    script.wrote(1, 1, 0..1000);
    script.opened(2);
    script.opened(3);
    let expired = || Err(Failure::Status { status: 403, reason: String::new(), retry_after: None });
    let ask = script.ended(2, 2, expired(), true);
    let [Command::Close { conn: Conn(2) }, Command::Open { conn, url, .. }] = &ask[..] else {
        panic!("{ask:?}");
    };
    assert_eq!(url.as_str(), "http://a.test/file");
    let conn = conn.0;
    assert!(!script.ended(3, 3, expired(), true).iter().any(|c| matches!(c, Command::Open { .. })));
    let ask = script.opened(conn);
    let [Command::Request { request, .. }] = &ask[..] else { panic!("{ask:?}") };
    assert_eq!(request.if_range.as_deref(), Some("\"a\""));
    assert_eq!(script.transfer.outcome(), None);
}

#[test]
fn the_time_for_everything_is_up_once() {
    // LB-20.
    let max = Some(Duration::from_secs(7));
    let mut script = Script::new(Policy { max_time: max, ..policy(4) });
    script.commands();
    assert_eq!(script.transfer.next_timeout(), max);
    script.now = Duration::from_secs(7);
    script.transfer.handle_timeout(script.now);
    let end = script.commands();
    assert!(matches!(end[..], [Command::Close { .. }, Command::Abandon { .. }]), "{end:?}");
    assert!(matches!(script.trouble(), Failure::Timeout { phase: Phase::Transfer, .. }));
    assert_eq!(script.transfer.next_timeout(), None);
}

#[test]
fn the_time_for_everything_is_up_even_if_an_event_comes_first() {
    let limit = Duration::from_secs(60);
    let policy = Policy { max_time: Some(limit), ..policy(4) };
    let (mut script, _) = Script::probed(policy, 10 * MIB);
    // Between the deadline and the shell's next look at the clock, bytes arrive.
    script.now = limit + Duration::from_millis(1);
    let end = script.wrote(0, 0, 0..1000);
    assert!(end.iter().any(|command| matches!(command, Command::Close { .. })), "{end:?}");
}

#[test]
fn what_is_too_large_is_refused_before_space_is_taken() {
    // CL-15.
    let mut script = Script::new(Policy { max_size: Some(10 * MIB), ..policy(4) });
    script.commands();
    script.opened(0);
    let close = script.answer(0, 0, part(0..MIB, 10 * MIB + 1));
    assert!(matches!(close[..], [Command::Close { .. }]), "{close:?}");
    script.ended(0, 0, reset(), false);
    assert!(matches!(script.trouble(), Failure::TooLarge { size: Some(_), .. }));
}

#[test]
fn a_stream_of_unknown_length_is_cut_off_at_the_limit() {
    let mut script = Script::new(Policy { max_size: Some(10), ..policy(1) });
    script.commands();
    script.opened(0);
    script.answer(0, 0, head("200 OK", "Transfer-Encoding: chunked\r\n"));
    script.prepared();
    assert!(script.wrote(0, 0, 0..10).is_empty());
    let close = script.wrote(0, 0, 10..11);
    assert!(matches!(close[..], [Command::Close { .. }]), "{close:?}");
}

#[test]
fn a_range_that_is_ignored_is_asked_for_four_times() {
    // PG-17, HT-08, FS-14.
    let (mut script, _) = Script::probed(policy(2), 2 * MIB);
    script.opened(1);
    let ignored = || Failure::Range(RangeFault::Ignored);
    let mut asked = 1;
    let mut conn = 1;
    loop {
        let mut commands = script.ended(conn, conn, Err(ignored()), false);
        while !commands.iter().any(|c| matches!(c, Command::Open { .. } | Command::Close { .. })) {
            script.now = script.transfer.next_timeout().expect("a delay");
            script.transfer.handle_timeout(script.now);
            commands = script.commands();
        }
        let Some(open) = commands.iter().find_map(|c| match c {
            Command::Open { conn, .. } => Some(*conn),
            _ => None,
        }) else {
            break;
        };
        script.opened(open.0);
        conn = open.0;
        asked += 1;
    }
    assert_eq!(asked, 4);
    script.ended(0, 0, reset(), false);
    assert_eq!(script.trouble(), ignored());
}

#[test]
fn a_stop_while_the_name_is_made_waits_for_the_store() {
    let (mut script, _) = Script::probed(policy(4), 1000);
    script.wrote(0, 0, 0..1000);
    script.ended(0, 0, Ok(()), true);
    let stop = Failure::Cancelled { signal: 2 };
    assert!(script.tell(Event::Stop(stop.clone())).is_empty());
    assert_eq!(script.transfer.outcome(), None);
    let cancelled = Failure::Cancelled { signal: 0 };
    let end = script.tell(Event::Store(StoreEvent::Published(Err(cancelled))));
    assert!(matches!(end[..], [Command::Abandon { keep: true }]), "{end:?}");
    assert_eq!(script.trouble(), stop);
}
