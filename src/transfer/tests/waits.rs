//! Scripts about waits: of an origin that wants more time, and of a part that was refused
//! (contract 14).

use super::*;
use crate::http::field::{HttpDate, RetryAfter};

fn busy(status: u16, after: Option<u64>) -> Failure {
    let retry_after = after.map(RetryAfter::Seconds);
    Failure::Status { status, reason: "Busy".to_owned(), retry_after }
}

pub(super) fn asked(commands: &[Command]) -> Vec<(u64, u64, Range<u64>)> {
    let part = |command: &Command| match command {
        Command::Request { conn, attempt, request, .. } => match &request.ask {
            Ask::Part(range) => Some((conn.0, attempt.0, range.clone())),
            Ask::Whole | Ask::From(_) | Ask::Last(_) => None,
        },
        _ => None,
    };
    commands.iter().filter_map(part).collect()
}

/// Connections at work on a part of 64 MiB each, all of which have brought something.
fn at_work(policy: Policy) -> Script {
    let policy = Policy { part_size: Some(16 * MIB), first_part: 16 * MIB, ..policy };
    let count = super::plan::most(&policy) as u64;
    let mut script = Script::new(policy);
    script.commands();
    script.opened(0);
    script.answer(0, 0, part(0..16 * MIB, 1024 * MIB));
    script.prepared();
    script.wrote(0, 0, 0..1000);
    for conn in 1..count {
        let [(_, attempt, range)] = &asked(&script.opened(conn))[..] else { panic!("no part") };
        script.wrote(conn, *attempt, range.start..range.start + 1000);
    }
    script
}

impl Script {
    /// Everything that is commanded until then.
    pub(super) fn until(&mut self, then: Duration) -> Vec<Command> {
        let mut commands = self.commands();
        while let Some(next) = self.transfer.next_timeout().filter(|next| *next <= then) {
            self.now = next;
            self.transfer.handle_timeout(next);
            commands.extend(self.commands());
        }
        self.now = then;
        commands
    }
}

#[test]
fn a_wait_is_of_the_origin_and_not_of_the_connection() {
    for (unproven, status) in [(false, 503), (true, 503), (false, 429), (false, 500)] {
        let mut script = at_work(policy(3));
        let refused = if unproven {
            // A connection of its own, which never brought anything.
            script.ended(2, 2, Ok(()), false);
            let conn = 3;
            let [(_, attempt, _)] = &asked(&script.opened(conn))[..] else { panic!("no part") };
            script.ended(conn, *attempt, Err(busy(status, Some(2))), true)
        } else {
            script.ended(2, 2, Err(busy(status, Some(2))), true)
        };
        assert!(asked(&refused).is_empty() && opens(&refused) == 0, "{refused:?}");
        // What is in flight goes on, and what is done meanwhile is followed by nothing.
        script.wrote(0, 0, 1000..16 * MIB);
        let next = script.ended(0, 0, Ok(()), true);
        assert!(asked(&next).is_empty() && opens(&next) == 0, "{next:?}");
        let early = script.until(Duration::from_millis(1999));
        assert!(asked(&early).is_empty() && opens(&early) == 0, "{early:?}");
        let due = script.until(Duration::from_secs(2));
        assert!(!asked(&due).is_empty(), "{status}: {due:?}");
    }
}

#[test]
fn a_wait_that_is_too_long_fails_at_its_first_sight() {
    for (policy, after, limit) in [
        (policy(3), 301, Patience::Wait),
        (Policy { retry_after_max: Duration::from_secs(1), ..policy(3) }, 2, Patience::Wait),
        (Policy { retry_all: true, ..policy(3) }, 301, Patience::Wait),
        (Policy { max_time: Some(Duration::from_secs(9)), ..policy(3) }, 10, Patience::Transfer),
        (
            Policy { retry_max_time: Some(Duration::from_secs(9)), ..policy(3) },
            10,
            Patience::Retries,
        ),
    ] {
        let mut script = at_work(policy);
        script.ended(2, 2, Err(busy(503, Some(after))), true);
        let Some(trouble) = script.transfer.trouble() else { panic!("{after} is waited for") };
        let asked = Duration::from_secs(after);
        assert_eq!(trouble.failure, Failure::Patience { status: 503, asked, limit });
    }
}

#[test]
fn a_date_without_a_date_is_by_our_own_clock() {
    let clock = Some(HttpDate(1_000_000));
    for (clock, due) in [(clock, Some(Duration::from_secs(10))), (None, None)] {
        let mut script = at_work(Policy { clock, ..policy(3) });
        script.now = Duration::from_secs(3);
        let after = Some(RetryAfter::Date(HttpDate(1_000_010)));
        let failure = Failure::Status { status: 503, reason: String::new(), retry_after: after };
        script.ended(2, 2, Err(failure), true);
        let commands = script.until(Duration::from_millis(9_999));
        let acts = |commands: &[Command]| !asked(commands).is_empty() || opens(commands) > 0;
        assert_eq!(acts(&commands), due.is_none(), "{commands:?}");
        assert!(due.is_none_or(|due| acts(&script.until(due))));
    }
}

#[test]
fn a_refused_part_waits_for_its_time_and_not_for_a_connection() {
    for (status, reusable) in [(500, true), (500, false), (503, true), (503, false), (408, true)] {
        let mut script = at_work(policy(3));
        let refused = script.ended(2, 2, Err(busy(status, None)), reusable);
        assert!(asked(&refused).iter().all(|(.., range)| range.start != 32 * MIB + 1000));
        // Whatever the others do meanwhile, they do not take its place.
        let mut commands = script.wrote(0, 0, 1000..2000);
        commands.extend(script.wrote(1, 1, 16 * MIB + 1000..16 * MIB + 2000));
        commands.extend(script.until(Duration::from_secs(1)));
        for conn in 3..6 {
            commands.extend(script.opened(conn));
        }
        let again = asked(&commands);
        let found = again.iter().any(|(.., range)| range.start == 32 * MIB + 1000);
        assert!(found, "{status} {reusable}: {commands:?}");
    }
}

#[test]
fn a_part_that_is_never_served_ends_the_run_however_much_the_others_move() {
    for failure in
        [busy(500, None), busy(503, None), Failure::Stale, Failure::Receive { errno: 104 }]
    {
        let mut script = at_work(Policy { retries: 2, ..policy(3) });
        let (mut conn, mut attempt, mut at, mut tries) = (2, 2, 1000, 0);
        while script.transfer.trouble().is_none() {
            tries += 1;
            assert!(tries < 9, "{failure:?}");
            let mut commands = script.ended(conn, attempt, Err(failure.clone()), false);
            let from = 32 * MIB + 1000;
            for _ in 0..200 {
                at += 1;
                commands.extend(script.wrote(0, 0, at - 1..at));
                if let Some((c, a, _)) =
                    asked(&commands).into_iter().find(|(.., r)| r.start == from)
                {
                    (conn, attempt) = (c, a);
                    break;
                }
                let open = commands.iter().find_map(|command| match command {
                    Command::Open { conn, .. } => Some(conn.0),
                    _ => None,
                });
                commands = match open {
                    Some(conn) => script.opened(conn),
                    None => script.until(script.now + Duration::from_millis(100)),
                };
                if script.transfer.trouble().is_some() {
                    break;
                }
            }
        }
        assert_eq!(script.transfer.trouble().map(|t| t.failure.clone()), Some(failure.clone()));
        assert!(tries <= 4, "{failure:?}: asked {tries} times");
    }
}

#[test]
fn nothing_is_announced_that_no_answer_made_true() {
    let mut script = Script::new(policy(4));
    script.commands();
    script.opened(0);
    assert!(!script.transfer.view().discovered);
    let not_found = || head("404 Not Found", "Content-Length: 0\r\n");
    script.answer(0, 0, not_found());
    script.ended(0, 0, Ok(()), true);
    script.answer(0, 1, not_found());
    let view = script.transfer.view();
    assert!(!view.discovered);
    assert_eq!(view.activity, Activity::Ending);

    let finished = Some(Finished { size: 10, validator: "\"a\"".to_owned() });
    let mut script = Script::new(Policy { finished, ..policy(4) });
    script.commands();
    script.opened(0);
    script.answer(0, 0, head("304 Not Modified", "ETag: \"a\"\r\n"));
    assert!(!script.transfer.view().discovered);
    assert_ne!(script.transfer.view().activity, Activity::Downloading);
    script.ended(0, 0, Ok(()), true);
    assert!(!script.transfer.view().discovered);

    let (script, _) = Script::probed(policy(4), 10 * MIB);
    let view = script.transfer.view();
    assert!(view.discovered);
    assert_eq!(view.activity, Activity::Downloading);
}

#[test]
fn what_follows_a_refused_part_does_not_wait_with_it() {
    let mut script = at_work(policy(3));
    let refused = script.ended(2, 2, Err(busy(500, None)), true);
    assert!(asked(&refused).is_empty(), "its connection is kept for it: {refused:?}");
    script.wrote(0, 0, 1000..16 * MIB);
    let next = asked(&script.ended(0, 0, Ok(()), true));
    assert!(matches!(&next[..], [(_, _, range)] if range.start == 48 * MIB), "{next:?}");
}

/// Two connections at work, and a third one on which a part is refused with `failure`.
fn turned_away(policy: Policy, failure: Failure) -> (Script, Vec<Command>) {
    let mut script = Script::new(Policy { part_size: Some(16 * MIB), ..policy });
    script.commands();
    script.opened(0);
    script.answer(0, 0, part(0..MIB, 1024 * MIB));
    script.prepared();
    script.wrote(0, 0, 0..1000);
    script.opened(1);
    script.wrote(1, 1, MIB..MIB + 1000);
    script.opened(2);
    let commands = script.ended(2, 2, Err(failure), false);
    (script, commands)
}

#[test]
fn a_part_that_failed_before_is_not_excused_by_a_connection_too_many() {
    let (mut script, mut commands) = turned_away(policy(3), busy(500, None));
    commands.extend(script.until(Duration::from_secs(1)));
    assert_eq!(opens(&commands), 1);
    let [(conn, attempt, range)] = &asked(&script.opened(3))[..] else { panic!("no part") };
    assert_eq!(range.start, 17 * MIB);
    script.ended(*conn, *attempt, Err(busy(503, None)), false);
    assert_eq!(script.transfer.view().retries, 2);
}

#[test]
fn a_part_that_was_turned_away_is_asked_of_a_connection_that_is_not_too_many() {
    let at = |commands: &[Command]| asked(commands).first().map(|(.., range)| range.start);
    let closes = |commands: &[Command]| {
        commands.iter().filter(|command| matches!(command, Command::Close { .. })).count()
    };
    for failure in [busy(503, None), busy(429, Some(1)), Failure::Receive { errno: 104 }] {
        // One that is done takes it when its wait is over, and not before.
        let (mut script, commands) = turned_away(policy(3), failure.clone());
        assert!(asked(&commands).is_empty() && opens(&commands) == 0, "{commands:?}");
        assert_eq!(script.transfer.view().retries, 0, "{failure:?}");
        script.wrote(0, 0, 1000..MIB);
        script.now = Duration::from_secs(2);
        let next = script.ended(0, 0, Ok(()), true);
        assert_eq!(at(&next), Some(17 * MIB), "{failure:?}: {next:?}");
        // Where all are busy, one of them makes room for another: once.
        let (mut script, mut commands) = turned_away(policy(3), failure.clone());
        commands.extend(script.until(Duration::from_millis(1500)));
        assert_eq!((closes(&commands), opens(&commands)), (1, 1), "{failure:?}: {commands:?}");
        let next = script.opened(3);
        assert_eq!(at(&next), Some(17 * MIB), "{failure:?}: {next:?}");
        let calm = script.until(Duration::from_secs(4));
        assert_eq!((closes(&calm), opens(&calm)), (0, 0), "{calm:?}");
    }
    // The last time that it may be asked for is not spent where it may be turned away.
    let (mut script, mut commands) =
        turned_away(Policy { retries: 1, ..policy(3) }, busy(503, None));
    commands.extend(script.until(Duration::from_secs(4)));
    assert_eq!((closes(&commands), opens(&commands)), (0, 0), "{commands:?}");
}

#[test]
fn parts_that_were_turned_away_take_nothing_from_the_others() {
    // A connection that was on its way may be one too many, too: it is not asked for such a part.
    let (mut script, _) = turned_away(policy(4), busy(503, None));
    script.until(Duration::from_secs(2));
    let next = asked(&script.opened(3));
    assert!(matches!(&next[..], [(3, _, range)] if range.start == 33 * MIB), "{next:?}");
    // Nor are those that there are kept for it.
    let (mut script, _) = turned_away(policy(4), busy(503, None));
    script.opened(3);
    script.ended(3, 3, Err(busy(503, None)), false);
    script.wrote(0, 0, 1000..MIB);
    let next = asked(&script.ended(0, 0, Ok(()), true));
    assert!(matches!(&next[..], [(0, _, range)] if range.start == 49 * MIB), "{next:?}");
    // Two wait, and one tells what is wrong: no other connection makes room meanwhile.
    script.wrote(0, 4, 49 * MIB..49 * MIB + 1000);
    let commands = script.until(Duration::from_secs(2));
    assert_eq!(opens(&commands), 1, "{commands:?}");
    let mut commands = script.opened(4);
    commands.extend(script.until(Duration::from_secs(4)));
    assert_eq!(opens(&commands), 0, "{commands:?}");
}

#[test]
fn the_wait_that_comes_with_a_part_is_obeyed() {
    let mut script = at_work(policy(3));
    let after = "Retry-After: 2\r\nContent-Length: 0\r\n";
    assert!(script.answer(2, 2, head("206 P", after)).is_empty(), "no word is awaited");
    script.wrote(0, 0, 1000..16 * MIB);
    let next = script.ended(0, 0, Ok(()), true);
    assert!(asked(&next).is_empty() && opens(&next) == 0, "{next:?}");
    let early = script.until(Duration::from_millis(1999));
    assert!(asked(&early).is_empty(), "{early:?}");
    assert!(!asked(&script.until(Duration::from_secs(2))).is_empty());
}
