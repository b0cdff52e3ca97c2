//! SIGKILL at any moment: the next run ends right, and little is fetched twice.

use std::{thread, time::Duration};

use crate::{
    MIB, e2e_test,
    support::{Mode, Object, Origin},
};

e2e_test!(killed_at_random_moments_it_always_ends_right, |t| {
    let object = Object::random(300, 32 * MIB);
    let (mut sent, mut kills) = (0, 0);
    let rounds = std::env::var("UGET_TEST_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(6);
    let mut random = u64::from(std::process::id()) | 1;
    for round in 0..rounds {
        let origin = Origin::of(&object).mode(Mode::Rate(4 * MIB as u64)).start();
        // Twice in a row, so that a resumed run is killed too.
        for _ in 0..2 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(round);
            let running = t.uget(["-j4", &origin.url()]).start();
            thread::sleep(Duration::from_millis(20 + (random >> 33) % 900));
            running.signal(libc::SIGKILL);
            let output = running.wait();
            if output.status.success() {
                break;
            }
            kills += 1;
            assert!(t.names().iter().all(|name| name.starts_with('.')), "{:?}", t.names());
        }
        let output = t.uget(["-j4", &origin.url()]).run();
        t.delivers(&output, "object.bin", &object);
        sent += origin.log().sent();
        std::fs::remove_file(t.path("object.bin")).unwrap();
    }
    let twice = sent.saturating_sub(rounds * object.len());
    let share = twice as f64 / (kills * object.len()) as f64;
    eprintln!("{kills} kills, {:.2} % fetched twice after each", share * 100.0);
    // It is 2 % on a quiet machine, where the whole download takes two seconds.
    assert!(kills == 0 || share < 0.10, "{share}");
});
