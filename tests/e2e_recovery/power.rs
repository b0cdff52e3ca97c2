//! Power loss: a filesystem on a loop device is copied while a download writes to it, without
//! unmounting, which is what a disk would hold if the power went. What is resumed from the copy is
//! right; bytes that were not on the disk are fetched again.

use std::{
    ffi::CString,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{MIB, e2e_test, moments::Moments, support::*};

const SIZE: usize = 24 * MIB;
/// A download takes about twelve seconds, in which the data are synced twice.
const RATE: u64 = MIB as u64 / 2;
const COPIES: usize = 6;

e2e_test!(the_power_goes, |t| {
    let Some(bench) = Bench::new(t) else { return };
    let object = Object::random(950, SIZE);
    let slow = Arc::new(AtomicBool::new(true));
    let seen = Arc::clone(&slow);
    let origin = Origin::of(&object)
        .bend(move |_, reply| reply.rate = seen.load(Ordering::SeqCst).then_some(RATE))
        .start();
    let disk = bench.format(t);
    let target = disk.join("object.bin");
    let args = ["-j4", "-o", target.to_str().unwrap()];
    let running = t.uget(args).arg(origin.url()).limit(Duration::from_secs(60)).start();
    let started = Instant::now();
    let mut moments = Moments::of(if t.engine == Engine::Uring { 3 } else { 4 });
    let copies: Vec<(Duration, PathBuf)> = (0..COPIES)
        .map(|number| {
            // One in every two seconds.
            let first = Duration::from_millis(500) + Duration::from_secs(2) * number as u32;
            let at = moments.between(first, first + Duration::from_millis(1500));
            thread::sleep(at.saturating_sub(started.elapsed()));
            (started.elapsed(), bench.copy(number))
        })
        .collect();
    let output = running.wait();
    output.succeeds();
    output.check(fs::read(&target).unwrap() == object.bytes(), "the file is wrong");
    slow.store(false, Ordering::SeqCst);
    for (at, image) in copies {
        let Some(disk) = bench.mount(&image) else {
            // A copy takes time, so it may be of no single moment.
            eprintln!("left out: the copy after {at:?} cannot be mounted");
            continue;
        };
        assert!(origin.log().wait_closed());
        let before = origin.log().sent();
        let target = disk.join("object.bin");
        let there = target.exists();
        let output = t.uget(["-j4", "-o", target.to_str().unwrap(), &origin.url()]).run();
        output.succeeds();
        output.check(
            fs::read(&target).unwrap() == object.bytes(),
            &format!("the copy after {at:?} led to a wrong file"),
        );
        assert!(origin.log().wait_closed());
        let fetched = origin.log().sent() - before;
        eprintln!("{:?}: power lost after {at:?}: {} KiB fetched", t.engine, fetched >> 10);
        // The first sync starts five seconds after the first byte.
        let synced = at > Duration::from_millis(7500) && !there;
        output.check(!synced || fetched <= (SIZE - 8 * MIB) as u64, "seconds are lost, not all");
        bench.unmount(&disk);
    }
});

e2e_test!(the_power_goes_after_the_end, |t| {
    let Some(bench) = Bench::new(t) else { return };
    let object = Object::random(951, 8 * MIB);
    let origin = Origin::of(&object).start();
    let disk = bench.format(t);
    // Names, lengths and attributes are on the disk within seconds, data half a minute later.
    let cases: [(&str, &[&str]); 3] =
        [("unsynced", &[]), ("synced", &["--fsync"]), ("later", &["--fsync"])];
    for (name, args) in cases {
        let target = disk.join(name);
        let to = target.to_str().unwrap();
        if name == "later" {
            t.uget(["-j4", "-o", to, &origin.url()]).run().succeeds();
        }
        t.uget(["-j4", "-o", to, &origin.url()]).args(args).run().succeeds();
    }
    thread::sleep(Duration::from_secs(3));
    let image = bench.copy(0);
    let Some(disk) = bench.mount(&image) else { return };
    for (name, _) in cases {
        let target = disk.join(name);
        let there = fs::read(&target).is_ok_and(|bytes| bytes == object.bytes());
        assert!(there || name == "unsynced", "{name} was synced");
        let before = origin.log().sent();
        let output = t.uget(["-j4", "-o", target.to_str().unwrap(), &origin.url()]).run();
        output.succeeds();
        let same = fs::read(&target).unwrap() == object.bytes();
        output.check(same, "what never reached the disk is said to be up to date");
        assert!(origin.log().wait_closed());
        let fetched = origin.log().sent() - before;
        assert!(fetched == 0 || name == "unsynced", "{name} was fetched once more");
    }
    bench.unmount(&disk);
});

/// Images on a tmpfs, and the mounts of this thread and what it starts.
struct Bench(PathBuf);

impl Bench {
    /// `None`, said on stderr, where there are no rights or no loop devices.
    fn new(t: &Test) -> Option<Self> {
        let programs = ["/usr/sbin/mkfs.ext4", "/sbin/losetup", "/usr/bin/mount"];
        if !is_root() || programs.iter().any(|program| !Path::new(program).exists()) {
            eprintln!("left out: the loss of power takes root, mkfs.ext4 and loop devices");
            return None;
        }
        let at = t.outside().join("bench");
        fs::create_dir(&at).unwrap();
        let path = CString::new(at.as_os_str().as_bytes()).unwrap();
        let none = std::ptr::null();
        // SAFETY: all pointers are to strings that live until the calls return.
        let mounted = unsafe {
            let private = libc::MS_REC | libc::MS_PRIVATE;
            libc::unshare(libc::CLONE_NEWNS) == 0
                && libc::mount(none, c"/".as_ptr(), none, private, none.cast()) == 0
                && libc::mount(c"tmpfs".as_ptr(), path.as_ptr(), c"tmpfs".as_ptr(), 0, none.cast())
                    == 0
        };
        let free = Command::new("/sbin/losetup").arg("-f").output();
        if !mounted || !free.is_ok_and(|output| output.status.success()) {
            eprintln!("left out: no loop device can be mounted here");
            return None;
        }
        Some(Self(at))
    }

    /// A fresh ext4, mounted.
    fn format(&self, t: &Test) -> PathBuf {
        let image = self.0.join("image");
        fs::File::create(&image).unwrap().set_len(64 * MIB as u64).unwrap();
        assert!(run("/usr/sbin/mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), image.as_ref()]));
        // One of the two without the order of data before metadata that ext4 keeps by default.
        let data = if t.engine == Engine::Uring { "ordered" } else { "writeback" };
        self.mount_with(&image, &format!("loop,commit=1,data={data}"))
            .expect("a fresh filesystem can be mounted")
    }

    fn copy(&self, number: usize) -> PathBuf {
        let copy = self.0.join(format!("copy-{number}"));
        fs::copy(self.0.join("image"), &copy).unwrap();
        copy
    }

    fn mount(&self, image: &Path) -> Option<PathBuf> {
        self.mount_with(image, "loop").or_else(|| {
            run("/usr/sbin/e2fsck", &["-fy".as_ref(), image.as_ref()]);
            self.mount_with(image, "loop")
        })
    }

    fn mount_with(&self, image: &Path, options: &str) -> Option<PathBuf> {
        let at = image.with_extension("mounted");
        drop(fs::create_dir(&at));
        let args: [&std::ffi::OsStr; 4] =
            ["-o".as_ref(), options.as_ref(), image.as_ref(), at.as_ref()];
        run("/usr/bin/mount", &args).then_some(at)
    }

    fn unmount(&self, at: &Path) {
        run("/usr/bin/umount", &[at.as_ref()]);
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // What is still mounted goes with the thread's namespace.
        for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                self.unmount(&entry.path());
            }
        }
        run("/usr/bin/umount", &["-l".as_ref(), self.0.as_ref()]);
    }
}

fn run(program: &str, args: &[&std::ffi::OsStr]) -> bool {
    Command::new(program).args(args).output().is_ok_and(|output| output.status.success())
}
