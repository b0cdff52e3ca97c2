//! `--extract` of archives that are damaged, or want out.

use std::{collections::BTreeMap, fs, path::Path};

use crate::{
    KIB, MIB, e2e_test,
    extract::sample,
    support::{
        archive::{self, Archive, CODINGS, Entry},
        *,
    },
};

/// Everything below a directory, by path.
fn everything(top: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut next = vec![top.to_owned()];
    while let Some(path) = next.pop() {
        let data = fs::symlink_metadata(&path).unwrap();
        let content = if data.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        let link = fs::read_link(&path).unwrap_or_default();
        let what = format!("{:?} {:?} {content:?} {link:?}", data.file_type(), data.permissions());
        found.insert(path.to_string_lossy().into_owned(), what);
        if data.is_dir() {
            next.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found
}

/// The archive is refused with this code and these words, and nothing is left of it, here or
/// elsewhere.
fn refused(t: &Test, archive: Vec<u8>, code: i32, words: &str, args: &[&str]) {
    let canary = t.outside().join("canary");
    if !canary.exists() {
        fs::create_dir(&canary).unwrap();
        fs::write(canary.join("file"), "unharmed").unwrap();
    }
    let before = everything(t.outside());
    let origin = Origin::of(&Object::from_bytes(archive)).start();
    let output = t.uget(["-j2", "--extract", "dir"]).args(args).arg(origin.url()).run();
    output.fails(code).says(words);
    output.check(everything(t.outside()) == before, "something has changed");
}

e2e_test!(members_that_want_out, |t| {
    let real = || Archive::new().dir("real", 0o755).symlink("link", "real");
    let cases: Vec<(Archive, &str)> = vec![
        (Archive::new().file("../canary/file", "x"), "../canary/file: its name has .."),
        (Archive::new().file("a/../b", "x"), ".."),
        (Archive::new().file("/tmp/uget-absolute", "x"), "absolute"),
        (Archive::new().symlink("link", "/etc"), "link: it is a link to an absolute path"),
        (Archive::new().symlink("link", "../canary"), ".."),
        (Archive::new().symlink("a/link", "../b"), ".."),
        (Archive::new().hardlink("link", "../../canary/file"), "link"),
        (Archive::new().hardlink("link", "/etc/passwd"), "link"),
        (real().file("link/x", "x"), "link/x"),
        (real().hardlink("again", "link").file("again/x", "x"), "again/x"),
        (Archive::new().entry(&Entry::new(b'3', "null")), "null"),
        (Archive::new().entry(&Entry::new(b'4', "disk")), "disk"),
        (Archive::new().file("../\x1b[31mred", "x"), "red"),
    ];
    for (archive, words) in cases {
        refused(t, archive.end(), 102, words, &[]);
    }
});

e2e_test!(archives_that_are_damaged, |t| {
    let plain = sample(300 * KIB);
    for (name, coding) in CODINGS {
        let whole = coding(&plain);
        for at in [1, whole.len() / 3, whole.len() - 9000] {
            refused(t, whole[..at].to_vec(), 102, "", &[]);
        }
        if !name.is_empty() {
            refused(t, whole[..whole.len() - 1].to_vec(), 102, "truncated", &[]);
            let mut bent = whole.clone();
            bent[whole.len() / 2] ^= 0x40;
            refused(t, bent, 102, "damaged", &[]);
        }
        refused(t, [whole, b"noise".to_vec()].concat(), 102, "", &[]);
    }
    refused(t, Archive::new().file("a", "x").open(), 102, "truncated", &[]);
    refused(t, Vec::new(), 102, "empty", &[]);
    refused(t, b"<!DOCTYPE html><p>log in".to_vec(), 102, "HTML", &[]);
    refused(t, b"PK\x03\x04rest".to_vec(), 102, "unzip", &[]);
});

e2e_test!(archives_that_grow, |t| {
    let archive = Archive::new().file("a", vec![7; 700]).end();
    refused(t, archive.clone(), 63, "limit", &["--max-extracted", "699"]);
    let output = {
        let origin = Origin::of(&Object::from_bytes(archive)).start();
        t.uget(["--extract", "right", "--max-extracted", "700", &origin.url()]).run()
    };
    output.succeeds();
    let bomb = archive::zst(&Archive::new().file("zeros", vec![0; 100 * MIB]).end());
    refused(t, bomb, 102, "--max-extracted", &[]);
    let hole: [(&str, &[u8]); 3] = [
        ("GNU.sparse.size", b"1099511627776"),
        ("GNU.sparse.numblocks", b"1"),
        ("GNU.sparse.map", b"0,1"),
    ];
    let hole = Archive::new().pax(b'x', &hole).file("hole", "x").end();
    refused(t, hole, 102, "--max-extracted", &[]);
});

e2e_test!(few_descriptors_leave_nothing, |t| {
    let members = (0..20).fold(Archive::new(), |all, n| all.file(format!("d{n}/e/f"), "x"));
    let origin = Origin::of(&Object::from_bytes(members.end())).start();
    let mut failed = 0;
    for files in 8..24 {
        let args = ["-j1", "--extract", "dir", &origin.url()];
        let output = t.uget(args).sandbox(Sandbox::default().files(files)).run();
        if output.code() == Some(0) {
            t.holds_only(&output, &["dir"]);
            fs::rename(t.path("dir"), t.outside().join(files.to_string())).unwrap();
        } else {
            failed += 1;
            t.holds_only(&output, &[]);
        }
    }
    assert!(failed > 0);
});

e2e_test!(what_is_bad_is_told_while_the_server_is_silent, |t| {
    let bad = Archive::new().file("../x", "x").file("noise", Object::random(901, 2 * MIB).bytes());
    let origin = Origin::of(&Object::from_bytes(bad.end()))
        .mode(Mode::Stall { from: 0, times: usize::MAX, at: MIB as u64 })
        .start();
    let output = t.uget(["-j1", "--extract", "dir", &origin.url()]).run();
    output.fails(102).says("../x");
    output.check(output.took < at_once(), "it waited for the server");
    t.holds_only(&output, &[]);
});
