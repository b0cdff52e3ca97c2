//! What tar(1) makes, compared with what tar(1) makes of it again.

use std::{
    fs,
    os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
    process::Command,
};

use super::{
    archive::{self, Archive, Entry},
    world::{World, tree},
};
use crate::options::Unpack;

/// Runs tar(1).
fn tar(at: &Path, args: &[&str]) {
    let output = Command::new("tar").args(args).current_dir(at).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A tree with one of everything that all formats can hold.
fn plant(top: &Path) {
    let at = |name: &str| top.join(name);
    fs::create_dir_all(at("a/b/c")).unwrap();
    for size in [0, 1, 511, 512, 513, 100_000] {
        fs::write(at(&format!("a/{size}")), vec![b'x'; size]).unwrap();
    }
    fs::write(at("a/b/run"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(at("a/b/run"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(at("a/b/secret"), "x").unwrap();
    fs::set_permissions(at("a/b/secret"), fs::Permissions::from_mode(0o400)).unwrap();
    fs::hard_link(at("a/513"), at("a/b/same")).unwrap();
    symlink("b/run", at("a/link")).unwrap();
    symlink("nowhere", at("a/dangling")).unwrap();
    fs::create_dir(at("read-only")).unwrap();
    fs::write(at("read-only/file"), "x").unwrap();
    fs::write(at("naïve \u{1f980} name"), "x").unwrap();
    let holes = fs::File::create(at("holes")).unwrap();
    holes.set_len(8 << 20).unwrap();
    for piece in [0_u64, 1 << 20, 5 << 20] {
        holes.write_all_at(&[7; 5000], piece).unwrap();
    }
    Command::new("touch")
        .args(["-d", "2001-02-03T04:05:06.789", "a/1", "a/b"])
        .current_dir(top)
        .status()
        .unwrap();
    Command::new("touch")
        .args(["-h", "-d", "2002-02-03", "a/link"])
        .current_dir(top)
        .status()
        .unwrap();
    fs::set_permissions(at("read-only"), fs::Permissions::from_mode(0o555)).unwrap();
}

/// What is extracted of an archive is what tar(1) extracts of it.
fn compare(made: &Path) {
    let world = World::new();
    let own = world.path("own");
    fs::create_dir(&own).unwrap();
    tar(&own, &["-xf", made.to_str().unwrap()]);
    let mut ours = world.accept(&fs::read(made).unwrap(), &Unpack::default());
    let mut theirs = tree(&own);
    // Without a member for it, the directory itself has the time at which it was made.
    ours.remove("");
    theirs.remove("");
    assert_eq!(ours, theirs);
    // What has holes is no larger here than there.
    if let Ok(holes) = fs::metadata(own.join("holes")) {
        let blocks = fs::metadata(world.target().join("holes")).unwrap().blocks();
        assert!(blocks <= holes.blocks().max(100), "{blocks} blocks");
    }
}

#[test]
fn every_format() {
    let world = World::new();
    let from = world.path("from");
    plant(&from);
    for format in ["gnu", "oldgnu", "ustar", "pax", "v7"] {
        tar(&from, &["--format", format, "-cf", "../made", "a", "read-only", "holes"]);
        compare(&world.path("made"));
    }
    tar(&from, &["--format", "pax", "-cf", "../made", "."]);
    let extracted = world.accept(&fs::read(world.path("made")).unwrap(), &Unpack::default());
    assert_eq!(extracted, tree(&from));
}

#[test]
fn sparse_files() {
    let world = World::new();
    let from = world.path("from");
    plant(&from);
    // More pieces than a header holds.
    let many = fs::File::create(from.join("many")).unwrap();
    for piece in 0..100_u64 {
        many.write_all_at(&[1; 4096], piece << 16).unwrap();
    }
    many.set_len(100 << 16).unwrap();
    for args in [
        &["--format", "gnu"][..],
        &["--format", "oldgnu"],
        &["--format", "pax", "--sparse-version", "0.0"],
        &["--format", "pax", "--sparse-version", "0.1"],
        &["--format", "pax", "--sparse-version", "1.0"],
    ] {
        tar(&from, &[args, &["-S", "-cf", "../made", "holes", "many", "a"]].concat());
        compare(&world.path("made"));
    }
}

#[test]
fn long_names() {
    let world = World::new();
    let from = world.path("from");
    let deep = from.join("x".repeat(120)).join("y".repeat(200));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("z".repeat(250)), "x").unwrap();
    symlink("t".repeat(300), deep.join("link")).unwrap();
    fs::hard_link(deep.join("z".repeat(250)), deep.join("hard")).unwrap();
    for format in ["gnu", "oldgnu", "pax"] {
        tar(&from, &["--format", format, "-cf", "../made", "."]);
        compare(&world.path("made"));
    }
    // A name of ustar's two fields.
    let short = from.join("p".repeat(90)).join("q".repeat(90));
    fs::create_dir_all(&short).unwrap();
    tar(&from, &["--format", "ustar", "-cf", "../made", &"p".repeat(90)]);
    compare(&world.path("made"));
}

#[test]
fn attributes() {
    let world = World::new();
    let records: [(&str, &[u8]); 3] = [
        ("SCHILY.xattr.user.colour", b"blue"),
        ("SCHILY.xattr.security.capability", b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        ("mtime", b"1000000000.5"),
    ];
    let archive =
        Archive::new().pax(b'x', &records).entry(&Entry { mode: 0o444, ..Entry::new(b'0', "x") });
    let extracted = world.extract(&archive.end(), &Unpack::default()).unwrap();
    let path = world.target().join("x");
    let mut value = [0; 100];
    match rustix::fs::lgetxattr(&path, "user.colour", &mut value[..]) {
        Ok(length) => assert_eq!(&value[..length], b"blue"),
        // Some filesystems have none; then it is told.
        Err(_) => assert!(!extracted.is_empty()),
    }
    assert!(rustix::fs::lgetxattr(&path, "security.capability", &mut value[..]).is_err());
    let data = fs::metadata(path).unwrap();
    assert_eq!((data.mtime(), data.mtime_nsec()), (1_000_000_000, 500_000_000));
}

#[test]
fn owners() {
    let entry = Entry { owner: (1234, 5678), ..Entry::new(b'0', "x") };
    let archive = Archive::new().entry(&entry).entry(&Entry {
        kind: b'5',
        name: b"d".to_vec(),
        ..entry.clone()
    });
    let archive = archive
        .entry(&Entry { kind: b'2', name: b"l".to_vec(), link: b"x".to_vec(), ..entry.clone() })
        .end();
    for owner in [false, true] {
        let world = World::new();
        world.accept(&archive, &Unpack { same_owner: owner, ..Unpack::default() });
        for name in ["x", "d", "l"] {
            let data = fs::symlink_metadata(world.target().join(name)).unwrap();
            let root = rustix::process::geteuid().is_root();
            let theirs = (data.uid(), data.gid()) == (1234, 5678);
            assert_eq!(theirs, owner && root, "{name}");
        }
    }
}

#[test]
fn stripped() {
    let world = World::new();
    let archive = Archive::new()
        .dir("top", 0o700)
        .file("top/a", "x")
        .dir("top/d", 0o755)
        .file("top/d/b", "y")
        .hardlink("top/d/c", "top/a")
        .symlink("top/l", "d/b")
        .file("lost", "z")
        .end();
    let tree = world.accept(&archive, &Unpack { strip_components: 1, ..Unpack::default() });
    let names: Vec<&str> = tree.keys().map(String::as_str).collect();
    assert_eq!(names, ["", "a", "d", "d/b", "d/c", "l"]);
    // The first component is no member any more, so its mode is not the directory's.
    assert!(!tree[""].starts_with("700 "));
}

#[test]
fn a_dot_is_a_component() {
    let world = World::new();
    let archive = Archive::new()
        .dir("./", 0o700)
        .file("./a", "x")
        .dir("./d/", 0o755)
        .file("./d/b", "y")
        .hardlink("./d/c", "./a")
        .symlink("./l", "d/b")
        .end();
    let tree = world.accept(&archive, &Unpack { strip_components: 1, ..Unpack::default() });
    let names: Vec<&str> = tree.keys().map(String::as_str).collect();
    assert_eq!(names, ["", "a", "d", "d/b", "d/c", "l"]);
    assert!(tree["d/c"].contains("2 links") && !tree[""].starts_with("700 "));
}

#[test]
fn any_version_of_ustar_has_a_prefix() {
    let prefix = Entry { bend: |head| head[345] = b'p', ..Entry::new(b'0', "x") }.blocks();
    for (magic, want) in [
        (b"ustar\x0000", "p/x"),
        (b"ustar\0\0\0", "p/x"),
        (b"ustar\0  ", "p/x"),
        (b"ustar\x0001", "p/x"),
        // GNU has other things there.
        (b"ustar  \0", "x"),
    ] {
        let mut head = prefix.clone();
        head[257..265].copy_from_slice(magic);
        archive::sum(&mut head);
        let tree = World::new().accept(&Archive::new().bytes(&head).end(), &Unpack::default());
        assert_eq!(tree.keys().next_back().map(String::as_str), Some(want));
    }
}

#[test]
fn only_files_have_content() {
    let sized = |kind, name: &str| Entry {
        size: Some(b"00000002000\0".to_vec()),
        link: b"first".to_vec(),
        ..Entry::new(kind, name)
    };
    let mut archive = Archive::new().file("first", "x");
    let kinds = [(b'5', "d"), (b'2', "s"), (b'1', "h"), (b'6', "p"), (b'0', "old/")];
    for (kind, name) in kinds {
        archive = archive.entry(&sized(kind, name)).file(format!("behind-{kind}"), "x");
    }
    // But for a list of names, as an incremental archive has it.
    let list = Entry { content: vec![b'Y'; 700], ..Entry::new(b'D', "list") };
    let archive = archive.entry(&list).file("behind-all", "x").end();
    let tree = World::new().accept(&archive, &Unpack { devices: true, ..Unpack::default() });
    assert_eq!(tree.keys().filter(|name| name.starts_with("behind-")).count(), 6);
    assert!(tree["old"].ends_with("directory") && tree["list"].ends_with("directory"));
}

#[test]
fn directories_come_last() {
    let world = World::new();
    let old = |mode, name| Entry { mode, mtime: -5, ..Entry::new(b'5', name) };
    let archive = Archive::new()
        .entry(&old(0o555, "a"))
        .file("a/x", "x")
        .file("other", "")
        .file("a/y", "y")
        .file("b/implied", "z")
        .entry(&old(0o500, "b"))
        .file("b/more", "")
        .entry(&old(0o750, "."))
        .end();
    let tree = world.accept(&archive, &Unpack::default());
    assert_eq!(tree["a"], "555 -5.000000000 directory");
    assert_eq!(tree["b"], "500 -5.000000000 directory");
    assert_eq!(tree[""], "750 -5.000000000 directory");
}

#[test]
fn the_modes_of_old_headers() {
    let world = World::new();
    let old = |name: &str, kind| Entry {
        kind,
        mode: 0o755,
        bend: |head| head[257..500].fill(0),
        ..Entry::new(b'0', name)
    };
    let archive =
        Archive::new().entry(&old("d/", 0)).entry(&old("d/x", 0)).entry(&old("y", b'7')).end();
    let tree = world.accept(&archive, &Unpack::default());
    assert!(tree["d"].ends_with("directory") && tree.contains_key("d/x") && tree.contains_key("y"));
}
