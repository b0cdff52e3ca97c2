//! `--extract`: a directory that appears when the archive is whole and right.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    time::Duration,
};

use crate::{
    KIB, MIB, e2e_test,
    support::{
        archive::{Archive, CODINGS, Entry},
        *,
    },
    wire_test,
};

/// An archive of some members and `filler` bytes that no coding makes much smaller.
pub(crate) fn sample(filler: usize) -> Vec<u8> {
    let noise = Object::random(900, filler);
    Archive::new()
        .dir("top", 0o755)
        .dir("top/read-only", 0o555)
        .file("top/read-only/file", "small")
        .entry(&Entry {
            mode: 0o750,
            content: noise.bytes().to_vec(),
            ..Entry::new(b'0', "top/noise")
        })
        .symlink("top/link", "read-only/file")
        .hardlink("top/hard", "top/read-only/file")
        .end()
}

/// What was extracted is the sample.
fn is_sample(t: &Test, output: &Output, top: &Path, filler: usize) {
    output.succeeds();
    let noise = fs::read(top.join("noise")).unwrap();
    assert!(Object::random(900, filler).difference(&noise).is_none());
    let mode = |name: &str| fs::symlink_metadata(top.join(name)).unwrap().mode() & 0o777;
    assert_eq!((mode("noise"), mode("read-only")), (0o750, 0o555));
    assert_eq!(fs::read_to_string(top.join("link")).unwrap(), "small");
    let file = fs::metadata(top.join("read-only/file")).unwrap();
    assert_eq!((file.nlink(), file.mtime()), (2, 1_600_000_000));
    let hidden = t.names().into_iter().filter(|name| name.starts_with('.')).collect::<Vec<_>>();
    output.check(hidden.is_empty(), &format!("something is left: {hidden:?}"));
}

wire_test!(every_coding_is_extracted, |t| {
    for (name, coding) in CODINGS {
        let object = Object::from_bytes(coding(&sample(MIB)));
        let origin = Origin::of(&object).start();
        let connections: &[&str] = if name == "zst" { &["-j1", "-j4"] } else { &["-j4"] };
        for connections in connections {
            let into = format!("into-{name}{connections}");
            let args = [*connections, "--chunk-size", "262144", "--extract", &into, &origin.url()];
            let output = t.uget(args).run();
            is_sample(t, &output, &t.path(&into).join("top"), MIB);
        }
    }
});

e2e_test!(components_are_stripped_and_reported, |t| {
    let object = Object::from_bytes(archive::zst(&sample(KIB)));
    let origin = Origin::of(&object).start();
    let args = ["--extract", "a/b/", "--strip-components", "1", "--json", &origin.url()];
    let output = t.uget(args).run();
    is_sample(t, &output, &t.path("a/b"), KIB);
    let report = output.json();
    // The directory that is stripped is none.
    assert_eq!(report["members"], 5);
    assert_eq!(report["extracted"], KIB as u64 + 5);
    assert_eq!(report["size"], object.len());
    assert_eq!(report["path"], "a/b");
});

e2e_test!(a_dot_is_a_component, |t| {
    let archive = Archive::new().dir("./", 0o700).file("./a", "x").file("./d/b", "y").end();
    let origin = Origin::of(&Object::from_bytes(archive)).start();
    t.uget(["--extract", "dir", "--strip-components", "1", &origin.url()]).run().succeeds();
    assert_eq!(fs::read_to_string(t.path("dir/a")).unwrap(), "x");
    assert_eq!(fs::read_to_string(t.path("dir/d/b")).unwrap(), "y");
});

e2e_test!(a_digest_is_of_the_archive, |t| {
    let object = Object::from_bytes(archive::gzip(&sample(2 * MIB)));
    let origin = Origin::of(&object).start();
    let wrong = "0".repeat(64);
    let output = t.uget(["-j4", "--extract", "dir", "--sha256", &wrong, &origin.url()]).run();
    t.refuses(&output, 100);
    t.holds_only(&output, &[]);
    let output =
        t.uget(["-j4", "--extract", "dir", "--sha256", &object.sha256(), &origin.url()]).run();
    is_sample(t, &output, &t.path("dir/top"), 2 * MIB);
    assert_eq!(t.names(), ["dir"]);
});

e2e_test!(what_is_there_is_left_alone, |t| {
    let origin = Origin::of(&Object::from_bytes(sample(KIB))).start();
    fs::create_dir(t.path("dir")).unwrap();
    t.write("file", "mine");
    std::os::unix::fs::symlink("nowhere", t.path("link")).unwrap();
    for name in ["dir", "dir/", "file", "link", "."] {
        let output = t.uget(["--extract", name, &origin.url()]).run();
        output.fails(23);
        assert_eq!(origin.log().count(), 0, "{name}: a request was made");
        t.holds_only(&output, &["dir", "file", "link"]);
    }
    assert_eq!(fs::read_dir(t.path("dir")).unwrap().count(), 0);
    assert_eq!(fs::read_to_string(t.path("file")).unwrap(), "mine");
    assert!(fs::symlink_metadata(t.path("link")).unwrap().is_symlink());
});

e2e_test!(what_does_not_go_together, |t| {
    let origin = Origin::of(&Object::from_bytes(sample(KIB))).start();
    for args in [
        &["--extract", "dir", "-o", "file"][..],
        &["--extract", "dir", "-P", "."],
        &["--extract", "dir", "--remote-name"],
        &["--extract", "dir", "--decompress"],
        &["--extract", ""],
        &["--strip-components", "1"],
        &["--max-extracted", "1"],
        &["--devices"],
        &["--preserve-setuid"],
        &["--same-owner"],
    ] {
        t.uget(args).arg(origin.url()).run().fails(2);
    }
    assert_eq!(origin.log().count(), 0);
    assert_eq!(t.names(), Vec::<String>::new());
});

e2e_test!(nothing_has_the_name_until_all_is_there, |t| {
    let object = Object::from_bytes(sample(2 * MIB));
    let origin = Origin::of(&object)
        .mode(Mode::Stall { from: 0, times: usize::MAX, at: object.len() - 8 * KIB as u64 })
        .start();
    let args = ["-j1", "--extract", "dir", "--stall-timeout", "60", &origin.url()];
    let mut running = t.uget(args).start();
    let staged = t.path(".dir.uget-stage/top/read-only/file");
    while fs::symlink_metadata(&staged).is_err() {
        assert!(running.is_running());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(t.mode(".dir.uget-stage"), 0o700);
    // Another run on the same name fails, and leaves this one alone.
    let other = t.uget(["--extract", "dir", &origin.url()]).run();
    other.fails(23).says("another uget");
    assert!(running.is_running() && staged.exists());
    running.signal(libc::SIGTERM);
    let output = running.wait();
    output.fails(143);
    output.check(output.took < Duration::from_secs(20), "it took its time");
    t.holds_only(&output, &[]);
});

e2e_test!(what_a_kill_left_is_removed, |t| {
    let object = Object::from_bytes(sample(2 * MIB));
    let slow = Origin::of(&object)
        .mode(Mode::Stall { from: 0, times: usize::MAX, at: MIB as u64 })
        .start();
    let mut running = t.uget(["-j1", "--extract", "dir", &slow.url()]).start();
    while !t.path(".dir.uget-stage/top/noise").exists() {
        assert!(running.is_running());
        std::thread::sleep(Duration::from_millis(5));
    }
    running.signal(libc::SIGKILL);
    let output = running.wait();
    t.holds_only(&output, &[".dir.uget-stage"]);
    let origin = Origin::of(&object).start();
    let output = t.uget(["-j4", "--extract", "dir", &origin.url()]).run();
    is_sample(t, &output, &t.path("dir/top"), 2 * MIB);
    t.holds_only(&output, &["dir"]);
});

e2e_test!(a_server_that_fails_in_the_middle, |t| {
    let object = Object::from_bytes(archive::zst(&sample(4 * MIB)));
    for mode in [
        Mode::Cut { from: 0, times: 2, at: 100_000, end: End::Rst },
        Mode::IgnoreRange,
        Mode::Rate(8 * MIB as u64),
    ] {
        let origin = Origin::of(&object).mode(mode).start();
        let args = ["-j4", "--chunk-size", "262144", "--extract", "dir", &origin.url()];
        let output = t.uget(args).run();
        is_sample(t, &output, &t.path("dir/top"), 4 * MIB);
        fs::rename(t.path("dir"), t.outside().join(format!("{}", origin.address().port())))
            .unwrap();
    }
    let origin = Origin::of(&object)
        .mode(Mode::Cut { from: 0, times: usize::MAX, at: 5000, end: End::Fin })
        .start();
    let output = t.uget(["-j4", "--retries", "0", "--extract", "dir", &origin.url()]).run();
    output.fails_with(&[18, 56]);
    t.holds_only(&output, &[]);
});

e2e_test!(memory_is_bounded, |t| {
    // A file of 48 MiB in an archive that is not much smaller.
    let object = Object::from_bytes(archive::zst(&sample(48 * MIB)));
    let origin = Origin::of(&object).start();
    let args = ["-j8", "--memory", "8MiB", "--extract", "dir", &origin.url()];
    let output = t.uget(args).run();
    is_sample(t, &output, &t.path("dir/top"), 48 * MIB);
    let most = 24 * MIB as u64;
    // Without optimisation the program itself is larger.
    let most = if cfg!(debug_assertions) { most + 16 * MIB as u64 } else { most };
    output.check(output.peak < most, &format!("{} KiB", output.peak >> 10));
});

e2e_test!(bits_and_devices_take_a_flag, |t| {
    let setuid = Entry { mode: 0o4755, content: b"x".to_vec(), ..Entry::new(b'0', "su") };
    let fifo = Entry::new(b'6', "fifo");
    let object = Object::from_bytes(Archive::new().entry(&setuid).entry(&fifo).end());
    let origin = Origin::of(&object).start();
    let output = t.uget(["--extract", "dir", &origin.url()]).run();
    output.fails(102).says("fifo").says("--devices");
    t.holds_only(&output, &[]);
    t.uget(["--extract", "one", "--devices", &origin.url()]).run().succeeds();
    assert_eq!(t.mode("one/su"), 0o755);
    let args =
        ["--extract", "two", "--devices", "--preserve-setuid", "--same-owner", &origin.url()];
    t.uget(args).run().succeeds();
    assert_eq!(t.mode("two/su"), 0o4755);
});

e2e_test!(nobody_can_extract, |t| {
    let object = Object::from_bytes(archive::xz(&sample(KIB)));
    let origin = Origin::of(&object).start();
    t.give_to_nobody();
    let sandbox = || Sandbox::default().nobody().umask(0o027);
    let output = t.uget(["--extract", "dir", &origin.url()]).sandbox(sandbox()).run();
    output.succeeds();
    assert_eq!((t.mode("dir"), t.mode("dir/top/read-only")), (0o750, 0o550));
    // A read-only directory that is given up goes, too.
    let bad = Archive::new().dir("d", 0o555).file("d/x", "x").dir("e", 0).file("../x", "").end();
    let origin = Origin::of(&Object::from_bytes(bad)).start();
    let output = t.uget(["--extract", "bad", &origin.url()]).sandbox(sandbox()).run();
    output.fails(102);
    t.holds_only(&output, &["dir"]);
    fs::set_permissions(t.path("dir/top/read-only"), fs::Permissions::from_mode(0o755)).unwrap();
});

e2e_test!(progress_names_members, |t| {
    let object = Object::from_bytes(sample(2 * MIB));
    let origin = Origin::of(&object).mode(Mode::Rate(4 * MIB as u64)).start();
    let args = ["-j2", "--progress", "tty", "--extract", "dir", &origin.url()];
    let output = t.uget(args).env("COLUMNS", "200").run();
    output.succeeds().says("members");
});
