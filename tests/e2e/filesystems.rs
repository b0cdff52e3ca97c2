//! Filesystems that take writes in other ways than the one that the tests run on.

use crate::{MIB, e2e_test, support::*};

e2e_test!(one_that_writes_without_blocking_is_written_to_as_any_other, |t| {
    // There the ring writes by itself; elsewhere its thread does.
    let Some(small) = SmallDisk::mount(t, 400 * MIB as u64) else { return };
    let Some(xfs) = small.image("mkfs.xfs", 320 * MIB as u64) else { return };
    let object = Object::random(211, 24 * MIB + 7);
    let origin = Origin::of(&object).start();
    for connections in ["-j1", "-j5"] {
        let target = xfs.join(connections);
        let output = t.uget([connections, "-o"]).arg(&target).arg(origin.url()).run();
        output.succeeds();
        let same = std::fs::read(&target).unwrap() == object.bytes();
        output.check(same, "other bytes than the origin's");
    }
    // A disk that is full in the middle says so, by whichever call writes.
    let output = t.uget(["-j5", "-o"]).arg(xfs.join("big")).arg(origin.url());
    let output = output.sandbox(Sandbox::default().file_size(8 * MIB as u64)).run();
    output.fails(23);
    output.check(!xfs.join("big").exists(), "a name for half of it");
});
