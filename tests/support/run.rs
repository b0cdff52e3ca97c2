//! One run of the real binary: bounded in time, everything it says captured.

use std::{
    cell::Cell,
    ffi::{OsStr, OsString},
    fs,
    io::Read,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::sandbox::Sandbox;

/// How long something may take that is to happen at once: two seconds on a machine that has nothing
/// else to do, as `UGET_TEST_LONG=1` promises; ten on any other. What it must not wait for takes
/// longer than that.
pub fn at_once() -> Duration {
    Duration::from_secs(if is_long() { 2 } else { 10 })
}

/// Whether this run may take its time and the whole machine (`UGET_TEST_LONG=1`).
pub fn is_long() -> bool {
    std::env::var_os("UGET_TEST_LONG").is_some_and(|value| value == "1")
}

/// A run that is being put together.
pub struct Invocation {
    program: PathBuf,
    args: Vec<OsString>,
    directory: PathBuf,
    home: PathBuf,
    envs: Vec<(OsString, OsString)>,
    sandbox: Sandbox,
    limit: Duration,
    defects: bool,
    stdout: Option<Stdio>,
    stderr: Option<Stdio>,
}

/// A run that goes on. Killed when dropped.
pub struct Running {
    child: Child,
    what: String,
    directory: PathBuf,
    started: Instant,
    limit: Duration,
    defects: bool,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
    peak: Cell<u64>,
}

/// A run that is over.
pub struct Output {
    what: String,
    directory: PathBuf,
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: String,
    pub took: Duration,
    /// The largest resident size that was seen, in bytes.
    pub peak: u64,
}

impl Invocation {
    pub fn new(program: &Path, directory: &Path, home: &Path) -> Self {
        Self {
            program: program.to_owned(),
            args: Vec::new(),
            directory: directory.to_owned(),
            home: home.to_owned(),
            envs: Vec::new(),
            sandbox: Sandbox::default(),
            limit: Duration::from_secs(30),
            defects: false,
            stdout: None,
            stderr: None,
        }
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.envs.push((name.into(), value.as_ref().to_owned()));
        self
    }

    pub fn sandbox(mut self, sandbox: Sandbox) -> Self {
        self.sandbox = sandbox;
        self
    }

    /// How long it may take before it is killed and the test fails.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// It may end with a line that admits a defect: the test makes what it stands on fail.
    pub fn defects(mut self) -> Self {
        self.defects = true;
        self
    }

    /// Where standard output goes instead of into [`Output::stdout`].
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.stdout = Some(stdout.into());
        self
    }

    /// Where standard error goes instead of into [`Output::stderr`].
    pub fn stderr(mut self, stderr: impl Into<Stdio>) -> Self {
        self.stderr = Some(stderr.into());
        self
    }

    pub fn run(self) -> Output {
        self.start().wait()
    }

    pub fn start(self) -> Running {
        let program = self.program_for_user();
        let mut command = Command::new(program);
        command
            .args(&self.args)
            .current_dir(&self.directory)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", &self.home)
            .env("LC_ALL", "C.UTF-8")
            .envs(self.envs.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(self.stdout.unwrap_or_else(Stdio::piped))
            .stderr(self.stderr.unwrap_or_else(Stdio::piped));
        self.sandbox.apply(&mut command);
        let what = self.args.iter().map(|arg| arg.to_string_lossy()).collect::<Vec<_>>().join(" ");
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot run uget: {error}"));
        Running {
            stdout: child.stdout.take().map(collect),
            stderr: child.stderr.take().map(collect),
            child,
            what,
            directory: self.directory,
            started: Instant::now(),
            limit: self.limit,
            defects: self.defects,
            peak: Cell::new(0),
        }
    }

    /// The binary lies where root built it; another user gets a copy that it can reach.
    fn program_for_user(&self) -> PathBuf {
        if !self.sandbox.is_nobody() {
            return self.program.clone();
        }
        let copy = self.home.join("uget");
        if !copy.exists() {
            fs::copy(&self.program, &copy).unwrap();
        }
        copy
    }
}

impl Running {
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) {
        // SAFETY: the child has not been waited for, so the number is still its own.
        assert_eq!(unsafe { libc::kill(self.pid(), signal) }, 0, "cannot signal uget");
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it is still running at the limit; it is killed then.
    pub fn wait(mut self) -> Output {
        let status = loop {
            self.watch();
            if let Some(status) = self.child.try_wait().unwrap() {
                break Some(status);
            }
            if self.started.elapsed() > self.limit {
                break None;
            }
            thread::sleep(Duration::from_millis(3));
        };
        let took = self.started.elapsed();
        let state = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let over = status.is_some();
        let status = status.unwrap_or_else(|| {
            drop(self.child.kill());
            self.child.wait().unwrap()
        });
        let text = |pipe: Option<JoinHandle<Vec<u8>>>| pipe.map(|p| p.join().unwrap());
        let output = Output {
            what: std::mem::take(&mut self.what),
            directory: self.directory.clone(),
            status,
            stdout: text(self.stdout.take()).unwrap_or_default(),
            stderr: String::from_utf8_lossy(&text(self.stderr.take()).unwrap_or_default())
                .into_owned(),
            took,
            peak: self.peak.get(),
        };
        output.check(over, &format!("still running after {took:?}, killed\n{state}"));
        let panicked = output.stderr.contains("panicked at");
        let defect = !self.defects && output.stderr.contains("defect of uget");
        output.check(!panicked && !defect, "it panicked");
        output
    }

    /// The largest resident size so far. `wait4` cannot tell: its figure includes what this process
    /// occupied when it forked.
    fn watch(&self) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok())
            .unwrap_or(0);
        // Until the exec the figure is that of this process.
        let exe = fs::read_link(format!("/proc/{}/exe", self.pid())).unwrap_or_default();
        if exe.file_name() == Some(OsStr::new("uget")) {
            self.peak.set(self.peak.get().max(peak << 10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Output {
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// It succeeded.
    pub fn succeeds(&self) -> &Self {
        self.check(self.status.success(), "it should have succeeded");
        self
    }

    /// It failed with this exit code, and said why in a line for people.
    pub fn fails(&self, code: i32) -> &Self {
        self.fails_with(&[code])
    }

    /// It failed with one of these exit codes, and said why.
    pub fn fails_with(&self, codes: &[i32]) -> &Self {
        let right = self.code().is_some_and(|code| codes.contains(&code));
        self.check(right, &format!("it should have exited with {codes:?}"));
        self.check(!self.stderr.trim().is_empty(), "it should have said why");
        let clean = self.stderr.chars().all(|c| !c.is_control() || c == '\n');
        self.check(clean, "control characters reached the terminal");
        self
    }

    /// Its standard error contains this.
    pub fn says(&self, text: &str) -> &Self {
        let found = self.stderr.to_lowercase().contains(&text.to_lowercase());
        self.check(found, &format!("it should have said {text:?}"));
        self
    }

    /// Its standard error does not contain this.
    pub fn hides(&self, text: &str) -> &Self {
        self.check(!self.stderr.contains(text), &format!("it should not have said {text:?}"));
        self
    }

    /// It wrote nothing to standard error.
    pub fn is_silent(&self) -> &Self {
        self.check(self.stderr.is_empty(), "it should have been silent");
        self
    }

    /// Standard output as one JSON value.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|error| self.explain(&format!("its output is no JSON: {error}")))
    }

    pub fn check(&self, right: bool, why: &str) -> &Self {
        if !right {
            self.explain(why);
        }
        self
    }

    /// Fails the test with everything that is known about the run.
    pub fn explain(&self, why: &str) -> ! {
        panic!("{why}\n{}", self.facts())
    }

    pub(super) fn facts(&self) -> String {
        let stdout = String::from_utf8_lossy(&self.stdout[..self.stdout.len().min(2000)]);
        format!(
            "\n===== uget {}\nin {}\ncode: {:?}, signal: {:?}, took {:?}, peak {} KiB\n\
             ----- files\n{}----- stdout ({} bytes)\n{stdout}\n----- stderr\n{}\n=====\n",
            self.what,
            self.directory.display(),
            self.status.code(),
            self.status.signal(),
            self.took,
            self.peak >> 10,
            listing(&self.directory),
            self.stdout.len(),
            self.stderr,
        )
    }
}

/// Names, sizes and modes in a directory.
fn listing(directory: &Path) -> String {
    use std::os::unix::fs::MetadataExt as _;
    let mut lines: Vec<String> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(data) => format!("{:o} {:>10} {:?}\n", data.mode(), data.len(), entry.file_name()),
            Err(error) => format!("{:?}: {error}\n", entry.file_name()),
        })
        .collect();
    lines.sort();
    lines.concat()
}

fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        drop(pipe.read_to_end(&mut bytes));
        bytes
    })
}
