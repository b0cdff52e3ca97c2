//! Single scenes with a figure to hold: what the seeds only find by chance.

use std::time::Duration;

use uget::{
    fleet::TransferId,
    orders::{Connections, Policy, View},
};

use crate::{
    site::{self, End, Host, IfRange, Ranges, Refusal, Site, Stock, Version},
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
    Site {
        id: 0,
        hops: vec![0],
        versions: vec![Version { length, etag: Some("\"v0\"".to_owned()), modified: None }],
        mirrors: Vec::new(),
        current: 0,
        ranges: Ranges::Yes,
        end: End::Length,
        coded: false,
        if_range: IfRange::Honoured,
        signature: 1,
        changes_at: None,
        expires_at: None,
    }
}

/// How long it took, and how it went.
fn play(host: Host, length: u64, policy: Policy) -> (Duration, View) {
    play_at(vec![host], site(length), policy)
}

fn play_at(hosts: Vec<Host>, site: Site, policy: Policy) -> (Duration, View) {
    let mut world = World::scene(hosts, site, policy);
    if let Err(violation) = world.run_once() {
        panic!("{violation}");
    }
    let transfer = world.fleet.transfer(TransferId(0));
    assert_eq!(transfer.outcome(), Some(Ok(())));
    (world.now, transfer.view())
}

fn sixteen() -> Policy {
    Policy { connections: Connections::Exactly(16), ..site::plain() }
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
    let auto = || Policy { connections: Connections::Auto { max: 16 }, ..site::plain() };
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
fn a_mirror_brings_its_share_and_a_dead_one_costs_nothing() {
    let capped = |name: &str| Host {
        name: name.to_owned(),
        capped: Some(20_000_000),
        rate: 5_000_000,
        ..host()
    };
    let length = 256 << 20;
    let (alone, _) = play(capped("h0.test"), length, sixteen());
    let with = |stock, second| {
        let hosts = vec![capped("h0.test"), second];
        play_at(hosts, Site { mirrors: vec![(1, stock)], ..site(length) }, sixteen())
    };
    let (both, _) = with(Stock::Same, capped("h1.test"));
    let ratio = both.as_secs_f64() / alone.as_secs_f64();
    assert!(ratio < 0.6, "two places: {both:?}, one: {alone:?}");
    let dead = Host { limit: Some((0, Refusal::Refuse)), ..capped("h1.test") };
    for (stock, second) in [
        (Stock::Same, dead),
        (Stock::Gone, capped("h1.test")),
        (Stock::Shorter, capped("h1.test")),
        (Stock::Other, capped("h1.test")),
        (Stock::OtherTag, capped("h1.test")),
    ] {
        let (time, view) = with(stock, second);
        let ratio = time.as_secs_f64() / alone.as_secs_f64();
        assert!(ratio < 1.05, "{stock:?}: {time:?} instead of {alone:?}");
        assert_eq!(view.retries, 0, "{stock:?}");
    }
}

#[test]
fn a_mirror_stands_in_for_a_place_that_is_gone() {
    let dead = Host { limit: Some((0, Refusal::Refuse)), ..host() };
    let second = Host { name: "h1.test".to_owned(), ..host() };
    let site = Site { mirrors: vec![(1, Stock::Same)], ..site(64 << 20) };
    let (_, view) = play_at(vec![dead, second], site, sixteen());
    assert_eq!(view.final_url.host_str(), Some("h1.test"));
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
            ..site::plain()
        };
        let (healthy, _) = play(host(), 4 * part, policy());
        let lame = Host { lame: Some((4, 100)), ..host() };
        let (time, _) = play(lame, 4 * part, policy());
        let late = time - healthy;
        assert!(late < Duration::from_secs(1), "{part}: {time:?} instead of {healthy:?}");
    }
}
