//! System calls that fail, one at a time: a clear error or a right result, and the next run ends
//! right. And SIGKILL on entering them.
//!
//! strace answers the n-th call *of each thread* in the kernel's place. What runs by default is a
//! selection; `UGET_SWEEP=all` runs everything, in minutes.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use crate::{KIB, MIB, support::*};

/// A call and what it is answered with.
#[derive(Clone, Copy, Debug)]
struct Fault {
    call: &'static str,
    answer: Answer,
    /// Which call of each thread.
    when: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Error(&'static str),
    Kill,
}

/// Calls on files, on sockets, and of the process; each with the errors it may meet.
const CALLS: [(&str, &[&str]); 32] = [
    ("write", &["EIO", "ENOSPC", "EINTR", "EAGAIN"]),
    ("pwrite64", &["EIO", "ENOSPC", "EINTR", "EDQUOT"]),
    ("fsync", &["EIO", "ENOSPC", "EINTR"]),
    ("fdatasync", &["EIO", "ENOSPC", "EINTR"]),
    ("renameat", &["EIO", "ENOSPC", "EINTR", "EACCES"]),
    ("renameat2", &["EIO", "ENOSPC", "EINTR", "EINVAL"]),
    ("ftruncate", &["EIO", "ENOSPC", "EINTR"]),
    ("fallocate", &["EIO", "ENOSPC", "EINTR", "EOPNOTSUPP", "ENOSYS"]),
    ("openat", &["EIO", "ENOSPC", "EINTR", "EMFILE", "EACCES"]),
    ("unlinkat", &["EIO", "ENOSPC", "EINTR", "EBUSY"]),
    ("newfstatat", &["EIO", "EINTR", "EACCES", "ENOMEM"]),
    ("statx", &["EIO", "EINTR", "ENOSYS", "ENOMEM"]),
    ("fstat", &["EIO", "EINTR", "ENOMEM"]),
    ("fstatfs", &["EIO", "EINTR", "ENOSYS"]),
    ("statfs", &["EIO", "EINTR", "ENOSYS"]),
    ("flock", &["EIO", "EINTR", "ENOLCK"]),
    ("fcntl", &["EIO", "EINTR", "EMFILE"]),
    ("fchmod", &["EIO", "EINTR", "EPERM"]),
    ("pread64", &["EIO", "EINTR"]),
    ("read", &["EIO", "EINTR", "EAGAIN"]),
    ("mmap", &["ENOMEM", "EAGAIN"]),
    ("socket", &["EMFILE", "ENOMEM", "EINTR", "EACCES"]),
    ("connect", &["ECONNREFUSED", "EINTR", "EAGAIN", "ENETUNREACH"]),
    ("setsockopt", &["EIO", "EINTR", "ENOMEM"]),
    ("getsockopt", &["EIO", "EINTR", "ENOMEM"]),
    ("poll", &["EINTR", "ENOMEM", "EAGAIN"]),
    ("recvfrom", &["EIO", "EINTR", "EAGAIN", "ECONNRESET", "ENOMEM"]),
    ("sendto", &["EIO", "EINTR", "EAGAIN", "EPIPE", "ENOMEM"]),
    ("clone3", &["EAGAIN", "ENOMEM"]),
    ("io_uring_setup", &["EPERM", "ENOSYS", "ENOMEM", "EINTR"]),
    ("io_uring_enter", &["EINTR", "EAGAIN", "EBUSY", "ENOMEM", "EIO"]),
    ("io_uring_register", &["EPERM", "ENOMEM", "EINTR"]),
];

#[test]
fn failing_calls_uring() {
    sweep(Engine::Uring);
}

#[test]
fn failing_calls_threads() {
    sweep(Engine::Threads);
}

fn sweep(engine: Engine) {
    if Command::new("strace").arg("-V").output().is_err() {
        eprintln!("left out: failing system calls take strace (Debian: apt-get install strace)");
        return;
    }
    let all = std::env::var_os("UGET_SWEEP").is_some_and(|value| value == "all");
    let only = std::env::var("UGET_SWEEP_CALL").ok();
    let series: Vec<(&str, Answer)> = CALLS
        .iter()
        .filter(|(call, _)| only.as_deref().is_none_or(|only| only == *call))
        .flat_map(|(call, errors)| {
            let errors = errors.iter().map(|error| Answer::Error(error));
            errors.chain([Answer::Kill]).map(move |answer| (*call, answer))
        })
        .collect();
    let next = Mutex::new(series.into_iter());
    let (ran, wrong) = (Mutex::new(0), Mutex::new(Vec::new()));
    let origin = origin();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Some((call, answer)) = { next.lock().unwrap().next() } {
                    for when in whens(all) {
                        let fault = Fault { call, answer, when };
                        let mut hit = false;
                        Test::run_on(engine, |t| match one(t, &origin, fault) {
                            Ok(was_hit) => hit = was_hit,
                            Err(why) => {
                                hit = true;
                                eprintln!("WRONG {engine:?} {fault:?}: {why}");
                                wrong.lock().unwrap().push((fault, why));
                            }
                        });
                        if !hit {
                            break;
                        }
                        *ran.lock().unwrap() += 1;
                    }
                }
            });
        }
    });
    let (ran, wrong) = (ran.into_inner().unwrap(), wrong.into_inner().unwrap());
    eprintln!("{engine:?}: {ran} faults, {} wrong", wrong.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn whens(all: bool) -> Box<dyn Iterator<Item = usize>> {
    if all { Box::new(1..=16) } else { Box::new([1, 2].into_iter()) }
}

const SIZE: usize = 2 * MIB;

fn object() -> Object {
    Object::random(700, SIZE)
}

fn origin() -> Origin {
    Origin::of(&object()).start()
}

/// One run with the fault, then one without. Whether the fault was met at all.
fn one(t: &Test, origin: &Origin, fault: Fault) -> Result<bool, String> {
    let object = object();
    t.write("object.bin", "old");
    let strace = t.outside().join("strace");
    let what = match fault.answer {
        Answer::Error(error) => format!("error={error}"),
        Answer::Kill => "signal=SIGKILL".to_owned(),
    };
    let inject = format!("inject={}:{what}:when={}", fault.call, fault.when);
    let sha256 = object.sha256();
    let args = [
        "-q",
        "--engine",
        t.engine.name(),
        "-j4",
        "--chunk-size",
        "262144",
        "-o",
        "object.bin",
        "--retries",
        "2",
        "--sha256",
        &sha256,
        "--stall-timeout",
        "2",
        "--connect-timeout",
        "2",
        &origin.url(),
    ]
    .map(str::to_owned);
    let home = t.outside().join("home");
    let part = format!("{}/.object.bin.uget-part", t.dir().display());
    let part = (fault.call == "mmap").then_some(part);
    let traced = Invocation::new(Path::new("/usr/bin/strace"), &t.dir(), &home)
        .args(["-f", "-qq", "-o"])
        .arg(&strace)
        .args(["-e", &format!("trace={}", fault.call), "-e", &inject])
        // The loader's own calls are nobody's business here.
        .args(part.iter().flat_map(|path| ["-P", path.as_str()]))
        .arg(env!("CARGO_BIN_EXE_uget"))
        .args(&args)
        .limit(Duration::from_secs(20));
    let started = Instant::now();
    let output = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| traced.run()))
        .map_err(|panic| panic.downcast::<String>().map_or_else(|_| String::new(), |s| *s))?;
    let took = started.elapsed();
    if output.stderr.contains("error while loading shared libraries") {
        return Ok(true);
    }
    let trace = fs::read_to_string(&strace).unwrap_or_default();
    let hit = trace.contains("(INJECTED)") || trace.contains("killed by SIGKILL");
    let got = fs::read(t.path("object.bin")).unwrap_or_default();
    let right = got == object.bytes();
    let facts = || format!("{:?} {:?} {took:?}", output.status, output.stderr);
    if output.status.success() {
        if !right {
            return Err(format!("success and a wrong file; {}", facts()));
        }
    } else if fault.answer == Answer::Error("EINTR") {
        return Err(format!("an interrupted call is to be made again; {}", facts()));
    } else if fault.answer != Answer::Kill {
        if got != b"old" && !right {
            return Err(format!("the old file was touched; {}", facts()));
        }
        if output.code().is_none() {
            return Err(format!("it died of a signal; {}", facts()));
        }
        let mut lines = output.stderr.lines();
        let clear = lines.next().is_some_and(|line| line.starts_with("uget: "))
            && lines.all(|line| line.trim_start().starts_with("hint:"));
        if !clear {
            return Err(format!("no clear line; {}", facts()));
        }
    } else if got != b"old" && !right {
        return Err(format!("killed, and the file is wrong; {}", facts()));
    }
    if took > Duration::from_secs(15) {
        return Err(format!("it took long; {}", facts()));
    }
    let output = t.bare(&args).run();
    let got = fs::read(t.path("object.bin")).unwrap_or_default();
    if !output.status.success() || got != object.bytes() {
        return Err(format!("the next run: {:?} {:?}", output.status, output.stderr));
    }
    let left = t.names();
    if left != ["object.bin"] {
        return Err(format!("the next run left {left:?}"));
    }
    Ok(hit)
}

const _: usize = KIB;
