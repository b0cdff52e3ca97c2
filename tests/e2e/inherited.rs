//! What the process is born with: closed streams, ignored signals.

use std::{path::Path, time::Duration};

use crate::{MIB, e2e_test, support::*};

e2e_test!(a_closed_stdout_takes_no_object, |t| {
    let object = Object::random(260, MIB);
    let origin = Origin::of(&object).start();
    let closed = || Sandbox::default().closed(&[1]);
    let output = t.uget(["-o", "-", &origin.url()]).sandbox(closed()).run();
    output.fails(23).says("closed");
    assert_eq!(origin.log().count(), 0, "a request was made");
    // A summary has nowhere to go then, and that is all.
    let output = t.uget([&origin.url()]).sandbox(closed()).run();
    t.delivers(&output, "object.bin", &object);
});

e2e_test!(a_full_stdout_loses_the_summary_alone, |t| {
    let object = Object::random(261, MIB);
    let origin = Origin::of(&object).start();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = t.uget([&origin.url()]).stdout(full).run();
    t.delivers(&output, "object.bin", &object);
});

e2e_test!(what_nohup_ignores_stays_ignored, |t| {
    let origin = Origin::of(&Object::random(262, 8 * MIB)).mode(Mode::Rate(MIB as u64)).start();
    let home = t.outside().join("home");
    let running = Invocation::new(Path::new("/bin/sh"), &t.dir(), &home)
        .args(["-c", "trap '' HUP; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_uget")])
        .args(["--engine", t.engine.name(), "-j2", &origin.url()])
        .start();
    assert!(origin.log().wait(|all| all.iter().any(|one| one.sent > 0)));
    running.signal(libc::SIGHUP);
    std::thread::sleep(Duration::from_millis(500));
    running.signal(libc::SIGTERM);
    running.wait().fails(143);
});
