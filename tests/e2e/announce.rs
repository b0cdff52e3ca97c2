//! What is announced is what an answer made true: no file, no size and no phase of a download that
//! there is none of.

use std::time::Duration;

use crate::{KIB, MIB, e2e_test, support::*};

/// The events of a run with `--progress json`.
fn events(output: &Output) -> Vec<serde_json::Value> {
    let event = |line: &str| {
        serde_json::from_str(line)
            .unwrap_or_else(|error| output.explain(&format!("{line:?} is no JSON: {error}")))
    };
    output.stderr.lines().map(event).collect()
}

/// Whether an event says that something is being downloaded.
fn announces(event: &serde_json::Value) -> bool {
    let phase = event["phase"].as_str().unwrap_or_default();
    event["event"] == "discovered" || matches!(phase, "allocating" | "downloading")
}

/// Nothing was announced.
fn is_modest(output: &Output) {
    if let Some(event) = events(output).iter().find(|event| announces(event)) {
        output.explain(&format!("it announced {event}"));
    }
}

e2e_test!(a_refusal_announces_no_download, |t| {
    for status in [404, 403, 410, 500, 503] {
        let origin = Origin::of(&Object::random(660, MIB)).mode(Mode::Status(status)).start();
        let args = ["--retries", "0", "--progress", "json"];
        let output = t.uget(args).arg(origin.url()).run();
        output.check(!output.status.success(), &format!("{status}"));
        is_modest(&output);
    }
});

e2e_test!(a_place_that_is_not_there_announces_no_download, |t| {
    for way in [Bad::Refused, Bad::Closed, Bad::Garbage, Bad::Loop, Bad::Cut { at: 0 }] {
        let place = way.start(&Object::random(661, 0));
        let args = ["--retries", "0", "--progress", "json"];
        let output = t.uget(args).arg(&place.url).run();
        if !output.status.success() {
            is_modest(&output);
        }
        t.clear();
    }
});

e2e_test!(a_redirect_to_nothing_announces_no_download, |t| {
    let origin = Origin::of(&Object::random(662, MIB))
        .bend(|request, reply| {
            *reply = match request.path() {
                "/object.bin" => Reply::redirect(302, "/gone"),
                _ => Reply::status(404, "Not Found"),
            };
        })
        .start();
    let output = t.uget(["--progress", "json", &origin.url()]).run();
    output.check(output.code() == Some(22), "it is not there");
    is_modest(&output);
});

e2e_test!(a_file_that_is_up_to_date_announces_no_download, |t| {
    let object = Object::random(663, MIB);
    let origin = Origin::of(&object).last_modified("Wed, 01 Jan 2020 00:00:00 GMT").start();
    let output = t.uget(["-j4", "-o", "object.bin", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
    let args = ["-j4", "-o", "object.bin", "--progress", "json", &origin.url()];
    let output = t.uget(args).run();
    output.succeeds();
    output.check(origin.log().sent() == object.len(), "this is not about a file that is there");
    is_modest(&output);
});

/// Runs against a terminal and returns what was drawn.
fn drawn(t: &Test, args: &[&str]) -> (Output, String) {
    let (pty, end) = Pty::open(120);
    let output = t.uget(args).env("TERM", "xterm").env("COLUMNS", "120").stderr(end).run();
    (output, pty.drawn())
}

e2e_test!(a_terminal_is_shown_no_file_that_is_not_fetched, |t| {
    let missing = Origin::of(&Object::random(664, MIB)).mode(Mode::Status(404)).start();
    for verbose in [false, true] {
        let url = missing.url();
        let args: &[&str] = if verbose { &["-v", &url] } else { &[&url] };
        let (output, drawn) = drawn(t, args);
        output.check(output.code() == Some(22), "it is not there");
        assert!(!drawn.contains("-> ") && !drawn.contains("connection"), "{drawn:?}");
    }
    let object = Object::random(665, 100 * KIB);
    let origin = Origin::of(&object).start();
    t.uget(["-o", "object.bin", &origin.url()]).run().succeeds();
    let (output, drawn) = drawn(t, &["-o", "object.bin", &origin.url()]);
    t.delivers(&output, "object.bin", &object);
    assert!(!drawn.contains("-> ") && !drawn.contains("with 1 connection"), "{drawn:?}");
});

e2e_test!(a_download_is_announced_once_and_in_order, |t| {
    let object = Object::random(666, 4 * MIB);
    let origin = Origin::of(&object).mode(Mode::Latency(Duration::from_millis(5))).start();
    let args = ["-j4", "--chunk-size", "262144", "--progress", "json", &origin.url()];
    let output = t.uget(args).run();
    t.delivers(&output, "object.bin", &object);
    let events = events(&output);
    let at = |wanted: &dyn Fn(&serde_json::Value) -> bool| events.iter().position(wanted);
    let found: Vec<_> = events.iter().filter(|event| event["event"] == "discovered").collect();
    output.check(found.len() == 1, &format!("announced {} times", found.len()));
    output.check(found[0]["total"] == object.len(), "with its size");
    let discovered = at(&|event| event["event"] == "discovered");
    let probing = at(&|event| event["phase"] == "probing");
    let moving = at(&|event| event["phase"] == "downloading");
    output.check(probing < discovered, "before anything was asked");
    output.check(moving.is_some() && discovered.is_some(), "both are said");
    let end = at(&|event| event["phase"] == "publishing");
    output.check(moving < end, "published before it was downloaded");
});
