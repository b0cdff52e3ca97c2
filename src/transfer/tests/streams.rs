//! Scripts about streams: what is asked for is never further ahead than there is room.

use super::{
    places::{request, span},
    *,
};

const TOTAL: u64 = 64 * MIB;

/// Two connections and a window of four parts.
fn windowed() -> Policy {
    Policy { window: Some(4 * MIB), part_size: Some(MIB), ..policy(2) }
}

/// The second connection has its part, too.
fn started(policy: Policy) -> Script {
    let (mut script, commands) = Script::probed(policy, TOTAL);
    assert!(matches!(commands[..], [Command::Receive { .. }, Command::Open { conn: Conn(1), .. }]));
    assert_eq!(asked(&script.opened(1)), Some((1, MIB..2 * MIB)));
    script
}

fn asked(commands: &[Command]) -> Option<(u64, Range<u64>)> {
    let is_request = |command: &&Command| matches!(command, Command::Request { .. });
    let one: Vec<_> = commands.iter().filter(is_request).cloned().collect();
    if one.is_empty() {
        return None;
    }
    let (conn, _, ask, _) = request(&one);
    Some((conn, span(&ask)))
}

fn brought(script: &mut Script, conn: u64, attempt: u64, range: Range<u64>) -> Vec<Command> {
    script.wrote(conn, attempt, range);
    script.ended(conn, attempt, Ok(()), true)
}

fn consumed(script: &mut Script, to: u64) -> Vec<Command> {
    script.tell(Event::Store(StoreEvent::Consumed { to }))
}

#[test]
fn what_is_asked_for_has_its_room() {
    let mut script = started(windowed());
    let commands = brought(&mut script, 1, 1, MIB..2 * MIB);
    assert_eq!(asked(&commands), Some((1, 2 * MIB..3 * MIB)));
    // A part may be half as long again as is usual, so the fourth has to wait.
    assert_eq!(brought(&mut script, 1, 2, 2 * MIB..3 * MIB).len(), 0);
    script.now += Duration::from_secs(600);
    script.transfer.handle_timeout(script.now);
    assert_eq!(script.commands().len(), 0, "a consumer that stops is nobody's fault");
    script.wrote(0, 0, 0..MIB);
    assert_eq!(asked(&consumed(&mut script, MIB / 4)), None);
    assert_eq!(asked(&consumed(&mut script, MIB)), Some((1, 3 * MIB..4 * MIB)));
}

#[test]
fn a_slow_consumer_is_no_reason_for_more_connections() {
    let auto = Policy { connections: Connections::Auto { max: 16 }, ..windowed() };
    let (mut script, _) = Script::probed(auto, TOTAL);
    script.now = Duration::from_millis(1);
    let mut commands = brought(&mut script, 0, 0, 0..MIB);
    // One connection has filled the window long ago.
    while let Some((_, span)) = asked(&commands) {
        let attempt = span.start / (MIB / 2) - 1;
        commands = brought(&mut script, 0, attempt, span);
    }
    for _ in 0..50 {
        let Some(next) = script.transfer.next_timeout() else { return };
        script.now = next;
        script.transfer.handle_timeout(next);
        assert_eq!(script.commands().len(), 0);
    }
}

#[test]
fn what_was_idle_is_as_dead_as_the_first_that_is_tried() {
    let mut script = started(windowed());
    brought(&mut script, 1, 1, MIB..2 * MIB);
    brought(&mut script, 1, 2, 2 * MIB..3 * MIB);
    brought(&mut script, 0, 0, 0..MIB);
    let commands = consumed(&mut script, MIB);
    let (conn, _) = asked(&commands).expect("there is room for one");
    let Some(Command::Request { attempt, .. }) = commands.first() else { panic!("{commands:?}") };
    let other = 1 - conn;
    let commands = script.ended(conn, attempt.0, Err(Failure::Stale), false);
    let closes = |command: &Command| matches!(command, Command::Close { conn } if conn.0 == other);
    assert!(commands.iter().any(closes), "{commands:?}");
    assert!(commands.iter().any(|command| matches!(command, Command::Open { .. })), "{commands:?}");
    assert_eq!(asked(&script.opened(2)), Some((2, 3 * MIB..4 * MIB)));
}

#[test]
fn what_was_handed_on_does_not_begin_anew() {
    for emitted in [0, MIB] {
        let mut script = started(Policy { restart_on_change: true, ..windowed() });
        script.wrote(0, 0, 0..MIB);
        consumed(&mut script, emitted);
        let changed = Failure::Changed(ChangedHow::Precondition);
        script.ended(1, 1, Err(changed.clone()), false);
        script.ended(0, 0, Err(Failure::Cancelled { signal: 0 }), false);
        let outcome = script.transfer.outcome();
        assert_eq!(outcome.is_some(), emitted > 0, "{outcome:?}");
        if emitted > 0 {
            assert_eq!(script.trouble(), changed);
        }
    }
}

#[test]
fn a_publication_that_waits_for_its_consumer_can_be_withheld() {
    let (mut script, _) =
        Script::probed(Policy { max_time: Some(Duration::from_secs(9)), ..windowed() }, MIB);
    script.wrote(0, 0, 0..MIB);
    let commands = script.ended(0, 0, Ok(()), true);
    assert!(matches!(commands[..], [Command::Close { .. }, Command::Publish { .. }]));
    assert_eq!(script.transfer.next_timeout(), Some(Duration::from_secs(9)));
    script.now = Duration::from_secs(9);
    script.transfer.handle_timeout(script.now);
    assert!(matches!(script.commands()[..], [Command::Withhold]));
    let cancelled = Failure::Cancelled { signal: 0 };
    let commands = script.tell(Event::Store(StoreEvent::Published(Err(cancelled))));
    assert!(matches!(commands[..], [Command::Abandon { .. }]));
    assert!(matches!(script.trouble(), Failure::Timeout { phase: Phase::Transfer, .. }));
}
