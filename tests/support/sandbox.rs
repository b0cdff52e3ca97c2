//! What can be taken away from the binary before it starts: system calls, limits, descriptors,
//! rights, the network.

use std::{
    collections::BTreeMap,
    ffi::CString,
    io,
    os::unix::{ffi::OsStrExt as _, process::CommandExt as _},
    path::Path,
    process::Command,
};

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// Restrictions on one run. Everything is prepared before the fork; the child only makes calls.
#[derive(Clone, Debug, Default)]
pub struct Sandbox {
    deny: Vec<Deny>,
    limits: Vec<(libc::__rlimit_resource_t, u64)>,
    closed: Vec<i32>,
    umask: Option<libc::mode_t>,
    nobody: bool,
    no_network: bool,
    replaced: Vec<(CString, CString)>,
}

/// A system call that is answered with an errno.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deny {
    pub call: i64,
    pub errno: i32,
}

impl Sandbox {
    /// Answers a system call with an errno.
    pub fn deny(mut self, call: i64, errno: i32) -> Self {
        self.deny.push(Deny { call, errno });
        self
    }

    /// `RLIMIT_MEMLOCK`, in bytes. Root is above it.
    pub fn memlock(self, bytes: u64) -> Self {
        self.limit(libc::RLIMIT_MEMLOCK, bytes)
    }

    /// `RLIMIT_NOFILE`.
    pub fn files(self, count: u64) -> Self {
        self.limit(libc::RLIMIT_NOFILE, count)
    }

    /// `RLIMIT_FSIZE`, in bytes: a disk that is full from there on.
    pub fn file_size(self, bytes: u64) -> Self {
        self.limit(libc::RLIMIT_FSIZE, bytes)
    }

    /// Starts with these descriptors closed.
    pub fn closed(mut self, descriptors: &[i32]) -> Self {
        self.closed.extend_from_slice(descriptors);
        self
    }

    pub fn umask(mut self, umask: libc::mode_t) -> Self {
        self.umask = Some(umask);
        self
    }

    /// As nobody, where the tests run as root; as who they run as otherwise.
    pub fn nobody(mut self) -> Self {
        self.nobody = is_root();
        self
    }

    /// In a network namespace of its own, in which even loopback is down.
    pub fn no_network(mut self) -> Self {
        self.no_network = true;
        self
    }

    /// Sees the file `ours` where `theirs` is, in a mount namespace of its own. Takes root.
    pub fn replace(mut self, theirs: &Path, ours: &Path) -> Self {
        let text = |path: &Path| CString::new(path.as_os_str().as_bytes()).unwrap();
        self.replaced.push((text(theirs), text(ours)));
        self
    }

    /// Whether a process can be started in it here.
    pub fn is_possible(&self) -> bool {
        let mut command = Command::new("/bin/true");
        self.apply(&mut command);
        command.status().is_ok_and(|status| status.success())
    }

    pub(super) fn is_nobody(&self) -> bool {
        self.nobody
    }

    /// Makes the command's child apply all of this to itself.
    pub(super) fn apply(&self, command: &mut Command) {
        let filters: Vec<BpfProgram> = self.deny.iter().map(|deny| deny.filter()).collect();
        let sandbox = self.clone();
        // SAFETY: the child makes system calls alone; the filters are built here, and dropping is
        // left to the exec.
        unsafe {
            command.pre_exec(move || sandbox.enter(&filters));
        }
    }

    fn limit(mut self, resource: libc::__rlimit_resource_t, value: u64) -> Self {
        self.limits.push((resource, value));
        self
    }

    fn enter(&self, filters: &[BpfProgram]) -> io::Result<()> {
        // SAFETY: plain system calls on values that live on this stack.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            if let Some(umask) = self.umask {
                libc::umask(umask);
            }
            if self.no_network {
                let user = if libc::geteuid() == 0 { 0 } else { libc::CLONE_NEWUSER };
                check(libc::unshare(libc::CLONE_NEWNET | user))?;
            }
            if !self.replaced.is_empty() {
                check(libc::unshare(libc::CLONE_NEWNS))?;
                let (none, root) = (std::ptr::null(), c"/".as_ptr());
                let private = libc::MS_REC | libc::MS_PRIVATE;
                check(libc::mount(none, root, none, private, none.cast()))?;
                for (theirs, ours) in &self.replaced {
                    let (theirs, ours) = (theirs.as_ptr(), ours.as_ptr());
                    check(libc::mount(ours, theirs, none, libc::MS_BIND, none.cast()))?;
                }
            }
            for &(resource, value) in &self.limits {
                let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
                check(libc::setrlimit(resource, &raw const limit))?;
            }
            if self.nobody {
                check(libc::setgroups(0, std::ptr::null()))?;
                check(libc::setgid(NOBODY))?;
                check(libc::setuid(NOBODY))?;
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            }
            for &descriptor in &self.closed {
                libc::close(descriptor);
            }
        }
        for filter in filters {
            seccompiler::apply_filter(filter).map_err(|_| io::Error::last_os_error())?;
        }
        Ok(())
    }
}

impl Deny {
    fn filter(self) -> BpfProgram {
        let errno = u32::try_from(self.errno).unwrap();
        SeccompFilter::new(
            BTreeMap::from([(self.call, Vec::new())]),
            SeccompAction::Allow,
            SeccompAction::Errno(errno),
            std::env::consts::ARCH.try_into().unwrap(),
        )
        .and_then(TryInto::try_into)
        .unwrap()
    }
}

/// Whether the tests run as root.
pub fn is_root() -> bool {
    // SAFETY: geteuid has no preconditions.
    unsafe { libc::geteuid() == 0 }
}

pub(super) const NOBODY: u32 = 65534;

fn check(result: i32) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
