//! Targets: modes, directories, devices, links, rights, space.

use std::{
    fs,
    io::Read as _,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink},
    time::Duration,
};

use crate::{KIB, MIB, e2e_test, support::*};

e2e_test!(rt39_a_new_file_has_the_usual_mode, |t| {
    let object = Object::random(160, KIB);
    let origin = Origin::of(&object).start();
    for (umask, mode) in [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600), (0o027, 0o640)] {
        let name = format!("umask-{umask:o}");
        let output = t
            .uget(["-j4", "-o", &name, &origin.url()])
            .sandbox(Sandbox::default().umask(umask))
            .run();
        output.succeeds();
        assert_eq!(t.mode(&name), mode, "umask {umask:o}");
    }
});

e2e_test!(rt39_a_replaced_file_keeps_its_mode, |t| {
    let object = Object::random(161, KIB);
    let origin = Origin::of(&object).start();
    for mode in [0o600, 0o755, 0o400, 0o660] {
        let path = t.write("object.bin", "old");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let output = t.uget(["-o", "object.bin", &origin.url()]).run();
        t.delivers(&output, "object.bin", &object);
        assert_eq!(t.mode("object.bin"), mode);
        fs::remove_file(path).unwrap();
    }
});

e2e_test!(a_part_is_not_readable_by_more_than_its_file_will_be, |t| {
    let object = Object::random(162, 4 * MIB);
    let origin = Origin::of(&object).mode(Mode::Stall { from: 2, times: 9, at: 100 }).start();
    let path = t.write("object.bin", "old");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let running = t.uget(["-j4", "-o", "object.bin", "--chunk-size", "262144", &origin.url()]);
    let running = running.start();
    assert!(origin.log().wait(|all| all.len() > 3));
    std::thread::sleep(Duration::from_millis(200));
    for name in t.names().iter().filter(|name| name.starts_with('.')) {
        assert_eq!(t.mode(name) & 0o077, 0, "{name}");
    }
    drop(running);
});

e2e_test!(a_failure_leaves_the_old_file, |t| {
    let old = Object::random(163, KIB);
    let path = t.write("object.bin", old.bytes());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let inode = fs::metadata(&path).unwrap().ino();
    let object = Object::random(164, 4 * MIB);
    for (mode, code) in [
        (Mode::Status(404), 22),
        (Mode::Cut { from: 0, times: usize::MAX, at: 5000, end: End::Fin }, 18),
        (Mode::Flips { after: 2, to: Version::strong(object.clone(), "v2") }, 101),
    ] {
        let origin = Origin::of(&object).mode(mode).start();
        let args = ["-j4", "--retries", "0", "--chunk-size", "262144", "-o", "object.bin"];
        let output = t.uget(args).arg(origin.url()).run();
        output.fails(code);
        t.holds(&output, "object.bin", &old);
        let data = fs::metadata(&path).unwrap();
        assert_eq!((data.ino(), data.mode() & 0o777), (inode, 0o640));
    }
});

e2e_test!(lb08_an_existing_shorter_file_is_no_part, |t| {
    let object = Object::random(165, 4 * MIB);
    t.write("object.bin", &object.bytes()[..MIB]);
    let origin = Origin::of(&object).start();
    let output = t.uget(["-j4", "-o", "object.bin", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
    assert_eq!(origin.log().sent(), object.len());
    t.write("object.bin", "something else entirely");
    let origin = Origin::of(&object).start();
    let output = t.uget(["-j1", "-o", "object.bin", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
});

e2e_test!(rt20_a_directory_as_target, |t| {
    let object = Object::random(166, KIB);
    let origin = Origin::of(&object).start();
    fs::create_dir(t.path("into")).unwrap();
    symlink("into", t.path("link")).unwrap();
    for (target, name) in [
        ("into", "into/object.bin"),
        ("into/", "into/object.bin"),
        (".", "object.bin"),
        ("link", "into/object.bin"),
    ] {
        let output = t.uget(["-o", target, &origin.url()]).run();
        output.succeeds();
        t.holds(&output, name, &object);
        fs::remove_file(t.path(name)).unwrap();
    }
});

e2e_test!(a_missing_directory_is_known_before_any_traffic, |t| {
    let object = Object::random(167, KIB);
    let origin = Origin::of(&object).start();
    for args in [["-o", "no/such/file"], ["-P", "no/such"], ["-o", "missing/"]] {
        let before = origin.log().count();
        let output = t.uget(args).arg(origin.url()).run();
        // Making it is right, too.
        if !output.status.success() {
            output.fails_with(&[2, 23]);
            assert_eq!(origin.log().count(), before, "{args:?}: a request was made");
        }
    }
});

e2e_test!(a_file_where_a_directory_should_be, |t| {
    let origin = Origin::of(&Object::random(168, KIB)).start();
    t.write("file", "old");
    for args in [["-o", "file/x"], ["-P", "file"]] {
        let output = t.uget(args).arg(origin.url()).run();
        output.fails_with(&[2, 23]);
        assert_eq!(origin.log().count(), 0, "{args:?}: a request was made");
        t.holds_only(&output, &["file"]);
    }
});

e2e_test!(a_directory_without_rights_is_known_before_any_traffic, |t| {
    if !is_root() {
        return;
    }
    let origin = Origin::of(&Object::random(169, KIB)).start();
    t.give_to_nobody();
    fs::create_dir(t.path("locked")).unwrap();
    let output = t
        .uget(["-o", "locked/object.bin", &origin.url()])
        .sandbox(Sandbox::default().nobody())
        .run();
    output.fails(23).says("locked");
    assert_eq!(origin.log().count(), 0, "a request was made");
    let output = t.uget(["-P", "locked", &origin.url()]).sandbox(Sandbox::default().nobody()).run();
    output.fails(23);
    assert_eq!(origin.log().count(), 0, "a request was made");
});

e2e_test!(nobody_can_download, |t| {
    let object = Object::random(170, 4 * MIB);
    let origin = Origin::of(&object).start();
    t.give_to_nobody();
    let output = t.uget(["-j4", &origin.url()]).sandbox(Sandbox::default().nobody()).run();
    t.delivers(&output, "object.bin", &object);
});

e2e_test!(a_fifo_is_streamed_into_or_refused, |t| {
    let object = Object::random(171, 3 * MIB);
    let origin = Origin::of(&object).start();
    let path = t.path("fifo");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let reader = {
        let path = path.clone();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            fs::File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
            bytes
        })
    };
    let output = t.uget(["-j4", "-o", "fifo", &origin.url()]).run();
    output
        .check(fs::symlink_metadata(&path).unwrap().file_type().is_fifo(), "the fifo was replaced");
    t.holds_only(&output, &["fifo"]);
    if output.status.success() {
        assert!(object.difference(&reader.join().unwrap()).is_none());
    } else {
        // Lets the reader go.
        drop(fs::OpenOptions::new().write(true).open(&path));
        output.fails_with(&[2, 23]);
    }
});

e2e_test!(devices_are_written_not_replaced, |t| {
    let object = Object::random(172, 3 * MIB);
    let origin = Origin::of(&object).start();
    let output = t.uget(["-j4", "-o", "/dev/null", &origin.url()]).run();
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    assert!(!std::path::Path::new("/dev/.null.uget-part").exists());
    if !output.status.success() {
        output.fails_with(&[2, 23]);
    }
    let output = t.uget(["-j4", "-o", "/dev/stdout", &origin.url()]).run();
    assert!(fs::symlink_metadata("/dev/stdout").unwrap().file_type().is_symlink());
    if output.status.success() {
        let delivered = output.stdout.get(..object.bytes().len()).unwrap_or_default();
        output.check(object.difference(delivered).is_none(), "the stream is wrong");
    } else {
        output.fails_with(&[2, 23]);
    }
    t.holds_only(&output, &[]);
});

e2e_test!(a_full_device_is_a_write_error, |t| {
    let origin = Origin::of(&Object::random(173, 3 * MIB)).start();
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = t.uget(["-j4", "-o", "-", &origin.url()]).stdout(full()).run();
    output.fails(23);
    let output = t.uget(["-j4", "-o", "/dev/full", &origin.url()]).run();
    output.fails_with(&[2, 23]);
    assert!(fs::metadata("/dev/full").unwrap().file_type().is_char_device());
});

e2e_test!(a_reader_that_leaves_ends_it, |t| {
    let origin = Origin::of(&Object::random(174, 32 * MIB)).start();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let running = t.uget(["-j4", "-o", "-", &origin.url()]).stdout(writer).start();
    let mut byte = [0];
    reader.read_exact(&mut byte).unwrap();
    drop(reader);
    let output = running.wait();
    output.check(!output.status.success(), "not everything was delivered");
    output.check(output.took < at_once(), "it should have ended at once");
});

e2e_test!(a_link_as_target, |t| {
    let (old, object) = (Object::random(175, KIB), Object::random(176, 2 * MIB));
    t.write("real", old.bytes());
    symlink("real", t.path("link")).unwrap();
    let broken = Origin::of(&object).mode(Mode::Status(404)).start();
    t.uget(["-o", "link", &broken.url()]).run().fails(22);
    assert_eq!(fs::read_link(t.path("link")).unwrap().to_str(), Some("real"));
    assert_eq!(fs::read(t.path("real")).unwrap(), old.bytes());
    let origin = Origin::of(&object).start();
    let output = t.uget(["-j4", "-o", "link", &origin.url()]).run();
    output.succeeds();
    t.holds(&output, "link", &object);
    t.holds_only(&output, &["link", "real"]);
    symlink("nowhere", t.path("dangling")).unwrap();
    let output = t.uget(["-j4", "-o", "dangling", &origin.url()]).run();
    if output.status.success() {
        t.holds(&output, "dangling", &object);
    }
});

e2e_test!(ht19_a_full_disk_is_found_before_the_body, |t| {
    let Some(small) = SmallDisk::mount(t, 4 * MIB as u64) else { return };
    let origin = Origin::of(&Object::random(177, 24 * MIB)).start();
    for connections in ["-j1", "-j4"] {
        let before = origin.log().sent();
        let target = small.path("object.bin");
        let output = t.uget([connections, "-o"]).arg(&target).arg(origin.url()).run();
        output.fails(23);
        let sent = origin.log().sent() - before;
        output.check(sent < 12 * MIB as u64, &format!("{sent} bytes were fetched in vain"));
        let names = small.names();
        output.check(names.iter().all(|name| name.starts_with('.')), &format!("{names:?}"));
        let free = small.free();
        output.check(free > 3 * MIB as u64, &format!("only {free} bytes were given back"));
    }
});

e2e_test!(a_disk_that_fills_up_in_the_middle, |t| {
    let Some(small) = SmallDisk::mount(t, 4 * MIB as u64) else { return };
    let origin = Origin::of(&Object::random(178, 24 * MIB))
        .mode(Mode::IgnoreRange)
        .bend(|_, reply| reply.framing = Framing::Chunked(Chunked::default()))
        .start();
    for connections in ["-j1", "-j4"] {
        let target = small.path("object.bin");
        let output = t.uget([connections, "-o"]).arg(&target).arg(origin.url()).run();
        output.fails(23);
        let names = small.names();
        output.check(names.iter().all(|name| name.starts_with('.')), &format!("{names:?}"));
    }
});

e2e_test!(a_file_size_limit_is_an_error_not_a_signal, |t| {
    let object = Object::random(179, 8 * MIB);
    for chunked in [false, true] {
        let origin = Origin::of(&object)
            .bend(move |_, reply| {
                if chunked {
                    *reply = Reply::whole(&Version::strong(Object::random(179, 8 * MIB), "v1"));
                    reply.framing = Framing::Chunked(Chunked::default());
                }
            })
            .start();
        let output = t
            .uget(["-j4", "--retries", "1", &origin.url()])
            .sandbox(Sandbox::default().file_size(2 * MIB as u64))
            .run();
        t.refuses(&output, 23);
    }
});

e2e_test!(rt09_nothing_is_put_into_a_temporary_directory, |t| {
    let object = Object::random(180, 4 * MIB);
    let origin = Origin::of(&object).start();
    let elsewhere = t.outside().join("tmp");
    fs::create_dir(&elsewhere).unwrap();
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o555)).unwrap();
    let output = t.uget(["-j4", &origin.url()]).env("TMPDIR", &elsewhere).run();
    t.delivers(&output, "object.bin", &object);
    assert_eq!(fs::read_dir(elsewhere).unwrap().count(), 0);
});

e2e_test!(fsync_is_accepted, |t| {
    let object = Object::random(181, 2 * MIB);
    let origin = Origin::of(&object).start();
    let output = t.uget(["-j4", "--fsync", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
});

e2e_test!(the_directory_is_moved_meanwhile, |t| {
    let object = Object::random(182, 4 * MIB);
    let origin = Origin::of(&object).mode(Mode::Rate(4 * MIB as u64)).start();
    fs::create_dir(t.path("into")).unwrap();
    let args = ["-j2", "--chunk-size", "262144", "-o", "into/object.bin", &origin.url()];
    let running = t.uget(args).start();
    assert!(origin.log().wait(|all| all.len() > 3));
    fs::rename(t.path("into"), t.path("moved")).unwrap();
    let output = running.wait();
    if output.status.success() {
        t.holds(&output, "moved/object.bin", &object);
    } else {
        output.fails(23);
        assert!(!t.path("moved/object.bin").exists());
    }
});
