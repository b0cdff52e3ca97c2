//! What machines read: the report of `--json` and the events of `--progress json`.
//!
//! # The report
//!
//! `--json` prints one object in one line on standard output (on standard error with `-o -`).
//! Every field is there on success; what is unknown is `null`. Times are seconds, sizes are bytes.
//!
//! | field | |
//! |---|---|
//! | `schema` | 1; grows when a field changes its meaning or goes, not when one is added |
//! | `url`, `final_url` | as asked, and after redirects; without secrets |
//! | `path` | the published file; `null` for standard output |
//! | `size` | the complete length |
//! | `transferred`, `resumed` | bytes fetched in this run, bytes of earlier runs that were used |
//! | `etag`, `last_modified` | as received |
//! | `digest`, `sha256` | `ALGO:HEX` of the digest that was computed; its hex if that is SHA-256 |
//! | `verified` | a digest was given and it matched |
//! | `verified_length` | the end was known by a length or a last chunk, not by a close |
//! | `strategy` | `ranges`, `stream` or `up-to-date` |
//! | `fallback_reason` | why one stream was used where many were wanted |
//! | `engine` | `uring` or `threads` |
//! | `connections` | the most that were open at once |
//! | `requests`, `retries` | requests sent, redirects and retries included; attempts made again |
//! | `elapsed`, `transfer_elapsed` | from the start to the published name; first to last body byte |
//! | `exit_code` | 0 |
//!
//! After a failure the object holds `schema`, `url` (`null` if it was unusable), `exit_code` and
//! `error`, an object of `kind` (`connect`, `status`, `digest`, ...), `status` (a number, with the
//! kind `status`), `message` and `hint`. A command line that makes no sense has no report.
//!
//! # Events
//!
//! `--progress json` prints one object a line on standard error, and nothing else goes there. Each
//! holds `schema` (1), `event` and `elapsed`, and by `event`:
//!
//! | event | further fields |
//! |---|---|
//! | `started` | `url` |
//! | `phase` | `phase`: `connecting`, `probing`, `allocating` (`size`), `downloading`, `waiting` (`delay`, `why`), `verifying`, `publishing` |
//! | `discovered` | `final_url`, `total`, `resumed`, `path`, `connections` |
//! | `progress` | `bytes`, `total`, `connections`, `rate` (bytes a second over the last second), `eta_s`; at least one for every MiB, unless the reader is too slow for that |
//! | `note`, `warning` | `text` |
//! | `finished` | the fields of the report |
//! | `failed` | `url`, `exit_code`, `error` |
//!
//! Readers skip events, phases and fields that they do not know.

use std::time::Duration;

use serde_json::{Map, Value, json};
use uget::{Error, ErrorKind, Event, Phase, Report};

use super::{exit, message, text};

/// The report of a download that succeeded.
pub(crate) fn success(report: &Report) -> Value {
    let sha256 = report.digest.as_ref().filter(|(name, _)| *name == "sha256");
    json!({
        "schema": SCHEMA,
        "url": report.url,
        "final_url": report.final_url,
        "path": report.path.as_ref().map(|path| path.to_string_lossy()),
        "size": report.size,
        "transferred": report.transferred,
        "resumed": report.resumed,
        "etag": report.etag,
        "last_modified": report.last_modified,
        "digest": report.digest.as_ref().map(|(name, hex)| format!("{name}:{hex}")),
        "sha256": sha256.map(|(_, hex)| hex),
        "verified": report.verified,
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
