//! A terminal that is not one: what is drawn on it is collected.

use std::{
    fs::File,
    io::Read as _,
    os::fd::{FromRawFd as _, OwnedFd},
    thread::{self, JoinHandle},
};

/// A pseudo-terminal of a width, as standard error of a run.
pub struct Pty {
    drawn: JoinHandle<Vec<u8>>,
}

impl Pty {
    /// Opens one, and the other end of it for [`super::Invocation::stderr`].
    pub fn open(columns: u16) -> (Self, OwnedFd) {
        let (mut master, mut slave) = (0, 0);
        let size = libc::winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: openpty fills in both descriptors when it returns 0; they are owned from here.
        let (mut master, slave) = unsafe {
            let opened = libc::openpty(
                &raw mut master,
                &raw mut slave,
                std::ptr::null_mut(),
                std::ptr::null(),
                &raw const size,
            );
            assert_eq!(opened, 0, "no pseudo-terminal can be opened");
            libc::fcntl(master, libc::F_SETFD, libc::FD_CLOEXEC);
            libc::fcntl(slave, libc::F_SETFD, libc::FD_CLOEXEC);
            (File::from_raw_fd(master), OwnedFd::from_raw_fd(slave))
        };
        let drawn = thread::spawn(move || {
            let mut bytes = Vec::new();
            let mut piece = [0; 4096];
            // EIO when the last other end is closed.
            while let Ok(n @ 1..) = master.read(&mut piece) {
                bytes.extend_from_slice(&piece[..n]);
            }
            bytes
        });
        (Self { drawn }, slave)
    }

    /// Everything that was drawn, once the run is over.
    pub fn drawn(self) -> String {
        String::from_utf8_lossy(&self.drawn.join().unwrap()).into_owned()
    }
}
