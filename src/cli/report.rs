//! What machines read: the report of `--json` and the events of `--progress json`.
//! The README says what is in them ("For programs").

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value, json};
use uget::{Error, ErrorKind, Event, Headers, Phase, Report, ReportedDigest, Slice};

use super::{exit, message, text};

/// The report of a download that succeeded.
pub(crate) fn success(report: &Report) -> Value {
    let sha256 = report.digests.iter().find(|digest| digest.algorithm == "sha256");
    json!({
        "schema": SCHEMA,
        "url": report.url,
        "final_url": report.final_url,
        "path": report.path.as_ref().map(|path| path.to_string_lossy()),
        "size": report.size,
        "slice": report.slice.as_ref().map(slice),
        "transferred": report.transferred,
        "resumed": report.resumed,
        "headers": report.headers.as_ref().map(headers),
        "etag": report.etag,
        "last_modified": report.last_modified,
        "content_encoding": report.content_encoding,
        "members": report.members,
        "extracted": report.extracted,
        "digest": report.digests.first().map(|of| format!("{}:{}", of.algorithm, of.value)),
        "digests": report.digests.iter().map(digest).collect::<Vec<_>>(),
        "sha256": sha256.map(|digest| &digest.value),
        "verified": report.verified(),
        "verified_length": report.verified_length,
        "strategy": report.strategy.name(),
        "fallback_reason": report.fallback_reason,
        "engine": report.engine,
        "connections": report.connections,
        "requests": report.requests,
        "retries": report.retries,
        "elapsed": seconds(report.elapsed),
        "transfer_elapsed": seconds(report.transfer_elapsed),
        "exit_code": 0,
    })
}

/// Lower-case names, each with its values in order; those that are secrets are not told.
fn headers(of: &Headers) -> Value {
    let mut all = BTreeMap::<String, Vec<String>>::new();
    for (name, value) in of.iter() {
        let value = if Headers::is_secret(name) { SECRET } else { value };
        let value = String::from_utf8_lossy(value).into_owned();
        all.entry(name.to_ascii_lowercase()).or_default().push(value);
    }
    json!(all)
}

/// Half-open, as all ranges are that are not HTTP's.
fn slice(of: &Slice) -> Value {
    let Slice { range, complete_length } = of;
    json!({ "start": range.start, "end": range.end, "complete_length": complete_length })
}

fn digest(of: &ReportedDigest) -> Value {
    json!({ "algorithm": of.algorithm, "value": of.value, "verified": of.verified })
}

/// The report of a download that failed; `url` is redacted already.
pub(crate) fn failure(url: Option<&str>, error: &Error) -> Value {
    let mut what = json!({
        "kind": error.kind().name(),
        "message": error.to_string(),
        "hint": message::hint(error),
    });
    if let ErrorKind::Status(status) = error.kind() {
        what["status"] = json!(status);
    }
    json!({
        "schema": SCHEMA,
        "url": url,
        "error": what,
        "exit_code": exit::code(error.kind()),
    })
}

/// One event, `elapsed` after the start, with the recent `rate` where it is known.
pub(crate) fn event(event: &Event, elapsed: Duration, rate: Option<f64>) -> Value {
    match event {
        Event::Started { url } => tagged("started", elapsed, json!({ "url": url })),
        Event::Phase(at) => tagged("phase", elapsed, phase(at)),
        Event::Discovered { final_url, total, resumed, path, connections } => tagged(
            "discovered",
            elapsed,
            json!({
                "final_url": final_url,
                "total": total,
                "resumed": resumed,
                "path": path.as_ref().map(|path| path.to_string_lossy()),
                "connections": connections,
            }),
        ),
        Event::Progress { bytes, total, connections } => {
            let eta = rate.and_then(|rate| text::eta(*bytes, *total, rate));
            tagged(
                "progress",
                elapsed,
                json!({
                    "bytes": bytes,
                    "total": total,
                    "connections": connections,
                    "rate": rate.map(|rate| rate as u64),
                    "eta_s": eta.map(seconds),
                }),
            )
        }
        Event::Note(text) => tagged("note", elapsed, json!({ "text": text })),
        Event::Warning(text) => tagged("warning", elapsed, json!({ "text": text })),
        _ => tagged("other", elapsed, json!({})),
    }
}

/// `fields` as the event `name`.
pub(crate) fn tagged(name: &str, elapsed: Duration, fields: Value) -> Value {
    let mut object = Map::new();
    object.insert("schema".to_owned(), json!(SCHEMA));
    object.insert("event".to_owned(), json!(name));
    object.insert("elapsed".to_owned(), json!(seconds(elapsed)));
    if let Value::Object(fields) = fields {
        object.extend(fields);
    }
    Value::Object(object)
}

fn phase(phase: &Phase) -> Value {
    match phase {
        Phase::Connecting => json!({ "phase": "connecting" }),
        Phase::Probing => json!({ "phase": "probing" }),
        Phase::Allocating { size } => json!({ "phase": "allocating", "size": size }),
        Phase::Downloading => json!({ "phase": "downloading" }),
        Phase::Waiting { delay, why } => {
            json!({ "phase": "waiting", "delay": seconds(*delay), "why": why })
        }
        Phase::Verifying => json!({ "phase": "verifying" }),
        Phase::Publishing => json!({ "phase": "publishing" }),
        _ => json!({ "phase": "other" }),
    }
}

/// Seconds, to the millisecond.
fn seconds(time: Duration) -> f64 {
    time.as_millis() as f64 / 1000.0
}

const SCHEMA: u32 = 1;

/// In place of what is nobody's business.
const SECRET: &[u8] = b"[redacted]";

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect, expect_file};
    use uget::Strategy;

    use super::*;

    fn check(value: &Value, want: &Expect) {
        want.assert_eq(&format!("{value:#}"));
    }

    #[test]
    fn success_has_every_field() {
        let mut full = Report::new("http://host/file.iso", "epoll");
        full.final_url = "http://mirror/file.iso".to_owned();
        full.path = Some("out/file.iso".into());
        full.size = 1000;
        full.transferred = 600;
        full.resumed = 400;
        full.etag = Some("\"abc\"".to_owned());
        full.digests = vec![
            ReportedDigest::new("md5", "cd34", true),
            ReportedDigest::new("sha256", "ab12", false),
        ];
        full.strategy = Strategy::Ranges;
        full.connections = 16;
        full.requests = 18;
        full.retries = 1;
        full.elapsed = Duration::from_micros(1_234_567);
        full.transfer_elapsed = Duration::from_millis(1000);
        check(
            &success(&full),
            &expect![[r#"
                {
                  "connections": 16,
                  "content_encoding": null,
                  "digest": "md5:cd34",
                  "digests": [
                    {
                      "algorithm": "md5",
                      "value": "cd34",
                      "verified": true
                    },
                    {
                      "algorithm": "sha256",
                      "value": "ab12",
                      "verified": false
                    }
                  ],
                  "elapsed": 1.234,
                  "engine": "epoll",
                  "etag": "\"abc\"",
                  "exit_code": 0,
                  "extracted": null,
                  "fallback_reason": null,
                  "final_url": "http://mirror/file.iso",
                  "headers": null,
                  "last_modified": null,
                  "members": null,
                  "path": "out/file.iso",
                  "requests": 18,
                  "resumed": 400,
                  "retries": 1,
                  "schema": 1,
                  "sha256": "ab12",
                  "size": 1000,
                  "slice": null,
                  "strategy": "ranges",
                  "transfer_elapsed": 1.0,
                  "transferred": 600,
                  "url": "http://host/file.iso",
                  "verified": true,
                  "verified_length": true
                }"#]],
        );
        let mut sparse = Report::new("http://host/", "uring");
        sparse.digests = vec![ReportedDigest::new("md5", "ab12", false)];
        sparse.fallback_reason = Some("no strong validator".to_owned());
        let keys = |value: &Value| value.as_object().map(|o| o.keys().cloned().collect::<Vec<_>>());
        assert_eq!(keys(&success(&sparse)), keys(&success(&full)), "unknown is null, not absent");
        assert_eq!(success(&sparse)["sha256"], Value::Null);
        let readme = include_str!("../../README.md");
        for key in keys(&success(&full)).unwrap() {
            assert!(readme.contains(&format!("`{key}`")), "the README does not tell of {key}");
        }
    }

    #[test]
    fn failure_says_what_and_why() {
        let error = Error::new(ErrorKind::Status(404), "http://host/x: 404 \"not\u{1b} here\"");
        check(
            &failure(Some("http://host/x"), &error),
            &expect![[r#"
            {
              "error": {
                "hint": null,
                "kind": "status",
                "message": "http://host/x: 404 \"not\u001b here\"",
                "status": 404
              },
              "exit_code": 22,
              "schema": 1,
              "url": "http://host/x"
            }"#]],
        );
        let error = Error::new(ErrorKind::BadUrl, "no host");
        check(
            &failure(None, &error),
            &expect![[r#"
            {
              "error": {
                "hint": "a URL looks like https://host/path",
                "kind": "bad-url",
                "message": "no host"
              },
              "exit_code": 3,
              "schema": 1,
              "url": null
            }"#]],
        );
    }

    #[test]
    fn events_are_tagged_lines() {
        let progress = |bytes| Event::Progress { bytes, total: Some(1000), connections: 4 };
        let waiting = Phase::Waiting { delay: Duration::from_millis(1500), why: "503".to_owned() };
        let events = [
            (Event::Started { url: "http://host/".to_owned() }, None),
            (Event::Phase(Phase::Connecting), None),
            (Event::Phase(Phase::Allocating { size: 1000 }), None),
            (Event::Phase(waiting), None),
            (
                Event::Discovered {
                    final_url: "http://host/".to_owned(),
                    total: None,
                    resumed: 0,
                    path: None,
                    connections: 1,
                },
                None,
            ),
            (progress(200), None),
            (progress(200), Some(100.0)),
            (progress(1000), Some(100.0)),
            (Event::Note("a note\nof two lines".to_owned()), None),
            (Event::Warning("beware".to_owned()), None),
        ];
        let elapsed = Duration::from_millis(2500);
        let lines: String =
            events.iter().map(|(e, rate)| format!("{}\n", event(e, elapsed, *rate))).collect();
        assert_eq!(lines.lines().count(), events.len(), "one line each");
        expect_file!["golden/events.txt"].assert_eq(&lines);
    }

    /// The report's own time stands in the last event, not the moment of telling.
    #[test]
    fn the_last_event_is_the_report() {
        let report = Report::new("http://host/", "uring");
        let event = tagged("finished", Duration::from_secs(9), success(&report));
        assert_eq!(event["elapsed"], json!(0.0));
        assert_eq!(event["event"], json!("finished"));
    }
}
