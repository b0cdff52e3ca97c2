//! A part file whose bytes somebody damaged between two runs, however the first one ended: the next
//! one delivers the right file, and fetches again what does not hold and little more.

use std::{
    fs::{self, File, OpenOptions},
    os::{fd::AsRawFd as _, unix::fs::FileExt as _},
    thread,
    time::Duration,
};

use crate::{KIB, MIB, e2e_test, halves::*, support::*};

/// What ended the first run.
#[derive(Clone, Copy, Debug)]
enum End {
    Failure,
    Signal(i32),
}

const ENDS: [End; 3] = [End::Failure, End::Signal(libc::SIGINT), End::Signal(libc::SIGKILL)];

/// One half, left by a run that ended so.
fn left_by(t: &Test, end: End) -> Halves {
    for name in t.names() {
        drop(fs::remove_file(t.path(&name)));
    }
    let halves = Halves::of(&object());
    match end {
        End::Failure => drop(halves.fail(t)),
        End::Signal(signal) => {
            let url = halves.origin.url();
            let running = t.uget(ARGS).args(["--retries", "1000"]).arg(url).start();
            while halves.origin.log().sent() < SIZE as u64 / 2 {
                thread::sleep(Duration::from_millis(5));
            }
            // What was sent is received, written and recorded.
            thread::sleep(Duration::from_millis(300));
            running.signal(signal);
            running.wait();
        }
    }
    halves
}

fn part(t: &Test) -> File {
    OpenOptions::new().write(true).open(t.path(PART)).unwrap()
}

/// The same command again delivers, fetching the half that was never there, and of the other one as
/// much as is lost, at most.
fn heals(t: &Test, what: &str, lost: usize, damage: impl Fn(&Test)) {
    for end in ENDS {
        let halves = left_by(t, end);
        damage(t);
        let (output, fetched) = halves.again(t, &["-v"]);
        t.delivers(&output, "object.bin", &object());
        let most = (SIZE / 2 + lost + 300 * KIB) as u64;
        let what = format!("{what} after {end:?}: fetched {fetched} bytes, at most {most}");
        output.check(fetched <= most, &what);
        output.check(lost > 0 || !output.stderr.contains("damaged"), &what);
    }
}

e2e_test!(nothing_is_lost_without_damage, |t| {
    heals(t, "nothing", 0, |_| {});
    heals(t, "a touch", 0, |t| part(t).set_modified(std::time::SystemTime::now()).unwrap());
});

e2e_test!(a_part_that_was_edited, |t| {
    heals(t, "an edit", 2 * MIB, |t| part(t).write_all_at(b"edited", 100 * KIB as u64).unwrap());
    heals(t, "an edit that hides its time", 2 * MIB, |t| {
        let part = part(t);
        let times = fs::FileTimes::new().set_modified(part.metadata().unwrap().modified().unwrap());
        part.write_all_at(b"edited", 100 * KIB as u64).unwrap();
        part.set_times(times).unwrap();
    });
});

e2e_test!(a_part_with_a_hole_punched_into_it, |t| {
    heals(t, "a hole", 2 * MIB, |t| {
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        let (at, length) = (MIB as i64 / 2, 64 * KIB as i64);
        // SAFETY: fallocate takes no pointers.
        let punched = unsafe { libc::fallocate(part(t).as_raw_fd(), mode, at, length) };
        assert_eq!(punched, 0, "{}", std::io::Error::last_os_error());
    });
});

e2e_test!(a_part_that_was_cut_and_filled_up_again, |t| {
    heals(t, "filled up", 3 * MIB, |t| {
        part(t).set_len(2 * MIB as u64).unwrap();
        part(t).set_len(SIZE as u64).unwrap();
    });
    heals(t, "zeros", SIZE, |t| {
        part(t).set_len(0).unwrap();
        part(t).set_len(SIZE as u64).unwrap();
    });
});

e2e_test!(a_part_with_the_bytes_of_another_file, |t| {
    heals(t, "another's bytes", SIZE, |t| {
        let other = Object::random(901, SIZE);
        fs::write(t.path(PART), other.bytes()).unwrap();
    });
});

e2e_test!(damage_heals_before_a_digest_could_find_it, |t| {
    let sha256 = object().sha256();
    let halves = left_by(t, End::Failure);
    part(t).write_all_at(b"flipped", 100 * KIB as u64).unwrap();
    let (output, fetched) = halves.again(t, &["--sha256", sha256.as_str(), "-v"]);
    t.delivers(&output, "object.bin", &object());
    output.says("damaged");
    output.check(fetched < (SIZE - MIB) as u64, "it fetched what was sound");
});
