//! Flags that no other case gives to the program, each shown to do what it says, in every spelling.

use std::time::Duration;

use crate::{KIB, MIB, e2e_test, support::*};

fn object() -> Object {
    Object::random(780, 4 * MIB)
}

/// The value of a field in every request that an origin got.
fn fields(origin: &Origin, name: &str) -> Vec<Option<String>> {
    let requests = origin.log().requests();
    requests.iter().map(|request| request.field(name).map(str::to_owned)).collect()
}

/// Every request carried this.
fn all_carry(output: &Output, origin: &Origin, name: &str, wanted: Option<&str>) {
    let all = fields(origin, name);
    let right = !all.is_empty() && all.iter().all(|one| one.as_deref() == wanted);
    output.check(right, &format!("{name} should be {wanted:?}: {all:?}"));
}

e2e_test!(every_word_for_connections_and_parts, |t| {
    let flags = ["-j", "--connections", "--parallel", "--download-concurrency"];
    let parts = ["--part-size", "--chunk-size", "--download-chunk-size", "--chunk-size"];
    for (connections, part) in flags.into_iter().zip(parts) {
        let origin = Origin::of(&object()).mode(Mode::Latency(Duration::from_millis(30))).start();
        let args = [connections, "3", part, "262144"];
        let output = t.uget(args).arg(origin.url()).run();
        t.delivers(&output, "object.bin", &object());
        let most = origin.log().peak_connections();
        output.check((2..=3).contains(&most), &format!("{connections}: {most} connections"));
        let ranges = origin.log().ranges(object().len());
        let right = ranges.iter().all(|range| range.end - range.start == 262_144);
        output.check(right, &format!("{part}: {ranges:?}"));
        t.clear();
    }
});

e2e_test!(min_split_is_what_a_connection_is_worth, |t| {
    for (least, many) in [("4MiB", false), ("256KiB", true)] {
        let origin = Origin::of(&object()).mode(Mode::Latency(Duration::from_millis(30))).start();
        let args = ["-j4", "--min-split", least];
        let output = t.uget(args).arg(origin.url()).run();
        t.delivers(&output, "object.bin", &object());
        let most = origin.log().peak_in_flight();
        output.check((most > 1) == many, &format!("{least}: {most} requests at once"));
        t.clear();
    }
});

e2e_test!(every_word_for_a_directory, |t| {
    let origin = Origin::of(&object()).start();
    for flag in ["-P", "--directory-prefix", "--output-dir"] {
        let directory = format!("into{flag}");
        std::fs::create_dir(t.path(&directory)).unwrap();
        let output = t.uget([flag, &directory, &origin.url()]).run();
        output.succeeds();
        t.holds(&output, &format!("{directory}/object.bin"), &object());
    }
    let output = t.uget(["--output", "named", &origin.url()]).run();
    output.succeeds();
    t.holds(&output, "named", &object());
});

e2e_test!(resuming_may_be_asked_for, |t| {
    for args in [&["-c"] as &[&str], &["--continue"], &["-C", "-"], &["--continue-at", "-"]] {
        // One plain GET that ends early, and the rest.
        let short = Mode::Cut { from: 0, times: 1, at: 3 << 20, end: End::Fin };
        let origin = Origin::of(&object()).mode(short).start();
        let first = t.uget(["-j1", "--retries", "0"]).args(args).arg(origin.url()).run();
        first.fails_with(&[18, 56]);
        let output = t.uget(args).arg(origin.url()).run();
        t.delivers(&output, "object.bin", &object());
        let sent = origin.log().sent();
        output.check(sent < object().len() + MIB as u64, &format!("{args:?}: {sent} bytes"));
        t.clear();
    }
    // An offset of one's own is not taken.
    let origin = Origin::of(&object()).start();
    t.uget(["--continue-at", "100", &origin.url()]).run().fails(2);
});

e2e_test!(synced_or_not, |t| {
    let origin = Origin::of(&object()).start();
    let failing =
        || Sandbox::default().deny(libc::SYS_fsync, libc::EIO).deny(libc::SYS_fdatasync, libc::EIO);
    let sha256 = object().sha256();
    for (args, code) in [
        (&["--fsync"] as &[&str], 23),
        (&["--sha256", &sha256], 23),
        (&["--sha256", &sha256, "--no-fsync"], 0),
        (&["--no-fsync"], 0),
    ] {
        let output = t.uget(args).arg(origin.url()).sandbox(failing()).run();
        output.check(output.code() == Some(code), &format!("{args:?}"));
        t.clear();
    }
});

e2e_test!(fail_fast_is_no_retries, |t| {
    let origin = Origin::of(&object()).mode(Mode::Status(500)).start();
    let output = t.uget(["--fail-fast", &origin.url()]).run();
    t.refuses(&output, 22);
    assert_eq!(origin.log().count(), 1);
    t.uget(["--fail-fast", "--retries", "2", &origin.url()]).run().fails(2);
});

e2e_test!(every_error_may_be_retried, |t| {
    for (args, asked) in [(&[] as &[&str], 1), (&["--retry-all-errors"], 2)] {
        let mode = Mode::Busy { status: 404, times: 1, retry_after: None };
        let origin = Origin::of(&object()).mode(mode).start();
        let output = t.uget(["-j1"]).args(args).arg(origin.url()).run();
        output.check(output.status.success() == (asked == 2), &format!("{args:?}"));
        output.check(origin.log().count() == asked, &format!("{args:?}"));
        t.clear();
    }
});

e2e_test!(retries_end_with_their_time, |t| {
    let origin = Origin::of(&object()).mode(Mode::Status(503)).start();
    let args = ["--retries", "1000", "--retry-max-time", "1"];
    let output = t.uget(args).arg(origin.url()).limit(Duration::from_secs(60)).run();
    t.refuses(&output, 22);
    let asked = origin.log().count();
    output.check(asked < 50, &format!("asked {asked} times"));
});

e2e_test!(both_words_for_the_time_of_it_all, |t| {
    for flag in ["--max-time", "--timeout"] {
        let origin = Origin::of(&object()).mode(Mode::Rate(1000)).start();
        let output = t.uget([flag, "1.5", &origin.url()]).run();
        t.refuses(&output, 28);
        t.clear();
        let origin = Origin::of(&object()).start();
        let output = t.uget([flag, "25", &origin.url()]).run();
        t.delivers(&output, "object.bin", &object());
        t.clear();
    }
});

e2e_test!(every_word_for_a_field, |t| {
    let cases: [(&[&str], &str, &str); 14] = [
        (&["-H", "X-A: b"], "x-a", "b"),
        (&["--header", "X-A: b"], "x-a", "b"),
        (&["--header-env", "X-A=UGET_TEST_FIELD"], "x-a", "from the environment"),
        (&["-A", "Me/1"], "user-agent", "Me/1"),
        (&["--user-agent", "Me/1"], "user-agent", "Me/1"),
        (&["-e", "http://from.test/"], "referer", "http://from.test/"),
        (&["--referer", "http://from.test/"], "referer", "http://from.test/"),
        (&["-u", "one:first"], "authorization", "Basic b25lOmZpcnN0"),
        (&["--user", "one:first"], "authorization", "Basic b25lOmZpcnN0"),
        (&["--oauth2-bearer", "token"], "authorization", "Bearer token"),
        (&["-n"], "authorization", "Basic b25lOmZpcnN0"),
        (&["--netrc"], "authorization", "Basic b25lOmZpcnN0"),
        (&["-b", "a=b; c=d"], "cookie", "a=b; c=d"),
        (&["--cookie", "a=b; c=d"], "cookie", "a=b; c=d"),
    ];
    let home = t.outside().join("home");
    std::fs::write(home.join(".netrc"), "machine 127.0.0.1 login one password first\n").unwrap();
    for (args, name, wanted) in cases {
        let origin = Origin::of(&object()).start();
        let output = t
            .uget(["-j2", "--chunk-size", "1048576"])
            .args(args)
            .env("UGET_TEST_FIELD", "from the environment")
            .arg(origin.url())
            .run();
        t.delivers(&output, "object.bin", &object());
        all_carry(&output, &origin, name, Some(wanted));
        t.clear();
    }
    // Without any of them, none of them.
    let origin = Origin::of(&object()).start();
    let output = t.uget([&origin.url()]).run();
    t.delivers(&output, "object.bin", &object());
    for name in ["x-a", "referer", "authorization", "cookie"] {
        all_carry(&output, &origin, name, None);
    }
});

e2e_test!(a_field_from_the_environment_that_is_not_there, |t| {
    let origin = Origin::of(&object()).start();
    let output = t.uget(["--header-env", "X-A=UGET_TEST_NO_SUCH", &origin.url()]).run();
    output.fails(2).says("UGET_TEST_NO_SUCH");
    assert_eq!(origin.log().count(), 0);
});

e2e_test!(both_words_for_a_proxy, |t| {
    // An origin takes a whole URL as a target, as a proxy does.
    let small = Object::random(781, 200 * KIB);
    for flag in ["-x", "--proxy"] {
        let proxy = Origin::of(&small).start();
        let output = t.uget([flag, &proxy.at(""), "http://far.test/object.bin"]).run();
        t.delivers(&output, "object.bin", &small);
        for request in proxy.log().requests() {
            assert_eq!(request.target, "http://far.test/object.bin");
        }
        t.clear();
        // And around it.
        let origin = Origin::of(&small).start();
        let around = [flag, &proxy.at(""), "--noproxy", "127.0.0.1"];
        let output = t.uget(around).arg(origin.url()).run();
        t.delivers(&output, "object.bin", &small);
        output.check(origin.log().count() > 0, "the origin itself was not asked");
        t.clear();
    }
});

e2e_test!(every_word_for_silence_and_for_talk, |t| {
    let origin = Origin::of(&object()).start();
    for flag in ["-q", "--quiet"] {
        let output = t.uget([flag, &origin.url()]).run();
        t.delivers(&output, "object.bin", &object());
        output.is_silent().check(output.stdout.is_empty(), "quiet means quiet");
        t.clear();
    }
    for flag in ["-v", "-vv", "--verbose"] {
        let output = t.uget([flag, &origin.url()]).run();
        t.delivers(&output, "object.bin", &object());
        output.says(t.engine.name());
        t.clear();
    }
    for flag in [&["--no-progress"] as &[&str], &["--progress", "none"]] {
        let (pty, end) = Pty::open(80);
        let output = t.uget(flag).arg(origin.url()).env("TERM", "xterm").stderr(end).run();
        t.delivers(&output, "object.bin", &object());
        let drawn = pty.drawn();
        output.check(!drawn.contains('%'), &format!("{flag:?} drew {drawn:?}"));
        t.clear();
    }
});

e2e_test!(help_and_version, |t| {
    for flag in ["-h", "--help"] {
        let output = t.bare([flag]).run();
        output.succeeds().is_silent();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        output.check(said.contains("--connections") && said.contains("Usage"), &said);
    }
    for flag in ["-V", "--version"] {
        let output = t.bare([flag]).run();
        output.succeeds().is_silent();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        output.check(said.starts_with("uget "), &said);
    }
});
