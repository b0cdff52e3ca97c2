//! Looks at files with all cores, and tells of them in order.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io, iter,
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use crossbeam_channel::{Sender, unbounded};
use uget::{Algorithm, Digest, digests_of, manifest::Entry};

use super::verdict::Verdict;
use crate::cli::{mapping, serve::reason};

/// One file to check.
pub(super) struct Job<'a> {
    /// The list that names it.
    pub(super) list: &'a Path,
    /// Where it is, if not beside the list.
    pub(super) directory: Option<&'a Path>,
    /// What the list says.
    pub(super) entry: &'a Entry<'a>,
}

/// Does all jobs, and hands on what came of them in their order, as soon as it is known.
pub(super) fn all(jobs: &[Job<'_>], mut tell: impl FnMut(&[(&Job<'_>, &Verdict)])) {
    let next = AtomicUsize::new(0);
    let (sender, verdicts) = unbounded();
    let work = |sender: Sender<(usize, Verdict)>| {
        while let Some((at, job)) = take(&next, jobs) {
            // The one that listens does so to the end.
            let _ = sender.send((at, job.verdict()));
        }
    };
    thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(1, usize::from).min(jobs.len());
        let start = |_: &usize| {
            let (work, sender) = (&work, sender.clone());
            let builder = thread::Builder::new().name("check".to_owned());
            builder.spawn_scoped(scope, move || work(sender)).is_ok()
        };
        // Without a thread it is done here, and told at the end.
        match (0..cores).filter(start).count() {
            0 => work(sender),
            _ => drop(sender),
        }
        let mut known: Vec<Option<Verdict>> = jobs.iter().map(|_| None).collect();
        let mut told = 0;
        while let Ok(first) = verdicts.recv() {
            for (at, verdict) in iter::once(first).chain(verdicts.try_iter()) {
                if let Some(slot) = known.get_mut(at) {
                    *slot = Some(verdict);
                }
            }
            let rest = jobs.iter().zip(&known).skip(told);
            let ready = rest.map_while(|(job, verdict)| Some((job, verdict.as_ref()?)));
            let ready: Vec<_> = ready.collect();
            told += ready.len();
            tell(&ready);
        }
    });
}

fn take<'a, 'b>(next: &AtomicUsize, jobs: &'a [Job<'b>]) -> Option<(usize, &'a Job<'b>)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    jobs.get(at).map(|job| (at, job))
}

impl Job<'_> {
    fn path(&self) -> PathBuf {
        let name = OsStr::from_bytes(&self.entry.name);
        match self.directory.or_else(|| self.list.parent()) {
            Some(directory) => directory.join(name),
            None => PathBuf::from(name),
        }
    }

    fn verdict(&self) -> Verdict {
        let demanded = &self.entry.digests;
        if demanded.is_empty() {
            return Verdict::Unreadable("listed with no digest that uget knows".to_owned());
        }
        let algorithms: Vec<Algorithm> = demanded.iter().map(|digest| digest.algorithm).collect();
        let found = open(&self.path()).and_then(|file| {
            let found = digests_of(&file, &algorithms, mapping::window);
            found?.ok_or_else(|| io::Error::other("it changed while it was read"))
        });
        match found {
            Ok(found) => compared(demanded, found),
            Err(error) if is_missing(&error) => Verdict::Missing,
            Err(error) => Verdict::Unreadable(reason(&error)),
        }
    }
}

fn compared(demanded: &[Digest], found: Vec<Digest>) -> Verdict {
    let wrong = demanded.iter().zip(found).find(|(demanded, found)| *demanded != found);
    match wrong {
        None => Verdict::Right,
        Some((demanded, found)) => Verdict::Wrong { demanded: demanded.clone(), found },
    }
}

/// Opens a regular file. Nothing else is opened: a FIFO would wait, and to open a device may do
/// something to it.
fn open(path: &Path) -> io::Result<File> {
    let regular = |is: bool| if is { Ok(()) } else { Err(io::Error::other("no regular file")) };
    regular(fs::metadata(path)?.is_file())?;
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    regular(file.metadata()?.is_file())?;
    Ok(file)
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
