//! What came of a file, and of all: in words and for machines. Pure.

use std::{path::Path, time::Duration};

use serde_json::json;
use uget::{Digest, http};

use crate::cli::report;

/// What came of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Every digest matches.
    Right,
    /// One does not.
    Wrong { demanded: Digest, found: Digest },
    /// There is no file.
    Missing,
    /// It could not be checked: why.
    Unreadable(String),
}

impl Verdict {
    /// As `sha256sum -c` tells it. What is missing and need not be there is told as well.
    pub(super) fn line(&self, name: &[u8], wrong: bool) -> String {
        let what = match self {
            Self::Right => "OK".to_owned(),
            Self::Wrong { .. } => "FAILED".to_owned(),
            Self::Missing if wrong => "MISSING".to_owned(),
            Self::Missing => return String::new(),
            Self::Unreadable(why) => format!("unreadable ({})", http::escape(why.as_bytes(), 200)),
        };
        format!("{}: {what}\n", shown(name))
    }

    /// The same for machines.
    pub(super) fn json(&self, name: &[u8], list: &Path, elapsed: Duration) -> String {
        let mut fields = json!({
            "name": String::from_utf8_lossy(name),
            "list": list.to_string_lossy(),
            "result": match self {
                Self::Right => "ok",
                Self::Wrong { .. } => "failed",
                Self::Missing => "missing",
                Self::Unreadable(_) => "unreadable",
            },
        });
        match self {
            Self::Wrong { demanded, found } => {
                fields["algorithm"] = json!(demanded.algorithm.name());
                fields["expected"] = json!(demanded.hex);
                fields["actual"] = json!(found.hex);
            }
            Self::Unreadable(why) => fields["why"] = json!(why),
            Self::Right | Self::Missing => {}
        }
        format!("{}\n", report::tagged("checked", elapsed, fields))
    }
}

/// How many files there are of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    right: usize,
    wrong: usize,
    missing: usize,
    unreadable: usize,
    /// Those that are missing and need not be there.
    ignored: usize,
}

impl Totals {
    /// Counts one; whether it is wrong.
    pub(super) fn count(&mut self, verdict: &Verdict, ignore_missing: bool) -> bool {
        let kind = match verdict {
            Verdict::Right => &mut self.right,
            Verdict::Wrong { .. } => &mut self.wrong,
            Verdict::Missing if ignore_missing => &mut self.ignored,
            Verdict::Missing => &mut self.missing,
            Verdict::Unreadable(_) => &mut self.unreadable,
        };
        *kind += 1;
        *verdict != Verdict::Right && !(ignore_missing && *verdict == Verdict::Missing)
    }

    /// What is wrong in all, if anything is.
    pub(super) fn failed(&self) -> Option<String> {
        let bad = self.wrong + self.missing + self.unreadable;
        if bad > 0 {
            let kinds = [
                (self.wrong, "FAILED"),
                (self.missing, "MISSING"),
                (self.unreadable, "unreadable"),
            ];
            let kinds = kinds.iter().filter(|(count, _)| *count > 0);
            let kinds: Vec<String> = kinds.map(|(count, kind)| format!("{count} {kind}")).collect();
            return Some(format!("not right: {} of {}", kinds.join(", "), files(bad + self.right)));
        }
        (self.right == 0).then(|| "none of the files is there: nothing was checked".to_owned())
    }

    /// That everything is right.
    pub(super) fn line(&self) -> String {
        let ignored = match self.ignored {
            0 => String::new(),
            count => format!(", {count} not there"),
        };
        format!("{} OK{ignored}\n", files(self.right))
    }

    /// All of it for machines.
    pub(super) fn json(&self, exit_code: u8, elapsed: Duration) -> String {
        let fields = json!({
            "ok": self.right,
            "failed": self.wrong,
            "missing": self.missing,
            "unreadable": self.unreadable,
            "ignored": self.ignored,
            "exit_code": exit_code,
        });
        format!("{}\n", report::tagged("summary", elapsed, fields))
    }
}

fn files(count: usize) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

/// A name as `sha256sum -c` shows it, with a backslash before it where there are some in it, and
/// safe for a terminal besides.
fn shown(name: &[u8]) -> String {
    if !name.iter().any(|octet| b"\\\n\r".contains(octet)) {
        return http::escape(name, usize::MAX);
    }
    let mut doubled = Vec::with_capacity(name.len() + 8);
    for &octet in name {
        doubled.push(octet);
        if octet == b'\\' {
            doubled.push(octet);
        }
    }
    format!("\\{}", http::escape(&doubled, usize::MAX))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use uget::Algorithm;

    use super::*;

    fn wrong() -> Verdict {
        let digest = |digit: &str| Digest::new(Algorithm::Md5, &digit.repeat(32)).unwrap();
        Verdict::Wrong { demanded: digest("1"), found: digest("2") }
    }

    #[test]
    fn lines() {
        let mut all = String::new();
        all += &Verdict::Right.line(b"dir/a b", false);
        all += &wrong().line(b"a\nb\\c\r", true);
        all += &Verdict::Missing.line(b"\x1b[2J\xff", true);
        all += &Verdict::Missing.line(b"ignored", false);
        all += &Verdict::Unreadable("permission denied".to_owned()).line("ü".as_bytes(), true);
        expect![[r#"
            dir/a b: OK
            \a\nb\\c\r: FAILED
            \u{1b}[2J\xff: MISSING
            ü: unreadable (permission denied)
        "#]]
        .assert_eq(&all);
    }

    #[test]
    fn machines_are_told_why() {
        let time = Duration::from_millis(1500);
        let mut all = String::new();
        all += &Verdict::Right.json(b"a", Path::new("-"), time);
        all += &wrong().json(b"a\nb", Path::new("d/SUMS"), time);
        all += &Verdict::Unreadable("it is gone".to_owned()).json(b"\xff", Path::new("-"), time);
        let mut totals = Totals::default();
        assert!(!totals.count(&Verdict::Right, false));
        assert!(!totals.count(&Verdict::Missing, true));
        assert!(totals.count(&wrong(), false));
        all += &totals.json(100, time);
        expect![[r#"
            {"elapsed":1.5,"event":"checked","list":"-","name":"a","result":"ok","schema":1}
            {"actual":"22222222222222222222222222222222","algorithm":"md5","elapsed":1.5,"event":"checked","expected":"11111111111111111111111111111111","list":"d/SUMS","name":"a\nb","result":"failed","schema":1}
            {"elapsed":1.5,"event":"checked","list":"-","name":"�","result":"unreadable","schema":1,"why":"it is gone"}
            {"elapsed":1.5,"event":"summary","exit_code":100,"failed":1,"ignored":1,"missing":0,"ok":1,"schema":1,"unreadable":0}
        "#]].assert_eq(&all);
    }

    #[test]
    fn totals() {
        let mut totals = Totals::default();
        assert!(!totals.count(&Verdict::Missing, true));
        assert_eq!(totals.failed().unwrap(), "none of the files is there: nothing was checked");
        assert!(!totals.count(&Verdict::Right, true));
        assert_eq!(totals.failed(), None);
        assert_eq!(totals.line(), "1 file OK, 1 not there\n");
        assert!(totals.count(&Verdict::Missing, false));
        assert!(totals.count(&wrong(), true));
        assert!(totals.count(&Verdict::Unreadable(String::new()), true));
        assert_eq!(
            totals.failed().unwrap(),
            "not right: 1 FAILED, 1 MISSING, 1 unreadable of 4 files"
        );
    }
}
