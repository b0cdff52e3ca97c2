//! Scripts about mirrors: bytes of two objects never meet in one file (contract 13).

use super::*;
use crate::http::request::Request;

pub(super) const OLD: &str = "Last-Modified: Wed, 01 Jan 2020 00:00:00 GMT\r\n";
pub(super) const NEW: &str = "Last-Modified: Fri, 01 May 2020 00:00:00 GMT\r\n";
pub(super) const DATE: &str = "Date: Mon, 01 Jan 2024 00:00:00 GMT\r\n";

fn mirrored(connections: usize) -> Policy {
    let mirror = Url::parse("http://b.test/file").expect("a URL");
    Policy { mirrors: vec![mirror], ..policy(connections) }
}

/// A part of an object with these fields.
pub(super) fn piece(range: Range<u64>, total: u64, fields: &str) -> Head {
    let (first, last, length) = (range.start, range.end - 1, range.end - range.start);
    let range = format!("Content-Range: bytes {first}-{last}/{total}\r\n");
    head("206 P", &format!("{range}Content-Length: {length}\r\n{DATE}{fields}"))
}

pub(super) fn request(commands: &[Command]) -> (u64, u64, Request, Accept) {
    let found = commands.iter().find_map(|command| match command {
        Command::Request { conn, attempt, request, accept } => {
            Some((conn.0, attempt.0, request.clone(), accept.clone()))
        }
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no request: {commands:?}"))
}

pub(super) fn span(request: &Request) -> Range<u64> {
    match &request.ask {
        Ask::Part(range) => range.clone(),
        other => panic!("{other:?}"),
    }
}

pub(super) fn opened_to(commands: &[Command]) -> Option<(u64, String)> {
    commands.iter().find_map(|command| match command {
        Command::Open { conn, url, .. } => Some((conn.0, url.host_str()?.to_owned())),
        _ => None,
    })
}

pub(super) fn is_skip(commands: &[Command]) -> bool {
    commands.iter().any(|command| matches!(command, Command::Skip { .. }))
}

pub(super) fn receives(commands: &[Command]) -> Option<Range<u64>> {
    commands.iter().find_map(|command| match command {
        Command::Receive { span, .. } => Some(span.clone()),
        _ => None,
    })
}

impl Script {
    /// The first place has answered with these fields, and the mirror is asked for the next part.
    fn scouting(policy: Policy, ours: &str) -> (Self, u64, Range<u64>) {
        let mut script = Self::new(policy);
        script.commands();
        script.opened(0);
        script.answer(0, 0, piece(0..MIB, 8 * MIB, ours));
        let open = opened_to(&script.prepared());
        assert_eq!(open, Some((1, "b.test".to_owned())), "the mirror has its share");
        let (conn, attempt, ask, accept) = request(&script.opened(1));
        assert_eq!((conn, accept, ask.if_range.clone()), (1, Accept::Ask, None));
        let span = span(&ask);
        (script, attempt, span)
    }
}

#[test]
fn a_restart_forgets_what_a_mirror_said() {
    let policy = Policy { restart_on_change: true, ..mirrored(2) };
    let (mut script, attempt, span) = Script::scouting(policy, "ETag: \"v1\"\r\n");
    let receive = script.answer(1, attempt, piece(span, 8 * MIB, "ETag: \"v1\"\r\n"));
    assert!(receives(&receive).is_some(), "{receive:?}");
    script.ended(0, 0, Err(Failure::Changed(ChangedHow::Validator)), false);
    let open = script.ended(1, attempt, reset(), false);
    assert_eq!(opened_to(&open), Some((2, "a.test".to_owned())));
    let (.., ask, _) = request(&script.opened(2));
    assert_eq!((ask.if_range.as_deref(), ask.ask), (None, Ask::Part(0..MIB)));
    script.answer(2, 2, piece(0..MIB, 8 * MIB, "ETag: \"v2\"\r\n"));
    let open = opened_to(&script.prepared());
    assert_eq!(open, Some((3, "b.test".to_owned())));
    // It has to say what it has before anything of it is believed, and it still has the old one.
    let (_, attempt, ask, accept) = request(&script.opened(3));
    assert_eq!((accept, ask.if_range.clone()), (Accept::Ask, None));
    let skip = script.answer(3, attempt, piece(self::span(&ask), 8 * MIB, "ETag: \"v1\"\r\n"));
    assert!(is_skip(&skip) && receives(&skip).is_none(), "{skip:?}");
}

#[test]
fn a_mirror_joins_in_if_it_has_the_same_object() {
    let (v1, v2, weak) = ("ETag: \"v1\"\r\n", "ETag: \"v2\"\r\n", "ETag: W/\"v1\"\r\n");
    for (ours, theirs, same) in [
        (v1.to_owned(), v1.to_owned(), true),
        (format!("{v1}{OLD}"), format!("{v2}{OLD}"), false),
        (format!("{v1}{OLD}"), OLD.to_owned(), true),
        (format!("{v1}{OLD}"), format!("{weak}{OLD}"), true),
        (format!("{v1}{OLD}"), NEW.to_owned(), false),
        (OLD.to_owned(), format!("{v2}{OLD}"), true),
        (v1.to_owned(), weak.to_owned(), false),
        (v1.to_owned(), String::new(), false),
    ] {
        let (mut script, attempt, span) = Script::scouting(mirrored(2), &ours);
        let answer = script.answer(1, attempt, piece(span.clone(), 8 * MIB, &theirs));
        assert_eq!(receives(&answer), same.then_some(span), "{ours:?} {theirs:?}");
        assert_eq!(is_skip(&answer), !same, "{ours:?} {theirs:?}");
    }
    // Where a digest will tell, or the user takes the risk, the length is enough.
    for lenient in
        [Policy { digest: true, ..mirrored(2) }, Policy { pin: Pin::None, ..mirrored(2) }]
    {
        let (mut script, attempt, span) = Script::scouting(lenient, v1);
        let receive = script.answer(1, attempt, piece(span, 8 * MIB, v2));
        assert!(receives(&receive).is_some(), "{receive:?}");
    }
}

#[test]
fn what_a_mirror_says_later_is_compared_with_what_it_said_first() {
    let (mut script, attempt, span) = Script::scouting(mirrored(2), OLD);
    script.answer(1, attempt, piece(span.clone(), 8 * MIB, &format!("ETag: \"m\"\r\n{OLD}")));
    script.wrote(1, attempt, span);
    let (conn, attempt, ask, accept) = request(&script.ended(1, attempt, Ok(()), true));
    assert_eq!((conn, ask.if_range.as_deref()), (1, Some("\"m\"")), "its own word, to itself");
    assert_eq!(accept, Accept::Ask, "its date ties it to the first place, and has to be there");
    // The first place is asked in its own words.
    script.wrote(0, 0, 0..MIB);
    let (conn, _, ask, _) = request(&script.ended(0, 0, Ok(()), true));
    assert_eq!((conn, ask.if_range.as_deref()), (0, Some("Wed, 01 Jan 2020 00:00:00 GMT")));
    // It changes: that is no failure of the run, and nothing is asked of it again.
    let changed = Err(Failure::Changed(ChangedHow::Validator));
    let after = script.ended(1, attempt, changed, true);
    assert!(script.transfer.trouble().is_none());
    assert!(
        !after.iter().any(|c| matches!(c, Command::Request { conn: Conn(1), .. })),
        "{after:?}"
    );
    assert_ne!(opened_to(&after).map(|(_, host)| host), Some("b.test".to_owned()));
}

#[test]
fn a_weak_tag_is_compared_and_not_sent_nor_is_the_date_beside_it() {
    // RFC 9110 section 13.1.5.
    let weak = format!("ETag: W/\"w\"\r\n{OLD}");
    let mut script = Script::new(policy(2));
    script.commands();
    script.opened(0);
    let prepare = script.answer(0, 0, piece(0..MIB, 8 * MIB, &weak));
    let [Command::Prepare { validators, .. }] = &prepare[..] else { panic!("{prepare:?}") };
    assert_eq!(validators.pin().as_deref(), Some("W/\"w\" Wed, 01 Jan 2020 00:00:00 GMT"));
    script.prepared();
    let (.., ask, accept) = request(&script.opened(1));
    assert_eq!(ask.if_range, None);
    let Accept::Part(expect) = accept else { panic!("{accept:?}") };
    let range = span(&ask);
    assert!(expect.check(&piece(range.clone(), 8 * MIB, &weak)).is_ok());
    for other in [
        format!("ETag: W/\"x\"\r\n{OLD}"),
        format!("ETag: W/\"w\"\r\n{NEW}"),
        "ETag: W/\"w\"\r\n".to_owned(),
        OLD.to_owned(),
        String::new(),
    ] {
        let checked = expect.check(&piece(range.clone(), 8 * MIB, &other));
        assert_eq!(checked, Err(Failure::Changed(ChangedHow::Validator)), "{other}");
    }
    // And so it is by a later run.
    let mut done = RangeSet::new();
    done.insert(0..MIB);
    let held = Held { total: 8 * MIB, complete: 8 * MIB, validator: validators.pin(), done };
    for (fields, same) in [(weak.as_str(), true), (OLD, false), ("ETag: W/\"w\"\r\n", false)] {
        let mut script = Script::resume(policy(2), Some(held.clone()));
        script.commands();
        let (.., ask, _) = request(&script.opened(0));
        assert_eq!((ask.if_range.clone(), span(&ask).start), (None, MIB));
        let answer = script.answer(0, 0, piece(span(&ask), 8 * MIB, fields));
        let resumed = matches!(answer[..], [Command::Prepare { resume: true, .. }]);
        assert_eq!(resumed, same, "{fields}: {answer:?}");
    }
}

/// One stream of a place that can tie no ranges together has brought half, and fails for good.
fn stream_fails(ours: &str, digest: bool) -> (Script, Vec<Command>) {
    let mut script = Script::new(Policy { retries: 0, digest, ..mirrored(4) });
    script.commands();
    script.opened(0);
    let whole = format!("Content-Length: {}\r\n{ours}", 4 * MIB);
    script.answer(0, 0, head("200 OK", &whole));
    script.prepared();
    script.wrote(0, 0, 0..MIB);
    let commands = script.ended(0, 0, reset(), false);
    assert_eq!(opened_to(&commands), Some((1, "b.test".to_owned())), "{commands:?}");
    let asks = script.opened(1);
    (script, asks)
}

#[test]
fn a_stream_that_fails_goes_on_elsewhere_if_it_can_be_the_same_object() {
    let (mut script, asks) = stream_fails(OLD, false);
    let (_, attempt, ask, accept) = request(&asks);
    assert_eq!((ask.if_range.clone(), accept), (None, Accept::Ask));
    assert_eq!(span(&ask), MIB..4 * MIB);
    let receive = script.answer(1, attempt, piece(MIB..4 * MIB, 4 * MIB, OLD));
    assert_eq!(receives(&receive), Some(MIB..4 * MIB), "{receive:?}");

    // Another object: the first place's own failure is reported, and nothing is written.
    let (mut script, asks) = stream_fails(OLD, false);
    let (_, attempt, ..) = request(&asks);
    let refused = script.answer(1, attempt, piece(MIB..4 * MIB, 4 * MIB, NEW));
    assert_eq!(receives(&refused), None, "{refused:?}");
    script.ended(1, attempt, Ok(()), false);
    assert_eq!(script.trouble(), Failure::Receive { errno: 104 });

    // Nothing tells: all of it comes from there.
    let (mut script, asks) = stream_fails("", false);
    let (_, attempt, ..) = request(&asks);
    script.answer(1, attempt, piece(MIB..4 * MIB, 4 * MIB, OLD));
    let open = script.ended(1, attempt, Ok(()), false);
    assert_eq!(opened_to(&open), Some((2, "b.test".to_owned())), "{open:?}");
    let (.., ask, _) = request(&script.opened(2));
    assert_eq!(ask.ask, Ask::Part(0..MIB));

    // A digest will tell.
    let (mut script, asks) = stream_fails("", true);
    let (_, attempt, ..) = request(&asks);
    let receive = script.answer(1, attempt, piece(MIB..4 * MIB, 4 * MIB, NEW));
    assert_eq!(receives(&receive), Some(MIB..4 * MIB), "{receive:?}");
}

#[test]
fn a_first_place_that_is_bad_from_the_start_has_its_mirror() {
    let not_found = || head("404 Not Found", "Content-Length: 0\r\n");
    for retries in [0, 5] {
        let mut script = Script::new(Policy { retries, ..mirrored(4) });
        script.commands();
        script.opened(0);
        script.answer(0, 0, not_found());
        script.ended(0, 0, Ok(()), true);
        script.answer(0, 1, not_found());
        let open = script.ended(0, 1, Ok(()), true);
        assert_eq!(opened_to(&open), Some((1, "b.test".to_owned())), "{open:?}");
        script.opened(1);
        let prepare = script.answer(1, 2, part(0..MIB, 8 * MIB));
        assert!(matches!(prepare[..], [Command::Prepare { .. }]), "{prepare:?}");
        assert_eq!(script.transfer.account().final_url.host_str(), Some("b.test"));
    }
}

#[test]
fn a_date_says_nothing_of_a_finished_file_elsewhere() {
    // A mirror that lags has not modified the file since, either.
    let validator = "Wed, 01 Jan 2020 00:00:00 GMT".to_owned();
    let finished = Some(Finished { size: 10, validator });
    let mut script = Script::new(Policy { finished, retries: 0, ..mirrored(4) });
    script.commands();
    let (.., ask, _) = request(&script.opened(0));
    assert!(ask.if_modified_since.is_some());
    script.ended(0, 0, reset(), false);
    let (.., ask, _) = request(&script.opened(1));
    assert_eq!((ask.if_modified_since, ask.if_none_match), (None, None));
}

/// Half of an object came from each place, under one tag.
fn complete(script: &mut Script, attempt: u64, span: Range<u64>) {
    script.answer(1, attempt, part(span.clone(), 2 * MIB));
    script.wrote(1, attempt, span);
    script.ended(1, attempt, Ok(()), true);
    script.wrote(0, 0, 0..MIB);
    let publish = script.ended(0, 0, Ok(()), true);
    assert!(publish.iter().any(|c| matches!(c, Command::Publish { .. })), "{publish:?}");
}

fn mismatch() -> Failure {
    Failure::Digest { algorithm: "sha256", expected: "a".to_owned(), actual: "b".to_owned() }
}

#[test]
fn what_came_from_a_mirror_that_lied_is_fetched_again_once() {
    let mut script = Script::new(Policy { digest: true, part_size: Some(MIB), ..mirrored(2) });
    script.commands();
    script.opened(0);
    script.answer(0, 0, part(0..MIB, 2 * MIB));
    script.prepared();
    let (_, attempt, ask, _) = request(&script.opened(1));
    complete(&mut script, attempt, span(&ask));
    let wrong = || Event::Store(StoreEvent::Published(Err(mismatch())));
    let again = script.tell(wrong());
    let [Command::Refetch { lost }] = &again[..] else { panic!("{again:?}") };
    assert_eq!(lost.iter().collect::<Vec<_>>(), [MIB..2 * MIB], "what the mirror brought");
    assert_eq!(script.transfer.view().done, MIB);
    let open = script.prepared();
    assert_eq!(opened_to(&open), Some((2, "a.test".to_owned())), "{open:?}");
    let (_, attempt, ask, _) = request(&script.opened(2));
    assert_eq!(span(&ask), MIB..2 * MIB);
    script.wrote(2, attempt, MIB..2 * MIB);
    let publish = script.ended(2, attempt, Ok(()), true);
    assert!(publish.iter().any(|c| matches!(c, Command::Publish { .. })), "{publish:?}");
    // Then it is the first place that has something else: all of it is asked of the mirror.
    let open = script.tell(wrong());
    assert_eq!(opened_to(&open), Some((3, "b.test".to_owned())), "{open:?}");
    let (_, attempt, ..) = request(&script.opened(3));
    let prepare = script.answer(3, attempt, part(0..MIB, MIB));
    assert!(matches!(prepare[..], [Command::Prepare { resume: false, .. }]), "{prepare:?}");
    script.prepared();
    script.wrote(3, attempt, 0..MIB);
    let publish = script.ended(3, attempt, Ok(()), true);
    assert!(publish.iter().any(|c| matches!(c, Command::Publish { .. })), "{publish:?}");
    let end = script.tell(wrong());
    assert!(matches!(end[..], [Command::Abandon { keep: false }]), "{end:?}");
    assert_eq!(script.trouble(), mismatch());
}

#[test]
fn a_first_place_that_has_something_else_gives_way_to_what_the_digest_names() {
    let mut script = Script::new(Policy { digest: true, ..mirrored(1) });
    script.commands();
    script.opened(0);
    script.answer(0, 0, head("200 OK", "Content-Length: 4\r\n"));
    script.prepared();
    script.wrote(0, 0, 0..4);
    script.ended(0, 0, Ok(()), true);
    let open = script.tell(Event::Store(StoreEvent::Published(Err(mismatch()))));
    assert_eq!(opened_to(&open), Some((1, "b.test".to_owned())), "{open:?}");
    let (_, attempt, ..) = request(&script.opened(1));
    script.answer(1, attempt, head("200 OK", "Content-Length: 9\r\n"));
    // What was handed on already cannot be taken back.
    let failed = Failure::CannotResume { reason: "it is gone".to_owned() };
    script.tell(Event::Store(StoreEvent::Prepared(Err(failed))));
    script.ended(1, attempt, reset(), false);
    assert_eq!(script.trouble(), mismatch());
}

#[test]
fn what_was_handed_on_cannot_be_fetched_again() {
    let mut script = Script::new(Policy { digest: true, part_size: Some(MIB), ..mirrored(2) });
    script.commands();
    script.opened(0);
    script.answer(0, 0, part(0..MIB, 2 * MIB));
    script.prepared();
    let (_, attempt, ask, _) = request(&script.opened(1));
    complete(&mut script, attempt, span(&ask));
    script.tell(Event::Store(StoreEvent::Published(Err(mismatch()))));
    let failed = Failure::CannotResume { reason: "it is gone".to_owned() };
    script.tell(Event::Store(StoreEvent::Prepared(Err(failed))));
    assert_eq!(script.trouble(), mismatch());
}

#[test]
fn a_journal_does_not_speak_for_a_mirror_that_proved_nothing() {
    // A later run without the digest must not build on what is there.
    let (v1, v2) = ("ETag: \"v1\"\r\n", "ETag: \"v2\"\r\n");
    for (policy, named) in [
        (mirrored(2), true),
        (Policy { digest: true, ..mirrored(2) }, false),
        (Policy { pin: Pin::None, ..mirrored(2) }, false),
        (Policy { digest: true, ..super::policy(2) }, true),
    ] {
        let mut script = Script::new(policy);
        script.commands();
        script.opened(0);
        let prepare = script.answer(0, 0, piece(0..MIB, 8 * MIB, v1));
        let [Command::Prepare { validators, .. }] = &prepare[..] else { panic!("{prepare:?}") };
        assert_eq!(validators.pin().is_some(), named);
    }
    let (mut script, attempt, span) =
        Script::scouting(Policy { pin: Pin::None, ..mirrored(2) }, v1);
    script.answer(1, attempt, piece(span, 8 * MIB, v2));
    script.tell(Event::Stop(Failure::Cancelled { signal: 2 }));
    script.ended(0, 0, reset(), false);
    let end = script.ended(1, attempt, reset(), false);
    assert!(matches!(end[..], [Command::Abandon { keep: false }]), "{end:?}");
}

#[test]
fn a_mirror_that_changes_under_a_redirect_is_another_object() {
    // Its URL after redirects expires; where it leads now must have what it had.
    let (mut script, attempt, span) = Script::scouting(mirrored(2), OLD);
    let moved = head("302 Found", "Location: http://c.test/1\r\nContent-Length: 0\r\n");
    assert!(is_skip(&script.answer(1, attempt, moved)));
    let open = script.ended(1, attempt, Ok(()), true);
    assert_eq!(opened_to(&open), Some((2, "c.test".to_owned())), "{open:?}");
    let (_, attempt, ask, _) = request(&script.opened(2));
    assert_eq!(self::span(&ask), span);
    let mine = format!("ETag: \"m\"\r\n{OLD}");
    assert!(receives(&script.answer(2, attempt, piece(span.clone(), 8 * MIB, &mine))).is_some());
    script.wrote(2, attempt, span);
    let (_, attempt, ..) = request(&script.ended(2, attempt, Ok(()), true));
    let gone = Failure::Status { status: 403, reason: String::new(), retry_after: None };
    let open = script.ended(2, attempt, Err(gone), true);
    assert_eq!(opened_to(&open), Some((3, "b.test".to_owned())), "{open:?}");
    let (_, attempt, ask, accept) = request(&script.opened(3));
    assert_eq!(accept, Accept::Ask, "it proves itself again");
    let other = format!("ETag: \"n\"\r\n{OLD}");
    let skip = script.answer(3, attempt, piece(self::span(&ask), 8 * MIB, &other));
    assert!(is_skip(&skip) && receives(&skip).is_none(), "{skip:?}");
}

#[test]
fn a_mirror_without_ranges_is_no_other_object_for_that() {
    // It refuses the rest, and what it sends whole must be the same object, too.
    for (theirs, same) in [(OLD, true), (NEW, false)] {
        let (mut script, asks) = stream_fails(OLD, false);
        let (_, attempt, ..) = request(&asks);
        let refuses = head("416 R", "Content-Length: 0\r\n");
        assert!(is_skip(&script.answer(1, attempt, refuses)));
        let (_, attempt, ask, _) = request(&script.ended(1, attempt, Ok(()), true));
        assert_eq!(ask.ask, Ask::Whole);
        let whole = format!("Content-Length: {}\r\n{theirs}", 4 * MIB);
        let answer = script.answer(1, attempt, head("200 OK", &whole));
        let anew = answer.iter().any(|c| matches!(c, Command::Prepare { resume: false, .. }));
        assert_eq!(anew, same, "{answer:?}");
        assert_eq!(is_skip(&answer) || !same, !same, "{answer:?}");
    }
}

#[test]
fn a_place_that_was_good_for_a_stream_alone_serves_no_ranges_later() {
    // Its date is a minute old: enough for one stream of it, not for ranges beside others'.
    let young = "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n";
    let mut script = Script::new(Policy { retries: 5, ..mirrored(4) });
    script.commands();
    script.opened(0);
    let whole = format!("Content-Length: {}\r\n{DATE}{young}", 64 * MIB);
    script.answer(0, 0, head("200 OK", &whole));
    script.prepared();
    script.wrote(0, 0, 0..MIB);
    // It fails again and again, and the mirror is asked, which has a tag.
    let (mut conn, mut attempt) = (0, 0);
    let open = loop {
        let mut commands = script.ended(conn, attempt, reset(), false);
        while opened_to(&commands).is_none() {
            script.now = script.transfer.next_timeout().expect("a delay");
            script.transfer.handle_timeout(script.now);
            commands = script.commands();
        }
        let (next, host) = opened_to(&commands).expect("it goes on");
        let asks = script.opened(next);
        if host == "b.test" {
            break asks;
        }
        let (c, a, ..) = request(&asks);
        (conn, attempt) = (c, a);
    };
    assert!(script.transfer.edition.is_new(0), "it has to prove itself");
    let (conn, attempt, ask, _) = request(&open);
    let from = span(&ask).start;
    let fields = format!("ETag: \"m\"\r\n{young}");
    let receive = script.answer(conn, attempt, piece(from..64 * MIB, 64 * MIB, &fields));
    assert_eq!(receives(&receive).map(|span| span.start), Some(from), "{receive:?}");
    // The first place may be looked at again, but has to prove itself, which it cannot.
    let back = receive.iter().find_map(|command| match command {
        Command::Open { conn, url, .. } if url.host_str() == Some("a.test") => Some(conn.0),
        _ => None,
    });
    if let Some(back) = back {
        let asks = script.opened(back);
        if let Some(Command::Request { accept, .. }) = asks.first() {
            assert_eq!(*accept, Accept::Ask);
        }
    }
}
