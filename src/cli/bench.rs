//! `uget bench`: the main job against an origin on this machine, measured from outside.
//!
//! Origin and client are processes of their own, so that what each used is told apart, and every
//! run is a new client, so that the kernel's accounts of it (wait4(2)) are of that run alone.

mod process;
mod table;

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File},
    io::{self, Read},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::{Args, ValueEnum};
use uget::{
    Error, ErrorKind,
    origin::{Synthetic, host},
};

use self::{
    process::{Children, Served},
    table::{Bench, Case, Row, Run},
};
use super::{
    exit, message,
    serve::{SEED, reason},
    size, text,
};

/// Measure this machine and this program: download from an origin on loopback
#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    /// Size of the object
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = size::bytes_nonzero)]
    size: u64,
    /// Connections
    #[arg(
        short = 'j',
        long,
        value_name = "N",
        default_value_t = 16,
        value_parser = clap::value_parser!(u16).range(1..=256)
    )]
    connections: u16,
    /// Which engines
    #[arg(long, value_name = "ENGINE", value_enum, default_value_t = Engines::All)]
    engine: Engines,
    /// Download into DIR (default: the current directory); a memory filesystem such as /dev/shm
    /// leaves the disk out
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// How often each row is run; medians are shown
    #[arg(
        long,
        value_name = "N",
        default_value_t = 3,
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    runs: u16,
    /// Over TLS, with a certificate made for this run
    #[arg(long)]
    tls: bool,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// No line for every run
    #[arg(short, long)]
    quiet: bool,
    /// Use so many bytes of memory once, and end
    #[arg(long, hide = true)]
    touch_memory: Option<usize>,
}

/// The engines that are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Engines {
    Auto,
    Uring,
    #[value(alias = "threads")]
    Epoll,
    All,
}

/// Runs the benchmark and prints what came out.
pub(crate) fn run(args: &BenchArgs) -> Result<ExitCode, Error> {
    if let Some(bytes) = args.touch_memory {
        host::touch_memory(bytes);
        return Ok(ExitCode::SUCCESS);
    }
    check_space(&args.dir, args.size)?;
    let mut children = Children::new()?;
    let scratch = Scratch::new(&args.dir)?;
    let served = children.serve(args.size, args.tls)?;
    if let Some(certificate) = &served.certificate {
        let path = scratch.authority();
        fs::write(&path, certificate).map_err(|error| failure(&path, &error))?;
    }
    let refused = match args.engine {
        Engines::All => host::check_io_uring().err(),
        _ => None,
    };
    let cases = plan(args.engine, args.connections, refused.is_none());
    let mut rows: Vec<Row> = cases.iter().map(|case| Row::new(case.clone())).collect();
    for round in 1..=args.runs {
        for row in &mut rows {
            let run = measure(&mut children, args, &row.case, &served, &scratch)?;
            if !args.quiet {
                let (case, wall) = (&row.case, run.wall.as_secs_f64());
                message::to_stderr(&format!("run {round}: {case} {wall:.3} s\n"));
            }
            row.runs.push(run);
        }
    }
    let bench = Bench {
        size: args.size,
        tls: args.tls,
        directory: args.dir.canonicalize().unwrap_or_else(|_| args.dir.clone()),
        in_memory: served.in_memory,
        uring_refused: refused.map(|error| reason(&error)),
        rows,
    };
    message::to_stdout(&if args.json { format!("{}\n", bench.json()) } else { bench.table() });
    let whole = bench.rows.iter().flat_map(|row| &row.runs).all(|run| run.difference.is_none());
    let code = if whole { 0 } else { exit::code(ErrorKind::Digest) };
    Ok(ExitCode::from(code))
}

/// The rows: every engine with all connections, then what one connection and what a digest cost.
fn plan(engines: Engines, connections: u16, uring: bool) -> Vec<Case> {
    let names: &[&'static str] = match engines {
        Engines::Auto => &["auto"],
        Engines::Uring => &["uring"],
        Engines::Epoll => &["epoll"],
        Engines::All if uring => &["uring", "epoll"],
        Engines::All => &["epoll"],
    };
    let mut cases: Vec<Case> =
        names.iter().map(|&engine| Case { engine, connections, digest: false }).collect();
    let engine = if engines == Engines::All { "auto" } else { names[0] };
    if connections > 1 {
        cases.push(Case { engine, connections: 1, digest: false });
    }
    cases.push(Case { engine, connections, digest: true });
    cases
}

/// One download, and whether every byte of it is right.
fn measure(
    children: &mut Children,
    args: &BenchArgs,
    case: &Case,
    served: &Served,
    scratch: &Scratch,
) -> Result<Run, Error> {
    let target = scratch.target();
    remove(&target)?;
    if let Some(bytes) = worth_touching(args.size) {
        children.touch_memory(bytes)?;
    }
    let before = children.served()?;
    let ended = children.client(client_arguments(case, served, scratch))?;
    let after = children.served()?;
    let difference = verify(children, &target, args.size)?;
    remove(&target)?;
    Ok(Run {
        engine: ended.report["engine"].as_str().unwrap_or(case.engine).to_owned(),
        wall: ended.wall,
        client_cpu: ended.usage.cpu,
        peak_rss: ended.usage.peak_rss,
        server_cpu: after.cpu.saturating_sub(before.cpu),
        connections: after.connections.saturating_sub(before.connections),
        requests: after.requests.saturating_sub(before.requests),
        bytes: after.bytes.saturating_sub(before.bytes),
        difference,
    })
}

/// Where the file at `path` differs from what is served. Signals are heard meanwhile.
fn verify(children: &Children, path: &Path, size: u64) -> Result<Option<u64>, Error> {
    struct Watched<'a>(File, &'a Children, Result<(), Error>);
    impl Read for Watched<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.2 = self.1.check();
            if self.2.is_err() {
                return Err(io::ErrorKind::Other.into());
            }
            self.0.read(buffer)
        }
    }
    let file = File::open(path).map_err(|error| failure(path, &error))?;
    let mut watched = Watched(file, children, Ok(()));
    let difference = Synthetic::new(size, SEED).first_difference(&mut watched);
    watched.2?;
    difference.map_err(|error| failure(path, &error))
}

fn client_arguments(case: &Case, served: &Served, scratch: &Scratch) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["--quiet".into(), "--json".into()];
    arguments.extend(["--engine".into(), case.engine.into()]);
    arguments.extend(["-j".into(), case.connections.to_string().into()]);
    if case.digest {
        arguments.extend(["--sha256".into(), served.sha256.clone().into()]);
    }
    if served.certificate.is_some() {
        arguments.extend(["--cacert".into(), scratch.authority().into()]);
    }
    arguments.extend(["-o".into(), scratch.target().into(), served.url.clone().into()]);
    arguments
}

/// Memory to use once before a run, so that the run does not pay for first touches: three times
/// the object (its pages in the cache, the copies on the way, some slack), or what there is.
fn worth_touching(size: u64) -> Option<usize> {
    let available = host::available_memory()?;
    usize::try_from(size.saturating_mul(3).min(available / 10 * 7)).ok()
}

fn check_space(directory: &Path, size: u64) -> Result<(), Error> {
    let space = host::available_space(directory).map_err(|error| failure(directory, &error))?;
    let needed = size.saturating_add(SPACE_TO_SPARE);
    if space >= needed {
        return Ok(());
    }
    let (needed, space) = (text::bytes(needed), text::bytes(space));
    let context = format!("{} needs {needed} and has {space} free", directory.display());
    Err(Error::new(ErrorKind::Write, context).with_hint("--dir DIR or a smaller --size"))
}

/// A directory that is removed with everything in it when this is dropped.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn new(parent: &Path) -> Result<Self, Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let name = format!(".uget-bench-{}-{}", std::process::id(), now.subsec_nanos());
        let path = parent.join(name);
        DirBuilder::new().mode(0o700).create(&path).map_err(|error| failure(&path, &error))?;
        Ok(Self { path })
    }

    /// Where clients put what they download.
    fn target(&self) -> PathBuf {
        self.path.join("object.bin")
    }

    /// The certificate that clients are to trust.
    fn authority(&self) -> PathBuf {
        self.path.join("certificate.pem")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What clients leave are files: this deletes no tree, whatever became of the name.
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let _ = fs::remove_file(entry.path());
        }
        let _ = fs::remove_dir(&self.path);
    }
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failure(path, &error)),
        _ => Ok(()),
    }
}

fn failure(path: &Path, error: &io::Error) -> Error {
    Error::new(ErrorKind::Write, format!("{}: {}", path.display(), reason(error)))
}

/// For the journal, and for whatever else the filesystem keeps.
const SPACE_TO_SPARE: u64 = 64 * 1024 * 1024;
