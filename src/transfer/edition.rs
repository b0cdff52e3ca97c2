//! Everything that one version of the object determines: a value that is replaced whole when the
//! version changes, so that nothing of the old one can be forgotten.

use std::{ops::Range, sync::Arc, time::Duration};

use url::Url;

use super::{
    plan,
    probe::{Question, Version, Wanted},
    ramp::Ramp,
    work::Work,
};
use crate::http::{
    field::{RangeSpec, StatedDigest, Validators},
    redirect::{Chain, Origin},
    request::Ask,
    response::Head,
};
use crate::journal::Held;
use crate::orders::{Expect, Extent, Failure, Finished, OPEN_END, Policy, expect};
use crate::range::RangeSet;

/// What is known of one version.
#[derive(Clone, Debug)]
pub(super) struct Edition {
    pub(super) question: Question,
    /// What an earlier run left.
    pub(super) held: Option<Held>,
    /// A finished file of an earlier run, until an answer tells whether it is up to date.
    pub(super) known: Option<Finished>,
    pub(super) object: Option<Object>,
    /// What of the object is wanted.
    slice: Option<RangeSpec>,
    /// How long the object is, once an answer that was believed told, and where in it the bytes
    /// lie that the work counts.
    pub(super) extent: Option<Extent>,
    pub(super) work: Work,
    /// By the place's number.
    pub(super) finds: Vec<Find>,
    /// Answers in a row to the question that were lies or garbage.
    pub(super) lies: u32,
    /// How often the object was begun anew at its first byte.
    pub(super) from_zero: u32,
    /// How many connections it is worth.
    pub(super) planned: usize,
    pub(super) ramp: Ramp,
    /// The digest did not match, and what was not of the trusted place was fetched again.
    pub(super) mismatch: Option<Failure>,
    pub(super) told: Told,
}

/// What the answer that was believed first said, wherever it came from.
#[derive(Clone, Debug)]
pub(super) struct Object {
    /// Which place that was.
    pub(super) place: usize,
    pub(super) validators: Validators,
    pub(super) head: Option<Arc<Head>>,
    /// The first strong entity tag that any place named.
    pub(super) tag: Option<String>,
    /// Ranges can be asked for.
    pub(super) ranged: bool,
    /// The content is coded: the bytes of one answer are not those of another.
    pub(super) coded: bool,
    pub(super) stated: Option<StatedDigest>,
    pub(super) disposition: Option<Vec<u8>>,
    pub(super) content_encoding: Option<String>,
}

/// What a place was found to have.
#[derive(Clone, Debug)]
pub(super) struct Find {
    pub(super) chain: Chain,
    pub(super) standing: Standing,
    /// What it said first. Whatever it says later is compared with that.
    pub(super) said: Option<Validators>,
    /// The first entity tag that it named, weak or strong, be it later than in its first answer.
    tag: Option<String>,
    /// The URL that the user gave was asked again, because the one after redirects stopped working.
    pub(super) resolved: Option<Resolved>,
    /// The bytes that came from there.
    pub(super) brought: RangeSet,
}

/// What is known of a place.
#[derive(Clone, Debug)]
pub(super) enum Standing {
    /// Nothing yet.
    New,
    /// It has the object.
    Good(Box<Spot>),
    /// It has another object, or lies.
    Other,
}

/// Where the object lies at a place.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    pub(super) url: Url,
    pub(super) origin: Option<Origin>,
    /// The version in the words of that place.
    pub(super) validators: Validators,
    /// When the URL stops working, if it says so and was not the user's own.
    pub(super) expires: Option<Duration>,
}

/// When the URL that the user gave was asked again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resolved {
    /// The first request after that.
    pub(super) attempt: u64,
    /// What was there by then.
    pub(super) done: u64,
}

/// What only the view wants to know.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    pub(super) resumed: u64,
    pub(super) fallback: Option<&'static str>,
    /// The end of the object is known by a close alone.
    pub(super) unverified: bool,
    pub(super) fetched: bool,
    /// The finished file of an earlier run is what there is.
    pub(super) kept: bool,
    /// The part file was ready once.
    pub(super) ready: bool,
}

/// Whether what an earlier run left can be built on: it is some of an object, and something proves
/// which object.
pub(super) fn is_usable(held: &Held, policy: &Policy) -> bool {
    let extent = Extent::of(policy.slice, held.complete);
    let sliced = extent.is_some_and(|extent| extent.length() == held.total);
    let within = held.done.iter().all(|range| range.end <= held.total);
    let guarded = held.validator.is_some() || policy.digest;
    within && guarded && sliced && !held.done.is_empty() && held.complete <= expect::LENGTH_MAX
}

impl Edition {
    /// Of a version of which nothing is known but what an earlier run left.
    pub(super) fn new<'a>(
        policy: &Policy,
        asked: impl Iterator<Item = &'a Url>,
        held: Option<Held>,
        known: Option<Finished>,
    ) -> Self {
        let finds = asked.map(|url| Find::new(chain(policy, url))).collect();
        let mut edition = Self {
            question: Question::Probe,
            known: known.filter(|_| held.is_none()),
            held,
            object: None,
            slice: policy.slice,
            extent: None,
            work: Work::new(None, RangeSet::new()),
            finds,
            lies: 0,
            from_zero: 0,
            planned: 1,
            ramp: Ramp::none(),
            mismatch: None,
            told: Told::default(),
        };
        edition.begin(policy);
        edition
    }

    /// The question that it begins with. Returns what is to be published without any.
    pub(super) fn begin(&mut self, policy: &Policy) {
        self.extent = None;
        let Some(held) = &self.held else {
            let single = plan::is_single(policy);
            self.question = if single { Question::Whole(Version::Any) } else { Question::Probe };
            return;
        };
        self.extent = Extent::of(policy.slice, held.complete);
        self.work = Work::new(Some(held.total), held.done.clone());
        let version = held.validator.clone().map_or(Version::Any, Version::Strong);
        self.question = match version {
            Version::Strong(strong) if self.work.is_complete() && !policy.digest => {
                Question::Confirm(strong)
            }
            version => Question::Rest { version, over: true },
        };
    }

    /// What a request for a span asks of the object; `OPEN_END` is the end of what is wanted.
    pub(super) fn ask_for(&self, span: &Range<u64>) -> Ask {
        let base = match (&self.extent, self.slice) {
            (Some(extent), _) => extent.wanted.start,
            // Counted from the end until an answer tells where that is.
            (None, Some(RangeSpec::Suffix(length))) => {
                return Ask::Last(length.saturating_sub(span.start));
            }
            (None, slice) => slice.and_then(RangeSpec::first).unwrap_or(0),
        };
        let start = base.saturating_add(span.start);
        match span.end {
            OPEN_END => Ask::From(start),
            end => Ask::Part(start..base.saturating_add(end)),
        }
    }

    /// Whether a slice is counted from the end, nobody knows where that is, and the slice is not
    /// asked for as a whole: its last byte tells.
    pub(super) fn is_unplaced(&self, policy: &Policy) -> bool {
        let (Some(RangeSpec::Suffix(length)), None) = (self.slice, &self.extent) else {
            return false;
        };
        self.question == Question::Probe && length > policy.first_part.max(1)
    }

    /// What is known of what is wanted when an answer to the question comes.
    pub(super) fn wanted(&self, policy: &Policy) -> Wanted<'_> {
        Wanted {
            slice: self.slice,
            extent: self.extent.as_ref(),
            unplaced: self.is_unplaced(policy),
        }
    }

    /// Which answer is believed that brings a span.
    pub(super) fn expect(&self, range: Range<u64>, validators: Validators) -> Option<Expect> {
        let extent = self.extent.clone()?;
        Some(Expect { range, extent, validators })
    }

    pub(super) fn find(&self, place: usize) -> Option<&Find> {
        self.finds.get(place)
    }

    pub(super) fn find_mut(&mut self, place: usize) -> Option<&mut Find> {
        self.finds.get_mut(place)
    }

    /// Where the object lies at a place that is known to have it.
    pub(super) fn spot(&self, place: usize) -> Option<&Spot> {
        match &self.find(place)?.standing {
            Standing::Good(spot) => Some(spot),
            Standing::New | Standing::Other => None,
        }
    }

    /// A place has to prove again that it has the object.
    pub(super) fn doubt(&mut self, place: usize) {
        if let Some(find) = self.find_mut(place) {
            find.standing = Standing::New;
        }
    }

    pub(super) fn is_new(&self, place: usize) -> bool {
        self.find(place).is_some_and(|find| matches!(find.standing, Standing::New))
    }

    pub(super) fn is_other(&self, place: usize) -> bool {
        self.find(place).is_none_or(|find| matches!(find.standing, Standing::Other))
    }

    /// The URL at which a place is asked next.
    pub(super) fn url(&self, place: usize) -> Option<&Url> {
        let find = self.find(place)?;
        Some(match &find.standing {
            Standing::Good(spot) => &spot.url,
            Standing::New | Standing::Other => find.chain.current(),
        })
    }

    /// Whether the entity tag of an answer of a place speaks against the bytes that are there: the
    /// place named another one before, or any place a strong one. What an earlier run left under a
    /// date may be of a tag that is not known any more.
    pub(super) fn is_contradicted(&self, place: usize, theirs: &Validators) -> bool {
        let Some(tag) = &theirs.etag else { return false };
        let before = self.find(place).and_then(|find| find.tag.as_ref());
        let strong = self.object.as_ref().and_then(|object| object.tag.as_deref());
        let pin = self.held.as_ref().and_then(|held| held.validator.as_deref());
        before.is_some_and(|before| *before != tag.opaque)
            || !tag.weak && strong.or(pin).is_some_and(|pin| pin != tag.opaque)
    }

    /// Takes up what an accepted answer of a place is tagged with: the first strong entity tag is
    /// the version's, whichever place it came from.
    pub(super) fn take_up(&mut self, place: usize, theirs: &Validators) {
        let Some(tag) = &theirs.etag else { return };
        if let Some(find) = self.find_mut(place) {
            find.tag.get_or_insert_with(|| tag.opaque.clone());
        }
        if let Some(object) = self.object.as_mut().filter(|_| !tag.weak) {
            object.tag.get_or_insert_with(|| tag.opaque.clone());
        }
    }

    /// Whether a later answer of a place is compared with all that the place and the others said
    /// when it is compared with what this place said first.
    pub(super) fn is_tied(&self, place: usize) -> bool {
        let Some(object) = &self.object else { return false };
        let tagged = self.spot(place).is_some_and(|spot| spot.validators.etag.is_some());
        tagged && (object.place == place || object.validators.strong_etag().is_some())
    }

    pub(super) fn is_ranged(&self) -> bool {
        self.object.as_ref().is_some_and(|object| object.ranged)
    }

    /// What is not of the place whose answer was believed first, when others had a share.
    pub(super) fn suspects(&self) -> Option<RangeSet> {
        let trusted = self.object.as_ref()?.place;
        let total =
            self.work.total().filter(|_| self.finds.len() > 1 && self.spot(trusted).is_some())?;
        let mut suspects = RangeSet::new();
        for gap in self.find(trusted)?.brought.gaps(0..total) {
            suspects.insert(gap);
        }
        (!suspects.is_empty() && self.mismatch.is_none() && self.is_ranged()).then_some(suspects)
    }
}

impl Find {
    fn new(chain: Chain) -> Self {
        let brought = RangeSet::new();
        Self { chain, standing: Standing::New, said: None, tag: None, resolved: None, brought }
    }

    /// Whether the URL that the user gave was not asked again since, or bytes came of it.
    pub(super) fn may_resolve(&self, done: u64) -> bool {
        self.resolved.is_none_or(|last| done > last.done)
    }

    /// Whether a request was sent before the URL that the user gave was asked again.
    pub(super) fn is_outdated(&self, attempt: u64) -> bool {
        self.resolved.is_some_and(|last| attempt < last.attempt)
    }
}

/// From a URL that the user gave, as if nothing had been asked before.
pub(super) fn chain(policy: &Policy, url: &Url) -> Chain {
    Chain::new(url.clone(), policy.max_redirects, policy.allow_downgrade)
}
