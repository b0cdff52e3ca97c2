//! The house rules that neither rustfmt nor clippy knows, as a test: who may import whom, where
//! `unsafe` may be, how long things may get, which words are not used.
//!
//! A rule that is broken names the file, the line and what to do. An exception is a line in a list
//! here, with its reason.
#![expect(clippy::expect_used, reason = "a test that cannot read the sources must fail")]

#[path = "tidy/flags.rs"]
mod flags;
#[path = "tidy/rooms.rs"]
mod rooms;
#[path = "tidy/source.rs"]
mod source;

use std::path::Path;

use rooms::Arrows;
use source::{Source, files};

/// Which rooms a room may import, besides itself, and which crates (`*`: any but rustls). Every
/// room has its row, here and in CONTRIBUTING.md. What the root re-exports is `lib`'s.
const LAYERS: &[(&str, &[&str], &[&str])] = &[
    ("range", &[], &[]),
    // A calendar without a clock.
    ("http", &["range"], &["httparse", "time", "url"]),
    ("journal", &["range"], &["crc32fast"]),
    // URLs are what its commands are about; the parser is a pure crate.
    ("orders", &["range", "http", "journal"], &["url"]),
    ("transfer", &["range", "http", "journal", "orders"], &["url"]),
    ("fleet", &["range", "http", "journal", "orders", "transfer"], &["url"]),
    ("options", &["range", "http", "orders"], &["hex", "url"]),
    // Names and digests; how text is escaped.
    ("manifest", &["http", "options"], &[]),
    ("event", PURE, &["url"]),
    ("error", &["range", "http", "orders", "event"], &["libc"]),
    ("report", PURE, &["url"]),
    // It makes its failures where they happen, so it names their type.
    ("wire", &["range", "http", "orders", "options"], TLS),
    ("link", &["range", "http", "orders", "wire"], &["crc32fast"]),
    // The shells use whatever crate speaks to the machine.
    ("source", &["http"], &["*"]),
    ("net", &["http", "orders", "options", "source", "wire"], &["*"]),
    ("stream", &["range", "orders", "options"], &[]),
    ("unpack", &["http", "orders", "options"], &["*"]),
    (
        "files",
        &["range", "http", "journal", "orders", "options", "event", "stream", "unpack"],
        &["*"],
    ),
    ("credentials", &["http", "options", "error"], &["*"]),
    ("origin", &["range", "http", "wire"], &["*"]),
    (
        "engine",
        &[
            "range", "http", "journal", "orders", "transfer", "fleet", "options", "event", "error",
            "link", "net", "files", "wire", "unpack", "stream",
        ],
        &["*"],
    ),
    (
        "download",
        &[
            "range",
            "http",
            "orders",
            "transfer",
            "fleet",
            "options",
            "event",
            "error",
            "report",
            "link",
            "source",
            "net",
            "files",
            "stream",
            "credentials",
            "unpack",
            "engine",
            "manifest",
        ],
        &["*"],
    ),
    // The program sees the library from outside: its root, the origin, how text is escaped, and
    // what lists hold.
    ("cli", &[], &["*"]),
    ("main", &["cli"], &["*"]),
    ("lib", &["*"], &[]),
];

const PURE: &[&str] =
    &["range", "http", "journal", "orders", "transfer", "fleet", "link", "manifest"];

/// Crates of `wire`, which alone may name the first (and `origin`, which is the other side).
const TLS: &[&str] =
    &["rustls", "rustls_pki_types", "rustls_native_certs", "webpki", "webpki_roots", "rcgen"];

/// Rooms of the library that the program may name besides the root.
const SHOWN: &[&str] = &["origin", "http", "manifest"];

/// The files that may say `unsafe`. Every block in them has its reason (clippy sees to that).
const UNSAFE: &[&str] = &[
    // The program before `main`: descriptors 0 to 2 and inherited signals.
    "src/cli/inherited.rs",
    // Maps the part file to hash it; the only mapping there is.
    "src/cli/mapping.rs",
    // What the loops ask of the kernel for which there is no safe call.
    "src/engine/raw.rs",
];

/// Where a pure room would reach the world outside: time, disk, network, environment, threads,
/// randomness, and containers whose order changes from run to run.
const WORLD: &[&str] = &[
    "std::fs",
    "std::env",
    "std::thread",
    "std::process",
    "std::os",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::net::ToSocketAddrs",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::collections::HashMap",
    "std::collections::HashSet",
    "std::collections::hash_map",
    "std::hash::RandomState",
    "std::io",
    "std::path",
];

/// Lengths beyond which a thing is taken apart.
const FILE_LINES: usize = 500;
const TEST_LINES: usize = 700;
const FUNCTION_LINES: usize = 70;
const COLUMNS: usize = 100;

/// More fields than this, and a line of code does not know what it may touch.
const STRUCT_FIELDS: usize = 15;

/// Structs that are wide because they are lists: of what can be chosen, or of what is reported.
const WIDE: &[(&str, &str)] = &[
    ("src/options.rs", "Options"),
    ("src/orders/policy.rs", "Policy"),
    ("src/report.rs", "Report"),
];

/// Circles that are still there. This list only gets shorter.
const CIRCLES: &[&str] = &[];

/// Files that are longer, at most as long as here. This list only gets shorter.
const LONG_FILES: &[(&str, usize)] = &[];

/// Functions that are longer, at most as long as here. This list only gets shorter.
const LONG_FUNCTIONS: &[(&str, &str, usize)] = &[];

#[test]
fn rooms_import_only_what_lies_below_them() {
    let crates = dependencies();
    report(check(|source| layers(source, &crates)));
}

#[test]
fn every_room_is_on_the_page_and_every_row_is_a_room() {
    let page = read("CONTRIBUTING.md");
    let table = page.split("| room |").nth(1).and_then(|rest| rest.split("\n\n").next());
    let table = table.expect("the table of rooms");
    let rooms: std::collections::BTreeSet<String> =
        sources().iter().filter_map(|source| source.room().map(str::to_owned)).collect();
    let mut broken = Vec::new();
    for (room, ..) in LAYERS {
        if !rooms.contains(*room) {
            broken.push(format!("{room}: has a row, and is no room any more"));
        }
        if !table.contains(&format!("`{room}`")) {
            broken.push(format!("CONTRIBUTING.md: its table lacks {room}"));
        }
    }
    report(broken);
}

#[test]
fn no_room_goes_round_in_circles() {
    let circles = Arrows::of(&sources()).circles();
    let found: Vec<String> = circles.iter().map(|circle| circle.join(" ")).collect();
    let mut broken: Vec<String> = found
        .iter()
        .filter(|circle| !CIRCLES.contains(&circle.as_str()))
        .map(|circle| format!("{circle}: name each other in a circle"))
        .collect();
    let gone = CIRCLES.iter().filter(|circle| !found.iter().any(|other| other == *circle));
    broken
        .extend(gone.map(|circle| format!("{circle}: no circle any more; take it from the list")));
    report(broken);
}

#[test]
fn structs_are_narrow() {
    let mut broken = check(|source| {
        let wide = source.structs().into_iter().filter(|(_, _, fields)| *fields > STRUCT_FIELDS);
        let listed = |name: &str| WIDE.contains(&(&*source.path, name));
        wide.filter(|(name, ..)| !source.is_test() && !listed(name))
            .map(|(name, line, fields)| {
                format!(
                    "{}:{line}: {name} has {fields} fields; which belong together?",
                    source.path
                )
            })
            .collect()
    });
    for (path, name) in WIDE {
        let wide = sources().iter().any(|source| {
            source.path == *path
                && source.structs().iter().any(|(of, _, n)| of == name && *n > STRUCT_FIELDS)
        });
        if !wide {
            broken.push(format!("{path}: {name} is narrow or gone; take it from the list"));
        }
    }
    report(broken);
}

#[test]
fn pure_rooms_do_not_see_the_world() {
    report(check(world));
}

#[test]
fn unsafe_is_where_it_is_expected() {
    let mut broken = check(unsafety);
    for room in PURE {
        let module = format!("src/{room}/mod.rs");
        let path = if root().join(&module).exists() { module } else { format!("src/{room}.rs") };
        if !read(&path).contains("#![forbid(unsafe_code)]") {
            broken.push(format!("{path}: say #![forbid(unsafe_code)]"));
        }
    }
    for listed in UNSAFE {
        if !sources().iter().any(|s| s.path == *listed && s.has_word("unsafe")) {
            broken.push(format!("{listed}: has no unsafe any more; take it from the list"));
        }
    }
    report(broken);
}

#[test]
fn files_functions_and_lines_are_short() {
    let mut broken = check(lengths);
    for (path, _) in LONG_FILES {
        let lines = sources().iter().find(|s| s.path == *path).map(|s| s.text.lines().count());
        if lines.is_none_or(|lines| lines <= FILE_LINES) {
            broken.push(format!("{path}: is short or gone; take it from the list"));
        }
    }
    for (path, name, _) in LONG_FUNCTIONS {
        let long = sources().iter().any(|source| {
            let of = |f: &source::Function| f.name == *name && f.lines > FUNCTION_LINES;
            source.path == *path && source.functions().iter().any(of)
        });
        if !long {
            broken.push(format!("{path}: {name} is short or gone; take it from the list"));
        }
    }
    report(broken);
}

#[test]
fn words_mean_what_the_house_says() {
    report(check(words));
}

#[test]
fn every_file_says_which_room_it_is() {
    report(check(|source| {
        let first = source.text.lines().next().unwrap_or_default();
        let tells = first.strip_prefix("//! ").is_some_and(|text| text.len() > 10);
        (!tells).then(|| format!("{}:1: open with a //! line", source.path)).into_iter().collect()
    }));
}

#[test]
fn nothing_names_a_machine() {
    let texts = files(root(), &|path| {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        ["rs", "toml", "md", "sh", "yml", "lock", "txt"].iter().any(|e| name.ends_with(e))
            || path.parent().is_some_and(|p| {
                p.ends_with("scripts") || p.file_name().is_some_and(|n| n == ".ci")
            })
    });
    assert!(texts.len() > 50, "{texts:?}");
    let mut broken = Vec::new();
    for path in texts {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        for (line, content) in text.lines().enumerate() {
            for mark in [concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("../sha", "red")] {
                if content.contains(mark) {
                    broken.push(format!("{}:{}: {mark}", path.display(), line + 1));
                }
            }
        }
    }
    report(broken);
}

#[test]
fn the_readme_tells_the_truth() {
    let readme = read("README.md");
    let mut broken = Vec::new();
    let help =
        read("src/cli/golden/help.txt") + " --release --path --open --ignore-missing --zero ";
    for word in readme.split(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
        let Some(name) = word.strip_prefix("--").filter(|name| name.len() > 1) else { continue };
        let known = [" ", ",", "]", "["].iter().any(|end| help.contains(&format!("--{name}{end}")));
        if name.starts_with(|c: char| c.is_ascii_alphabetic()) && !known {
            broken.push(format!("README.md: there is no --{name}"));
        }
    }
    let help = read("src/cli/exit.rs");
    let help = help.split("Exit codes (").nth(1).and_then(|s| s.split('"').next());
    let codes = help.expect("the table of exit codes").replace("400", "");
    let section = readme.split("## Exit codes").nth(1).and_then(|s| s.split("\n## ").next());
    let table = section.expect("the exit codes").replace("400", "");
    if numbers(&codes) != numbers(&table) {
        broken.push("README.md: other exit codes than the program's".to_owned());
    }
    for row in read("src/cli/report.rs").lines().filter_map(|l| l.strip_prefix("//! | `")) {
        let fields = row.split(" | ").next().unwrap_or_default();
        if !readme.contains(&format!("| `{fields} |")) {
            broken.push(format!("README.md: the JSON table lacks `{fields}"));
        }
    }
    report(broken);
}

fn numbers(text: &str) -> std::collections::BTreeSet<u32> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

fn layers(source: &Source, crates: &[String]) -> Vec<String> {
    let Some(room) = source.room().filter(|_| !source.is_test()) else { return Vec::new() };
    let Some((_, rooms, allowed)) = LAYERS.iter().find(|(name, ..)| *name == room) else {
        return vec![format!("{}: {room} has no row in the table of rooms", source.path)];
    };
    let mut broken = Vec::new();
    for path in source.paths().iter().filter(|p| !p.test) {
        let (first, second) = (&*path.parts[0], &*path.parts[1]);
        let inner = second.starts_with(|c: char| c.is_lowercase());
        let wrong = if first == "crate" {
            // What the crate root re-exports is of the outer rooms.
            second != room && !rooms.contains(&second) && !rooms.contains(&"*")
        } else if first == "uget" {
            inner && path.parts.len() > 2 && !SHOWN.contains(&second)
        } else {
            let a_crate = crates.iter().any(|c| c == first) && !source.declares(first);
            a_crate && !allowed.contains(&first) && !(allowed.contains(&"*") && first != "rustls")
        };
        if wrong {
            broken.push(format!(
                "{}:{}: {room} may not import {}",
                source.path,
                path.line,
                path.parts.join("::")
            ));
        }
    }
    broken
}

fn world(source: &Source) -> Vec<String> {
    if source.is_test() || !source.room().is_some_and(|room| PURE.contains(&room)) {
        return Vec::new();
    }
    let paths = source.paths();
    let banned = paths.iter().filter(|path| {
        let text = path.parts.join("::") + "::";
        let words = text.starts_with("std::io::Error::");
        !path.test && !words && WORLD.iter().any(|world| text.starts_with(&format!("{world}::")))
    });
    banned
        .map(|p| format!("{}:{}: {} in a pure room", source.path, p.line, p.parts.join("::")))
        .collect()
}

fn unsafety(source: &Source) -> Vec<String> {
    let allowed = source.is_test() || UNSAFE.contains(&&*source.path);
    let found = source.identifiers().filter(|(word, ..)| *word == "unsafe" && !allowed);
    found.map(|(_, line, _)| format!("{}:{line}: unsafe, not on the list", source.path)).collect()
}

fn lengths(source: &Source) -> Vec<String> {
    let mut broken = Vec::new();
    let lines = source.text.lines().count();
    let usual = if source.is_test() { TEST_LINES } else { FILE_LINES };
    let listed = LONG_FILES.iter().find(|(path, _)| *path == source.path);
    if lines > listed.map_or(usual, |(_, lines)| *lines) {
        broken.push(format!("{}: {lines} lines; split it by concept", source.path));
    }
    for (number, line) in source.text.lines().enumerate() {
        let columns = line.chars().count();
        // A test's text is easier to read whole, and rustfmt leaves it alone.
        // A table's row cannot be broken, nor a drawing's.
        let text = source.is_test_line(number + 1) && !line.trim_start().starts_with("//")
            || line.trim_start().starts_with("//! |")
            || line.contains(['─', '│']);
        if columns > COLUMNS && !text {
            broken.push(format!("{}:{}: {columns} columns", source.path, number + 1));
        }
    }
    for function in source.functions() {
        let allowed = LONG_FUNCTIONS
            .iter()
            .find(|(path, name, _)| *path == source.path && *name == function.name)
            .map_or(FUNCTION_LINES, |(_, _, lines)| *lines);
        // A table of cases is as long as it is.
        if function.lines > allowed && !source.is_test_line(function.line) {
            let (name, lines) = (&function.name, function.lines);
            broken.push(format!("{}:{}: {name} has {lines} lines", source.path, function.line));
        }
    }
    broken
}

fn words(source: &Source) -> Vec<String> {
    let mut broken = Vec::new();
    let banned = [concat!("Man", "ager"), concat!("Hel", "per"), concat!("Ut", "il")];
    for (word, line, _) in source.identifiers() {
        if banned.iter().any(|b| word.contains(b)) {
            broken.push(format!("{}:{line}: {word} says nothing; name what it does", source.path));
        }
        if [concat!("to", "do"), concat!("unimple", "mented"), "dbg"].contains(&word) {
            broken.push(format!("{}:{line}: {word} is not finished", source.path));
        }
    }
    for path in source.paths().iter().filter(|p| !p.test && !source.is_test()) {
        if path.parts.ends_with(&["thread".to_owned(), "spawn".to_owned()]) {
            broken.push(format!("{}:{}: name the thread (Builder)", source.path, path.line));
        }
    }
    for function in source.functions() {
        if function.name.starts_with("get_") {
            broken.push(format!("{}:{}: {}: no get_", source.path, function.line, function.name));
        }
    }
    for (number, line) in source.text.lines().enumerate() {
        for mark in [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")] {
            if line.contains(mark) {
                broken.push(format!("{}:{}: {mark}: do it, or file it", source.path, number + 1));
            }
        }
    }
    broken
}

/// The crates of `[dependencies]`, as paths name them.
fn dependencies() -> Vec<String> {
    let manifest = read("Cargo.toml");
    let section = manifest.split("[dependencies]").nth(1).and_then(|s| s.split("\n[").next());
    let names = section.expect("dependencies").lines().filter_map(|line| line.split_once(" = "));
    names.map(|(name, _)| name.replace('-', "_")).collect()
}

fn check(rule: impl Fn(&Source) -> Vec<String>) -> Vec<String> {
    sources().iter().flat_map(rule).collect()
}

fn report(broken: Vec<String>) {
    assert!(broken.is_empty(), "{} broken\n{}", broken.len(), broken.join("\n"));
}

fn sources() -> Vec<Source> {
    let rust = files(root(), &|path| path.extension().is_some_and(|e| e == "rs"));
    assert!(rust.len() > 50, "only {} files found", rust.len());
    rust.iter()
        .map(|path| {
            let name = path.strip_prefix(root()).expect("below the root").to_str().expect("UTF-8");
            Source::new(name, std::fs::read_to_string(path).expect("UTF-8"))
        })
        .collect()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).expect("a file of the repository")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The rules, seen to fail.
mod rules {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source::new(path, text.to_owned())
    }

    fn paths(text: &str) -> Vec<String> {
        source("src/x.rs", text).paths().iter().map(|p| p.parts.join("::")).collect()
    }

    #[test]
    fn paths_are_found_and_nothing_else() {
        assert_eq!(
            paths("use a::{b, c::{d, e as f, self}, g::*};"),
            ["a::b", "a::c::d", "a::c::e", "a::c::self", "a::g::*"]
        );
        assert_eq!(paths("let x = std::fs::read(p)?.a::<B>();"), ["std::fs::read"]);
        assert_eq!(
            paths("// a::b\n/* c::d /* e::f */ */ \"g::h\" r#\"i::\"j\"# 'k' b\"l::m\""),
            [""; 0]
        );
        assert_eq!(paths("fn f<'a>(x: &'a b::C) -> Vec<d::E>"), ["b::C", "d::E"]);
        assert_eq!(paths("use a::{\n    b,\n    c,\n};\nuse d::e;"), ["a::b", "a::c", "d::e"]);
    }

    #[test]
    fn an_import_upwards_is_found() {
        let crates = ["url".to_owned(), "libc".to_owned(), "rustls".to_owned()];
        for (path, text, broken) in [
            ("src/http/x.rs", "use crate::range::RangeSet; use url::Url;", 0),
            ("src/http/x.rs", "use crate::{range::A, transfer::B};", 1),
            ("src/http/x.rs", "fn f() { libc::getpid(); }", 1),
            ("src/http/x.rs", "mod libc; use libc::c;", 0),
            ("src/http/x.rs", "mod other; use libc::c;", 1),
            ("src/http/x.rs", "use crate::ErrorKind;", 1),
            ("src/http/x.rs", "#[cfg(test)]\nmod tests { use crate::transfer::B; }", 0),
            ("src/transfer/x.rs", "use crate::engine::Engine;", 1),
            ("src/engine/x.rs", "use crate::{transfer::A, files::B}; use libc::c;", 0),
            ("src/net/x.rs", "use crate::files::A;", 1),
            ("src/attic/x.rs", "", 1),
            ("src/cli/x.rs", "use uget::{Report, origin::Origin}; use crate::cli::x::A;", 0),
            ("src/cli/x.rs", "use uget::transfer::Transfer;", 1),
            ("src/engine/x.rs", "use crate::download::Download;", 1),
            ("src/engine/x.rs", "use rustls::ClientConfig;", 1),
        ] {
            assert_eq!(layers(&source(path, text), &crates).len(), broken, "{path} {text}");
        }
    }

    #[test]
    fn a_circle_is_found() {
        let circles = |files: &[(&str, &str)]| {
            let sources: Vec<_> = files.iter().map(|(path, text)| source(path, text)).collect();
            Arrows::of(&sources).circles()
        };
        let two = ("src/net/mod.rs", "mod a; mod b; pub(crate) use a::A;");
        let names_b = ("src/net/a.rs", "use super::b::B;");
        let over_the_parent = ("src/net/b.rs", "use super::A;");
        assert_eq!(circles(&[two, names_b, over_the_parent]), [["net::a", "net::b"]]);
        let by_child = ("src/net/b.rs", "use crate::net::{a::A as C};");
        assert_eq!(circles(&[two, names_b, by_child]), [["net::a", "net::b"]]);
        let tested = ("src/net/b.rs", "#[cfg(test)]\nmod tests { use super::super::a::A; }");
        assert!(circles(&[two, names_b, tested]).is_empty());
        let parent = ("src/net/mod.rs", "mod a; use a::A; struct B;");
        let child = ("src/net/a.rs", "use super::B;");
        assert_eq!(circles(&[parent, child]), [["net", "net::a"]]);
        assert!(
            circles(&[("src/net/a.rs", "use crate::wire::B;"), ("src/wire/mod.rs", "")]).is_empty()
        );
    }

    #[test]
    fn fields_are_counted() {
        let text = "struct A;\nstruct B(u8, u8);\npub(crate) struct C<T: Into<u8>> {\n    \
                    #[cfg(test)]\n    pub(crate) a: Vec<(u8, u8)>,\n    b: fn(x: u8) -> T,\n}\n";
        assert_eq!(source("src/x.rs", text).structs(), [("C".to_owned(), 3, 2)]);
    }

    #[test]
    fn a_clock_in_a_pure_room_is_found() {
        for (text, broken) in [
            ("use std::time::{Duration, Instant};", 1),
            ("let t = std::time::Instant::now();", 1),
            ("use std::{collections::{BTreeMap, HashMap}, net::IpAddr};", 1),
            ("use std::fmt;", 0),
        ] {
            assert_eq!(world(&source("src/transfer/x.rs", text)).len(), broken, "{text}");
            assert_eq!(world(&source("src/engine/x.rs", text)).len(), 0);
        }
    }

    #[test]
    fn the_other_rules_fail_too() {
        assert_eq!(unsafety(&source("src/engine/x.rs", "unsafe { f() }")).len(), 1);
        assert_eq!(unsafety(&source("src/engine/x.rs", "// unsafe\n\"unsafe\"")).len(), 0);
        let long = format!("fn f() {{\n{}}}\n", "    g();\n".repeat(FUNCTION_LINES));
        assert_eq!(lengths(&source("src/x.rs", &long)).len(), 1);
        assert_eq!(lengths(&source("src/x.rs", &"é".repeat(COLUMNS))).len(), 0);
        assert_eq!(lengths(&source("src/x.rs", &"é".repeat(COLUMNS + 1))).len(), 1);
        let tested = format!(
            "{}\n#[cfg(test)]\nmod t {{\n{}\n}}",
            "x".repeat(COLUMNS + 1),
            "x".repeat(COLUMNS + 1)
        );
        assert_eq!(lengths(&source("src/x.rs", &tested)).len(), 1);
        assert_eq!(lengths(&source("src/x.rs", &"\n".repeat(FILE_LINES + 1))).len(), 1);
        let word = concat!(
            "struct Conn",
            "Man",
            "ager; fn get_it() { std::thread::spawn(f) } to",
            "do!()"
        );
        assert_eq!(words(&source("src/x.rs", word)).len(), 4);
    }
}
