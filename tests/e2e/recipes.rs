//! The README's recipes, as they stand there: they work, and they fail when the download does.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use crate::{MIB, e2e_test, support::*};

/// The shell text of the recipe that has this in it.
fn recipe(word: &str) -> String {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let section = readme.split("\n## Recipes\n").nth(1).and_then(|rest| rest.split("\n## ").next());
    let mut blocks = section.unwrap().split("```sh\n").skip(1);
    let block = blocks.find(|block| block.contains(word)).expect("a recipe");
    block.split("```").next().unwrap().to_owned()
}

/// Programs that stand for those which a machine may not have, by what they do with bytes.
const STAND_INS: [(&str, &str); 5] = [
    // Reads an archive, and knows when it is cut.
    ("docker", "[ \"$1\" = load ] && exec tar -t; shift 2; exec \"$@\""),
    ("kubectl", "while [ \"$1\" != -- ]; do shift; done; shift; exec \"$@\""),
    ("ssh", "shift 3; exec sh -c \"$*\""),
    ("psql", "[ \"$5\" = dump.sql ] && cp dump.sql \"$6\""),
    ("qemu-img", "cp \"$4\" \"$5\""),
];

/// A run of a recipe: `uget` is the binary, and further variables are set.
fn run(t: &Test, text: &str, variables: &[(&str, &str)]) -> Output {
    let programs = t.outside().join("programs");
    fs::create_dir_all(&programs).unwrap();
    for (name, text) in STAND_INS {
        fs::write(programs.join(name), format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(programs.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let uget = programs.join("uget");
    if !uget.exists() {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_uget"), uget).unwrap();
    }
    let path = format!("{}:/usr/bin:/bin", programs.display());
    let run = Invocation::new(Path::new("/bin/bash"), &t.dir(), &t.outside().join("home"));
    let run = run.args(["-c", text]).env("PATH", path).env("UGET_ENGINE", t.engine.name());
    let run = run.env("UGET_RETRIES", "0").env("SSL_CERT_FILE", TRUSTED.file());
    variables.iter().fold(run, |run, (name, value)| run.env(name, value)).run()
}

/// An archive of one file.
fn archive(t: &Test, object: &Object, compress: bool) -> Object {
    let from = t.outside().join("from");
    fs::create_dir_all(&from).unwrap();
    fs::write(from.join("member"), object.bytes()).unwrap();
    let mut tar = Command::new("tar");
    tar.args(if compress { &["--zstd"][..] } else { &[] }).arg("-c").arg("-C").arg(from);
    let output = tar.arg("member").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Object::from_bytes(output.stdout)
}

/// An origin that breaks off for good in the middle.
fn broken(object: &Object) -> Origin {
    Origin::of(object)
        .mode(Mode::Cut { from: 0, times: 1, at: 100_000, end: End::Fin })
        .mode(Mode::StatusAt { k: 1, times: usize::MAX, status: 404 })
        .start()
}

e2e_test!(an_archive_through_a_pipe, |t| {
    if !Path::new("/usr/bin/zstd").exists() {
        eprintln!("left out: this test needs zstd");
        return;
    }
    let object = Object::random(400, 6 * MIB);
    let archive = archive(t, &object, true);
    let text = recipe("tar -x");
    fs::create_dir(t.path("out")).unwrap();
    let origin = Origin::of(&archive).start();
    let output = run(t, &text, &[("URL", &origin.url()), ("DIR", "out")]);
    output.succeeds();
    t.holds(&output, "out/member", &object);
    let origin = broken(&archive);
    let output = run(t, &text, &[("URL", &origin.url()), ("DIR", "out")]);
    output.check(!output.status.success(), "a failed download fails the line");
    output.says("premature end").says("uget: ");
});

e2e_test!(an_image_through_a_pipe, |t| {
    let object = Object::random(401, 6 * MIB);
    let archive = archive(t, &object, false);
    let text = recipe("docker load");
    let origin = Origin::of(&archive).start();
    let output = run(t, &text, &[("URL", &origin.url())]);
    output.check(output.succeeds().stdout == b"member\n", "it is loaded");
    let origin = broken(&archive);
    let output = run(t, &text, &[("URL", &origin.url())]);
    output.check(!output.status.success(), "a failed download fails the line");
});

e2e_test!(a_file_first, |t| {
    let object = Object::random(402, 6 * MIB);
    for (word, name) in [("psql", "DB"), ("qemu-img", "DISK")] {
        let text = recipe(word);
        let origin = Origin::of(&object).start();
        let url = origin.url();
        let variables = [("URL", &*url), ("SHA256", &object.sha256()), (name, "loaded")];
        let output = run(t, &text, &variables);
        output.succeeds();
        t.holds(&output, "loaded", &object);
        t.clear();
        let (origin, digest) = (broken(&object), object.sha256());
        let url = origin.url();
        let variables = [("URL", &*url), ("SHA256", &digest), (name, "loaded")];
        let output = run(t, &text, &variables);
        output.fails_with(&[18, 22]);
        output.check(!t.path("loaded").exists(), "nothing is loaded");
        t.clear();
    }
});

e2e_test!(an_archive_from_elsewhere, |t| {
    let object = Object::random(404, 6 * MIB);
    let path = t.outside().join("there.tar");
    fs::write(&path, archive(t, &object, false).bytes()).unwrap();
    let path = path.to_str().unwrap();
    let output = t.uget(["-j4", "--via", "sh -c", path, "--extract", "out"]).run();
    output.succeeds();
    t.holds(&output, "out/member", &object);
});

e2e_test!(a_file_from_elsewhere, |t| {
    let object = Object::random(403, 6 * MIB);
    let path = t.outside().join("there.bin");
    fs::write(&path, object.bytes()).unwrap();
    let text = recipe("kubectl").replace("/var/lib/data.bin", path.to_str().unwrap());
    let output = run(t, &format!("set -e\n{text}"), &[]);
    output.succeeds();
    for name in ["from-pod.bin", "from-container.bin", "from-host.bin"] {
        t.holds(&output, name, &object);
    }
});
