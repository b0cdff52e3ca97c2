//! `uget check`: are the files that checksum files name here, and right?

mod verdict;
mod work;

use std::{
    fs::File,
    io::{self, Read},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::Instant,
};

use clap::Args;
use signal_hook::{iterator::Signals, low_level};
use uget::{
    Error, ErrorKind,
    manifest::{self, List},
};

use self::{verdict::Totals, work::Job};
use super::{
    exit, message,
    serve::{ending_signals, reason},
};

/// Verify the files that checksum files name (SHA256SUMS and the like)
#[derive(Args, Debug)]
pub(crate) struct FilesArgs {
    /// Checksum files; '-' is standard input
    #[arg(value_name = "FILE", required = true)]
    lists: Vec<PathBuf>,
    /// Look for the files in DIR instead of beside their list
    #[arg(short = 'C', long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Say only what is wrong
    #[arg(short, long)]
    quiet: bool,
    /// Print one JSON object a line for each file, and a last one with totals
    #[arg(long)]
    json: bool,
    /// A file that is not there is not wrong
    #[arg(long)]
    ignore_missing: bool,
}

/// Checks every file of every list with all cores, and tells of each in the lists' order.
///
/// # Errors
/// [`ErrorKind::Usage`]: a list cannot be read or understood; then no file was looked at.
/// [`ErrorKind::Digest`]: a file is wrong, missing or unreadable.
pub(crate) fn run(args: &FilesArgs) -> Result<ExitCode, Error> {
    watch(ending_signals()?)?;
    let started = Instant::now();
    let texts: Vec<Vec<u8>> = args.lists.iter().map(|path| text(path)).collect::<Result<_, _>>()?;
    let lists = args.lists.iter().zip(&texts).map(|(path, text)| parsed(path, text));
    let lists: Vec<List<'_>> = lists.collect::<Result<_, _>>()?;
    if !args.quiet {
        args.lists.iter().zip(&lists).for_each(|(path, list)| warn(path, list));
    }
    let jobs: Vec<Job<'_>> = args
        .lists
        .iter()
        .zip(&lists)
        .flat_map(|(path, list)| list.entries.iter().map(move |entry| (path, entry)))
        .map(|(list, entry)| Job { list, directory: args.directory.as_deref(), entry })
        .collect();
    let mut totals = Totals::default();
    work::all(&jobs, |ready| {
        let mut lines = String::new();
        for (job, verdict) in ready {
            let wrong = totals.count(verdict, args.ignore_missing);
            if args.json && (wrong || !args.quiet) {
                lines += &verdict.json(&job.entry.name, job.list, started.elapsed());
            } else if wrong || !args.quiet {
                lines += &verdict.line(&job.entry.name, wrong);
            }
        }
        message::to_stdout(&lines);
    });
    end(args, &totals, started)
}

/// Says what came of it all.
fn end(args: &FilesArgs, totals: &Totals, started: Instant) -> Result<ExitCode, Error> {
    let failed = totals.failed().map(|what| Error::new(ErrorKind::Digest, what));
    let code = failed.as_ref().map_or(0, |error| exit::code(error.kind()));
    if args.json {
        message::to_stdout(&totals.json(code, started.elapsed()));
    } else if failed.is_none() && !args.quiet {
        message::to_stdout(&totals.line());
    }
    failed.map_or(Ok(ExitCode::SUCCESS), Err)
}

/// A signal ends it at once: there is nothing to put in order.
fn watch(mut signals: Signals) -> Result<(), Error> {
    let wait = move || {
        if let Some(signal) = signals.forever().next() {
            message::to_stderr(&message::line("ended by a signal"));
            low_level::exit(i32::from(exit::by_signal(signal)));
        }
    };
    let started = thread::Builder::new().name("signals".to_owned()).spawn(wait);
    started.map(drop).map_err(|error| Error::new(ErrorKind::Internal, reason(&error)))
}

/// What is in a list, whose size is bounded.
fn text(path: &Path) -> Result<Vec<u8>, Error> {
    let mut text = Vec::new();
    let most = manifest::MOST as u64 + 1;
    let read = if path == Path::new(STDIN) {
        io::stdin().lock().take(most).read_to_end(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(most).read_to_end(&mut text))
    };
    read.map(|_| text).map_err(|error| {
        Error::new(ErrorKind::Usage, format!("cannot read {}: {}", path.display(), reason(&error)))
    })
}

fn parsed<'a>(path: &'a Path, text: &'a [u8]) -> Result<List<'a>, Error> {
    let name = path.as_os_str().as_bytes();
    let list = manifest::parse(text, name, manifest::beside(name));
    list.map_err(|fault| Error::new(ErrorKind::Usage, format!("{}: {fault}", path.display())))
}

/// What of a list is not looked at.
fn warn(path: &Path, list: &List<'_>) {
    let warn = |what: String| {
        message::to_stderr(&message::warning(&format!("{}: {what}", path.display())));
    };
    if list.signed {
        warn("its signature is not checked".to_owned());
    }
    if let Some(unknown) = &list.unknown {
        let (count, line, tag) = (unknown.count, unknown.line, &unknown.tag);
        warn(format!("digests that uget does not know: {count}, the first in line {line} ({tag})"));
    }
}

/// What means standard input.
const STDIN: &str = "-";
