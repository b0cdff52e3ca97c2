//! Surroundings that refuse something: system calls, locked memory, descriptors, the network.

use crate::{MIB, support::*, wire_test as e2e_test};

const ERRNOS: [i32; 5] = [libc::EPERM, libc::ENOSYS, libc::ENOMEM, libc::EINVAL, libc::EOPNOTSUPP];

/// `TMPFS_MAGIC`, statfs(2).
const TMPFS: rustix::fs::FsWord = 0x0102_1994;

/// A case on which the engine has no bearing: it is chosen by the run.
fn case(case: impl FnOnce(&Test)) {
    Test::run_on(Engine::Epoll, case);
}

fn object() -> Object {
    Object::random(210, 6 * MIB)
}

#[test]
fn auto_takes_io_uring_where_it_can() {
    Test::run_on(Engine::Uring, |t| {
        let origin = Origin::of(&object()).start();
        let output = t.bare(["-j4", "--json", &origin.url()]).run();
        output.succeeds();
        assert_eq!(output.json()["engine"], "uring");
    });
}

e2e_test!(an_engine_that_is_named_is_used, |t| {
    let origin = Origin::of(&object()).start();
    let output = t.uget(["-j4", "--json", &origin.url()]).run();
    output.succeeds();
    t.holds(&output, "object.bin", &object());
    assert_eq!(output.json()["engine"], t.engine.name());
});

#[test]
fn without_io_uring_auto_is_epoll_and_silent() {
    case(|t| {
        for errno in ERRNOS {
            let origin = Origin::of(&object()).start();
            let denied = || Sandbox::default().deny(libc::SYS_io_uring_setup, errno);
            let args = ["-j4", "--json", "-o", "object.bin", &origin.url()];
            let output = t.bare(args).sandbox(denied()).run();
            output.succeeds().is_silent();
            t.holds(&output, "object.bin", &object());
            assert_eq!(output.json()["engine"], "epoll", "errno {errno}");
            let args = ["-v", "-j4", "-o", "object.bin", &origin.url()];
            let output = t.bare(args).sandbox(denied()).run();
            output.succeeds().says("io_uring");
        }
    });
}

#[test]
fn without_io_uring_naming_it_is_an_error_with_a_reason() {
    case(|t| {
        for errno in ERRNOS {
            let origin = Origin::of(&object()).start();
            let denied = Sandbox::default().deny(libc::SYS_io_uring_setup, errno);
            let output = t.bare(["--engine", "uring", "-j4", &origin.url()]).sandbox(denied).run();
            output.check(!output.status.success(), "there is no io_uring");
            output.check(output.code().is_some(), "it crashed");
            output.says("io_uring");
            t.holds_only(&output, &[]);
            assert_eq!(origin.log().count(), 0);
        }
    });
}

#[test]
fn without_registered_buffers_it_works() {
    Test::run_on(Engine::Uring, |t| {
        for errno in ERRNOS {
            for engine in ["uring", "auto"] {
                let origin = Origin::of(&object()).start();
                let denied = Sandbox::default().deny(libc::SYS_io_uring_register, errno);
                let args = ["--engine", engine, "-j4", "-o", "object.bin", &origin.url()];
                let output = t.bare(args).sandbox(denied).run();
                output.check(output.status.success(), &format!("{engine}, errno {errno}"));
                t.delivers(&output, "object.bin", &object());
            }
        }
    });
}

#[test]
fn io_uring_enter_refused_is_never_a_hang() {
    Test::run_on(Engine::Uring, |t| {
        let origin = Origin::of(&object()).start();
        let denied = || Sandbox::default().deny(libc::SYS_io_uring_enter, libc::EPERM);
        let output = t.bare(["-j4", "-o", "object.bin", &origin.url()]).sandbox(denied()).run();
        output.check(output.code().is_some(), "it crashed");
        if output.status.success() {
            t.holds(&output, "object.bin", &object());
        } else {
            t.refuses_with(&output, &[1, 2, 23, 56, 70]);
        }
    });
}

e2e_test!(little_locked_memory, |t| {
    for bytes in [0, 64 << 10] {
        let origin = Origin::of(&object()).start();
        t.give_to_nobody();
        let sandbox = Sandbox::default().memlock(bytes).nobody();
        let args = ["-j16", "-o", "object.bin", &origin.url()];
        let output = t.bare(args).sandbox(sandbox.clone()).run();
        t.delivers(&output, "object.bin", &object());
        // Since Linux 6.14 the ring itself counts as locked memory, so naming io_uring may be
        // refused here; it says so then, and harms nothing.
        let output = t.uget(args).sandbox(sandbox).run();
        if t.engine == Engine::Uring && !output.status.success() {
            output.fails(2).says("io_uring");
            t.holds(&output, "object.bin", &object());
            t.holds_only(&output, &["object.bin"]);
        } else {
            t.delivers(&output, "object.bin", &object());
        }
    }
});

e2e_test!(few_descriptors, |t| {
    let origin = Origin::of(&object()).start();
    for connections in ["-j1", "-j4", "-j16", "-j100"] {
        let args = [connections, "-o", "object.bin", &origin.url()];
        let output = t.bare(args).sandbox(Sandbox::default().files(16)).run();
        output.check(output.status.success(), &format!("{connections} with 16 descriptors"));
        t.delivers(&output, "object.bin", &object());
        // Rings need descriptors of their own, so naming io_uring may be refused.
        let output = t.uget(args).sandbox(Sandbox::default().files(16)).run();
        if t.engine == Engine::Uring && !output.status.success() {
            output.fails(2).says("io_uring");
            t.holds_only(&output, &["object.bin"]);
        } else {
            t.delivers(&output, "object.bin", &object());
        }
    }
});

#[test]
fn too_few_descriptors_are_no_fault_of_the_command_line() {
    case(|t| {
        let origin = Origin::of(&object()).start();
        for files in 6..16 {
            let sandbox = Sandbox::default().files(files);
            let url = origin.url();
            let args = ["--retries", "0", "-o", "object.bin", &url];
            let output = t.bare(args).sandbox(sandbox).run();
            if !output.status.success() {
                output.fails_with(&[6, 7, 23]).hides("falls back");
            }
            t.clear();
        }
    });
}

e2e_test!(closed_standard_descriptors, |t| {
    for closed in [&[0][..], &[1], &[2], &[0, 1], &[1, 2], &[0, 2], &[0, 1, 2]] {
        let origin = Origin::of(&object()).start();
        let args = ["-v", "-j4", "-o", "object.bin", &origin.url()];
        let output = t.uget(args).sandbox(Sandbox::default().closed(closed)).run();
        output.check(output.code().is_some(), &format!("{closed:?} closed: it crashed"));
        if output.status.success() {
            // Nothing that was meant for a terminal may end up in the file.
            t.delivers(&output, "object.bin", &object());
        } else {
            // With standard output gone, the summary could not be written; the file is right.
            output.check(closed.contains(&1), &format!("{closed:?} closed"));
            if t.path("object.bin").exists() {
                t.holds(&output, "object.bin", &object());
            }
        }
    }
});

e2e_test!(no_fallocate, |t| {
    for errno in [libc::EOPNOTSUPP, libc::ENOSYS, libc::EPERM] {
        let origin = Origin::of(&object()).start();
        let denied = Sandbox::default().deny(libc::SYS_fallocate, errno);
        let args = ["-j4", "-o", "object.bin", &origin.url()];
        let output = t.uget(args).sandbox(denied).run();
        output.check(output.status.success(), &format!("fallocate answers {errno}"));
        t.delivers(&output, "object.bin", &object());
    }
});

e2e_test!(no_room_at_preallocation, |t| {
    for errno in [libc::ENOSPC, libc::EDQUOT, libc::EFBIG] {
        let origin = Origin::of(&object()).start();
        let denied = Sandbox::default().deny(libc::SYS_fallocate, errno);
        let output = t.uget(["-j4", &origin.url()]).sandbox(denied).run();
        if output.status.success() {
            // On tmpfs fallocate would touch every page, so it is left out there.
            let kind = rustix::fs::statfs(t.dir()).unwrap().f_type;
            output.check(kind == TMPFS, &format!("fallocate answers {errno}"));
            t.delivers(&output, "object.bin", &object());
            std::fs::remove_file(t.path("object.bin")).unwrap();
        } else {
            t.refuses(&output, 23);
        }
    }
});

#[test]
fn failing_file_calls_are_write_errors() {
    case(|t| {
        for (call, name) in [
            (libc::SYS_pwrite64, "pwrite"),
            (libc::SYS_ftruncate, "ftruncate"),
            (libc::SYS_renameat2, "renameat2"),
            (libc::SYS_renameat, "renameat"),
            (libc::SYS_rename, "rename"),
            (libc::SYS_linkat, "linkat"),
            (libc::SYS_fsync, "fsync"),
            (libc::SYS_fdatasync, "fdatasync"),
            (libc::SYS_flock, "flock"),
            (libc::SYS_unlink, "unlink"),
            (libc::SYS_unlinkat, "unlinkat"),
        ] {
            for errno in [libc::EIO, libc::ENOSPC] {
                let origin = Origin::of(&object()).start();
                let denied = Sandbox::default().deny(call, errno);
                // What epoll was called.
                let args = ["--engine", "threads", "--fsync", "-j4", "--retries", "1"];
                let args = [args.as_slice(), &["-o", "object.bin"]].concat();
                let output = t.bare(args).arg(origin.url()).sandbox(denied).run();
                if output.status.success() {
                    t.holds(&output, "object.bin", &object());
                    // It does not depend on the call, or it is none that success depends on.
                    output.check(name != "pwrite", "no byte was written");
                    std::fs::remove_file(t.path("object.bin")).unwrap();
                } else {
                    output.check(
                        matches!(output.code(), Some(23 | 36)),
                        &format!("{name} fails with {errno}"),
                    );
                    t.refuses_with(&output, &[23, 36]);
                }
                let again = t.bare(["-j4", "-o", "object.bin", &origin.url()]).run();
                again.check(again.status.success(), &format!("the run after {name} failed"));
                t.delivers(&again, "object.bin", &object());
                std::fs::remove_file(t.path("object.bin")).unwrap();
            }
        }
    });
}

e2e_test!(an_fsync_error_is_believed, |t| {
    let origin = Origin::of(&object()).start();
    let denied =
        Sandbox::default().deny(libc::SYS_fsync, libc::EIO).deny(libc::SYS_fdatasync, libc::EIO);
    let args = ["-j4", "--sha256", &object().sha256(), &origin.url()];
    let output = t.uget(args).sandbox(denied).run();
    if output.status.success() {
        // The ring synced without the call.
        assert_eq!(t.engine, Engine::Uring);
        t.delivers(&output, "object.bin", &object());
    } else {
        t.refuses(&output, 23);
    }
});

e2e_test!(no_new_threads, |t| {
    let origin = Origin::of(&object()).start();
    let denied = || {
        Sandbox::default().deny(libc::SYS_clone, libc::EAGAIN).deny(libc::SYS_clone3, libc::EAGAIN)
    };
    let args = ["-j4", "--retries", "1", "-o", "object.bin", &origin.url()];
    let output = t.uget(args).sandbox(denied()).run();
    output.check(output.code().is_some(), "it crashed");
    if output.status.success() {
        t.delivers(&output, "object.bin", &object());
    } else {
        output.check(!output.stderr.is_empty(), "it should have said why");
        let visible: Vec<String> =
            t.names().into_iter().filter(|name| !name.starts_with('.')).collect();
        output.check(visible.is_empty(), &format!("{visible:?}"));
    }
});

e2e_test!(an_empty_network_namespace, |t| {
    let output = t
        .uget(["--retries", "1", "http://127.0.0.1:9/object.bin"])
        .sandbox(Sandbox::default().no_network())
        .run();
    t.refuses(&output, 7);
    let output = t
        .uget(["--retries", "0", "http://nowhere.invalid/object.bin"])
        .sandbox(Sandbox::default().no_network())
        .run();
    t.refuses(&output, 6);
    output.says("nowhere.invalid");
});
