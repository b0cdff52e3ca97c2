//! Decides, before anything is sent, where the bytes will go.

use std::{
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use crossbeam_channel::Receiver;
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};
use url::Url;

use super::{
    Message,
    seat::Wants,
    store::{self, Place, Store, Wanted, store_failure},
};
use crate::{
    journal::Held,
    options::{Options, Target},
    range::RangeSet,
    sink::{Sink, name},
    transfer::{Failure, StoreOp},
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
        /// Whether what is there may be resumed.
        resume: bool,
    },
    /// A descriptor that takes bytes in order.
    Stream(Sink),
}

/// An output, and what an earlier run left of it.
pub(crate) struct Ready {
    pub(crate) output: Output,
    /// What the journal proves.
    pub(crate) held: Option<Held>,
    /// The bytes of that.
    pub(crate) have: RangeSet,
    /// What is worth telling.
    pub(crate) notes: Vec<String>,
}

/// Decides where `options` want the bytes of `url`, opens and locks it. A FIFO waits for its
/// reader, unless a cancellation comes through `messages`.
///
/// # Errors
/// The target cannot be written, exists and may not be replaced, or is locked.
pub(crate) fn ready(
    url: &Url,
    options: &Options,
    wants: &Wants,
    messages: &Receiver<Message>,
) -> Result<Ready, Failure> {
    match &options.target {
        Target::Stdout => {
            let fd = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3);
            let path = Path::new("standard output");
            let fd = fd.map_err(|errno| store_failure(StoreOp::Create, path, errno))?;
            let sink = Sink::stream(path.to_owned(), fd, wants.algorithms());
            Ok(Ready::of(Output::Stream(sink)))
        }
        Target::Directory(directory) => in_directory(directory, url, options, wants),
        Target::File(path) => match Place::of(path)? {
            Place::File(target) => file(target, true, url, options, wants),
            Place::Directory(directory) => in_directory(&directory, url, options, wants),
            Place::Stream(path) => stream(path, wants, messages),
        },
    }
}

impl Ready {
    /// The download does not start: leaves things as they were found.
    pub(crate) fn abandon(self) {
        if let Output::File(store) = self.output {
            store.abandon(true);
        }
    }

    fn of(output: Output) -> Self {
        Self { output, held: None, have: RangeSet::new(), notes: Vec::new() }
    }
}

fn in_directory(
    directory: &Path,
    url: &Url,
    options: &Options,
    wants: &Wants,
) -> Result<Ready, Failure> {
    if options.remote_name {
        let (directory, url, resume) = (directory.to_owned(), url.clone(), options.resume);
        return Ok(Ready::of(Output::Named { directory, url, resume }));
    }
    let name = name::from_url(url);
    let here = directory == Path::new(".");
    let target = if here { PathBuf::from(name) } else { directory.join(name) };
    file(target, false, url, options, wants)
}

fn file(
    target: PathBuf,
    replace: bool,
    url: &Url,
    options: &Options,
    wants: &Wants,
) -> Result<Ready, Failure> {
    let (resume, sync) = (options.resume, wants.sync);
    let store::Opened { store, held, fresh } =
        Store::open(Wanted { target, replace, url, resume, sync })?;
    let have = held.as_ref().map(|held| held.done.clone()).unwrap_or_default();
    let notes = fresh.into_iter().map(|why| format!("starting from nothing: {why}")).collect();
    Ok(Ready { output: Output::File(Box::new(store)), held, have, notes })
}

/// Opens a FIFO, device or descriptor to write into it.
fn stream(path: PathBuf, wants: &Wants, messages: &Receiver<Message>) -> Result<Ready, Failure> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
    let fd = loop {
        match rustix::fs::open(&path, flags | OFlags::NONBLOCK, Mode::empty()) {
            // A FIFO that nobody reads yet (fifo(7)).
            Err(Errno::NXIO) => wait(messages)?,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(store_failure(StoreOp::Create, &path, errno)),
            Ok(fd) => break fd,
        }
    };
    rustix::fs::fcntl_setfl(&fd, OFlags::WRONLY)
        .map_err(|errno| store_failure(StoreOp::Create, &path, errno))?;
    Ok(Ready::of(Output::Stream(Sink::stream(path, fd, wants.algorithms()))))
}

/// Waits a moment for a FIFO's reader.
fn wait(messages: &Receiver<Message>) -> Result<(), Failure> {
    thread::sleep(Duration::from_millis(20));
    match messages.try_iter().find_map(|message| match message {
        Message::Cancel(signal) => Some(signal),
        _ => None,
    }) {
        Some(signal) => Err(Failure::Cancelled { signal }),
        None => Ok(()),
    }
}
