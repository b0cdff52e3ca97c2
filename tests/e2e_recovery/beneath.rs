//! Trouble beneath a running download: its files, its directory, its time.

use std::{
    fs::{self, OpenOptions},
    thread,
    time::Duration,
};

use crate::{KIB, MIB, e2e_test, halves::*, support::*};

const RATE: u64 = 2 * MIB as u64;

/// A run that is in the middle.
fn middle(t: &Test, origin: &Origin, extra: &[&str]) -> Running {
    let running = t.uget(ARGS).args(extra).arg(origin.url()).start();
    let third = SIZE as u64 / 3;
    assert!(origin.log().wait(|all| all.iter().map(|one| one.sent).sum::<u64>() > third));
    running
}

fn slow() -> Origin {
    Origin::of(&object()).mode(Mode::Rate(RATE)).start()
}

/// However that run ended, the next one ends right.
fn heals(t: &Test, origin: &Origin) {
    let output = t.uget(ARGS).arg(origin.url()).run();
    t.delivers(&output, "object.bin", &object());
    fs::remove_file(t.path("object.bin")).unwrap();
}

e2e_test!(the_part_is_deleted, |t| {
    let origin = slow();
    let running = middle(t, &origin, &[]);
    fs::remove_file(t.path(PART)).unwrap();
    let output = running.wait();
    t.refuses(&output, 23);
    output.says("uget-part").says("deleted or replaced");
    heals(t, &origin);
});

e2e_test!(the_part_is_replaced, |t| {
    let origin = slow();
    let running = middle(t, &origin, &[]);
    fs::rename(t.path(PART), t.path(".mine")).unwrap();
    let theirs = vec![7; SIZE];
    t.write(PART, &theirs);
    let output = running.wait();
    t.refuses(&output, 23);
    output.says("uget-part");
    // What is somebody else's is not touched by a run that knows that it is.
    assert_eq!(fs::read(t.path(PART)).unwrap(), theirs);
    fs::remove_file(t.path(".mine")).unwrap();
    heals(t, &origin);
});

e2e_test!(the_part_is_truncated, |t| {
    for digest in [false, true] {
        let origin = slow();
        let sha256 = object().sha256();
        let extra = ["--sha256", sha256.as_str()];
        let running = middle(t, &origin, if digest { &extra } else { &[] });
        let part = OpenOptions::new().write(true).open(t.path(PART)).unwrap();
        part.set_len(64 * KIB as u64).unwrap();
        let output = running.wait();
        t.refuses_with(&output, &[23, 100]);
        heals(t, &origin);
    }
});

e2e_test!(the_journal_is_deleted, |t| {
    let origin = slow();
    let running = middle(t, &origin, &[]);
    fs::remove_file(t.path(JOURNAL)).unwrap();
    let output = running.wait();
    t.delivers(&output, "object.bin", &object());
});

e2e_test!(the_directory_is_renamed, |t| {
    fs::create_dir(t.path("into")).unwrap();
    let origin = slow();
    let target = ["-o", "into/object.bin", "-j4", "--chunk-size", "262144"];
    let running = t.uget(target).arg(origin.url()).start();
    assert!(origin.log().wait(|all| all.iter().map(|one| one.sent).sum::<u64>() > MIB as u64));
    fs::rename(t.path("into"), t.path("moved")).unwrap();
    let output = running.wait();
    output.fails(23).says("into");
    output.check(!t.path("moved/object.bin").exists(), "it was published elsewhere");
    // Moved back, everything is there.
    fs::rename(t.path("moved"), t.path("into")).unwrap();
    assert!(origin.log().wait_closed());
    let sent = origin.log().sent();
    let output = t.uget(target).arg(origin.url()).run();
    output.succeeds();
    t.holds(&output, "into/object.bin", &object());
    assert!(origin.log().wait_closed());
    let fetched = origin.log().sent() - sent;
    output.check(fetched == 0, &format!("it fetched {fetched} bytes again"));
});

e2e_test!(two_processes_on_one_name, |t| {
    let origin = Origin::of(&object()).mode(Mode::Rate(RATE / 4)).start();
    let first = middle(t, &origin, &[]);
    let other = Origin::of(&object()).start();
    let second = t.uget(ARGS).arg(other.url()).run();
    second.fails(23).says("another");
    second.check(other.log().count() == 0, "it should fail before it asks");
    let output = first.wait();
    t.delivers(&output, "object.bin", &object());
});

e2e_test!(a_lock_that_outlives_its_process_for_a_moment, |t| {
    let part = fs::File::create(t.path(PART)).unwrap();
    rustix::fs::flock(&part, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let origin = Origin::of(&object()).start();
    let running = t.uget(ARGS).arg(origin.url()).start();
    thread::sleep(Duration::from_millis(100));
    drop(part);
    let output = running.wait();
    t.delivers(&output, "object.bin", &object());
});

e2e_test!(a_killed_process_leaves_no_lock, |t| {
    let origin = slow();
    let first = middle(t, &origin, &[]);
    first.signal(libc::SIGKILL);
    first.wait();
    heals(t, &origin);
});

e2e_test!(a_standstill_is_not_the_servers_fault, |t| {
    // The server is slow enough to have something to send all the time, and asks for nothing twice.
    let origin = Origin::of(&object()).mode(Mode::Rate(RATE / 2)).start();
    let running = middle(t, &origin, &["--stall-timeout", "1", "--retries", "0"]);
    running.signal(libc::SIGSTOP);
    thread::sleep(Duration::from_secs(3));
    running.signal(libc::SIGCONT);
    let output = running.wait();
    t.delivers(&output, "object.bin", &object());
});

e2e_test!(a_standstill_before_the_first_answer, |t| {
    let origin = Origin::of(&object()).mode(Mode::Latency(Duration::from_millis(400))).start();
    let args = ["--stall-timeout", "1", "--retries", "0"];
    let running = t.uget(ARGS).args(args).arg(origin.url()).start();
    assert!(origin.log().wait(|all| !all.is_empty()));
    running.signal(libc::SIGSTOP);
    thread::sleep(Duration::from_secs(3));
    running.signal(libc::SIGCONT);
    let output = running.wait();
    t.delivers(&output, "object.bin", &object());
});

e2e_test!(ht19_no_room_is_found_before_a_body_byte, |t| {
    let Some(disk) = SmallDisk::mount(t, 4 * MIB as u64) else { return };
    let origin = Origin::of(&object()).start();
    let target = disk.path("object.bin");
    let output = t.uget(["-j4", "-o", target.to_str().unwrap(), &origin.url()]).run();
    output.fails(23).says("no space").says("uget-part");
    assert!(disk.names().is_empty(), "{:?}", disk.names());
    assert!(disk.free() >= 4 * MIB as u64 - 64 * KIB as u64, "the space was not given back");
    assert!(origin.log().wait_closed());
    let asked = origin.log().count();
    output.check(asked <= 2, &format!("it asked {asked} times"));
});

e2e_test!(a_directory_that_may_not_be_written, |t| {
    let origin = Origin::of(&object()).start();
    fs::create_dir(t.path("locked")).unwrap();
    t.give_to_nobody();
    let nobody = Sandbox::default().nobody();
    let output = t.uget(["-o", "locked/object.bin", &origin.url()]).sandbox(nobody).run();
    if is_root() {
        output.fails(23).says("locked");
        assert_eq!(origin.log().count(), 0, "it asked before it looked");
    }
    assert_eq!(fs::read_dir(t.path("locked")).unwrap().count(), usize::from(!is_root()));
});
