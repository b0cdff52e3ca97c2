//! What the process was born with and Rust's start-up or our own hides afterwards: closed standard
//! streams and ignored signals. This takes unsafe code.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether standard output was closed when the process started. Rust opens `/dev/null` in its
/// place before `main`, so that no socket or file gets its number; an object written there would
/// be lost, and nobody told.
pub(crate) fn stdout_was_closed() -> bool {
    STDOUT_WAS_CLOSED.load(Ordering::Relaxed)
}

/// Whether `signal` is ignored now. Asked before handlers are installed, this is what the parent
/// decided (nohup(1)).
pub(crate) fn ignored(signal: i32) -> bool {
    let mut now = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: sigaction(2) with a null new action only writes the old one, for which there is
    // room; all zeroes is a valid value of it, for the case that nothing was written.
    let now = unsafe {
        libc::sigaction(signal, std::ptr::null(), now.as_mut_ptr());
        now.assume_init()
    };
    now.sa_sigaction == libc::SIG_IGN
}

extern "C" fn look_at_stdout() {
    // SAFETY: F_GETFD takes no argument and touches no memory (fcntl(2)); it fails for a number
    // that is not open.
    let closed = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) } == -1;
    STDOUT_WAS_CLOSED.store(closed, Ordering::Relaxed);
}

static STDOUT_WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Runs before Rust's start-up.
// SAFETY: the dynamic linker or the C library's start-up calls each pointer of this section once,
// before main; the function neither unwinds nor needs anything to be initialised.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look_at_stdout;
