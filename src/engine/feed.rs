//! The end of a stream that its consumer has: bytes in order, hashed on the way.

use std::{
    io::{self, Read},
    path::PathBuf,
    time::Duration,
};

use super::{
    inbox::Inbox,
    message::{Message, Stored},
    shelf::Published,
    tap::Tap,
};
use crate::{
    files::{
        checks::Checks,
        content::Decoded,
        hasher::{Computed, Hasher},
    },
    fleet::TransferId,
    http::field::Coding,
    options::Algorithm,
    orders::Failure,
    stream::{Next, Outlet, Shape},
};

/// What a consumer has of a stream: bytes in order, and in the end the word that they were all,
/// and the right ones.
pub(crate) struct Feed {
    outlet: Outlet,
    tap: Tap,
    id: TransferId,
    reports: Inbox<Message>,
    /// At work from the first byte on.
    hashers: Vec<(Algorithm, Hasher)>,
    /// Everything below is hashed.
    hashed: u64,
    /// Everything below is consumed, as far as the coordinator knows.
    told: u64,
    /// What the whole has come to.
    verdict: Option<Result<Vec<Computed>, Failure>>,
    /// It is for the consumer to hash what it makes of the bytes, and how long that is.
    outside: Option<u64>,
}

impl Feed {
    /// A stream of transfer `id`, from its first byte on.
    pub(crate) fn new(
        shape: Shape,
        checks: Checks,
        id: TransferId,
        reports: Inbox<Message>,
    ) -> (Tap, Self) {
        let (tap, outlet) = Tap::new(shape, checks);
        let feed = Self {
            outlet,
            tap: tap.clone(),
            id,
            reports,
            hashers: Vec::new(),
            hashed: 0,
            told: 0,
            verdict: None,
            outside: None,
        };
        (tap, feed)
    }

    /// Waits for bytes, as long as `patience`. Never [`Next::Broken`].
    ///
    /// # Errors
    /// It ends here and is not whole ([`Failure::Cancelled`]; the transfer knows why), or it is
    /// whole and not what its digest names.
    pub(crate) fn next(&mut self, patience: Duration) -> Result<Next, Failure> {
        let mut next = self.outlet.next(Duration::ZERO);
        if next == Next::Quiet {
            // The consumer is ahead of the connections: whatever room there is, they may have.
            let at = self.outlet.at();
            if at > std::mem::replace(&mut self.told, at) {
                self.reports.send_soon(Message::Store(self.id, Stored::Consumed(at)));
            }
            next = self.outlet.next(patience);
        }
        match next {
            Next::Bytes => self.hash(),
            Next::Quiet => {}
            Next::End => self.verify()?,
            Next::Broken => return Err(Failure::Cancelled { signal: 0 }),
        }
        Ok(next)
    }

    /// From now on the consumer hashes what it makes of the bytes, with these, and says what that
    /// comes to with [`Self::settle`].
    pub(crate) fn outside(&mut self) -> Vec<Algorithm> {
        self.outside = Some(0);
        self.tap.checks().algorithms()
    }

    /// How the content is coded, once some of it is there.
    pub(crate) fn coding(&self) -> Coding {
        self.tap.coding()
    }

    /// What the bytes have become.
    ///
    /// # Errors
    /// It is not what its digest names.
    pub(crate) fn settle(&mut self, decoded: Decoded) -> Result<(), Failure> {
        let verified = self.tap.checks().verify(&decoded.computed);
        self.outside = Some(decoded.length);
        self.verdict = Some(verified.clone().map(|()| decoded.computed));
        verified
    }

    /// The next bytes, if [`Self::next`] has found some.
    pub(crate) fn piece(&self) -> &[u8] {
        self.outlet.bytes()
    }

    /// So many of [`Self::piece`] are taken.
    pub(crate) fn consume(&mut self, count: usize) {
        let at = self.outlet.at() + count as u64;
        if self.outlet.consume(count) && at - self.told >= self.tap.window() / SHARE {
            self.told = at;
            self.reports.send(Message::Store(self.id, Stored::Consumed(at)));
        }
    }

    /// Something that the observer is warned of.
    pub(crate) fn warn(&self, what: &str) {
        self.reports.send(Message::Store(self.id, Stored::Warning(what.to_owned())));
    }

    /// What a consumer has come to: its word counts once it has taken all of what was proven.
    pub(crate) fn over(&mut self, result: Result<Option<PathBuf>, Failure>) {
        let over = result.and_then(|path| match self.verdict.take() {
            Some(Ok(computed)) => {
                let digests = self.tap.checks().checked(computed);
                Ok(Published { path, digests, size: self.outside })
            }
            Some(Err(failure)) => Err(failure),
            None => Err(Failure::Internal("a stream was left before its end")),
        });
        self.reports.send(Message::Store(self.id, Stored::Over(over)));
    }

    /// Hashes what is new.
    fn hash(&mut self) {
        if self.outside.is_some() {
            return;
        }
        let at = self.outlet.at();
        if at == 0 && self.hashed == 0 {
            let algorithms = self.tap.checks().algorithms();
            self.hashers = algorithms.into_iter().map(|of| (of, Hasher::new(of))).collect();
        }
        let end = at + self.outlet.bytes().len() as u64;
        if end > self.hashed {
            let known = usize::try_from(self.hashed.saturating_sub(at)).unwrap_or(0);
            let new = self.outlet.bytes().get(known..).unwrap_or_default();
            self.hashers.iter_mut().for_each(|(_, hasher)| hasher.update(new));
            self.hashed = end;
        }
    }

    fn verify(&mut self) -> Result<(), Failure> {
        if self.verdict.is_none() && self.outside.is_none() {
            if self.hashed == 0 {
                self.hash();
            }
            let computed = |(of, hasher): (Algorithm, Hasher)| (of, hasher.finish());
            let computed: Vec<_> = self.hashers.drain(..).map(computed).collect();
            let verified = self.tap.checks().verify(&computed);
            self.verdict = Some(verified.map(|()| computed));
        }
        match &self.verdict {
            Some(Err(failure)) => Err(failure.clone()),
            _ => Ok(()),
        }
    }
}

impl Read for Feed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.next(LONG).map_err(io::Error::other)? {
                Next::Bytes => {
                    let count = self.piece().len().min(buffer.len());
                    if let Some(room) = buffer.get_mut(..count) {
                        room.copy_from_slice(self.piece().get(..count).unwrap_or_default());
                    }
                    self.consume(count);
                    return Ok(count);
                }
                Next::End => return Ok(0),
                Next::Quiet | Next::Broken => {}
            }
        }
    }
}

/// The coordinator is told at once when such a share of the window was consumed.
const SHARE: u64 = 4;

/// A reader waits for as long as it takes; it looks up now and then.
const LONG: Duration = Duration::from_secs(60);
