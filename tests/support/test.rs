//! One test case: an engine, a fresh directory, and questions about what lies there afterwards.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use super::{
    authority::TRUSTED,
    object::Object,
    origin::over_tls,
    run::{Invocation, Output},
    sandbox::{NOBODY, is_root},
};

/// Which engine a case runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Uring,
    Epoll,
}

/// A case that runs on one engine, in a directory of its own.
pub struct Test {
    pub engine: Engine,
    root: tempfile::TempDir,
}

impl Engine {
    /// As it is given to `--engine`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uring => "uring",
            Self::Epoll => "epoll",
        }
    }
}

impl Test {
    /// Runs a case on an engine. The one for io_uring is left out only where
    /// `UGET_TEST_SKIP_URING=1` says that the machine may refuse it.
    ///
    /// # Panics
    /// When the case fails, or the engine cannot be had.
    pub fn run_on(engine: Engine, case: impl FnOnce(&Self)) {
        if engine == Engine::Uring
            && let Err(error) = uring()
        {
            let skip = std::env::var_os("UGET_TEST_SKIP_URING").is_some_and(|value| value == "1");
            assert!(skip, "this machine refuses io_uring ({error}); UGET_TEST_SKIP_URING=1 skips");
            eprintln!("left out, as UGET_TEST_SKIP_URING says: io_uring is refused ({error})");
            return;
        }
        let root = tempfile::Builder::new().prefix("uget-e2e-").tempdir().unwrap();
        fs::create_dir(root.path().join("work")).unwrap();
        fs::create_dir(root.path().join("home")).unwrap();
        case(&Self { engine, root });
    }

    /// The directory that the binary runs in.
    pub fn dir(&self) -> PathBuf {
        self.root.path().join("work")
    }

    /// A path in that directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// A directory beside it, for what the binary should not see as its own.
    pub fn outside(&self) -> &Path {
        self.root.path()
    }

    /// A run of the binary on this case's engine.
    pub fn uget<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Invocation {
        self.bare(["--engine", self.engine.name()]).args(args)
    }

    /// A run of the binary with just these arguments.
    pub fn bare<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Invocation {
        let program = Path::new(env!("CARGO_BIN_EXE_uget"));
        let run = Invocation::new(program, &self.dir(), &self.root.path().join("home")).args(args);
        if over_tls() { run.env("SSL_CERT_FILE", TRUSTED.file()) } else { run }
    }

    /// Gives the directories to nobody, for runs without rights.
    pub fn give_to_nobody(&self) {
        if is_root() {
            fs::set_permissions(self.root.path(), fs::Permissions::from_mode(0o755)).unwrap();
            for name in ["work", "home"] {
                chown(self.root.path().join(name), Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    pub fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).unwrap().permissions().mode() & 0o7777
    }

    /// The names in the directory, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.dir())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// Takes away the files in the directory, for the next case of a table.
    pub fn clear(&self) {
        for name in self.names() {
            fs::remove_file(self.path(&name)).unwrap();
        }
    }

    /// The directory holds these names and no others.
    pub fn holds_only(&self, output: &Output, names: &[&str]) {
        let found = self.names();
        output.check(found == names, &format!("there should be just {names:?}, not {found:?}"));
    }

    /// A file holds just this object.
    pub fn holds(&self, output: &Output, name: &str, object: &Object) {
        match fs::read(self.path(name)) {
            Ok(bytes) => {
                if let Some(difference) = object.difference(&bytes) {
                    output.explain(&format!("{name} is wrong: {difference}"));
                }
            }
            Err(error) => output.explain(&format!("{name} cannot be read: {error}")),
        }
    }

    /// Success, the object under its name, and nothing else beside it.
    pub fn delivers(&self, output: &Output, name: &str, object: &Object) {
        output.succeeds();
        self.holds(output, name, object);
        self.holds_only(output, &[name]);
    }

    /// Success with one of these objects whole, or a clear failure with nothing visible.
    pub fn whole_or_refused(&self, output: &Output, name: &str, versions: &[&Object]) {
        if !output.status.success() {
            return self.refuses_with(output, &[8, 18, 22, 28, 33, 56, 101]);
        }
        let bytes = fs::read(self.path(name)).unwrap_or_default();
        let whole = versions.iter().any(|version| version.bytes() == bytes);
        output.check(whole, "it published what no place ever had");
        self.holds_only(output, &[name]);
    }

    /// Failure with this exit code, and no file under any visible name.
    pub fn refuses(&self, output: &Output, code: i32) {
        self.refuses_with(output, &[code]);
    }

    /// Failure with one of these exit codes, and no file under any visible name.
    pub fn refuses_with(&self, output: &Output, codes: &[i32]) {
        output.fails_with(codes);
        let visible: Vec<String> =
            self.names().into_iter().filter(|name| !name.starts_with('.')).collect();
        output.check(visible.is_empty(), &format!("nothing should be visible: {visible:?}"));
    }
}

impl Test {
    /// Either the right file and success, or a clear failure with nothing visible: for hostile
    /// answers to which more than one reaction is right.
    pub fn right_or_refused(&self, output: &Output, name: &str, object: &Object) {
        if output.status.success() {
            self.delivers(output, name, object);
        } else {
            self.refuses_with(output, &[8, 18, 22, 23, 33, 56, 63, 101]);
        }
    }
}

/// Whether the kernel sets a ring up for us.
fn uring() -> std::io::Result<()> {
    io_uring::IoUring::new(2).map(drop)
}

/// Makes one case into two tests, one on each engine. Attributes go to both.
#[macro_export]
macro_rules! e2e_test {
    ($(#[$attribute:meta])* $name:ident, |$test:ident| $case:expr) => {
        fn $name($test: &$crate::support::Test) {
            $case
        }

        mod $name {
            use $crate::support::{Engine, Test};

            #[test]
            $(#[$attribute])*
            fn uring() {
                Test::run_on(Engine::Uring, super::$name);
            }

            #[test]
            $(#[$attribute])*
            fn epoll() {
                Test::run_on(Engine::Epoll, super::$name);
            }
        }
    };
}

/// Makes one case into four tests: on each engine, as it is and with TLS in front of its origins.
/// For cases that are about how bytes come.
#[macro_export]
macro_rules! wire_test {
    ($(#[$attribute:meta])* $name:ident, |$test:ident| $case:expr) => {
        fn $name($test: &$crate::support::Test) {
            $case
        }

        mod $name {
            use $crate::support::{Engine, Test, behind_tls};

            #[test]
            $(#[$attribute])*
            fn uring() {
                Test::run_on(Engine::Uring, super::$name);
            }

            #[test]
            $(#[$attribute])*
            fn epoll() {
                Test::run_on(Engine::Epoll, super::$name);
            }

            #[test]
            $(#[$attribute])*
            fn uring_tls() {
                behind_tls(|| Test::run_on(Engine::Uring, super::$name));
            }

            #[test]
            $(#[$attribute])*
            fn epoll_tls() {
                behind_tls(|| Test::run_on(Engine::Epoll, super::$name));
            }
        }
    };
}
