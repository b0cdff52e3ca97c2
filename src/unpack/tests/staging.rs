//! Before there is a name, and when there is one: what is beside the target.

use std::{
    fs,
    io::{self, Read},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    thread,
};

use super::{
    archive::{self, Archive},
    world::{Odd, World, staged, tree},
};
use crate::{
    options::Unpack,
    orders::{Failure, StoreOp},
    unpack::Place,
};

fn sample() -> Vec<u8> {
    Archive::new().file("x", "x").end()
}

/// Bytes whose end comes when the other end of a pipe is closed.
struct Held(Odd, io::PipeReader);

impl Read for Held {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.0.read(into)? {
            0 => self.1.read(into),
            count => Ok(count),
        }
    }
}

#[test]
fn an_existing_directory_is_left_alone() {
    let world = World::new();
    let target = world.target();
    let kinds: [&dyn Fn(); 4] = [
        &|| fs::create_dir(&target).unwrap(),
        &|| fs::write(&target, "x").unwrap(),
        &|| symlink("nowhere", &target).unwrap(),
        &|| symlink("../canary", &target).unwrap(),
    ];
    for make in kinds {
        make();
        let failure = world.refuse(&sample(), &Unpack::default());
        assert!(matches!(&failure, Failure::Store { op: StoreOp::Create, .. }), "{failure}");
        let remove =
            if target.is_dir() && !target.is_symlink() { fs::remove_dir } else { fs::remove_file };
        remove(&target).unwrap();
    }
}

#[test]
fn a_directory_that_appears_meanwhile_is_left_alone() {
    let world = World::new();
    let place = Place::directory(&world.target()).unwrap();
    let staged = staged(Odd::of(&sample()), place, &Unpack::default()).unwrap();
    fs::create_dir(world.target()).unwrap();
    let before = tree(&world.target());
    let failure = staged.publish(true).unwrap_err();
    assert!(matches!(&failure, Failure::Store { op: StoreOp::Publish, .. }), "{failure}");
    assert_eq!(tree(&world.target()), before);
    assert_eq!(fs::read_dir(world.path("work")).unwrap().count(), 1);
}

#[test]
fn what_took_the_place_of_the_staging_directory_is_left_alone() {
    let kinds: [fn(&Path); 4] = [
        |side| fs::create_dir(side).unwrap(),
        |side| fs::write(side, "mine").unwrap(),
        |side| symlink("../canary", side).unwrap(),
        |_| {},
    ];
    for (make, shape) in kinds.iter().flat_map(|make| [(make, "dir"), (make, "file")]) {
        let world = World::new();
        let target = world.path("work").join(shape);
        let place = match shape {
            "dir" => Place::directory(&target).unwrap(),
            _ => Place::file(&target, true).unwrap(),
        };
        let input = archive::gzip(&sample());
        let staged = staged(Odd::of(&input), place, &Unpack::default()).unwrap();
        let side = world.path("work").join(format!(".{shape}.uget-stage"));
        fs::rename(&side, world.path("moved")).unwrap();
        make(&side);
        let before = tree(&world.path("work"));
        let failure = staged.publish(false).unwrap_err();
        assert!(matches!(&failure, Failure::Store { op: StoreOp::Publish, .. }), "{failure}");
        assert!(failure.to_string().contains("moved or removed"), "{failure}");
        assert_eq!(tree(&world.path("work")), before);
        assert_eq!(fs::read_to_string(world.path("canary/file")).unwrap(), "unharmed");
    }
}

#[test]
fn nothing_has_the_name_before() {
    let world = World::new();
    let (reader, writer) = io::pipe().unwrap();
    let place = Place::directory(&world.target()).unwrap();
    let input = Held(Odd::of(&sample()), reader);
    let unpacking = thread::spawn(move || staged(input, place, &Unpack::default()));
    let side = world.path("work/.dir.uget-stage");
    assert_eq!(fs::metadata(&side).unwrap().permissions().mode() & 0o777, 0o700);
    // A second run fails, and leaves the first one alone.
    let failure = Place::directory(&world.target()).unwrap_err();
    assert!(matches!(&failure, Failure::Store { op: StoreOp::Lock, .. }), "{failure}");
    assert!(side.exists() && !world.target().exists());
    drop(writer);
    let staged = unpacking.join().unwrap().unwrap();
    assert!(side.exists() && !world.target().exists());
    staged.publish(true).unwrap();
    assert!(!side.exists() && world.target().join("x").exists());
}

#[test]
fn giving_up_removes_everything() {
    let world = World::new();
    let archive = Archive::new().dir("d", 0).file("d/x", "x").dir("d/e", 0o500).file("y", "y");
    let place = Place::directory(&world.target()).unwrap();
    let failure = staged(Odd::failing(&archive.open()), place, &Unpack::default()).unwrap_err();
    assert_eq!(failure, Failure::Cancelled { signal: 0 });
    assert_eq!(fs::read_dir(world.path("work")).unwrap().count(), 0);
    let place = Place::directory(&world.target()).unwrap();
    drop(staged(Odd::of(&sample()), place, &Unpack::default()).unwrap());
    assert_eq!(fs::read_dir(world.path("work")).unwrap().count(), 0);
}

#[test]
fn what_was_left_behind_is_removed() {
    let world = World::new();
    let side = world.path("work/.dir.uget-stage");
    fs::create_dir_all(side.join("a/b/c/d")).unwrap();
    for name in ["x", "a/x", "a/b/x", "a/b/c/d/x"] {
        fs::write(side.join(name), "x").unwrap();
    }
    symlink("../../canary", side.join("a/link")).unwrap();
    for name in ["a/b", "a"] {
        fs::set_permissions(side.join(name), fs::Permissions::from_mode(0o500)).unwrap();
    }
    let tree = world.accept(&sample(), &Unpack::default());
    assert_eq!(tree.len(), 2);
    assert_eq!(fs::read_dir(world.path("work")).unwrap().count(), 1);
}

#[test]
fn what_is_not_a_staging_directory_is_left_alone() {
    let world = World::new();
    symlink("../canary", world.path("work/.dir.uget-stage")).unwrap();
    world.refuse(&sample(), &Unpack::default());
    fs::remove_file(world.path("work/.dir.uget-stage")).unwrap();
    fs::write(world.path("work/.dir.uget-stage"), "mine").unwrap();
    world.refuse(&sample(), &Unpack::default());
}

#[test]
fn names_of_targets() {
    let world = World::new();
    for name in ["work/a", "work/b/", "work/new/parents/c//", "work/e/."] {
        let place = Place::directory(&world.path(name)).unwrap();
        let staged = staged(Odd::of(&sample()), place, &Unpack::default()).unwrap();
        staged.publish(false).unwrap();
        assert!(world.path(name).join("x").exists(), "{name}");
    }
    let long = world.path("work").join("é".repeat(127));
    let place = Place::directory(&long).unwrap();
    staged(Odd::of(&sample()), place, &Unpack::default()).unwrap().publish(false).unwrap();
    assert!(long.join("x").exists());
    for name in ["work/..", ".", "/"] {
        assert!(Place::directory(&world.path(name)).is_err(), "{name}");
    }
}
