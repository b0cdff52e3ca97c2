//! Running again on a file that is finished, and what else is known before a body is fetched.

use std::{fs, io::Read as _, os::unix::fs::MetadataExt as _};

use crate::{KIB, MIB, e2e_test, support::*};

/// The `strategy` of a JSON report.
fn strategy(output: &Output) -> String {
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    report["strategy"].as_str().unwrap_or_default().to_owned()
}

/// Whether the test directory's filesystem keeps user attributes; where not, nothing is remembered.
fn keeps_attributes(t: &Test) -> bool {
    let path = t.write("probe", "x");
    let set = rustix::fs::setxattr(&path, "user.probe", b"x", rustix::fs::XattrFlags::empty());
    fs::remove_file(path).unwrap();
    if let Err(error) = &set {
        eprintln!("left out: no user attributes here ({error})");
    }
    set.is_ok()
}

/// Makes a FIFO.
fn fifo(t: &Test, name: &str) {
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, t.path(name), mode).unwrap();
}

e2e_test!(rt22_a_digest_that_fits_needs_no_request, |t| {
    let object = Object::random(700, 3 * MIB + 1);
    let digest = object.sha256();
    t.write("object.bin", object.bytes());
    let inode = fs::metadata(t.path("object.bin")).unwrap().ino();
    let origin = Origin::of(&object).start();
    for args in [["-o", "object.bin"], ["-P", "."]] {
        for (kind, value) in
            [("--sha256", digest.clone()), ("--digest", format!("sha256:{digest}"))]
        {
            let output = t.uget(args).args(["--json", kind, &value, &origin.url()]).run();
            t.delivers(&output, "object.bin", &object);
            assert_eq!(strategy(&output), "up-to-date");
            assert_eq!(origin.log().count(), 0, "a request was made");
        }
    }
    assert_eq!(fs::metadata(t.path("object.bin")).unwrap().ino(), inode);
    let output = t.uget(["--sha256", &digest, &origin.url()]).run();
    output.succeeds();
    let line = String::from_utf8_lossy(&output.stdout).into_owned();
    output.check(line.contains("up to date"), "the summary does not say so");
    let output = t.uget(["--force", "-o", "object.bin", "--sha256", &digest, &origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
    assert_eq!(origin.log().sent(), object.len(), "--force did not");
});

e2e_test!(okx10_a_digest_that_does_not_fit, |t| {
    let (old, new) = (Object::random(701, 100 * KIB), Object::random(702, 2 * MIB));
    t.write("object.bin", old.bytes());
    let origin = Origin::of(&new).start();
    let output = t.uget(["--sha256", &new.sha256(), &origin.url()]).run();
    output.fails(23).says("digest").says("--output");
    t.holds(&output, "object.bin", &old);
    t.holds_only(&output, &["object.bin"]);
    assert_eq!(origin.log().count(), 0, "a request was made");
    let output = t.uget(["-o", "object.bin", "--sha256", &new.sha256(), &origin.url()]).run();
    t.delivers(&output, "object.bin", &new);
});

e2e_test!(okx02_a_finished_file_is_asked_about_once, |t| {
    if !keeps_attributes(t) {
        return;
    }
    let object = Object::random(703, 3 * MIB);
    let origin = Origin::of(&object).start();
    for args in [["-j4", "-o", "object.bin"], ["-j1", "-o", "object.bin"], ["-j4", "-P", "."]] {
        drop(fs::remove_file(t.path("object.bin")));
        let output = t.uget(args).arg(origin.url()).run();
        t.delivers(&output, "object.bin", &object);
        let inode = fs::metadata(t.path("object.bin")).unwrap().ino();
        let (count, sent) = (origin.log().count(), origin.log().sent());
        let output = t.uget(args).args(["--json", &origin.url()]).run();
        t.delivers(&output, "object.bin", &object);
        assert_eq!(strategy(&output), "up-to-date");
        assert_eq!(origin.log().count() - count, 1);
        assert_eq!(origin.log().sent(), sent, "bytes were fetched");
        assert_eq!(fs::metadata(t.path("object.bin")).unwrap().ino(), inode);
        let asked = origin.log().requests().pop().unwrap();
        assert_eq!(asked.field("if-none-match"), Some("\"v1\""));
    }
    let output = t.uget(["--print-digest=sha256", &origin.url()]).run();
    output.succeeds();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    output.check(stdout.contains(&object.sha256()), "the digest is not in the output");
    let sent = origin.log().sent();
    t.uget(["--force", "-o", "object.bin", &origin.url()]).run().succeeds();
    assert_eq!(origin.log().sent() - sent, object.len(), "--force did not");
});

e2e_test!(a_date_is_enough_to_ask_with, |t| {
    if !keeps_attributes(t) {
        return;
    }
    let (object, date) = (Object::random(704, MIB), "Thu, 19 Nov 2026 12:00:00 GMT");
    let origin = Origin::of(&object)
        .etag(None)
        .last_modified(date)
        .bend(move |request, reply| {
            if request.field("if-modified-since") == Some(date) {
                *reply = Reply::new(304, "Not Modified", Body::Bytes(Vec::new()));
                reply.framing = Framing::Bare;
            }
        })
        .start();
    for _ in 0..2 {
        t.delivers(&t.uget([&origin.url(), "-o", "object.bin"]).run(), "object.bin", &object);
    }
    assert_eq!(origin.log().sent(), object.len(), "it was fetched twice");
});

e2e_test!(a_server_that_takes_no_notice_is_understood, |t| {
    if !keeps_attributes(t) {
        return;
    }
    let object = Object::random(705, 3 * MIB);
    for mode in [None, Some(Mode::IgnoreRange)] {
        let version = Version::strong(object.clone(), "v1");
        let mut setup = Origin::of(&object).bend(move |request, reply| {
            let mut request = request.clone();
            request.fields.retain(|(name, _)| name != "if-none-match");
            *reply = Reply::honest(&request, &version);
        });
        if let Some(mode) = mode {
            setup = setup.mode(mode);
        }
        let origin = setup.start();
        drop(fs::remove_file(t.path("object.bin")));
        t.uget(["-j4", &origin.url()]).run().succeeds();
        let count = origin.log().count();
        let output = t.uget(["-j4", "--json", &origin.url()]).run();
        t.delivers(&output, "object.bin", &object);
        assert_eq!(strategy(&output), "up-to-date");
        assert_eq!(origin.log().count() - count, 1);
    }
});

e2e_test!(another_version_replaces_only_what_was_named, |t| {
    if !keeps_attributes(t) {
        return;
    }
    let (old, new) = (Object::random(706, 2 * MIB), Object::random(707, 24 * MIB));
    for connections in ["-j1", "-j4"] {
        drop(fs::remove_file(t.path("object.bin")));
        // The same URL with another version from the second run on.
        let flipped = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let flag = std::sync::Arc::clone(&flipped);
        let to = Version::strong(new.clone(), "v2");
        let origin = Origin::of(&old)
            .bend(move |request, reply| {
                if flag.load(std::sync::atomic::Ordering::SeqCst) {
                    *reply = Reply::honest(request, &to);
                }
            })
            .start();
        t.delivers(&t.uget([connections, &origin.url()]).run(), "object.bin", &old);
        flipped.store(true, std::sync::atomic::Ordering::SeqCst);
        let sent = origin.log().sent();
        let output = t.uget([connections, &origin.url()]).run();
        output.fails(23).says("another version").says("--output");
        t.holds(&output, "object.bin", &old);
        t.holds_only(&output, &["object.bin"]);
        output.check(origin.log().sent() - sent < 16 * MIB as u64, "a body was fetched in vain");
        let count = origin.log().count();
        let output = t.uget([connections, "-o", "object.bin", &origin.url()]).run();
        t.delivers(&output, "object.bin", &new);
        let first: Vec<_> = origin.log().requests().split_off(count);
        output.check(connections != "-j1" || first.len() == 1, "it was asked twice");
        let conditions = first.iter().filter(|r| r.field("if-none-match").is_some()).count();
        output.check(conditions == 1, "it was asked twice");
        let starts = first.iter().filter(|r| r.range(new.len()).is_none_or(|r| r.start == 0));
        output.check(starts.count() == 1, "the first part was fetched twice");
    }
});

e2e_test!(a_file_that_was_changed_is_not_up_to_date, |t| {
    if !keeps_attributes(t) {
        return;
    }
    let object = Object::random(708, MIB);
    let origin = Origin::of(&object).start();
    for change in 0..4 {
        drop(fs::remove_file(t.path("object.bin")));
        t.uget(["-o", "object.bin", &origin.url()]).run().succeeds();
        let path = t.path("object.bin");
        match change {
            // In place, at once, of the same length.
            0 => {
                use std::os::unix::fs::FileExt as _;
                let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
                file.write_all_at(b"changed", 1000).unwrap();
            }
            1 => fs::write(&path, b"another").unwrap(),
            2 => fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(5).unwrap(),
            // A copy without the attribute.
            _ => {
                fs::copy(&path, t.path("copy")).unwrap();
                fs::rename(t.path("copy"), &path).unwrap();
            }
        }
        let sent = origin.log().sent();
        let output = t.uget([&origin.url()]).run();
        output.fails(23);
        assert_eq!(origin.log().sent(), sent, "a body was fetched in vain");
        let output = t.uget(["-o", "object.bin", &origin.url()]).run();
        t.delivers(&output, "object.bin", &object);
        assert_eq!(origin.log().sent() - sent, object.len(), "change {change} was not seen");
    }
    // Another URL's file.
    let output = t.uget(["-o", "object.bin", &origin.at("/other.bin")]).run();
    t.delivers(&output, "object.bin", &object);
    let asked = origin.log().requests().pop().unwrap();
    assert_eq!(asked.field("if-none-match"), None);
});

e2e_test!(what_is_kept_with_a_file_holds_no_secret, |t| {
    if !keeps_attributes(t) {
        return;
    }
    let object = Object::random(709, KIB);
    let origin = Origin::of(&object).start();
    let url = origin.at("/object.bin?token=s3cret").replace("//", "//user:s3cret@");
    t.delivers(&t.uget([&url]).run(), "object.bin", &object);
    let mut value = vec![0; 4096];
    let path = t.path("object.bin");
    let length = rustix::fs::getxattr(&path, "user.uget.version", &mut value[..]).unwrap();
    let value = String::from_utf8_lossy(&value[..length]).into_owned();
    assert!(value.contains("\"v1\"") && !value.contains("s3cret"), "{value}");
});

e2e_test!(what_may_be_of_several_versions_is_not_known_to_be_of_one, |t| {
    let (old, new) = (Object::random(715, 4 * MIB), Object::random(716, 4 * MIB));
    let to = Version::strong(new, "v2");
    // Two servers behind one name, one of which lags.
    let origin = Origin::of(&old)
        .bend(move |request, reply| {
            if request.number % 2 == 1 && request.field("if-none-match").is_none() {
                *reply = Reply::honest(request, &to);
            }
        })
        .start();
    let args = ["-j4", "--chunk-size", "131072", "-o", "object.bin"];
    t.uget(args).args(["--pin", "none", &origin.url()]).run().succeeds();
    let spliced = old.difference(&fs::read(t.path("object.bin")).unwrap()).is_some();
    assert!(spliced, "the test has no effect");
    let output = t.uget(args).args(["--json", &origin.url()]).run();
    output.check(strategy(&output) != "up-to-date", "what was asked for without a pin has one");
    // The same with a mirror of another version.
    let mirror = Origin::of(&Object::random(717, 4 * MIB)).etag(Some("\"v3\"")).start();
    let origin = Origin::of(&old).start();
    t.clear();
    let args = ["-j4", "--chunk-size", "131072", "-o", "object.bin"];
    let lax = ["--pin", "none", "--mirror", &mirror.url(), &origin.url()];
    t.uget(args).args(lax).run().succeeds();
    t.delivers(&t.uget(args).arg(origin.url()).run(), "object.bin", &old);
});

e2e_test!(a_not_modified_that_names_another_version_is_not_believed, |t| {
    if !keeps_attributes(t) {
        return;
    }
    let (old, new) = (Object::random(710, MIB), Object::random(711, MIB));
    let to = Version::strong(new.clone(), "v2");
    let origin = Origin::of(&old)
        .bend(move |request, reply| {
            if request.number == 0 {
                return;
            }
            *reply = Reply::honest(request, &to);
            if request.field("if-none-match").is_some() {
                reply.status = 304;
                reply.body = Body::Bytes(Vec::new());
                reply.framing = Framing::Bare;
                reply.unset("Content-Range");
            }
        })
        .start();
    t.delivers(&t.uget(["-j1", "-o", "object.bin", &origin.url()]).run(), "object.bin", &old);
    t.delivers(&t.uget(["-j1", "-o", "object.bin", &origin.url()]).run(), "object.bin", &new);
});

e2e_test!(a_time_limit_while_the_reader_of_the_stream_is_away, |t| {
    let origin = Origin::of(&Object::random(712, 32 * MIB)).start();
    for target in ["-", "fifo"] {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut run = t.uget(["--max-time", "1", "-o", target, &origin.url()]);
        let mut opened = None;
        if target == "fifo" {
            fifo(t, "fifo");
            let both = fs::OpenOptions::new().read(true).write(true).open(t.path("fifo"));
            opened = Some(both.unwrap());
        } else {
            run = run.stdout(writer);
        }
        let output = run.run();
        output.fails(28).says("--max-time");
        output.check(output.took.as_secs_f64() < 2.6, "it should end at once");
        drop((reader, opened));
    }
});

e2e_test!(the_reader_of_a_stream_leaves_while_nothing_arrives, |t| {
    // Nothing at all, or some bytes and then nothing.
    for silent in [false, true] {
        let gate = Gate::new();
        let held = gate.clone();
        let origin = Origin::of(&Object::random(718, MIB))
            .bend(move |_, reply| {
                if silent {
                    held.pass();
                }
                reply.cut = Some((1000, End::Stall));
            })
            .start();
        for target in ["-", "fifo"] {
            let (mut reader, writer) = std::io::pipe().unwrap();
            let run = t.uget(["-o", target, &origin.url()]);
            let mut running = if target == "fifo" {
                drop(fs::remove_file(t.path("fifo")));
                fifo(t, "fifo");
                let running = run.start();
                reader =
                    fs::File::open(t.path("fifo")).map(std::os::fd::OwnedFd::from).unwrap().into();
                drop(writer);
                running
            } else {
                run.stdout(writer).start()
            };
            if silent {
                assert!(origin.log().wait(|all| !all.is_empty()));
            } else {
                reader.read_exact(&mut [0; 1000]).unwrap();
            }
            std::thread::sleep(std::time::Duration::from_millis(700));
            assert!(running.is_running(), "it should wait as long as there is a reader");
            drop(reader);
            let output = running.wait();
            output.fails(23).says("broken pipe");
            // The stall timeout is 30 seconds.
            output.check(output.took.as_secs() < 10, "it should end at once");
        }
        gate.open();
    }
});

e2e_test!(a_time_limit_while_a_fifo_has_no_reader, |t| {
    let origin = Origin::of(&Object::random(713, KIB)).start();
    fifo(t, "fifo");
    let output = t.uget(["--max-time", "1", "-o", "fifo", &origin.url()]).run();
    output.fails(28);
    output.check(output.took.as_secs_f64() < 2.0, "it should end at once");
    assert_eq!(origin.log().count(), 0, "a request was made");
});

e2e_test!(a_redirected_file_is_appended_to_not_overwritten, |t| {
    let object = Object::random(714, 300 * KIB);
    let origin = Origin::of(&object).start();
    for target in ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/dev/../dev/fd/1"] {
        t.write("log", "before\n");
        let log = fs::OpenOptions::new().append(true).open(t.path("log")).unwrap();
        let output = t.uget(["-j4", "-q", "-o", target, &origin.url()]).stdout(log).run();
        output.succeeds();
        let wanted = Object::from_bytes([b"before\n", object.bytes()].concat());
        t.holds(&output, "log", &wanted);
        t.holds_only(&output, &["log"]);
    }
});

e2e_test!(another_descriptor_of_a_file_is_appended_to, |t| {
    let object = Object::random(729, 300 * KIB);
    let origin = Origin::of(&object).start();
    t.write("log", "before\n");
    let (program, engine) = (env!("CARGO_BIN_EXE_uget"), t.engine.name());
    let url = origin.url();
    let line = format!("exec {program} -q --engine {engine} -o /dev/fd/3 {url} 3>>log");
    let status = std::process::Command::new("sh").args(["-c", &line]).current_dir(t.dir()).status();
    assert!(status.unwrap().success());
    let wanted = Object::from_bytes([b"before\n", object.bytes()].concat());
    assert_eq!(wanted.difference(&fs::read(t.path("log")).unwrap()), None);
});

e2e_test!(a_socket_as_standard_output_is_a_stream, |t| {
    let object = Object::random(728, 300 * KIB);
    let origin = Origin::of(&object).start();
    for target in ["/dev/stdout", "/dev/../dev/fd/1"] {
        let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let args = ["-q", "-o", target, &origin.url()];
        let running = t.uget(args).stdout(std::os::fd::OwnedFd::from(theirs)).start();
        let mut bytes = vec![0; 300 * KIB];
        ours.read_exact(&mut bytes).unwrap();
        running.wait().succeeds();
        assert!(object.difference(&bytes).is_none(), "{target}");
    }
});

e2e_test!(a_report_stays_out_of_a_stream, |t| {
    let object = Object::random(715, 300 * KIB);
    let origin = Origin::of(&object).start();
    for target in ["-", "/dev/stdout", "/dev/fd/1"] {
        let output = t.uget(["--json", "-o", target, &origin.url()]).run();
        output.succeeds();
        assert!(object.difference(&output.stdout).is_none(), "{target}");
        output.says("\"strategy\"");
    }
});

e2e_test!(a_fifo_takes_everything_in_order, |t| {
    let object = Object::random(716, 5 * MIB + 7);
    let origin = Origin::of(&object).start();
    fifo(t, "fifo");
    std::os::unix::fs::symlink("fifo", t.path("link")).unwrap();
    for (target, more) in [("fifo", "--sha256"), ("link", "--digest")] {
        let path = t.path("fifo");
        let reader = std::thread::spawn(move || fs::read(path).unwrap());
        let digest = object.sha256();
        let digest = if more == "--digest" { format!("sha256:{digest}") } else { digest };
        let output = t.uget(["-j4", "-o", target, more, &digest, &origin.url()]).run();
        output.succeeds();
        assert!(object.difference(&reader.join().unwrap()).is_none());
        t.holds_only(&output, &["fifo", "link"]);
    }
    let kind = fs::symlink_metadata(t.path("fifo")).unwrap().file_type();
    assert!(std::os::unix::fs::FileTypeExt::is_fifo(&kind));
});

e2e_test!(a_socket_is_refused_at_once, |t| {
    let origin = Origin::of(&Object::random(717, KIB)).start();
    let listener = std::os::unix::net::UnixListener::bind(t.path("socket")).unwrap();
    let output = t.uget(["-o", "socket", &origin.url()]).run();
    output.fails(23).says("socket");
    assert_eq!(origin.log().count(), 0, "a request was made");
    t.holds_only(&output, &["socket"]);
    drop(listener);
});

e2e_test!(devices_stay_devices, |t| {
    use std::os::unix::fs::FileTypeExt as _;
    let origin = Origin::of(&Object::random(718, 3 * MIB)).start();
    for device in ["/dev/null", "/dev/zero"] {
        for connections in ["-j1", "-j4"] {
            t.uget([connections, "-o", device, &origin.url()]).run().succeeds();
            assert!(fs::symlink_metadata(device).unwrap().file_type().is_char_device());
        }
    }
    std::os::unix::fs::symlink("/dev/null", t.path("link")).unwrap();
    let output = t.uget(["-o", "link", &origin.url()]).run();
    output.succeeds();
    t.holds_only(&output, &["link"]);
    t.uget(["-o", "/dev/full", &origin.url()]).run().fails(23).says("/dev/full");
    assert!(!std::path::Path::new("/dev/.null.uget-part").exists());
});

e2e_test!(a_block_device_is_written_from_its_start, |t| {
    use std::os::unix::fs::FileTypeExt as _;
    let losetup = |args: &[&str]| std::process::Command::new("losetup").args(args).output();
    t.write("image", vec![0; 4 * MIB]);
    let image = t.path("image");
    let made = losetup(&["-f", "--show", image.to_str().unwrap()]);
    let device = match made {
        Ok(made) if made.status.success() => String::from_utf8(made.stdout).unwrap(),
        _ => return eprintln!("left out: no loop device to be had"),
    };
    let device = device.trim();
    let (object, large) = (Object::random(719, 3 * MIB), Object::random(720, 5 * MIB));
    let origin = Origin::of(&object).start();
    let output = t.uget(["-j4", "-o", device, "--sha256", &object.sha256(), &origin.url()]).run();
    let mut written = vec![0; 3 * MIB];
    fs::File::open(device).unwrap().read_exact(&mut written).unwrap();
    let origin = Origin::of(&large).start();
    let refused = t.uget(["-o", device, &origin.url()]).run();
    let kind = fs::symlink_metadata(device).unwrap().file_type();
    losetup(&["-d", device]).unwrap();
    output.succeeds();
    assert!(object.difference(&written).is_none());
    refused.fails(23);
    assert!(kind.is_block_device());
    assert_eq!(fs::read(&image).unwrap().len(), 4 * MIB);
    t.holds_only(&output, &["image"]);
});

/// An origin that proposes a name.
fn named(object: &Object, name: &str) -> Setup {
    let value = format!("attachment; filename=\"{name}\"");
    Origin::of(object).bend(move |_, reply| reply.set("Content-Disposition", &value))
}

e2e_test!(a_collision_with_a_proposed_name_is_known_before_the_body, |t| {
    let (old, new) = (Object::random(721, KIB), Object::random(722, 32 * MIB));
    t.write("x.bin", old.bytes());
    for connections in ["-j1", "-j4"] {
        let origin = named(&new, "x.bin").start();
        let output = t.uget(["--remote-name", connections, &origin.url()]).run();
        output.fails(23).says("x.bin").says("--output");
        t.holds(&output, "x.bin", &old);
        t.holds_only(&output, &["x.bin"]);
        output.check(origin.log().sent() < 16 * MIB as u64, "a body was fetched in vain");
        assert_eq!(origin.log().count(), 1);
    }
});

e2e_test!(a_directory_for_a_proposed_name_is_looked_at_before_any_traffic, |t| {
    let origin = named(&Object::random(726, KIB), "x.bin").start();
    t.write("file", "old");
    fs::create_dir(t.path("locked")).unwrap();
    t.give_to_nobody();
    for directory in ["file", "locked"] {
        if directory == "locked" && !is_root() {
            continue;
        }
        let sandbox = match directory {
            "locked" => Sandbox::default().nobody(),
            _ => Sandbox::default(),
        };
        let args = ["--remote-name", "-P", directory, &origin.url()];
        let output = t.uget(args).sandbox(sandbox).run();
        output.fails(23).says(directory);
        assert_eq!(origin.log().count(), 0, "a request was made");
    }
});

e2e_test!(hostile_proposed_names_stay_one_visible_component, |t| {
    let object = Object::random(727, KIB);
    fs::create_dir(t.path("into")).unwrap();
    for (proposed, name) in [
        ("../../evil", "evil"),
        ("/etc/passwd", "passwd"),
        ("..", "object.bin"),
        ("", "object.bin"),
        ("a/", "object.bin"),
        (".bashrc", "bashrc"),
        (".object.bin.uget-part", "object.bin.uget-part"),
        ("..\\\\..\\\\boot.ini", "boot.ini"),
        ("-rf", "_rf"),
        ("~", "~"),
        ("$(id)", "$(id)"),
    ] {
        let origin = named(&object, proposed).start();
        let output = t.uget(["--remote-name", "-P", "into", &origin.url()]).run();
        output.succeeds();
        let held: Vec<_> = fs::read_dir(t.path("into")).unwrap().map(|e| e.unwrap()).collect();
        output.check(held.len() == 1, "there should be one file");
        assert_eq!(held[0].file_name().to_str(), Some(name), "{proposed:?}");
        t.holds_only(&output, &["into"]);
        fs::remove_file(held[0].path()).unwrap();
    }
});

e2e_test!(rt35_one_url_with_a_directory_gives_a_flat_path, |t| {
    let object = Object::random(723, KIB);
    let origin = named(&object, "a/b/../c.bin").start();
    for (args, name) in [
        (vec!["-P", "into"], "into/z.bin"),
        (vec!["-P", "into/"], "into/z.bin"),
        (vec!["-P", "into/./deep"], "into/deep/z.bin"),
        (vec!["--output-dir", "into"], "into/z.bin"),
        (vec!["--remote-name", "-P", "into/new/one"], "into/new/one/c.bin"),
        (vec!["-o", "another/"], "another/z.bin"),
        (vec!["--remote-name"], "c.bin"),
    ] {
        let output = t.uget(args).arg(origin.at("/x/y/z.bin?q=/w")).run();
        output.succeeds();
        t.holds(&output, name, &object);
        fs::remove_file(t.path(name)).unwrap();
    }
    t.holds_only(&t.uget(["--version"]).run(), &["another", "into"]);
    assert_eq!(fs::read_dir(t.path("into")).unwrap().count(), 2, "deep and new");
});

e2e_test!(a_download_under_a_proposed_name_resumes, |t| {
    let object = Object::random(724, 8 * MIB);
    for connections in ["-j1", "-j4"] {
        let cut = Mode::Cut { from: 0, times: usize::MAX, at: 3 * MIB as u64, end: End::Fin };
        let stuck = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
        let flag = std::sync::Arc::clone(&stuck);
        let version = Version::strong(object.clone(), "v1");
        let origin = named(&object, "x.bin")
            .bend(move |request, reply| {
                if flag.load(std::sync::atomic::Ordering::SeqCst) {
                    let first = request.range(u64::MAX).is_none_or(|range| range.start < 1 << 22);
                    if first {
                        cut.play(request, &version, reply);
                    } else {
                        *reply = Reply::status(404, "Not Found");
                    }
                }
            })
            .start();
        let args = ["--remote-name", connections, "--retries", "0", "--part-size", "1048576"];
        let output = t.uget(args).arg(origin.url()).run();
        output.fails_with(&[18, 22]);
        stuck.store(false, std::sync::atomic::Ordering::SeqCst);
        let output = t.uget(args).args(["--json", &origin.url()]).run();
        t.delivers(&output, "x.bin", &object);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        output.check(report["resumed"].as_u64() >= Some(1 << 20), "it did not resume");
        output.check(report["transferred"].as_u64() < Some(8 << 20), "all was fetched again");
        fs::remove_file(t.path("x.bin")).unwrap();
    }
});

e2e_test!(a_finished_file_under_a_proposed_name_is_up_to_date, |t| {
    if !keeps_attributes(t) {
        return;
    }
    let object = Object::random(725, 8 * MIB);
    let origin = named(&object, "x.bin").start();
    for connections in ["-j1", "-j4"] {
        t.delivers(&t.uget(["--remote-name", &origin.url()]).run(), "x.bin", &object);
        let count = origin.log().count();
        let output = t.uget(["--remote-name", connections, "--json", &origin.url()]).run();
        t.delivers(&output, "x.bin", &object);
        assert_eq!(strategy(&output), "up-to-date");
        assert_eq!(origin.log().count() - count, 1);
        fs::remove_file(t.path("x.bin")).unwrap();
    }
});
