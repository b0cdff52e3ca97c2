//! Every kind of line, cut anywhere; what the real programs write.

use std::{fs, process::Command};

use proptest::{collection::btree_set, prelude::*};

use super::*;
use crate::options::{Algorithm, Digest};

const MD5: &str = "900150983cd24fb0d6963f7d28e17f72";
const SHA1: &str = "a9993e364706816aba3e25717850c26c9cd0d89d";
const SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const OTHER: &str = "aa7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// The entries of a list named `SUMS` beside a file `beside`: names and `ALGO:HEX`, joined.
fn read(text: &[u8]) -> Result<Vec<(Vec<u8>, String)>, String> {
    let list = parse(text, b"SUMS", Some(b"beside")).map_err(|fault| fault.to_string())?;
    let told = |digests: &[Digest]| {
        let words: Vec<String> =
            digests.iter().map(|of| format!("{}:{}", of.algorithm.name(), of.hex)).collect();
        words.join(" ")
    };
    Ok(list.entries.iter().map(|entry| (entry.name.to_vec(), told(&entry.digests))).collect())
}

/// Lines that say one thing: the name, the algorithm. `{}` is the digest.
fn lines() -> Vec<(String, &'static [u8], Algorithm)> {
    let mut table = Vec::new();
    for (pattern, name) in [
        ("{}  a.iso", &b"a.iso"[..]),
        ("{} *a.iso", b"a.iso"),
        ("{} a.iso", b"a.iso"),
        ("{}\ta.iso", b"a.iso"),
        ("  {}  a.iso", b"a.iso"),
        ("{}  a b  c ", b"a b  c "),
        ("{}  *a", b"*a"),
        ("{} **a", b"*a"),
        ("{}   a", b" a"),
        ("{}  -", b"-"),
        ("{}  --help", b"--help"),
        ("{}  ./a/../b", b"./a/../b"),
        ("{}  a\\nb", b"a\\nb"),
        ("{}  \u{fc}n\u{ef}", "\u{fc}n\u{ef}".as_bytes()),
        ("\\{}  a\\nb\\\\n\\r", b"a\nb\\n\r"),
        ("\\{} *\\\\", b"\\"),
        ("{}", b"beside"),
        ("{} ", b"beside"),
    ] {
        for (algorithm, hex) in [
            (Algorithm::Md5, MD5.to_owned()),
            (Algorithm::Sha1, SHA1.to_owned()),
            (Algorithm::Sha224, SHA256[..56].to_owned()),
            (Algorithm::Sha256, SHA256.to_owned()),
            (Algorithm::Sha384, SHA256.repeat(2)[..96].to_owned()),
            (Algorithm::Sha512, SHA256.repeat(2)),
        ] {
            table.push((pattern.replace("{}", &hex), name, algorithm));
        }
    }
    for (line, name) in [
        ("SHA256 (a.iso) = {}", &b"a.iso"[..]),
        ("SHA256(a.iso)= {}", b"a.iso"),
        ("SHA2-256(a.iso)= {}", b"a.iso"),
        ("sha-256 (a.iso) = {}", b"a.iso"),
        ("SHA256 (a) = b (c)) = {}", b"a) = b (c)"),
        ("SHA256 ( ) = {}", b" "),
        ("SHA256 (a\\nb) = {}", b"a\\nb"),
        ("\\SHA256 (a\\nb\\\\) = {}", b"a\nb\\"),
        ("SHA256 (a)={}  ", b"a"),
    ] {
        table.push((line.replace("{}", SHA256), name, Algorithm::Sha256));
    }
    table.push((format!("BLAKE3 (x) = {SHA256}"), b"x", Algorithm::Blake3));
    table.push((format!("MD5 (x) = {}", MD5.to_uppercase()), b"x", Algorithm::Md5));
    table
}

#[test]
fn every_kind_of_line() {
    for (line, name, algorithm) in lines() {
        for text in [
            line.clone(),
            format!("{line}\n"),
            format!("{line}\r\n"),
            format!("\u{feff}{line}\n"),
            format!("# b\n\n{line}\n#{line}x\n\n"),
            format!("{line}\n{line}\n"),
        ] {
            let entries = read(text.as_bytes()).unwrap_or_else(|why| panic!("{text:?}: {why}"));
            let [(found, digests)] = entries.as_slice() else { panic!("{text:?}: {entries:?}") };
            assert_eq!(found, name, "{text:?}");
            let digest = digests.strip_prefix(algorithm.name()).unwrap_or_else(|| panic!("{line}"));
            assert!(line.to_lowercase().contains(&digest[1..]), "{line}");
        }
    }
}

/// A list that was cut off somewhere is a fault, or says the same of a shorter name; what is left
/// of a digest alone matches nothing.
#[test]
fn every_line_cut_at_every_byte() {
    for (line, name, _) in lines() {
        let whole = read(line.as_bytes()).unwrap();
        for cut in 0..line.len() {
            let Ok(entries) = read(&line.as_bytes()[..cut]) else { continue };
            let [(found, digests)] = entries.as_slice() else { panic!("{entries:?}") };
            assert!(name.starts_with(found) || found == b"beside", "{line:?} cut at {cut}");
            if found == name && found != b"beside" {
                assert_eq!(*digests, whole[0].1, "{line:?} cut at {cut}");
            }
        }
    }
}

#[test]
fn what_is_no_list_is_refused_with_its_line() {
    let long = format!("{SHA256}0");
    for (text, why) in [
        ("", "there is no digest in it"),
        ("# nothing\n\n", "there is no digest in it"),
        ("<html>", "line 1: \"<html>\" is no line of a checksum file"),
        (&format!("{MD5}  a\nError\u{1b}"), "line 2: \"Error\\u{1b}\" is no line"),
        (&format!("{long}  a"), "line 1: 65 hex digits: uget knows no such digest"),
        (&format!("{MD5}  "), "line 1: the name is missing"),
        (&format!("{MD5} *"), "line 1: the name is missing"),
        (&format!("\\{MD5}"), "line 1: the name is missing"),
        (&format!("\\{MD5}  a\\tb"), "line 1: bad escape in the name"),
        (&format!("\\{MD5}  a\\"), "line 1: bad escape in the name"),
        (&format!("SHA256 () = {SHA256}"), "line 1: the name is missing"),
        (&format!("SHA256 (a) = {MD5}"), "line 1: expected 64 hex digits for sha256"),
        (&format!("SHA256 (a) {SHA256}"), "is no line"),
        ("SHA256 (a) = ", "is no line"),
        (&format!("({SHA256})"), "is no line"),
        ("4294967295 3 a", "is no line"),
        (&format!("{SHA256}  a\n{OTHER} *./a"), "line 2: a is listed with two digests of one kind"),
        (&format!("{SHA256}  a\n{OTHER}"), "line 2: a digest without a name in a list of names"),
        (&format!("{SHA256}\n{SHA256}  a"), "line 2: a digest without a name in a list of names"),
        (&format!("{SHA256}\n{OTHER}"), "line 2: beside is listed with two digests of one kind"),
    ] {
        let said = read(text.as_bytes()).expect_err(text);
        assert!(said.contains(why), "{text:?}: {said}");
    }
    let nameless = parse(SHA256.as_bytes(), b"SUMS", None).unwrap_err().to_string();
    assert!(nameless.contains("line 1: a digest without a name"), "{nameless}");
    let large = vec![b'\n'; MOST + 1];
    assert!(read(&large).unwrap_err().contains("64 MiB"));
}

#[test]
fn several_digests_of_a_name_are_one_entry() {
    let text = format!("MD5 (b) = {MD5}\n{SHA256}  a\nSHA1 (./b) = {SHA1}\n{SHA256} *a\n");
    let want = [
        (b"b".to_vec(), format!("md5:{MD5} sha1:{SHA1}")),
        (b"a".to_vec(), format!("sha256:{SHA256}")),
    ];
    assert_eq!(read(text.as_bytes()).unwrap(), want);
}

#[test]
fn lines_that_end_in_nul_hold_any_name() {
    let text = format!("{MD5}  a\nb\r\0{SHA256} *\\c\\n\0");
    let entries = read(text.as_bytes()).unwrap();
    assert_eq!(entries[0], (b"a\nb\r".to_vec(), format!("md5:{MD5}")));
    assert_eq!(entries[1], (b"\\c\\n".to_vec(), format!("sha256:{SHA256}")));
}

#[test]
fn unknown_algorithms_are_counted_and_check_nothing() {
    let text =
        format!("RMD160 (a) = 00ff\n{MD5}  a\nSIZE (b) = 12345\nSHA512/256 (b) = {SHA256}\n");
    let list = parse(text.as_bytes(), b"distinfo", None).unwrap();
    assert_eq!(list.unknown, Some(Unknown { count: 3, line: 1, tag: "RMD160".to_owned() }));
    assert_eq!(list.entries.iter().map(|entry| entry.digests.len()).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(list.digests(&[b"b"]), Err(Unlisted::Unknown));
}

#[test]
fn a_signed_message_is_what_is_between_its_armour() {
    let signed = format!(
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{SHA256}  a\n- {MD5}  b\n\
         -----BEGIN PGP SIGNATURE-----\n\niQEzBAEBCAAdFiEE\n=abcd\n-----END PGP SIGNATURE-----\n"
    );
    for text in [signed.clone(), signed.replace('\n', "\r\n"), format!("# x\n{signed}\n")] {
        let list = parse(text.as_bytes(), b"SHA256SUMS.asc", None).unwrap();
        assert!(list.signed);
        assert_eq!(list.entries.len(), 2);
        assert_eq!(list.entries[1].name, &b"b"[..]);
    }
    for cut in 0..signed.len() - 1 {
        assert!(read(&signed.as_bytes()[..cut]).is_err(), "cut at {cut}");
    }
    for text in [format!("{signed}{SHA1}  c\n"), format!("{SHA1}  c\n{signed}")] {
        assert!(read(text.as_bytes()).unwrap_err().contains("outside of the signed message"));
    }
    assert!(
        read(format!("{}{SHA1}  c", signed.replace("SHA256\n\n", "SHA256\n")).as_bytes()).is_err()
    );
}

#[test]
fn the_list_s_name_tells_what_it_lies_beside_and_blake3() {
    for (list, file) in [
        ("a.iso.sha256", Some("a.iso")),
        ("d/a.iso.SHA512SUM", Some("a.iso")),
        ("a.md5", Some("a")),
        ("a.iso", None),
        ("SHA256SUMS", None),
        (".sha256", None),
        ("d.sha256/", None),
        ("", None),
    ] {
        assert_eq!(beside(list.as_bytes()), file.map(str::as_bytes), "{list}");
    }
    for (name, algorithm) in [
        ("a.b3", Algorithm::Blake3),
        ("B3SUMS", Algorithm::Blake3),
        ("SHA256SUMS", Algorithm::Sha256),
    ] {
        let text = format!("{SHA256}  a");
        let list = parse(text.as_bytes(), name.as_bytes(), None).unwrap();
        assert_eq!(list.entries[0].digests[0].algorithm, algorithm, "{name}");
    }
}

#[test]
fn a_download_is_found_by_its_path_or_last_by_its_name() {
    let of = |digit: usize| format!("{digit:032x}");
    let names = ["a", "./x/b", "y/b", "x/c", "y/c", "z/only", "same/d", "also/d", "b", "..", "/"];
    let mut text = String::new();
    for (number, name) in names.iter().enumerate() {
        let number = if name.ends_with("/d") { 99 } else { number };
        text += &format!("{}  {name}\n", of(number));
    }
    let list = parse(text.as_bytes(), b"MD5SUMS", None).unwrap();
    let found = |paths: &[&str]| {
        let paths: Vec<&[u8]> = paths.iter().map(|path| path.as_bytes()).collect();
        list.digests(&paths).map(|digests| digests[0].hex.clone())
    };
    assert_eq!(found(&["/pub/a", "a"]), Ok(of(0)));
    assert_eq!(found(&["/download", "a"]), Ok(of(0)), "by the target");
    assert_eq!(found(&["/pub/a", "other"]), Ok(of(0)), "by the URL");
    assert_eq!(found(&["/elsewhere/only"]), Ok(of(5)), "by the last component");
    assert_eq!(found(&["/d"]), Ok(of(99)), "both say the same");
    assert_eq!(found(&["/x/c"]), Ok(of(3)));
    assert_eq!(found(&["/bb"]), Err(Unlisted::Absent));
    assert_eq!(found(&["/pub/A"]), Err(Unlisted::Absent));
    assert_eq!(found(&["/", ""]), Err(Unlisted::Absent));
    for paths in [&["/c"][..], &["/x/b"], &["/pub/a", "b"]] {
        let Err(Unlisted::Ambiguous(..)) = found(paths) else { panic!("{paths:?}") };
    }
}

#[test]
fn a_hundred_thousand_lines() {
    let mut text = String::new();
    for number in 0..100_000 {
        text += &format!("{number:064x}  dir/file-{number}\n");
    }
    let list = parse(text.as_bytes(), b"SHA256SUMS", None).unwrap();
    assert_eq!(list.entries.len(), 100_000);
    assert_eq!(list.entries[99_999].name, &b"dir/file-99999"[..]);
    assert!(list.digests(&[b"/dir/file-500"]).is_ok());
}

/// Any name of one component that a file can have.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let octet = prop_oneof![
        3 => any::<u8>(),
        2 => prop::sample::select(&b" \n\r\\*()=-#\t"[..]),
        1 => prop::sample::select(&b"0123456789abcdef"[..]),
    ];
    let octets = prop::collection::vec(octet, 1..20);
    octets.prop_filter("a name", |name| {
        !name.contains(&0) && !name.contains(&b'/') && name != b"." && name != b".."
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// What the real programs write is read as they meant it.
    #[test]
    fn what_coreutils_write_is_understood(names in btree_set(name(), 1..12)) {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
        let directory = tempfile::tempdir().unwrap();
        for name in &names {
            fs::write(directory.path().join(OsStr::from_bytes(name)), name).unwrap();
        }
        for (command, algorithm) in [
            ("md5sum", Algorithm::Md5),
            ("sha1sum", Algorithm::Sha1),
            ("sha224sum", Algorithm::Sha224),
            ("sha256sum", Algorithm::Sha256),
            ("sha384sum", Algorithm::Sha384),
            ("sha512sum", Algorithm::Sha512),
        ] {
            for flags in [&["--text"][..], &["--binary"], &["--tag"], &["--zero"]] {
                let run = Command::new(command)
                    .args(flags)
                    .arg("--")
                    .args(names.iter().map(|name| OsStr::from_bytes(name)))
                    .current_dir(directory.path())
                    .output()
                    .unwrap();
                prop_assert!(run.status.success());
                let list = parse(&run.stdout, b"SUMS", None).map_err(|why| {
                    TestCaseError::fail(format!("{why}: {}", run.stdout.escape_ascii()))
                })?;
                let found: Vec<&[u8]> = list.entries.iter().map(|entry| &*entry.name).collect();
                let want: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
                prop_assert_eq!(found, want);
                prop_assert!(list.entries.iter().all(|e| e.digests[0].algorithm == algorithm));
            }
        }
    }
}

proptest! {
    /// No text is too odd, and a list that is understood is understood again from what it says.
    #[test]
    fn whatever_it_is_nothing_panics(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&text, b"x", Some(b"y"));
    }
}
