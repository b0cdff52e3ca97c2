//! Scripts about guards of which each is the last one: without it a file of two objects, an endless
//! run or a wait that is cut short passes every other test.

use super::{
    super::{
        probe::{Question, Ruling, Version, Wanted, judge},
        retry::{Budget, Charge},
    },
    places::{OLD, is_skip, opened_to, piece, receives, request, span},
    *,
};

/// A minute old at most: a date that proves nothing.
const YOUNG: &str = "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n";

fn mirrored(connections: usize) -> Policy {
    let mirror = Url::parse("http://b.test/file").expect("a URL");
    Policy { mirrors: vec![mirror], ..policy(connections) }
}

fn rest(asked: Range<u64>, total: Option<u64>, head: &Head) -> Ruling {
    let extent = total.map(Extent::all);
    let wanted = Wanted { extent: extent.as_ref(), ..Wanted::default() };
    judge(&Question::Rest { version: Version::Any, over: true }, &asked, &wanted, head)
}

/// The first place has said this, and the mirror is asked for the next part.
fn scouting(policy: Policy, ours: &str) -> (Script, u64, Range<u64>) {
    let mut script = Script::new(policy);
    script.commands();
    script.opened(0);
    script.answer(0, 0, piece(0..MIB, 8 * MIB, ours));
    script.prepared();
    let (_, attempt, ask, _) = request(&script.opened(1));
    (script, attempt, span(&ask))
}

/// Lets time pass until something is commanded.
fn next(script: &mut Script, mut commands: Vec<Command>) -> Vec<Command> {
    while commands.is_empty() {
        let Some(next) = script.transfer.next_timeout() else { break };
        script.now = next;
        script.transfer.handle_timeout(next);
        commands = script.commands();
    }
    commands
}

#[test]
fn the_rest_lies_where_it_was_asked_for() {
    let window = |range| Ruling::Fail(Failure::Range(RangeFault::Window(range)));
    for range in [400..1000, 600..1000, 0..500, 500..1001] {
        let told = rest(500..1000, Some(2000), &part(range.clone(), 2000));
        assert_eq!(told, window(range));
    }
    let short = rest(500..1000, Some(2000), &part(500..600, 2000));
    assert_eq!(short, Ruling::Part { range: 500..600, extent: Extent::all(2000) });
}

#[test]
fn a_refused_range_ends_the_object_only_where_it_ends() {
    // The length is not known: only a refusal that names what is there says that it is all.
    let refused = |total| head("416 R", &format!("Content-Range: bytes */{total}\r\n"));
    assert_eq!(rest(500..501, None, &refused(500)), Ruling::Complete { total: 500 });
    for total in [499, 501] {
        assert!(matches!(rest(500..501, None, &refused(total)), Ruling::Plain(_)), "{total}");
    }
}

#[test]
fn a_mirror_with_a_young_date_proves_nothing() {
    let ours = format!("ETag: \"v1\"\r\n{YOUNG}");
    let (mut script, attempt, span) = scouting(mirrored(2), &ours);
    let answer = script.answer(1, attempt, piece(span, 8 * MIB, YOUNG));
    assert!(is_skip(&answer) && receives(&answer).is_none(), "{answer:?}");
}

#[test]
fn a_mirror_that_is_asked_anew_says_what_it_said() {
    // Its tag was weak, and is gone: nothing but its own first word speaks against it.
    let weak = format!("ETag: W/\"m\"\r\n{OLD}");
    for (later, same) in [(weak.as_str(), true), (OLD, false)] {
        let (mut script, attempt, asked) = scouting(mirrored(2), OLD);
        script.answer(1, attempt, head("302 Found", "Location: http://c.test/1\r\n"));
        script.ended(1, attempt, Ok(()), true);
        let (_, attempt, ..) = request(&script.opened(2));
        script.answer(2, attempt, piece(asked.clone(), 8 * MIB, &weak));
        script.wrote(2, attempt, asked);
        let (_, attempt, ..) = request(&script.ended(2, attempt, Ok(()), true));
        let gone = Failure::Status { status: 403, reason: String::new(), retry_after: None };
        script.ended(2, attempt, Err(gone), true);
        let (_, attempt, ask, _) = request(&script.opened(3));
        let answer = script.answer(3, attempt, piece(span(&ask), 8 * MIB, later));
        assert_eq!(receives(&answer).is_some(), same, "{later}: {answer:?}");
    }
}

#[test]
fn a_place_that_is_asked_anew_does_not_change_its_tag() {
    // A date is all that its first answer named; a later one named a tag.
    for (tag, same) in [("\"a\"", true), ("\"b\"", false)] {
        let mut script = Script::new(policy(2));
        let tagged = |tag: &str, range| piece(range, 64 * MIB, &format!("ETag: {tag}\r\n{OLD}"));
        script.commands();
        script.opened(0);
        script.answer(0, 0, piece(0..MIB, 64 * MIB, OLD));
        script.prepared();
        script.wrote(0, 0, 0..MIB);
        let (conn, attempt, ask, _) = request(&script.ended(0, 0, Ok(()), true));
        assert!(receives(&script.answer(conn, attempt, tagged("\"a\"", span(&ask)))).is_some());
        let (conn, attempt, ..) = request(&script.opened(1));
        script.answer(conn, attempt, head("302 Found", "Location: http://a.test/2\r\n"));
        let (conn, attempt, ask, accept) = request(&script.ended(conn, attempt, Ok(()), true));
        assert_eq!(accept, Accept::Ask);
        let answer = script.answer(conn, attempt, tagged(tag, span(&ask)));
        assert_eq!(receives(&answer).is_some(), same, "{tag}: {answer:?}");
    }
}

#[test]
fn a_stand_in_with_another_length_is_no_kin() {
    let mut script = Script::new(Policy { retries: 0, ..mirrored(4) });
    script.commands();
    script.opened(0);
    script.answer(0, 0, head("200 OK", &format!("Content-Length: {}\r\n{OLD}", 4 * MIB)));
    script.prepared();
    script.wrote(0, 0, 0..MIB);
    script.ended(0, 0, reset(), false);
    let (_, attempt, ask, _) = request(&script.opened(1));
    assert_eq!(span(&ask), MIB..4 * MIB);
    let answer = script.answer(1, attempt, piece(MIB..4 * MIB, 5 * MIB, OLD));
    assert_eq!(receives(&answer), None, "{answer:?}");
    script.ended(1, attempt, Ok(()), false);
    assert_eq!(script.trouble(), Failure::Receive { errno: 104 }, "the first place's own");
}

#[test]
fn a_coded_stream_is_continued_nowhere() {
    let coded = "Content-Length: 100000\r\nContent-Encoding: gzip\r\nETag: \"a\"\r\n";
    for policy in [policy(1), Policy { retries: 0, ..mirrored(1) }] {
        let mut script = Script::new(policy);
        script.commands();
        script.opened(0);
        script.answer(0, 0, head("200 OK", coded));
        script.prepared();
        script.wrote(0, 0, 0..70_000);
        let after = script.ended(0, 0, reset(), false);
        let (conn, _) = opened_to(&next(&mut script, after)).expect("another connection");
        let (.., ask, _) = request(&script.opened(conn));
        assert_eq!((ask.ask, ask.if_range), (Ask::Whole, None));
    }
}

#[test]
fn what_nothing_proves_is_not_built_on() {
    for (digest, from) in [(false, 0), (true, MIB)] {
        let mut done = RangeSet::new();
        done.insert(0..MIB);
        let held = Held { total: 8 * MIB, complete: 8 * MIB, done, validator: None };
        let mut script = Script::resume(Policy { digest, ..policy(4) }, Some(held));
        script.commands();
        let (.., ask, _) = request(&script.opened(0));
        assert_eq!(span(&ask).start, from);
    }
}

#[test]
fn a_304_of_a_mirror_says_nothing_of_a_file_under_a_date() {
    let validator = "Wed, 01 Jan 2020 00:00:00 GMT".to_owned();
    let finished = Some(Finished { size: 10, validator });
    let mut script = Script::new(Policy { finished, retries: 0, ..mirrored(4) });
    script.commands();
    script.opened(0);
    script.ended(0, 0, reset(), false);
    let (_, attempt, ..) = request(&script.opened(1));
    script.answer(1, attempt, head("304 Not Modified", ""));
    script.ended(1, attempt, Ok(()), false);
    assert!(matches!(script.transfer.outcome(), Some(Err(_))));
}

fn mismatch() -> Failure {
    let (expected, actual) = ("a".to_owned(), "b".to_owned());
    Failure::Digest { algorithm: "sha256", expected, actual }
}

/// The mirror has brought most of an object, and everything is there.
fn brought_by_a_mirror(mirrors: &[&str]) -> Script {
    let mirrors = mirrors.iter().map(|url| Url::parse(url).expect("a URL")).collect();
    let policy = Policy { digest: true, part_size: Some(3 * MIB), first_part: MIB, ..policy(2) };
    let policy = Policy { mirrors, ..policy };
    let mut script = Script::new(policy);
    script.commands();
    script.opened(0);
    script.answer(0, 0, part(0..MIB, 7 * MIB));
    script.prepared();
    let (mut attempt, mut asked) = {
        let (_, attempt, ask, _) = request(&script.opened(1));
        (attempt, span(&ask))
    };
    script.answer(1, attempt, part(asked.clone(), 7 * MIB));
    loop {
        script.wrote(1, attempt, asked.clone());
        if asked.end == 7 * MIB {
            break;
        }
        let (_, again, ask, _) = request(&script.ended(1, attempt, Ok(()), true));
        (attempt, asked) = (again, span(&ask));
    }
    script.ended(1, attempt, Ok(()), true);
    script.wrote(0, 0, 0..MIB);
    let publish = script.ended(0, 0, Ok(()), true);
    assert!(publish.iter().any(|c| matches!(c, Command::Publish { .. })), "{publish:?}");
    script
}

#[test]
fn a_mirror_that_lied_is_not_asked_for_what_is_fetched_again() {
    let mut script = brought_by_a_mirror(&["http://b.test/file"]);
    let again = script.tell(Event::Store(StoreEvent::Published(Err(mismatch()))));
    assert!(matches!(again[..], [Command::Refetch { .. }]), "{again:?}");
    let mut commands = script.prepared();
    assert_eq!(opens(&commands), 2, "{commands:?}");
    let to = |command: &Command| match command {
        Command::Open { url, .. } => url.host_str().map(str::to_owned),
        _ => None,
    };
    for host in commands.drain(..).filter_map(|command| to(&command)) {
        assert_eq!(host, "a.test");
    }
}

#[test]
fn only_a_wrong_digest_fetches_anything_again() {
    let mut script = brought_by_a_mirror(&["http://b.test/file"]);
    let full = Failure::Cancelled { signal: 0 };
    let end = script.tell(Event::Store(StoreEvent::Published(Err(full.clone()))));
    assert!(matches!(end[..], [Command::Abandon { .. }]), "{end:?}");
    assert_eq!(script.trouble(), full);
}

#[test]
fn a_fresh_start_waits_for_the_store() {
    let mut script = Script::new(Policy { restart_on_change: true, ..policy(4) });
    script.commands();
    script.opened(0);
    script.answer(0, 0, part(0..MIB, 8 * MIB));
    let changed = Failure::Changed(ChangedHow::Validator);
    let early = script.ended(0, 0, Err(changed), false);
    assert_eq!(opens(&early), 0, "it still makes the old part file ready: {early:?}");
    let open = script.prepared();
    assert_eq!(opens(&open), 1, "{open:?}");
    assert!(script.transfer.trouble().is_none());
}

#[test]
fn a_second_change_is_an_error() {
    let changed = || Failure::Changed(ChangedHow::Validator);
    let (mut script, _) = Script::probed(Policy { restart_on_change: true, ..policy(4) }, MIB);
    let open = script.ended(0, 0, Err(changed()), false);
    let (conn, _) = opened_to(&open).expect("one fresh start");
    let (_, attempt, ..) = request(&script.opened(conn));
    script.answer(conn, attempt, part(0..MIB, MIB));
    script.prepared();
    script.ended(conn, attempt, Err(changed()), false);
    assert_eq!(script.trouble(), changed());
}

#[test]
fn a_place_with_another_object_never_leads() {
    let (mut script, attempt, span) = scouting(mirrored(2), "ETag: \"v1\"\r\n");
    script.answer(1, attempt, piece(span, 8 * MIB, "ETag: \"v2\"\r\n"));
    script.ended(1, attempt, Ok(()), true);
    let gone = Failure::Status { status: 404, reason: String::new(), retry_after: None };
    script.ended(0, 0, Err(gone.clone()), false);
    assert_eq!(script.transfer.trouble().map(|trouble| trouble.failure.clone()), Some(gone));
}

#[test]
fn places_that_have_nothing_do_not_stand_in_for_one_another_for_ever() {
    let mut script = Script::new(mirrored(4));
    let mut commands = script.commands();
    let mut requests = 0;
    while script.transfer.outcome().is_none() {
        requests += 1;
        assert!(requests < 20, "it has to end");
        while let Some((conn, _)) = opened_to(&commands) {
            commands = script.opened(conn);
        }
        let (conn, attempt, ..) = request(&commands);
        script.answer(conn, attempt, head("404 Not Found", "Content-Length: 0\r\n"));
        commands = script.ended(conn, attempt, Ok(()), true);
    }
    assert_eq!(requests, 4, "each with a range and without");
}

#[test]
fn a_mirror_that_cannot_be_reached_is_given_up_after_three_times() {
    let (mut script, commands) = Script::probed(mirrored(2), 8 * MIB);
    assert_eq!(opened_to(&commands), Some((1, "b.test".to_owned())));
    let refused = || Failure::Connect { target: String::new(), reason: String::new(), errno: 111 };
    let (mut conn, mut times, mut at) = (1, Vec::new(), 0);
    for _ in 0..200 {
        let mut commands = script.conn(conn, ConnEvent::Failed { failure: refused() });
        times.push(script.now);
        // The place that leads is busy all the time.
        for _ in 0..400 {
            if opened_to(&commands).is_some() {
                break;
            }
            script.now += Duration::from_millis(50);
            script.transfer.handle_timeout(script.now);
            at += 1;
            commands = script.wrote(0, 0, at - 1..at);
            commands.extend(script.commands());
        }
        match opened_to(&commands) {
            Some((next, host)) if host == "b.test" => conn = next,
            _ => break,
        }
    }
    assert_eq!(times.len(), 3, "{times:?}");
    for (pair, least) in times.windows(2).zip([250, 500]) {
        assert!(pair[1] - pair[0] >= Duration::from_millis(least), "{times:?}");
    }
}

#[test]
fn a_stream_that_begins_anew_each_time_ends_within_the_retries() {
    let mut script = Script::new(Policy { retries: 3, ..policy(1) });
    let mut commands = script.commands();
    let mut times = 0;
    while script.transfer.outcome().is_none() {
        times += 1;
        assert!(times < 20, "it has to end");
        let (conn, _) = opened_to(&commands).expect("a connection");
        let (_, attempt, ask, _) = request(&script.opened(conn));
        assert_eq!(ask.ask, Ask::Whole);
        script.answer(conn, attempt, head("200 OK", "Content-Length: 100000\r\n"));
        script.prepared();
        script.wrote(conn, attempt, 0..70_000);
        let after = script.ended(conn, attempt, reset(), false);
        commands = next(&mut script, after);
    }
    assert_eq!(times, 4);
}

#[test]
fn an_answer_that_is_no_failure_has_its_wait_obeyed() {
    for refusal in ["404 Not Found", "302 Found"] {
        let mut script = Script::new(policy(4));
        script.commands();
        script.opened(0);
        let fields = "Retry-After: 2\r\nLocation: /2\r\nContent-Length: 0\r\n";
        script.answer(0, 0, head(refusal, fields));
        let early = script.ended(0, 0, Ok(()), true);
        assert!(early.is_empty(), "{early:?}");
        assert!(!next(&mut script, early).is_empty());
        assert_eq!(script.now, Duration::from_secs(2), "{refusal}");
    }
}

#[test]
fn failures_between_bytes_come_to_an_end_over_all() {
    let mut budget = Budget::new(&Policy::default(), Duration::ZERO);
    let mut count = 0;
    for second in 1..1000 {
        let sent = Duration::from_secs(second);
        let charge = Charge { sent, brought: 0, failures: 1 };
        if budget.charge(sent, charge, Some(1 << 30), 0).is_none() {
            break;
        }
        budget.progress();
        count += 1;
    }
    assert_eq!(count, 100);
}

#[test]
fn so_many_failures_are_charged_to_nobody_and_no_more() {
    let mut budget = Budget::new(&Policy::default(), Duration::ZERO);
    for _ in 0..64 {
        assert!(budget.may_excuse());
        budget.excuse();
    }
    assert!(!budget.may_excuse());
    budget.progress();
    assert!(budget.may_excuse());
}

#[test]
fn bytes_are_fetched_again_once_whoever_brings_them_then() {
    let mut script = brought_by_a_mirror(&["http://b.test/file", "http://c.test/file"]);
    script.tell(Event::Store(StoreEvent::Published(Err(mismatch()))));
    let mut commands = VecDeque::from(script.prepared());
    let mut hosts = Vec::new();
    while let Some(command) = commands.pop_front() {
        match command {
            Command::Open { conn, url, .. } => {
                hosts.push(url.host_str().map(str::to_owned));
                commands.extend(script.opened(conn.0));
            }
            Command::Request { conn, attempt, request, accept } => {
                let range = span(&request);
                if accept == Accept::Ask {
                    script.answer(conn.0, attempt.0, part(range.clone(), 7 * MIB));
                }
                script.wrote(conn.0, attempt.0, range);
                commands.extend(script.ended(conn.0, attempt.0, Ok(()), true));
            }
            _ => {}
        }
    }
    assert!(hosts.contains(&Some("c.test".to_owned())), "{hosts:?}");
    let end = script.tell(Event::Store(StoreEvent::Published(Err(mismatch()))));
    // What is left is to believe another place from the first byte on, once.
    let again = end.iter().any(|command| matches!(command, Command::Refetch { .. }));
    assert!(!again, "{end:?}");
}

#[test]
fn a_wait_is_not_over_when_others_bring_bytes() {
    let (mut script, _) = Script::probed(policy(3), 64 * MIB);
    // The part in the middle, so that nothing else that is free lies beside it.
    let (.., one, _) = request(&script.opened(1));
    let (.., two, _) = request(&script.opened(2));
    script.wrote(1, 1, span(&one).start..span(&one).start + 1000);
    let retry_after = Some(crate::http::field::RetryAfter::Seconds(2));
    let busy = Failure::Status { status: 503, reason: String::new(), retry_after };
    let mut early = script.ended(1, 1, Err(busy), false);
    script.wrote(2, 2, span(&two));
    early.extend(script.ended(2, 2, Ok(()), true));
    script.wrote(0, 0, 0..MIB);
    early.extend(script.ended(0, 0, Ok(()), true));
    while script.transfer.next_timeout().is_some_and(|next| next < Duration::from_secs(2)) {
        script.now = script.transfer.next_timeout().expect("a time");
        script.transfer.handle_timeout(script.now);
        early.extend(script.commands());
    }
    let asks =
        |command: &Command| matches!(command, Command::Request { .. } | Command::Open { .. });
    assert!(!early.iter().any(asks), "{early:?}");
    let due = next(&mut script, Vec::new());
    assert!(due.iter().any(asks), "{due:?}");
    assert_eq!(script.now, Duration::from_secs(2));
}

#[test]
fn a_url_that_leads_to_a_dead_end_again_is_not_asked_for_ever() {
    let mut script = Script::new(policy(2));
    let mut commands = VecDeque::from(script.commands());
    let mut asked = 0;
    while let Some(command) = commands.pop_front() {
        match command {
            Command::Open { conn, .. } => commands.extend(script.opened(conn.0)),
            Command::Request { conn, attempt, request, accept } => {
                let (conn, attempt) = (conn.0, attempt.0);
                if request.url.host_str() == Some("a.test") {
                    asked += 1;
                    assert!(asked < 9, "it has to end");
                    script.answer(conn, attempt, head("302 F", "Location: http://b.test/1\r\n"));
                    commands.extend(script.ended(conn, attempt, Ok(()), true));
                    continue;
                }
                if accept == Accept::Ask {
                    let answer = script.answer(conn, attempt, part(span(&request), 64 * MIB));
                    if answer.iter().any(|c| matches!(c, Command::Prepare { .. })) {
                        commands.extend(script.prepared());
                    }
                }
                // It says that it has the range, and then it does not.
                let (reason, retry_after) = (String::new(), None);
                let gone = Failure::Status { status: 403, reason, retry_after };
                commands.extend(script.ended(conn, attempt, Err(gone), true));
            }
            _ => {}
        }
    }
    assert!(matches!(script.trouble(), Failure::Status { status: 403, .. }));
}
