//! The binary's own rooms: arguments, messages, progress, signals, exit codes. They see the
//! library's public API only.

mod args;
mod bench;
mod check;
mod config;
mod exit;
mod inherited;
mod line;
mod mapping;
mod message;
mod progress;
mod report;
mod serve;
mod signal;
mod size;
mod text;

use std::{
    panic,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};

use clap::Parser;
use signal_hook::low_level;
use uget::{CommandSource, Download, Error, ErrorKind, Report};

use self::{
    args::{Cli, Command},
    config::{Job, Surroundings, Voice},
    progress::{Display, Ending, Screen},
};

/// Parses the command line, does what it says, and answers with the exit code.
pub(crate) fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => return refused(&message::usage(&error)),
        Err(help) => {
            message::to_stdout(&help.render().to_string());
            return ExitCode::SUCCESS;
        }
    };
    let done = match cli.command {
        Some(Command::Serve(args)) => serve::run(&args),
        Some(Command::Bench(args)) => bench::run(&args),
        Some(Command::Check(args)) => check::run(&args),
        None => config::job(cli, &Surroundings::of_process()).map(download),
    };
    done.unwrap_or_else(|error| refused(&error))
}

/// The end of a program that did not get to downloading.
fn refused(error: &Error) -> ExitCode {
    message::to_stderr(&message::error(error));
    ExitCode::from(exit::code(error.kind()))
}

fn download(job: Job) -> ExitCode {
    let voice = job.voice;
    if voice.stdout_is_data && inherited::stdout_was_closed() {
        let error = Error::new(ErrorKind::Write, "standard output is closed");
        return end(voice, &Ending::default(), &Err(error));
    }
    let made = match job.via {
        Some(command) => {
            let source = CommandSource::new(command, job.url);
            let url = source.url();
            Download::from_source(source, &url, job.options)
        }
        None => Download::new(&job.url, job.options),
    };
    let download = match made {
        Ok(download) => download.read_back(mapping::window),
        Err(error) => return end(voice, &Ending::default(), &Err(error)),
    };
    let canceller = download.canceller();
    let mut display = Display::start(voice, download.counter(), download.gauge());
    end_on_panic(display.screen());
    if let Err(why) = signal::watch(canceller, display.screen()) {
        display.warn(&format!("a signal would end this without cleaning up: {why}"));
    }
    job.warnings.iter().for_each(|what| display.warn(what));
    let result = download.run(&mut display);
    let ending = display.finish(&result);
    end(voice, &ending, &result)
}

/// A panic, on whatever thread, ends the process at once with one line that says what it was: a
/// download that waited for that thread would wait for ever. What is on disk then is what a crash
/// would leave, and can be resumed. With `RUST_BACKTRACE` set it is told at length besides.
fn end_on_panic(screen: Screen) {
    let usual = panic::take_hook();
    let before = AtomicBool::new(false);
    panic::set_hook(Box::new(move |what| {
        let code = i32::from(exit::code(ErrorKind::Internal));
        // To say so takes a thread, which may be the next to panic.
        if before.swap(true, Ordering::SeqCst) {
            low_level::exit(code);
        }
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
            usual(what);
        }
        let payload = what.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("no more is known");
        let place = what.location().map(|at| format!(" ({at})")).unwrap_or_default();
        screen.farewell(Some(Error::new(ErrorKind::Internal, format!("{text}{place}"))));
        low_level::exit(code);
    }));
}

/// Says how it ended: prose to standard error, results to standard output, unless the object
/// itself went there.
fn end(voice: Voice, ending: &Ending, result: &Result<Report, Error>) -> ExitCode {
    let results = if voice.stdout_is_data { message::to_stderr } else { message::to_stdout };
    let (json, code) = match result {
        Ok(report) => (report::success(report), 0),
        Err(error) => {
            if !ending.said {
                message::to_stderr(&message::error(error));
            }
            (report::failure(ending.url.as_deref(), error), exit::code(error.kind()))
        }
    };
    match result {
        // A stream of events ends with the result; nothing that is not one follows it.
        _ if voice.stdout_is_data && ending.said => {}
        _ if voice.json => results(&format!("{json}\n")),
        Ok(report) if !voice.quiet => results(&message::summary(report)),
        _ => {}
    }
    ExitCode::from(code)
}
