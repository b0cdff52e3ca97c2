//! Scripts that begin with what an earlier run left.

use std::ops::Range;

use super::*;

fn held(done: Range<u64>, validator: Option<&str>) -> Option<Held> {
    let mut set = RangeSet::new();
    set.insert(done);
    Some(Held {
        total: 10 * MIB,
        complete: 10 * MIB,
        validator: validator.map(str::to_owned),
        done: set,
    })
}

#[test]
fn a_resume_asks_for_the_first_gap_alone() {
    let mut script = Script::resume(policy(4), held(0..3 * MIB, Some("\"a\"")));
    script.commands();
    let ask = script.opened(0);
    let [Command::Request { request, .. }] = &ask[..] else { panic!("{ask:?}") };
    assert_eq!(request.ask, Ask::Part(3 * MIB..4 * MIB));
    assert_eq!(request.if_range.as_deref(), Some("\"a\""));
    let prepare = script.answer(0, 0, part(3 * MIB..4 * MIB, 10 * MIB));
    assert!(matches!(prepare[..], [Command::Prepare { resume: true, .. }]), "{prepare:?}");
    let view = script.transfer.view();
    assert_eq!((view.done, view.resumed), (3 * MIB, 3 * MIB));
}

#[test]
fn a_part_of_another_version_is_one_fresh_start() {
    // RT-27, contract 2: a stale part is no failure, least of all one that repeats for ever.
    let changed = || head("200 OK", "Content-Length: 7\r\nETag: \"b\"\r\n");
    let mut script = Script::resume(policy(4), held(0..MIB, Some("\"a\"")));
    script.commands();
    script.opened(0);
    assert!(matches!(script.answer(0, 0, changed())[..], [Command::Close { .. }]));
    let open = script.ended(0, 0, Ok(()), false);
    assert!(matches!(open[..], [Command::Open { .. }]), "{open:?}");
    script.opened(1);
    let prepare = script.answer(1, 1, changed());
    let of = Some(Extent::all(7));
    let anew =
        matches!(&prepare[..], [Command::Prepare { extent, resume: false, .. }] if *extent == of);
    assert!(anew, "{prepare:?}");
}

#[test]
fn a_change_while_it_is_fetched_is_an_error_or_one_fresh_start() {
    // RT-27, LB-17. What is spoilt is not kept.
    let changed = || Err(Failure::Changed(ChangedHow::Validator));
    for restart_on_change in [false, true] {
        let wanted = Policy { restart_on_change, ..policy(2) };
        let (mut script, _) = Script::probed(wanted, 8 * MIB);
        script.opened(1);
        let closes = script.ended(1, 1, changed(), false);
        assert!(matches!(closes[..], [Command::Close { conn: Conn(0) }]), "{closes:?}");
        let end = script.ended(0, 0, reset(), false);
        if restart_on_change {
            assert!(matches!(end[..], [Command::Open { .. }]), "{end:?}");
            assert_eq!(script.transfer.view().done, 0);
        } else {
            assert!(matches!(end[..], [Command::Abandon { keep: false }]), "{end:?}");
            assert_eq!(Err(script.trouble()), changed());
        }
    }
}

#[test]
fn a_complete_part_is_published_without_a_body() {
    let mut script = Script::resume(policy(4), held(0..10 * MIB, Some("\"a\"")));
    script.commands();
    let ask = script.opened(0);
    let [Command::Request { request, .. }] = &ask[..] else { panic!("{ask:?}") };
    assert_eq!(request.if_none_match.as_deref(), Some("\"a\""));
    script.answer(0, 0, head("304 Not Modified", "ETag: \"a\"\r\n"));
    script.ended(0, 0, Ok(()), true);
    let publish = script.prepared();
    assert!(matches!(publish[..], [Command::Close { .. }, Command::Publish { .. }]), "{publish:?}");
    assert_eq!(script.transfer.view().route, Route::UpToDate);

    let digest = Policy { digest: true, ..policy(4) };
    let mut script = Script::resume(digest, held(0..10 * MIB, None));
    let prepare = script.commands();
    assert!(matches!(prepare[..], [Command::Prepare { resume: true, .. }]), "{prepare:?}");
    assert!(matches!(script.prepared()[..], [Command::Publish { .. }]), "no request at all");
}

#[test]
fn a_complete_part_of_another_version_is_not_asked_about_for_ever() {
    let mut script = Script::resume(policy(4), held(0..10 * MIB, Some("\"a\"")));
    script.commands();
    script.opened(0);
    script.answer(0, 0, head("200 OK", "Content-Length: 7\r\nETag: \"b\"\r\n"));
    script.ended(0, 0, Ok(()), false);
    let ask = script.opened(1);
    let [Command::Request { request, .. }] = &ask[..] else { panic!("{ask:?}") };
    assert_eq!((&request.ask, &request.if_none_match), (&Ask::Part(0..MIB), &None));
}
