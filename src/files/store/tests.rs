//! The store on a real filesystem: what it finds and what it leaves.

mod damage;
mod refusals;

use std::{
    fs,
    ops::Range,
    os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink},
    path::Path,
};

use tempfile::TempDir;

use super::*;
use crate::{
    http::field::ETag,
    journal::{Replay, replay},
    range::RangeSet,
};

const TOTAL: u64 = 1 << 20;

struct World {
    dir: TempDir,
    url: Url,
}

impl World {
    fn new() -> Self {
        let url = Url::parse("http://user:secret@host/file?token=secret").unwrap();
        Self { dir: tempfile::tempdir().unwrap(), url }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn wanted(&self) -> Wanted<'_> {
        let target = self.path("file");
        Wanted { target, replace: true, url: &self.url, slice: None, resume: true, sync: false }
    }

    fn open(&self) -> Opened {
        open(self.wanted()).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// What a run leaves that wrote `ranges` and was killed.
    fn killed_after(&self, ranges: &[Range<u64>]) {
        let mut store = self.open().store;
        let file = store.prepare(Some(&Extent::all(TOTAL)), &validators(), false).unwrap();
        for range in ranges {
            write(&file, range.clone());
            store.record(claim(range.clone()), ms(0)).unwrap();
        }
        store.flush().unwrap();
    }
}

fn open(wanted: Wanted<'_>) -> Result<Opened, Failure> {
    Store::open(wanted, &mut || Ok(()))
}

/// What is claimed of bytes that [`write`] wrote.
fn claim(range: Range<u64>) -> Claim {
    let bytes: Vec<u8> = range.clone().map(byte).collect();
    Claim { range, crc: crc32fast::hash(&bytes) }
}

fn validators() -> Validators {
    let etag = ETag { weak: false, opaque: "\"v1\"".to_owned() };
    Validators { etag: Some(etag), ..Validators::default() }
}

fn byte(at: u64) -> u8 {
    (at % 251) as u8 + 1
}

fn write(file: &File, range: Range<u64>) {
    let bytes: Vec<u8> = range.clone().map(byte).collect();
    file.write_all_at(&bytes, range.start).unwrap();
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn set(ranges: &[Range<u64>]) -> RangeSet {
    let mut set = RangeSet::new();
    for range in ranges {
        set.insert(range.clone());
    }
    set
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn failed(result: Result<Opened, Failure>) -> (StoreOp, i32) {
    match result {
        Err(Failure::Store { op, errno, .. }) => (op, errno),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_whole_download_leaves_one_file() {
    let world = World::new();
    let Opened { mut store, held, fresh, .. } = world.open();
    assert_eq!((held, fresh), (None, None));
    let file = store.prepare(Some(&Extent::all(TOTAL)), &validators(), false).unwrap();
    assert_eq!(file.metadata().unwrap().len(), TOTAL);
    assert!(file.metadata().unwrap().blocks() * 512 >= TOTAL, "blocks are allocated");
    write(&file, 0..TOTAL);
    store.record(claim(0..TOTAL), ms(1)).unwrap();
    assert_eq!(world.names(), [".file.uget-journal", ".file.uget-part"]);
    assert_eq!(mode(&world.path(".file.uget-part")), 0o600);
    assert_eq!(mode(&world.path(".file.uget-journal")), 0o600);
    assert_eq!(store.publish(TOTAL, true).unwrap(), world.path("file"));
    assert_eq!(world.names(), ["file"]);
    let bytes = fs::read(world.path("file")).unwrap();
    assert!(bytes.iter().enumerate().all(|(at, b)| *b == byte(at as u64)));
}

#[test]
fn an_object_of_unknown_length_is_cut_where_it_ended_and_has_no_journal() {
    let world = World::new();
    let mut store = world.open().store;
    let file = store.prepare(None, &validators(), false).unwrap();
    write(&file, 0..1000);
    store.record(claim(0..1000), ms(1)).unwrap();
    assert_eq!(world.names(), [".file.uget-part"]);
    store.publish(900, false).unwrap();
    assert_eq!(fs::metadata(world.path("file")).unwrap().len(), 900);
}

#[test]
fn rt39_the_mode_is_the_users_and_not_widened() {
    let world = World::new();
    let publish = || {
        let mut store = world.open().store;
        store.prepare(Some(&Extent::all(0)), &validators(), false).unwrap();
        store.publish(0, false).unwrap();
        mode(&world.path("file"))
    };
    let usual = {
        fs::write(world.path("other"), "").unwrap();
        mode(&world.path("other"))
    };
    assert_eq!(publish(), usual);
    for kept in [0o600, 0o640, 0o444, 0o755] {
        fs::set_permissions(world.path("file"), fs::Permissions::from_mode(kept)).unwrap();
        assert_eq!(publish(), kept);
    }
    fs::set_permissions(world.path("file"), fs::Permissions::from_mode(0o4755)).unwrap();
    assert_eq!(publish(), 0o755);
}

#[test]
fn a_synced_replacement_leaves_nothing_of_the_old_file() {
    let world = World::new();
    fs::write(world.path("file"), "old").unwrap();
    let mut store = world.open().store;
    let file = store.prepare(Some(&Extent::all(10)), &validators(), false).unwrap();
    write(&file, 0..10);
    store.publish(10, true).unwrap();
    assert_eq!(world.names(), ["file"]);
    assert_eq!(fs::metadata(world.path("file")).unwrap().len(), 10);
}

#[test]
fn what_was_recorded_is_held_after_a_kill() {
    let world = World::new();
    world.killed_after(&[0..1000, 5000..9000, 1000..2000]);
    let Opened { mut store, held, fresh, .. } = world.open();
    let want = set(&[0..2000, 5000..9000]);
    let validator = Some("\"v1\"".to_owned());
    assert_eq!(held, Some(Held { total: TOTAL, complete: TOTAL, validator, done: want }));
    assert_eq!(fresh, None);
    let file = store.prepare(Some(&Extent::all(TOTAL)), &validators(), true).unwrap();
    write(&file, 2000..5000);
    store.record(claim(2000..5000), ms(0)).unwrap();
    drop(file);
    store.abandon(true);
    assert_eq!(world.open().held.unwrap().done, set(&[0..9000]));
    let bytes = fs::read(world.path(".file.uget-part")).unwrap();
    assert!((0..9000).all(|at| bytes[at] == byte(at as u64)));
}

#[test]
fn another_run_without_prepare_changes_nothing() {
    let world = World::new();
    world.killed_after(&[0..1000]);
    world.open().store.abandon(true);
    // Neither does a transfer that failed before it learned enough to say "keep".
    world.open().store.abandon(false);
    drop(world.open());
    assert_eq!(world.open().held.unwrap().done, set(&[0..1000]));
}

#[test]
fn a_restart_forgets_what_was_held() {
    let world = World::new();
    world.killed_after(&[0..1000]);
    let mut store = world.open().store;
    store.prepare(Some(&Extent::all(TOTAL)), &validators(), true).unwrap();
    let file = store.prepare(Some(&Extent::all(500)), &validators(), false).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 500);
    write(&file, 0..10);
    store.record(claim(0..10), ms(0)).unwrap();
    drop(file);
    store.abandon(true);
    let held = world.open().held.unwrap();
    assert_eq!((held.total, held.done), (500, set(&[0..10])));
}

#[test]
fn rt38_nothing_of_the_first_attempt_is_left_in_the_second() {
    let world = World::new();
    world.killed_after(&[0..TOTAL]);
    let mut store = world.open().store;
    let file = store.prepare(None, &validators(), false).unwrap();
    write(&file, 0..3);
    store.publish(3, false).unwrap();
    assert_eq!(fs::read(world.path("file")).unwrap(), [byte(0), byte(1), byte(2)]);
}

#[test]
fn nothing_is_left_of_a_failure_that_cannot_be_resumed() {
    let world = World::new();
    world.open().store.abandon(true);
    assert_eq!(world.names(), [""; 0]);
    let mut store = world.open().store;
    store.prepare(Some(&Extent::all(TOTAL)), &validators(), false).unwrap();
    store.abandon(false);
    assert_eq!(world.names(), [""; 0]);
    let mut store = world.open().store;
    store.prepare(None, &validators(), false).unwrap();
    store.abandon(true);
    assert_eq!(world.names(), [""; 0]);
}

#[test]
fn a_damaged_or_foreign_journal_is_a_fresh_start_that_says_why() {
    type Damage = fn(&World);
    let cases: [(&str, Damage); 10] = [
        ("without a journal", |w| fs::remove_file(w.path(".file.uget-journal")).unwrap()),
        ("empty", |w| fs::write(w.path(".file.uget-journal"), "").unwrap()),
        ("not one of uget's", |w| fs::write(w.path(".file.uget-journal"), "{}").unwrap()),
        ("too large", |w| fs::write(w.path(".file.uget-journal"), vec![0; 5 << 20]).unwrap()),
        ("damaged", |w| {
            let mut bytes = fs::read(w.path(".file.uget-journal")).unwrap();
            bytes[30] ^= 4;
            fs::write(w.path(".file.uget-journal"), bytes).unwrap();
        }),
        ("not a file of our own", |w| {
            fs::rename(w.path(".file.uget-journal"), w.path("j")).unwrap();
            symlink("j", w.path(".file.uget-journal")).unwrap();
        }),
        ("not a file of our own", |w| {
            fs::hard_link(w.path(".file.uget-journal"), w.path("j")).unwrap();
        }),
        ("longer than", |w| {
            let part = File::options().write(true).open(w.path(".file.uget-part")).unwrap();
            part.set_len(TOTAL + 1).unwrap();
        }),
        ("not the one", |w| {
            fs::copy(w.path(".file.uget-part"), w.path("copy")).unwrap();
            fs::rename(w.path("copy"), w.path(".file.uget-part")).unwrap();
        }),
        ("none of the part file", |w| fs::remove_file(w.path(".file.uget-part")).unwrap()),
    ];
    for (why, damage) in cases {
        let world = World::new();
        world.killed_after(&[0..1000]);
        damage(&world);
        let Opened { mut store, held, fresh, .. } = world.open();
        assert_eq!(held, None, "{why}");
        let fresh = fresh.unwrap_or_else(|| panic!("nothing said: {why}"));
        // A new part file may get the old one's inode number, so two answers are right there.
        assert!(fresh.contains(why) || fresh.contains("not the one"), "{why}: {fresh}");
        // It heals: the next run starts where this one ended, and the rest stands as it was.
        let file = store.prepare(Some(&Extent::all(TOTAL)), &validators(), false).unwrap();
        write(&file, 0..10);
        store.record(claim(0..10), ms(0)).unwrap();
        drop(file);
        store.abandon(true);
        assert_eq!(world.open().held.unwrap().done, set(&[0..10]), "{why}");
    }
}

#[test]
fn another_url_or_no_resume_is_a_fresh_start() {
    let world = World::new();
    world.killed_after(&[0..1000]);
    let url = Url::parse("http://host/file?token=other").unwrap();
    let opened = open(Wanted { url: &url, ..world.wanted() }).unwrap();
    assert_eq!(opened.held, None);
    let why = opened.fresh.unwrap();
    assert!(why.contains("http://host/file") && !why.contains("secret"), "{why}");
    drop(opened.store);
    let opened = open(Wanted { resume: false, ..world.wanted() }).unwrap();
    assert_eq!(opened.held, None);
    assert!(opened.fresh.is_some());
}

#[test]
fn ht25_the_journal_holds_no_secret() {
    let world = World::new();
    world.killed_after(&[0..1000]);
    let bytes = fs::read(world.path(".file.uget-journal")).unwrap();
    assert!(!String::from_utf8_lossy(&bytes).contains("secret"));
}

#[test]
fn okx04_a_part_that_was_cut_holds_only_claims_that_are_whole() {
    let world = World::new();
    world.killed_after(&[0..1000, 2000..3000]);
    let part = File::options().write(true).open(world.path(".file.uget-part")).unwrap();
    part.set_len(2500).unwrap();
    let opened = world.open();
    assert_eq!(opened.held.as_ref().unwrap().done, set(&[0..1000]));
    let note = opened.note().unwrap();
    assert_eq!(note, "1000 bytes of the part file are damaged and are fetched again");
}

#[test]
fn after_a_reboot_only_what_was_synced_is_held() {
    let world = World::new();
    let mut store = world.open().store;
    let file = store.prepare(Some(&Extent::all(TOTAL)), &validators(), false).unwrap();
    write(&file, 0..1000);
    store.record(claim(0..1000), ms(0)).unwrap();
    // The first sync is due five seconds after the first byte; what comes later is not in it.
    store.tick(ms(5000)).unwrap();
    assert!(store.next_timeout().is_some());
    write(&file, 1000..2000);
    store.record(claim(1000..2000), ms(5001)).unwrap();
    let unsynced = |store: &Store| store.ledger.as_ref().unwrap().unsynced();
    while unsynced(&store) != 1000 {
        store.tick(ms(5002)).unwrap();
        std::thread::yield_now();
    }
    drop(file);
    store.abandon(true);
    assert_eq!(world.open().held.unwrap().done, set(&[0..2000]));
    let journal = fs::read(world.path(".file.uget-journal")).unwrap();
    let Replay::Resumable(state) = replay(&journal, "another boot") else { panic!() };
    assert_eq!(state.done, set(&[0..1000]));
}
