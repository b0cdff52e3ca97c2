//! A command that runs: its output, what it says on standard error, and its end, whatever happens.

use std::{
    ffi::OsString,
    io::{self, Read as _},
    os::unix::process::CommandExt as _,
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, waitid},
};

use super::{
    super::{Caller, SourceError},
    talk::Bytes,
};

/// A running command, in a process group of its own. What is left of the group is killed when this
/// is dropped, unless the command had come to its end.
pub(super) struct Far<'a> {
    child: Child,
    stdout: ChildStdout,
    /// Gone at its end.
    stderr: Option<ChildStderr>,
    /// The end of what it said there.
    said: Vec<u8>,
    caller: Caller<'a>,
    over: bool,
}

impl<'a> Far<'a> {
    /// Starts `command` with one more argument, without input. std sees to it that signals are as
    /// programs expect them, and that no descriptor of ours is inherited.
    pub(super) fn start(
        command: &[OsString],
        script: String,
        caller: Caller<'a>,
    ) -> Result<Self, SourceError> {
        let Some((program, arguments)) = command.split_first() else {
            return Err(SourceError::Unusable("there is no command".to_owned()));
        };
        let started = Command::new(program)
            .args(arguments)
            .arg(script)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn();
        let why = |error: &io::Error| format!("cannot run {}: {error}", program.display());
        let mut child = started.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
                SourceError::Unusable(why(&error))
            }
            _ => SourceError::Failed(why(&error)),
        })?;
        match (child.stdout.take(), child.stderr.take()) {
            (Some(stdout), stderr) => {
                Ok(Self { child, stdout, stderr, said: Vec::new(), caller, over: false })
            }
            (None, _) => Err(SourceError::Failed("a command without output".to_owned())),
        }
    }

    /// Why it ended, in its own words where it has any; empty if nothing is wrong with it. Waits a
    /// moment for its end.
    pub(super) fn last_words(&mut self) -> String {
        let until = Instant::now() + PARTING;
        let mut status = None;
        while status.is_none() && Instant::now() < until && !self.caller.is_gone() {
            if self.stderr.is_some() {
                // Its end, too, is something that comes.
                let _ = self.wait(false, Some(STEP));
            } else {
                thread::sleep(STEP);
            }
            status = self.ended();
        }
        while self.stderr.is_some() && self.wait(false, Some(Duration::ZERO)).unwrap_or(false) {}
        let said = words(&self.said);
        if !said.is_empty() {
            return said;
        }
        match status.map(|status| (status.exit_status(), status.terminating_signal())) {
            Some((Some(0), _)) => String::new(),
            Some((Some(code), _)) => format!("its exit status is {code}"),
            Some((_, Some(signal))) => format!("signal {signal} ended it"),
            _ => "it closed its output".to_owned(),
        }
    }

    /// It has done what it was to do: lets it end by itself, for as long as that may take.
    pub(super) fn leave(mut self) {
        let until = Instant::now() + PARTING;
        while !self.over && Instant::now() < until && !self.caller.is_gone() {
            self.over = !matches!(self.child.try_wait(), Ok(None));
            if !self.over {
                thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// Waits until there is output, or (`output` is false) something on standard error, which is
    /// kept. Whether there was.
    fn wait(&mut self, output: bool, limit: Option<Duration>) -> Result<bool, SourceError> {
        let limit = limit.map(|limit| Timespec::try_from(limit).unwrap_or_default());
        loop {
            let mut fds = vec![PollFd::new(&self.caller, PollFlags::RDHUP)];
            if output {
                fds.push(PollFd::new(&self.stdout, PollFlags::IN));
            }
            fds.extend(self.stderr.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
            match poll(&mut fds, limit.as_ref()) {
                Ok(0) => return Ok(false),
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(SourceError::Failed(errno.to_string())),
            }
            let come = |at: usize| fds.get(at).is_some_and(|fd| !fd.revents().is_empty());
            let (gone, first, second) = (come(0), come(1), come(2));
            if gone {
                return Err(SourceError::Gone);
            }
            let (ready, spoke) = if output { (first, second) } else { (false, first) };
            if spoke {
                self.listen();
            }
            if ready || !output {
                return Ok(true);
            }
        }
    }

    /// Takes what is on standard error.
    fn listen(&mut self) {
        let mut chunk = [0; 1024];
        let got = self.stderr.as_mut().map_or(Ok(0), |pipe| pipe.read(&mut chunk));
        match got {
            Ok(0) => self.stderr = None,
            Ok(got) => {
                self.said.extend_from_slice(chunk.get(..got).unwrap_or_default());
                let old = self.said.len().saturating_sub(SAID_MAX);
                self.said.drain(..old);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.stderr = None,
        }
    }

    /// As long as it was not waited for, its number is its own.
    fn number(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    fn signal(&self, signal: Signal) {
        // A group that is gone needs no signal.
        let _ = self.number().map(|group| kill_process_group(group, signal));
    }

    /// How it has ended, if it has; it is not waited for yet.
    fn ended(&self) -> Option<WaitIdStatus> {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(self.number()?), look).ok()?
    }
}

impl Bytes for Far<'_> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, SourceError> {
        loop {
            self.wait(true, None)?;
            match self.stdout.read(into) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(SourceError::Failed(error.to_string())),
                Ok(got) => return Ok(got),
            }
        }
    }
}

impl Drop for Far<'_> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        self.signal(Signal::TERM);
        let until = Instant::now() + GRACE;
        let mut pause = Duration::from_millis(1);
        while Instant::now() < until && self.ended().is_none() {
            thread::sleep(pause);
            pause = (2 * pause).min(STEP);
        }
        // Its children are of its group, whether it has ended or not.
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}

/// What a command said, as one line: without what `dd` counts.
fn words(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let counts = ["records in", "records out", " copied", "bytes transferred"];
    let lines = said
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !counts.iter().any(|count| line.contains(count)));
    lines.collect::<Vec<_>>().join("; ")
}

/// How long a command is given to end by itself, once it has done or said all.
const PARTING: Duration = Duration::from_millis(1000);
/// How long it is given to end when it is told to.
const GRACE: Duration = Duration::from_millis(400);
const STEP: Duration = Duration::from_millis(10);
/// How much is kept of what it says.
const SAID_MAX: usize = 4 << 10;
