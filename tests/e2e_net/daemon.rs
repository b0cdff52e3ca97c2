//! Real servers and proxies, each with a configuration of its own in a temporary directory.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A running program that listens on loopback; it ends when this is dropped.
pub(crate) struct Daemon {
    child: Child,
    root: tempfile::TempDir,
    ports: Vec<u16>,
}

impl Daemon {
    /// Starts `program` from Debian's package of (about) that name, with as many free ports as it
    /// wants; `arguments` writes what it needs into the directory. `None` only where
    /// `UGET_TEST_SKIP_DAEMONS=1` says that programs may be missing.
    ///
    /// # Panics
    /// When it is missing or does not listen within ten seconds.
    pub(crate) fn start(
        program: &str,
        ports: usize,
        arguments: impl FnOnce(&Path, &[u16]) -> Vec<String>,
    ) -> Option<Self> {
        let Some(found) = find(program) else {
            let skip = std::env::var_os("UGET_TEST_SKIP_DAEMONS").is_some_and(|value| value == "1");
            assert!(skip, "this test needs {program} (or UGET_TEST_SKIP_DAEMONS=1)");
            eprintln!("left out, as UGET_TEST_SKIP_DAEMONS says: this test needs {program}");
            return None;
        };
        let root = tempfile::Builder::new().prefix("uget-daemon-").tempdir().unwrap();
        // Some give up their rights and must still get at their files.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs::set_permissions(root.path(), mode).unwrap();
        let ports = free_ports(ports);
        let arguments = arguments(root.path(), &ports);
        let log = || fs::File::create(root.path().join("output")).unwrap();
        let mut command = Command::new(found);
        command.args(arguments).current_dir(root.path()).stdin(Stdio::null());
        command.stdout(log()).stderr(log());
        // SAFETY: prctl is async-signal-safe and nothing is allocated.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
                Ok(())
            });
        }
        let child = command.spawn().unwrap();
        let mut daemon = Self { child, root, ports };
        daemon.wait(program);
        Some(daemon)
    }

    /// Its directory.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// One of its addresses.
    pub(crate) fn address(&self, index: usize) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports[index]))
    }

    fn wait(&mut self, program: &str) {
        let deadline = Instant::now() + Duration::from_secs(10);
        for port in self.ports.clone() {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
                let ended = self.child.try_wait().unwrap();
                assert!(
                    ended.is_none() && Instant::now() < deadline,
                    "{program} does not listen: {ended:?} {}",
                    fs::read_to_string(self.root.path().join("output")).unwrap_or_default()
                );
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // SAFETY: a signal to a child that was not waited for yet.
            unsafe { libc::kill(pid, libc::SIGTERM) };
        }
        let deadline = Instant::now() + Duration::from_secs(3);
        while Instant::now() < deadline {
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn find(program: &str) -> Option<PathBuf> {
    ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"]
        .map(|directory| Path::new(directory).join(program))
        .into_iter()
        .find(|path| path.is_file())
}

/// Ports that nobody listens on now.
fn free_ports(count: usize) -> Vec<u16> {
    let held: Vec<_> =
        (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).collect();
    held.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}
