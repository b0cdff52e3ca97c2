//! Other places for the same object: spans go to all of them, and the faster take more.
//!
//! A mirror is tried with a request for a span of its own, once the object is known. Its answer
//! must be a part of an object of the same length and, unless a digest will tell, of the same
//! validator; otherwise it is dropped with a warning, and costs nothing but that. From then on
//! every connection, wherever it leads, takes the next span from the one queue when it is free,
//! so that a place gets work as fast as it delivers. When the first place fails for good, a
//! mirror takes its part.

use url::Url;

use super::{
    Object, Stage, Transfer,
    conn::{Job, Link, Role, State},
    probe::{self, Question, Ruling, Version},
    recover::Lost,
    retry::Budget,
};
use crate::http::{
    field::Validators,
    redirect::{Chain, Origin},
    request::Ask,
    response::Head,
};
use crate::orders::{Accept, Attempt, Conn, Failure, Note, Pin, Verdict};

/// One other place.
#[derive(Clone, Debug)]
pub(super) struct Mirror {
    /// The URL that the user gave.
    asked: Url,
    chain: Chain,
    state: Standing,
    /// Attempts in a row that brought nothing.
    failures: u32,
    /// Connections that it takes.
    most: usize,
}

/// What is known of a mirror.
#[derive(Clone, Debug)]
enum Standing {
    /// Nothing yet.
    New,
    /// It has the object.
    Good(Box<Object>),
    /// It is of no use, or is no mirror any more.
    Dropped,
}

impl Transfer {
    /// The mirrors that the policy names.
    pub(super) fn mirrors_of(policy: &crate::orders::Policy) -> Vec<Mirror> {
        let (hops, downgrade) = (policy.max_redirects, policy.allow_downgrade);
        let mirror = |url: &Url| Mirror {
            asked: url.clone(),
            chain: Chain::new(url.clone(), hops, downgrade),
            state: Standing::New,
            failures: 0,
            most: usize::MAX,
        };
        policy.mirrors.iter().map(mirror).collect()
    }

    /// Whether the user's own fields may go where `chain`, which began at `first`, leads.
    pub(super) fn is_trusted(&self, first: &Url, chain: &Chain) -> bool {
        chain.trusted() && Origin::of(first) == self.home
    }

    /// Where the object lies for connections of a mirror, or of the first place.
    pub(super) fn place(&self, mirror: Option<usize>) -> Option<&Object> {
        match mirror {
            None => self.object.as_ref(),
            Some(index) => match &self.mirrors.get(index)?.state {
                Standing::Good(object) => Some(object),
                _ => None,
            },
        }
    }

    /// Whether an idle connection can be of use.
    pub(super) fn is_useful(&self, link: &Link) -> bool {
        let origin = match link.mirror.map(|index| self.mirrors.get(index)) {
            None => self.object.as_ref().and_then(|object| object.origin.clone()),
            Some(Some(Mirror { state: Standing::Good(object), .. })) => object.origin.clone(),
            Some(Some(Mirror { state: Standing::New, chain, .. })) => Origin::of(chain.current()),
            Some(_) => None,
        };
        origin.is_some() && link.origin == origin
    }

    /// Where the next connection should lead: to the place that has the fewest. A mirror that is
    /// not known yet gets one, and until it is known its share is kept free.
    pub(super) fn next_place(&self) -> Option<(Option<usize>, Url)> {
        let count = |mirror| self.links.values().filter(|link| link.mirror == mirror).count();
        let live = |mirror: &&Mirror| !matches!(mirror.state, Standing::Dropped);
        let unknown = self.mirrors.iter().any(|mirror| matches!(mirror.state, Standing::New));
        let places = 1 + self.mirrors.iter().filter(live).count();
        let fair = if unknown { self.limit().div_ceil(places) } else { usize::MAX };
        let first = self.object.as_ref().map(|object| (None, &object.url, fair));
        let others =
            self.mirrors.iter().enumerate().filter_map(|(index, mirror)| match &mirror.state {
                Standing::New => Some((Some(index), mirror.chain.current(), 1)),
                Standing::Good(object) => Some((Some(index), &object.url, mirror.most.min(fair))),
                Standing::Dropped => None,
            });
        let all = first.into_iter().chain(others);
        let open = all.map(|(mirror, url, most)| (count(mirror), mirror, url, most));
        let best = open.filter(|(has, .., most)| has < most).min_by_key(|(has, ..)| *has)?;
        Some((best.1, best.2.clone()))
    }

    /// Asks a mirror for a span, to find out whether it has the object.
    pub(super) fn scout(&mut self, conn: Conn, index: usize) {
        let Some(mirror) = self.mirrors.get(index) else { return };
        if !matches!(mirror.state, Standing::New) {
            return;
        }
        let (url, chain) = (mirror.chain.current().clone(), mirror.chain.clone());
        let trusted = self.is_trusted(&mirror.asked, &chain);
        let piece = self.piece_for(conn);
        let Some((span, blame)) = self.work.lease(self.now, piece) else { return };
        let mut request = self.request_to(url, trusted);
        request.ask = Ask::Part(span.clone());
        let mirror = Some(index);
        let job = Job { role: Role::Scout, leased: true, blame, mirror, ..self.job(span) };
        self.send(conn, job, request, Accept::Ask);
    }

    /// A mirror's first answer.
    pub(super) fn on_scout(&mut self, conn: Conn, attempt: Attempt, head: &Head) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        let State::Busy(job) = &link.state else { return };
        let (Some(index), true) = (job.mirror, job.attempt == attempt) else { return };
        let asked = job.span.clone();
        link.proven = true;
        let question = Question::Rest { version: Version::Any, over: false };
        match probe::judge(&question, &asked, self.work.total(), head) {
            Ruling::Part { range, .. } if self.is_same(&head.validators()) => {
                self.take_body(conn, range);
                self.settle_mirror(index, head);
                self.receive_waiting();
            }
            Ruling::Redirect => {
                self.skip(conn);
                let Some(mirror) = self.mirrors.get_mut(index) else { return };
                if let Err(error) = mirror.chain.follow(head.one("location")) {
                    self.drop_mirror(index, Some(Failure::Http(error)));
                }
            }
            Ruling::Fail(failure) => {
                self.skip(conn);
                self.drop_mirror(index, Some(failure));
            }
            _ => {
                self.skip(conn);
                self.drop_mirror(index, None);
            }
        }
    }

    /// Whether a mirror's object is the one that is downloaded, as far as can be told.
    fn is_same(&self, theirs: &Validators) -> bool {
        let Some(ours) = self.object.as_ref().map(|object| &object.validators) else {
            return false;
        };
        let tags = ours.strong_etag().is_some() && ours.strong_etag() == theirs.strong_etag();
        let date = |of: &Validators| of.last_modified.as_ref().map(|(_, date)| *date);
        let dates = date(ours).is_some() && date(ours) == date(theirs);
        self.policy.digest || self.policy.pin == Pin::None || tags || dates
    }

    fn settle_mirror(&mut self, index: usize, head: &Head) {
        let Some(mirror) = self.mirrors.get(index) else { return };
        let url = mirror.chain.current().clone();
        let object = Object {
            origin: Origin::of(&url),
            trusted: self.is_trusted(&mirror.asked, &mirror.chain),
            validators: head.validators(),
            ranged: true,
            coded: false,
            expires: None,
            url,
        };
        if let Some(mirror) = self.mirrors.get_mut(index) {
            mirror.state = Standing::Good(Box::new(object));
        }
    }

    /// What a mirror loses is asked for elsewhere; one that goes on losing is dropped. Returns the
    /// failure back if it is none of the mirror's.
    pub(super) fn mirror_lost(&mut self, index: usize, lost: Lost) -> Option<Lost> {
        if !is_of_the_place(&lost.failure) && !matches!(lost.failure, Failure::Changed(_)) {
            return Some(lost);
        }
        let alive = self.links.values().filter(|link| link.mirror == Some(index)).count();
        let mirror = self.mirrors.get_mut(index)?;
        let good = matches!(mirror.state, Standing::Good(_));
        mirror.failures = if lost.brought > 0 { 0 } else { mirror.failures.saturating_add(1) };
        let verdict = lost.failure.verdict();
        let again =
            matches!(verdict, Verdict::Retry | Verdict::RetryFree | Verdict::RetryLater { .. });
        if good && again && lost.unproven && alive > 0 {
            // It takes fewer connections.
            mirror.most = alive;
        } else if !good || !again || mirror.failures >= FAILURES_MAX {
            self.drop_mirror(index, Some(lost.failure));
        }
        None
    }

    /// One of a mirror's connections is so slow that another place serves better.
    pub(super) fn take_from_mirror(&mut self, index: usize) {
        let has = self.links.values().filter(|link| link.mirror == Some(index)).count();
        if let Some(mirror) = self.mirrors.get_mut(index) {
            mirror.most = mirror.most.min(has.saturating_sub(1));
        }
    }

    /// Bytes came from a mirror.
    pub(super) fn mirror_brought(&mut self, index: usize) {
        if let Some(mirror) = self.mirrors.get_mut(index) {
            mirror.failures = 0;
        }
    }

    fn drop_mirror(&mut self, index: usize, failure: Option<Failure>) {
        let Some(mirror) = self.mirrors.get_mut(index) else { return };
        if matches!(mirror.state, Standing::Dropped) {
            return;
        }
        mirror.state = Standing::Dropped;
        let url = mirror.asked.clone();
        self.note(Note::MirrorDropped { url, failure });
        let of = self.links.iter().filter(|(_, link)| link.mirror == Some(index));
        let of = of.filter(|(_, link)| link.job().is_none_or(|job| job.role != Role::Skip));
        for conn in of.map(|(conn, _)| *conn).collect::<Vec<_>>() {
            self.close(conn);
        }
    }

    /// The place that was asked fails for good: a mirror stands in for it, if there is one. Returns
    /// whether there is.
    pub(super) fn stand_in(&mut self, failure: &Failure) -> bool {
        if !is_of_the_place(failure) || self.policy.retries == 0 {
            return false;
        }
        match self.stage {
            Stage::Moving => self.stand_in_moving(failure),
            Stage::Asking if self.object.is_none() => self.stand_in_asking(failure),
            _ => false,
        }
    }

    /// Everything that the first place had is forgotten; a good mirror is the first place now.
    fn stand_in_moving(&mut self, failure: &Failure) -> bool {
        let good = |mirror: &Mirror| matches!(mirror.state, Standing::Good(_));
        let Some(index) = self.mirrors.iter().position(good) else { return false };
        let old = self.original.clone();
        let mirror = &mut self.mirrors[index];
        let Standing::Good(object) = std::mem::replace(&mut mirror.state, Standing::Dropped) else {
            return false;
        };
        self.original = mirror.asked.clone();
        self.chain = mirror.chain.clone();
        self.note(Note::MirrorDropped { url: old, failure: Some(failure.clone()) });
        let first = self.links.iter().filter(|(_, link)| link.mirror.is_none());
        for conn in first.map(|(conn, _)| *conn).collect::<Vec<_>>() {
            self.close(conn);
        }
        for link in self.links.values_mut().filter(|link| link.mirror == Some(index)) {
            link.mirror = None;
            if let State::Busy(job) = &mut link.state {
                job.mirror = None;
            }
        }
        self.object = Some(*object);
        self.resolved = None;
        self.hold = None;
        self.budget = Budget::new(&self.policy, self.started);
        self.work.pardon();
        true
    }

    /// Nothing is known yet: the next mirror is asked what there is.
    fn stand_in_asking(&mut self, failure: &Failure) -> bool {
        let new = |mirror: &Mirror| matches!(mirror.state, Standing::New);
        let Some(index) = self.mirrors.iter().position(new) else { return false };
        let old = self.original.clone();
        let mirror = &mut self.mirrors[index];
        mirror.state = Standing::Dropped;
        self.original = mirror.asked.clone();
        self.chain = mirror.chain.clone();
        self.note(Note::MirrorDropped { url: old, failure: Some(failure.clone()) });
        self.close_all();
        self.hold = None;
        self.lies = 0;
        self.budget = Budget::new(&self.policy, self.started);
        self.first_question();
        true
    }
}

/// Whether another place may not fail in this way.
fn is_of_the_place(failure: &Failure) -> bool {
    match failure {
        Failure::Connect { .. }
        | Failure::Receive { .. }
        | Failure::Stale
        | Failure::ShortBody { .. }
        | Failure::Range(_) => true,
        Failure::Timeout { phase, .. } => *phase != crate::orders::Phase::Transfer,
        failure => failure.is_remote(),
    }
}

/// Attempts in a row that a mirror may lose.
const FAILURES_MAX: u32 = 3;
