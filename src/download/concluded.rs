//! What is told of a download that is over.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use url::Url;

use crate::{
    engine::{coordinator::Coordinator, delivery::Delivery, shelf::Published},
    error::{Error, ErrorKind, outcome},
    files::{
        checks::{Checked, Checks},
        existing::Existing,
    },
    fleet::TransferId,
    http::{self, headers::Headers},
    options::{EngineChoice, Options},
    orders::{Account, Failure, Route, View},
    report::{Report, ReportedDigest, Slice, Strategy},
};

/// The report of a transfer that is over, or its error.
pub(super) fn conclude(coordinator: &mut Coordinator<'_>, id: TransferId) -> Result<Report, Error> {
    let internal = || Error::new(ErrorKind::Internal, "the download ended without an outcome");
    let transfer = coordinator.fleet.transfer(id);
    let (view, account) = (transfer.view(), transfer.account());
    match transfer.outcome() {
        Some(Ok(())) => {}
        Some(Err(trouble)) => return Err(outcome::error(&trouble)),
        // Given up on, with somebody still stuck.
        None => {
            let cancelled = |signal| outcome::early(&Failure::Cancelled { signal });
            let error = transfer.trouble().map(outcome::error);
            let error = error.or_else(|| coordinator.cancelled.map(cancelled));
            return Err(error.unwrap_or_else(internal));
        }
    }
    let engine = coordinator.engine.name();
    let elapsed = coordinator.started.elapsed();
    let delivery = coordinator.deliveries.remove(&id).ok_or_else(internal)?;
    Ok(report(delivery, (view, account), engine, elapsed))
}

/// The report on a file that was there already, whose digest is all that was looked at.
pub(super) fn up_to_date(
    url: &Url,
    options: &Options,
    checks: &Checks,
    path: PathBuf,
    existing: Existing,
    started: Instant,
) -> Report {
    let Existing { size, computed } = existing;
    let engine = match options.engine {
        EngineChoice::Epoll => "epoll",
        EngineChoice::Uring => "uring",
        EngineChoice::Auto => "none",
    };
    Report {
        path: Some(path),
        size,
        resumed: size,
        digests: digests(checks.checked(computed)),
        strategy: Strategy::UpToDate,
        elapsed: started.elapsed(),
        ..Report::new(http::redact(url), engine)
    }
}

pub(super) fn tag(tag: &http::field::ETag) -> String {
    if tag.weak { format!("W/{}", tag.opaque) } else { tag.opaque.clone() }
}

fn digests(checked: Vec<Checked>) -> Vec<ReportedDigest> {
    let reported = |of: Checked| ReportedDigest::new(of.algorithm.name(), of.hex, of.verified);
    checked.into_iter().map(reported).collect()
}

fn report(
    delivery: Delivery,
    (view, account): (View, Account),
    engine: &'static str,
    elapsed: Duration,
) -> Report {
    let transfer_elapsed = delivery.transfer_elapsed();
    let url = delivery.url().to_owned();
    let Published { path, digests: checked, size: decoded } = delivery.published;
    let size = decoded.unwrap_or(view.done);
    let headers = account.head.map(|head| Headers::of(&head, Some(size)));
    Report {
        url,
        final_url: http::redact(&account.final_url),
        path,
        size,
        slice: account
            .extent
            .filter(|of| !of.is_all())
            .map(|of| Slice { range: of.wanted, complete_length: of.complete }),
        transferred: view.done.saturating_sub(view.resumed),
        resumed: view.resumed,
        etag: account.validators.etag.as_ref().map(tag),
        last_modified: account.validators.last_modified.map(|(text, _)| text),
        headers: match decoded {
            Some(_) => headers.map(Headers::decoded),
            None => headers,
        },
        content_encoding: account.content_encoding.filter(|_| decoded.is_none()),
        members: None,
        extracted: None,
        digests: digests(checked),
        verified_length: account.verified_length,
        strategy: match view.route {
            Route::Ranges => Strategy::Ranges,
            Route::Stream | Route::Unknown => Strategy::Stream,
            Route::UpToDate => Strategy::UpToDate,
        },
        fallback_reason: account.fallback.map(str::to_owned),
        engine,
        connections: view.connections_max,
        requests: view.requests,
        retries: view.retries,
        elapsed,
        transfer_elapsed,
    }
}
