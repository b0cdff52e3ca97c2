//! One body on its way: what of it is claimed, received and written, and what is to be done next.
//! Pure, time is an argument.

use std::{ops::Range, time::Duration};

use super::watch::Watch;
use crate::orders::{Failure, OPEN_END};

/// One body on its way.
#[derive(Debug)]
pub(super) struct Flow {
    span: Range<u64>,
    /// The offset of the next byte to write.
    written: u64,
    /// The end of what this connection may write.
    claimed: u64,
    /// When the last receive began: what it brought is no older.
    asked: Duration,
    /// Since when something waits to be written, or a little longer.
    waiting: Option<Duration>,
    /// How long our own disk took.
    paused: Duration,
    /// The last receive brought nothing.
    quiet: bool,
    watch: Watch,
}

/// What there is to decide on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// Body bytes that wait to be written.
    pub(super) out: u64,
    /// Octets that fit into the buffer.
    pub(super) room: usize,
    /// Body octets still to come, when that is known.
    pub(super) remaining: Option<u64>,
    /// The body is complete.
    pub(super) done: bool,
    /// The end of the span as it is now.
    pub(super) end: u64,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Write what waits.
    Flush,
    /// Nothing: all of the body is written.
    Done,
    /// Nothing: the span was shrunk, and the rest of the body is for another connection.
    Cut,
    /// Nothing: the peer has stalled.
    Stalled,
    /// Receive, for so long. `missing` octets of the body are sure to come, if that is known; with
    /// `fill` for as many of them as there is room for.
    Receive { missing: Option<u64>, fill: bool, patience: Duration },
}

/// What a served attempt leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Reuse,
    Close,
}

impl Flow {
    /// The body of `span`, which begins to flow `now`; `stall` is how long it may stand still.
    pub(super) fn new(span: Range<u64>, stall: Duration, now: Duration) -> Self {
        Self {
            written: span.start,
            claimed: span.start,
            span,
            asked: now,
            waiting: None,
            paused: Duration::ZERO,
            quiet: false,
            watch: Watch::new(stall, now),
        }
    }

    /// Where it goes on when `out` wait to be written.
    fn position(&self, out: u64) -> u64 {
        self.written + out
    }

    /// All that was claimed is received, and more has to be before it goes on.
    pub(super) fn needs_claim(&self, out: u64) -> bool {
        self.position(out) == self.claimed
    }

    /// Everything below `end` is ours.
    pub(super) fn claim(&mut self, end: u64) {
        self.claimed = end;
    }

    /// How much may be received besides the `out` that wait.
    pub(super) fn room(&self, out: u64) -> usize {
        let room = self.claimed.saturating_sub(self.position(out));
        usize::try_from(room).unwrap_or(usize::MAX)
    }

    /// The peer sends beyond the span: not because that was shrunk, but of itself.
    pub(super) fn is_overlong(&self) -> bool {
        self.claimed == self.span.end
    }

    /// The first bytes of some wait to be written.
    pub(super) fn wait(&mut self) {
        self.waiting = Some(self.asked);
    }

    /// What is to be done `now`.
    pub(super) fn next(&mut self, seen: Seen, now: Duration) -> Next {
        let used_up = self.needs_claim(seen.out);
        let cut = used_up && self.claimed < self.span.end && self.claimed >= seen.end;
        let aged = self.waiting.is_some_and(|since| now.saturating_sub(since) >= FLUSH_AFTER);
        let full = seen.room < ROOM_MIN;
        if seen.out > 0 && (seen.done || used_up || aged || full) {
            return Next::Flush;
        }
        if seen.done {
            return Next::Done;
        }
        if cut {
            return Next::Cut;
        }
        if self.watch.is_over(now) {
            return Next::Stalled;
        }
        // What has come must not wait long for more; where nothing comes, a look now and then
        // does.
        let fill = !self.quiet || seen.out > 0;
        let owed = self.claimed.saturating_sub(self.position(seen.out));
        Next::Receive {
            missing: seen.remaining.map(|remaining| remaining.min(owed)),
            fill,
            patience: if fill { FLUSH_AFTER } else { PATIENCE },
        }
    }

    /// A receive begins.
    pub(super) fn ask(&mut self, now: Duration) {
        self.asked = now;
    }

    /// It has brought `octets`, if any.
    pub(super) fn came(&mut self, now: Duration, octets: Option<usize>) {
        self.quiet = octets.is_none();
        self.watch.received(now, octets.unwrap_or(0));
    }

    /// Where `out` bytes that wait belong.
    pub(super) fn place(&self, out: u64) -> Range<u64> {
        self.written..self.position(out)
    }

    /// A write was under way from `since` until `now`, well or badly.
    pub(super) fn pause(&mut self, since: Duration, now: Duration) {
        let pause = now.saturating_sub(since);
        self.paused += pause;
        self.watch.paused(now, pause);
    }

    /// Everything that waited is written, up to `end`.
    pub(super) fn wrote(&mut self, end: u64) {
        self.written = end;
        self.waiting = None;
    }

    /// How long our own disk took in all.
    pub(super) fn paused(&self) -> Duration {
        self.paused
    }

    /// The body ends here, with `out` bytes that wait, and more was owed.
    pub(super) fn short(&self, out: u64) -> Failure {
        Failure::ShortBody { range: self.span.clone(), got: self.position(out) - self.span.start }
    }

    /// The body is complete and written.
    ///
    /// # Errors
    /// It was shorter than its span.
    pub(super) fn finish(&self, keep_alive: bool) -> Result<After, Failure> {
        if self.span.end != OPEN_END && self.written < self.span.end {
            return Err(self.short(0));
        }
        Ok(if keep_alive { After::Reuse } else { After::Close })
    }
}

/// With less room than this in the buffer, what waits is written before more is received.
const ROOM_MIN: usize = 16 * 1024;

/// What waits in the buffer of a slow connection is written after this long, so that a kill loses
/// next to nothing and progress is seen. A connection that is fast fills its buffer sooner.
pub const FLUSH_AFTER: Duration = Duration::from_millis(20);

/// How long a receive waits for the first byte before the clock is looked at.
pub(super) const PATIENCE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_secs(30);
    const START: Duration = Duration::from_secs(100);
    const MILLI: Duration = Duration::from_millis(1);

    /// 1000 bytes from 5000 on, of which the first 400 are claimed.
    fn flow() -> Flow {
        let mut flow = Flow::new(5000..6000, STALL, START);
        flow.claim(5400);
        flow
    }

    fn seen(out: u64) -> Seen {
        Seen { out, room: ROOM_MIN, remaining: Some(1000 - out), done: false, end: 6000 }
    }

    #[test]
    fn it_receives_what_is_owed_of_what_is_claimed() {
        let receive = |missing| Next::Receive { missing, fill: true, patience: FLUSH_AFTER };
        assert_eq!(flow().next(seen(0), START), receive(Some(400)));
        assert_eq!(flow().next(seen(100), START), receive(Some(300)));
        let chunked = Seen { remaining: None, ..seen(100) };
        assert_eq!(flow().next(chunked, START), receive(None));
        let short = Seen { remaining: Some(7), ..seen(100) };
        assert_eq!(flow().next(short, START), receive(Some(7)));
        assert_eq!((flow().room(0), flow().room(100)), (400, 300));
    }

    #[test]
    fn where_nothing_comes_nobody_looks_often() {
        let mut flow = flow();
        flow.came(START, None);
        let quiet = Next::Receive { missing: Some(400), fill: false, patience: PATIENCE };
        assert_eq!(flow.next(seen(0), START), quiet);
        let waits = flow.next(seen(1), START);
        assert!(matches!(waits, Next::Receive { fill: true, .. }), "{waits:?}");
        flow.came(START, Some(1));
        let comes = flow.next(seen(0), START);
        assert!(matches!(comes, Next::Receive { fill: true, .. }), "{comes:?}");
    }

    #[test]
    fn what_waits_is_written_in_time() {
        let mut flow = flow();
        flow.ask(START + MILLI);
        flow.wait();
        let due = START + MILLI + FLUSH_AFTER;
        assert!(matches!(flow.next(seen(9), due - Duration::from_nanos(1)), Next::Receive { .. }));
        assert_eq!(flow.next(seen(9), due), Next::Flush);
        assert_eq!(flow.place(9), 5000..5009);
        flow.wrote(5009);
        assert!(matches!(flow.next(seen(9), due), Next::Receive { .. }), "nothing waits");
    }

    #[test]
    fn what_waits_is_written_when_there_is_no_room() {
        assert_eq!(flow().next(Seen { room: ROOM_MIN - 1, ..seen(9) }, START), Next::Flush);
        let nothing = flow().next(Seen { room: 0, ..seen(0) }, START);
        assert!(matches!(nothing, Next::Receive { .. }), "{nothing:?}");
        assert_eq!(flow().next(seen(400), START), Next::Flush, "all that is claimed");
    }

    #[test]
    fn it_is_written_before_it_is_over() {
        let done = Seen { done: true, remaining: Some(0), ..seen(9) };
        assert_eq!(flow().next(done, START), Next::Flush);
        assert_eq!(flow().next(Seen { out: 0, ..done }, START), Next::Done);
        let mut flow = flow();
        let cut = Seen { end: 5400, ..seen(400) };
        assert_eq!(flow.next(cut, START), Next::Flush);
        flow.wrote(5400);
        assert_eq!(flow.next(Seen { out: 0, ..cut }, START), Next::Cut);
        let more = flow.next(Seen { out: 0, end: 5401, ..cut }, START);
        assert!(matches!(more, Next::Receive { .. }), "it may still claim: {more:?}");
    }

    #[test]
    fn a_span_that_is_used_up_is_not_cut() {
        let mut flow = flow();
        flow.claim(6000);
        flow.wrote(6000);
        assert!(flow.is_overlong() && flow.needs_claim(0));
        // One more octet tells a body that ends here from one that goes on.
        let next = flow.next(Seen { remaining: None, ..seen(0) }, START);
        assert!(matches!(next, Next::Receive { .. }), "{next:?}");
        assert_eq!(flow.finish(true), Ok(After::Reuse));
        assert_eq!(flow.finish(false), Ok(After::Close));
    }

    #[test]
    fn a_stall_counts_only_while_we_read() {
        let mut flow = flow();
        flow.pause(START, START + MILLI * 1500);
        let end = START + STALL + MILLI * 1500;
        for tenth in 0..300 {
            let now = START + MILLI * (1500 + 100 * tenth);
            assert!(matches!(flow.next(seen(0), now), Next::Receive { .. }), "{tenth}");
        }
        assert_eq!(flow.next(seen(0), end), Next::Stalled);
        assert_eq!(flow.paused(), MILLI * 1500);
        // What came with the last octets is written all the same.
        assert_eq!(flow.next(Seen { done: true, ..seen(0) }, end), Next::Done);
    }

    #[test]
    fn a_body_without_an_end_is_never_short() {
        assert_eq!(flow().finish(true), Err(Failure::ShortBody { range: 5000..6000, got: 0 }));
        assert_eq!(flow().short(7), Failure::ShortBody { range: 5000..6000, got: 7 });
        let open = Flow::new(0..OPEN_END, STALL, START);
        assert_eq!(open.finish(false), Ok(After::Close));
    }
}
