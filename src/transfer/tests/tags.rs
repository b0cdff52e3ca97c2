//! Scripts about entity tags that come late: the first answer had none.

use super::{
    places::{DATE, NEW, OLD, is_skip, opened_to, piece, receives, request, span},
    *,
};

const TOTAL: u64 = 64 * MIB;

fn tagged(tag: &str, range: Range<u64>) -> Head {
    piece(range, TOTAL, &format!("ETag: {tag}\r\n{OLD}"))
}

fn held() -> Held {
    let mut done = RangeSet::new();
    done.insert(0..MIB);
    let said = head("200 OK", &format!("{DATE}{OLD}")).validators();
    Held { total: TOTAL, complete: TOTAL, done, validator: said.pin() }
}

/// Two connections of the place that leads, of which each waits for an answer to a range.
fn undated(policy: Policy) -> (Script, Vec<(u64, u64, Range<u64>)>) {
    let mut script = Script::new(policy);
    script.commands();
    script.opened(0);
    script.answer(0, 0, piece(0..MIB, TOTAL, OLD));
    script.prepared();
    script.wrote(0, 0, 0..MIB);
    let (conn, attempt, ask, accept) = request(&script.ended(0, 0, Ok(()), true));
    assert_eq!(accept, Accept::Ask, "its answer may name a tag");
    let mut asked = vec![(conn, attempt, span(&ask))];
    let (conn, attempt, ask, _) = request(&script.opened(1));
    asked.push((conn, attempt, span(&ask)));
    (script, asked)
}

#[test]
fn a_tag_that_comes_late_binds_the_later_answers() {
    for (one, two, same) in [
        ("\"a\"", "\"a\"", true),
        ("\"a\"", "\"b\"", false),
        ("W/\"a\"", "W/\"a\"", true),
        ("W/\"a\"", "W/\"b\"", false),
    ] {
        let (mut script, asked) = undated(policy(2));
        let (conn, attempt, span) = asked[0].clone();
        let answer = script.answer(conn, attempt, tagged(one, span.clone()));
        assert_eq!(receives(&answer), Some(span));
        let (conn, attempt, span) = asked[1].clone();
        let answer = script.answer(conn, attempt, tagged(two, span.clone()));
        assert_eq!(receives(&answer), same.then_some(span), "{one} {two}");
        if !same {
            let trouble = script.transfer.trouble().map(|trouble| trouble.failure.clone());
            assert_eq!(trouble, Some(Failure::Changed(ChangedHow::Validator)));
        }
    }
}

#[test]
fn two_mirrors_are_compared_with_one_another() {
    let mirrors =
        ["http://b.test/file", "http://c.test/file"].map(|url| Url::parse(url).expect(url));
    for theirs in ["\"b\"", "\"c\""] {
        let mut script = Script::new(Policy { mirrors: mirrors.to_vec(), ..policy(3) });
        script.commands();
        script.opened(0);
        script.answer(0, 0, piece(0..MIB, TOTAL, OLD));
        script.prepared();
        for (conn, tag) in [(1, "\"b\""), (2, theirs)] {
            let (_, attempt, ask, _) = request(&script.opened(conn));
            let answer = script.answer(conn, attempt, tagged(tag, span(&ask)));
            assert_eq!(receives(&answer).is_some(), tag == "\"b\"", "{tag}");
            assert_eq!(is_skip(&answer), tag != "\"b\"", "{tag}");
        }
    }
}

#[test]
fn what_its_date_ties_to_the_first_place_shows_it_every_time() {
    let mirror = Url::parse("http://b.test/file").expect("a URL");
    let mut script = Script::new(Policy { mirrors: vec![mirror], ..policy(2) });
    script.commands();
    script.opened(0);
    script.answer(0, 0, piece(0..MIB, TOTAL, OLD));
    script.prepared();
    let (_, attempt, ask, _) = request(&script.opened(1));
    let range = span(&ask);
    script.answer(1, attempt, tagged("\"b\"", range.clone()));
    script.wrote(1, attempt, range);
    let (_, attempt, ask, _) = request(&script.ended(1, attempt, Ok(()), true));
    // The tag is the same, but the first place's object has another date.
    let answer =
        script.answer(1, attempt, piece(span(&ask), TOTAL, &format!("ETag: \"b\"\r\n{NEW}")));
    assert_eq!(receives(&answer), None);
}

#[test]
fn what_is_held_under_a_date_may_be_of_any_tag() {
    // Some of it may have come of a mirror that named a tag, and which is not in the journal.
    let mirror = Url::parse("http://b.test/file").expect("a URL");
    for (fields, joins) in [(OLD.to_owned(), true), (format!("ETag: \"b\"\r\n{OLD}"), false)] {
        let policy = Policy { mirrors: vec![mirror.clone()], ..policy(2) };
        let mut script = Script::resume(policy, Some(held()));
        script.commands();
        let (_, attempt, ask, _) = request(&script.opened(0));
        script.answer(0, attempt, piece(span(&ask), TOTAL, OLD));
        assert_eq!(opened_to(&script.prepared()), Some((1, "b.test".to_owned())));
        let (_, attempt, ask, _) = request(&script.opened(1));
        let answer = script.answer(1, attempt, piece(span(&ask), TOTAL, &fields));
        assert_eq!(receives(&answer).is_some(), joins, "{fields}");
    }
}
