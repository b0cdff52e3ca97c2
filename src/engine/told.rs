//! What the observer was told of one transfer, and what it does not know yet.

use std::{path::Path, time::Duration};

use crate::{
    event::{Event, Phase},
    http,
    orders::{Account, Activity, Route, View},
};

/// What the observer knows.
#[derive(Default)]
pub(super) struct Told {
    activity: Option<Activity>,
    discovered: bool,
    total: Option<u64>,
    bytes: u64,
    connections: usize,
}

/// What a view does not show.
pub(super) struct Besides<'a> {
    /// Where the object will be published.
    pub(super) path: Option<&'a Path>,
    /// It is hashed before it is published.
    pub(super) hashed: bool,
    /// Bytes in place.
    pub(super) bytes: u64,
    pub(super) now: Duration,
}

impl Told {
    /// What is new.
    pub(super) fn news(
        &mut self,
        view: &View,
        account: impl FnOnce() -> Account,
        besides: &Besides<'_>,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        if view.discovered && !self.discovered {
            self.discovered = true;
            events.push(Event::Discovered {
                final_url: http::redact(&account().final_url),
                total: view.total,
                // What is kept as it is was not resumed.
                resumed: if view.route == Route::UpToDate { 0 } else { view.resumed },
                path: besides.path.map(Path::to_owned),
                connections: view.planned,
            });
        }
        let over = matches!(view.activity, Activity::Ending | Activity::Done);
        if !over && self.activity.as_ref() != Some(&view.activity) {
            self.activity = Some(view.activity.clone());
            events.push(Event::Phase(phase(&view.activity, besides)));
        }
        let changed = view.connections != self.connections;
        self.connections = view.connections;
        self.total = view.total;
        if changed {
            self.bytes = besides.bytes;
            events.push(self.event());
        } else {
            events.extend(self.progress(besides.bytes));
        }
        events
    }

    /// So many bytes are in place, and nothing else has changed.
    pub(super) fn progress(&mut self, bytes: u64) -> Option<Event> {
        let new = bytes != self.bytes;
        self.bytes = bytes;
        new.then(|| self.event())
    }

    fn event(&self) -> Event {
        Event::Progress { bytes: self.bytes, total: self.total, connections: self.connections }
    }
}

fn phase(activity: &Activity, besides: &Besides<'_>) -> Phase {
    match activity {
        Activity::Connecting => Phase::Connecting,
        Activity::Probing => Phase::Probing,
        Activity::Allocating { size } => Phase::Allocating { size: *size },
        Activity::Downloading => Phase::Downloading,
        Activity::Waiting { until, why } => {
            Phase::Waiting { delay: until.saturating_sub(besides.now), why: why.to_string() }
        }
        Activity::Publishing if besides.hashed => Phase::Verifying,
        Activity::Publishing | Activity::Ending | Activity::Done => Phase::Publishing,
    }
}
