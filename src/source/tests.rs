//! Whole downloads from sources: honest ones, and ones that lie, change, break off, hang or panic.

use std::{
    fs,
    ops::Range,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::*;
use crate::{Connections, Download, EngineChoice, Error, ErrorKind, Options, Report, Target};

/// What a source does at its n-th read, in place of giving what it was asked for.
type Act = fn(usize, &[u8], &mut Taker<'_>) -> Result<(), SourceError>;

/// A source in memory that misbehaves.
struct Odd {
    bytes: Arc<[u8]>,
    honest: MemorySource,
    reads: AtomicUsize,
    act: Act,
}

impl Odd {
    fn new(bytes: &[u8], act: Act) -> Self {
        let honest = MemorySource::new(bytes);
        Self { bytes: bytes.into(), honest, reads: AtomicUsize::new(0), act }
    }
}

impl RangeSource for Odd {
    fn version(&self, caller: &Caller<'_>) -> Result<Version, SourceError> {
        self.honest.version(caller)
    }

    fn read(&self, _: &Version, range: Range<u64>, to: &mut Taker<'_>) -> Result<(), SourceError> {
        let bytes = &self.bytes[range.start as usize..range.end as usize];
        (self.act)(self.reads.fetch_add(1, Ordering::SeqCst), bytes, to)
    }
}

/// Bytes that differ everywhere.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 7_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn options(engine: EngineChoice, target: &Path) -> Options {
    Options {
        target: Target::File(target.to_owned()),
        connections: Connections::Exactly(4),
        part_size: Some(64 << 10),
        stall_timeout: Duration::from_secs(20),
        engine,
        ..Options::default()
    }
}

fn fetch(source: impl RangeSource + 'static, options: Options) -> Result<Report, Error> {
    Download::from_source(source, "memory://tests/object", options).unwrap().run(&mut ())
}

/// Runs a case on every engine that this machine allows.
fn engines(case: impl Fn(EngineChoice, &Path)) {
    for engine in [EngineChoice::Epoll, EngineChoice::Uring] {
        if engine == EngineChoice::Uring && io_uring::IoUring::new(2).is_err() {
            continue;
        }
        let directory = tempfile::tempdir().unwrap();
        case(engine, &directory.path().join("f"));
    }
}

/// The download fails so, and nothing has the name.
fn fails(act: Act, kind: ErrorKind) {
    engines(|engine, target| {
        let options = Options { retries: 0, ..options(engine, target) };
        let error = fetch(Odd::new(&noise(1 << 20), act), options).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(!target.exists());
    });
}

/// It succeeds nevertheless.
fn mends(act: Act) {
    engines(|engine, target| {
        let bytes = noise(1 << 20);
        fetch(Odd::new(&bytes, act), options(engine, target)).unwrap();
        assert!(fs::read(target).unwrap() == bytes);
    });
}

#[test]
fn memory_is_downloaded_over_many_connections() {
    engines(|engine, target| {
        for length in [0, 1, 65_536, 6_000_000] {
            let bytes = noise(length);
            let source = MemorySource::new(&bytes[..]);
            let report = fetch(source, options(engine, target)).unwrap();
            assert!(fs::read(target).unwrap() == bytes);
            assert_eq!(report.size, length as u64);
            assert_eq!(report.url, "memory://tests/object");
            assert!(length < 1 << 20 || report.connections > 2, "{report:?}");
        }
        let report = fetch(MemorySource::new(noise(6_000_000)), options(engine, target)).unwrap();
        assert_eq!(report.transferred, 0, "it is there already");
    });
}

#[test]
fn one_connection_gets_it_whole() {
    engines(|engine, target| {
        let options = Options { connections: Connections::Exactly(1), ..options(engine, target) };
        fetch(MemorySource::new(noise(3_000_000)), options).unwrap();
        assert!(fs::read(target).unwrap() == noise(3_000_000));
    });
}

#[test]
fn what_has_no_length_or_no_version_comes_in_one_stream() {
    struct Plain(Vec<u8>, bool);
    impl RangeSource for Plain {
        fn version(&self, _: &Caller<'_>) -> Result<Version, SourceError> {
            let length = self.1.then_some(self.0.len() as u64);
            Ok(Version { length, tag: None, whole: true })
        }
        fn read(
            &self,
            _: &Version,
            range: Range<u64>,
            to: &mut Taker<'_>,
        ) -> Result<(), SourceError> {
            let length = self.0.len() as u64;
            assert_eq!(range, 0..if self.1 { length } else { u64::MAX });
            self.0.chunks(10_000).try_for_each(|chunk| to.give(chunk))
        }
    }
    engines(|engine, target| {
        for known in [true, false] {
            let report = fetch(Plain(noise(300_000), known), options(engine, target)).unwrap();
            assert!(fs::read(target).unwrap() == noise(300_000));
            assert!(report.verified_length);
            fs::remove_file(target).unwrap();
        }
    });
}

#[test]
fn a_file_is_downloaded_and_its_changes_are_seen() {
    engines(|engine, target| {
        let from = target.with_file_name("from");
        fs::write(&from, noise(500_000)).unwrap();
        let get = |options| {
            let source = FileSource::new(&from);
            let url = source.url().unwrap();
            Download::from_source(source, &url, options).unwrap().run(&mut ())
        };
        get(options(engine, target)).unwrap();
        assert!(fs::read(target).unwrap() == noise(500_000));
        fs::write(&from, noise(500_001)).unwrap();
        get(options(engine, target)).unwrap();
        assert!(fs::read(target).unwrap() == noise(500_001));
        fs::remove_file(&from).unwrap();
        let error = get(options(engine, target)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Status(404), "{error}");
        assert!(error.to_string().contains("No such file"), "{error}");
        fs::create_dir(&from).unwrap();
        let error = get(options(engine, target)).unwrap_err();
        assert!(error.to_string().contains("is a directory"), "{error}");
    });
}

#[test]
fn what_breaks_off_is_asked_for_again() {
    mends(|n, bytes, to| {
        if n % 3 == 2 {
            to.give(&bytes[..bytes.len() / 2])?;
            return Err(SourceError::Failed("it broke off".to_owned()));
        }
        to.give(bytes)
    });
    fails(|_, _, _| Err(SourceError::Failed("no more".to_owned())), ErrorKind::Status(503));
}

#[test]
fn what_is_there_already_is_resumed() {
    engines(|engine, target| {
        let bytes = noise(1 << 20);
        let breaks: Act = |n, bytes, to| {
            if n < 8 { to.give(bytes) } else { Err(SourceError::Denied("no more".to_owned())) }
        };
        let error = fetch(Odd::new(&bytes, breaks), options(engine, target)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Status(403), "{error}");
        assert!(error.to_string().contains("object: no more"), "{error}");
        let report = fetch(MemorySource::new(&bytes[..]), options(engine, target)).unwrap();
        assert!(fs::read(target).unwrap() == bytes);
        assert!(report.resumed > 0 && report.resumed + report.transferred == 1 << 20, "{report:?}");
    });
}

#[test]
fn less_than_was_asked_for_is_not_enough() {
    mends(|n, bytes, to| to.give(&bytes[..bytes.len() - usize::from(n % 3 == 1)]));
    fails(|_, bytes, to| to.give(&bytes[..bytes.len().min(1)]), ErrorKind::Partial);
}

#[test]
fn more_than_was_asked_for_is_an_error() {
    fails(
        |_, bytes, to| {
            to.give(bytes)?;
            to.give(b"x")
        },
        ErrorKind::Partial,
    );
}

#[test]
fn a_panic_is_the_end_of_a_connection() {
    mends(|n, bytes, to| {
        assert!(n % 4 != 3, "this test panics on purpose");
        to.give(bytes)
    });
}

/// Another version from the n-th read on; `late` means that this is found out after bytes of it
/// were given.
struct Fickle {
    versions: [Vec<u8>; 2],
    reads: AtomicUsize,
    from: usize,
    late: bool,
}

impl Fickle {
    fn new(versions: [&[u8]; 2], from: usize, late: bool) -> Self {
        let versions = versions.map(<[u8]>::to_vec);
        Self { versions, reads: AtomicUsize::new(0), from, late }
    }

    fn now(&self) -> usize {
        usize::from(self.reads.load(Ordering::SeqCst) >= self.from)
    }

    fn tag(&self, of: usize) -> Version {
        let length = Some(self.versions[of].len() as u64);
        Version { length, tag: Some(format!("v{of}")), whole: false }
    }
}

impl RangeSource for Fickle {
    fn version(&self, _: &Caller<'_>) -> Result<Version, SourceError> {
        Ok(self.tag(self.now()))
    }

    fn read(
        &self,
        version: &Version,
        range: Range<u64>,
        to: &mut Taker<'_>,
    ) -> Result<(), SourceError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let now = self.now();
        let same = *version == self.tag(now);
        if !same && !self.late {
            return Err(SourceError::Changed);
        }
        to.give(&self.versions[now][range.start as usize..range.end as usize])?;
        if same { Ok(()) } else { Err(SourceError::Changed) }
    }
}

#[test]
fn what_changes_is_never_joined() {
    let (old, new) = (noise(1 << 20), noise((1 << 20) + 1).split_off(1));
    engines(|engine, target| {
        for (late, from, connections) in [(false, 5, 4), (true, 5, 4), (false, 1, 1), (true, 1, 1)]
        {
            let source = || Fickle::new([&old, &new], from, late);
            let connections = Connections::Exactly(connections);
            let once = Options { connections, ..options(engine, target) };
            let again = Options { restart_on_change: true, ..once.clone() };
            // Whoever has given nothing yet may give the other version whole.
            if late || from > 1 {
                let error = fetch(source(), once).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Changed, "{error}");
                assert!(!target.exists());
            }
            fetch(source(), again).unwrap();
            assert!(fs::read(target).unwrap() == new, "a splice");
            fs::remove_file(target).unwrap();
        }
    });
}

#[test]
fn one_that_hangs_is_a_stall_and_is_not_waited_for() {
    engines(|engine, target| {
        let hang: Act = |n, bytes, to| {
            if n == 2 {
                to.give(&bytes[..10])?;
                while !to.caller().is_gone() {
                    thread::sleep(Duration::from_millis(5));
                }
                return Err(SourceError::Gone);
            }
            to.give(bytes)
        };
        let bytes = noise(1 << 20);
        let limit = Duration::from_millis(300);
        let patient = Options { stall_timeout: limit, ..options(engine, target) };
        fetch(Odd::new(&bytes, hang), patient).unwrap();
        assert!(fs::read(target).unwrap() == bytes);
        fs::remove_file(target).unwrap();

        let deaf: Act = |_, _, _| {
            thread::sleep(Duration::from_secs(60));
            Ok(())
        };
        let impatient = Options { stall_timeout: limit, retries: 0, ..options(engine, target) };
        let started = Instant::now();
        let error = fetch(Odd::new(&bytes, deaf), impatient).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        assert!(started.elapsed() < Duration::from_secs(30));
    });
}

#[test]
fn a_cancelled_download_hangs_up_on_its_source() {
    engines(|engine, target| {
        struct Waits(Arc<AtomicUsize>);
        impl RangeSource for Waits {
            fn version(&self, _: &Caller<'_>) -> Result<Version, SourceError> {
                Ok(Version { length: Some(1 << 20), tag: Some("1".to_owned()), whole: false })
            }
            fn read(
                &self,
                _: &Version,
                _: Range<u64>,
                to: &mut Taker<'_>,
            ) -> Result<(), SourceError> {
                self.0.fetch_add(1, Ordering::SeqCst);
                while !to.caller().is_gone() {
                    thread::sleep(Duration::from_millis(5));
                }
                self.0.fetch_sub(1, Ordering::SeqCst);
                Err(SourceError::Gone)
            }
        }
        let reads = Arc::new(AtomicUsize::new(0));
        let source = Waits(Arc::clone(&reads));
        let download =
            Download::from_source(source, "memory://tests/f", options(engine, target)).unwrap();
        let canceller = download.canceller();
        let running = thread::spawn(move || download.run(&mut ()));
        while reads.load(Ordering::SeqCst) == 0 {
            thread::sleep(Duration::from_millis(5));
        }
        canceller.cancel(2);
        let error = running.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled(2));
        assert_eq!(reads.load(Ordering::SeqCst), 0, "the source is still asked");
    });
}

#[test]
fn names_of_sources() {
    for bad in ["http://h/a", "https://h/a", "a", "memory:a", ""] {
        let made = Download::from_source(MemorySource::new(*b"x"), bad, Options::default());
        assert_eq!(made.err().map(|error| error.kind()), Some(ErrorKind::BadUrl), "{bad}");
    }
}
