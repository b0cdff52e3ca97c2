//! A body with a content coding: saved as it comes, and said.

use crate::{KIB, e2e_test, support::*};

/// An origin of one stream whose bodies say that they are coded.
fn coded(object: &Object, coding: &'static str) -> Origin {
    Origin::of(object)
        .mode(Mode::IgnoreRange)
        .bend(move |_, reply| reply.set("Content-Encoding", coding))
        .start()
}

/// The lines of a run's standard error that are about this coding.
fn lines(output: &Output, coding: &str) -> usize {
    output.stderr.lines().filter(|line| line.contains(coding)).count()
}

e2e_test!(a_coded_body_is_saved_as_it_comes_with_a_warning, |t| {
    let object = Object::random(720, 300 * KIB);
    for coding in ["gzip", "br", "zstd"] {
        for connections in ["-j1", "-j4"] {
            let origin = coded(&object, coding);
            let output = t.uget([connections, "-o", "object.bin", &origin.url()]).run();
            t.delivers(&output, "object.bin", &object);
            assert_eq!(lines(&output, coding), 1, "one line: {:?}", output.stderr);
            output.says("warning");
            t.clear();
            let output = t.uget([connections, "-o", "object.bin", "--json", &origin.url()]).run();
            t.delivers(&output, "object.bin", &object);
            assert_eq!(output.json()["content_encoding"], coding);
            t.clear();
        }
    }
});

e2e_test!(what_is_not_coded_is_not_warned_of, |t| {
    let object = Object::random(721, 300 * KIB);
    for origin in [Origin::of(&object).start(), coded(&object, "identity")] {
        let output = t.uget(["-o", "object.bin", &origin.url()]).run();
        t.delivers(&output, "object.bin", &object);
        output.is_silent();
        t.clear();
        let output = t.uget(["-o", "object.bin", "--json", &origin.url()]).run();
        output.succeeds();
        assert_eq!(output.json().get("content_encoding"), Some(&serde_json::Value::Null));
        t.clear();
    }
});

e2e_test!(a_hostile_coding_is_escaped, |t| {
    let object = Object::random(722, KIB);
    let origin = coded(&object, "x\u{9b}31m\u{80}y");
    let output = t.uget(["-o", "object.bin", &origin.url()]).run();
    let clean = output.stderr.chars().all(|c| !c.is_control() || c == '\n');
    output.check(clean, "control characters reached the terminal");
    if output.status.success() {
        t.delivers(&output, "object.bin", &object);
    }
});
