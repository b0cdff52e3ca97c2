//! Hands out what is missing: in file order, to whichever connection is free.

use std::ops::Range;

use super::{
    Stage, Store, Transfer,
    conn::{Job, Link, Role, Shrink, State},
    edition,
    pace::Pace,
    plan::{self, Piece},
    probe::{Question, Version},
    ramp::{Cost, Outlook, Ramp},
    tail,
    work::{Blame, Reach},
};
use crate::http::field::Validators;
use crate::orders::{Accept, Command, Conn, Connections, Failure, Pin};

impl Transfer {
    /// Gives every free connection something to do, opens those that are missing, and publishes
    /// when there is nothing left to do.
    pub(super) fn lease(&mut self) {
        let Some(object) = &self.edition.object else { return };
        let ranged = object.ranged;
        if self.edition.work.is_complete() {
            if self.links.is_quiet() {
                self.publish();
            }
            return;
        }
        let lead = self.places.lead;
        if !ranged || self.edition.spot(lead).is_none() {
            if self.links.is_quiet() {
                self.stream_again();
            }
            return;
        }
        let useless = |transfer: &Self, link: &Link| link.is_idle() && !transfer.is_useful(link);
        let of = self.links.iter().filter(|(_, link)| useless(self, link));
        for conn in of.map(|(conn, _)| *conn).collect::<Vec<_>>() {
            self.close(conn);
        }
        if self.is_expired(lead) && self.edition.work.has_due(self.now) {
            self.resolve_again(None);
            return self.ask();
        }
        self.links.refresh();
        self.feed_idle();
        self.open_more();
        if self.is_stuck() {
            self.forgive();
        }
        if self.links.is_quiet()
            && !self.links.any_opening()
            && let Some(failure) = self.hopeless()
        {
            return self.despair(failure);
        }
        if self.pulse.is_none() && self.links.parts().next().is_some() {
            self.pulse = Some(self.now.saturating_add(tail::BEAT));
        }
    }

    /// Parts of a stream are leased as far as there is room for them.
    pub(super) fn reach(&mut self) {
        let Some(window) = self.policy.window else { return };
        let grain = plan::grain(&self.policy, self.limit());
        let end = self.counts.consumed.saturating_add(window);
        self.edition.work.set_reach(Reach { end, longest: grain.saturating_add(grain / 2) });
    }

    /// Something may be asked for, nothing is, and nothing is waited for: each place is passed over
    /// for the sake of another one.
    fn is_stuck(&self) -> bool {
        let waits = |place: usize| {
            self.waits(place).is_some_and(|pause| !matches!(pause.why, Failure::Patience { .. }))
        };
        !self.links.any_opening()
            && self.allowance > 0
            && self.links.is_quiet()
            && self.edition.work.has_due(self.now)
            && !self.places.live().any(|(place, _)| waits(place))
    }

    /// What places failed at is asked of them again. One that goes on failing is dropped in the
    /// end, or the failure is the transfer's.
    fn forgive(&mut self) {
        self.edition.work.readmit();
        for place in self.places.all_mut() {
            place.most = usize::MAX;
        }
        self.feed_idle();
        self.open_more();
    }

    /// The part file is ready: from now on bytes come.
    pub(super) fn start_ramp(&mut self) {
        if matches!(self.policy.connections, Connections::Auto { .. })
            && self.edition.ramp.is_none()
        {
            self.edition.ramp = Ramp::new(self.now, self.outlook());
        }
    }

    /// Takes a step of the ramp if it is time.
    pub(super) fn ramp_up(&mut self) {
        let outlook = self.outlook();
        let due = self.edition.ramp.next_timeout().is_some_and(|at| at <= self.now);
        if due && self.edition.work.is_held_back() && !self.edition.work.has_due(self.now) {
            // It is the consumer of a stream that takes its time.
            return self.edition.ramp.again(self.now, outlook);
        }
        self.edition.ramp.handle_timeout(self.now, outlook);
    }

    fn outlook(&self) -> Outlook {
        let setup = self.links.values().map(|link| link.took).max().unwrap_or_default();
        let round_trip = self.links.values().filter_map(|link| link.pace.round_trip()).max();
        // Until a first byte was timed, a connection's making tells as much.
        let cost = Cost { setup, round_trip: round_trip.unwrap_or(setup) };
        let (done, left) = (self.edition.work.done_bytes(), self.edition.work.left());
        Outlook { done, left, most: self.edition.planned, cost }
    }

    /// The most connections that may be at work.
    pub(super) fn limit(&self) -> usize {
        self.wanted().min(self.places.limit())
    }

    /// The same, whatever the servers take.
    fn wanted(&self) -> usize {
        self.edition.planned.min(self.edition.ramp.limit()).min(self.allowance)
    }

    fn feed_idle(&mut self) {
        let mut splits =
            self.links.parts().filter(|(.., job)| job.shrink == Shrink::Pending).count();
        let waiting = self.edition.work.waiting(self.now);
        let mut busy = self.links.busy();
        for conn in self.links.which(Link::is_idle) {
            let Some(place) = self.links.get(&conn).map(|link| link.place) else { continue };
            let refused = self.edition.work.has_refused(self.now);
            let most = if refused { self.wanted() } else { self.limit() };
            if busy >= most {
                self.close(conn);
                continue;
            }
            // It is kept for a part that was refused and is not due yet: that will not have to wait
            // for a connection besides.
            if !refused && busy >= most.saturating_sub(waiting).max(1) {
                continue;
            }
            if self.waits(place).is_some() {
                continue;
            }
            if !self.edition.work.suits(self.now, place) {
                // What is left is for the other places, and they need the connection.
                self.close(conn);
                continue;
            }
            if self.edition.spot(place).is_none() {
                self.scout(conn, place);
                busy = self.links.busy();
                continue;
            }
            let piece = self.piece_for(conn);
            let extra = self.is_extra(conn);
            let lease = self.edition.work.lease(self.now, piece, place, extra);
            if let Some((span, blame)) = lease {
                self.request_part(conn, place, span, blame);
                busy += 1;
            } else if splits > 0 {
                splits -= 1;
            } else {
                self.split(conn);
            }
        }
    }

    /// Whether a connection may be one too many: it has not brought anything, and never were so
    /// many served at once.
    fn is_extra(&self, conn: Conn) -> bool {
        let Some(link) = self.links.get(&conn).filter(|link| !link.proven) else { return false };
        let others = self.links.proven(link.place);
        self.places.at(link.place).is_some_and(|of| of.crowd.is_beyond(others))
    }

    /// How much the next lease on a connection takes.
    pub(super) fn piece_for(&self, conn: Conn) -> Piece {
        let left = self.edition.work.left();
        match self.links.get(&conn) {
            Some(link) => plan::piece(&self.policy, &link.pace, left, self.limit()),
            None => Piece::All,
        }
    }

    fn request_part(&mut self, conn: Conn, place: usize, span: Range<u64>, blame: Blame) {
        let (Some(spot), Some(find)) = (self.edition.spot(place), self.edition.find(place)) else {
            return;
        };
        let validators = match self.policy.pin {
            Pin::None => Validators::default(),
            Pin::Auto | Pin::Require => spot.validators.clone(),
        };
        let mut request = self.request_to(place, &find.chain);
        request.ask = self.edition.ask_for(&span);
        request.if_range = validators.if_range().map(str::to_owned);
        let Some(expect) = self.edition.expect(span.clone(), validators) else { return };
        if let Some(link) = self.links.get_mut(&conn) {
            link.pace.leased(span.end - span.start);
        }
        let certain = self.is_lenient() || self.edition.is_tied(place);
        let (role, accept) =
            if certain { (Role::Part, Accept::Part(expect)) } else { (Role::Check, Accept::Ask) };
        let job = Job { role, leased: true, blame, ..self.job(span, place) };
        self.edition.told.fetched = true;
        self.send(conn, job, request, accept);
    }

    /// Opens connections for what is free, and for spans that are worth a split.
    fn open_more(&mut self) {
        let alive = self.links.alive();
        let coming = self.links.count(|link| matches!(link.state, State::Opening));
        let room = self.limit().saturating_sub(alive);
        let due = self.edition.work.has_due(self.now);
        let refused = due && self.edition.work.has_refused(self.now);
        if room == 0 {
            // Its wait is over: it does not wait for a connection besides.
            let opened = refused && coming == 0 && alive < self.wanted() && self.open_next(true);
            if !opened {
                self.make_room();
            }
            return;
        }
        let pieces = if due { self.pieces() } else { 0 };
        let splits = self.links.parts().filter(|(conn, _, job)| self.is_splittable(*conn, job));
        let wanted = pieces.saturating_add(splits.count()).saturating_sub(coming);
        let kept = self.edition.work.waiting(self.now);
        let room = if refused { room } else { room.saturating_sub(kept) };
        for _ in 0..wanted.min(room) {
            if !self.open_next(refused) {
                return;
            }
        }
    }

    /// A part that was refused on a connection that may have been one too many may be asked for
    /// again, but those that are none too many are busy: one of them makes room for another.
    fn make_room(&mut self) {
        let lead = self.places.lead;
        let tried = self.links.values().filter_map(Link::job).any(|job| job.blame.extra);
        let due = self.edition.work.has_extra(self.now, self.policy.retries);
        if tried || !due || self.links.any_opening() || self.waits(lead).is_some() {
            return;
        }
        let parts = self.links.parts().filter(|(_, link, _)| link.place == lead && link.proven);
        let last = parts.max_by_key(|(conn, _, job)| self.time_left(*conn, job));
        if let Some(conn) = last.map(|(conn, ..)| conn) {
            self.close(conn);
            self.open_next(true);
        }
    }

    fn open_next(&mut self, refused: bool) -> bool {
        let Some((place, url)) = self.next_place(refused) else { return false };
        self.open(url, place);
        true
    }

    /// How many leases the free bytes make.
    fn pieces(&self) -> usize {
        let free = self.edition.work.free_bytes();
        let (pace, left) = (Pace::default(), self.edition.work.left());
        match plan::piece(&self.policy, &pace, left, self.limit()) {
            Piece::All | Piece::Rest => usize::from(free > 0),
            Piece::Exact(size) | Piece::About(size) => {
                usize::try_from(free.div_ceil(size.max(1))).unwrap_or(usize::MAX)
            }
        }
    }

    /// The one stream ended before the object did, or the place that leads has not said what it
    /// has: the rest alone if that is safe, else all of it.
    fn stream_again(&mut self) {
        let lead = self.places.lead;
        let Some(asked) = self.places.at(lead).map(|place| place.asked.clone()) else { return };
        let Some(find) = self.edition.find_mut(lead) else { return };
        if *find.chain.current() != asked {
            find.chain = edition::chain(&self.policy, &asked);
        }
        let Some(spot) = self.edition.spot(lead) else { return self.ask_kin() };
        let version = Version::Same(spot.validators.clone());
        self.edition.question = if self.can_rejoin() {
            Question::Rest { version, over: true }
        } else {
            Question::Whole(Version::Any)
        };
        self.stage = Stage::Asking;
        self.ask();
    }

    /// Whether bytes of another answer of the place that leads may follow those of the stream.
    pub(super) fn can_rejoin(&self) -> bool {
        let Some(object) = &self.edition.object else { return false };
        let some = self.edition.work.frontier() > 0 && self.edition.from_zero == 0;
        let guarded = |spot: &edition::Spot| self.is_guarded(&spot.validators);
        some && !object.coded
            && !self.policy.compressed
            && self.edition.spot(self.places.lead).is_some_and(guarded)
    }

    fn publish(&mut self) {
        let Some(total) = self.edition.work.total() else { return };
        self.close_all();
        self.stage = Stage::Publishing;
        self.store = Store::Publishing;
        let keep = self.edition.told.kept;
        self.commands.push_back(if keep { Command::Keep } else { Command::Publish { total } });
    }
}
