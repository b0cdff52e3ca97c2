//! What lies beside the target after an earlier run, damaged in every way: it is used as far as it
//! proves itself, otherwise the run starts over; it is never a wrong file, and never a failure that
//! repeats.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::symlink,
};

use crate::{MIB, e2e_test, halves::*, moments::Moments, support::*};

/// A genuine half, to be damaged.
fn half(t: &Test) -> Halves {
    for name in t.names() {
        drop(fs::remove_file(t.path(&name)));
    }
    let halves = Halves::of(&object());
    halves.fail(t);
    halves
}

e2e_test!(a_journal_cut_anywhere, |t| {
    half(t);
    let length = fs::metadata(t.path(JOURNAL)).unwrap().len();
    let mut moments = Moments::of(41);
    for round in 0..10 {
        let halves = half(t);
        let at = if round == 0 { 0 } else { moments.below(length) };
        OpenOptions::new().write(true).open(t.path(JOURNAL)).unwrap().set_len(at).unwrap();
        let (output, fetched) = halves.again::<&str>(t, &[]);
        t.delivers(&output, "object.bin", &object());
        output.check(fetched >= SIZE as u64 / 2 - MIB as u64, "it trusted what was cut off");
    }
});

e2e_test!(a_torn_tail_costs_only_itself, |t| {
    let halves = half(t);
    let journal = fs::read(t.path(JOURNAL)).unwrap();
    let torn = [&journal[..], &journal[journal.len() - 13..]].concat();
    fs::write(t.path(JOURNAL), torn).unwrap();
    halves.resumes::<&str>(t, &[]);
});

e2e_test!(a_journal_with_flipped_bits, |t| {
    let mut moments = Moments::of(42);
    for _ in 0..12 {
        let halves = half(t);
        let mut journal = fs::read(t.path(JOURNAL)).unwrap();
        let at = moments.below(journal.len() as u64) as usize;
        journal[at] ^= 1 << moments.below(8);
        fs::write(t.path(JOURNAL), journal).unwrap();
        let (output, _) = halves.again::<&str>(t, &[]);
        t.delivers(&output, "object.bin", &object());
    }
});

e2e_test!(a_journal_that_is_none, |t| {
    for (what, bytes) in [
        ("an empty journal", Vec::new()),
        ("zeros", vec![0; 4096]),
        ("text", b"{\"version\": 1}\n".to_vec()),
        ("a huge journal", vec![0x55; 5 * MIB]),
    ] {
        let halves = half(t);
        fs::write(t.path(JOURNAL), bytes).unwrap();
        halves.starts_over(t, what);
    }
    let halves = half(t);
    let mut journal = fs::read(t.path(JOURNAL)).unwrap();
    journal[8] += 1;
    fs::write(t.path(JOURNAL), journal).unwrap();
    let (output, fetched) = halves.again(t, &["-v"]);
    output.says("version");
    t.delivers(&output, "object.bin", &object());
    output.check(fetched >= SIZE as u64, "it trusted a journal of another version");
});

e2e_test!(a_journal_without_its_part, |t| {
    let halves = half(t);
    fs::remove_file(t.path(PART)).unwrap();
    halves.starts_over(t, "a journal alone");
    let halves = half(t);
    fs::remove_file(t.path(JOURNAL)).unwrap();
    halves.starts_over(t, "a part alone");
    // A part file of the same name and length that is another file.
    let halves = half(t);
    let copy = fs::read(t.path(PART)).unwrap();
    fs::write(t.path("copy"), vec![0xee; copy.len()]).unwrap();
    fs::rename(t.path("copy"), t.path(PART)).unwrap();
    halves.starts_over(t, "another file in the part's place");
});

e2e_test!(a_part_of_another_length, |t| {
    let halves = half(t);
    let part = OpenOptions::new().write(true).open(t.path(PART)).unwrap();
    part.set_len(MIB as u64).unwrap();
    let (output, fetched) = halves.again::<&str>(t, &[]);
    t.delivers(&output, "object.bin", &object());
    output.check(fetched >= (SIZE - MIB) as u64, "it trusted bytes that were cut off");
    for length in [0, SIZE as u64 + 1, 1 << 33] {
        let halves = half(t);
        let part = OpenOptions::new().write(true).open(t.path(PART)).unwrap();
        part.set_len(length).unwrap();
        halves.starts_over(t, "a part of another length");
    }
});

e2e_test!(side_files_of_another_url, |t| {
    let halves = half(t);
    halves.mend();
    let url = halves.origin.at("/other/object.bin");
    let before = halves.origin.log().sent();
    let output = t.uget(ARGS).arg(url).run();
    t.delivers(&output, "object.bin", &object());
    let fetched = halves.fetched_since(before);
    output.check(fetched >= SIZE as u64, "it joined the bytes of two URLs");
});

e2e_test!(links_in_their_place, |t| {
    for name in [PART, JOURNAL] {
        for hard in [false, true] {
            let halves = half(t);
            // Somebody made the genuine file reachable elsewhere, or moved it and left a link.
            let victim = t.outside().join("victim");
            drop(fs::remove_file(&victim));
            if hard {
                fs::hard_link(t.path(name), &victim).unwrap();
            } else {
                fs::rename(t.path(name), &victim).unwrap();
                symlink(&victim, t.path(name)).unwrap();
            }
            let before = fs::read(&victim).unwrap();
            let (output, _) = halves.again::<&str>(t, &[]);
            t.delivers(&output, "object.bin", &object());
            let after = fs::read(&victim).unwrap();
            output.check(after == before, "a file that has another name was written");
            let linked = fs::symlink_metadata(t.path("object.bin")).unwrap();
            output.check(linked.is_file(), "a link was published");
        }
    }
});

e2e_test!(side_files_of_somebody_else, |t| {
    if !is_root() {
        eprintln!("left out: giving files to another user takes root");
        return;
    }
    for name in [PART, JOURNAL] {
        let halves = half(t);
        std::os::unix::fs::chown(t.path(name), Some(1234), Some(1234)).unwrap();
        halves.starts_over(t, "somebody else's file");
        let owner =
            std::os::unix::fs::MetadataExt::uid(&fs::metadata(t.path("object.bin")).unwrap());
        assert_eq!(owner, 0);
    }
    // And without the right to take it away, it is an error that names it, and it stays.
    let halves = half(t);
    halves.mend();
    let before = fs::read(t.path(PART)).unwrap();
    t.give_to_nobody();
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(t.dir(), fs::Permissions::from_mode(0o1777)).unwrap();
    std::os::unix::fs::chown(t.dir(), Some(0), Some(0)).unwrap();
    let nobody = Sandbox::default().nobody();
    let output = t.uget(ARGS).arg(halves.origin.url()).sandbox(nobody).run();
    t.refuses(&output, 23);
    output.says("uget-part");
    assert_eq!(fs::read(t.path(PART)).unwrap(), before);
});

e2e_test!(the_journal_is_private_and_without_secrets, |t| {
    use std::os::unix::fs::PermissionsExt as _;
    let halves = Halves::of(&object());
    let url = halves.origin.at("/object.bin?token=hunter2&X-Amz-Signature=c0ffee");
    let url = url.replace("http://", "http://me:swordfish@");
    let args = ["--retries", "0", "--header", "X-Secret: mellon", &url];
    t.uget(ARGS).args(args).run().fails_with(&[18, 56]);
    for name in [PART, JOURNAL] {
        let mode = fs::metadata(t.path(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
    let journal = String::from_utf8_lossy(&fs::read(t.path(JOURNAL)).unwrap()).into_owned();
    for secret in ["hunter2", "c0ffee", "swordfish", "mellon"] {
        assert!(!journal.contains(secret), "{secret} is in the journal");
    }
});
