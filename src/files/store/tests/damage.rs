//! A part file that somebody else wrote to: what is sound of it is used, and it is read only where
//! something may have happened.

use super::*;

/// What is held, and whether the part file was read to know it.
fn look(world: &World) -> (Opened, bool) {
    let mut read = false;
    let mut wait = || {
        read = true;
        Ok(())
    };
    let opened = Store::open(world.wanted(), &mut wait).unwrap();
    (opened, read)
}

fn part(world: &World) -> File {
    File::options().write(true).open(world.path(".file.uget-part")).unwrap()
}

/// What a run leaves that wrote half of it and failed.
fn failed_half_way(world: &World) {
    let mut store = world.open().store;
    let file = store.prepare(Some(&Extent::all(TOTAL)), &validators(), false).unwrap();
    write(&file, 0..TOTAL / 2);
    store.record(claim(0..TOTAL / 4), ms(0)).unwrap();
    store.record(claim(TOTAL / 4..TOTAL / 2), ms(0)).unwrap();
    drop(file);
    store.abandon(true);
}

/// Whether files can be sealed where the tests are.
fn seals(world: &World) -> bool {
    let seals = seal::set(&part(world)).is_some();
    if !seals {
        eprintln!("left out: this filesystem's times prove nothing");
    }
    seals
}

#[test]
fn what_was_left_in_order_is_not_read() {
    let world = World::new();
    failed_half_way(&world);
    let (opened, read) = look(&world);
    assert_eq!(opened.held.unwrap().done, set(&[0..TOTAL / 2]));
    drop(opened.store);
    assert!(!read || !seals(&world));
}

#[test]
fn what_was_read_once_is_not_read_again() {
    let world = World::new();
    world.killed_after(&[0..1000, 5000..9000]);
    for round in 0..3 {
        let (opened, read) = look(&world);
        assert_eq!(opened.held.unwrap().done, set(&[0..1000, 5000..9000]));
        // The run that found it could not reach its server.
        opened.store.abandon(true);
        if round > 0 && read && seals(&world) {
            panic!("it was read {round} times");
        }
    }
}

#[test]
fn damage_is_found_however_the_last_run_ended_and_heals() {
    type Damage = fn(&World);
    let cases: [(&str, Damage, u64); 6] = [
        ("an edit", |w| part(w).write_all_at(b"edit", 1000).unwrap(), TOTAL / 4),
        (
            "an edit that hides its time",
            |w| {
                let file = part(w);
                let times =
                    fs::FileTimes::new().set_modified(file.metadata().unwrap().modified().unwrap());
                file.write_all_at(b"edit", 1000).unwrap();
                file.set_times(times).unwrap();
            },
            TOTAL / 4,
        ),
        (
            "a cut that was filled up again",
            |w| {
                part(w).set_len(TOTAL / 4 + 5).unwrap();
                part(w).set_len(TOTAL).unwrap();
            },
            TOTAL / 4,
        ),
        ("a cut", |w| part(w).set_len(TOTAL / 4 + 5).unwrap(), TOTAL / 4),
        (
            "zeros",
            |w| {
                part(w).set_len(0).unwrap();
                part(w).set_len(TOTAL).unwrap();
            },
            0,
        ),
        (
            "nothing but a touch",
            |w| part(w).set_modified(std::time::SystemTime::now()).unwrap(),
            TOTAL / 2,
        ),
    ];
    for (what, damage, sound) in cases {
        for killed in [false, true] {
            let world = World::new();
            if killed {
                world.killed_after(&[0..TOTAL / 4, TOTAL / 4..TOTAL / 2]);
            } else {
                failed_half_way(&world);
            }
            damage(&world);
            let (opened, read) = look(&world);
            assert!(read, "{what}, {killed}");
            let note = opened.note();
            let Opened { mut store, held, .. } = opened;
            let done = held.map(|held| held.done).unwrap_or_default();
            let bytes = fs::read(world.path(".file.uget-part")).unwrap();
            for range in done.iter() {
                assert!(range.clone().all(|at| bytes[at as usize] == byte(at)), "{what}, {killed}");
            }
            assert!(done.len() <= sound, "{what}, {killed}: {done:?}");
            assert_eq!(note.is_none(), done.len() == TOTAL / 2, "{what}, {killed}: {note:?}");
            // It heals: what is missing is written, and then all of it is sound.
            let file =
                store.prepare(Some(&Extent::all(TOTAL)), &validators(), !done.is_empty()).unwrap();
            for gap in done.gaps(0..TOTAL / 2) {
                write(&file, gap.clone());
                store.record(claim(gap), ms(0)).unwrap();
            }
            drop(file);
            store.abandon(true);
            assert_eq!(world.open().held.unwrap().done, set(&[0..TOTAL / 2]), "{what}, {killed}");
        }
    }
}

#[test]
fn whoever_is_tired_of_waiting_changes_nothing() {
    let world = World::new();
    world.killed_after(&[0..TOTAL]);
    let failure = Store::open(world.wanted(), &mut || Err(Failure::Cancelled { signal: 2 }));
    assert!(matches!(failure, Err(Failure::Cancelled { signal: 2 })));
    assert_eq!(world.open().held.unwrap().done, set(&[0..TOTAL]));
}
