//! A real nginx, with a configuration of its own in a temporary directory.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::{fd::AsRawFd as _, unix::process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::object::Object;

/// A running nginx; it ends when this is dropped.
pub struct Nginx {
    child: Child,
    address: SocketAddr,
    root: tempfile::TempDir,
}

impl Nginx {
    /// Starts one with extra lines inside its `location /`. `None` only where
    /// `UGET_TEST_SKIP_NGINX=1` says that it may be missing.
    ///
    /// # Panics
    /// When there is no nginx, or it does not start.
    pub fn start(location: &str) -> Option<Self> {
        if std::env::var_os("UGET_TEST_SKIP_NGINX").is_some_and(|value| value == "1") {
            eprintln!("left out, as UGET_TEST_SKIP_NGINX says: this test needs nginx");
            return None;
        }
        let program = find().expect("this test needs nginx (or UGET_TEST_SKIP_NGINX=1)");
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("files")).unwrap();
        // The listening socket is ours and nginx inherits it, as it does in a live upgrade: no
        // moment is left in which another process could take the port.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let config = root.path().join("nginx.conf");
        fs::write(&config, configuration(root.path(), address, location)).unwrap();
        let mut command = Command::new(program);
        command
            .arg("-c")
            .arg(&config)
            .arg("-p")
            .arg(root.path())
            .arg("-e")
            .arg(root.path().join("error.log"))
            .env("NGINX", "3;")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(root.path().join("stderr")).unwrap());
        let fd = listener.as_raw_fd();
        // SAFETY: dup2, fcntl and prctl are async-signal-safe; nothing is allocated.
        unsafe {
            command.pre_exec(move || {
                if fd == 3 {
                    libc::fcntl(3, libc::F_SETFD, 0);
                } else {
                    libc::dup2(fd, 3);
                }
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
                Ok(())
            });
        }
        let child = command.spawn().unwrap();
        let nginx = Self { child, address, root };
        nginx.wait();
        Some(nginx)
    }

    /// Puts a file where it is served.
    pub fn put(&self, name: &str, object: &Object) {
        fs::write(self.root.path().join("files").join(name), object.bytes()).unwrap();
    }

    pub fn at(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }

    fn wait(&self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            // A connection alone proves nothing: the socket has been listening all along.
            if let Ok(mut stream) = TcpStream::connect(self.address) {
                use std::io::{Read as _, Write as _};
                stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
                let asked = stream.write_all(b"GET / HTTP/1.0\r\n\r\n");
                if asked.is_ok() && stream.read(&mut [0; 16]).is_ok_and(|n| n > 0) {
                    return;
                }
            }
            assert!(
                Instant::now() < deadline,
                "nginx does not answer: {}{}",
                fs::read_to_string(self.root.path().join("stderr")).unwrap_or_default(),
                fs::read_to_string(self.root.path().join("error.log")).unwrap_or_default(),
            );
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // SAFETY: a signal to a child that was not waited for yet.
            unsafe { libc::kill(pid, libc::SIGTERM) };
        }
        drop(self.child.wait());
    }
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")])
        .map(|directory| directory.join("nginx"))
        .find(|program| program.is_file())
}

fn configuration(root: &Path, address: SocketAddr, location: &str) -> String {
    let root = root.display();
    // SAFETY: geteuid has no preconditions.
    let user = if unsafe { libc::geteuid() } == 0 { "user root;" } else { "" };
    format!(
        "{user}
daemon off;
worker_processes 2;
pid {root}/pid;
error_log {root}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    client_body_temp_path {root}/body;
    proxy_temp_path {root}/proxy;
    fastcgi_temp_path {root}/fastcgi;
    uwsgi_temp_path {root}/uwsgi;
    scgi_temp_path {root}/scgi;
    server {{
        listen {address};
        root {root}/files;
        location / {{ {location} }}
    }}
}}
"
    )
}
