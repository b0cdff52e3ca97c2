//! The head of the answer that was accepted, written to a file or to standard output.

use std::{
    fs::OpenOptions,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::sink;
use crate::{
    http::{self, response::Head},
    options::HeaderDump,
    orders::{Failure, StoreOp},
};

/// Where it goes.
#[derive(Debug)]
pub(crate) struct Dump {
    to: HeaderDump,
    /// What is there.
    written: Option<Arc<Head>>,
}

impl Dump {
    pub(crate) fn new(to: HeaderDump) -> Self {
        Self { to, written: None }
    }

    /// Writes a head as it came, unless it is there already. One of another version takes its
    /// place in a file.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn write(&mut self, head: &Arc<Head>) -> Result<(), Failure> {
        if self.written.as_ref().is_some_and(|written| Arc::ptr_eq(written, head)) {
            return Ok(());
        }
        let (path, written) = match &self.to {
            HeaderDump::File(path) => (path.clone(), to_file(path, &head.to_octets())),
            HeaderDump::Stdout => (PathBuf::from("standard output"), to_stdout(&head.to_octets())),
        };
        written.map_err(|error| sink::failure(StoreOp::Write, &path, &error))?;
        self.written = Some(Arc::clone(head));
        Ok(())
    }
}

fn to_file(path: &Path, octets: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    file.write_all(octets)
}

/// What a server says is hostile to a terminal.
fn to_stdout(octets: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if out.is_terminal() {
        for line in octets.split(|octet| *octet == b'\n') {
            writeln!(out, "{}", http::escape(line.trim_ascii_end(), LINE_MAX))?;
        }
    } else {
        out.write_all(octets)?;
    }
    out.flush()
}

/// Characters of a line that a terminal is shown.
const LINE_MAX: usize = 8 << 10;
