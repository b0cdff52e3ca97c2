//! Scripts about files that are finished, and names that are known late.

use super::*;

fn known(replace: &str) -> Policy {
    let finished = Finished { size: 10, validator: replace.to_owned() };
    Policy { finished: Some(finished), ..policy(4) }
}

fn asked(script: &mut Script) -> crate::http::request::Request {
    script.commands();
    match &script.opened(0)[..] {
        [Command::Request { request, .. }] => request.clone(),
        other => panic!("{other:?}"),
    }
}

fn kept(mut script: Script) {
    let keep = script.ended(0, 0, Ok(()), true);
    assert!(matches!(keep[..], [Command::Close { .. }, Command::Keep]), "{keep:?}");
    script.tell(Event::Store(StoreEvent::Published(Ok(()))));
    assert_eq!(script.transfer.outcome(), Some(Ok(())));
    let view = script.transfer.view();
    assert_eq!((view.route, view.done, view.resumed), (Route::UpToDate, 10, 10));
}

#[test]
fn a_finished_file_that_is_up_to_date_is_kept() {
    // OKX-02, GRX-11, HT-07 row 304.
    for answer in [head("304 Not Modified", ""), part(0..10, 10)] {
        let mut script = Script::new(known("\"a\""));
        let request = asked(&mut script);
        assert_eq!(request.if_none_match.as_deref(), Some("\"a\""));
        assert_eq!(request.ask, Ask::Part(0..MIB));
        assert!(matches!(script.answer(0, 0, answer)[..], [Command::Skip { .. }]));
        kept(script);
    }
    let mut script = Script::new(known("Thu, 01 Jan 1970 00:00:00 GMT"));
    let request = asked(&mut script);
    assert_eq!(request.if_none_match, None);
    assert_eq!(request.if_modified_since.as_deref(), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
}

#[test]
fn another_version_is_the_download_at_once() {
    let mut script = Script::new(known("\"b\""));
    asked(&mut script);
    let prepare = script.answer(0, 0, part(0..10, 10));
    assert!(matches!(prepare[..], [Command::Prepare { resume: false, .. }]), "{prepare:?}");
    assert!(matches!(script.prepared()[..], [Command::Receive { .. }]));
}

#[test]
fn an_absurd_304_is_asked_again_without_the_condition() {
    let mut script = Script::new(known("\"b\""));
    asked(&mut script);
    script.answer(0, 0, head("304 Not Modified", "ETag: \"a\"\r\n"));
    let again = script.ended(0, 0, Ok(()), true);
    let [Command::Request { request, .. }] = &again[..] else { panic!("{again:?}") };
    assert_eq!(request.if_none_match, None);
    script.answer(0, 1, head("304 Not Modified", "ETag: \"a\"\r\n"));
    script.ended(0, 1, Ok(()), false);
    assert!(matches!(script.trouble(), Failure::Status { status: 304, .. }));
}

#[test]
fn what_is_held_goes_before_what_is_finished() {
    let mut done = RangeSet::new();
    done.insert(0..5);
    let held = Held { total: 10, complete: 10, validator: Some("\"a\"".to_owned()), done };
    let mut script = Script::resume(known("\"a\""), Some(held));
    let request = asked(&mut script);
    assert_eq!((request.if_none_match, request.ask), (None, Ask::Part(5..10)));
}

/// A probe whose answer told the name, under which this was found.
fn found(found: Found) -> (Script, Vec<Command>) {
    let mut script = Script::new(policy(4));
    asked(&mut script);
    let prepare = script.answer(0, 0, part(0..10, 10));
    assert!(matches!(prepare[..], [Command::Prepare { .. }]), "{prepare:?}");
    let commands = script.tell(Event::Store(StoreEvent::Found(found)));
    (script, commands)
}

fn part_of(validator: Option<&str>, total: u64) -> Found {
    let mut done = RangeSet::new();
    done.insert(0..5);
    Found::Part(Held { total, complete: total, validator: validator.map(str::to_owned), done })
}

#[test]
fn a_part_under_a_late_name_is_resumed() {
    let (mut script, skip) = found(part_of(Some("\"a\""), 10));
    assert!(matches!(skip[..], [Command::Skip { .. }]), "{skip:?}");
    let again = script.ended(0, 0, Ok(()), true);
    let [Command::Request { request, .. }] = &again[..] else { panic!("{again:?}") };
    assert_eq!(request.ask, Ask::Part(5..10));
    assert_eq!(request.if_range.as_deref(), Some("\"a\""));
    let prepare = script.answer(0, 1, part(5..10, 10));
    assert!(matches!(prepare[..], [Command::Prepare { resume: true, .. }]), "{prepare:?}");
}

#[test]
fn a_finished_file_under_a_late_name_is_kept() {
    let file = Finished { size: 10, validator: "\"a\"".to_owned() };
    let (script, skip) = found(Found::File(file));
    assert!(matches!(skip[..], [Command::Skip { .. }]), "{skip:?}");
    kept(script);
}

#[test]
fn another_version_under_a_late_name_is_of_no_use() {
    let file = |size, validator: &str| Found::File(Finished { size, validator: validator.into() });
    for other in [
        part_of(Some("\"b\""), 10),
        part_of(Some("\"a\""), 11),
        part_of(None, 10),
        file(10, "\"b\""),
        file(11, "\"a\""),
    ] {
        let (mut script, again) = found(other.clone());
        assert!(matches!(again[..], [Command::Prepare { resume: false, .. }]), "{other:?}");
        assert!(matches!(script.prepared()[..], [Command::Receive { .. }]), "{other:?}");
    }
}

#[test]
fn a_name_that_comes_too_late_changes_nothing() {
    let mut script = Script::new(policy(4));
    asked(&mut script);
    script.answer(0, 0, part(0..10, 10));
    script.tell(Event::Stop(Failure::Cancelled { signal: 2 }));
    script.ended(0, 0, Err(Failure::Cancelled { signal: 0 }), false);
    let end = script.tell(Event::Store(StoreEvent::Found(part_of(Some("\"a\""), 10))));
    assert!(matches!(end[..], [Command::Abandon { .. }]), "{end:?}");
}
