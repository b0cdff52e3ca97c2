//! What a peer sends on one connection, octet by octet, and when it is there to be received.

use std::{collections::VecDeque, ops::Range, sync::OnceLock, time::Duration};

use uget::http::body::Framing;

use crate::{
    file::Source,
    origin::{Reply, Then},
    rng::Rng,
};

/// The incoming half of a connection.
#[derive(Debug)]
pub(crate) struct Line {
    segments: VecDeque<Segment>,
    /// Octets in them.
    queued: u64,
    /// How many of these have arrived.
    ready: u64,
    /// Nothing of the answer arrives before.
    starts: Duration,
    /// Octets a second, and since when; what a whole octet lacked then, in billionths.
    rate: u64,
    since: Duration,
    carry: u64,
    /// What follows the last octet.
    end: End,
    /// A body does not set out before its head was taken.
    pub(crate) stops: bool,
}

/// What follows the last octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Nothing, for as long as anybody waits.
    Open,
    Closed,
    Reset,
}

/// A run of octets.
#[derive(Clone, Debug)]
enum Segment {
    /// These.
    Octets(VecDeque<u8>),
    /// So much of an object.
    Body { version: u32, span: Range<u64>, dense: bool },
}

/// What was taken from a line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Taken {
    pub(crate) octets: usize,
    /// How many of them are of a body.
    pub(crate) body: u64,
}

impl Line {
    pub(crate) fn new() -> Self {
        Self {
            segments: VecDeque::new(),
            queued: 0,
            ready: 0,
            starts: Duration::ZERO,
            rate: 1,
            since: Duration::ZERO,
            carry: 0,
            end: End::Open,
            stops: false,
        }
    }

    /// What lies behind `now` has happened at the rate that held; `rate` holds from here on.
    pub(crate) fn advance(&mut self, now: Duration, rate: u64) {
        let from = self.since.max(self.starts);
        let room = self.reach();
        if now > from && self.ready < room {
            let units = u128::from(self.rate) * (now - from).as_nanos() + u128::from(self.carry);
            self.carry = (units % NANOS) as u64;
            self.ready = room.min(self.ready.saturating_add((units / NANOS) as u64));
        }
        self.since = self.since.max(now);
        self.rate = rate.max(1);
    }

    /// How much can have arrived before any more is taken.
    fn reach(&self) -> u64 {
        match self.segments.front() {
            Some(front) if self.stops => front.len(),
            _ => self.queued.min(WINDOW),
        }
    }

    /// When `wanted` octets are there, or as many as come, or the end; `None`: never.
    pub(crate) fn when(&self, wanted: u64) -> Option<Duration> {
        let from = self.since.max(self.starts);
        let wanted = match self.queued {
            0 if self.end == End::Open => return None,
            0 => return Some(from),
            // Fewer than are wanted, and nothing behind them that would wake anybody.
            queued if queued < wanted && self.end == End::Open => return None,
            _ => wanted.min(self.reach()),
        };
        if self.ready >= wanted {
            return Some(self.since);
        }
        let units = u128::from(wanted - self.ready) * NANOS - u128::from(self.carry);
        Some(from + Duration::from_nanos(units.div_ceil(u128::from(self.rate)) as u64))
    }

    /// How much comes at once, at most `most`: a head, or any of a body.
    pub(crate) fn lump(&self, most: u64) -> u64 {
        let front = self.segments.front().map_or(0, |segment| match segment {
            Segment::Octets(octets) => octets.len() as u64,
            Segment::Body { .. } => self.queued,
        });
        front.min(most).max(1)
    }

    /// The next octet is of a body.
    pub(crate) fn is_in_body(&self) -> bool {
        matches!(self.segments.front(), Some(Segment::Body { .. }))
    }

    pub(crate) fn ready(&self) -> u64 {
        self.ready
    }

    /// Octets of an answer are on their way.
    pub(crate) fn is_flowing(&self) -> bool {
        self.ready < self.queued && self.since >= self.starts
    }

    /// The peer sends no more than what is under way.
    pub(crate) fn is_over(&self) -> bool {
        self.end != End::Open
    }

    /// What follows, once every octet was taken.
    pub(crate) fn end(&self) -> Option<End> {
        (self.queued == 0 && self.since >= self.starts).then_some(self.end)
    }

    /// Takes what has arrived, as far as it fits.
    pub(crate) fn take(&mut self, room: &mut [u8]) -> Taken {
        let mut taken = Taken::default();
        let most = usize::try_from(self.ready).unwrap_or(usize::MAX).min(room.len());
        while taken.octets < most {
            let Some(segment) = self.segments.front_mut() else { break };
            let room = &mut room[taken.octets..most];
            let (len, over) = match segment {
                Segment::Octets(octets) => {
                    let len = octets.len().min(room.len());
                    for (to, octet) in room.iter_mut().zip(octets.drain(..len)) {
                        *to = octet;
                    }
                    (len, octets.is_empty())
                }
                Segment::Body { version, span, dense } => {
                    let left = span.end - span.start;
                    let len = usize::try_from(left).unwrap_or(usize::MAX).min(room.len());
                    content(&mut room[..len], *version, span.start, *dense);
                    span.start += len as u64;
                    taken.body += len as u64;
                    (len, span.is_empty())
                }
            };
            taken.octets += len;
            if over {
                self.segments.pop_front();
            }
        }
        self.queued -= taken.octets as u64;
        self.ready -= taken.octets as u64;
        taken
    }

    /// The peer sends `octets`, not before `starts`.
    pub(crate) fn send(&mut self, starts: Duration, octets: &[u8]) {
        self.starts = self.starts.max(starts);
        self.push(Segment::Octets(octets.iter().copied().collect()));
    }

    /// The connection ends behind what was sent, not before `starts`.
    pub(crate) fn finish(&mut self, starts: Duration, end: End) {
        self.starts = self.starts.max(starts);
        self.end = end;
    }

    /// Octets that have not arrived are lost with the connection.
    pub(crate) fn cut(&mut self, left: u64, end: End) {
        self.end = end;
        let mut kept = left.min(self.queued);
        self.queued = kept;
        self.ready = self.ready.min(kept);
        self.segments.retain_mut(|segment| {
            let len = segment.len().min(kept);
            segment.truncate(len);
            kept -= len;
            len > 0
        });
    }

    /// Octets that are still to be taken.
    pub(crate) fn queued(&self) -> u64 {
        self.queued
    }

    /// The peer answers, not before `starts`.
    pub(crate) fn answer(&mut self, starts: Duration, reply: &Reply, rng: &mut Rng) {
        self.send(starts, &reply.octets);
        let (version, at, end) = (reply.version, reply.offset, reply.offset + reply.length);
        let dense = is_dense(reply.length);
        let body = |span| Segment::Body { version, span, dense };
        if reply.answer.head.framing() == Ok(Framing::Chunked) {
            let least = (reply.length / 40).max(1);
            let mut at = at;
            while at < end {
                let size = least.max(rng.magnitude(18)).min(end - at);
                // The last chunk of a body that breaks off was to be longer.
                let broken = at + size == end && reply.then != Then::Clean;
                let lost = if broken && !reply.then.is_garbage() { rng.pick(0..3) } else { 0 };
                let more = *rng.one_of(&["", "", "", ";ext=1", " ;a=\"b\""]);
                self.text(&format!("{:x}{more}\r\n", size + lost));
                self.push(body(at..at + size));
                if lost == 0 {
                    self.text("\r\n");
                }
                at += size;
            }
            match reply.then {
                Then::Clean if rng.one_in(5) => self.text("0\r\nX-Trailer: y\r\n\r\n"),
                Then::Clean => self.text("0\r\n\r\n"),
                Then::Garbage(_) => self.text("zz\r\n"),
                _ => {}
            }
        } else {
            self.push(body(at..end));
        }
        self.end = match reply.then {
            Then::Clean | Then::Stall | Then::Garbage(_) => End::Open,
            Then::Fin => End::Closed,
            Then::Reset => End::Reset,
        };
    }

    fn text(&mut self, text: &str) {
        self.push(Segment::Octets(text.bytes().collect()));
    }

    fn push(&mut self, segment: Segment) {
        let len = segment.len();
        if len > 0 {
            self.queued += len;
            self.segments.push_back(segment);
        }
    }
}

impl Segment {
    fn len(&self) -> u64 {
        match self {
            Self::Octets(octets) => octets.len() as u64,
            Self::Body { span, .. } => span.end - span.start,
        }
    }

    fn truncate(&mut self, len: u64) {
        match self {
            Self::Octets(octets) => octets.truncate(len as usize),
            Self::Body { span, .. } => span.end = span.start + len,
        }
    }
}

/// Whether every octet of a body of so many is made and looked at; of larger ones only some are.
pub(crate) fn is_dense(length: u64) -> bool {
    length <= DENSE
}

/// Puts what version `version` has at `offset` into `room`, all of it or samples.
fn content(room: &mut [u8], version: u32, offset: u64, dense: bool) {
    pieces(room.len(), offset, dense, |piece, at| {
        room[piece.clone()].copy_from_slice(sample(version, at, piece.len()));
        true
    });
}

/// Whether `octets` are what `source` has at `at` in the file.
pub(crate) fn is_right(octets: &[u8], source: Source, at: u64, dense: bool) -> bool {
    let Some(offset) = at.checked_add_signed(source.shift) else { return false };
    pieces(octets.len(), offset, dense, |piece, at| {
        octets[piece.clone()] == *sample(source.version, at, piece.len())
    })
}

/// Calls `each` with the pieces of `len` octets from `offset` on that are made.
fn pieces(
    len: usize,
    offset: u64,
    dense: bool,
    mut each: impl FnMut(Range<usize>, u64) -> bool,
) -> bool {
    let (step, size) = if dense { (DENSE, DENSE) } else { (STEP, SIZE) };
    let end = offset + len as u64;
    let mut window = offset - offset % step;
    while window < end {
        let (from, to) = (window.max(offset), (window + size).min(end));
        if from < to && !each((from - offset) as usize..(to - offset) as usize, from) {
            return false;
        }
        window += step;
    }
    true
}

fn sample(version: u32, offset: u64, len: usize) -> &'static [u8] {
    static TABLE: OnceLock<Vec<u8>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let mut rng = Rng::new(1);
        let once: Vec<u8> = (0..PERIOD).map(|_| (rng.next() >> 32) as u8).collect();
        once.iter().cycle().take((PERIOD + DENSE) as usize).copied().collect()
    });
    let start = ((offset + u64::from(version) * 30_011) % PERIOD) as usize;
    &table[start..start + len]
}

/// The content repeats after so many octets (a prime).
const PERIOD: u64 = 65_521;

/// Bodies up to here are made octet by octet.
const DENSE: u64 = 32 << 10;

/// Of longer ones, so many octets at every multiple of so many.
const SIZE: u64 = 64;
const STEP: u64 = 4096;

/// What the kernel takes from the wire before somebody receives it.
const WINDOW: u64 = 2 << 20;

const NANOS: u128 = 1_000_000_000;
