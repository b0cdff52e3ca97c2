//! Single scenes with a figure to hold: what the seeds only find by chance.

use std::time::Duration;

use uget::{
    fleet::TransferId,
    orders::{Connections, Policy, View},
};

use crate::{
    lottery,
    site::{Edition, End, Host, IfRange, Later, Place, Ranges, Refusal, Road, Site, Wrong},
    world::World,
};

fn host() -> Host {
    Host {
        name: "h0.test".to_owned(),
        round_trip: Duration::from_millis(20),
        rate: 10_000_000,
        keep_alive: true,
        capped: None,
        lame: None,
        limit: None,
    }
}

fn site(length: u64) -> Site {
    let etag = Some("\"v0\"".to_owned());
    let edition = Edition { content: 0, length, etag, modified: None };
    let place = Place {
        host: 0,
        editions: vec![(Duration::ZERO, edition)],
        flaps: false,
        ranges: Ranges::Yes,
        end: End::Length,
        coded: false,
        if_range: IfRange::Honoured,
        gone: None,
        mood: None,
        cursed: None,
    };
    let roads = vec![road(0)];
    Site { id: 0, places: vec![place], roads, signature: 1, expires_at: None }
}

fn road(end: usize) -> Road {
    Road { hops: Vec::new(), ends: vec![(Duration::ZERO, end)], password: None }
}

/// The same with a mirror at the second host.
fn mirrored(length: u64, change: impl Fn(&mut Place)) -> Site {
    let mut site = site(length);
    let mut mirror = Place { host: 1, ..site.places[0].clone() };
    change(&mut mirror);
    site.places.push(mirror);
    site.roads.push(road(1));
    site
}

/// How long it took, and how it went.
fn play(host: Host, length: u64, policy: Policy) -> (Duration, View) {
    play_at(vec![host], site(length), policy)
}

fn play_at(hosts: Vec<Host>, site: Site, policy: Policy) -> (Duration, View) {
    let world = play_world(hosts, site, policy);
    (world.now, world.fleet.transfer(TransferId(0)).view())
}

fn play_world(hosts: Vec<Host>, site: Site, policy: Policy) -> World {
    let mut world = World::scene(hosts, site, policy);
    if let Err(violation) = world.run_once() {
        panic!("{violation}");
    }
    assert_eq!(world.fleet.transfer(TransferId(0)).outcome(), Some(Ok(())));
    world
}

fn sixteen() -> Policy {
    Policy { connections: Connections::Exactly(16), ..lottery::plain() }
}

#[test]
fn one_lame_connection_of_sixteen_costs_little() {
    let (healthy, _) = play(host(), 1 << 30, sixteen());
    // One of sixteen, three of them, every other one; replacements may be lame again.
    for (nth, most) in [(16, 1.05), (5, 1.15), (2, 1.3)] {
        let lame = Host { lame: Some((nth, 100)), ..host() };
        let (time, _) = play(lame, 1 << 30, sixteen());
        let ratio = time.as_secs_f64() / healthy.as_secs_f64();
        assert!(ratio <= most, "every {nth}th lame: {time:?} instead of {healthy:?}");
    }
}

#[test]
fn an_even_download_is_near_the_ideal() {
    let (time, view) = play(host(), 1 << 30, sixteen());
    let ideal = (1u64 << 30) as f64 / 160_000_000.0;
    assert!(time.as_secs_f64() < ideal * 1.10, "{time:?} instead of {ideal:.2} s");
    assert!(view.requests < 400, "{} requests", view.requests);
}

#[test]
fn auto_settles_at_the_knee_and_grows_where_it_pays() {
    let auto = || Policy { connections: Connections::Auto { max: 16 }, ..lottery::plain() };
    let (time, view) = play(host(), 2 << 30, auto());
    assert_eq!(view.connections_max, 16, "every connection brings its 10 MB/s");
    let (explicit, _) = play(host(), 2 << 30, sixteen());
    let ratio = time.as_secs_f64() / explicit.as_secs_f64();
    assert!(ratio < 1.12, "auto takes {time:?}, sixteen {explicit:?}");
    let capped = Host { capped: Some(10_000_000), ..host() };
    let (_, view) = play(capped.clone(), 256 << 20, auto());
    assert!(view.connections_max <= 8, "tried once: {}", view.connections_max);
    assert_eq!(view.planned, 4, "and settled");
    let (_, view) = play(capped, 256 << 20, sixteen());
    assert_eq!(view.connections_max, 16, "an explicit number is obeyed");
}

#[test]
fn auto_goes_by_the_time_that_is_left_and_not_by_bytes() {
    let auto = || Policy { connections: Connections::Auto { max: 16 }, ..lottery::plain() };
    for (rate, length) in [(4_000_000, 80 << 20), (1_000_000, 40 << 20)] {
        let limited = Host { rate, ..host() };
        let (explicit, _) = play(limited.clone(), length, sixteen());
        let (time, view) = play(limited, length, auto());
        let ratio = time.as_secs_f64() / explicit.as_secs_f64();
        // Progress is told in MiB here, so that it takes longer to tell a rate.
        assert!(ratio < 1.75, "{rate} B/s each: auto takes {time:?}, sixteen {explicit:?}");
        assert_eq!(view.connections_max, 16, "{rate} B/s each, {length} bytes");
    }
    let near = Host { rate: 1_000_000_000, round_trip: Duration::from_micros(50), ..host() };
    let (_, view) = play(near, 16 << 20, auto());
    assert_eq!(view.connections_max, 1, "over before another connection were of use");
}

#[test]
fn a_mirror_brings_its_share_and_a_dead_one_costs_nothing() {
    let capped = |name: &str| Host {
        name: name.to_owned(),
        capped: Some(20_000_000),
        rate: 5_000_000,
        ..host()
    };
    let length = 256 << 20;
    let (alone, _) = play(capped("h0.test"), length, sixteen());
    type Change = fn(&mut Place);
    let with = |change: Change, second| {
        play_at(vec![capped("h0.test"), second], mirrored(length, change), sixteen())
    };
    let (both, _) = with(|_| {}, capped("h1.test"));
    let ratio = both.as_secs_f64() / alone.as_secs_f64();
    assert!(ratio < 0.6, "two places: {both:?}, one: {alone:?}");
    let dead = Host { limit: Some((0, Refusal::Refuse)), ..capped("h1.test") };
    let changes: [(&str, Change, Host); 5] = [
        ("dead", |_| {}, dead),
        ("gone", |place| place.gone = Some(404), capped("h1.test")),
        ("shorter", |place| place.editions[0].1.length /= 2, capped("h1.test")),
        ("other", |place| place.editions[0].1.content = 1, capped("h1.test")),
        ("other tag", |_| {}, capped("h1.test")),
    ];
    for (name, change, second) in changes {
        let change = move |place: &mut Place| {
            change(place);
            if name.starts_with("other") {
                place.editions[0].1.etag = Some("\"other\"".to_owned());
            }
        };
        let hosts = vec![capped("h0.test"), second];
        let (time, view) = play_at(hosts, mirrored(length, change), sixteen());
        let ratio = time.as_secs_f64() / alone.as_secs_f64();
        assert!(ratio < 1.05, "{name}: {time:?} instead of {alone:?}");
        assert_eq!(view.retries, 0, "{name}");
    }
}

#[test]
fn a_mirror_stands_in_for_a_place_that_is_gone() {
    let dead = Host { limit: Some((0, Refusal::Refuse)), ..host() };
    let second = Host { name: "h1.test".to_owned(), ..host() };
    let world = play_world(vec![dead, second], mirrored(64 << 20, |_| {}), sixteen());
    let account = world.fleet.transfer(TransferId(0)).account();
    assert_eq!(account.final_url.host_str(), Some("h1.test"));
}

#[test]
fn the_last_span_is_not_left_to_a_lame_connection() {
    // Four spans for four connections, and the last of them goes to the lame one. The shorter ones
    // cannot be split: the worker claims all of them at once.
    for part in [1 << 20, 8 << 20] {
        let policy = || Policy {
            connections: Connections::Exactly(4),
            part_size: Some(part),
            first_part: part,
            ..lottery::plain()
        };
        let (healthy, _) = play(host(), 4 * part, policy());
        let lame = Host { lame: Some((4, 100)), ..host() };
        let (time, _) = play(lame, 4 * part, policy());
        let late = time - healthy;
        assert!(late < Duration::from_secs(1), "{part}: {time:?} instead of {healthy:?}");
    }
}

/// Four slow connections, and a range that is never served: when it was asked for, and the time at
/// the end.
fn cursed(wrong: Wrong, retries: u32) -> (Vec<Duration>, Duration) {
    let at = (3 << 20) + 5;
    let slow = Host { rate: 100_000, ..host() };
    let mut site = site(64 << 20);
    site.places[0].cursed = Some((at, wrong));
    let policy = Policy { connections: Connections::Exactly(4), retries, ..lottery::plain() };
    let mut world = World::scene(vec![slow], site, policy);
    if let Err(violation) = world.run_once() {
        panic!("{violation}");
    }
    let outcome = world.fleet.transfer(TransferId(0)).outcome();
    assert!(matches!(outcome, Some(Err(_))), "{wrong:?}: {outcome:?}");
    let asked = world.witness.asked.iter().filter(|(_, range)| range.contains(&at));
    (asked.map(|(when, _)| *when).collect(), world.now)
}

#[test]
fn connections_too_many_cost_little_and_fail_nothing() {
    for (rate, length) in [(100_000, 32 << 20), (10_000_000, 1 << 30)] {
        let four = || Policy { connections: Connections::Exactly(4), ..lottery::plain() };
        let (alone, _) = play(Host { rate, ..host() }, length, four());
        for refusal in [Refusal::Reset, Refusal::Busy, Refusal::Refuse] {
            for retries in [1, 5] {
                let limited = Host { rate, limit: Some((4, refusal)), ..host() };
                let (time, view) = play(limited, length, Policy { retries, ..sixteen() });
                let ratio = time.as_secs_f64() / alone.as_secs_f64();
                assert!(ratio < 1.15, "{rate} {refusal:?}: {time:?} instead of {alone:?}");
                assert_eq!(view.retries, 0, "{rate} {refusal:?}");
            }
        }
    }
}

#[test]
fn a_refused_part_waits_for_its_time_alone_and_ends_the_run_within_its_retries() {
    let named = Later::Seconds(1);
    for wrong in [
        Wrong::Status(500, Later::Unsaid),
        Wrong::Status(500, named),
        Wrong::Status(503, Later::Unsaid),
        Wrong::Status(503, named),
        Wrong::Status(429, Later::Unsaid),
        Wrong::Reset,
    ] {
        let (asked, end) = cursed(wrong, 5);
        assert_eq!(asked.len(), 6, "{wrong:?}: {asked:?}");
        // Half a second at first, twice as long each time, a quarter more at most; and the way.
        let mut wait = Duration::from_millis(500);
        for pair in asked.windows(2) {
            let most = (wait * 5 / 4).max(Duration::from_secs(1)) + Duration::from_millis(200);
            let waited = pair[1] - pair[0];
            assert!(waited < most, "{wrong:?}: {waited:?} instead of {most:?} at most: {asked:?}");
            wait *= 2;
        }
        let late = end - asked[5];
        assert!(
            late < Duration::from_millis(200),
            "{wrong:?}: over {late:?} after the last answer"
        );
    }
}
