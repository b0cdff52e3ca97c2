//! The exit code of every kind of failure: curl's where curl has one, because scripts test those.

use uget::ErrorKind;

/// What the process exits with.
pub(crate) fn code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Internal => 1,
        ErrorKind::Usage => USAGE,
        ErrorKind::BadUrl => 3,
        ErrorKind::ResolveProxy => 5,
        ErrorKind::ResolveHost => 6,
        ErrorKind::Connect => 7,
        ErrorKind::Protocol => 8,
        ErrorKind::Partial => 18,
        ErrorKind::Status(_) => 22,
        ErrorKind::Write => 23,
        ErrorKind::Timeout => 28,
        ErrorKind::Range => 33,
        ErrorKind::TlsHandshake => 35,
        ErrorKind::CannotResume => 36,
        ErrorKind::TooManyRedirects => 47,
        ErrorKind::Receive => 56,
        ErrorKind::Certificate => 60,
        ErrorKind::Coding => 61,
        ErrorKind::TooLarge => 63,
        ErrorKind::Digest => 100,
        ErrorKind::Changed => 101,
        ErrorKind::Archive => 102,
        ErrorKind::Cancelled(signal) => by_signal(signal),
    }
}

/// What a shell reports for a process that died of `signal`; 130 where there was none.
pub(crate) fn by_signal(signal: i32) -> u8 {
    match u8::try_from(signal) {
        Ok(signal @ 1..=64) => 128 + signal,
        _ => 130,
    }
}

/// The command line makes no sense.
pub(crate) const USAGE: u8 = 2;

/// The table, for `--help`.
pub(crate) const HELP: &str = "\
Exit codes (curl's where curl has one):
    0  complete, and verified where a digest was given
    1  a defect of uget                   35  TLS handshake failed
    2  usage                              36  cannot resume from what is on disk
    3  bad URL                            47  too many redirects
    5  proxy not resolved                 56  receive failed
    6  host not resolved                  60  certificate not trusted
    7  cannot connect                     61  the content is badly coded
    8  the server broke HTTP              63  larger than --max-size or --max-extracted
   18  the transfer ended short          100  digest mismatch
   22  HTTP status 400 or above          101  the resource changed meanwhile
   23  write error                       102  the archive is damaged or refused
   28  timeout                       129/130/143  SIGHUP / SIGINT / SIGTERM
   33  ranges were required and refused";

#[cfg(test)]
mod tests {
    use super::*;

    /// Scripts depend on these numbers: a change here is a breaking change.
    #[test]
    fn codes_are_the_documented_ones() {
        let table = [
            (ErrorKind::Usage, 2),
            (ErrorKind::BadUrl, 3),
            (ErrorKind::ResolveProxy, 5),
            (ErrorKind::ResolveHost, 6),
            (ErrorKind::Connect, 7),
            (ErrorKind::Protocol, 8),
            (ErrorKind::Partial, 18),
            (ErrorKind::Status(404), 22),
            (ErrorKind::Status(503), 22),
            (ErrorKind::Write, 23),
            (ErrorKind::Timeout, 28),
            (ErrorKind::Range, 33),
            (ErrorKind::TlsHandshake, 35),
            (ErrorKind::CannotResume, 36),
            (ErrorKind::TooManyRedirects, 47),
            (ErrorKind::Receive, 56),
            (ErrorKind::Certificate, 60),
            (ErrorKind::Coding, 61),
            (ErrorKind::TooLarge, 63),
            (ErrorKind::Digest, 100),
            (ErrorKind::Changed, 101),
            (ErrorKind::Archive, 102),
            (ErrorKind::Cancelled(1), 129),
            (ErrorKind::Cancelled(2), 130),
            (ErrorKind::Cancelled(15), 143),
            (ErrorKind::Cancelled(0), 130),
            (ErrorKind::Cancelled(-1), 130),
            (ErrorKind::Cancelled(1 << 20), 130),
            (ErrorKind::Internal, 1),
        ];
        for (kind, want) in table {
            assert_eq!(code(kind), want, "{kind:?}");
        }
    }
}
