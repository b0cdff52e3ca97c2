//! Draws hosts, objects and wishes for a seed.

use std::time::Duration;

use uget::{
    http::{field::RangeSpec, request::Field},
    orders::{Connections, Pin, Policy},
};

use crate::{
    rng::Rng,
    site::{Edition, End, Host, IfRange, Later, Mood, Place, Ranges, Refusal, Road, Site, Wrong},
};

/// Hosts for one seed.
pub(crate) fn hosts(rng: &mut Rng, faults: bool) -> Vec<Host> {
    let host = |index: u64, rng: &mut Rng| Host {
        name: format!("h{index}.test"),
        round_trip: Duration::from_micros(rng.magnitude(18)),
        rate: 200_000 + rng.magnitude(30),
        keep_alive: !rng.one_in(6),
        capped: rng.one_in(5).then(|| 1_000_000 + rng.magnitude(28)),
        lame: (faults && rng.one_in(4)).then(|| (rng.pick(2..8), rng.pick(10..200))),
        limit: (faults && rng.one_in(4)).then(|| {
            let refusals = [Refusal::Refuse, Refusal::Reset, Refusal::Busy, Refusal::Ignore];
            (rng.pick(1..6) as usize, *rng.one_of(&refusals))
        }),
    };
    (0..3).map(|index| host(index, rng)).collect()
}

/// An object whose mirrors, if it has any, do as its first place does.
pub(crate) fn site(rng: &mut Rng, id: usize, faults: bool) -> Site {
    let length = length(rng);
    let kind = rng.pick(0..10);
    let first = edition(rng, kind, 0, length);
    let mut editions = vec![(Duration::ZERO, first)];
    let changes = faults && rng.one_in(5);
    if changes {
        let other = if rng.one_in(2) { length } else { rng.magnitude(26) };
        let second = edition(rng, kind, 1, other);
        editions.push((rng.millis(1..5_000), second));
    }
    let ranges = ranges(rng);
    let mut hosts: Vec<usize> = match rng.pick(0..4) {
        0 => (0..rng.pick(2..4)).map(|_| rng.pick(0..3) as usize).collect(),
        _ => vec![rng.pick(0..3) as usize],
    };
    let if_range = match rng.pick(0..4) {
        0 if faults => IfRange::Answered412,
        1 if faults => IfRange::NotSeen,
        _ => IfRange::Honoured,
    };
    let place = Place {
        host: hosts.pop().expect("one at least"),
        editions,
        flaps: false,
        ranges,
        end: *rng.one_of(&[End::Length, End::Length, End::Length, End::Chunked, End::Close]),
        coded: rng.one_in(25),
        if_range,
        gone: None,
        mood: None,
        cursed: None,
    };
    let road = |hops, end| Road { hops, ends: vec![(Duration::ZERO, end)], password: None };
    let mut site = Site {
        id,
        roads: vec![road(hosts, 0)],
        places: vec![place],
        signature: 1,
        expires_at: (faults && rng.one_in(4)).then(|| rng.millis(1..5_000)),
    };
    if rng.one_in(4) {
        for _ in 0..rng.pick(1..4) {
            let host = rng.pick(0..3) as usize;
            let stock = rng.pick(0..6);
            let copy = follower(&site.places[0], host, stock, faults);
            site.places.push(copy);
            site.roads.push(road(Vec::new(), site.places.len() - 1));
        }
    }
    site
}

/// A mirror that changes whenever the first place does.
fn follower(first: &Place, host: usize, stock: u64, faults: bool) -> Place {
    let mut copy = Place { host, ..first.clone() };
    for (_, edition) in &mut copy.editions {
        match stock {
            0 => edition.etag = Some("\"other\"".to_owned()),
            1 => {
                edition.length /= 2;
                edition.content += 20;
            }
            // A digest lets it in, and finds it out at the end.
            2 if faults => {
                edition.etag = Some("\"else\"".to_owned());
                edition.modified = edition.modified.map(|age| age + 50);
                edition.content = 7;
            }
            _ => {}
        }
    }
    copy.gone = (stock == 3).then_some(404);
    copy
}

fn length(rng: &mut Rng) -> u64 {
    match rng.pick(0..8) {
        0 => 0,
        1 => rng.pick(1..3),
        2 => (1 << 20) * rng.pick(1..40),
        3 => rng.magnitude(20),
        _ => rng.magnitude(26),
    }
}

/// An edition named in the way of this kind of server.
fn edition(rng: &mut Rng, kind: u64, content: u32, length: u64) -> Edition {
    Edition {
        content,
        length,
        etag: match kind {
            0 | 2 => None,
            1 => Some(format!("W/\"{content}\"")),
            _ => Some(format!("\"v{content}\"")),
        },
        modified: (kind == 2 || rng.one_in(2)).then(|| 10_000 - 100 * i64::from(content)),
    }
}

fn ranges(rng: &mut Rng) -> Ranges {
    match rng.pick(0..20) {
        0 => Ranges::Ignored,
        // A refusal that is also the verdict on the plain GET would be a missing object.
        1 => Ranges::Refused(*rng.one_of(&[400, 403, 404, 405, 416, 501])),
        2 => Ranges::NoTotal,
        3 => Ranges::Multipart,
        4 => Ranges::Unreadable,
        5 => Ranges::Capped(rng.pick(1 << 14..1 << 21)),
        _ => Ranges::Yes,
    }
}

/// An object at places that do not know of each other, some of which err or lie.
pub(crate) fn places(rng: &mut Rng, id: usize) -> Site {
    let length = match rng.pick(0..4) {
        0 => length(rng),
        1 => (1 << 20) * rng.pick(1..40),
        _ => (1 << 20) * rng.pick(1..12) + rng.magnitude(20),
    };
    let kind = rng.pick(0..10);
    let truth = edition(rng, kind, 0, length);
    let mut site = Site {
        id,
        places: Vec::new(),
        roads: Vec::new(),
        signature: 1,
        expires_at: rng.one_in(6).then(|| rng.millis(1..5_000)),
    };
    // The first place: honest, one that changes, or one that errs.
    let mut first = place(rng, vec![(Duration::ZERO, truth.clone())]);
    match rng.pick(0..8) {
        0 | 1 => first.editions.push((rng.millis(1..5_000), successor(rng, &truth, kind))),
        2 | 3 => first.mood = Some(mood(rng)),
        4 if length > 0 => first.cursed = Some((rng.pick(0..length), curse(rng))),
        _ => {}
    }
    let roads = rng.pick(1..5);
    site.places.push(first);
    for _ in 1..roads {
        let mirror = mirror(rng, &site, &truth, kind);
        site.places.push(mirror);
    }
    for index in 0..roads as usize {
        let road = road(rng, index, site.places.len());
        site.roads.push(road);
    }
    site
}

fn place(rng: &mut Rng, editions: Vec<(Duration, Edition)>) -> Place {
    Place {
        host: rng.pick(0..3) as usize,
        editions,
        flaps: false,
        ranges: if rng.one_in(4) { ranges(rng) } else { Ranges::Yes },
        end: *rng.one_of(&[End::Length, End::Length, End::Length, End::Chunked, End::Close]),
        coded: rng.one_in(40),
        if_range: *rng.one_of(&[IfRange::Honoured, IfRange::Honoured, IfRange::NotSeen]),
        gone: None,
        mood: None,
        cursed: None,
    }
}

/// What comes after an edition: other bytes, named anew.
fn successor(rng: &mut Rng, old: &Edition, kind: u64) -> Edition {
    let length = if rng.one_in(3) { rng.magnitude(24) } else { old.length };
    edition(rng, kind, old.content + 1, length)
}

/// What a mirror has: the same, the same later or earlier or never, or something else.
fn mirror(rng: &mut Rng, site: &Site, truth: &Edition, kind: u64) -> Place {
    let mut editions = match rng.pick(0..3) {
        // It goes the first place's way in its own time, or it does not.
        0 => vec![(Duration::ZERO, truth.clone())],
        1 => {
            let lag = rng.millis(0..4_000);
            site.places[0].editions.iter().map(|(at, e)| (*at + lag, e.clone())).collect()
        }
        _ => {
            let mut all = site.places[0].editions.clone();
            let last = all.pop().map(|(_, last)| (Duration::ZERO, last));
            last.into_iter().collect()
        }
    };
    if let Some(first) = editions.first_mut() {
        first.0 = Duration::ZERO;
    }
    if rng.one_in(2) {
        let lie = rng.pick(0..9);
        editions.iter_mut().for_each(|(_, edition)| disguise(edition, lie, kind));
    }
    let mut mirror = place(rng, editions);
    mirror.flaps = mirror.editions.len() > 1 && rng.one_in(4);
    match rng.pick(0..8) {
        0 => mirror.gone = Some(*rng.one_of(&[401, 403, 404, 410, 451])),
        1 | 2 => mirror.mood = Some(mood(rng)),
        3 if truth.length > 0 => mirror.cursed = Some((rng.pick(0..truth.length), curse(rng))),
        _ => {}
    }
    mirror
}

/// Other bytes, other words, or both.
fn disguise(edition: &mut Edition, lie: u64, kind: u64) {
    let alien = edition.content + 10;
    match lie {
        // Other bytes and other words; of the same date and length; without any; the same.
        0 => {
            *edition = Edition {
                content: alien,
                etag: Some("\"alien\"".to_owned()),
                modified: edition.modified.map(|age| age + 50),
                ..*edition
            };
        }
        1 => {
            edition.content = alien;
            edition.etag = Some(format!("\"alien-{kind}\""));
        }
        2 => *edition = Edition { content: alien, etag: None, modified: None, ..*edition },
        3 => edition.content = alien,
        // The same bytes, and other words.
        4 => edition.etag = None,
        5 => edition.etag = edition.etag.take().map(|tag| format!("W/{tag}").replace("W/W/", "W/")),
        6 => edition.etag = Some("\"mine\"".to_owned()),
        // Another length.
        7 => *edition = Edition { content: alien, length: edition.length / 2, ..edition.clone() },
        _ => *edition = Edition { content: alien, length: edition.length + 9, ..edition.clone() },
    }
}

/// Neither a date nor a number below 2^31.
const NONSENSE: [&str; 6] = ["soon", "-5", "1.5", "3, 4", "99999999999999999999", ""];

fn later(rng: &mut Rng) -> Later {
    match rng.pick(0..12) {
        0..4 => Later::Unsaid,
        4 | 5 => Later::Seconds(rng.pick(0..20)),
        6 => Later::Seconds(*rng.one_of(&[61, 299, 86_400, 2_147_483_647, 2_147_483_648])),
        7 => Later::Seconds(u64::MAX - rng.pick(0..9)),
        8 => Later::Date(rng.pick(1..30) as i64),
        9 => Later::Date(-(rng.pick(1..3_000) as i64)),
        _ => Later::Nonsense(NONSENSE[rng.pick(0..6) as usize]),
    }
}

fn wrong(rng: &mut Rng) -> Wrong {
    match rng.pick(0..16) {
        0 => Wrong::Reset,
        1 => Wrong::Silence,
        2 => Wrong::Garbage,
        3 => Wrong::Page,
        4 => Wrong::Window,
        5 => Wrong::Total,
        6 => Wrong::Length,
        7 => Wrong::Unreadable,
        8 => Wrong::Whole,
        9 => Wrong::More,
        10 | 11 => Wrong::Cut,
        _ => {
            let code = *rng.one_of(&[500, 500, 502, 503, 503, 503, 429, 429, 408, 403, 404, 501]);
            Wrong::Status(code, later(rng))
        }
    }
}

/// A range that is never served is refused in one of these ways.
fn curse(rng: &mut Rng) -> Wrong {
    match rng.pick(0..3) {
        0 => Wrong::Reset,
        _ => {
            let after = if rng.one_in(3) { Later::Seconds(rng.pick(0..5)) } else { Later::Unsaid };
            Wrong::Status(*rng.one_of(&[500, 503, 429]), after)
        }
    }
}

fn mood(rng: &mut Rng) -> Mood {
    let ways = (0..rng.pick(1..4)).map(|_| wrong(rng)).collect();
    let from = if rng.one_in(2) { Duration::ZERO } else { rng.millis(1..4_000) };
    let until = if rng.one_in(2) { Duration::MAX } else { from + rng.millis(1..60_000) };
    Mood { ways, nth: *rng.one_of(&[1, 1, 2, 5]), during: from..until }
}

fn road(rng: &mut Rng, index: usize, places: usize) -> Road {
    let hops = match rng.pick(0..4) {
        0 => (0..rng.pick(1..3)).map(|_| rng.pick(0..3) as usize).collect(),
        _ => Vec::new(),
    };
    let mut ends = vec![(Duration::ZERO, index)];
    if rng.one_in(8) && !hops.is_empty() {
        ends.push((rng.millis(1..4_000), rng.pick(0..places as u64) as usize));
    }
    let password = (index > 0 && rng.one_in(6)).then_some("user:pass");
    Road { hops, ends, password }
}

/// What of an object of about this length is wanted, where that is not all.
pub(crate) fn slice(rng: &mut Rng, length: u64) -> Option<RangeSpec> {
    let first = rng.pick(0..length + 2);
    match rng.pick(0..24) {
        0 => RangeSpec::of(first..),
        1 => Some(RangeSpec::Suffix(rng.pick(1..length + 2))),
        2 => RangeSpec::of(..first + 1),
        3 | 4 => {
            let most = rng.magnitude(25) + 1;
            RangeSpec::of(first..first + most)
        }
        _ => None,
    }
}

/// What the user wants, for one seed.
pub(crate) fn policy(rng: &mut Rng, faults: bool) -> Policy {
    let connections = match rng.pick(0..6) {
        0 => Connections::Exactly(1),
        1 => Connections::Auto { max: 8 },
        _ => Connections::Exactly(rng.pick(2..17) as usize),
    };
    let small = rng.one_in(3);
    Policy {
        connections,
        part_size: rng.one_in(5).then(|| rng.pick(1 << 16..4 << 20)),
        first_part: if small { rng.pick(1 << 14..1 << 20) } else { 1 << 20 },
        min_split: if small { rng.pick(1 << 14..1 << 20) } else { 1 << 20 },
        pin: *rng.one_of(&[Pin::Auto, Pin::Auto, Pin::Auto, Pin::Auto, Pin::None]),
        digest: rng.one_in(5),
        retries: if faults { *rng.one_of(&[5, 5, 5, 20, 1, 0]) } else { 5 },
        restart_on_change: rng.one_in(3),
        retry_all: faults && rng.one_in(10),
        max_time: (faults && rng.one_in(10)).then(|| rng.millis(1..60_000)),
        seed: rng.next(),
        ..plain()
    }
}

/// The defaults, and a secret.
pub(crate) fn plain() -> Policy {
    let secret = Field::new("X-Secret", b"hush").expect("a field");
    Policy { private_fields: vec![secret], ..Policy::default() }
}
