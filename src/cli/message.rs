//! What people read: errors, hints, warnings, the summary. Every text is escaped here, whoever
//! wrote it, and nothing that cannot be written is worth failing for.

use std::io::{self, Write};

use uget::{Error, ErrorKind, Report, ReportedDigest, Strategy};

use super::text;

/// Writes lines to standard error. A closed or full one is ignored: the exit code says the rest.
pub(crate) fn to_stderr(lines: &str) {
    let mut err = io::stderr().lock();
    let _ = err.write_all(lines.as_bytes()).and_then(|()| err.flush());
}

/// Writes lines to standard output, with the same indifference: what was downloaded is downloaded.
pub(crate) fn to_stdout(lines: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(lines.as_bytes()).and_then(|()| out.flush());
}

/// `uget: WHAT` and, where something can be done, `hint: ...`, each with its line end.
pub(crate) fn error(error: &Error) -> String {
    let what = line(&error.to_string());
    match hint(error) {
        Some(hint) => format!("{what}hint: {}\n", text::escape(&hint)),
        None => what,
    }
}

/// One line with the program's name before it.
pub(crate) fn line(what: &str) -> String {
    format!("uget: {}\n", text::escape(what))
}

/// A line that warns.
pub(crate) fn warning(what: &str) -> String {
    line(&format!("warning: {what}"))
}

/// What can be done: what the error itself says, else what its kind suggests.
pub(crate) fn hint(error: &Error) -> Option<String> {
    let of_kind = || match error.kind() {
        ErrorKind::Usage => Some("try 'uget --help'"),
        ErrorKind::BadUrl => Some("a URL looks like https://host/path"),
        ErrorKind::ResolveProxy => Some("--noproxy '*' goes without a proxy"),
        ErrorKind::Status(401) => Some("-u USER:PASS, --netrc or -H send credentials"),
        ErrorKind::Status(407) => Some("--proxy http://USER:PASS@HOST:PORT sends credentials"),
        ErrorKind::Status(429 | 503) => Some("fewer connections (-j) or more --retries may help"),
        ErrorKind::Range => Some("-j1 downloads in one stream"),
        ErrorKind::CannotResume => Some("--no-resume starts anew"),
        ErrorKind::TooManyRedirects => Some("--max-redirs raises the limit"),
        ErrorKind::Certificate => Some("--cacert FILE trusts another authority"),
        ErrorKind::TooLarge => Some("--max-size raises the limit"),
        ErrorKind::Changed => Some("--restart-on-change starts over by itself"),
        ErrorKind::Internal => Some("this is a defect of uget; please report it"),
        ErrorKind::ResolveHost
        | ErrorKind::Connect
        | ErrorKind::Protocol
        | ErrorKind::Partial
        | ErrorKind::Status(_)
        | ErrorKind::Write
        | ErrorKind::Timeout
        | ErrorKind::TlsHandshake
        | ErrorKind::Receive
        | ErrorKind::Digest
        | ErrorKind::Archive
        | ErrorKind::Coding
        | ErrorKind::Cancelled(_) => None,
    };
    error.hint().map(str::to_owned).or_else(|| of_kind().map(str::to_owned))
}

/// What clap found wrong, as one of our errors: its first paragraph in one line, its tip as hint.
pub(crate) fn usage(error: &clap::Error) -> Error {
    let rendered = error.render().to_string();
    let mut paragraphs = rendered.split("\n\n");
    let joined = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let what = joined(paragraphs.next().unwrap_or_default());
    let mut tips =
        paragraphs.map(joined).filter_map(|p| p.strip_prefix("tip: ").map(str::to_owned));
    // A flag that does not exist was seldom meant as a value.
    let tip = tips.find(|tip| !tip.starts_with("to pass"));
    let what = what.strip_prefix("error: ").unwrap_or(&what).to_owned();
    let error = Error::new(ErrorKind::Usage, what);
    match tip {
        Some(tip) => error.with_hint(tip),
        None => error,
    }
}

/// `NAME 1.00 GiB in 1.23s (832.52 MiB/s) with 16 connections, sha256 HEX verified`.
pub(crate) fn summary(report: &Report) -> String {
    let name = match &report.path {
        Some(path) => text::escape(&path.to_string_lossy()),
        None => "standard output".to_owned(),
    };
    let size = text::bytes(report.size);
    let mut line = match report.strategy {
        Strategy::UpToDate => format!("{name} {size}, up to date"),
        Strategy::Ranges | Strategy::Stream => format!(
            "{name} {size} in {}{} with {}",
            text::precise(report.elapsed),
            rate(report),
            connections(report.connections)
        ),
    };
    if report.resumed > 0 && report.strategy != Strategy::UpToDate {
        line += &format!(", {} from an earlier run", text::bytes(report.resumed));
    }
    if let Some(extracted) = report.extracted {
        let members = report.members.map(|n| members(n) + ", ").unwrap_or_default();
        line += &format!(", {members}{} unpacked", text::bytes(extracted));
    }
    for ReportedDigest { algorithm, value, verified, .. } in &report.digests {
        let verified = if *verified { " verified" } else { "" };
        line += &format!(", {algorithm} {value}{verified}");
    }
    if !report.verified_length {
        line += ", length unverified";
    }
    line.push('\n');
    line
}

/// ` (832.52 MiB/s)`; nothing where all bytes came at once, or none did.
fn rate(report: &Report) -> String {
    match text::average(report.transferred, report.transfer_elapsed) {
        none if none <= 0.0 => String::new(),
        rate => format!(" ({})", text::rate(rate)),
    }
}

/// `12 members`, `1 member`.
pub(crate) fn members(count: u64) -> String {
    if count == 1 { "1 member".to_owned() } else { format!("{count} members") }
}

/// `16 connections`, `1 connection`.
pub(crate) fn connections(n: usize) -> String {
    if n == 1 { "1 connection".to_owned() } else { format!("{n} connections") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use expect_test::{expect, expect_file};

    use super::*;

    const KINDS: [ErrorKind; 27] = [
        ErrorKind::Usage,
        ErrorKind::BadUrl,
        ErrorKind::ResolveProxy,
        ErrorKind::ResolveHost,
        ErrorKind::Connect,
        ErrorKind::Protocol,
        ErrorKind::Partial,
        ErrorKind::Status(401),
        ErrorKind::Status(404),
        ErrorKind::Status(407),
        ErrorKind::Status(429),
        ErrorKind::Status(503),
        ErrorKind::Write,
        ErrorKind::Timeout,
        ErrorKind::Range,
        ErrorKind::TlsHandshake,
        ErrorKind::CannotResume,
        ErrorKind::TooManyRedirects,
        ErrorKind::Receive,
        ErrorKind::Certificate,
        ErrorKind::TooLarge,
        ErrorKind::Digest,
        ErrorKind::Changed,
        ErrorKind::Archive,
        ErrorKind::Cancelled(2),
        ErrorKind::Cancelled(15),
        ErrorKind::Internal,
    ];

    #[test]
    fn every_kind_of_failure() {
        let all: String =
            KINDS.iter().map(|&kind| error(&Error::new(kind, format!("{kind:?}")))).collect();
        expect![[r#"
            uget: Usage
            hint: try 'uget --help'
            uget: BadUrl
            hint: a URL looks like https://host/path
            uget: ResolveProxy
            hint: --noproxy '*' goes without a proxy
            uget: ResolveHost
            uget: Connect
            uget: Protocol
            uget: Partial
            uget: Status(401)
            hint: -u USER:PASS, --netrc or -H send credentials
            uget: Status(404)
            uget: Status(407)
            hint: --proxy http://USER:PASS@HOST:PORT sends credentials
            uget: Status(429)
            hint: fewer connections (-j) or more --retries may help
            uget: Status(503)
            hint: fewer connections (-j) or more --retries may help
            uget: Write
            uget: Timeout
            uget: Range
            hint: -j1 downloads in one stream
            uget: TlsHandshake
            uget: CannotResume
            hint: --no-resume starts anew
            uget: TooManyRedirects
            hint: --max-redirs raises the limit
            uget: Receive
            uget: Certificate
            hint: --cacert FILE trusts another authority
            uget: TooLarge
            hint: --max-size raises the limit
            uget: Digest
            uget: Changed
            hint: --restart-on-change starts over by itself
            uget: Archive
            uget: Cancelled(2)
            uget: Cancelled(15)
            uget: Internal
            hint: this is a defect of uget; please report it
        "#]]
        .assert_eq(&all);
    }

    #[test]
    fn what_others_say_is_escaped_and_stays_one_line() {
        let hostile = Error::new(ErrorKind::Status(500), "says \"\u{1b}]0;x\u{7}\r\nuget: fine\"")
            .with_hint("a\u{202e}b\n");
        expect![[r#"
            uget: says "\u{1b}]0;x\u{7}\r\nuget: fine"
            hint: a\u{202e}b\n
        "#]]
        .assert_eq(&error(&hostile));
        assert_eq!(error(&hostile).lines().count(), 2);
    }

    #[test]
    fn usage_errors_of_clap_are_one_line_and_a_hint() {
        use clap::Parser;
        let refused = |args: &[&str]| match super::super::args::Cli::try_parse_from(args) {
            Ok(_) => panic!("accepted: {args:?}"),
            Err(why) => error(&usage(&why)),
        };
        let all = [
            refused(&["uget", "--qiet"]),
            refused(&["uget", "--frobnicate", "http://host/"]),
            refused(&["uget", "-o"]),
            refused(&["uget", "--max-time", "x\u{1b}[2J", "http://host/"]),
            refused(&["uget", "-o", "a", "-P", "b", "http://host/"]),
            refused(&["uget", "--spread-ips", "maybe", "http://host/"]),
            refused(&["uget", "serve", "--port", "x"]),
        ];
        expect_file!["golden/usage.txt"].assert_eq(&all.concat());
    }

    fn finished() -> Report {
        let mut report = Report::new("http://host/file.iso", "uring");
        report.path = Some("out/file.iso".into());
        report.size = 1 << 30;
        report.transferred = 1 << 30;
        report.strategy = Strategy::Ranges;
        report.connections = 16;
        report.elapsed = Duration::from_millis(1502);
        report.transfer_elapsed = Duration::from_millis(1250);
        report
    }

    #[test]
    fn summaries() {
        let mut all = summary(&finished());
        let mut verified = finished();
        verified.digests = vec![
            ReportedDigest::new("sha256", "ab12", true),
            ReportedDigest::new("md5", "cd34", false),
        ];
        verified.resumed = 1 << 29;
        verified.transferred = 1 << 29;
        all += &summary(&verified);
        let mut printed = finished();
        printed.digests = vec![ReportedDigest::new("md5", "ab12", false)];
        printed.path = None;
        printed.connections = 1;
        printed.verified_length = false;
        all += &summary(&printed);
        let mut there = finished();
        there.strategy = Strategy::UpToDate;
        there.path = Some("bad\u{1b}[2Jname".into());
        there.transferred = 0;
        there.resumed = there.size;
        all += &summary(&there);
        let mut empty = finished();
        empty.size = 0;
        empty.transferred = 0;
        empty.transfer_elapsed = Duration::ZERO;
        all += &summary(&empty);
        for members in [Some(1), Some(1204), None] {
            let mut unpacked = finished();
            (unpacked.members, unpacked.extracted) = (members, Some(5 << 20));
            all += &summary(&unpacked);
        }
        expect_file!["golden/summaries.txt"].assert_eq(&all);
    }
}
