//! Every flag of `--help`, in each of its spellings, is an argument in some end-to-end test.

use crate::{read, report, sources};

/// The spellings of flags in the program's help: short, long and aliases.
fn spellings(help: &str) -> Vec<String> {
    let options = help.split_once("\nOptions:").map_or(help, |(_, rest)| rest);
    let words = options.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    let flag = |word: &&str| {
        let name = word.trim_start_matches('-');
        match word.len() - name.len() {
            1 => name.len() == 1,
            2 => name.len() > 1,
            _ => false,
        }
    };
    let mut found: Vec<String> = words.filter(flag).map(str::to_owned).collect();
    found.sort();
    found.dedup();
    found
}

/// Whether a test gives this flag to the program: as the beginning of a string, and of a word. A
/// short one may have its value behind it, as in `-j4`.
fn is_given(flag: &str, tests: &str) -> bool {
    let quoted = format!("\"{flag}");
    tests.match_indices(&quoted).any(|(at, _)| {
        let next = tests[at + quoted.len()..].chars().next().unwrap_or('"');
        match flag.starts_with("--") {
            true => !(next.is_ascii_alphanumeric() || next == '-'),
            false => !next.is_ascii_lowercase() && next != '-',
        }
    })
}

fn without_a_test(help: &str, tests: &str) -> Vec<String> {
    let missing = spellings(help).into_iter().filter(|flag| !is_given(flag, tests));
    missing.map(|flag| format!("{flag}: no end-to-end test gives it to the program")).collect()
}

#[test]
fn every_flag_has_a_test_that_gives_it() {
    let tests: Vec<String> = sources()
        .into_iter()
        .filter(|source| source.path.starts_with("tests/e2e"))
        .map(|source| source.text)
        .collect();
    report(without_a_test(&read("src/cli/golden/help.txt"), &tests.concat()));
}

#[test]
fn a_flag_without_a_test_is_found() {
    let help = "Usage: x --not-this\nOptions:\n  -o, --output <FILE>  Write it [alias: --out]\n  \
                -j <N>  As '-C -'; see --print[=<ALGO>]\n";
    assert_eq!(spellings(help), ["--out", "--output", "--print", "-C", "-j", "-o"]);
    let tests = "[\"-o\", \"-j4\", \"--print=md5\", \"-C\", \"--out\"]";
    assert_eq!(without_a_test(help, tests).len(), 1);
    assert!(without_a_test(help, tests)[0].starts_with("--output:"));
    assert_eq!(without_a_test(help, "\"-old\" \"--output-dir\" // --out").len(), 6);
}
