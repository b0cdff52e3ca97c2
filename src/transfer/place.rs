//! The places that have the object: the URL that the user asked for, and its mirrors, of one kind.
//!
//! What is here outlives a version: who may be asked, how often it failed, how many connections it
//! takes, until when nothing may be asked of an origin. What a place is known to have is a matter
//! of the version ([`super::edition`]).

use std::{net::IpAddr, time::Duration};

use url::Url;

use super::{crowd::Crowd, pace::Pace};
use crate::http::{
    redirect::{Chain, Origin},
    request::Field,
};
use crate::orders::{Failure, Policy, Trouble};

/// The place that the user named first.
pub(super) const FIRST: usize = 0;

/// All of them.
#[derive(Clone, Debug)]
pub(super) struct Places {
    all: Vec<Place>,
    /// The one that is asked what there is, and whose failures are the transfer's.
    pub(super) lead: usize,
    /// Of these nothing may be asked yet.
    holds: Vec<(Origin, Pause)>,
}

/// One place.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The URL that the user gave.
    pub(super) asked: Url,
    /// The fields that it alone may see.
    own: Vec<Field>,
    /// How many connections its servers take.
    pub(super) crowd: Crowd,
    /// How many it gets, because another place serves better.
    pub(super) most: usize,
    /// Attempts in a row that brought nothing.
    pub(super) failures: u32,
    /// Nothing is asked there before: the delay of a retry. Progress ends it.
    pub(super) pause: Option<Pause>,
    pub(super) turn: Turn,
    /// The pace of connections that serve one request each, their making included.
    pub(super) once: Pace,
    /// An address of it that stalled or failed.
    pub(super) avoid: Option<IpAddr>,
}

/// Whether a place may lead.
#[derive(Clone, Debug)]
pub(super) enum Turn {
    /// It has not failed yet.
    Fresh,
    /// It led and failed, as others might not: asked again when those have failed, too.
    Tired,
    /// It is not asked any more, and why.
    Gone(Box<Trouble>),
}

/// Nothing is asked before `until`.
#[derive(Clone, Debug)]
pub(super) struct Pause {
    pub(super) until: Duration,
    pub(super) why: Failure,
}

impl Places {
    /// The URL that the user asked for, then the mirrors of the policy.
    pub(super) fn new(url: &Url, policy: &Policy) -> Self {
        let home = Origin::of(url);
        let mut all = vec![Place::new(url, policy.private_fields.clone())];
        for (index, mirror) in policy.mirrors.iter().enumerate() {
            let mut own = policy.mirror_fields.get(index).cloned().unwrap_or_default();
            if Origin::of(mirror) == home {
                // What is made of its own URL goes before what is made of the first one.
                let made = |field: &&Field| {
                    !own.iter().any(|mine| mine.name().eq_ignore_ascii_case(field.name()))
                };
                let user: Vec<Field> = policy.private_fields.iter().filter(made).cloned().collect();
                own.extend(user);
            }
            all.push(Place::new(mirror, own));
        }
        Self { all, lead: FIRST, holds: Vec::new() }
    }

    pub(super) fn at(&self, place: usize) -> Option<&Place> {
        self.all.get(place)
    }

    pub(super) fn at_mut(&mut self, place: usize) -> Option<&mut Place> {
        self.all.get_mut(place)
    }

    /// The place that leads.
    pub(super) fn first(&self) -> &Place {
        self.all.get(self.lead).unwrap_or_else(|| unreachable!("a place leads"))
    }

    /// The place that leads.
    pub(super) fn first_mut(&mut self) -> &mut Place {
        self.all.get_mut(self.lead).unwrap_or_else(|| unreachable!("a place leads"))
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// The URLs that the user gave.
    pub(super) fn asked(&self) -> impl Iterator<Item = &Url> {
        self.all.iter().map(|place| &place.asked)
    }

    /// Those that are not gone.
    pub(super) fn live(&self) -> impl Iterator<Item = (usize, &Place)> {
        self.all.iter().enumerate().filter(|(_, place)| !place.is_gone())
    }

    /// All, whatever became of them.
    pub(super) fn live_or_gone(&self) -> impl Iterator<Item = &Place> {
        self.all.iter()
    }

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Place> {
        self.all.iter_mut()
    }

    /// Every new request to `origin` waits until then.
    pub(super) fn hold(&mut self, origin: Origin, until: Duration, why: Failure) {
        match self.holds.iter_mut().find(|(of, _)| *of == origin) {
            Some((_, pause)) if pause.until >= until => {}
            Some((_, pause)) => *pause = Pause { until, why },
            None => self.holds.push((origin, Pause { until, why })),
        }
    }

    /// What keeps requests from a place that lies at `origin` now.
    pub(super) fn waits(&self, place: usize, origin: Option<&Origin>) -> Option<&Pause> {
        let of = self.holds.iter().filter(|(held, _)| Some(held) == origin).map(|(_, pause)| pause);
        let own = self.at(place).and_then(|place| place.pause.as_ref());
        of.chain(own).max_by_key(|pause| pause.until)
    }

    /// What is over at `now` is forgotten.
    pub(super) fn expire(&mut self, now: Duration) {
        self.holds.retain(|(_, pause)| pause.until > now);
        for place in &mut self.all {
            place.pause.take_if(|pause| pause.until <= now);
        }
    }

    /// Takes the steps that are due.
    pub(super) fn handle_timeout(&mut self, now: Duration, wanted: usize) {
        for place in &mut self.all {
            place.crowd.handle_timeout(now, wanted);
        }
    }

    /// When something of this changes by itself.
    pub(super) fn next_timeouts(&self) -> impl Iterator<Item = Duration> {
        let holds = self.holds.iter().map(|(_, pause)| pause.until);
        let live = self.all.iter().filter(|place| !place.is_gone());
        let own = live.flat_map(|place| {
            let pause = place.pause.as_ref().map(|pause| pause.until);
            [pause, place.crowd.next_timeout()].into_iter().flatten()
        });
        holds.chain(own)
    }

    /// How many connections all of them take.
    pub(super) fn limit(&self) -> usize {
        self.live().fold(0, |sum: usize, (_, place)| sum.saturating_add(place.limit())).max(1)
    }
}

impl Place {
    fn new(asked: &Url, own: Vec<Field>) -> Self {
        Self {
            asked: asked.clone(),
            own,
            crowd: Crowd::default(),
            most: usize::MAX,
            failures: 0,
            pause: None,
            turn: Turn::Fresh,
            once: Pace::default(),
            avoid: None,
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        matches!(self.turn, Turn::Gone(_))
    }

    /// The most connections that it may have.
    pub(super) fn limit(&self) -> usize {
        self.crowd.limit().min(self.most)
    }

    /// The fields that it alone may see: at home, and not behind a hop that led elsewhere.
    pub(super) fn own_fields(&self, chain: &Chain) -> &[Field] {
        if chain.trusted() { &self.own } else { &[] }
    }

    /// Bytes came of it.
    pub(super) fn brought(&mut self) {
        self.failures = 0;
        self.pause = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    fn field(name: &str, value: &str) -> Field {
        Field::new(name, value.as_bytes()).expect("a field")
    }

    #[test]
    fn everybody_sees_its_own_credentials_alone() {
        let (home, secret) = (field("Authorization", "Basic home"), field("X-Secret", "hush"));
        let theirs = field("authorization", "Basic mirror");
        let policy = Policy {
            private_fields: vec![home.clone(), secret.clone()],
            mirrors: vec![url("http://b.test/f"), url("http://a.test/g"), url("http://a.test/h")],
            mirror_fields: vec![vec![theirs.clone()], vec![theirs.clone()]],
            ..Policy::default()
        };
        let first = url("http://a.test/f");
        let places = Places::new(&first, &policy);
        for (place, want) in [
            (0, vec![home.clone(), secret.clone()]),
            (1, vec![theirs.clone()]),
            (2, vec![theirs, secret.clone()]),
            (3, vec![home, secret]),
        ] {
            let place = places.at(place).expect("a place");
            let mut chain = Chain::new(place.asked.clone(), 5, false);
            assert_eq!(place.own_fields(&chain), want, "{}", place.asked);
            chain.follow(Some(b"http://c.test/x")).expect("a redirect");
            assert!(place.own_fields(&chain).is_empty(), "{}", place.asked);
        }
    }

    #[test]
    fn a_hold_is_of_an_origin_and_a_pause_of_a_place() {
        let policy = Policy { mirrors: vec![url("http://b.test/f")], ..Policy::default() };
        let mut places = Places::new(&url("http://a.test/f"), &policy);
        let (a, b) = (Origin::of(&url("http://a.test/")), Origin::of(&url("http://b.test/")));
        let seconds = Duration::from_secs;
        places.hold(a.clone().expect("an origin"), seconds(2), Failure::Stale);
        places.hold(a.clone().expect("an origin"), seconds(1), Failure::Stale);
        assert_eq!(places.waits(0, a.as_ref()).map(|pause| pause.until), Some(seconds(2)));
        assert!(places.waits(1, a.as_ref()).is_some(), "whoever it is that leads there");
        assert!(places.waits(0, b.as_ref()).is_none());
        places.first_mut().pause = Some(Pause { until: seconds(3), why: Failure::Stale });
        assert_eq!(places.waits(0, a.as_ref()).map(|pause| pause.until), Some(seconds(3)));
        places.first_mut().brought();
        assert_eq!(places.next_timeouts().min(), Some(seconds(2)), "progress ends no hold");
        places.expire(seconds(2));
        assert!(places.waits(0, a.as_ref()).is_none());
    }
}
