//! Names: from the URL or from Content-Disposition, always one visible component in its directory.

use crate::{KIB, e2e_test, support::*};

e2e_test!(a_name_is_the_last_segment_decoded, |t| {
    let object = Object::random(140, KIB);
    let origin = Origin::of(&object).start();
    for (target, name) in [
        ("/a.bin", "a.bin"),
        ("/x/y/b.tar.gz", "b.tar.gz"),
        ("/c%20d.bin", "c d.bin"),
        ("/%C3%BCber.bin", "über.bin"),
        ("/e.bin?name=f.bin", "e.bin"),
        ("/g+h.bin", "g+h.bin"),
    ] {
        let output = t.uget([&origin.at(target)]).run();
        t.delivers(&output, name, &object);
        std::fs::remove_file(t.path(name)).unwrap();
    }
});

e2e_test!(a_name_cannot_leave_its_directory, |t| {
    let object = Object::random(141, KIB);
    let origin = Origin::of(&object).start();
    for target in [
        "/..%2f..%2fevil",
        "/%2e%2e",
        "/%2e%2e%2fevil",
        "/x/..%2fevil",
        "/%2fevil",
        "/%2fetc%2fpasswd",
        "/a%00b",
        "/a%0ab",
        "/a%1b%5b31mb",
        "/%2ebashrc",
        "/.bashrc",
        "/.object.bin.uget-part",
        "/a%5c..%5cb",
        "/%ff%fe",
    ] {
        let output = t.uget([&origin.at(target)]).run();
        one_visible_file_or_none(t, &output, target);
    }
});

/// Whatever happened, it happened inside the directory, and what is visible there is one ordinary
/// name without surprises.
fn one_visible_file_or_none(t: &Test, output: &Output, what: &str) {
    let outside: Vec<_> = std::fs::read_dir(t.outside())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name != "home" && name != "work")
        .collect();
    output.check(outside.is_empty(), &format!("{what} escaped to {outside:?}"));
    let names = t.names();
    for name in &names {
        output.check(
            !name.starts_with('.') && !name.contains(|c: char| c.is_control()),
            &format!("{what} became {name:?}"),
        );
    }
    if output.status.success() {
        output.check(names.len() == 1, &format!("{what} became {names:?}"));
        std::fs::remove_file(t.path(&names[0])).unwrap();
    } else {
        output.fails_with(&[2, 3, 23]);
        output.check(names.is_empty(), &format!("{what} left {names:?}"));
    }
}

e2e_test!(a_url_without_a_name, |t| {
    let object = Object::random(142, KIB);
    let origin = Origin::of(&object).start();
    for target in ["", "/", "/dir/", "/?q=x"] {
        let output = t.uget([&origin.at(target)]).run();
        one_visible_file_or_none(t, &output, target);
    }
});

e2e_test!(a_name_that_is_too_long, |t| {
    let origin = Origin::of(&Object::random(143, KIB)).start();
    for length in [240, 255, 256, 5000] {
        let output = t.uget([&origin.at(&format!("/{}", "x".repeat(length)))]).run();
        one_visible_file_or_none(t, &output, &format!("{length} letters"));
    }
});

e2e_test!(an_existing_file_is_not_overwritten_without_being_named, |t| {
    let (old, new) = (Object::random(144, KIB), Object::random(145, 2 * KIB));
    t.write("object.bin", old.bytes());
    let origin = Origin::of(&new).start();
    let output = t.uget([&origin.url()]).run();
    t.holds(&output, "object.bin", &old);
    output.check(t.names().iter().all(|name| !name.starts_with('.')), "something was left");
    let output = t.uget(["-P", ".", &origin.url()]).run();
    t.holds(&output, "object.bin", &old);
    let output = t.uget(["-o", "object.bin", &origin.url()]).run();
    output.succeeds();
    t.holds(&output, "object.bin", &new);
});

e2e_test!(rt35_a_directory_gets_a_flat_name, |t| {
    let object = Object::random(146, KIB);
    let origin = Origin::of(&object).start();
    std::fs::create_dir(t.path("into")).unwrap();
    for directory in ["into", "into/"] {
        let output = t.uget(["-P", directory, &origin.at("/x/y/z.bin")]).run();
        output.succeeds();
        t.holds(&output, "into/z.bin", &object);
        std::fs::remove_file(t.path("into/z.bin")).unwrap();
    }
});

fn disposed(object: &Object, value: &'static str) -> Origin {
    Origin::of(object).bend(move |_, reply| reply.set("Content-Disposition", value)).start()
}

e2e_test!(a_remote_name_is_taken_when_asked_for, |t| {
    let object = Object::random(147, KIB);
    for (value, name) in [
        ("attachment; filename=\"x.bin\"", "x.bin"),
        ("attachment; filename=y.bin", "y.bin"),
        ("ATTACHMENT; FILENAME=\"z.bin\"; size=3", "z.bin"),
        ("attachment; filename=\"q\\\"q.bin\"", "q\"q.bin"),
        ("attachment; filename=\"no.bin\"; filename*=UTF-8''%c3%bcber.bin", "über.bin"),
        ("inline", "object.bin"),
        ("attachment; filename=\"\"", "object.bin"),
    ] {
        let origin = disposed(&object, value);
        let output = t.uget(["--remote-name", &origin.url()]).run();
        t.delivers(&output, name, &object);
        std::fs::remove_file(t.path(name)).unwrap();
    }
    let output = t.uget([&disposed(&object, "attachment; filename=\"x.bin\"").url()]).run();
    t.delivers(&output, "object.bin", &object);
});

e2e_test!(a_remote_name_cannot_leave_its_directory, |t| {
    let object = Object::random(148, KIB);
    for value in [
        "attachment; filename=\"../../evil\"",
        "attachment; filename=\"..\"",
        "attachment; filename=\".\"",
        "attachment; filename=\"/tmp/uget-e2e-evil\"",
        "attachment; filename=\".bashrc\"",
        "attachment; filename=\"..\\..\\evil\"",
        "attachment; filename=\"a\u{1b}[31mb\"",
        "attachment; filename=\"a\u{0}b\"",
        "attachment; filename*=UTF-8''..%2f..%2fevil",
        "attachment; filename*=UTF-8''%00",
        "attachment; filename*=UTF-8''%zz",
        "attachment; filename*=nonsense",
        "attachment; filename=\"unterminated",
    ] {
        let origin = disposed(&object, value);
        let output = t.uget(["--remote-name", "--retries", "0", &origin.url()]).run();
        let outside = std::path::Path::new("/tmp/uget-e2e-evil");
        output.check(!outside.exists(), &format!("{value:?} wrote to /tmp"));
        if output.status.success() || output.code() != Some(8) {
            one_visible_file_or_none(t, &output, value);
        } else {
            // A control byte makes the head itself unreadable.
            t.holds_only(&output, &[]);
        }
    }
});

e2e_test!(a_remote_name_does_not_overwrite, |t| {
    let (old, new) = (Object::random(149, KIB), Object::random(150, 2 * KIB));
    t.write("x.bin", old.bytes());
    let origin = disposed(&new, "attachment; filename=\"x.bin\"");
    let output = t.uget(["--remote-name", &origin.url()]).run();
    t.holds(&output, "x.bin", &old);
});
