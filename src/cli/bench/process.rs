//! The processes of a benchmark: an origin, and one client after the other. All of them end with
//! this one.

use std::{
    ffi::OsString,
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use uget::{
    Error, ErrorKind,
    origin::host::{Usage, wait_with_usage},
};

use super::super::serve::{ending_signals, reason};

/// The children, and the one place where news of them arrives.
pub(super) struct Children {
    news: Receiver<News>,
    sender: Sender<News>,
    origin: Option<Guarded>,
    control: Option<ChildStdin>,
}

/// What the origin serves.
#[derive(Clone, Debug)]
pub(super) struct Served {
    pub(super) url: String,
    pub(super) sha256: String,
    pub(super) in_memory: bool,
    /// The certificate to trust, as PEM.
    pub(super) certificate: Option<String>,
}

/// What the origin has used and served since its start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Account {
    pub(super) cpu: Duration,
    pub(super) connections: u64,
    pub(super) requests: u64,
    pub(super) bytes: u64,
}

/// A client that ended well.
pub(super) struct Ended {
    pub(super) wall: Duration,
    pub(super) usage: Usage,
    pub(super) report: Value,
}

/// What can happen while this process waits.
enum News {
    /// The origin said something.
    Line(String),
    /// The origin ended.
    OriginEnded,
    /// A client closed its output, all of which this is: standard output and standard error.
    ClientEnded(Vec<u8>, Vec<u8>),
    /// A signal came.
    Signal(i32),
}

impl Children {
    /// From here on signals are news.
    pub(super) fn new() -> Result<Self, Error> {
        let (sender, news) = channel();
        let mut signals = ending_signals()?;
        let to = sender.clone();
        spawn("signals", move || {
            for signal in signals.forever() {
                let _ = to.send(News::Signal(signal));
            }
        })?;
        Ok(Self { news, sender, origin: None, control: None })
    }

    /// Starts the origin with an object of `size` bytes, over TLS if wanted.
    pub(super) fn serve(&mut self, size: u64, tls: bool) -> Result<Served, Error> {
        let size = size.to_string();
        let mut child = myself()?
            .args(["serve", "--quiet", "--port", "0", "--controlled", "--synthetic", &size])
            .args(tls.then_some("--tls"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map(Guarded::new)
            .map_err(|error| internal(format!("cannot start the origin: {}", reason(&error))))?;
        self.control = child.child().and_then(|child| child.stdin.take());
        let output = child.child().and_then(|child| child.stdout.take());
        self.origin = Some(child);
        let to = self.sender.clone();
        spawn("origin", move || {
            for line in output.into_iter().flat_map(|output| BufReader::new(output).lines()) {
                let _ = line.map(|line| to.send(News::Line(line)));
            }
            let _ = to.send(News::OriginEnded);
        })?;
        let hello = self.line()?;
        let text = |name: &str| hello[name].as_str().map(str::to_owned);
        match (text("url"), text("sha256")) {
            (Some(url), Some(sha256)) => {
                let in_memory = hello["in_memory"].as_bool().unwrap_or(false);
                Ok(Served { url, sha256, in_memory, certificate: text("certificate") })
            }
            _ => Err(internal("the origin does not say what it serves")),
        }
    }

    /// Asks the origin for its account.
    pub(super) fn served(&mut self) -> Result<Account, Error> {
        let asked = self.control.as_mut().is_some_and(|control| control.write_all(b"\n").is_ok());
        if !asked {
            return Err(internal("the origin ended"));
        }
        let account = self.line()?;
        let number = |name: &str| account[name].as_u64().unwrap_or(0);
        Ok(Account {
            cpu: Duration::from_micros(number("cpu_us")),
            connections: number("connections"),
            requests: number("requests"),
            bytes: number("bytes"),
        })
    }

    /// Lets a process of its own use memory once: its peak must not become that of the clients,
    /// which inherit this process's.
    pub(super) fn touch_memory(&mut self, bytes: usize) -> Result<(), Error> {
        self.run_whole(vec!["bench".into(), "--touch-memory".into(), bytes.to_string().into()])?;
        Ok(())
    }

    /// Runs a client to its end.
    pub(super) fn client(&mut self, arguments: Vec<OsString>) -> Result<Ended, Error> {
        self.run_whole(arguments)
    }

    /// Whether a signal has come meanwhile.
    ///
    /// # Errors
    /// That it has.
    pub(super) fn check(&self) -> Result<(), Error> {
        match self.news.try_recv() {
            Err(_) => Ok(()),
            Ok(news) => Err(unexpected(Some(news))),
        }
    }

    fn run_whole(&mut self, arguments: Vec<OsString>) -> Result<Ended, Error> {
        let began = Instant::now();
        let mut child = myself()?
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map(Guarded::new)
            .map_err(|error| internal(format!("cannot start a client: {}", reason(&error))))?;
        let output = child.child().and_then(|child| child.stdout.take());
        let errors = child.child().and_then(|child| child.stderr.take());
        let to = self.sender.clone();
        spawn("client", move || {
            // Quiet clients say less on standard error than a pipe holds, so one can be read
            // after the other.
            let (output, errors) = (all_of(output), all_of(errors));
            let _ = to.send(News::ClientEnded(output, errors));
        })?;
        let (output, errors) = self.client_ended()?;
        let (status, usage) = child.wait()?;
        let wall = began.elapsed();
        if status.success() {
            let report = serde_json::from_slice(&output).unwrap_or(Value::Null);
            return Ok(Ended { wall, usage, report });
        }
        // A terminal sends its signals to all of us, and the client may have been faster.
        if let Ok(News::Signal(signal)) = self.news.recv_timeout(SIGNAL_WAIT) {
            return Err(unexpected(Some(News::Signal(signal))));
        }
        let said = uget::http::escape(errors.trim_ascii(), ERRORS_MAX);
        Err(internal(format!("the client ended with {status}: {said}")))
    }

    fn line(&mut self) -> Result<Value, Error> {
        match self.news.recv() {
            Ok(News::Line(line)) => serde_json::from_str(&line)
                .map_err(|_| internal("the origin says what is not understood")),
            other => Err(unexpected(other.ok())),
        }
    }

    fn client_ended(&mut self) -> Result<(Vec<u8>, Vec<u8>), Error> {
        match self.news.recv() {
            Ok(News::ClientEnded(output, errors)) => Ok((output, errors)),
            other => Err(unexpected(other.ok())),
        }
    }
}

fn unexpected(news: Option<News>) -> Error {
    match news {
        Some(News::Signal(signal)) => {
            Error::new(ErrorKind::Cancelled(signal), format!("cancelled by signal {signal}"))
        }
        Some(News::OriginEnded) => internal("the origin ended"),
        Some(News::Line(_) | News::ClientEnded(..)) | None => internal("a child spoke out of turn"),
    }
}

/// A child that does not outlive its owner.
struct Guarded(Option<Child>);

impl Guarded {
    fn new(child: Child) -> Self {
        Self(Some(child))
    }

    fn child(&mut self) -> Option<&mut Child> {
        self.0.as_mut()
    }

    fn wait(mut self) -> Result<(std::process::ExitStatus, Usage), Error> {
        let Some(child) = self.0.take() else { unreachable!("taken only here and on drop") };
        wait_with_usage(child).map_err(|error| internal(reason(&error)))
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// This program again, without what in the environment would change what it does: its own
/// variables and proxies.
fn myself() -> Result<Command, Error> {
    let program = std::env::current_exe().map_err(|error| internal(reason(&error)))?;
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let known = name.to_string_lossy().to_ascii_lowercase();
        if known.starts_with("uget_") || known.ends_with("_proxy") {
            command.env_remove(name);
        }
    }
    Ok(command)
}

fn all_of(reader: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What cannot be read was not said.
    let _ = reader.map(|mut reader| reader.read_to_end(&mut bytes));
    bytes
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.map(drop).map_err(|error| internal(reason(&error)))
}

fn internal(context: impl Into<String>) -> Error {
    Error::new(ErrorKind::Internal, context)
}

/// How long a signal that ended a client may take to get here as well.
const SIGNAL_WAIT: Duration = Duration::from_millis(200);
/// Characters of a client's complaint that are repeated.
const ERRORS_MAX: usize = 1000;
