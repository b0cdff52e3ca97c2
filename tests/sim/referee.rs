//! Holds every link to what a data plane promises, whatever the machine under it does.

use std::{collections::VecDeque, ops::Range, sync::Arc, time::Duration};

use uget::{
    fleet::TransferId,
    http::field::ContentRange,
    link::{FLUSH_AFTER, Gate, Idle, Order},
    orders::{Accept, Attempt, ConnEvent, Ended, Failure, OPEN_END, Phase},
};

use crate::{
    file::Source,
    line::{Taken, is_dense, is_right},
    origin::{Reply, Then},
};

/// Watches one link.
pub(crate) struct Referee {
    pub(crate) violations: Vec<String>,
    stall: Duration,
    nap: Duration,
    gate: Arc<Gate>,
    run: Option<Run>,
    /// Attempts that were ended.
    ended: u64,
    aborted: bool,
    retired: bool,
}

/// One attempt.
struct Run {
    attempt: Attempt,
    owner: TransferId,
    asked: bool,
    skipped: bool,
    /// Where in the object what is wanted begins.
    base: u64,
    /// Where its body is to lie, once that is known, and the next byte of it to be written.
    span: Option<Range<u64>>,
    at: u64,
    /// Everything before it was reported.
    reported: u64,
    /// The checksum of what was written last.
    sum: u32,
    /// What the peer's answer is.
    answer: Option<Answered>,
    /// Octets that the link has, and how many of them are of the body.
    octets: u64,
    body: u64,
    /// The first octet that waits to be written came then.
    oldest: Option<Duration>,
    /// And the last octets of the body.
    latest: Option<Duration>,
    store_failed: bool,
    /// It was told to stop before the last thing that it did.
    aborted: bool,
    idle: Option<Idle>,
    times: Times,
}

/// What the peer answers.
struct Answered {
    source: Source,
    /// Where the body starts in the object.
    offset: u64,
    length: u64,
    clean: bool,
    end: u64,
}

/// The times of one attempt.
#[derive(Default)]
struct Times {
    /// When the link took the request, and how long it waited for a word on the head.
    began: Duration,
    asked: Option<Duration>,
    decided: Duration,
    sent: Option<Duration>,
    unsent: bool,
    /// Since when the peer owes the body.
    flows: Option<Duration>,
    /// Our own pauses since then.
    paused: Duration,
    /// When octets came, our own pauses taken out.
    came: VecDeque<(Duration, u64)>,
    /// How much later than it should something was noticed, and how often.
    late: Duration,
    times_late: u32,
}

impl Referee {
    pub(crate) fn new(gate: Arc<Gate>, stall: Duration, nap: Duration) -> Self {
        Self {
            violations: Vec::new(),
            stall,
            nap,
            gate,
            run: None,
            ended: 0,
            aborted: false,
            retired: false,
        }
    }

    fn blame(&mut self, what: impl Into<String>) {
        self.violations.push(format!("link: {}", what.into()));
    }

    /// A request was ordered.
    pub(crate) fn begin(&mut self, attempt: Attempt, owner: TransferId, accept: &Accept) {
        if self.run.is_some() {
            self.blame("two requests at once");
        }
        let (asked, base, span) = match accept {
            Accept::Ask => (true, 0, None),
            Accept::Part(expect) => (false, expect.extent.wanted.start, Some(expect.range.clone())),
        };
        let at = span.as_ref().map_or(0, |span| span.start);
        self.run = Some(Run {
            attempt,
            owner,
            asked,
            skipped: false,
            base,
            span,
            at,
            reported: at,
            sum: 0,
            answer: None,
            octets: 0,
            body: 0,
            oldest: None,
            latest: None,
            store_failed: false,
            aborted: false,
            idle: None,
            times: Times::default(),
        });
    }

    /// The peer has decided on its answer.
    pub(crate) fn answered(&mut self, reply: &Reply) {
        let Some(run) = &mut self.run else { return };
        let end = match reply.answer.head.content_range() {
            Some(ContentRange::Part { range, .. }) if !run.asked => {
                range.end.saturating_sub(run.base)
            }
            _ => OPEN_END,
        };
        run.answer = Some(Answered {
            source: reply.source(0),
            offset: reply.offset,
            length: reply.length,
            clean: matches!(reply.then, Then::Clean | Then::Fin),
            end,
        });
    }

    /// The peer has decided on an answer, and it is not over.
    pub(crate) fn is_answering(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.answer.is_some())
    }

    /// It was leased as a part, and no head was asked about.
    pub(crate) fn is_part(&self) -> bool {
        self.run.as_ref().is_some_and(|run| !run.asked)
    }

    pub(crate) fn is_skipped(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.skipped)
    }

    /// The coordinator has lowered the end.
    pub(crate) fn shrunk(&mut self, attempt: Attempt, end: u64) {
        if let Some(run) = self.run.as_mut().filter(|run| run.attempt == attempt)
            && let Some(span) = &mut run.span
        {
            let was = span.end;
            span.end = was.min(end);
            if end < run.at {
                self.blame(format!("shrunk to {end} below what is written"));
            }
        }
    }

    pub(crate) fn abort(&mut self) {
        self.aborted = true;
    }

    pub(crate) fn late(&mut self, late: Duration) {
        if let Some(run) = &mut self.run {
            run.times.late += late;
            run.times.times_late += 1;
        }
    }

    pub(crate) fn paused(&mut self, pause: Duration) {
        if let Some(run) = &mut self.run {
            run.times.paused += pause;
        }
    }

    pub(crate) fn idle(&mut self, idle: Idle) {
        if let Some(run) = &mut self.run {
            run.idle = Some(idle);
        }
    }

    pub(crate) fn order(&mut self, order: Option<&Order<TransferId>>, now: Duration) {
        if self.retired {
            self.blame("an order for a connection that is over");
        }
        let Some(run) = &mut self.run else { return };
        let decides = |run: &mut Run| {
            run.times.decided = run.times.asked.map_or(Duration::ZERO, |asked| now - asked);
        };
        match order {
            Some(Order::Request(_)) => run.times.began = now,
            Some(Order::Receive { attempt, span, .. }) if *attempt == run.attempt => {
                decides(run);
                run.at = span.start;
                run.reported = span.start;
                run.span = Some(span.clone());
                run.times.flows = Some(now);
                run.oldest = (run.body > 0).then_some(now);
                run.latest = run.oldest;
            }
            Some(Order::Skip { attempt }) if *attempt == run.attempt => {
                decides(run);
                run.skipped = true;
            }
            None => decides(run),
            _ => {}
        }
    }

    pub(crate) fn sent(&mut self, now: Duration, errno: Option<i32>) {
        if self.retired {
            self.blame("something is sent on a connection that is over");
        }
        let Some(run) = &mut self.run else { return self.blame("sent without being asked to") };
        if run.idle != Some(Idle::Quiet) {
            let idle = run.idle;
            return self.blame(format!("a request on a connection that is {idle:?}"));
        }
        run.times.sent = Some(now);
        run.times.unsent = errno.is_some();
    }

    /// A receive begins.
    pub(crate) fn receive(&mut self, now: Duration, room: usize) {
        let slack = self.nap + FLUSH_AFTER;
        let (stall, retired) = (self.stall, self.retired);
        let Some(run) = &mut self.run else { return self.blame("received between requests") };
        let waiting = run.waiting();
        let oldest = run.oldest.filter(|_| waiting > 0);
        let silent = run.times.silent(now, run.octets > 0 && run.span.is_some());
        let most = stall + slack + run.times.excused();
        let mut wrongs = Vec::new();
        if retired || room == 0 {
            wrongs.push(format!("a receive of {room}, retired: {retired}"));
        }
        if oldest.is_some_and(|oldest| now - oldest >= FLUSH_AFTER) {
            wrongs.push(format!("{waiting} bytes wait since {oldest:?}, it is {now:?}"));
        }
        if silent.is_some_and(|silent| silent > most) {
            wrongs.push(format!("nothing for {silent:?}, and the peer is not given up"));
        }
        wrongs.into_iter().for_each(|wrong| self.blame(wrong));
    }

    /// A receive brought this.
    pub(crate) fn received(&mut self, now: Duration, taken: Taken) {
        let Some(run) = &mut self.run else { return };
        run.aborted = self.aborted;
        run.octets += taken.octets as u64;
        run.body += taken.body;
        if taken.body > 0 {
            run.oldest.get_or_insert(now);
            run.latest = Some(now);
        }
        if run.times.flows.is_none() && run.span.is_some() && taken.body > 0 {
            run.times.flows = Some(now);
        }
        run.times.came.push_back((now.saturating_sub(run.times.paused), taken.octets as u64));
    }

    /// Bytes are about to be written; returns where they come from.
    pub(crate) fn write(&mut self, owner: TransferId, octets: &[u8], offset: u64) -> Source {
        let end = offset + octets.len() as u64;
        let nothing = Source { version: u32::MAX, shift: 0 };
        let Some(run) = &self.run else {
            self.blame(format!("{offset}..{end} written between requests"));
            return nothing;
        };
        let limit = self.gate.shrink(run.attempt, u64::MAX);
        let (Some(span), Some(answer)) = (&run.span, &run.answer) else {
            self.blame(format!("{offset}..{end} written before it was believed"));
            return nothing;
        };
        let shift = answer.offset as i64 - span.start as i64;
        let source = Source { shift, ..answer.source };
        let mut wrongs = Vec::new();
        if offset != run.at || end > span.end || end > answer.end || octets.is_empty() {
            wrongs.push(format!("{offset}..{end} written, at {} of {span:?}", run.at));
        }
        if limit.is_none_or(|limit| end > limit) {
            wrongs.push(format!("{offset}..{end} written with a lease to {limit:?}"));
        }
        if !run.asked && limit.is_some_and(|limit| limit > answer.end) {
            wrongs.push(format!("a lease to {limit:?}, although the answer ends before"));
        }
        if run.store_failed {
            wrongs.push("written again after the disk failed".to_owned());
        }
        if owner != run.owner {
            wrongs.push(format!("written for {owner:?} instead of {:?}", run.owner));
        }
        if end > span.start + run.body || !is_right(octets, source, offset, is_dense(answer.length))
        {
            wrongs.push(format!("other bytes at {offset}..{end} than {source:?} has"));
        }
        wrongs.into_iter().for_each(|wrong| self.blame(wrong));
        if let Some(run) = &mut self.run {
            run.sum = crc32fast::hash(octets);
        }
        source
    }

    /// The write failed.
    pub(crate) fn unwritten(&mut self) {
        if let Some(run) = &mut self.run {
            run.store_failed = true;
        }
    }

    /// The write succeeded.
    pub(crate) fn wrote(&mut self, upto: u64) {
        if let Some(run) = &mut self.run {
            run.at = upto;
            run.aborted = self.aborted;
            // What is left had no room in the lease, and came with the last receive.
            run.oldest = run.latest.filter(|_| run.waiting() > 0);
        }
    }

    /// The link tells the coordinator; `left` octets of the answer have not been received.
    pub(crate) fn report(&mut self, now: Duration, event: &ConnEvent, left: u64) {
        match event {
            ConnEvent::Wrote { attempt, range, crc } => {
                let Some(run) = self.run.as_mut().filter(|run| run.attempt == *attempt) else {
                    return self.blame(format!("{range:?} of no attempt"));
                };
                if range.start != run.reported || range.end != run.at || range.is_empty() {
                    let (from, to) = (run.reported, run.at);
                    self.blame(format!("{range:?} reported, written was {from}..{to}"));
                } else if *crc != run.sum {
                    self.blame(format!("{range:?} reported with the checksum of other bytes"));
                } else {
                    run.reported = range.end;
                }
            }
            ConnEvent::Ended(ended) => match self.run.take() {
                Some(run) if run.attempt == ended.attempt => {
                    if let Err(wrong) = self.judge(now, &run, ended, left) {
                        let (span, at) = (&run.span, run.at);
                        self.blame(format!("{wrong} ({span:?} at {at}): {ended:?}"));
                    }
                    self.ended += 1;
                    self.retired |= !ended.reusable;
                }
                _ => self.blame(format!("an end too many: {ended:?}")),
            },
            ConnEvent::Head { attempt, .. } => {
                match self.run.as_mut().filter(|run| run.attempt == *attempt && run.asked) {
                    Some(run) => run.times.asked = Some(now),
                    None => self.blame("a head that nobody wants"),
                }
            }
            other => self.blame(format!("{other:?} is not a link's to say")),
        }
    }

    fn judge(&self, now: Duration, run: &Run, ended: &Ended, left: u64) -> Result<(), String> {
        let says = |right: bool, what: &str| if right { Ok(()) } else { Err(what.to_owned()) };
        says(run.reported == run.at, "ended before all was reported")?;
        says(run.store_failed == matches!(ended.result, Err(Failure::Store { .. })), "the disk")?;
        let ours = run.times.paused + run.times.decided;
        says(ended.busy + ours == now - run.times.began, "its time, without ours")?;
        says(!ended.reusable || ended.result.is_ok(), "reusable after a failure")?;
        says(!ended.reusable || !run.aborted, "reusable after an abort")?;
        says(!ended.reusable || left == 0, "reusable with octets on their way")?;
        let have = run.span.as_ref().map_or(0, |span| (span.start + run.body).min(span.end));
        match &ended.result {
            Ok(()) if run.skipped => Ok(()),
            Ok(()) => match (&run.span, &run.answer) {
                (Some(span), Some(answer)) if span.end == OPEN_END => {
                    let whole = run.at == span.start + answer.length;
                    says(whole && answer.clean, "a success without the whole body")
                }
                (Some(span), Some(answer)) => {
                    // A body may end before what an open span was shrunk to.
                    let whole = run.asked && answer.clean && run.at == span.start + answer.length;
                    let full = run.at == span.end.min(answer.end);
                    says(full || whole, "a success without the whole span")
                }
                _ => Err("a success of nothing".to_owned()),
            },
            Err(Failure::Store { .. } | Failure::Http(_)) => Ok(()),
            Err(
                Failure::Receive { .. }
                | Failure::ShortBody { .. }
                | Failure::Timeout { .. }
                | Failure::Stale,
            ) if run.at != have => Err(format!("bytes up to {have} were received and not written")),
            Err(Failure::Stale) => {
                let early = run.octets == 0 && self.ended > 0 && !run.aborted;
                says(early || run.idle != Some(Idle::Quiet), "not stale, but failed")
            }
            Err(Failure::Receive { .. }) => {
                let early = run.octets == 0 && self.ended > 0;
                says(!early || self.aborted, "not failed, but stale")
            }
            Err(Failure::Cancelled { .. }) => says(self.aborted, "nobody cancelled it"),
            Err(Failure::ShortBody { got, .. }) => {
                let start = run.span.as_ref().map_or(0, |span| span.start);
                says(*got == run.at - start && (left == 0 || self.aborted), "a wrong count")
            }
            Err(Failure::Timeout { phase: Phase::Head, limit }) => {
                let early = run.times.sent.is_none_or(|sent| now - sent < *limit);
                says(!early && *limit == self.stall, "a timeout too soon")
            }
            Err(Failure::Timeout { phase: Phase::Body, limit }) => {
                let since = now.saturating_sub(run.times.paused).checked_sub(*limit);
                let came = run.times.since(since.unwrap_or_default());
                let least = (limit.as_secs() * 32).max(1);
                let early = since.is_none() || came >= least || *limit != self.stall;
                says(!early, &format!("a timeout too soon, {came} octets came"))
            }
            Err(_) => Ok(()),
        }
    }
}

impl Run {
    /// Bytes that the link has and has not written.
    fn waiting(&self) -> u64 {
        match (&self.span, &self.answer) {
            (Some(span), Some(answer)) => {
                let have = (span.start + self.body).min(span.end).min(answer.end);
                have.saturating_sub(self.at)
            }
            _ => 0,
        }
    }
}

impl Times {
    /// How long the peer has been silent, as far as that is its fault.
    fn silent(&self, now: Duration, body: bool) -> Option<Duration> {
        let reading = now.saturating_sub(self.paused);
        let sent = self.sent?;
        if !body {
            // The whole head is under one deadline.
            return self.flows.is_none().then(|| now - sent);
        }
        let last = self.came.back().map_or(sent, |(at, _)| *at);
        Some(reading.saturating_sub(last.max(self.flows.unwrap_or_default())))
    }

    /// By how much a link may be later than its limit.
    fn excused(&self) -> Duration {
        self.late + (Duration::from_millis(1_500) * self.times_late)
    }

    /// Octets that came after `since`.
    fn since(&self, since: Duration) -> u64 {
        self.came.iter().rev().take_while(|(at, _)| *at > since).map(|(_, octets)| octets).sum()
    }
}
