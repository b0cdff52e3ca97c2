//! `uget serve`: a directory, or a made-up object, over HTTP until a signal comes.

use std::{
    fmt::Write as _,
    fs,
    io::{self, BufRead},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::Args;
use serde_json::{Value, json};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};
use uget::{
    Error, ErrorKind, http,
    origin::{Access, Certificate, Content, Log, Origin, OriginOptions, Running, Synthetic, host},
};

use super::{exit, inherited, message, size, text};

/// Serve a directory over HTTP, with ranges and validators
#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    /// The directory
    #[arg(value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// Listen on port N; 0 takes any that is free
    #[arg(short, long, value_name = "N", default_value_t = 8000)]
    port: u16,
    /// Listen on this address; 0.0.0.0 is every one of this machine
    #[arg(short, long, value_name = "ADDR", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// Speak TLS; without --cert and --key, with a certificate made for this run
    #[arg(long)]
    tls: bool,
    /// The certificate chain, as PEM
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its private key, as PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// No line for every request
    #[arg(short, long)]
    quiet: bool,
    /// Serve one made-up object of this size, under every name, instead of a directory
    #[arg(long, value_name = "SIZE", value_parser = size::bytes, conflicts_with = "directory")]
    synthetic: Option<u64>,
    /// Answer to `uget bench` on standard input, and end when that does
    #[arg(long, hide = true, requires = "synthetic")]
    controlled: bool,
}

/// Serves until SIGINT, SIGTERM or SIGHUP.
pub(crate) fn run(args: &ServeArgs) -> Result<ExitCode, Error> {
    // Before anything is served, so that no signal finds the default action.
    let mut signals = ending_signals()?;
    let log: Option<Arc<Log>> = (!args.quiet).then(|| Arc::new(log) as Arc<Log>);
    let tls = certificate(args)?;
    let options = OriginOptions { log, tls, ..OriginOptions::default() };
    let address = SocketAddr::new(args.bind, args.port);
    if let Some(length) = args.synthetic {
        let (object, in_memory) = synthetic(length);
        let running = start(address, Content::Synthetic(object.clone()), options)?;
        if args.controlled {
            return controlled(&running, &object, in_memory);
        }
        announce(&format!("{} of made-up bytes", text::bytes(length)), &running);
        return Ok(until_signal(&mut signals, running));
    }
    let running = start(address, Content::Directory(args.directory.clone()), options)?;
    announce(&http::escape(args.directory.as_os_str().as_encoded_bytes(), SHOWN_MAX), &running);
    Ok(until_signal(&mut signals, running))
}

/// The certificate to show, if any is to be shown.
fn certificate(args: &ServeArgs) -> Result<Option<Certificate>, Error> {
    let read = |path: &Path| {
        fs::read(path).map_err(|error| {
            Error::new(ErrorKind::Usage, format!("{}: {}", path.display(), reason(&error)))
        })
    };
    match (&args.cert, &args.key) {
        (Some(chain), Some(key)) => Ok(Some(Certificate { chain: read(chain)?, key: read(key)? })),
        _ if args.tls => {
            let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into_iter();
            let names: Vec<String> = names.chain([args.bind.to_string()]).collect();
            Certificate::self_signed(&names).map(Some).map_err(|error| internal(&error))
        }
        _ => Ok(None),
    }
}

fn start(address: SocketAddr, content: Content, options: OriginOptions) -> Result<Running, Error> {
    let what = match &content {
        Content::Directory(path) => format!("{} on {address}", path.display()),
        Content::Synthetic(_) => address.to_string(),
    };
    let running = Origin::bind(address, content, options).and_then(Origin::spawn);
    running.map_err(|error| {
        let context = format!("cannot serve {what}: {}", reason(&error));
        let error = Error::new(ErrorKind::Usage, context);
        if address.port() == 0 { error } else { error.with_hint("--port 0 takes any free port") }
    })
}

/// The object that is served for `length`: laid out in memory where it fits, else computed.
fn synthetic(length: u64) -> (Synthetic, bool) {
    let object = Synthetic::new(length, SEED);
    match object.clone().in_memory() {
        Ok(stored) => (stored, true),
        Err(_) => (object, false),
    }
}

fn announce(what: &str, running: &Running) {
    message::to_stdout(&format!("serving {what} on {}\n", url(running)));
}

fn until_signal(signals: &mut Signals, running: Running) -> ExitCode {
    let signal = signals.forever().next().unwrap_or(SIGTERM);
    // Serving has nothing to lose: an error now could only repeat one that was not noticed.
    let _ = running.stop();
    ExitCode::from(exit::by_signal(signal))
}

/// One line for a response.
fn log(access: &Access<'_>) {
    let target = http::escape(access.target.as_bytes(), SHOWN_MAX);
    let mut line = format!(
        "{} \"{} {target}\" {} {}",
        access.peer, access.method, access.status, access.body_bytes
    );
    if let Some(range) = access.range {
        // Writing to a `String` cannot fail.
        let _ = write!(line, " {}", http::escape(range, 80));
    }
    let _ = write!(line, " {:.3}s", access.elapsed.as_secs_f64());
    line.push_str(if access.complete { "\n" } else { " (not sent to its end)\n" });
    message::to_stderr(&line);
}

/// Says what is served, then answers every line of standard input with what was used and served
/// so far, until its end.
fn controlled(running: &Running, object: &Synthetic, in_memory: bool) -> Result<ExitCode, Error> {
    let certificate = running.certificate().map(|own| String::from_utf8_lossy(&own.chain));
    say(&json!({
        "url": format!("{}uget-bench.bin", url(running)),
        "sha256": object.sha256(),
        "in_memory": in_memory,
        "certificate": certificate,
    }));
    for line in io::stdin().lock().lines() {
        line.map_err(|error| internal(&error))?;
        let counters = running.counters();
        say(&json!({
            "cpu_us": u64::try_from(host::own_cpu_time().as_micros()).unwrap_or(u64::MAX),
            "connections": counters.connections(),
            "requests": counters.requests(),
            "bytes": counters.bytes(),
        }));
    }
    Ok(ExitCode::SUCCESS)
}

fn url(running: &Running) -> String {
    let scheme = if running.certificate().is_some() { "https" } else { "http" };
    format!("{scheme}://{}/", running.local_addr())
}

fn say(value: &Value) {
    message::to_stdout(&format!("{value}\n"));
}

fn internal(error: &io::Error) -> Error {
    Error::new(ErrorKind::Internal, reason(error))
}

/// The signals that end a program: those of them that were not ignored when it was started.
pub(super) fn ending_signals() -> Result<Signals, Error> {
    let ours = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|&signal| !inherited::ignored(signal));
    Signals::new(ours).map_err(|error| internal(&error))
}

/// An error of the system in its own words, without the number that Rust appends.
pub(super) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// The same bytes on every run, so that a digest can be remembered.
pub(super) const SEED: u64 = 0x7567_6574;
/// Characters of a name that are shown.
const SHOWN_MAX: usize = 300;
