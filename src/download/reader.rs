//! A download as something to read from, and what is made of that.

use std::{
    fmt, fs,
    io::{self, Read, Write},
    os::unix::fs::FileExt,
    panic,
    path::PathBuf,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crossbeam_channel::bounded;

use super::{Canceller, Download, Means, Outgoing, concluded::tag};
use crate::{
    engine::{
        delivery::Delivery,
        feed::Feed,
        shelf::{Shelf, no_thread},
    },
    error::{Error, ErrorKind, outcome},
    files::output::Ready,
    http::{self, headers::Headers},
    options::{Options, Target},
    orders::{Account, Failure, StoreOp, View},
    report::Report,
    stream::Next,
    transfer::Transfer,
};

/// What is known of an object before its first byte is read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectInfo {
    /// The URL after redirects, redacted.
    pub final_url: String,
    /// The complete length in bytes, if it is known.
    pub size: Option<u64>,
    /// `ETag`, as received.
    pub etag: Option<String>,
    /// `Last-Modified`, as received.
    pub last_modified: Option<String>,
    /// `Content-Encoding`: the bytes are the content so coded.
    pub content_encoding: Option<String>,
    /// The fields of the accepted answer, as they describe the whole object.
    pub headers: Headers,
}

/// The bytes of an object, in order, while they are downloaded.
///
/// A failure is met at the offset where it belongs: what came in order before it is read first. The
/// end (`Ok(0)`) comes only when every byte was read, and the digest, if one is demanded, matched;
/// what is read before is not proven. To drop it stops the download.
pub struct Reader {
    feed: Option<Feed>,
    run: Option<JoinHandle<Result<Report, Error>>>,
    canceller: Canceller,
    end: Option<Result<Box<Report>, Error>>,
}

/// What can be written at any offset.
pub trait WriteAt {
    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// Why it cannot.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
}

impl WriteAt for fs::File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }
}

/// Downloads `url` to the file `path`, which appears when it is whole.
///
/// # Errors
/// Whatever went wrong first.
pub fn download(url: &str, path: impl Into<PathBuf>) -> Result<Report, Error> {
    Download::new(url, Options::default())?.to_file(path)
}

impl Download {
    /// Asks for the object, and returns as soon as it is known what that is; its bytes are read
    /// from the [`Reader`]. [`Options::target`] is of no account.
    ///
    /// # Errors
    /// Whatever went wrong before the first byte.
    pub fn open(mut self) -> Result<(ObjectInfo, Reader), Error> {
        if self.options.compressed {
            return Err(Error::new(ErrorKind::Usage, "a reader takes content as it is sent")
                .with_hint("Options::compressed is for files and descriptors"));
        }
        let started = Instant::now();
        self.options.target = Target::Stdout;
        self.learn(started, &mut ())?;
        let connector = self.connector()?;
        let (checks, ready, canceller) = (self.checks(), Ready::stream(), self.canceller());
        let means = Means::of(&self.url, &self.options, &ready, &self.inbox, &mut ())?;
        let (tap, feed) = self.stream(&means, &checks);
        let hashed = !checks.algorithms().is_empty();
        let (announce, announced) = bounded(1);
        let delivery = Delivery::new(&self.url, Some(tap.clone()), hashed, self.counter.clone());
        let delivery = delivery.announcing(announce);
        let shelf =
            Shelf::new(ready.output, Some(tap.clone()), Default::default(), Vec::new(), checks);
        let outgoing = Outgoing::read(tap);
        let policy = means.policy.clone();
        let transfer = Transfer::new(self.url.clone(), policy, None, Duration::ZERO);
        let run = move || {
            self.go(
                means,
                transfer,
                (delivery, shelf),
                Some(outgoing),
                (connector, started, &mut ()),
            )
        };
        let run = thread::Builder::new().name("uget".to_owned()).spawn(run);
        let run = run.map_err(|error| outcome::early(&no_thread(StoreOp::Create, &error)))?;
        let mut reader = Reader { feed: Some(feed), run: Some(run), canceller, end: None };
        match announced.recv() {
            Ok((view, account)) => Ok((info(&view, account), reader)),
            // It is over before anything was known.
            Err(_) => Err(reader.join().err().unwrap_or_else(|| internal("it ended unseen"))),
        }
    }

    /// Downloads into `writer`, in order. When it fails, what was written is a part of the object,
    /// or what a digest does not prove: it is to be discarded.
    ///
    /// # Errors
    /// Whatever went wrong first; [`ErrorKind::Write`] is the writer.
    pub fn to_writer(self, writer: &mut (impl Write + ?Sized)) -> Result<Report, Error> {
        let (_, reader) = self.open()?;
        reader.each(|bytes, _| writer.write_all(bytes))
    }

    /// Downloads into something that is written at offsets. When it fails, what was written is a
    /// part of the object, or what a digest does not prove: it is to be discarded.
    ///
    /// # Errors
    /// Whatever went wrong first; [`ErrorKind::Write`] is the writer.
    pub fn to_writer_at(self, writer: &(impl WriteAt + ?Sized)) -> Result<Report, Error> {
        let (_, reader) = self.open()?;
        reader.each(|bytes, offset| writer.write_at(bytes, offset))
    }

    /// Downloads to the file `path`, which appears when it is whole.
    ///
    /// # Errors
    /// Whatever went wrong first.
    pub fn to_file(mut self, path: impl Into<PathBuf>) -> Result<Report, Error> {
        self.options.target = Target::File(path.into());
        self.run(&mut ())
    }
}

impl Reader {
    /// The report, once the end was read.
    #[must_use]
    pub fn report(&self) -> Option<&Report> {
        self.end.as_ref()?.as_ref().ok().map(|report| &**report)
    }

    /// Has every piece taken, with its offset.
    fn each(mut self, mut take: impl FnMut(&[u8], u64) -> io::Result<()>) -> Result<Report, Error> {
        let mut offset = 0;
        while let Some(piece) = self.piece()? {
            let count = piece.len();
            let taken = take(piece, offset);
            taken
                .map_err(|error| Error::new(ErrorKind::Write, format!("cannot write: {error}")))?;
            self.consume(count);
            offset += count as u64;
        }
        match self.end.take() {
            Some(Ok(report)) => Ok(*report),
            Some(Err(error)) => Err(error),
            None => Err(internal("a stream without an end")),
        }
    }

    /// The next bytes; `None` at the end.
    fn piece(&mut self) -> Result<Option<&[u8]>, Error> {
        while let (None, Some(feed)) = (&self.end, &mut self.feed) {
            match feed.next(LONG) {
                Ok(Next::Bytes) => break,
                Ok(Next::Quiet | Next::Broken) => {}
                Ok(Next::End) => {
                    feed.over(Ok(None));
                    let end = self.join();
                    self.end = Some(end.map(Box::new));
                }
                Err(failure) => {
                    // What it has failed at itself, the transfer does not know yet.
                    if !matches!(failure, Failure::Cancelled { .. }) {
                        feed.over(Err(failure));
                    }
                    let end = self.join().err().unwrap_or_else(|| internal("it ends unseen"));
                    self.end = Some(Err(end));
                }
            }
        }
        match &self.end {
            Some(Ok(_)) => Ok(None),
            Some(Err(error)) => Err(error.clone()),
            None => Ok(self.feed.as_ref().map(Feed::piece)),
        }
    }

    fn consume(&mut self, count: usize) {
        self.feed.iter_mut().for_each(|feed| feed.consume(count));
    }

    /// Waits for the end of the download.
    fn join(&mut self) -> Result<Report, Error> {
        match self.run.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(panicked)) => panic::resume_unwind(panicked),
            None => Err(internal("it is over already")),
        }
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = match self.piece().map_err(io::Error::other)? {
            None => return Ok(0),
            Some(piece) => {
                let count = piece.len().min(buffer.len());
                if let (Some(to), Some(from)) = (buffer.get_mut(..count), piece.get(..count)) {
                    to.copy_from_slice(from);
                }
                count
            }
        };
        self.consume(count);
        Ok(count)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(run) = self.run.take() {
            self.canceller.cancel(0);
            self.feed = None;
            // A panic there is no reason for one here.
            let _ = run.join();
        }
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reader")
    }
}

fn info(view: &View, account: Account) -> ObjectInfo {
    ObjectInfo {
        final_url: http::redact(&account.final_url),
        size: view.total,
        etag: account.validators.etag.as_ref().map(tag),
        last_modified: account.validators.last_modified.map(|(text, _)| text),
        content_encoding: account.content_encoding,
        headers: account.head.map(|head| Headers::of(&head, view.total)).unwrap_or_default(),
    }
}

fn internal(what: &str) -> Error {
    Error::new(ErrorKind::Internal, what)
}

/// A reader waits for as long as it takes; it looks up now and then.
const LONG: Duration = Duration::from_secs(60);
