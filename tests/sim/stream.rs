//! A stream instead of a file: a window, and a consumer that is fast or slow, stops for minutes, or
//! leaves.

use std::{cell::RefCell, ops::Range, rc::Rc, time::Duration};

use uget::{
    fleet::TransferId,
    orders::{Connections, Failure, Policy, StoreEvent, StoreOp},
    range::RangeSet,
};

use crate::{
    judge,
    rng::Rng,
    site::Site,
    world::{What, World},
};

/// The streams of a world, by transfer; those that go to a file have none. The links see them.
pub(crate) type Streams = Rc<RefCell<Vec<Option<Stream>>>>;

/// What is written and not consumed, and who consumes it.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) window: u64,
    consumed: u64,
    told: u64,
    filled: RangeSet,
    /// The consumer has taken something that it has not consumed yet.
    taken: bool,
    total: Option<u64>,
    /// It is over, well or badly.
    over: bool,
    consumer: Consumer,
}

#[derive(Clone, Copy, Debug)]
struct Consumer {
    /// Bytes a second.
    rate: u64,
    /// Where it stops, and for how long.
    stops: Option<(u64, Duration)>,
    /// Where it goes away.
    leaves: Option<u64>,
}

impl Stream {
    /// One for an object of this site.
    pub(crate) fn draw(rng: &mut Rng, site: &Site, policy: &Policy, faults: bool) -> Self {
        let editions = site.places.iter().flat_map(|place| &place.editions);
        let longest = editions.map(|(_, edition)| edition.length).max().unwrap_or(0).max(1);
        let rate = match rng.pick(0..3) {
            0 => longest / rng.pick(1..100) + 1,
            1 => longest * rng.pick(1..100) + 1,
            _ => u64::MAX,
        };
        let stops = rng.one_in(3).then(|| (rng.pick(0..longest), rng.millis(1..180_000)));
        let leaves = (faults && rng.one_in(10)).then(|| rng.pick(0..longest));
        // A shell makes no more connections than leave each a part of some size.
        let (Connections::Auto { max: most } | Connections::Exactly(most)) = policy.connections;
        let window = (64 << 10) << rng.pick(0..8);
        let window = window.max(2 * most as u64 * PART_LEAST);
        Self::new(window, Consumer { rate, stops, leaves })
    }

    fn new(window: u64, consumer: Consumer) -> Self {
        Self {
            window,
            consumed: 0,
            told: 0,
            filled: RangeSet::new(),
            taken: false,
            total: None,
            over: false,
            consumer,
        }
    }

    /// The same, from the beginning.
    pub(crate) fn anew(&self) -> Self {
        Self::new(self.window, self.consumer)
    }

    /// A link has `range`. Whether there is room for it.
    ///
    /// # Errors
    /// Some of it came before.
    pub(crate) fn has_room(&self, range: &Range<u64>) -> Result<bool, String> {
        if range.start < self.consumed || self.filled.overlaps(range.clone()) {
            return Err(format!("{range:?} came twice, consumed is {}", self.consumed));
        }
        Ok(range.end <= self.consumed + self.window)
    }

    /// It is written.
    pub(crate) fn fill(&mut self, range: Range<u64>) {
        self.filled.insert(range);
    }

    /// An object begins. False if the consumer has begun with another.
    fn restart(&mut self) -> bool {
        let begun = self.consumed > 0 || self.taken;
        if !begun {
            self.filled = RangeSet::new();
        }
        !begun
    }

    fn available(&self) -> u64 {
        self.filled.frontier(self.consumed) - self.consumed
    }

    /// What the consumer takes next, and how long that lasts.
    fn take(&mut self) -> Option<(u64, Duration)> {
        if self.taken || self.over || self.available() == 0 {
            return None;
        }
        self.taken = true;
        let to = self.consumed + self.available().min((self.window / 16).max(1));
        let nanos = u128::from(to - self.consumed) * 1_000_000_000 / u128::from(self.consumer.rate);
        let mut time = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        if let Some((_, long)) = self.consumer.stops.take_if(|(at, _)| *at < to) {
            time += long;
        }
        Some((to, time))
    }
}

impl World {
    fn stream<T>(&self, id: TransferId, act: impl FnOnce(&mut Stream) -> T) -> Option<T> {
        self.streams.borrow_mut()[id.0 as usize].as_mut().map(act)
    }

    pub(crate) fn is_stream(&self, id: TransferId) -> bool {
        self.streams.borrow()[id.0 as usize].is_some()
    }

    /// An object begins. False if it cannot, because bytes of another were handed on.
    pub(crate) fn restart_stream(&mut self, id: TransferId) -> bool {
        self.stream(id, Stream::restart).unwrap_or(true)
    }

    /// Something came, or all is there: the consumer goes on, if it waits.
    pub(crate) fn offer(&mut self, id: TransferId) {
        if let Some((to, time)) = self.stream(id, Stream::take).flatten() {
            return self.after(time, What::Consumed(id, to));
        }
        let end = |stream: &mut Stream| {
            let end = !stream.over && !stream.taken && stream.total == Some(stream.consumed);
            stream.over |= end;
            end
        };
        if self.stream(id, end).unwrap_or(false) {
            self.settle(id);
        }
    }

    /// The consumer has taken everything.
    fn settle(&mut self, id: TransferId) {
        let fails = self.fault_in(60);
        let index = id.0 as usize;
        let (site, member) = (&self.sites[index], &mut self.members[index]);
        let total = member.disk.part.written();
        let right = judge::is_right(site, member, total);
        let result = if fails {
            Err(gone())
        } else if member.policy.digest && !right {
            Err(Failure::Digest { algorithm: "sha256", expected: "a".into(), actual: "b".into() })
        } else {
            member.published = true;
            Ok(())
        };
        self.after(self.cross, What::Store(id, StoreEvent::Published(result)));
    }

    /// The consumer is done with everything below `to`.
    pub(crate) fn consumed(&mut self, id: TransferId, to: u64) {
        let tell = self.stream(id, |stream| {
            stream.taken = false;
            if stream.over {
                return None;
            }
            stream.filled.remove(stream.consumed..to);
            stream.consumed = to;
            let much = to - stream.told >= stream.window / 4;
            let tell = much || stream.available() == 0;
            if tell {
                stream.told = to;
            }
            let leaves = stream.consumer.leaves.is_some_and(|at| at < to);
            stream.over |= leaves;
            Some((tell, leaves))
        });
        let Some((tell, leaves)) = tell.flatten() else { return };
        let is_whole = |part: &crate::file::File| part.holds(&(0..to), |_| true);
        if !is_whole(&self.members[id.0 as usize].disk.part) {
            self.witness.violations.push(format!("a gap below {to} was handed on"));
        }
        if tell {
            self.after(self.cross, What::Store(id, StoreEvent::Consumed { to }));
        }
        if leaves {
            // Whether the transfer is at it still, or waits for this consumer alone.
            return match self.stream(id, |stream| stream.total).flatten() {
                Some(_) => {
                    self.after(self.cross, What::Store(id, StoreEvent::Published(Err(gone()))));
                }
                None => self.after(self.cross, What::Leave(id, gone())),
            };
        }
        self.offer(id);
    }

    /// Every byte is written.
    pub(crate) fn finish_stream(&mut self, id: TransferId, total: u64) {
        let left = self.stream(id, |stream| {
            stream.total = Some(total);
            stream.over
        });
        if left == Some(true) {
            return self.after(self.cross, What::Store(id, StoreEvent::Published(Err(gone()))));
        }
        self.offer(id);
    }

    /// It has failed: no more comes. Whether it was one.
    pub(crate) fn break_stream(&mut self, id: TransferId) -> bool {
        self.stream(id, |stream| stream.over = true).is_some()
    }

    /// It is not wanted any more.
    pub(crate) fn withhold(&mut self, id: TransferId) {
        let waits = |stream: &mut Stream| !std::mem::replace(&mut stream.over, true);
        if self.stream(id, waits) == Some(true) {
            let cancelled = Err(Failure::Cancelled { signal: 0 });
            self.after(self.cross, What::Store(id, StoreEvent::Published(cancelled)));
        }
    }
}

/// No part of a stream is shorter, but for what is left.
pub(crate) const PART_LEAST: u64 = 16 << 10;

fn gone() -> Failure {
    let (path, reason) = ("stream".to_owned(), "broken pipe".to_owned());
    Failure::Store { op: StoreOp::Write, path, errno: 32, reason }
}
