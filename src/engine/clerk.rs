//! The thread that keeps the shelves of all transfers: it records what was written when that is
//! due, and has whatever takes its time done on threads of their own, a few at once. A shelf is in
//! one place at a time, so what is ordered for it is done in order.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, bounded};

use super::{
    inbox::Inbox,
    message::{Alarm, Message, Stored},
    shelf::{Plan, Shelf},
};
use crate::{
    files::follow::Follower, fleet::TransferId, http::response::Head, journal::Claim,
    range::RangeSet,
};

/// The way to the thread; when it is dropped, the thread ends once nothing is left to do.
pub(crate) struct Clerk {
    inbox: Inbox<(TransferId, Job)>,
    /// Says that the thread is over.
    over: Receiver<()>,
}

/// What is to be done for one transfer.
pub(super) enum Job {
    /// Make it ready. Answered by [`Stored::Started`].
    Prepare(Box<Plan>),
    /// Take bytes for missing; what stays. Answered by [`Stored::Started`].
    Refetch(Box<(RangeSet, RangeSet)>),
    /// Bytes are in the file since then.
    Wrote(Claim, Duration),
    /// Every byte is there. Answered by [`Stored::Over`].
    Publish(u64, Option<Follower>),
    /// What was there is what there is. Answered by [`Stored::Over`].
    Keep(Option<Arc<Head>>),
    /// It failed. Not answered.
    Abandon {
        /// Keep for a later resume.
        keep: bool,
    },
    /// A shelf comes back from a thread that had it.
    Return(Box<Shelf>),
    /// No transfer has anything more to order.
    End,
}

impl Clerk {
    /// Starts the thread. `started` is when the clock of the transfers was.
    ///
    /// # Errors
    /// The system has none.
    pub(crate) fn start(
        shelves: BTreeMap<TransferId, Shelf>,
        started: Instant,
        reports: &Inbox<Message>,
    ) -> io::Result<Self> {
        let inbox = Inbox::default();
        let (done, over) = bounded::<()>(0);
        let (give, got) = bounded::<Keeper>(1);
        let alarm = Alarm(reports.clone());
        let thread = thread::Builder::new().name("uget-files".to_owned()).spawn(move || {
            let (_alarm, _done) = (alarm, done);
            got.recv().into_iter().for_each(|mut keeper| keeper.run());
        });
        if let Err(error) = thread {
            // Nothing was begun: it is left as it was found.
            shelves.into_values().for_each(|mut shelf| shelf.abandon(true));
            return Err(error);
        }
        let places = shelves.into_iter().map(|(id, shelf)| (id, Place::Here(Box::new(shelf))));
        let _ = give.send(Keeper {
            inbox: inbox.clone(),
            reports: reports.clone(),
            started,
            places: places.collect(),
            waiting: VecDeque::new(),
            out: 0,
        });
        Ok(Self { inbox, over })
    }

    /// Orders a job.
    pub(super) fn order(&self, id: TransferId, job: Job) {
        match job {
            job @ Job::Wrote(..) => self.inbox.send_soon((id, job)),
            job => self.inbox.send((id, job)),
        }
    }

    /// Waits until everything that was ordered is done, at most so long.
    pub(super) fn finish(&self, patience: Duration) {
        self.inbox.send((TransferId(0), Job::End));
        // Nothing is ever sent; the other end goes when the thread is over.
        let _ = self.over.recv_timeout(patience);
    }
}

impl Drop for Clerk {
    fn drop(&mut self) {
        self.inbox.send((TransferId(0), Job::End));
    }
}

/// Where a shelf is.
enum Place {
    Here(Box<Shelf>),
    /// A thread has it, or is to have it: what is ordered meanwhile waits.
    Away(VecDeque<Job>),
}

/// What takes its time.
struct Errand {
    id: TransferId,
    shelf: Box<Shelf>,
    job: Job,
}

struct Keeper {
    inbox: Inbox<(TransferId, Job)>,
    reports: Inbox<Message>,
    started: Instant,
    places: BTreeMap<TransferId, Place>,
    /// Errands that wait for a thread.
    waiting: VecDeque<Errand>,
    /// Threads that run.
    out: usize,
}

impl Keeper {
    fn run(&mut self) {
        let mut ending = false;
        while !ending || self.out > 0 || !self.waiting.is_empty() {
            for (id, job) in self.inbox.take(self.next_timeout()) {
                match job {
                    Job::End => ending = true,
                    job => self.take(id, job),
                }
            }
            self.tick();
        }
    }

    fn take(&mut self, id: TransferId, job: Job) {
        match (self.places.get_mut(&id), job) {
            (Some(Place::Away(orders)), Job::Return(shelf)) => {
                let orders = std::mem::take(orders);
                self.places.insert(id, Place::Here(shelf));
                self.out -= 1;
                orders.into_iter().for_each(|job| self.take(id, job));
                self.send_out();
            }
            (Some(Place::Away(orders)), job) => orders.push_back(job),
            (Some(Place::Here(shelf)), Job::Wrote(claim, when)) => {
                if let Err(failure) = shelf.wrote(claim, when) {
                    self.report(id, Stored::Failed(failure));
                }
            }
            (Some(place), job) => {
                if let Place::Here(shelf) = std::mem::replace(place, Place::Away(VecDeque::new())) {
                    self.waiting.push_back(Errand { id, shelf, job });
                    self.send_out();
                }
            }
            (None, _) => {}
        }
    }

    /// Starts what waits, as long as few enough run.
    fn send_out(&mut self) {
        while self.out < ERRANDS
            && let Some(errand) = self.waiting.pop_front()
        {
            self.out += 1;
            let (inbox, reports) = (self.inbox.clone(), self.reports.clone());
            let alarm = Alarm(reports.clone());
            let run = move |errand: Errand| {
                let _alarm = alarm;
                let id = errand.id;
                inbox.send((id, Job::Return(errand.run(&reports))));
            };
            let (give, got) = bounded(1);
            let (here, there) = (run.clone(), run);
            let thread = thread::Builder::new().name("uget-file".to_owned());
            match thread.spawn(move || got.recv().map_or((), there)) {
                Ok(_) => drop(give.send(errand)),
                // What takes a thread that the system does not have is done here.
                Err(_) => here(errand),
            }
        }
    }

    fn tick(&mut self) {
        let now = self.started.elapsed();
        for (id, place) in &mut self.places {
            if let Place::Here(shelf) = place
                && shelf.next_timeout().is_some_and(|due| due <= now)
                && let Err(failure) = shelf.tick(now)
            {
                self.reports.send(Message::Store(*id, Stored::Failed(failure)));
            }
        }
    }

    fn next_timeout(&self) -> Instant {
        let due = self.places.values().filter_map(|place| match place {
            Place::Here(shelf) => shelf.next_timeout(),
            Place::Away(_) => None,
        });
        due.min().map_or_else(|| Instant::now() + IDLE, |due| self.started + due)
    }

    fn report(&self, id: TransferId, stored: Stored) {
        self.reports.send(Message::Store(id, stored));
    }
}

impl Errand {
    fn run(mut self, reports: &Inbox<Message>) -> Box<Shelf> {
        let report = |stored| reports.send(Message::Store(self.id, stored));
        match self.job {
            Job::Prepare(plan) => {
                let started = self.shelf.prepare(&plan, |note| report(Stored::Note(note)));
                report(Stored::Started(started));
            }
            Job::Refetch(sets) => {
                let (lost, done) = *sets;
                report(Stored::Started(self.shelf.refetch(&lost, done)));
            }
            Job::Publish(total, follower) => {
                report(Stored::Over(self.shelf.publish(total, follower)));
            }
            Job::Keep(head) => report(Stored::Over(self.shelf.keep(head.as_ref()))),
            Job::Abandon { keep } => self.shelf.abandon(keep),
            Job::Wrote(..) | Job::Return(_) | Job::End => {}
        }
        self.shelf
    }
}

/// Errands that run at once.
const ERRANDS: usize = 8;

/// How long the thread sleeps when nothing is due.
const IDLE: Duration = Duration::from_secs(60);
