//! Shows a running download on standard error: a live line for people, events for machines, or
//! nothing; and the lines that stay. Nothing else writes there meanwhile.

use std::{
    io::{self, IsTerminal, Write},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, SyncSender},
    },
    thread::{self, JoinHandle, Thread},
    time::{Duration, Instant},
};

use console::Term;
use serde_json::Value;
use uget::{Counter, Error, Event, Gauge, Observer, Phase, Report};

use super::{
    args::ProgressMode,
    config::Voice,
    line::{self, Rate, View},
    message, report, text,
};

/// What is shown of one download, from before its start to after its end.
pub(crate) struct Display {
    voice: Voice,
    facts: Arc<Mutex<Facts>>,
    screen: Screen,
    events: Option<Events>,
}

impl Display {
    /// Shows a download whose bytes `counter` counts, and whose members `gauge`. The live line is
    /// there at once.
    pub(crate) fn start(voice: Voice, counter: Counter, gauge: Gauge) -> Self {
        let facts = Arc::new(Mutex::new(Facts::new(counter, gauge)));
        let live = match voice.progress {
            ProgressMode::Auto => voice.live_allowed && io::stderr().is_terminal(),
            ProgressMode::Tty => true,
            ProgressMode::Json | ProgressMode::None => false,
        };
        let live = live.then(|| Live::start(Arc::clone(&facts)));
        let events = (voice.progress == ProgressMode::Json).then(Events::start);
        let screen = Screen { live, facts: Arc::clone(&facts), events: events.is_some() };
        Self { voice, facts, screen, events }
    }

    /// What takes the live line away from another thread.
    pub(crate) fn screen(&self) -> Screen {
        self.screen.clone()
    }

    /// A line that stays, said whatever else is shown, unless the user wants to hear nothing.
    pub(crate) fn warn(&self, what: &str) {
        self.tell(&Event::Warning(what.to_owned()));
    }

    /// The end: the live line goes, the last event comes.
    pub(crate) fn finish(mut self, result: &Result<Report, Error>) -> Ending {
        self.screen.erase();
        let facts = lock(&self.facts);
        let url = facts.url.clone();
        if let Some(events) = self.events.take() {
            let last = match result {
                Ok(report) => report::tagged("finished", facts.elapsed(), report::success(report)),
                Err(error) => {
                    let failure = report::failure(url.as_deref(), error);
                    report::tagged("failed", facts.elapsed(), failure)
                }
            };
            events.send(&last);
            events.join();
            return Ending { url, said: true };
        }
        Ending { url, said: false }
    }

    fn tell(&self, event: &Event) {
        if let Some(events) = &self.events {
            let facts = lock(&self.facts);
            let (elapsed, rate) = (facts.elapsed(), facts.recent_rate());
            drop(facts);
            let value = report::event(event, elapsed, rate);
            match event {
                Event::Progress { bytes, total, .. } if Some(*bytes) != *total => {
                    events.offer(&value);
                }
                _ => events.send(&value),
            }
            return;
        }
        if let Some(lines) = self.lasting(event) {
            self.screen.say(&lines);
        }
    }

    /// The lines that `event` leaves on the terminal.
    fn lasting(&self, event: &Event) -> Option<String> {
        match event {
            _ if self.voice.quiet => None,
            Event::Warning(what) => Some(message::warning(what)),
            Event::Note(what) if self.voice.verbose => Some(message::line(what)),
            Event::Discovered { final_url, total, resumed, path, connections } => {
                let mut lines = String::new();
                if self.voice.verbose || self.screen.live.is_some() {
                    let to = path.as_ref().map(|path| path.to_string_lossy());
                    let size = total.map(|n| format!(" ({})", text::bytes(n))).unwrap_or_default();
                    lines += &message::line(&format!(
                        "{final_url} -> {}{size} with {}",
                        to.as_deref().unwrap_or("standard output"),
                        message::connections(*connections)
                    ));
                }
                if *resumed > 0 {
                    lines += &message::line(&format!("resuming from {}", text::bytes(*resumed)));
                }
                (!lines.is_empty()).then_some(lines)
            }
            _ => None,
        }
    }
}

impl Observer for Display {
    fn on(&mut self, event: &Event) {
        lock(&self.facts).learn(event);
        self.tell(event);
        if let (Some(live), Event::Phase(_)) = (&self.screen.live, event) {
            live.redraw();
        }
    }
}

/// What is known after the end.
#[derive(Default)]
pub(crate) struct Ending {
    /// The URL, redacted, if it was usable.
    pub(crate) url: Option<String>,
    /// The result was told as an event; a line of prose would break the stream of them.
    pub(crate) said: bool,
}

/// Standard error with a live line on it, or without. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Screen {
    live: Option<Live>,
    facts: Arc<Mutex<Facts>>,
    events: bool,
}

impl Screen {
    /// Writes lines above the live line.
    fn say(&self, lines: &str) {
        match &self.live {
            Some(live) => {
                let mut line = lock(&live.line);
                line.erase();
                message::to_stderr(lines);
                line.draw();
            }
            None => message::to_stderr(lines),
        }
    }

    /// Takes the live line away; it does not come back. Any number of times.
    fn erase(&self) {
        if let Some(live) = &self.live {
            let mut line = lock(&live.line);
            line.erase();
            line.over = true;
        }
    }

    /// Takes the live line away and says why it all ends here, from any thread at any moment. Gives
    /// up soon when standard error does not take it: a terminal that was stopped with Ctrl-S, a
    /// full pipe, a line that is just being drawn by the thread that asks.
    pub(crate) fn farewell(&self, why: Option<Error>) {
        let screen = self.clone();
        let (done, wait) = mpsc::channel();
        let speak = move || {
            screen.erase();
            if let Some(why) = why {
                message::to_stderr(&screen.last_words(&why));
            }
            let _ = done.send(());
        };
        if thread::Builder::new().name("farewell".to_owned()).spawn(speak).is_ok() {
            let _ = wait.recv_timeout(FAREWELL_WITHIN);
        }
    }

    fn last_words(&self, why: &Error) -> String {
        if !self.events {
            return message::error(why);
        }
        let facts = lock(&self.facts);
        let failure = report::failure(facts.url.as_deref(), why);
        format!("{}\n", report::tagged("failed", facts.elapsed(), failure))
    }
}

/// The live line, drawn at once and then at a steady rate by a thread of its own, so that a
/// terminal that does not take it (Ctrl-S) stops nothing else. Where no thread can be had, it is
/// drawn with every phase alone.
#[derive(Clone)]
struct Live {
    line: Arc<Mutex<Line>>,
    drawer: Option<Thread>,
}

/// One line of a terminal that is written over.
struct Line {
    facts: Arc<Mutex<Facts>>,
    shown: bool,
    over: bool,
}

impl Live {
    fn start(facts: Arc<Mutex<Facts>>) -> Self {
        let line = Arc::new(Mutex::new(Line { facts, shown: false, over: false }));
        let drawn = Arc::clone(&line);
        let draw = move || {
            while lock(&drawn).draw() {
                thread::park_timeout(REDRAW_EVERY);
            }
        };
        let drawer = thread::Builder::new().name("progress".to_owned()).spawn(draw).ok();
        Self { line, drawer: drawer.map(|handle| handle.thread().clone()) }
    }

    /// Draws soon, not at the next beat.
    fn redraw(&self) {
        match &self.drawer {
            Some(drawer) => drawer.unpark(),
            None => {
                lock(&self.line).draw();
            }
        }
    }
}

impl Line {
    /// Draws what is true now; false when it is over. The width is that of standard error, where it
    /// is drawn; standard output may be anything.
    fn draw(&mut self) -> bool {
        if !self.over {
            let columns = usize::from(Term::stderr().size().1).saturating_sub(SPARE_COLUMNS);
            let text = lock(&self.facts).line(columns);
            message::to_stderr(&format!("\r{text}{ERASE_REST}"));
            self.shown = true;
        }
        !self.over
    }

    fn erase(&mut self) {
        if std::mem::take(&mut self.shown) {
            message::to_stderr(&format!("\r{ERASE_REST}"));
        }
    }
}

/// What events have told so far, and the counter.
struct Facts {
    counter: Counter,
    gauge: Gauge,
    rate: Rate,
    started: Instant,
    url: Option<String>,
    name: String,
    phase: Phase,
    phase_since: Instant,
    total: Option<u64>,
    resumed: u64,
    connections: usize,
}

impl Facts {
    fn new(counter: Counter, gauge: Gauge) -> Self {
        let now = Instant::now();
        Self {
            counter,
            gauge,
            rate: Rate::default(),
            started: now,
            url: None,
            name: String::new(),
            phase: Phase::Connecting,
            phase_since: now,
            total: None,
            resumed: 0,
            connections: 0,
        }
    }

    fn learn(&mut self, event: &Event) {
        match event {
            Event::Started { url } => {
                self.name = name_of_url(url);
                self.url = Some(url.clone());
            }
            Event::Phase(phase) => {
                self.phase = phase.clone();
                self.phase_since = Instant::now();
            }
            Event::Discovered { total, resumed, path, connections, .. } => {
                self.total = *total;
                self.resumed = *resumed;
                self.connections = *connections;
                if let Some(name) = path.as_ref().and_then(|path| path.file_name()) {
                    self.name = name.to_string_lossy().into_owned();
                }
                self.rate = Rate::default();
                self.rate.sample(self.elapsed(), *resumed);
            }
            Event::Progress { bytes, total, connections } => {
                self.total = *total;
                self.connections = *connections;
                self.resumed = self.resumed.min(*bytes);
                self.rate.sample(self.elapsed(), *bytes);
            }
            _ => {}
        }
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn recent_rate(&self) -> Option<f64> {
        self.rate.per_second(self.elapsed(), self.counter.bytes())
    }

    fn line(&mut self, columns: usize) -> String {
        let (now, bytes) = (self.elapsed(), self.counter.bytes());
        self.rate.sample(now, bytes);
        let members = self.gauge.members();
        let view = View {
            name: &self.name,
            phase: &self.phase,
            phase_for: self.phase_since.elapsed(),
            elapsed: now,
            bytes,
            resumed: self.resumed,
            total: self.total,
            connections: self.connections,
            rate: self.rate.per_second(now, bytes),
            members: (members > 0).then(|| (members, self.gauge.name(MEMBER_SHOWN))),
        };
        line::render(&view, columns)
    }
}

/// How much of a member's name is looked at, in characters.
const MEMBER_SHOWN: usize = 4096;

/// What the file will probably be called, before the answer says more.
fn name_of_url(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned()
}

/// Events on their way to standard error, one a line, written by a thread of its own so that a
/// slow reader does not hold the download up.
struct Events {
    queue: SyncSender<String>,
    writer: Option<JoinHandle<()>>,
}

impl Events {
    fn start() -> Self {
        let (queue, lines) = mpsc::sync_channel::<String>(QUEUED_EVENTS);
        let write = move || {
            // Not locked for longer than a line: a panic wants to be printed, too.
            for line in lines {
                let _ = io::stderr().write_all(line.as_bytes());
            }
        };
        let writer = thread::Builder::new().name("events".to_owned()).spawn(write).ok();
        Self { queue, writer }
    }

    /// Queues an event that must arrive.
    fn send(&self, event: &Value) {
        let _ = self.queue.send(format!("{event}\n"));
    }

    /// Queues an event that the next of its kind makes up for.
    fn offer(&self, event: &Value) {
        let _ = self.queue.try_send(format!("{event}\n"));
    }

    /// Waits until everything is written.
    fn join(self) {
        drop(self.queue);
        if let Some(writer) = self.writer {
            let _ = writer.join();
        }
    }
}

/// A panic elsewhere must not keep the terminal from being cleaned up.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// ECMA-48: from the cursor to the end of the line.
const ERASE_REST: &str = "\x1b[K";
const REDRAW_EVERY: Duration = Duration::from_millis(150);
const FAREWELL_WITHIN: Duration = Duration::from_millis(100);
/// Some terminals wrap when the last column is written.
const SPARE_COLUMNS: usize = 2;
const QUEUED_EVENTS: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Voice = Voice {
        quiet: true,
        verbose: false,
        json: false,
        progress: ProgressMode::None,
        live_allowed: false,
        stdout_is_data: false,
    };

    fn discovered(resumed: u64) -> Event {
        Event::Discovered {
            final_url: "http://host/x".to_owned(),
            total: Some(1 << 30),
            resumed,
            path: Some("x\u{1b}".into()),
            connections: 1,
        }
    }

    fn lasting(voice: Voice, event: &Event) -> Option<String> {
        Display::start(voice, Counter::default(), Gauge::default()).lasting(event)
    }

    #[test]
    fn what_stays_on_the_terminal() {
        let plain = Voice { quiet: false, ..QUIET };
        let verbose = Voice { verbose: true, ..plain };
        let resuming = "uget: resuming from 70.00 MiB\n";
        let announced = "uget: http://host/x -> x\\u{1b} (1.00 GiB) with 1 connection\n";
        let note = Event::Note("why\n".to_owned());
        let warning = Event::Warning("beware".to_owned());
        let table = [
            (plain, discovered(0), None),
            (plain, discovered(70 << 20), Some(resuming.to_owned())),
            (verbose, discovered(0), Some(announced.to_owned())),
            (verbose, discovered(70 << 20), Some(format!("{announced}{resuming}"))),
            (plain, note.clone(), None),
            (verbose, note.clone(), Some("uget: why\\n\n".to_owned())),
            (plain, warning.clone(), Some("uget: warning: beware\n".to_owned())),
            (QUIET, warning, None),
            (QUIET, note, None),
            (QUIET, discovered(70 << 20), None),
        ];
        for (voice, event, want) in table {
            assert_eq!(lasting(voice, &event), want, "{voice:?} {event:?}");
        }
    }

    #[test]
    fn names_before_the_answer() {
        let table = [
            ("http://host/a/b.iso?key=…", "b.iso"),
            ("http://host/a/", "a"),
            ("http://host/", "host"),
            ("", ""),
        ];
        for (url, want) in table {
            assert_eq!(name_of_url(url), want);
        }
    }

    /// OKX-08: what an earlier run left counts in the total, not in the rate, and is no first byte.
    #[test]
    fn okx_08_resumed_bytes_are_no_progress() {
        let mut facts = Facts::new(Counter::default(), Gauge::default());
        facts.learn(&discovered(1 << 29));
        facts.learn(&Event::Progress { bytes: 1 << 29, total: Some(1 << 30), connections: 4 });
        assert_eq!(facts.resumed, 1 << 29);
        assert_eq!(facts.rate.per_second(facts.elapsed() + Duration::from_secs(1), 1 << 29), None);
        // A restart throws them away.
        facts.learn(&Event::Progress { bytes: 0, total: Some(1 << 30), connections: 4 });
        assert_eq!(facts.resumed, 0);
    }
}
