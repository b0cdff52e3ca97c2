//! The other side: hosts with limits and moods, and the places that an object lies at.
//!
//! Each place has versions of its own, moments at which they change, and its own ways to go wrong.
//! A road is what the user named: a URL that leads to a place, perhaps by way of redirects, which
//! may lead elsewhere later. The first road is the URL of the download, the others are its mirrors.

use std::{ops::Range, time::Duration};

use uget::{
    http::{field::RangeSpec, request::Field},
    orders::Extent,
};
use url::Url;

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

/// What a place has for a while, and what it says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edition {
    /// Which bytes these are, whatever is said of them: equal numbers, equal bytes. 0 is what the
    /// user wants, and what a digest names.
    pub(crate) content: u32,
    pub(crate) length: u64,
    pub(crate) etag: Option<String>,
    /// Seconds before the answer's date.
    pub(crate) modified: Option<i64>,
}

impl Edition {
    /// Whether two editions are one object by what they say of themselves (contract, clause 13):
    /// nothing but a digest can tell them apart if their bytes differ.
    pub(crate) fn is_one_with(&self, other: &Self) -> bool {
        let strong = |of: &Self| of.etag.clone().filter(|tag| !tag.starts_with("W/"));
        let dates = self.modified.is_some() && self.modified == other.modified;
        let same = match (strong(self), strong(other)) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => dates,
        };
        same && self.length == other.length
    }
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

/// What a server does about `If-Range`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfRange {
    Honoured,
    Answered412,
    NotSeen,
}

/// Where bytes come from.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) host: usize,
    /// What it has from when on.
    pub(crate) editions: Vec<(Duration, Edition)>,
    /// Its replicas do not agree: every answer is of any edition.
    pub(crate) flaps: bool,
    pub(crate) ranges: Ranges,
    pub(crate) end: End,
    pub(crate) coded: bool,
    pub(crate) if_range: IfRange,
    /// It has nothing, and says so.
    pub(crate) gone: Option<u16>,
    pub(crate) mood: Option<Mood>,
    /// Ranges with this byte are refused for ever.
    pub(crate) cursed: Option<(u64, Wrong)>,
}

/// What goes wrong at a place by itself, and when.
#[derive(Clone, Debug)]
pub(crate) struct Mood {
    pub(crate) ways: Vec<Wrong>,
    /// Once in how many requests.
    pub(crate) nth: u64,
    pub(crate) during: Range<Duration>,
}

/// How a request goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    Reset,
    Silence,
    Garbage,
    Status(u16, Later),
    /// 200 with a page for people.
    Page,
    Window,
    Total,
    Length,
    Unreadable,
    /// 200 with everything.
    Whole,
    /// More than was asked for, chunked.
    More,
    /// The body does not come to its end.
    Cut,
}

/// What a refusal says about coming back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Later {
    Unsaid,
    Seconds(u64),
    /// A date so many seconds from now, or ago.
    Date(i64),
    /// Neither.
    Nonsense(&'static str),
}

impl Later {
    /// The field, and for how long nothing may be asked (contract, clause 14).
    pub(crate) fn field(self, date: impl Fn(i64) -> String) -> (String, u64) {
        let field = |value: String| format!("Retry-After: {value}\r\n");
        match self {
            Self::Unsaid => (String::new(), 0),
            Self::Seconds(after) if after < 1 << 31 => (field(after.to_string()), after),
            Self::Seconds(after) => (field(after.to_string()), 0),
            Self::Date(after) => (field(date(-after)), u64::try_from(after).unwrap_or(0)),
            Self::Nonsense(text) => (field(text.to_owned()), 0),
        }
    }
}

/// What the user named.
#[derive(Clone, Debug)]
pub(crate) struct Road {
    /// Hosts that redirect, one to the next and the last to a place.
    pub(crate) hops: Vec<usize>,
    /// Where it ends from when on; without hops it ends where it began.
    pub(crate) ends: Vec<(Duration, usize)>,
    /// `user:password` in its own URL, asked for on its way.
    pub(crate) password: Option<&'static str>,
}

/// An object and the ways to it.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) id: usize,
    pub(crate) places: Vec<Place>,
    /// The first is the URL of the download, the others are its mirrors.
    pub(crate) roads: Vec<Road>,
    /// The signature that the last redirect hands out.
    pub(crate) signature: u64,
    pub(crate) expires_at: Option<Duration>,
}

/// What a URL names: a hop of a road, or the place at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Hop(usize),
    Place(usize),
}

impl Place {
    /// The number of what is there at `now`.
    pub(crate) fn current(&self, now: Duration) -> usize {
        self.editions.iter().rposition(|(from, _)| *from <= now).unwrap_or(0)
    }

    /// Whether it never errs, and has one edition for ever.
    pub(crate) fn is_good(&self) -> bool {
        self.editions.len() == 1
            && self.mood.is_none()
            && self.cursed.is_none()
            && self.gone.is_none()
    }
}

impl Place {
    /// Whether it has the ranges that it takes to get a slice of whatever it has.
    pub(crate) fn serves(&self, slice: Option<RangeSpec>) -> bool {
        let there =
            |(_, edition): &(Duration, Edition)| Extent::of(slice, edition.length).is_some();
        !self.coded && self.ranges == Ranges::Yes && self.editions.iter().all(there)
    }
}

impl Road {
    /// The place at its end at `now`.
    pub(crate) fn end(&self, now: Duration) -> usize {
        let last = self.ends.iter().rev().find(|(from, _)| *from <= now);
        last.unwrap_or(&self.ends[0]).1
    }
}

impl Site {
    /// The URL that the user names for a road.
    pub(crate) fn url(&self, hosts: &[Host], road: usize) -> Url {
        let way = &self.roads[road];
        let stop = if way.hops.is_empty() { Stop::Place(way.ends[0].1) } else { Stop::Hop(0) };
        let mut url = self.stop_url(hosts, road, stop);
        if let Some((user, password)) = way.password.and_then(|both| both.split_once(':')) {
            url.set_username(user).expect("a URL with a host");
            url.set_password(Some(password)).expect("a URL with a host");
        }
        url
    }

    /// What is made of the credentials in the URL of a road, as whoever calls the machine does.
    pub(crate) fn own_fields(&self, road: usize) -> Vec<Field> {
        // "user:pass" in base64.
        let field = |_| Field::new("Authorization", b"Basic dXNlcjpwYXNz").expect("a field");
        self.roads[road].password.map(field).into_iter().collect()
    }

    /// The URL of a stop on a road.
    pub(crate) fn stop_url(&self, hosts: &[Host], road: usize, stop: Stop) -> Url {
        let host = &hosts[self.stop_host(road, stop)].name;
        let last = matches!(stop, Stop::Place(_)) && !self.roads[road].hops.is_empty();
        let sign = if last { format!("?sig={}", self.signature) } else { String::new() };
        let name = match stop {
            Stop::Hop(hop) => hop.to_string(),
            Stop::Place(place) => format!("p{place}"),
        };
        Url::parse(&format!("http://{host}/{}/{road}/{name}{sign}", self.id)).expect("a URL")
    }

    pub(crate) fn stop_host(&self, road: usize, stop: Stop) -> usize {
        match stop {
            Stop::Hop(hop) => self.roads[road].hops[hop],
            Stop::Place(place) => self.places[place].host,
        }
    }

    /// Whether a stop and all before it are at the host where the road begins, and which that is.
    pub(crate) fn is_at_home(&self, road: usize, stop: Stop) -> (bool, usize) {
        let way = &self.roads[road];
        let last = self.stop_host(road, stop);
        let before = match stop {
            Stop::Hop(hop) => &way.hops[..hop],
            Stop::Place(_) => &way.hops[..],
        };
        let first = before.first().copied().unwrap_or(last);
        (last == first && before.iter().all(|host| *host == first), first)
    }

    /// The host that the user's URL names.
    pub(crate) fn first_host(&self) -> usize {
        let way = &self.roads[0];
        way.hops.first().copied().unwrap_or(self.places[way.ends[0].1].host)
    }

    /// The place that the user's URL leads to at first.
    pub(crate) fn first_place(&self) -> &Place {
        &self.places[self.roads[0].ends[0].1]
    }

    /// The edition behind the number that a byte carries.
    pub(crate) fn edition(&self, number: u32) -> Option<&Edition> {
        let place = self.places.get(number as usize / EDITIONS)?;
        place.editions.get(number as usize % EDITIONS).map(|(_, edition)| edition)
    }

    /// While nobody looked, everything may have become what it will be.
    pub(crate) fn age(&mut self) {
        for place in &mut self.places {
            place.editions.iter_mut().for_each(|(from, _)| *from = Duration::ZERO);
        }
    }
}

/// No place has so many editions.
pub(crate) const EDITIONS: usize = 16;
