//! After a failure that nothing can mend, no request starts and everything is torn down at once.

use std::time::Duration;

use crate::{MIB, support::*, wire_test as e2e_test};

/// More than the 100 ms that the design promises: the machine may be busy.
const SLACK: Duration = Duration::from_millis(600);

e2e_test!(rt03_no_request_starts_after_a_fatal_failure, |t| {
    let object = Object::random(100, 16 * MIB);
    let origin = Origin::of(&object)
        .mode(Mode::Latency(Duration::from_millis(3)))
        .mode(Mode::StatusAt { k: 3, times: usize::MAX, status: 404 })
        .start();
    let output = t.uget(["-j4", "--chunk-size", "16384"]).arg(origin.url()).run();
    t.refuses(&output, 22);
    let exchanges = origin.log().exchanges();
    let failed = exchanges.iter().find(|one| one.status == 404).unwrap();
    let late = exchanges
        .iter()
        .filter(|one| one.request.at > failed.finished.unwrap() + Duration::from_millis(100))
        .count();
    output.check(late == 0, &format!("{late} requests started after the failure"));
    output.check(exchanges.len() < 40, &format!("{} requests", exchanges.len()));
});

e2e_test!(rt04_a_stalled_sibling_does_not_hold_up_the_end, |t| {
    let object = Object::random(101, 8 * MIB);
    let origin = Origin::of(&object)
        .mode(Mode::Stall { from: 0, times: 3, at: 5000 })
        .bend(|request, reply| {
            if request.number == 3 {
                *reply = Reply::status(404, "Not Found");
                reply.delay = Duration::from_millis(300);
            }
        })
        .start();
    let output = t.uget(["-j4", "--chunk-size", "524288"]).arg(origin.url()).run();
    t.refuses(&output, 22);
    assert!(origin.log().wait_closed(), "connections were left open");
    let failed = origin.log().exchanges()[3].finished.unwrap();
    let closed = origin.log().last_close().unwrap();
    output.check(
        closed < failed + SLACK,
        &format!("the last connection closed {:?} after the failure", closed - failed),
    );
});

e2e_test!(rt34_the_root_cause_is_what_is_said, |t| {
    let object = Object::random(102, 8 * MIB);
    let origin = Origin::of(&object)
        .mode(Mode::Rate(4 * MIB as u64))
        .mode(Mode::StatusAt { k: 2, times: usize::MAX, status: 403 })
        .start();
    let args = ["-j4", "--chunk-size", "262144"];
    let output = t.uget(args).arg(origin.url()).run();
    t.refuses(&output, 22);
    output.says("403");
    output.hides("cancel");
    let lines = output.stderr.lines().filter(|line| !line.starts_with("hint:")).count();
    output.check(lines == 1, "one line is enough");
});

e2e_test!(a_failed_part_is_kept_where_it_can_be_resumed, |t| {
    let object = Object::random(103, 8 * MIB);
    let setup = |etag| {
        Origin::of(&object)
            .etag(etag)
            .mode(Mode::Cut { from: 1, times: usize::MAX, at: 100_000, end: End::Fin })
            .start()
    };
    let args = ["-j4", "--chunk-size", "1048576", "--retries", "0"];
    let origin = setup(Some("\"v1\""));
    let output = t.uget(args).arg(origin.url()).run();
    t.refuses_with(&output, &[18, 56]);
    t.holds_only(&output, &[".object.bin.uget-journal", ".object.bin.uget-part"]);
    let output = t.uget(args).args(["--no-resume", &origin.url()]).run();
    t.refuses_with(&output, &[18, 56]);
    t.holds_only(&output, &[]);
    let output = t.uget(args).arg(setup(None).url()).run();
    t.refuses_with(&output, &[18, 56]);
    t.holds_only(&output, &[]);
});

e2e_test!(a_failure_that_is_final_from_the_start_leaves_nothing, |t| {
    let origin = Origin::of(&Object::random(104, MIB)).mode(Mode::Status(404)).start();
    let output = t.uget(["-j4", &origin.url()]).run();
    t.refuses(&output, 22);
    t.holds_only(&output, &[]);
});
