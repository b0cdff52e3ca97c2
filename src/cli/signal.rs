//! Signals: the first one cancels the download, the second one ends the process.

use std::{
    io,
    sync::{Arc, atomic::AtomicBool, mpsc},
    thread,
    time::Duration,
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ},
    flag,
    iterator::Signals,
    low_level,
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
    let listen = move || match install() {
        Ok(signals) => {
            let _ = installed.send(Ok(()));
            wait(signals, &canceller, &screen);
        }
        Err(why) => {
            let _ = installed.send(Err(why));
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(listen)?;
    report.recv().unwrap_or_else(|_| Err(io::Error::other("the thread ended")))
}

fn install() -> io::Result<Signals> {
    Signals::new(
        [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|&signal| !inherited::ignored(signal)),
    )
}

fn wait(mut signals: Signals, canceller: &Canceller, screen: &Screen) {
    let mut seen = false;
    for signal in signals.forever() {
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
