//! Reads bytes that are on disk already through a mapping, for digests: a program may, because the
//! handlers of its process are its own. A library reads them into a buffer.
//!
//! A file that somebody truncates under a mapping raises SIGBUS at the next touch (mmap(2)). Here
//! that becomes an error: while a window is read, a handler puts zero pages where the file was and
//! notes that the window is broken.

use std::{
    cell::Cell,
    fs::File,
    io,
    ops::Range,
    sync::{
        Once,
        atomic::{AtomicUsize, Ordering},
    },
};

use memmap2::{Advice, MmapOptions};

/// Shows `range` of `file` to `read`: a [`uget::ReadBack`].
///
/// # Errors
/// The file cannot be mapped, or ends before the range does.
pub(crate) fn window(
    file: &File,
    range: Range<u64>,
    read: &mut dyn FnMut(&[u8]),
) -> io::Result<()> {
    let shrank = || io::Error::other("the file shrank while it was read");
    let len = usize::try_from(range.end.saturating_sub(range.start)).map_err(io::Error::other)?;
    if len == 0 {
        return Ok(());
    }
    let size = rustix::io::retry_on_intr(|| rustix::fs::fstat(file))?.st_size;
    if u64::try_from(size).unwrap_or(0) < range.end {
        return Err(shrank());
    }
    install();
    // SAFETY: the mapping is shared with the kernel's page cache and other writers may change it;
    // it is only ever read as bytes whose values do not matter to memory safety. If the file is
    // truncated, `on_sigbus` replaces the missing pages while `Guard` names this mapping.
    let map = unsafe { MmapOptions::new().offset(range.start).len(len).map(file)? };
    // Advice is advice.
    let _ = map.advise(Advice::Sequential);
    let guard = Guard::new(&map);
    read(&map);
    if guard.is_broken() { Err(shrank()) } else { Ok(()) }
}

thread_local! {
    /// The window that this thread reads now, as addresses. SIGBUS is delivered to the thread that
    /// touched the page, and constant initialisation makes these safe to use in a handler.
    static READING: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
    static BROKEN: Cell<bool> = const { Cell::new(false) };
}

/// Names the window for the handler as long as it lives.
struct Guard;

impl Guard {
    fn new(map: &[u8]) -> Self {
        let start = map.as_ptr() as usize;
        BROKEN.set(false);
        READING.set((start, start + map.len()));
        Self
    }

    fn is_broken(&self) -> bool {
        BROKEN.get()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        READING.set((0, 0));
    }
}

/// What SIGBUS meant before.
static mut PREVIOUS: libc::sigaction = {
    // SAFETY: an all-zero sigaction is SIG_DFL with an empty mask.
    unsafe { std::mem::zeroed() }
};

fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        PAGE.store(rustix::param::page_size(), Ordering::Relaxed);
        // SAFETY: the handler only touches its thread's cells and calls mmap and sigaction, which
        // the kernel runs safely in a handler. PREVIOUS is written here, once, before the handler
        // can run for a window of ours.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_sigbus as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigemptyset(&raw mut action.sa_mask);
            libc::sigaction(libc::SIGBUS, &raw const action, &raw mut PREVIOUS);
        }
    });
}

extern "C" fn on_sigbus(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid siginfo for SIGBUS. The pages that are replaced belong to
    // the mapping that this thread reads: whoever owns it unmaps the whole range in the end.
    unsafe {
        let address = (*info).si_addr() as usize;
        let (start, end) = READING.get();
        if (start..end).contains(&address) {
            let page = address & !(PAGE.load(Ordering::Relaxed) - 1);
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
            let rest = end - page;
            let mapped = libc::mmap(page as *mut libc::c_void, rest, libc::PROT_READ, flags, -1, 0);
            if mapped != libc::MAP_FAILED {
                BROKEN.set(true);
                return;
            }
        }
        // Not ours: the instruction runs again and meets what was there before.
        libc::sigaction(libc::SIGBUS, &raw const PREVIOUS, std::ptr::null_mut());
    }
}

/// The size of a page; set before the handler can run.
static PAGE: AtomicUsize = AtomicUsize::new(4096);

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_window_shows_what_is_there() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 10_000]).unwrap();
        let mut seen = 0;
        let mut sum = |bytes: &[u8]| seen += bytes.iter().map(|b| u64::from(*b)).sum::<u64>();
        window(&file, 4096..10_000, &mut sum).unwrap();
        assert_eq!(seen, 7 * (10_000 - 4096));
    }

    #[test]
    fn a_file_that_shrinks_under_the_mapping_is_an_error() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![1; 64 * 1024]).unwrap();
        let other = file.try_clone().unwrap();
        let error = window(&file, 0..64 * 1024, &mut |bytes| {
            other.set_len(100).unwrap();
            assert_eq!(bytes[60 * 1024], 0);
        })
        .unwrap_err();
        assert!(error.to_string().contains("shrank"), "{error}");
    }

    #[test]
    fn a_file_that_is_too_short_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        assert!(window(&file, 0..1, &mut |_| ()).is_err());
    }
}
