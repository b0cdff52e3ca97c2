//! An object that a command gives: `kubectl exec -i POD -- sh -c`, `ssh HOST`, `docker exec ...`.
//!
//! The command is run with one more argument, a text for the shell at its far end ([`script`]),
//! once to find out what there is and once or more often for every part ([`far`]). What comes back
//! is framed ([`talk`]): nothing that is put in between, left out or changed meanwhile becomes a
//! byte of the object.

mod far;
mod script;
mod talk;

use std::{
    ffi::OsString,
    hash::{BuildHasher as _, RandomState},
    ops::Range,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

use self::{
    far::Far,
    script::{Blocks, Cutter, Mark, Stat},
    talk::Talk,
};
use super::{Caller, RangeSource, SourceError, Taker, Version};

/// A file at the far end of a command that runs a POSIX shell there: `sh -c` itself, or what takes
/// one to another machine. Its version is what stat(1) says there: length, inode, and when data and
/// inode were changed last. A change within one tick of the far clock that keeps the length is not
/// seen; where there is no stat, or nothing to cut a range with, there is one stream and no
/// version.
#[derive(Debug)]
pub struct CommandSource {
    command: Vec<OsString>,
    path: String,
    known: Mutex<Option<Arc<Known>>>,
    /// Bytes of a block: as many as come in a moment.
    block: AtomicU32,
}

/// What the far side is.
#[derive(Debug)]
struct Known {
    version: Version,
    /// What stat said of it.
    said: String,
    stat: Stat,
    cutter: Cutter,
}

impl CommandSource {
    /// The file `path` as the shell sees it that `command` hands its last argument to.
    #[must_use]
    pub fn new<S: Into<OsString>>(
        command: impl IntoIterator<Item = S>,
        path: impl Into<String>,
    ) -> Self {
        Self {
            command: command.into_iter().map(Into::into).collect(),
            path: path.into(),
            known: Mutex::default(),
            block: AtomicU32::new(BLOCK_FIRST),
        }
    }

    /// What stands for it where a URL is wanted: the program's name, a hash of command and path,
    /// and the path. The command itself may hold secrets.
    #[must_use]
    pub fn url(&self) -> String {
        let mut hash = Sha256::new();
        for word in self.command.iter().map(|word| word.as_encoded_bytes()) {
            hash.update((word.len() as u64).to_be_bytes());
            hash.update(word);
        }
        hash.update(&self.path);
        let program = self.command.first().map(Path::new).and_then(Path::file_name);
        let program = program.unwrap_or_default().to_string_lossy();
        let program: String = program.chars().filter(char::is_ascii_alphanumeric).collect();
        let hash = hex::encode(hash.finalize().get(..8).unwrap_or_default());
        let path = utf8_percent_encode(self.path.trim_start_matches('/'), KEPT);
        format!("via://{program}-{hash}/{path}")
    }

    /// Finds out what there is.
    fn probe(&self, caller: Caller<'_>) -> Result<Known, SourceError> {
        let mark = mark();
        let far = Far::start(&self.command, script::probe(&mark, &self.path), caller)?;
        let mut talk = Talk::new(far, &mark);
        let mut said = Vec::new();
        loop {
            match talk.line()? {
                Some(line) if line == "end" => break,
                Some(line) => said.push(line),
                None => {
                    let why = with("the command gave no answer", &talk.from.last_words());
                    return Err(SourceError::Failed(why));
                }
            }
        }
        let known = self.judge(&said).map_err(|error| match error {
            SourceError::NotFound(why) => {
                SourceError::NotFound(with(&why, &talk.from.last_words()))
            }
            SourceError::Denied(why) => SourceError::Denied(with(&why, &talk.from.last_words())),
            other => other,
        })?;
        talk.from.leave();
        Ok(known)
    }

    /// What the lines of a probe mean.
    fn judge(&self, said: &[String]) -> Result<Known, SourceError> {
        let says = |word: &str| said.iter().find_map(|line| line.strip_prefix(word));
        let denied = |what: &str| Err(SourceError::Denied(format!("{} {what}", self.path)));
        if says("missing").is_some() {
            return Err(SourceError::NotFound(format!("{} is not there", self.path)));
        }
        for (word, what) in [
            ("directory", "is a directory"),
            ("special", "is no regular file"),
            ("unreadable", "may not be read"),
        ] {
            if says(word).is_some() {
                return denied(what);
            }
        }
        let stat = if says("gnu ").is_some() {
            Stat::Gnu
        } else if says("bsd ").is_some() {
            Stat::Bsd
        } else {
            Stat::None
        };
        let words = says("gnu ").or_else(|| says("bsd ")).unwrap_or_default();
        let length = match stat {
            Stat::None => says("size ").and_then(|count| count.trim().parse().ok()),
            Stat::Gnu | Stat::Bsd => words.split(' ').nth(1).and_then(|size| size.parse().ok()),
        };
        // What says that it is empty may be one of those files that are made as they are read.
        let length = length.filter(|length: &u64| *length > 0);
        let cutter = match (says("dd"), says("tail")) {
            (Some(_), _) if length.is_some() => Cutter::Dd,
            (_, Some(_)) if length.is_some() => Cutter::Tail,
            _ => Cutter::None,
        };
        let whole = cutter == Cutter::None;
        let tag = || hex::encode(Sha256::digest(words).get(..16).unwrap_or_default());
        let version = Version { length, tag: (!whole).then(tag), whole };
        Ok(Known { version, said: words.to_owned(), stat, cutter })
    }

    fn known(&self, caller: Caller<'_>) -> Result<Arc<Known>, SourceError> {
        // Whoever comes meanwhile waits for what is being found out.
        let mut slot = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*slot {
            return Ok(Arc::clone(known));
        }
        if caller.is_gone() {
            return Err(SourceError::Gone);
        }
        let known = Arc::new(self.probe(caller)?);
        *slot = Some(Arc::clone(&known));
        Ok(known)
    }

    fn forget(&self) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Gives everything, by `cat`.
    fn whole(&self, known: &Known, to: &mut Taker<'_>) -> Result<(), SourceError> {
        let mark = mark();
        let text = script::whole(&mark, &self.path, known.stat);
        let mut talk = Talk::new(Far::start(&self.command, text, to.caller())?, &mark);
        let mut give = || {
            begins(&mut talk, known)?;
            let end = talk.all(|bytes| to.give(bytes))?;
            ends(Some(end), known)
        };
        let given = give();
        close(talk.from, given)
    }

    /// Gives the beginning of a range; returns where the rest begins.
    fn round(
        &self,
        known: &Known,
        range: &Range<u64>,
        to: &mut Taker<'_>,
    ) -> Result<u64, SourceError> {
        let (mark, size) = (mark(), self.block.load(Ordering::Relaxed));
        let most = match known.cutter {
            Cutter::Tail => BLOCKS_TAIL,
            _ if size < BLOCK_MOST => BLOCKS_FEW,
            _ => u32::MAX,
        };
        let blocks = Blocks::of(range, size, most);
        let text = script::blocks(&mark, &self.path, (known.stat, known.cutter), &blocks);
        let mut talk = Talk::new(Far::start(&self.command, text, to.caller())?, &mark);
        let mut give = || {
            begins(&mut talk, known)?;
            let started = Instant::now();
            for size in blocks.sizes() {
                to.give(talk.block(size as usize)?)?;
            }
            self.pace(size, blocks.count, started.elapsed());
            ends(talk.line()?, known)
        };
        let given = give();
        close(talk.from, given)?;
        Ok(blocks.end())
    }

    /// Chooses the size of the blocks to come: bytes are passed on when a block is whole, and one
    /// that takes long looks like a stall.
    fn pace(&self, size: u32, count: u32, took: Duration) {
        if count == 0 {
            return;
        }
        let each = took / count;
        let next = if each < FAST { size.saturating_mul(4) } else { size };
        let next = if each > SLOW { size / 4 } else { next };
        self.block.store(next.clamp(BLOCK_LEAST, BLOCK_MOST), Ordering::Relaxed);
    }
}

impl RangeSource for CommandSource {
    fn version(&self, caller: &Caller<'_>) -> Result<Version, SourceError> {
        self.known(*caller).map(|known| known.version.clone())
    }

    fn read(
        &self,
        version: &Version,
        range: Range<u64>,
        to: &mut Taker<'_>,
    ) -> Result<(), SourceError> {
        let known = self.known(to.caller())?;
        if known.version != *version {
            return Err(SourceError::Changed);
        }
        let mut give = || {
            if known.cutter == Cutter::None {
                return self.whole(&known, to);
            }
            let mut at = range.start;
            while at < range.end {
                at = self.round(&known, &(at..range.end), to)?;
            }
            Ok(())
        };
        let given = give();
        if given == Err(SourceError::Changed) {
            self.forget();
        }
        given
    }
}

/// The line before the bytes.
fn begins(talk: &mut Talk<Far<'_>>, known: &Known) -> Result<(), SourceError> {
    match talk.line()? {
        Some(line) => same(line.strip_prefix("at"), known),
        None => Err(SourceError::Failed("it ended early".to_owned())),
    }
}

/// The line behind them.
fn ends(line: Option<String>, known: &Known) -> Result<(), SourceError> {
    match line {
        Some(line) => same(line.strip_prefix("end"), known),
        None => Err(SourceError::Failed("it ended early".to_owned())),
    }
}

/// Whether the file is still what it was.
fn same(said: Option<&str>, known: &Known) -> Result<(), SourceError> {
    if said.map(str::trim) == Some(&*known.said) { Ok(()) } else { Err(SourceError::Changed) }
}

/// The end of a command, with its own words where it failed.
fn close(mut far: Far<'_>, given: Result<(), SourceError>) -> Result<(), SourceError> {
    match given {
        Ok(()) => {
            far.leave();
            Ok(())
        }
        Err(SourceError::Failed(why)) => Err(SourceError::Failed(with(&why, &far.last_words()))),
        Err(other) => Err(other),
    }
}

fn with(why: &str, words: &str) -> String {
    if words.is_empty() { why.to_owned() } else { format!("{why} ({words})") }
}

/// A mark that nothing else has: 128 bits by the system's randomness.
fn mark() -> Mark {
    let half = || RandomState::new().hash_one(std::process::id());
    Mark::new(format!("{:016x}{:016x}", half(), half()))
}

/// What stays as it is in a path that stands for the file.
const KEPT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');

/// The first blocks are small: nothing is known of the way there.
const BLOCK_FIRST: u32 = 64 << 10;
const BLOCK_LEAST: u32 = 16 << 10;
/// Each connection holds one block, which is memory that nothing else counts.
const BLOCK_MOST: u32 = 256 << 10;
/// Blocks of one command while they are small.
const BLOCKS_FEW: u32 = 64;
/// Blocks of one command whose text names each.
const BLOCKS_TAIL: u32 = 16;
/// A block that takes less may be larger, one that takes more should be smaller.
const FAST: Duration = Duration::from_millis(100);
const SLOW: Duration = Duration::from_secs(2);
