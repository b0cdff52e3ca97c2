//! The other side: hosts with limits and moods, and objects that redirect, change and expire.

use std::time::Duration;

use uget::{
    http::request::Field,
    orders::{Connections, Pin, Policy},
};
use url::Url;

use crate::rng::Rng;

/// A server.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) round_trip: Duration,
    /// Bytes per second of one connection.
    pub(crate) rate: u64,
    /// HTTP/1.1 with keep-alive; else every answer closes.
    pub(crate) keep_alive: bool,
    /// Bytes per second of all its connections together.
    pub(crate) capped: Option<u64>,
    /// Every so many connections one is so many times slower.
    pub(crate) lame: Option<(u64, u64)>,
    /// Connections that it serves at once, and what happens to others.
    pub(crate) limit: Option<(usize, Refusal)>,
}

/// What a server does with a connection too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Refuse,
    Reset,
    Busy,
    Ignore,
}

/// One version of an object.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) length: u64,
    pub(crate) etag: Option<String>,
    /// Seconds before the answer's date.
    pub(crate) modified: Option<i64>,
}

/// How a server answers a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ranges {
    Yes,
    /// At most so many bytes at once.
    Capped(u64),
    Ignored,
    Refused(u16),
    NoTotal,
    Multipart,
    Unreadable,
}

/// How a whole answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Length,
    Chunked,
    Close,
}

/// An object and the way to it.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) id: usize,
    /// Hosts of the chain of redirects; the last one has the object.
    pub(crate) hops: Vec<usize>,
    pub(crate) versions: Vec<Version>,
    /// Other hosts that have it, or say so.
    pub(crate) mirrors: Vec<(usize, Stock)>,
    pub(crate) current: u32,
    pub(crate) ranges: Ranges,
    pub(crate) end: End,
    pub(crate) coded: bool,
    /// If-Range is looked at, and how a mismatch is answered.
    pub(crate) if_range: IfRange,
    /// The signature that the last redirect hands out.
    pub(crate) signature: u64,
    /// Lets the object change, the signature expire.
    pub(crate) changes_at: Option<Duration>,
    pub(crate) expires_at: Option<Duration>,
}

/// What a mirror has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stock {
    Same,
    OtherTag,
    Shorter,
    /// Something else of the same length.
    Other,
    Gone,
}

/// The version of what a mirror has instead of the object.
pub(crate) const OTHER: u32 = 7;

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Hop(usize),
    Mirror(usize),
}

/// What a server does about `If-Range`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfRange {
    Honoured,
    Answered412,
    NotSeen,
}

impl Site {
    /// The URL of hop `index`.
    pub(crate) fn url(&self, hosts: &[Host], index: usize) -> Url {
        let host = &hosts[self.hops[index]].name;
        let last = index + 1 == self.hops.len() && index > 0;
        let sign = if last { format!("?sig={}", self.signature) } else { String::new() };
        Url::parse(&format!("http://{host}/{}/{index}{sign}", self.id)).expect("a URL")
    }

    /// The URL of a mirror.
    pub(crate) fn mirror_url(&self, hosts: &[Host], index: usize) -> Url {
        let host = &hosts[self.mirrors[index].0].name;
        Url::parse(&format!("http://{host}/{}/m{index}", self.id)).expect("a URL")
    }

    /// Whether a mirror has `total` bytes of an object of `length`.
    pub(crate) fn is_mirrored_at(&self, length: u64, total: u64) -> bool {
        length / 2 == total && self.mirrors.iter().any(|(_, stock)| *stock == Stock::Shorter)
    }

    /// What is there now.
    pub(crate) fn version(&self, place: Place) -> Version {
        let version = self.versions[self.current as usize].clone();
        match place {
            Place::Hop(_) => version,
            Place::Mirror(index) => match self.mirrors[index].1 {
                Stock::Same | Stock::Gone => version,
                Stock::OtherTag => Version { etag: Some("\"other\"".to_owned()), ..version },
                Stock::Other => Version {
                    etag: Some("\"else\"".to_owned()),
                    modified: version.modified.map(|age| age + 50),
                    ..version
                },
                Stock::Shorter => Version { length: version.length / 2, ..version },
            },
        }
    }

    /// Whether bytes of two versions can come to lie in one file without anybody noticing.
    pub(crate) fn is_splice_visible(&self, pin: Pin) -> bool {
        pin != Pin::None || self.versions.len() == 1 && self.mirrors.is_empty()
    }
}

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

/// An object for one seed.
pub(crate) fn site(rng: &mut Rng, id: usize, faults: bool) -> Site {
    let length = match rng.pick(0..8) {
        0 => 0,
        1 => rng.pick(1..3),
        2 => (1 << 20) * rng.pick(1..40),
        3 => rng.magnitude(20),
        _ => rng.magnitude(26),
    };
    let kind = rng.pick(0..10);
    let version = |number: u64, length: u64, rng: &mut Rng| Version {
        length,
        etag: match kind {
            0 => None,
            1 => Some(format!("W/\"{number}\"")),
            2 => None,
            _ => Some(format!("\"v{number}\"")),
        },
        modified: (kind == 2 || rng.one_in(2)).then(|| 10_000 - 100 * number as i64),
    };
    let mut versions = vec![version(0, length, rng)];
    let changes = faults && rng.one_in(5);
    if changes {
        let other = if rng.one_in(2) { length } else { rng.magnitude(26) };
        versions.push(version(1, other, rng));
    }
    let ranges = match rng.pick(0..20) {
        0 => Ranges::Ignored,
        1 => Ranges::Refused(*rng.one_of(&[400, 403, 404, 405, 416, 501])),
        2 => Ranges::NoTotal,
        3 => Ranges::Multipart,
        4 => Ranges::Unreadable,
        5 => Ranges::Capped(rng.pick(1 << 14..1 << 21)),
        _ => Ranges::Yes,
    };
    // A refusal that is also the verdict on the plain GET would be a missing object.
    let hops = match rng.pick(0..4) {
        0 => (0..rng.pick(2..4)).map(|_| rng.pick(0..3) as usize).collect(),
        _ => vec![rng.pick(0..3) as usize],
    };
    let if_range = match rng.pick(0..4) {
        0 if faults => IfRange::Answered412,
        1 if faults => IfRange::NotSeen,
        _ => IfRange::Honoured,
    };
    Site {
        id,
        hops,
        versions,
        mirrors: if rng.one_in(4) {
            let kinds = [
                Stock::Same,
                Stock::Same,
                Stock::OtherTag,
                Stock::Shorter,
                // A digest lets it in, and finds it out at the end.
                if faults { Stock::Other } else { Stock::Same },
                Stock::Gone,
            ];
            let count = rng.pick(1..4);
            (0..count).map(|_| (rng.pick(0..3) as usize, *rng.one_of(&kinds))).collect()
        } else {
            Vec::new()
        },
        current: 0,
        ranges,
        end: *rng.one_of(&[End::Length, End::Length, End::Length, End::Chunked, End::Close]),
        coded: rng.one_in(25),
        if_range,
        signature: 1,
        changes_at: changes.then(|| rng.millis(1..5_000)),
        expires_at: (faults && rng.one_in(4)).then(|| rng.millis(1..5_000)),
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
