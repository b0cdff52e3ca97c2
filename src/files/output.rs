//! Decides, before anything is sent, where the bytes will go.

use std::{
    os::fd::BorrowedFd,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use rustix::{
    fs::{FileType, Mode, OFlags},
    io::Errno,
};
use url::Url;

use super::{
    checks::Checks,
    descriptor::Descriptor,
    existing::Existing,
    hasher::Computed,
    name,
    patience::Patience,
    store::{self, Place, Store, Wanted, store_exists, store_failure},
};
use crate::{
    event::{Event, Observer, Phase},
    journal::Held,
    options::{Options, RangeSpec, Target},
    orders::{Failure, Finished, StoreOp},
    unpack,
};

/// Where a transfer's bytes go.
pub(crate) enum Output {
    /// A file whose name is known; the store is locked already.
    File(Box<Store>),
    /// A file in this directory whose name the first answer tells (`--remote-name`).
    Named {
        /// Which directory.
        directory: PathBuf,
        /// The URL asked for: its last segment is the name if the answer has none.
        url: Url,
        /// What of it is wanted, if not all.
        slice: Option<RangeSpec>,
        /// Whether what is there may be resumed.
        resume: bool,
        /// Whether what is finished is downloaded again.
        force: bool,
        /// How long to look at what is there.
        patience: Patience,
    },
    /// A stream.
    Stream {
        /// What it goes to, until its consumer has it.
        flow: Option<Flow>,
        /// What will be published of it, if anything has a name.
        path: Option<PathBuf>,
    },
}

/// What takes a stream.
pub(crate) enum Flow {
    /// The bytes as they are.
    Plain(Descriptor),
    /// What they unpack to.
    Unpacked(unpack::Place),
}

/// What is to be done.
#[expect(clippy::large_enum_variant, reason = "there is one of them for a download")]
pub(crate) enum Start {
    /// Ask for the object.
    Download(Ready),
    /// Nothing: it is there already, as its digest proves.
    UpToDate {
        /// Where.
        path: PathBuf,
        /// What was read of it.
        existing: Existing,
    },
}

/// An output, and what an earlier run left of it.
pub(crate) struct Ready {
    pub(crate) output: Output,
    /// What the journal proves.
    pub(crate) held: Option<Held>,
    /// What the file that is there already is known to be.
    pub(crate) finished: Option<Finished>,
    /// Its digests, where one is to be printed.
    pub(crate) computed: Vec<Computed>,
    /// What is worth telling.
    pub(crate) notes: Vec<String>,
}

/// Decides where `options` want the bytes of `url`, opens and locks it. A FIFO waits for its
/// reader, as long as `patience` allows.
///
/// # Errors
/// The target cannot be written, exists and may not be replaced, or is locked.
pub(crate) fn ready(
    url: &Url,
    options: &Options,
    checks: &Checks,
    patience: &Patience,
    observer: &mut dyn Observer,
) -> Result<Start, Failure> {
    if options.unpack.decompress || matches!(options.target, Target::Extract(_)) {
        let flow = Flow::Unpacked(unpacked(url, options, patience)?);
        return Ok(Start::Download(Ready::of(Output::stream(flow))));
    }
    let mut opening = Opening { url, options, checks, patience, observer };
    match &options.target {
        Target::Stdout => {
            let flow = Flow::Plain(standard_output()?);
            Ok(Start::Download(Ready::of(Output::stream(flow))))
        }
        Target::Extract(_) => Err(Failure::Internal("an archive that is not unpacked")),
        Target::Directory(directory) => opening.in_directory(directory),
        Target::File(path) => match Place::of(path)? {
            Place::File(target) => opening.file(target, true),
            Place::Directory(directory) => opening.in_directory(&directory),
            Place::Stream(path) => {
                let flow = Flow::Plain(stream(path, patience)?);
                Ok(Start::Download(Ready::of(Output::stream(flow))))
            }
        },
    }
}

impl Output {
    /// What a stream goes to, for its consumer.
    pub(crate) fn flow(&mut self) -> Option<Flow> {
        match self {
            Self::Stream { flow, .. } => flow.take(),
            Self::File(_) | Self::Named { .. } => None,
        }
    }

    /// Whether its bytes are unpacked.
    pub(crate) fn is_unpacked(&self) -> bool {
        matches!(self, Self::Stream { flow: Some(Flow::Unpacked(_)), .. })
    }

    fn stream(flow: Flow) -> Self {
        let path = match &flow {
            Flow::Plain(_) => None,
            Flow::Unpacked(place) => place.target().map(Path::to_owned),
        };
        Self::Stream { flow: Some(flow), path }
    }
}

impl Ready {
    /// The download does not start: leaves things as they were found.
    pub(crate) fn abandon(self) {
        if let Output::File(store) = self.output {
            store.abandon(true);
        }
    }

    /// A stream that the caller takes itself.
    pub(crate) fn stream() -> Self {
        Self::of(Output::Stream { flow: None, path: None })
    }

    fn of(output: Output) -> Self {
        Self { output, held: None, finished: None, computed: Vec::new(), notes: Vec::new() }
    }
}

/// The file of this name in a directory.
pub(crate) fn inside(directory: &Path, name: String) -> PathBuf {
    let here = directory == Path::new(".");
    if here { PathBuf::from(name) } else { directory.join(name) }
}

/// What it takes to open an output.
struct Opening<'a> {
    url: &'a Url,
    options: &'a Options,
    checks: &'a Checks,
    patience: &'a Patience,
    observer: &'a mut dyn Observer,
}

impl Opening<'_> {
    fn in_directory(&mut self, directory: &Path) -> Result<Start, Failure> {
        if self.options.remote_name {
            store::ready_directory(directory)?;
            let output = Output::Named {
                directory: directory.to_owned(),
                url: self.url.clone(),
                slice: self.options.slice(),
                resume: self.options.resume && !self.options.compressed,
                force: self.options.force,
                patience: self.patience.clone(),
            };
            return Ok(Start::Download(Ready::of(output)));
        }
        self.file(inside(directory, name::from_url(self.url)), false)
    }

    fn file(&mut self, target: PathBuf, replace: bool) -> Result<Start, Failure> {
        if !self.checks.demanded.is_empty()
            && !self.options.force
            && let Some(existing) = self.existing(&target)?
        {
            if self.checks.verify(&existing.computed).is_ok() {
                if self.checks.sync {
                    store::sync_target(&target)?;
                }
                store::clear(&target);
                return Ok(Start::UpToDate { path: target, existing });
            }
            if !replace {
                let why = "it is there already, and its digest is another";
                return Err(store_exists(&target, why));
            }
        }
        let resume = self.options.resume && !self.options.compressed;
        let (url, sync) = (self.url, self.checks.sync);
        let (patience, observer, mut told) = (self.patience, &mut *self.observer, false);
        let mut wait = || {
            if !std::mem::replace(&mut told, true) {
                observer.on(&Event::Phase(Phase::Verifying));
            }
            patience.check()
        };
        let slice = self.options.slice();
        let wanted = Wanted { target: target.clone(), replace, url, slice, resume, sync };
        let opened = Store::open(wanted, &mut wait)?;
        let notes = opened.note().into_iter().collect();
        let store::Opened { store, held, finished, .. } = opened;
        // A digest that is wanted was looked at above, and was another.
        let idle = self.options.force || !self.checks.demanded.is_empty() || held.is_some();
        let finished = finished.filter(|_| !idle);
        let mut ready = Ready::of(Output::File(Box::new(store)));
        if finished.is_some() && !self.checks.algorithms().is_empty() {
            match self.existing(&target) {
                Ok(existing) => ready.computed = existing.map(|e| e.computed).unwrap_or_default(),
                Err(failure) => {
                    ready.abandon();
                    return Err(failure);
                }
            }
        }
        Ok(Start::Download(Ready { held, finished, notes, ..ready }))
    }

    fn existing(&mut self, target: &Path) -> Result<Option<Existing>, Failure> {
        if store::open_target(target).is_some() {
            self.observer.on(&Event::Phase(Phase::Verifying));
        }
        Existing::of(target, self.checks, self.patience)
    }
}

/// Where what is unpacked goes: ready, with nothing under its name.
fn unpacked(url: &Url, options: &Options, patience: &Patience) -> Result<unpack::Place, Failure> {
    let inside = |directory: &Path| {
        let name = name::without_coding(name::from_url(url));
        unpack::Place::file(&inside(directory, name), false)
    };
    match &options.target {
        Target::Extract(directory) => unpack::Place::directory(directory),
        Target::Directory(directory) => inside(directory),
        Target::Stdout => standard_output().map(taking),
        Target::File(path) => match Place::of(path)? {
            Place::File(target) => unpack::Place::file(&target, true),
            Place::Directory(directory) => inside(&directory),
            Place::Stream(path) => stream(path, patience).map(taking),
        },
    }
}

/// A descriptor that takes what was decompressed.
fn taking(descriptor: Descriptor) -> unpack::Place {
    unpack::Place::stream(Box::new(move |mut bytes: &[u8]| {
        if bytes.is_empty() && descriptor.is_deserted() {
            return Err(descriptor.deserted());
        }
        while !bytes.is_empty() {
            let count = descriptor.write(bytes)?;
            bytes = bytes.get(count..).unwrap_or_default();
        }
        Ok(())
    }))
}

fn standard_output() -> Result<Descriptor, Failure> {
    let fd = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3);
    let path = Path::new("standard output");
    let fd = fd.map_err(|errno| store_failure(StoreOp::Create, path, errno))?;
    Ok(Descriptor::new(path.to_owned(), fd))
}

/// Opens a FIFO, device or descriptor to write into it.
fn stream(path: PathBuf, patience: &Patience) -> Result<Descriptor, Failure> {
    let fail = |errno| store_failure(StoreOp::Create, &path, errno);
    // To open a redirected file again would be to write over what is in it.
    if let Some(standard) = standard_stream(&path) {
        let fd = rustix::io::fcntl_dupfd_cloexec(standard, 3).map_err(fail)?;
        return Ok(Descriptor::new(path, fd));
    }
    // A regular file comes here as another of our descriptors, under /proc.
    let regular = is(&path, FileType::RegularFile);
    let append = if regular { OFlags::APPEND } else { OFlags::empty() };
    let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOCTTY | append;
    let fd = loop {
        match rustix::fs::open(&path, flags | OFlags::NONBLOCK, Mode::empty()) {
            // A FIFO that nobody reads yet (fifo(7)); a socket says the same, and for ever.
            Err(Errno::NXIO) if is(&path, FileType::Fifo) => {
                patience.check()?;
                thread::sleep(Duration::from_millis(20));
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(fail(errno)),
            Ok(fd) => break fd,
        }
    };
    rustix::fs::fcntl_setfl(&fd, append).map_err(fail)?;
    Ok(Descriptor::new(path, fd))
}

/// Standard output or standard error, if that is what `path` means.
fn standard_stream(path: &Path) -> Option<BorrowedFd<'static>> {
    let parent = path.parent().and_then(|parent| parent.canonicalize().ok());
    let own = Path::new("/proc/self/fd").canonicalize().ok();
    match path.to_str()? {
        "/dev/stdout" => Some(rustix::stdio::stdout()),
        "/dev/stderr" => Some(rustix::stdio::stderr()),
        _ if own.is_none() || parent != own => None,
        _ => match path.file_name()?.to_str()? {
            "1" => Some(rustix::stdio::stdout()),
            "2" => Some(rustix::stdio::stderr()),
            _ => None,
        },
    }
}

fn is(path: &Path, kind: FileType) -> bool {
    rustix::fs::stat(path).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == kind)
}
