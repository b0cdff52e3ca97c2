//! Downloads that ended half-way, and runs that go on from there.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{
    KIB, MIB,
    support::{request::Request, *},
};

pub(crate) const SIZE: usize = 8 * MIB;
pub(crate) const PART: &str = ".object.bin.uget-part";
pub(crate) const JOURNAL: &str = ".object.bin.uget-journal";
pub(crate) const ARGS: [&str; 5] = ["-j4", "--chunk-size", "262144", "-o", "object.bin"];

pub(crate) fn object() -> Object {
    Object::random(900, SIZE)
}

/// An origin that serves one half of what it is asked, until it is mended. What it serves then is
/// the same, or bent by somebody else.
pub(crate) struct Halves {
    pub(crate) origin: Origin,
    mended: Arc<AtomicBool>,
}

/// How long the first that asks for the second half waits for the others.
const HELD_MAX: Duration = Duration::from_secs(10);

impl Halves {
    pub(crate) fn of(object: &Object) -> Self {
        Self::bent(Origin::of(object), |_, _| {})
    }

    /// `then` bends every answer once it is mended.
    pub(crate) fn bent(
        setup: Setup,
        then: impl Fn(&Request, &mut Reply) + Send + Sync + 'static,
    ) -> Self {
        let mended = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&mended);
        // The connections that may still receive what they asked of the first half.
        let (first, more) = (Mutex::new(BTreeSet::new()), Condvar::new());
        let setup = setup.bend(move |request, reply| {
            let range = request.range(SIZE as u64);
            if seen.load(Ordering::SeqCst) {
                return then(request, reply);
            }
            let mut first = first.lock().unwrap();
            if range.is_some_and(|range| range.start < SIZE as u64 / 2) {
                first.insert(request.connection);
                return;
            }
            first.remove(&request.connection);
            more.notify_all();
            // With one that fails all are closed, and what they have not received is lost.
            let others = |first: &mut BTreeSet<usize>| !first.is_empty();
            drop(more.wait_timeout_while(first, HELD_MAX, others).unwrap());
            reply.cut = Some((0, End::Rst));
        });
        Self { origin: setup.start(), mended }
    }

    /// Runs until it fails half-way.
    pub(crate) fn fail(&self, t: &Test) -> Output {
        let output = t.uget(ARGS).args(["--retries", "0"]).arg(self.origin.url()).run();
        output.fails_with(&[18, 56]);
        // Only so that what is still under way is counted: a connection may outlive the wait.
        self.origin.log().wait_closed();
        output
    }

    pub(crate) fn mend(&self) {
        self.mended.store(true, Ordering::SeqCst);
    }

    /// The same command again: how it went, and the bytes of bodies it took.
    pub(crate) fn again<S: AsRef<str>>(&self, t: &Test, extra: &[S]) -> (Output, u64) {
        self.mend();
        let before = self.origin.log().sent();
        let extra = extra.iter().map(AsRef::as_ref);
        let output = t.uget(ARGS).args(extra).arg(self.origin.url()).run();
        (output, self.fetched_since(before))
    }

    pub(crate) fn fetched_since(&self, before: u64) -> u64 {
        // Only so that what is still under way is counted: a connection may outlive the wait.
        self.origin.log().wait_closed();
        self.origin.log().sent() - before
    }

    /// The same command again delivers, and fetches no more than what is missing.
    pub(crate) fn resumes<S: AsRef<str>>(&self, t: &Test, extra: &[S]) {
        let (output, fetched) = self.again(t, extra);
        t.delivers(&output, "object.bin", &object());
        let most = SIZE as u64 / 2 + 300 * KIB as u64;
        output.check(fetched <= most, &format!("it fetched {fetched} bytes, at most {most}"));
    }

    /// The same command again delivers, from nothing.
    pub(crate) fn starts_over(&self, t: &Test, what: &str) {
        let (output, fetched) = self.again::<&str>(t, &[]);
        output.check(output.status.success(), &format!("it should have started over: {what}"));
        t.delivers(&output, "object.bin", &object());
        let least = SIZE as u64;
        output.check(fetched >= least, &format!("it trusted {what}: only {fetched} fetched"));
    }
}
