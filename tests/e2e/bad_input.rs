//! Bad input: one clear line, the right exit code, and no traffic.

use crate::{KIB, e2e_test, support::*};

/// Each of these is refused with one of the codes, before any request.
fn refused(t: &Test, codes: &[i32], cases: &[&[&str]]) {
    let origin = Origin::of(&Object::random(250, KIB)).start();
    let url = origin.url();
    for case in cases {
        let args: Vec<&str> =
            case.iter().map(|arg| if *arg == "URL" { &url } else { *arg }).collect();
        let output = t.uget(&args).run();
        output.check(
            output.code().is_some_and(|code| codes.contains(&code)),
            &format!("{args:?} should exit with {codes:?}"),
        );
        t.refuses_with(&output, codes);
        t.holds_only(&output, &[]);
        assert_eq!(origin.log().count(), 0, "{args:?}: a request was made");
    }
}

e2e_test!(arguments, |t| {
    refused(
        t,
        &[2],
        &[
            &[],
            &["--no-such-flag", "URL"],
            &["-j", "x", "URL"],
            &["-j0", "URL"],
            &["-j-1", "URL"],
            &["--chunk-size", "0", "URL"],
            &["--chunk-size", "-5", "URL"],
            &["--chunk-size", "much", "URL"],
            &["--chunk-size", "99999999999999999999999", "URL"],
            &["--retries", "-1", "URL"],
            &["--retries", "x", "URL"],
            &["--connect-timeout", "soon", "URL"],
            &["--stall-timeout", "-1", "URL"],
            &["--stall-timeout", "nan", "URL"],
            &["--max-time", "1e400", "URL"],
            &["--max-size", "big", "URL"],
            &["--max-redirs", "x", "URL"],
            &["--pin", "maybe", "URL"],
            &["--progress", "sometimes", "URL"],
            &["URL", "URL"],
            &["--remote-name", "-o", "x", "URL"],
        ],
    );
});

e2e_test!(digests, |t| {
    let short = "a".repeat(63);
    let long = "a".repeat(65);
    let letters = "g".repeat(64);
    let wide = "é".repeat(32);
    refused(
        t,
        &[2],
        &[
            &["--sha256", "", "URL"],
            &["--sha256", "xyz", "URL"],
            &["--sha256", &short, "URL"],
            &["--sha256", &long, "URL"],
            &["--sha256", &letters, "URL"],
            &["--sha256", &wide, "URL"],
            &["--digest", "crc32:00000000", "URL"],
            &["--digest", "sha256", "URL"],
            &["--digest", "md5:00", "URL"],
            &["--digest", ":", "URL"],
            &["--print-digest", "crc32", "URL"],
        ],
    );
});

e2e_test!(headers, |t| {
    refused(
        t,
        &[2],
        &[
            &["--header", "X: a\r\nEvil: yes", "URL"],
            &["--header", "X: a\nEvil: yes", "URL"],
            &["--header", "X: a\rb", "URL"],
            &["--header", "No Colon", "URL"],
            &["--header", ": empty", "URL"],
            &["--header", "Bad Name: x", "URL"],
            &["--header", "X\u{1}: x", "URL"],
        ],
    );
});

e2e_test!(urls, |t| {
    refused(
        t,
        &[1, 2, 3],
        &[
            &[""],
            &["http://"],
            &["http://[::1/x"],
            &["http://host:99999/x"],
            &["http://host:x/x"],
            &["http://ho st/x"],
            &["ftp://127.0.0.1/x"],
            &["file:///etc/passwd"],
            &["javascript:alert(1)"],
            &["data:text/plain,hello"],
            &["://"],
            &["/etc/passwd"],
        ],
    );
});

e2e_test!(an_unknown_engine, |t| {
    let output = t.bare(["--engine", "steam", "http://127.0.0.1:9/x"]).run();
    t.refuses(&output, 2);
});

e2e_test!(a_target_that_is_nothing, |t| {
    refused(t, &[2, 23], &[&["-o", "", "URL"], &["-P", "", "URL"]]);
});

e2e_test!(rt12_a_hundred_thousand_connections, |t| {
    let object = Object::random(251, 4 << 20);
    let origin = Origin::of(&object).start();
    let output = t.uget(["-j100000", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
    let lines = output.stderr.lines().count();
    output.check(lines == 1, "it should say in one line that it takes fewer");
    assert!(origin.log().peak_connections() <= 256);
});

e2e_test!(help_and_version, |t| {
    for flag in ["--help", "-h", "--version", "-V"] {
        let output = t.bare([flag]).run();
        output.succeeds().is_silent();
        output.check(!output.stdout.is_empty(), flag);
    }
    let output = t.bare(["--help"]).run();
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    for flag in ["--sha256", "--engine", "--retries", "--max-time", "--stall-timeout", "--json"] {
        output.check(help.contains(flag), &format!("help does not name {flag}"));
    }
});

e2e_test!(an_error_is_a_line_and_a_hint, |t| {
    let output = t.uget(["-j0", "http://127.0.0.1:9/x"]).run();
    output.fails(2);
    let output = t.uget(["ftp://127.0.0.1/x"]).run();
    output.fails_with(&[1, 3]).says("hint:");
});
