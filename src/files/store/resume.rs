//! What may be resumed: the journal's claims, as far as the part file bears them out.

use std::fs::File;

use super::{
    place::Paths,
    seal,
    side::{self, Stat},
    verify::verify,
};
use crate::{
    http::escape,
    journal::{Replay, Resumable, replay},
    orders::Failure,
};

/// What an earlier run left.
#[expect(clippy::large_enum_variant, reason = "there is one of them for a download")]
pub(super) enum Left {
    /// Nothing, or nothing worth a word.
    Nothing,
    /// Something that is of no use.
    Useless {
        /// Why.
        why: String,
        /// A journal is part of it.
        journal: bool,
    },
    /// Bytes that are as they were written.
    Sound {
        /// Which.
        state: Resumable,
        /// How many are not, of those that were.
        damaged: u64,
        /// They were read to know that, and are the same still.
        read: bool,
    },
}

/// The files, and what they must be of.
pub(super) struct Search<'a> {
    pub(super) place: &'a Paths,
    pub(super) part: &'a File,
    pub(super) stat: &'a Stat,
    pub(super) epoch: &'a str,
    pub(super) identity: &'a [u8; 32],
}

impl Search<'_> {
    /// What there is of use, or why there is none.
    ///
    /// # Errors
    /// What `wait` says while the part file is read.
    pub(super) fn run(
        &self,
        resume: bool,
        wait: &mut dyn FnMut() -> Result<(), Failure>,
    ) -> Result<Left, Failure> {
        let useless = |why: String| Ok(Left::Useless { why, journal: true });
        let bytes = match side::read_journal(self.place) {
            Ok(Some(bytes)) => bytes,
            Ok(None) if self.stat.size == 0 => return Ok(Left::Nothing),
            Ok(None) => {
                let why = "there is a part file without a journal".to_owned();
                return Ok(Left::Useless { why, journal: false });
            }
            Err(why) => return useless(why),
        };
        if !resume {
            return useless("resuming was turned off".to_owned());
        }
        let mut state = match self.claims(&bytes) {
            Ok(state) => state,
            Err(why) => return useless(why),
        };
        let before = seal::look(self.part);
        if state.seal.is_some() && state.seal == before {
            return Ok(Left::Sound { state, damaged: 0, read: false });
        }
        let claimed = state.done.len();
        let mut hold = verify(self.part, &state.claims, wait)?.into_iter();
        state.retain(|_| hold.next().unwrap_or(false));
        if state.done.is_empty() {
            return useless("none of the part file is as it was written".to_owned());
        }
        let damaged = claimed - state.done.len();
        Ok(Left::Sound { state, damaged, read: before == seal::look(self.part) })
    }

    /// What a journal claims of this part file, if it is of this URL; else why it does not.
    fn claims(&self, journal: &[u8]) -> Result<Resumable, String> {
        let state = match replay(journal, self.epoch) {
            Replay::Fresh(why) => return Err(why.to_owned()),
            Replay::Resumable(state) => state,
        };
        if state.header.identity != *self.identity {
            let other = escape(state.header.url.as_bytes(), 200);
            return Err(format!("the part file is of another URL, {other}"));
        }
        if state.header.inode != self.stat.lasting_inode {
            return Err("the part file is not the one that the journal is of".to_owned());
        }
        if self.stat.size > state.total {
            return Err("the part file is longer than the journal says".to_owned());
        }
        if state.done.is_empty() {
            return Err("none of the part file is known to be on the disk".to_owned());
        }
        Ok(state)
    }
}
