//! `uget check`: files against the lists that `sha256sum` and its like write.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::Write as _,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt as _},
    path::Path,
    process::Command,
    time::Duration,
};

use crate::{KIB, MIB, support::*};

/// Runs a case once: no engine is at work here.
fn case(case: impl FnOnce(&Test)) {
    Test::run_on(Engine::Epoll, case);
}

/// What one of coreutils' programs writes about files in a directory.
fn written(program: &str, args: &[&str], names: &[&[u8]], directory: &Path) -> Vec<u8> {
    let names = names.iter().map(|name| OsStr::from_bytes(name));
    let mut command = Command::new(program);
    let run = command.args(args).arg("--").args(names).current_dir(directory).output().unwrap();
    assert!(run.status.success(), "{program}: {}", String::from_utf8_lossy(&run.stderr));
    run.stdout
}

/// How `sha256sum -c` ends.
fn coreutils(list: &str, directory: &Path) -> bool {
    let check = ["-c", "--strict", "--status", list];
    Command::new("sha256sum").args(check).current_dir(directory).status().unwrap().success()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

const ODD: [&[u8]; 9] = [
    b"plain",
    b"two  words ",
    b"-rf",
    b"new\nline",
    b"back\\slash",
    b"\\n",
    "\u{fc}n\u{ef}c\u{f6}de".as_bytes(),
    b"not\xfftext",
    b"*star)= (x",
];

#[test]
fn what_the_real_programs_write_is_checked() {
    case(|t| {
        for name in ODD {
            let bytes = Object::random(name.len() as u64, 10 * KIB);
            fs::write(t.dir().join(OsStr::from_bytes(name)), bytes.bytes()).unwrap();
        }
        for program in ["md5sum", "sha1sum", "sha224sum", "sha256sum", "sha384sum", "sha512sum"] {
            for flags in [&["--text"][..], &["--binary"], &["--tag"], &["--zero"]] {
                let list = t.write("LIST", written(program, flags, &ODD, &t.dir()));
                let output = t.bare(["check", "LIST"]).run();
                output.succeeds().is_silent();
                assert_eq!(said(&output).matches(": OK\n").count(), ODD.len(), "{}", said(&output));
                assert!(said(&output).ends_with("9 files OK\n"), "{}", said(&output));
                fs::remove_file(list).unwrap();
            }
        }
    });
}

#[test]
fn it_ends_as_sha256sum_does() {
    case(|t| {
        let names: [&[u8]; 4] = [b"a", b"b", b"c", b"new\nline"];
        for name in names {
            fs::write(t.dir().join(OsStr::from_bytes(name)), name).unwrap();
        }
        t.write("LIST", written("sha256sum", &[], &names, &t.dir()));
        let agree = |codes: &[i32]| {
            let output = t.bare(["check", "LIST"]).run();
            assert_eq!(output.status.success(), coreutils("LIST", &t.dir()));
            match codes {
                [0] => output.succeeds(),
                codes => output.fails_with(codes),
            };
            said(&output)
        };
        assert_eq!(agree(&[0]), "a: OK\nb: OK\nc: OK\n\\new\\nline: OK\n4 files OK\n");
        t.write("b", "B");
        t.write("new\nline", "x");
        assert_eq!(agree(&[100]), "a: OK\nb: FAILED\nc: OK\n\\new\\nline: FAILED\n");
        fs::remove_file(t.path("b")).unwrap();
        assert_eq!(agree(&[100]), "a: OK\nb: MISSING\nc: OK\n\\new\\nline: FAILED\n");
        fs::create_dir(t.path("b")).unwrap();
        let told = agree(&[100]);
        assert!(told.contains("b: unreadable (no regular file)\n"), "{told}");
        let list = fs::read_to_string(t.path("LIST")).unwrap();
        t.write("LIST", format!("{list}what is this\n"));
        assert_eq!(agree(&[2]), "", "no file is looked at");
        t.write("LIST", "");
        assert_eq!(agree(&[2]), "");
        fs::remove_file(t.path("LIST")).unwrap();
        agree(&[2]);
    });
}

#[test]
fn quiet_says_only_what_is_wrong() {
    case(|t| {
        for name in ["a", "b", "c"] {
            t.write(name, name);
        }
        t.write("LIST", written("sha256sum", &["--tag"], &[b"a", b"b", b"c"], &t.dir()));
        for flag in ["-q", "--quiet"] {
            let output = t.bare(["check", flag, "LIST"]).run();
            output.succeeds().is_silent();
            assert_eq!(said(&output), "");
        }
        t.write("b", "not b");
        let output = t.bare(["check", "-q", "LIST"]).run();
        output.fails(100).says("1 FAILED of 3 files");
        assert_eq!(said(&output), "b: FAILED\n");
    });
}

#[test]
fn machines_are_told_of_every_file_and_of_all() {
    case(|t| {
        for name in ["a", "b", "d"] {
            t.write(name, name);
        }
        let list = written("md5sum", &[], &[b"a", b"b", b"d"], &t.dir());
        t.write("LIST", list);
        t.write("b", "not b");
        fs::remove_file(t.path("d")).unwrap();
        let output = t.bare(["check", "--json", "LIST"]).run();
        output.fails(100);
        let lines: Vec<serde_json::Value> =
            said(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [a, b, d, summary] = lines.as_slice() else { output.explain("four lines") };
        assert_eq!((&a["event"], &a["name"]), (&"checked".into(), &"a".into()));
        assert_eq!((&a["result"], &a["list"]), (&"ok".into(), &"LIST".into()));
        assert_eq!((&b["result"], &b["algorithm"]), (&"failed".into(), &"md5".into()));
        assert_ne!(b["expected"], b["actual"]);
        assert_eq!(d["result"], "missing");
        assert_eq!(summary["event"], "summary");
        assert_eq!((&summary["ok"], &summary["failed"]), (&1.into(), &1.into()));
        assert_eq!((&summary["missing"], &summary["exit_code"]), (&1.into(), &100.into()));
    });
}

#[test]
fn what_is_missing_may_be_left_out() {
    case(|t| {
        t.write("a", "a");
        t.write("b", "b");
        t.write("LIST", written("sha256sum", &[], &[b"a", b"b"], &t.dir()));
        fs::remove_file(t.path("b")).unwrap();
        t.bare(["check", "LIST"]).run().fails(100).says("1 MISSING");
        let output = t.bare(["check", "--ignore-missing", "LIST"]).run();
        output.succeeds().is_silent();
        assert_eq!(said(&output), "a: OK\n1 file OK, 1 not there\n");
        fs::remove_file(t.path("a")).unwrap();
        let output = t.bare(["check", "--ignore-missing", "LIST"]).run();
        output.fails(100).says("nothing was checked");
    });
}

#[test]
fn files_lie_beside_their_list_or_where_it_is_said() {
    case(|t| {
        fs::create_dir_all(t.path("d/sub")).unwrap();
        t.write("d/a", "a");
        t.write("d/sub/b", "b");
        let list = written("sha256sum", &[], &[b"a", b"./sub/b"], &t.path("d"));
        t.write("d/LIST", &list);
        t.write("LIST", &list);
        let whole = t.path("d/LIST");
        t.bare(["check", "d/LIST"]).run().succeeds();
        t.bare(["check"]).arg(whole).run().succeeds();
        t.bare(["check", "LIST"]).run().fails(100).says("2 MISSING");
        for flag in ["-C", "--directory"] {
            t.bare(["check", flag, "d", "LIST"]).run().succeeds();
        }
        let output = t.bare(["check", "d/LIST", "LIST", "-C", "d"]).run();
        assert!(said(output.succeeds()).ends_with("4 files OK\n"));
        // One that is bad stops it before any file is looked at.
        t.write("BAD", "<html>");
        let output = t.bare(["check", "d/LIST", "BAD"]).run();
        output.fails(2).says("BAD: line 1: \"<html>\"");
        assert_eq!(said(&output), "");
    });
}

#[test]
fn a_list_comes_from_standard_input_too() {
    case(|t| {
        t.write("a", "a");
        let list = t.write("LIST", written("sha256sum", &[], &[b"a"], &t.dir()));
        let run = Command::new(env!("CARGO_BIN_EXE_uget"))
            .args(["check", "-"])
            .current_dir(t.dir())
            .stdin(File::open(list).unwrap())
            .output()
            .unwrap();
        assert!(run.status.success());
        assert_eq!(run.stdout, b"a: OK\n1 file OK\n");
    });
}

#[test]
fn a_digest_alone_is_of_the_file_beside() {
    case(|t| {
        let object = Object::random(41, 10 * KIB);
        t.write("a.iso", object.bytes());
        t.write("a.iso.sha256", format!("{}\n", object.sha256()));
        t.bare(["check", "a.iso.sha256"]).run().succeeds();
        t.write("SUMS", object.sha256());
        t.bare(["check", "SUMS"]).run().fails(2).says("does not tell of which file");
    });
}

#[test]
fn what_is_not_checked_is_told() {
    case(|t| {
        t.write("a", "a");
        let list = String::from_utf8(written("sha256sum", &["--tag"], &[b"a"], &t.dir())).unwrap();
        t.write("LIST", format!("{list}RMD160 (a) = 00\n"));
        let output = t.bare(["check", "LIST"]).run();
        output.succeeds().says("digests that uget does not know: 1, the first in line 2 (RMD160)");
        t.write("LIST", format!("{list}RMD160 (b) = 00\n"));
        let output = t.bare(["check", "LIST"]).run();
        output.fails(100).says("1 unreadable");
        let signed = format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{list}\
             -----BEGIN PGP SIGNATURE-----\n\nabc\n-----END PGP SIGNATURE-----\n"
        );
        t.write("LIST", signed);
        t.bare(["check", "LIST"]).run().succeeds().says("its signature is not checked");
        t.bare(["check", "-q", "LIST"]).run().succeeds().is_silent();
    });
}

#[test]
fn a_name_from_a_list_moves_no_terminal() {
    case(|t| {
        t.write("LIST", format!("{}  \u{1b}[2Ja\u{202e}b\r\n", Object::random(1, 1).sha256()));
        let output = t.bare(["check", "LIST"]).run();
        output.fails(100);
        assert_eq!(said(&output), "\\u{1b}[2Ja\\u{202e}b: MISSING\n");
        t.write("LIST", "\u{1b}[2J");
        t.bare(["check", "LIST"]).run().fails(2).hides("\u{1b}");
    });
}

/// Links are followed, as everywhere; a FIFO would wait for ever, and a device may do anything.
#[test]
fn only_regular_files_are_opened() {
    case(|t| {
        t.write("a", "a");
        let digest = written("sha256sum", &[], &[b"a"], &t.dir());
        let digest = String::from_utf8(digest).unwrap()[..64].to_owned();
        std::os::unix::fs::symlink("a", t.path("link")).unwrap();
        std::os::unix::fs::symlink("nowhere", t.path("dangling")).unwrap();
        fifo(&t.path("fifo"));
        let names = ["link", "dangling", "fifo", "/dev/zero", "a/b", "."];
        t.write("LIST", names.map(|name| format!("{digest}  {name}\n")).concat());
        let output = t.bare(["check", "LIST"]).run();
        output.fails(100).says("2 MISSING, 3 unreadable of 6 files");
        let told = said(&output);
        assert!(told.starts_with("link: OK\ndangling: MISSING\nfifo: unreadable"), "{told}");
        assert!(told.contains("/dev/zero: unreadable") && told.contains("a/b: MISSING"), "{told}");
    });
}

#[test]
fn what_may_not_be_read_is_no_success() {
    case(|t| {
        t.write("a", "a");
        let list = t.write("LIST", written("sha256sum", &[], &[b"a"], &t.dir()));
        fs::set_permissions(t.path("a"), fs::Permissions::from_mode(0o000)).unwrap();
        fs::set_permissions(&list, fs::Permissions::from_mode(0o644)).unwrap();
        t.give_to_nobody();
        let output = t.bare(["check", "LIST"]).sandbox(Sandbox::default().nobody()).run();
        output.fails(100);
        assert_eq!(said(&output), "a: unreadable (permission denied)\n");
    });
}

#[test]
fn a_large_file_takes_little_memory() {
    case(|t| {
        let file = File::create(t.path("large")).unwrap();
        file.set_len(256 * MIB as u64).unwrap();
        // Of as many zeros, by md5sum.
        t.write("LIST", "1f5039e50bd66b290c56684d8550c6c2  large\n");
        let output = t.bare(["check", "LIST"]).limit(Duration::from_secs(120)).run();
        output.succeeds();
        output.check(output.peak < 64 * MIB as u64, "that is much memory");
    });
}

/// As many files as there are, told in the order of the list whichever is done first.
#[test]
fn many_files_are_told_in_order() {
    case(|t| {
        let (mut list, mut want) = (String::new(), String::new());
        for number in 0..500_usize {
            let object = Object::random(number as u64, 1 + (number * 7919) % 20_000);
            t.write(&format!("f{number}"), object.bytes());
            list += &format!("{}  f{number}\n", object.sha256());
            want += &format!("f{number}: OK\n");
        }
        t.write("LIST", list);
        let output = t.bare(["check", "LIST"]).run();
        assert_eq!(said(output.succeeds()), want + "500 files OK\n");
    });
}

#[test]
fn a_signal_ends_it_at_once() {
    case(|t| {
        // Nothing would be done with this for a long time.
        File::create(t.path("endless")).unwrap().set_len(1 << 40).unwrap();
        fifo(&t.path("LIST"));
        for (signal, code) in [(libc::SIGINT, 130), (libc::SIGTERM, 143), (libc::SIGHUP, 129)] {
            for text in ["", "1f5039e50bd66b290c56684d8550c6c2  endless\n"] {
                let running = t.bare(["check", "LIST"]).start();
                // It opens the list when it listens to signals.
                let mut list = File::options().write(true).open(t.path("LIST")).unwrap();
                list.write_all(text.as_bytes()).unwrap();
                let waits = text.is_empty().then_some(list);
                running.signal(signal);
                let output = running.wait();
                output.fails(code);
                output.check(output.took < at_once(), "that is not at once");
                drop(waits);
            }
        }
    });
}

#[test]
fn a_command_line_that_makes_no_sense_is_refused() {
    case(|t| {
        t.bare(["check"]).run().fails(2);
        t.bare(["check", "--nonsense", "LIST"]).run().fails(2);
        t.bare(["-q", "check"]).run().fails(2).says("check goes before all flags");
    });
}

fn fifo(path: &Path) {
    let path = std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: the path ends in NUL, and lives here.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
}
