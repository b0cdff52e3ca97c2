//! The binary's own rooms: arguments, messages, progress, signals, exit codes. They see the
//! library's public API only.

mod args;
mod config;
mod exit;
mod message;
mod size;
mod text;

use std::process::ExitCode;

use clap::Parser;
use uget::{Download, Error};

use self::{
    args::Cli,
    config::{Job, Surroundings},
};

/// Parses the command line, does what it says, and answers with the exit code.
pub(crate) fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => return failed(&message::usage(&error)),
        Err(help) => {
            message::to_stdout(&help.render().to_string());
            return ExitCode::SUCCESS;
        }
    };
    match config::job(cli, &Surroundings::of_process()) {
        Ok(job) => download(job),
        Err(error) => failed(&error),
    }
}

fn failed(error: &Error) -> ExitCode {
    message::to_stderr(&message::error(error));
    ExitCode::from(exit::code(error.kind()))
}

fn download(job: Job) -> ExitCode {
    let download = match Download::new(&job.url, job.options) {
        Ok(download) => download,
        Err(error) => return failed(&error),
    };
    if !job.voice.quiet {
        job.warnings.iter().for_each(|what| message::to_stderr(&message::warning(what)));
    }
    match download.run(&mut ()) {
        Ok(report) => {
            message::to_stdout(&message::summary(&report));
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error),
    }
}
