//! Archives that want what they may not have.

use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};

use super::{
    archive::{Archive, CODINGS, Entry},
    world::{World, too_large, tree},
};
use crate::{options::Unpack, orders::Failure};

/// The archive is refused, and this is in the message.
fn refused(archive: &[u8], words: &str) {
    refused_by(&Unpack::default(), archive, words);
}

fn refused_by(plan: &Unpack, archive: &[u8], words: &str) {
    let failure = World::new().refuse(archive, plan);
    let text = failure.to_string();
    assert!(matches!(failure, Failure::Archive(_)), "{text}");
    assert!(text.contains(words), "{words:?} is not in {text:?}");
}

#[test]
fn names_that_lead_out() {
    for (name, words) in [
        ("../file", "../file: its name has .."),
        ("a/../../file", ".."),
        ("a/../b", ".."),
        ("..", ".."),
        ("a/..", ".."),
        ("/tmp/uget-absolute", "absolute"),
        ("//x", "absolute"),
        ("/", "absolute"),
        ("", "no name"),
    ] {
        refused(&Archive::new().file(name, "x").end(), words);
        refused(&Archive::new().file("first", "x").dir(name, 0o755).end(), words);
        refused(&Archive::new().symlink(name, "x").end(), words);
        refused(&Archive::new().file("x", "").hardlink(name, "x").end(), words);
        // The same as a long name, and in pax' words.
        if !name.is_empty() {
            refused(&Archive::new().long(b'L', name).file("x", "x").end(), words);
            let pax = Archive::new().pax(b'x', &[("path", name.as_bytes())]);
            refused(&pax.file("x", "x").end(), words);
            let sparse: [(&str, &[u8]); 4] = [
                ("GNU.sparse.name", name.as_bytes()),
                ("GNU.sparse.size", b"1"),
                ("GNU.sparse.numblocks", b"1"),
                ("GNU.sparse.map", b"0,1"),
            ];
            refused(&Archive::new().pax(b'x', &sparse).file("x", "x").end(), words);
        }
    }
    refused(&Archive::new().pax(b'x', &[("path", b"a\0b")]).file("x", "x").end(), "NUL");
    refused(&Archive::new().long(b'L', "a\0/../b").file("x", "x").end(), "NUL");
    refused(
        &Archive::new()
            .file("a".repeat(99) + "\x1b", "x")
            .long(b'L', [b'x'; 300])
            .file("", "")
            .end(),
        "too long",
    );
    // What is stripped is looked at, too.
    let plan = Unpack { strip_components: 2, ..Unpack::default() };
    refused_by(&plan, &Archive::new().file("../../x", "x").end(), "..");
    refused_by(&plan, &Archive::new().file("/a/b/c", "x").end(), "absolute");
}

#[test]
fn names_are_escaped() {
    let text =
        World::new().refuse(&Archive::new().file("../\x1b[2J\n", "").end(), &Unpack::default());
    assert!(text.to_string().chars().all(|c| !c.is_control()), "{text}");
}

#[test]
fn links_that_lead_out() {
    for (target, words) in [
        ("/etc/passwd", "absolute"),
        ("/", "absolute"),
        ("..", ".."),
        ("../canary", ".."),
        ("a/../b", ".."),
        ("./..", ".."),
        ("", "nothing"),
    ] {
        refused(&Archive::new().symlink("link", target).end(), words);
        if !target.is_empty() {
            refused(&Archive::new().long(b'K', target).symlink("link", "x").end(), words);
            let pax = Archive::new().pax(b'x', &[("linkpath", target.as_bytes())]);
            refused(&pax.symlink("link", "x").end(), words);
        }
        refused(
            &Archive::new().file("x", "").hardlink("link", target).end(),
            "links to what it may not",
        );
    }
    let pax = Archive::new().pax(b'x', &[("linkpath", b"a\0b")]);
    refused(&pax.symlink("link", "x").end(), "NUL");
    refused(&Archive::new().hardlink("link", "missing").end(), "not there");
    refused(&Archive::new().hardlink("link", "no/such").end(), "not there");
    refused(&Archive::new().dir("d", 0o755).hardlink("link", "d").end(), "directory");
    refused(&Archive::new().file("f", "").hardlink("link", "f/x").end(), "no directory");
    refused(&Archive::new().hardlink("link", ".").end(), "not extracted");
}

#[test]
fn nothing_is_written_through_links() {
    let way = "no directory";
    let linked = || Archive::new().dir("real", 0o755).symlink("link", "real");
    refused(&linked().file("link/x", "x").end(), way);
    refused(&linked().dir("link/x", 0o755).end(), way);
    refused(&linked().symlink("link/x", "y").end(), way);
    refused(&linked().file("y", "").hardlink("link/x", "y").end(), way);
    refused(&linked().file("real/x", "").hardlink("y", "link/x").end(), way);
    // By a chain, and to itself.
    refused(&linked().symlink("chain", "link").file("chain/x", "").end(), way);
    refused(&Archive::new().symlink("loop", "loop").file("loop/x", "").end(), way);
    // A directory becomes a link between two members in it.
    let swapped = Archive::new().dir("d", 0o755).dir("real", 0o755).symlink("d", "real");
    refused(&swapped.file("d/x", "").end(), way);
    // A hard link to a link is a link.
    refused(&linked().hardlink("again", "link").file("again/x", "").end(), way);
    refused(&Archive::new().file("f", "").file("f/x", "").end(), way);
}

#[test]
fn links_are_replaced_not_followed() {
    let world = World::new();
    let archive = Archive::new()
        .file("real", "old")
        .symlink("link", "real")
        .file("link", "new")
        .symlink("two", "real")
        .hardlink("three", "two")
        .file("three", "newer")
        .dir("d", 0o755)
        .symlink("to", "d")
        .dir("to", 0o755)
        .file("to/x", "x");
    let tree = world.accept(&archive.end(), &Unpack::default());
    let read = |name: &str| std::fs::read_to_string(world.target().join(name)).unwrap();
    assert_eq!(
        (read("real"), read("link"), read("three")),
        ("old".into(), "new".into(), "newer".into())
    );
    assert!(tree["two"].ends_with("-> \"real\""));
    assert!(tree["to"].ends_with("directory") && tree.contains_key("to/x"));
    assert!(!tree.contains_key("d/x"));
}

#[test]
fn the_last_of_a_name_wins() {
    let world = World::new();
    let archive = Archive::new()
        .file("a", "first")
        .hardlink("b", "a")
        .file("a", "second")
        .dir("empty", 0o755)
        .file("empty", "no more")
        .file("f", "")
        .dir("f", 0o755)
        .file("f/x", "x")
        .hardlink("a", "a");
    let tree = world.accept(&archive.end(), &Unpack::default());
    let read = |name: &str| std::fs::read_to_string(world.target().join(name)).unwrap();
    assert_eq!(
        (read("a"), read("b"), read("empty")),
        ("second".into(), "first".into(), "no more".into())
    );
    assert!(tree["f"].ends_with("directory"));
    refused(&Archive::new().file("d/x", "").file("d", "").end(), "something in it");
    refused(&Archive::new().file("d/x", "").symlink("d", "x").end(), "something in it");
    refused(&Archive::new().file(".", "").end(), "the directory itself");
}

#[test]
fn devices_are_refused() {
    for kind in [b'3', b'4', b'6'] {
        let archive =
            Archive::new().entry(&Entry { device: (1, 3), ..Entry::new(kind, "null") }).end();
        refused(&archive, "a device or a FIFO");
        if rustix::process::geteuid().is_root() || kind == b'6' {
            let world = World::new();
            let plan = Unpack { devices: true, ..Unpack::default() };
            world.accept(&archive, &plan);
            let data = std::fs::symlink_metadata(world.target().join("null")).unwrap();
            assert!(!data.is_file() && (kind != b'6' || data.file_type().is_fifo()));
        }
    }
    for kind in *b"MNAZ9" {
        refused(&Archive::new().entry(&Entry::new(kind, "x")).end(), "unknown kind");
    }
}

#[test]
fn set_user_id_is_dropped() {
    let setuid = Entry { mode: 0o6755, content: b"x".to_vec(), ..Entry::new(b'0', "su") };
    let archive = Archive::new().entry(&setuid).dir("d", 0o3777).end();
    let mode = |world: &World, name: &str| {
        std::fs::metadata(world.target().join(name)).unwrap().permissions().mode() & 0o7000
    };
    let world = World::new();
    world.accept(&archive, &Unpack::default());
    assert_eq!((mode(&world, "su"), mode(&world, "d")), (0, 0));
    let world = World::new();
    world.accept(&archive, &Unpack { preserve_setuid: true, ..Unpack::default() });
    assert_eq!((mode(&world, "su"), mode(&world, "d")), (0o6000, 0o3000));
}

#[test]
fn what_is_too_much() {
    let most = |most| Unpack { max_extracted: Some(most), ..Unpack::default() };
    let archive = Archive::new().file("a", [7; 600]).file("b", [7; 400]).end();
    World::new().accept(&archive, &most(1000));
    assert_eq!(World::new().refuse(&archive, &most(999)), too_large(999));
    // What a header says counts before anything is read, and the holes of sparse files do.
    let lies = Entry { size: Some(b"77777777777\0".to_vec()), ..Entry::new(b'0', "x") };
    let archive = Archive::new().entry(&lies).open();
    assert_eq!(World::new().refuse(&archive, &most(1 << 30)), too_large(1 << 30));
    let sparse: [(&str, &[u8]); 3] = [
        ("GNU.sparse.size", b"1000001"),
        ("GNU.sparse.numblocks", b"1"),
        ("GNU.sparse.map", b"0,1"),
    ];
    let archive = Archive::new().pax(b'x', &sparse).file("x", "x").end();
    assert_eq!(World::new().refuse(&archive, &most(1_000_000)), too_large(1_000_000));
}

#[test]
fn what_grows_too_much() {
    let zeros = Archive::new().file("zeros", vec![0; 100 << 20]).end();
    let (_, zst) = CODINGS[2];
    let archive = zst(&zeros);
    refused(&archive, "a thousand times");
    World::new().accept(&archive, &Unpack { max_extracted: Some(100 << 20), ..Unpack::default() });
}

#[test]
fn holes_grow_too() {
    let hole = |size: u64| {
        let size = size.to_string();
        let sparse: [(&str, &[u8]); 3] = [
            ("GNU.sparse.size", size.as_bytes()),
            ("GNU.sparse.numblocks", b"1"),
            ("GNU.sparse.map", b"0,1"),
        ];
        Archive::new().pax(b'x', &sparse).file("x", "x").end()
    };
    for (_, coding) in CODINGS {
        refused(&coding(&hole(1 << 30)), "a thousand times");
    }
    World::new().accept(&hole(63 << 20), &Unpack::default());
    let plan = Unpack { max_extracted: Some(1 << 30), ..Unpack::default() };
    World::new().extract(&hole(1 << 30), &plan).unwrap();
}

#[test]
fn what_is_not_known_to_be_whole() {
    let members = || Archive::new().file("a", [7; 700]);
    refused(&members().open(), "truncated");
    refused(&members().bytes(&[0; 512]).open(), "truncated");
    refused(&members().bytes(&[0; 512]).file("b", "").end(), "something follows");
    refused(&members().bytes(&[0; 1024]).bytes(b"noise").open(), "something follows");
    refused(&[members().end(), members().end()].concat(), "something follows");
    refused(&members().pax(b'x', &[("mtime", b"1")]).end(), "belongs to no member");
    World::new().accept(&members().bytes(&[0; 1024]).open(), &Unpack::default());
    World::new().accept(&members().bytes(&[0; 1024 + 77]).open(), &Unpack::default());
    World::new().accept(&Archive::new().end(), &Unpack::default());
    World::new().accept(&[0; 1024], &Unpack::default());
}

#[test]
fn headers_that_cannot_be_right() {
    let bent =
        |bend: fn(&mut [u8])| Archive::new().entry(&Entry { bend, ..Entry::new(b'0', "x") }).end();
    refused(&bent(|head| head[124..136].copy_from_slice(b"0000000000x\0")), "no number");
    refused(&bent(|head| head[100..108].copy_from_slice(b"-000644\0")), "no number");
    refused(&bent(|head| head[124..136].fill(0xff)), "no number");
    refused(
        &bent(|head| {
            head[124..136].copy_from_slice(b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
        }),
        "no number",
    );
    let huge =
        bent(|head| head[124..136].copy_from_slice(b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"));
    refused(&huge, "truncated");
    let mut sum = Archive::new().file("a", "").file("b", "").end();
    sum[512] ^= 1;
    refused(&sum, "checksum");
    refused(
        &Archive::new().pax(b'x', &[("size", b"9223372036854775808")]).file("x", "").end(),
        "cannot be read",
    );
    refused(&Archive::new().pax(b'g', &[("path", b"y")]).file("x", "").end(), "for all");
    let long = Entry { content: vec![b'x'; 9 << 10], ..Entry::new(b'L', "long") };
    refused(&Archive::new().entry(&long).file("x", "").end(), "too long");
    let long = [b"600000 SCHILY.xattr.user.a=", &[b'x'; 599_972][..], b"\n"].concat();
    let one = Entry { content: long, ..Entry::new(b'x', "pax") };
    let world = World::new();
    world.extract(&Archive::new().entry(&one).file("x", "").end(), &Unpack::default()).unwrap();
    refused(&Archive::new().entry(&one).entry(&one).file("x", "").end(), "too long");
    let records = Entry { size: Some(b"00004000001\0".to_vec()), ..Entry::new(b'x', "pax") };
    refused(&Archive::new().entry(&records).file("x", "").end(), "too long");
}

#[test]
fn maps_that_cannot_be_right() {
    let mapped = |map: &str, size: &str, content: &[u8]| {
        let records: [(&str, &[u8]); 3] = [
            ("GNU.sparse.size", size.as_bytes()),
            ("GNU.sparse.numblocks", b"1"),
            ("GNU.sparse.map", map.as_bytes()),
        ];
        Archive::new().pax(b'x', &records).file("x", content).end()
    };
    World::new().accept(&mapped("0,1,5,2", "7", b"abc"), &Unpack::default());
    for (map, size) in [
        ("0,1,5,2", "6"),
        ("5,1,0,2", "9"),
        ("0,2,1,1", "9"),
        ("0,3,3", "9"),
        ("0,4", "9"),
        ("", "9"),
    ] {
        refused(&mapped(map, size, b"abc"), "");
    }
    let ahead: [(&str, &[u8]); 4] = [
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"x"),
        ("GNU.sparse.realsize", b"9"),
    ];
    let with = |map: &str| {
        let mut content = map.as_bytes().to_vec();
        content.resize(512, 0);
        Archive::new().pax(b'x', &ahead).file("y", [content.as_slice(), b"abc"].concat()).end()
    };
    let world = World::new();
    world.accept(&with("2\n0\n1\n7\n2\n"), &Unpack::default());
    assert_eq!(std::fs::read(world.target().join("x")).unwrap(), b"a\0\0\0\0\0\0bc");
    for map in ["2\n0\n1\n7\n", "1\n0\n4\n", "9999999999\n", "x\n", "\n", "1\n8\n3\n"] {
        refused(&with(map), "");
    }
}

#[test]
fn depth_costs_nothing_that_is_not_given_back() {
    let deep = "d/".repeat(200);
    let world = World::new();
    world.accept(
        &Archive::new().long(b'L', format!("{deep}x")).file("x", "x").end(),
        &Unpack::default(),
    );
    let before = tree(&world.path("canary"));
    let world = World::new();
    let bad =
        Archive::new().long(b'L', format!("{deep}x")).file("x", "x").dir("d", 0).file("../x", "");
    world.refuse(&bad.end(), &Unpack::default());
    assert_eq!(tree(&world.path("canary")).len(), before.len());
    refused(&Archive::new().long(b'L', "d/".repeat(300)).dir("x", 0o755).end(), "too long");
}

#[test]
fn what_is_no_archive() {
    refused(b"", "empty");
    refused(b"PK\x03\x04 and so on", "zip");
    refused(b"\n<!DOCTYPE html><title>log in</title>", "HTML");
    refused(b"<html>", "HTML");
    refused(b"hello\x1b[2J", "begins with \"hello");
    refused(&[7; 4096], "no known kind");
    refused(&[0; 511], "no known kind");
}
