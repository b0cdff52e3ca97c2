//! Side files: whatever lies under their names already is never trusted blindly, never followed out
//! of the directory, and never a reason to fail for ever.

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, symlink},
    time::Duration,
};

use crate::{KIB, MIB, support::*, wire_test as e2e_test};

const PART: &str = ".object.bin.uget-part";
const JOURNAL: &str = ".object.bin.uget-journal";

fn object() -> Object {
    Object::random(190, 4 * MIB)
}

/// A run with whatever lies there ends with the right file, or fails clearly; then one more run
/// ends right unless what lies there is not ours to remove.
fn heals(t: &Test, what: &str) {
    let origin = Origin::of(&object()).start();
    let output = t.uget(["-j4", "--chunk-size", "262144", "-o", "object.bin", &origin.url()]).run();
    output.check(output.status.success(), &format!("it should have started over with {what}"));
    t.delivers(&output, "object.bin", &object());
    fs::remove_file(t.path("object.bin")).unwrap();
}

e2e_test!(foreign_side_files_mean_a_fresh_start, |t| {
    let junk = Object::random(191, 10 * KIB);
    let large = Object::random(192, 6 * MIB);
    for connections in [junk.bytes(), large.bytes(), b"", b"{}", &[0; 5000]] {
        t.write(PART, connections);
        heals(t, "a part alone");
        t.write(JOURNAL, connections);
        heals(t, "a journal alone");
        t.write(PART, connections);
        t.write(JOURNAL, connections);
        heals(t, "both");
    }
});

e2e_test!(a_link_under_a_side_files_name_is_not_followed, |t| {
    let victim = Object::random(193, KIB);
    for name in [PART, JOURNAL] {
        for make in ["symlink", "hard link", "dangling"] {
            let path = t.outside().join("victim");
            fs::write(&path, victim.bytes()).unwrap();
            match make {
                "symlink" => symlink(&path, t.path(name)).unwrap(),
                "hard link" => fs::hard_link(&path, t.path(name)).unwrap(),
                _ => symlink(t.outside().join("created"), t.path(name)).unwrap(),
            }
            let origin = Origin::of(&object()).start();
            let output = t.uget(["-j4", "--retries", "0", &origin.url()]).run();
            let kept = fs::read(&path).unwrap();
            output.check(kept == victim.bytes(), &format!("{make} {name}: the victim was changed"));
            output.check(!t.outside().join("created").exists(), "a dangling link was followed");
            if output.status.success() {
                t.holds(&output, "object.bin", &object());
                fs::remove_file(t.path("object.bin")).unwrap();
            } else {
                t.refuses_with(&output, &[23, 36]);
            }
            for name in [PART, JOURNAL] {
                drop(fs::remove_file(t.path(name)));
            }
            fs::remove_file(path).unwrap();
        }
    }
});

e2e_test!(a_directory_or_a_fifo_under_a_side_files_name, |t| {
    for name in [PART, JOURNAL] {
        for fifo in [false, true] {
            let made = std::process::Command::new(if fifo { "mkfifo" } else { "mkdir" })
                .arg(t.path(name))
                .status()
                .unwrap();
            assert!(made.success());
            let origin = Origin::of(&object()).start();
            let args = ["-j4", "--retries", "0", &origin.url()];
            let output = t.uget(args).limit(Duration::from_secs(10)).run();
            if output.status.success() {
                t.holds(&output, "object.bin", &object());
                fs::remove_file(t.path("object.bin")).unwrap();
            } else {
                t.refuses_with(&output, &[23, 36]);
            }
            if let Ok(data) = fs::symlink_metadata(t.path(name)) {
                if data.is_dir() {
                    fs::remove_dir(t.path(name)).unwrap();
                } else {
                    output.check(data.file_type().is_fifo() || data.is_file(), "strange");
                    fs::remove_file(t.path(name)).unwrap();
                }
            }
            for name in [PART, JOURNAL] {
                drop(fs::remove_file(t.path(name)));
            }
        }
    }
});

e2e_test!(a_run_after_a_failed_run_ends_right, |t| {
    for end in [End::Fin, End::Rst] {
        let mode = Mode::Cut { from: 4, times: usize::MAX, at: 100_000, end };
        let origin = Origin::of(&object()).mode(mode).start();
        let args = ["-j4", "--retries", "0", "--chunk-size", "262144"];
        let output = t.uget(args).arg(origin.url()).run();
        t.refuses_with(&output, &[18, 56]);
        heals(t, "what a failed run left");
    }
});

e2e_test!(a_part_with_a_tampered_journal_is_not_trusted, |t| {
    let half = || {
        let mode = Mode::Cut { from: 4, times: usize::MAX, at: 100_000, end: End::Fin };
        let origin = Origin::of(&object()).mode(mode).start();
        let args = ["-j4", "--retries", "0", "--chunk-size", "262144"];
        t.uget(args).arg(origin.url()).run().fails_with(&[18, 56]);
    };
    half();
    // What the journal may not vouch for: a part that lost its bytes.
    if let Ok(part) = fs::OpenOptions::new().write(true).open(t.path(PART)) {
        part.set_len(0).unwrap();
    }
    heals(t, "an emptied part");
    half();
    if let Ok(part) = fs::OpenOptions::new().write(true).open(t.path(PART)) {
        part.set_len(9 * MIB as u64).unwrap();
    }
    heals(t, "an oversize part");
    half();
    if let Ok(mut journal) = fs::read(t.path(JOURNAL)) {
        for byte in journal.iter_mut().skip(20) {
            *byte ^= 0x55;
        }
        fs::write(t.path(JOURNAL), journal).unwrap();
    }
    heals(t, "a scrambled journal");
    half();
    drop(fs::remove_file(t.path(PART)));
    heals(t, "a journal without its part");
});

e2e_test!(rt27_what_is_left_of_another_version_is_not_used, |t| {
    let old = Object::random(194, 4 * MIB);
    let mode = Mode::Cut { from: 4, times: usize::MAX, at: 100_000, end: End::Fin };
    let origin = Origin::of(&old).etag(Some("\"v0\"")).mode(mode);
    let change = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let changed = std::sync::Arc::clone(&change);
    let new = Version::strong(object(), "v1");
    let origin = origin
        .bend(move |request, reply| {
            if changed.load(std::sync::atomic::Ordering::SeqCst) {
                *reply = Reply::honest(request, &new);
            }
        })
        .start();
    let args = ["-j4", "--retries", "0", "--chunk-size", "262144"];
    t.uget(args).arg(origin.url()).run().fails_with(&[18, 56]);
    change.store(true, std::sync::atomic::Ordering::SeqCst);
    let mut output = t.uget(args).arg(origin.url()).run();
    if !output.status.success() {
        t.refuses(&output, 101);
        output = t.uget(args).arg(origin.url()).run();
    }
    t.delivers(&output, "object.bin", &object());
});

e2e_test!(two_processes_on_one_name, |t| {
    let origin = Origin::of(&object()).mode(Mode::Rate(2 * MIB as u64)).start();
    let args = ["-j2", "--chunk-size", "262144", "-o", "object.bin", &origin.url()];
    let first = t.uget(args).start();
    assert!(origin.log().wait(|all| all.len() > 3));
    let other = Origin::of(&Object::random(195, 4 * MIB)).start();
    let second = t.uget(["-j4", "-o", "object.bin", &other.url()]).run();
    second.fails_with(&[23, 36]);
    let output = first.wait();
    t.delivers(&output, "object.bin", &object());
});

e2e_test!(a_part_that_is_deleted_meanwhile, |t| {
    let origin = Origin::of(&object()).mode(Mode::Rate(4 * MIB as u64)).start();
    let args = ["-j2", "--chunk-size", "262144", "--retries", "1", &origin.url()];
    let running = t.uget(args).start();
    assert!(origin.log().wait(|all| all.len() > 3));
    fs::remove_file(t.path(PART)).unwrap();
    let output = running.wait();
    if output.status.success() {
        t.holds(&output, "object.bin", &object());
    } else {
        t.refuses_with(&output, &[23, 36]);
    }
});

e2e_test!(a_part_that_is_replaced_meanwhile, |t| {
    let origin = Origin::of(&object()).mode(Mode::Rate(4 * MIB as u64)).start();
    let args = ["-j2", "--chunk-size", "262144", "--retries", "1", &origin.url()];
    let running = t.uget(args).start();
    assert!(origin.log().wait(|all| all.len() > 3));
    fs::remove_file(t.path(PART)).unwrap();
    t.write(PART, "not ours");
    let output = running.wait();
    if output.status.success() {
        t.holds(&output, "object.bin", &object());
    } else {
        t.refuses_with(&output, &[23, 36]);
    }
});
