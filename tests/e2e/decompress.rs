//! `--decompress`: what a compressed file holds.

use std::fs;

use crate::{
    KIB, MIB, e2e_test,
    support::{
        archive::{self, CODINGS},
        *,
    },
};

e2e_test!(every_coding_is_decompressed, |t| {
    let plain = Object::random(910, MIB);
    for (name, coding) in CODINGS.into_iter().skip(1) {
        let packed = Object::from_bytes(coding(plain.bytes()));
        let origin = Origin::of(&packed).start();
        let url = origin.at(&format!("/disk.img.{name}"));
        let output = t.uget(["-j4", "--decompress", "--sha256", &packed.sha256(), &url]).run();
        t.delivers(&output, "disk.img", &plain);
        // Nothing that is there is replaced, unless it is named.
        let output = t.uget(["-j4", "--decompress", &url]).run();
        output.fails(23);
        t.write("disk.img", "old");
        let output = t.uget(["-j4", "--decompress", "-o", "disk.img", &url]).run();
        t.delivers(&output, "disk.img", &plain);
        let output = t.uget(["-j4", "--decompress", "-o", "-", &url]).run();
        output.succeeds();
        assert!(plain.difference(&output.stdout).is_none());
        t.clear();
    }
});

e2e_test!(damaged_files_leave_the_old_one, |t| {
    let plain = Object::random(911, 300 * KIB);
    for (name, coding) in CODINGS.into_iter().skip(1) {
        let whole = coding(plain.bytes());
        let mut bent = whole.clone();
        bent[whole.len() / 2] ^= 0x10;
        for bytes in [whole[..whole.len() - 1].to_vec(), bent, whole[..1].to_vec(), Vec::new()] {
            let origin = Origin::of(&Object::from_bytes(bytes)).start();
            t.write("file", "old");
            let output = t.uget(["--decompress", "-o", "file", &origin.url()]).run();
            output.fails(102);
            output.check(fs::read(t.path("file")).unwrap() == b"old", name);
            t.holds_only(&output, &["file"]);
        }
    }
    let origin = Origin::of(&plain).start();
    t.uget(["--decompress", "-o", "file", &origin.url()]).run().fails(102).says("no known kind");
});

e2e_test!(what_is_decompressed_has_a_limit, |t| {
    let packed = Object::from_bytes(archive::gzip(&vec![7; 5000]));
    let origin = Origin::of(&packed).start();
    let run = |most: &str| {
        t.uget(["--decompress", "--max-extracted", most, "-o", "file", &origin.url()]).run()
    };
    t.refuses(&run("4999"), 63);
    run("5000").succeeds();
    assert_eq!(fs::read(t.path("file")).unwrap(), [7; 5000]);
});

e2e_test!(a_reader_that_leaves_is_noticed, |t| {
    let packed = Object::from_bytes(archive::gzip(Object::random(912, 4 * MIB).bytes()));
    let origin = Origin::of(&packed)
        .mode(Mode::Stall { from: 0, times: usize::MAX, at: 2 * MIB as u64 })
        .start();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let args = ["-j1", "--decompress", "-o", "-", &origin.url()];
    let running = t.uget(args).stdout(writer).start();
    std::io::Read::read_exact(&mut reader, &mut [0]).unwrap();
    drop(reader);
    let output = running.wait();
    output.fails_with(&[23, 141]);
    output.check(output.took < at_once(), "it waited for the server");
});
