//! System calls that fail, one at a time: a clear error or a right result, and the next run ends
//! right. And SIGKILL on entering them.
//!
//! strace answers the n-th call *of each thread* in the kernel's place. What runs by default is a
//! selection; `UGET_SWEEP=all` runs everything, in minutes.

use std::{
    fs, os::unix::process::ExitStatusExt as _, path::Path, process::Command, sync::Mutex, thread,
    time::Duration,
};

use crate::{MIB, support::*};

/// A call and what it is answered with.
#[derive(Clone, Copy, Debug)]
struct Fault {
    call: &'static str,
    answer: Answer,
    /// Which call of each thread.
    when: usize,
    before: Before,
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
fn failing_calls_epoll() {
    sweep(Engine::Epoll);
}

fn sweep(engine: Engine) {
    if Command::new("strace").arg("-V").output().is_err() {
        eprintln!("left out: failing system calls take strace (Debian: apt-get install strace)");
        return;
    }
    let all = std::env::var_os("UGET_SWEEP").is_some_and(|value| value == "all");
    let only = std::env::var("UGET_SWEEP_CALL").ok();
    let series: Vec<(&str, Answer, Before)> = CALLS
        .iter()
        .filter(|(call, _)| only.as_deref().is_none_or(|only| only == *call))
        .flat_map(|(call, errors)| {
            let chosen = |error: &&str| all || *error == errors[0] || *error == "EINTR";
            let errors = errors.iter().copied().filter(chosen).map(Answer::Error);
            errors.chain([Answer::Kill]).map(move |answer| (*call, answer))
        })
        .enumerate()
        .flat_map(|(at, (call, answer))| {
            let befores = [Before::Old, Before::Nothing, Before::Half];
            // Each of them in turn, unless all are asked for.
            let chosen = if all { &befores[..] } else { &befores[at % 3..][..1] };
            chosen.iter().map(move |before| (call, answer, *before)).collect::<Vec<_>>()
        })
        .collect();
    let next = Mutex::new(series.into_iter());
    let (ran, wrong) = (Mutex::new(0), Mutex::new(Vec::new()));
    let origin = origin();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Some((call, answer, before)) = { next.lock().unwrap().next() } {
                    for when in whens(all) {
                        let fault = Fault { call, answer, when, before };
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
    if all { Box::new(1..=16) } else { Box::new([1, 3].into_iter()) }
}

const SIZE: usize = 2 * MIB;

/// What lies there before the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// A file under the name.
    Old,
    /// Nothing, and the name is taken from the URL.
    Nothing,
    /// Half of it, from a run that failed.
    Half,
}

fn object() -> Object {
    Object::random(700, SIZE)
}

/// An honest origin, but for those who ask to be cut.
fn origin() -> Origin {
    Origin::of(&object())
        .bend(|request, reply| {
            let late =
                request.range(SIZE as u64).is_some_and(|range| range.start > SIZE as u64 / 2);
            if late && request.field("x-cut").is_some() {
                reply.cut = Some((0, End::Rst));
            }
        })
        .start()
}

/// One run with the fault, then one without. Whether the fault was met at all.
fn one(t: &Test, origin: &Origin, fault: Fault) -> Result<bool, String> {
    let object = object();
    let sha256 = object.sha256();
    let url = origin.url();
    let mut args =
        vec!["-q", "--engine", t.engine.name(), "-j4", "--chunk-size", "262144", "--retries", "2"];
    args.extend(["--stall-timeout", "2", "--connect-timeout", "2", &url]);
    match fault.before {
        Before::Old => {
            t.write("object.bin", "old");
            args.extend(["-o", "object.bin", "--sha256", &sha256]);
        }
        Before::Nothing => args.extend(["--sha256", &sha256]),
        Before::Half => {
            let failing = ["--retries", "0", "--header", "X-Cut: please"];
            t.bare(&args).args(failing).run().fails_with(&[18, 56]);
        }
    }
    let before = fs::read(t.path("object.bin")).ok();
    let (output, hit) = run_with(t, &args, fault)?;
    let got = fs::read(t.path("object.bin")).ok();
    let right = got.as_deref() == Some(object.bytes());
    judge(t.engine, fault, &output, right, got == before).map_err(|why| {
        format!("{why}; {:?} {:?} {:?}", output.status, output.stderr, output.took)
    })?;
    let output = t.bare(&args).run();
    // Published, and killed before it could say so: without -o the name is taken now.
    let said = right && fault.before != Before::Old && output.code() == Some(23);
    let got = fs::read(t.path("object.bin")).unwrap_or_default();
    if !(output.status.success() || said) || got != object.bytes() {
        return Err(format!("the next run: {:?} {:?}", output.status, output.stderr));
    }
    let left = t.names();
    if left != ["object.bin"] {
        return Err(format!("the next run left {left:?}"));
    }
    Ok(hit)
}

/// Runs with the fault. What became of it, and whether the fault was met.
fn run_with(t: &Test, args: &[&str], fault: Fault) -> Result<(Output, bool), String> {
    let strace = t.outside().join("strace");
    let what = match fault.answer {
        Answer::Error(error) => format!("error={error}"),
        Answer::Kill => "signal=SIGKILL".to_owned(),
    };
    let inject = format!("inject={}:{what}:when={}", fault.call, fault.when);
    let home = t.outside().join("home");
    let part = format!("{}/.object.bin.uget-part", t.dir().display());
    let part = (fault.call == "mmap").then_some(part);
    let traced = Invocation::new(Path::new("/usr/bin/strace"), &t.dir(), &home)
        // The tracer is not in between, so a run that hangs can be killed.
        .args(["-D", "-f", "-qq", "-o"])
        .arg(&strace)
        .args(["-e", &format!("trace={}", fault.call), "-e", &inject])
        // The loader's own calls are nobody's business here.
        .args(part.iter().flat_map(|path| ["-P", path.as_str()]))
        .arg(env!("CARGO_BIN_EXE_uget"))
        .args(args)
        .defects()
        .limit(Duration::from_secs(20));
    let output = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| traced.run()))
        .map_err(|panic| panic.downcast::<String>().map_or_else(|_| String::new(), |s| *s))?;
    let met = output.status.signal() == Some(libc::SIGKILL) || was_hit(&strace);
    Ok((output, met))
}

/// Whether a run with a fault did what it may.
fn judge(
    engine: Engine,
    fault: Fault,
    output: &Output,
    right: bool,
    untouched: bool,
) -> Result<(), &'static str> {
    if output.took > Duration::from_secs(15) {
        return Err("it took long");
    }
    if output.status.success() {
        return if right { Ok(()) } else { Err("success and a wrong file") };
    }
    if !right && !untouched {
        return Err("the name does not hold what it held");
    }
    if fault.answer == Answer::Kill || output.stderr.contains("loading shared libraries") {
        return Ok(());
    }
    if is_of_the_runtime(engine, fault) {
        // One line, unless that was what could not be written.
        let code = matches!(output.code(), Some(1 | 23));
        return if code { Ok(()) } else { Err("not the exit of a defect") };
    }
    if fault.answer == Answer::Error("EINTR") {
        return Err("an interrupted call is to be made again");
    }
    if output.code().is_none() || output.stderr.contains("defect of uget") {
        return Err("a signal or a panic");
    }
    let mut lines = output.stderr.lines();
    let clear = lines.next().is_some_and(|line| line.starts_with("uget: "))
        && lines.all(|line| line.trim_start().starts_with("hint:"));
    if clear { Ok(()) } else { Err("no clear line") }
}

/// A ring's thread that wakes itself through tokio writes to an eventfd, and panics where that
/// fails, which no kernel makes it do. It must be one line and no hang.
fn is_of_the_runtime(engine: Engine, fault: Fault) -> bool {
    engine == Engine::Uring && fault.call == "write" && fault.answer != Answer::Kill
}

/// Whether the fault was met; the tracer may still be writing.
fn was_hit(strace: &Path) -> bool {
    (0..20).any(|_| {
        let trace = fs::read_to_string(strace).unwrap_or_default();
        let hit = trace.contains("(INJECTED)");
        if !hit {
            thread::sleep(Duration::from_millis(10));
        }
        hit
    })
}
