//! What the store does not touch, does not overwrite and does not believe.

use super::*;

#[test]
fn ht26_a_second_process_is_told_so_and_changes_nothing() {
    let world = World::new();
    let mut store = world.open().store;
    let file = store.prepare(Some(&Extent::all(TOTAL)), &validators(), false).unwrap();
    write(&file, 0..1000);
    assert_eq!(failed(open(world.wanted())), (StoreOp::Lock, 0));
    assert_eq!(file.metadata().unwrap().len(), TOTAL);
    drop(file);
    store.publish(TOTAL, false).unwrap();
    assert!(open(world.wanted()).is_ok());
}

#[test]
fn a_part_file_that_is_not_ours_is_never_written_to() {
    type Place = fn(&World);
    let cases: [(&str, Place); 4] = [
        ("a link to a file", |w| symlink("victim", w.path(".file.uget-part")).unwrap()),
        ("a link to nothing", |w| symlink("new", w.path(".file.uget-part")).unwrap()),
        ("a hard link", |w| fs::hard_link(w.path("victim"), w.path(".file.uget-part")).unwrap()),
        ("a fifo", |w| {
            let (cwd, kind) = (rustix::fs::CWD, rustix::fs::FileType::Fifo);
            let mode = rustix::fs::Mode::RUSR;
            rustix::fs::mknodat(cwd, w.path(".file.uget-part"), kind, mode, 0).unwrap();
        }),
    ];
    for (what, place) in cases {
        let world = World::new();
        fs::write(world.path("victim"), "precious").unwrap();
        place(&world);
        let mut store = world.open().store;
        let file = store.prepare(Some(&Extent::all(10)), &validators(), false).unwrap();
        write(&file, 0..10);
        store.publish(10, false).unwrap();
        assert_eq!(fs::read(world.path("victim")).unwrap(), b"precious", "{what}");
        assert_eq!(fs::read(world.path("file")).unwrap().len(), 10, "{what}");
        assert_eq!(world.names(), ["file", "victim"], "{what}");
    }
}

#[test]
fn a_directory_in_the_way_is_an_error_that_names_it() {
    let world = World::new();
    fs::create_dir(world.path(".file.uget-part")).unwrap();
    let failure = open(world.wanted()).unwrap_err();
    let Failure::Store { op: StoreOp::Create, path, reason, .. } = failure else { panic!() };
    assert!(path.ends_with(".file.uget-part"), "{path}");
    assert_eq!(reason, "is a directory");
}

#[test]
fn a_directory_in_the_journals_place_costs_no_part_file() {
    let world = World::new();
    world.killed_after(&[0..1000]);
    fs::rename(world.path(".file.uget-journal"), world.path("aside")).unwrap();
    fs::create_dir(world.path(".file.uget-journal")).unwrap();
    let failure = open(world.wanted()).unwrap_err();
    let Failure::Store { op: StoreOp::Create, path, reason, .. } = failure else { panic!() };
    assert!(path.ends_with(".file.uget-journal"), "{path}");
    assert_eq!(reason, "is a directory");
    fs::remove_dir(world.path(".file.uget-journal")).unwrap();
    fs::rename(world.path("aside"), world.path(".file.uget-journal")).unwrap();
    assert_eq!(world.open().held.unwrap().done, set(&[0..1000]));
}

#[test]
fn whatever_was_left_beside_a_finished_file_is_taken_away() {
    for names in [
        &[".file.uget-part", ".file.uget-journal"] as &[&str],
        &[".file.uget-part"],
        &[".file.uget-journal"],
        &[".file.uget-journal~"],
    ] {
        for keep in [true, false] {
            let world = World::new();
            names.iter().for_each(|name| fs::write(world.path(name), "").unwrap());
            fs::write(world.path("file"), "finished").unwrap();
            if keep {
                world.open().store.keep(true).unwrap();
            } else {
                clear(&world.path("file"));
            }
            assert_eq!(world.names(), ["file"], "{names:?}");
        }
    }
}

#[test]
fn a_name_that_nobody_chose_is_not_overwritten() {
    let world = World::new();
    fs::write(world.path("file"), "old").unwrap();
    let wanted = Wanted { replace: false, ..world.wanted() };
    assert_eq!(failed(open(wanted.clone())), (StoreOp::Create, libc::EEXIST));
    assert_eq!(world.names(), ["file"]);
    fs::remove_file(world.path("file")).unwrap();
    // It appears while the download runs.
    let mut store = open(wanted).unwrap().store;
    store.prepare(Some(&Extent::all(0)), &validators(), false).unwrap();
    fs::write(world.path("file"), "new").unwrap();
    let result = store.publish(0, false);
    assert!(
        matches!(result, Err(Failure::Store { op: StoreOp::Publish, errno: libc::EEXIST, .. })),
        "{result:?}"
    );
    assert_eq!(fs::read(world.path("file")).unwrap(), b"new");
}

#[test]
fn directories_are_made_whoever_chose_the_name() {
    for replace in [true, false] {
        let world = World::new();
        let target = world.path("a/b/file");
        let wanted = Wanted { target: target.clone(), replace, ..world.wanted() };
        let mut store = open(wanted).unwrap().store;
        store.prepare(Some(&Extent::all(0)), &validators(), false).unwrap();
        store.publish(0, true).unwrap();
        assert!(target.is_file());
    }
}

#[test]
fn a_part_that_was_replaced_or_deleted_is_not_published() {
    for replace in [true, false] {
        let world = World::new();
        fs::write(world.path("file"), "old").unwrap();
        let mut store = world.open().store;
        store.prepare(Some(&Extent::all(4)), &validators(), false).unwrap();
        fs::remove_file(world.path(".file.uget-part")).unwrap();
        if replace {
            fs::write(world.path(".file.uget-part"), "evil").unwrap();
        }
        let result = store.publish(4, false);
        assert!(matches!(result, Err(Failure::Store { op: StoreOp::Publish, .. })), "{result:?}");
        assert_eq!(fs::read(world.path("file")).unwrap(), b"old");
    }
}

#[test]
fn a_directory_that_moved_is_an_error() {
    let world = World::new();
    let wanted = Wanted { target: world.path("sub/file"), ..world.wanted() };
    let mut store = open(wanted).unwrap().store;
    store.prepare(Some(&Extent::all(4)), &validators(), false).unwrap();
    fs::rename(world.path("sub"), world.path("moved")).unwrap();
    fs::create_dir(world.path("sub")).unwrap();
    assert!(store.publish(4, false).is_err());
    assert!(!world.path("moved/file").exists() && !world.path("sub/file").exists());
}

#[test]
fn the_longest_name_works_and_a_longer_one_is_refused() {
    let world = World::new();
    for (length, works) in [(255, true), (256, false)] {
        let wanted = Wanted { target: world.path(&"n".repeat(length)), ..world.wanted() };
        let Ok(Opened { mut store, .. }) = open(wanted) else {
            assert!(!works);
            continue;
        };
        store.prepare(Some(&Extent::all(4)), &validators(), false).unwrap();
        store.publish(4, false).unwrap();
        assert!(works && world.path(&"n".repeat(length)).exists());
    }
}

#[test]
fn ht19_more_than_there_is_room_for_is_refused_and_given_back() {
    for base in [None, Some("/dev/shm")] {
        let mut world = World::new();
        if let Some(base) = base {
            world.dir = tempfile::tempdir_in(base).unwrap();
        }
        let mut store = world.open().store;
        // More than any disk, less than the largest file of ext4 (16 TiB).
        let result = store.prepare(Some(&Extent::all(15 << 40)), &validators(), false);
        assert!(
            matches!(result, Err(Failure::Store { op: StoreOp::Preallocate, .. })),
            "{base:?} {result:?}"
        );
        let part = fs::metadata(store.part_path()).unwrap();
        assert_eq!((part.len(), part.blocks()), (0, 0), "{base:?}");
        let result = store.prepare(Some(&Extent::all(u64::MAX - 1)), &validators(), false);
        let Err(Failure::Store { errno, reason, .. }) = result else { panic!("{result:?}") };
        assert_eq!((errno, reason.as_str()), (libc::EFBIG, "file too large"));
        store.abandon(true);
        assert_eq!(world.names(), [""; 0]);
    }
}

#[test]
fn what_was_held_survives_a_disk_that_is_too_full_to_go_on() {
    let world = World::new();
    world.killed_after(&[0..1000]);
    let mut store = world.open().store;
    // The total is the journal's, so fake one that no disk holds.
    store.held.as_mut().unwrap().total = 15 << 40;
    assert!(store.prepare(Some(&Extent::all(15 << 40)), &validators(), true).is_err());
    store.abandon(true);
    assert_eq!(world.open().held.unwrap().done, set(&[0..1000]));
}

#[test]
fn after_a_failed_sync_nothing_is_believed() {
    let world = World::new();
    world.killed_after(&[0..1000]);
    let mut store = world.open().store;
    store.prepare(Some(&Extent::all(TOTAL)), &validators(), true).unwrap();
    let failure = store.lost_data(Errno::IO);
    assert!(matches!(failure, Failure::Store { op: StoreOp::Sync, errno: libc::EIO, .. }));
    store.abandon(true);
    assert_eq!(world.open().held, None);
}

#[test]
fn a_link_is_followed_and_stays() {
    let world = World::new();
    fs::create_dir(world.path("real")).unwrap();
    symlink("real/data", world.path("link")).unwrap();
    let Place::File(target) = Place::of(&world.path("link")).unwrap() else { panic!() };
    let mut store = open(Wanted { target, ..world.wanted() }).unwrap().store;
    store.prepare(Some(&Extent::all(4)), &validators(), false).unwrap();
    store.publish(4, false).unwrap();
    assert!(fs::symlink_metadata(world.path("link")).unwrap().is_symlink());
    assert_eq!(fs::metadata(world.path("real/data")).unwrap().len(), 4);
}
