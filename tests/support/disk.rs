//! A small filesystem, visible to one test alone.

use std::{ffi::CString, fs, os::unix::ffi::OsStrExt as _, path::PathBuf, process::Command};

use super::{sandbox::is_root, test::Test};

/// A tmpfs in a mount namespace of the thread that runs the test, and so of what it starts. The
/// kernel takes it away with the thread.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one of so many bytes; `None`, said on stderr, where that takes rights we lack.
    pub fn mount(t: &Test, bytes: u64) -> Option<Self> {
        if !is_root() {
            eprintln!("left out: mounting a small filesystem takes root");
            return None;
        }
        let at = t.outside().join("small");
        fs::create_dir(&at).unwrap();
        let path = CString::new(at.as_os_str().as_bytes()).unwrap();
        let options = CString::new(format!("size={bytes},mode=0777")).unwrap();
        let none = std::ptr::null();
        // SAFETY: all pointers are to strings that live until the calls return.
        let mounted = unsafe {
            libc::unshare(libc::CLONE_NEWNS) == 0
                && libc::mount(
                    none,
                    c"/".as_ptr(),
                    none,
                    libc::MS_REC | libc::MS_PRIVATE,
                    none.cast(),
                ) == 0
                && libc::mount(
                    c"tmpfs".as_ptr(),
                    path.as_ptr(),
                    c"tmpfs".as_ptr(),
                    0,
                    options.as_ptr().cast(),
                ) == 0
        };
        if !mounted {
            let error = std::io::Error::last_os_error();
            eprintln!("left out: a small filesystem cannot be mounted here: {error}");
            return None;
        }
        Some(Self(at))
    }

    /// A directory on another filesystem, in an image on this one that `mkfs` makes of `bytes`;
    /// `None`, said on stderr, where the program is not there or the kernel does not know it.
    pub fn image(&self, mkfs: &str, bytes: u64) -> Option<PathBuf> {
        let (image, at) = (self.path("image"), self.path("within"));
        fs::File::create(&image).unwrap().set_len(bytes).unwrap();
        fs::create_dir(&at).unwrap();
        let run = |command: &mut Command| command.output().is_ok_and(|out| out.status.success());
        if run(Command::new(mkfs).arg("-q").arg(&image))
            && run(Command::new("mount").args(["-o", "loop"]).args([&image, &at]))
        {
            return Some(at);
        }
        eprintln!("left out: no filesystem by {mkfs} can be mounted here");
        None
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn names(&self) -> Vec<String> {
        fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect()
    }

    /// Bytes that are free on it.
    pub fn free(&self) -> u64 {
        let data = rustix::fs::statvfs(&self.0).unwrap();
        data.f_bavail * data.f_frsize
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Ok(path) = CString::new(self.0.as_os_str().as_bytes()) {
            // SAFETY: the pointer is to a string that lives until the call returns.
            unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
        }
    }
}
