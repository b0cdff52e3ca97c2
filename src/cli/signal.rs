//! Signals: the first one cancels the download, the second one ends the process.

use std::{
    io::{self, PipeReader, Read},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ},
    flag, low_level,
};
use uget::{Canceller, Error, ErrorKind};

use super::{exit, inherited, progress::Screen};

/// From here on SIGINT, SIGTERM and SIGHUP cancel through `canceller`, unless they were ignored
/// when the process started (nohup(1), a shell's background job). The second signal ends the
/// process at once, and so does a download that is not torn down in [`GRACE`]: whatever is on disk
/// then is what a crash would leave, and can be resumed.
///
/// Handlers are installed rather than defaults relied on, because the kernel gives defaults to
/// nobody with process id 1 (signal(7), pid_namespaces(7)).
///
/// # Errors
/// What sigaction(2) or the start of the thread says.
pub(crate) fn watch(canceller: Canceller, screen: Screen) -> io::Result<()> {
    // A file that would exceed the limit on file size (setrlimit(2)) is an error of write(2), not a
    // reason to die, once the signal has a handler. SIGPIPE is ignored by Rust's start-up already.
    flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
    // The thread is there before the handlers are: handlers that nobody listens to would make the
    // process deaf.
    let (installed, report) = mpsc::channel();
    let listen = move || match Arrivals::install() {
        Ok(arrivals) => {
            let _ = installed.send(Ok(()));
            wait(arrivals, &canceller, &screen);
        }
        Err(why) => {
            let _ = installed.send(Err(why));
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(listen)?;
    report.recv().unwrap_or_else(|_| Err(io::Error::other("the thread ended")))
}

/// Signals as they arrive. The handlers write down which it was, then an octet into a pipe.
struct Arrivals {
    pipe: PipeReader,
    last: Arc<AtomicUsize>,
}

impl Arrivals {
    fn install() -> io::Result<Self> {
        let (pipe, writer) = io::pipe()?;
        let last = Arc::new(AtomicUsize::new(0));
        for signal in [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|&s| !inherited::ignored(s)) {
            let number = usize::try_from(signal).unwrap_or(0);
            flag::register_usize(signal, Arc::clone(&last), number)?;
            low_level::pipe::register(signal, writer.try_clone()?)?;
        }
        Ok(Self { pipe, last })
    }

    /// Waits for the next one. A pipe that cannot be read is no reason to become deaf: what was
    /// written down is looked at instead.
    fn next(&mut self) -> i32 {
        loop {
            let counted = match self.pipe.read(&mut [0]) {
                Ok(1) => true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok(_) | Err(_) => {
                    thread::sleep(POLL);
                    false
                }
            };
            let last = match counted {
                true => self.last.load(Ordering::Acquire),
                false => self.last.swap(0, Ordering::AcqRel),
            };
            if let Ok(signal @ 1..) = i32::try_from(last) {
                return signal;
            }
        }
    }
}

fn wait(mut arrivals: Arrivals, canceller: &Canceller, screen: &Screen) {
    let mut seen = false;
    loop {
        let signal = arrivals.next();
        if seen {
            leave(screen, signal);
        }
        seen = true;
        canceller.cancel(signal);
        let screen = screen.clone();
        let bound = move || {
            thread::sleep(GRACE);
            leave(&screen, signal);
        };
        // Without this thread a second signal is what remains.
        let _ = thread::Builder::new().name("grace".to_owned()).spawn(bound);
    }
}

/// Ends the process without unwinding and without waiting for anyone (_exit(2)).
fn leave(screen: &Screen, signal: i32) -> ! {
    let what = "ended by a signal before everything was torn down";
    screen.farewell(Some(Error::new(ErrorKind::Cancelled(signal), what)));
    low_level::exit(i32::from(exit::by_signal(signal)))
}

/// A process that was told to end has ended within two seconds.
const GRACE: Duration = Duration::from_millis(1500);

/// How often to look where nothing tells.
const POLL: Duration = Duration::from_millis(50);
