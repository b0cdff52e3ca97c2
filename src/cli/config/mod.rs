//! Arguments and environment -> [`Options`]. The only reader of the environment; what it reads
//! there or in a file never appears in a message.

mod network;
mod request;
mod surroundings;
mod via;

use std::path::{Path, PathBuf};

use uget::{ChecksumList, Connections, Error, Fsync, HeaderDump, Options, Target, Unpack};

pub(crate) use self::surroundings::Surroundings;
use self::surroundings::usage;
use super::{
    args::{
        self, CheckArgs, Cli, DisplayArgs, LimitArgs, OutputArgs, ParallelArgs, ProgressMode,
        UnpackArgs, Wanted,
    },
    size,
};

/// One download, as asked for.
#[derive(Debug)]
pub(crate) struct Job {
    /// What to download, as typed.
    pub(crate) url: String,
    /// What takes it from elsewhere, where `url` is a path.
    pub(crate) via: Option<Vec<String>>,
    /// Everything else.
    pub(crate) options: Options,
    /// What is said meanwhile.
    pub(crate) voice: Voice,
    /// What should be said before it starts.
    pub(crate) warnings: Vec<String>,
}

/// What is said, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Voice {
    /// Errors alone.
    pub(crate) quiet: bool,
    /// Decisions too.
    pub(crate) verbose: bool,
    /// A JSON report instead of the summary line.
    pub(crate) json: bool,
    /// Progress.
    pub(crate) progress: ProgressMode,
    /// Nothing forbids a live line: `NO_COLOR` is not set, `TERM` is not `dumb`.
    pub(crate) live_allowed: bool,
    /// Standard output carries the object, so that what belongs there goes to standard error.
    pub(crate) stdout_is_data: bool,
}

/// The download that `cli` asks for in these surroundings.
///
/// # Errors
/// [`ErrorKind::Usage`] and [`ErrorKind::BadUrl`]. Files of `-H @FILE` are read here; nothing else
/// is touched.
pub(crate) fn job(cli: Cli, around: &Surroundings<'_>) -> Result<Job, Error> {
    let mut options = Options::default();
    let mut warnings = Vec::new();
    let via = cli.source.via.map(|text| via::command(&text, around)).transpose()?;
    let url = if via.is_some() { via::path(cli.urls)? } else { one_url(cli.urls)? };
    output(cli.output, &mut options)?;
    unpack(cli.unpack, &mut options)?;
    parallel(cli.parallel, around, &mut options, &mut warnings)?;
    check(cli.check, around, &mut options)?;
    limits(&cli.limits, around, &mut options)?;
    request::apply(cli.request, around, &mut options)?;
    network::apply(cli.network, around, &mut options)?;
    network::apply_tls(cli.tls, around, &mut options)?;
    if options.tls.insecure {
        warnings.push("--insecure: certificates are not checked".to_owned());
    }
    let voice = voice(&cli.display, around, options.target == Target::Stdout)?;
    Ok(Job { url, via, options, voice, warnings })
}

fn one_url(urls: Vec<String>) -> Result<String, Error> {
    match <[String; 1]>::try_from(urls) {
        Ok([word]) if matches!(&*word, "serve" | "bench" | "check") => {
            Err(usage(format!("{word} goes before all flags"))
                .with_hint(format!("uget {word} [OPTIONS]")))
        }
        Ok([url]) => Ok(url),
        Err(none) if none.is_empty() => {
            Err(usage("no URL given").with_hint("uget URL; try 'uget --help'"))
        }
        Err(several) => {
            Err(usage(format!("{} URLs given, but one at a time is accepted", several.len()))
                .with_hint("for other URLs of the same file, use --mirror URL"))
        }
    }
}

fn output(args: OutputArgs, options: &mut Options) -> Result<(), Error> {
    if let Some(at) = args.continue_at.as_deref().filter(|&at| at != "-") {
        let error = usage(format!("-C {at}: an offset cannot be chosen"));
        return Err(
            error.with_hint("resuming is the default and finds its own offset; -C - says so")
        );
    }
    options.target = target(args.output, args.directory_prefix)?;
    options.remote_name = args.remote_name;
    options.range = args.range;
    options.dump_header = dump(args.dump_header, &options.target)?;
    options.fsync = match (args.fsync, args.no_fsync) {
        (true, _) => Fsync::Always,
        (_, true) => Fsync::Never,
        _ => Fsync::Auto,
    };
    options.resume = !args.no_resume;
    options.force = args.force;
    options.restart_on_change = args.restart_on_change;
    Ok(())
}

/// Where the head goes, which is not where the bytes go.
fn dump(to: Option<PathBuf>, target: &Target) -> Result<Option<HeaderDump>, Error> {
    let Some(path) = to else { return Ok(None) };
    if path.as_os_str().is_empty() {
        return Err(usage("the name for the header is empty"));
    }
    let to = if is_stdout(&path) { HeaderDump::Stdout } else { HeaderDump::File(path) };
    let clash = match (&to, target) {
        (HeaderDump::Stdout, Target::Stdout) => true,
        (HeaderDump::File(path), Target::File(file)) => path == file,
        _ => false,
    };
    if clash {
        return Err(usage("--dump-header and the download go to one place"));
    }
    Ok(Some(to))
}

/// Whether that is standard output. Reports go elsewhere then.
fn is_stdout(path: &Path) -> bool {
    let names = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];
    names.iter().any(|name| path.as_os_str() == *name)
}

fn unpack(args: UnpackArgs, options: &mut Options) -> Result<(), Error> {
    if args.extract.is_none() && !args.decompress && args.max_extracted.is_some() {
        return Err(usage("--max-extracted goes with --extract or --decompress"));
    }
    if let Some(directory) = args.extract {
        if directory.as_os_str().is_empty() {
            return Err(usage("the directory's name is empty"));
        }
        options.target = Target::Extract(directory);
    }
    options.unpack = Unpack {
        decompress: args.decompress,
        strip_components: args.strip_components.unwrap_or(0) as usize,
        max_extracted: args.max_extracted,
        devices: args.devices,
        preserve_setuid: args.preserve_setuid,
        same_owner: args.same_owner,
    };
    Ok(())
}

fn target(file: Option<PathBuf>, directory: Option<PathBuf>) -> Result<Target, Error> {
    if file.as_ref().or(directory.as_ref()).is_some_and(|p| p.as_os_str().is_empty()) {
        return Err(usage("the output's name is empty"));
    }
    Ok(match (file, directory) {
        (Some(file), _) if is_stdout(&file) => Target::Stdout,
        (Some(file), _) => Target::File(file),
        (None, directory) => Target::Directory(directory.unwrap_or_else(|| PathBuf::from("."))),
    })
}

fn parallel(
    args: ParallelArgs,
    around: &Surroundings<'_>,
    options: &mut Options,
    warnings: &mut Vec<String>,
) -> Result<(), Error> {
    let wanted = around.or_variable(args.connections, "UGET_CONNECTIONS", args::connections)?;
    options.connections = connections(wanted, options.connections, warnings);
    options.part_size =
        around.or_variable(args.part_size, "UGET_PART_SIZE", size::bytes_nonzero)?;
    options.min_split =
        around.or_variable(args.min_split, "UGET_MIN_SPLIT", size::bytes_nonzero)?;
    if let Some(part) = options.part_size {
        let (Connections::Exactly(n) | Connections::Auto { max: n }) = options.connections;
        let window = u64::try_from(n).ok().and_then(|n| n.checked_mul(2)?.checked_mul(part));
        if window.is_none_or(|bytes| i64::try_from(bytes).is_err()) {
            return Err(usage("--part-size times the connections is beyond any file"));
        }
    }
    options.memory = around.or_variable(args.memory, "UGET_MEMORY", size::memory)?;
    options.engine =
        around.or_variable(args.engine, "UGET_ENGINE", args::engine)?.unwrap_or(options.engine);
    options.pin = around.or_variable(args.pin, "UGET_PIN", args::pin)?.unwrap_or(options.pin);
    options.mirrors =
        args.mirrors.iter().map(|text| uget::http_url(text)).collect::<Result<_, _>>()?;
    Ok(())
}

/// At most [`MOST_CONNECTIONS`]. The library takes no more than there are descriptors for.
fn connections(
    wanted: Option<Wanted>,
    default: Connections,
    warnings: &mut Vec<String>,
) -> Connections {
    let Some(Wanted::Exactly(count)) = wanted else { return default };
    if count > MOST_CONNECTIONS {
        warnings
            .push(format!("too many connections asked for: uget makes at most {MOST_CONNECTIONS}"));
    }
    Connections::Exactly(count.min(MOST_CONNECTIONS))
}

fn check(args: CheckArgs, around: &Surroundings<'_>, options: &mut Options) -> Result<(), Error> {
    for digest in args.sha256.into_iter().chain(args.digests) {
        match options.digests.iter().find(|given| given.algorithm == digest.algorithm) {
            Some(given) if given.hex != digest.hex => {
                let name = digest.algorithm.name();
                return Err(usage(format!("no object has two digests of one kind ({name})")));
            }
            Some(_) => {}
            None => options.digests.push(digest),
        }
    }
    options.checksums =
        args.checksums.iter().map(|list| checksums(list)).collect::<Result<_, _>>()?;
    options.checksum_suffix = args.checksum_suffix;
    options.require_digest = args.require_digest;
    options.print_digests = args.print_digests;
    options.max_size = around.or_variable(args.max_size, "UGET_MAX_SIZE", size::bytes)?;
    Ok(())
}

/// A list is at a URL if it says so, and a file else.
fn checksums(list: &str) -> Result<ChecksumList, Error> {
    match list.contains("://") {
        true => uget::http_url(list).map(ChecksumList::Url),
        false if list.is_empty() => Err(usage("the name of the checksum list is empty")),
        false => Ok(ChecksumList::File(PathBuf::from(list))),
    }
}

fn limits(args: &LimitArgs, around: &Surroundings<'_>, options: &mut Options) -> Result<(), Error> {
    let retries = around.or_variable(args.retries, "UGET_RETRIES", size::count)?;
    options.retries = if args.fail_fast { 0 } else { retries.unwrap_or(options.retries) };
    options.retry_after_max = args.retry_after_max.unwrap_or(options.retry_after_max);
    options.retry_max_time = args.retry_max_time;
    options.retry_all_errors = args.retry_all_errors;
    if let Some(limit) =
        around.or_variable(args.connect_timeout, "UGET_CONNECT_TIMEOUT", size::seconds)?
    {
        options.connect_timeout = limit;
    }
    if let Some(limit) =
        around.or_variable(args.stall_timeout, "UGET_STALL_TIMEOUT", size::seconds)?
    {
        options.stall_timeout = limit;
    }
    options.max_time = around.or_variable(args.max_time, "UGET_MAX_TIME", size::seconds)?;
    Ok(())
}

fn voice(
    args: &DisplayArgs,
    around: &Surroundings<'_>,
    stdout_is_data: bool,
) -> Result<Voice, Error> {
    let mode = |text: &str| clap::ValueEnum::from_str(text, true);
    let asked = around.or_variable(args.progress, "UGET_PROGRESS", mode)?.unwrap_or_default();
    let no_color = around.path("NO_COLOR").is_some();
    let dumb = around.path("TERM").is_some_and(|t| t.as_os_str().eq_ignore_ascii_case("dumb"));
    Ok(Voice {
        quiet: args.quiet,
        verbose: args.verbose > 0,
        json: args.json,
        progress: if args.quiet || args.no_progress { ProgressMode::None } else { asked },
        live_allowed: !no_color && !dumb,
        stdout_is_data,
    })
}

/// No server is asked for more, whatever was typed.
const MOST_CONNECTIONS: usize = 256;

#[cfg(test)]
mod tests;
