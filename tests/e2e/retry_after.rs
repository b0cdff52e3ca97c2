//! `Retry-After`: nobody asks that origin for anything before the time it named, on whatever
//! connection; and a part that was refused is asked for again as soon as its own wait is over.
//!
//! Times are those at which requests arrive at the origin, by its own clock, and are bounded from
//! below alone: a slow machine comes late, and that is no failure.

use std::{
    ops::Range,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{KIB, MIB, e2e_test, support::*};

const PART: u64 = 128 << 10;
const ARGS: [&str; 3] = ["-j4", "--chunk-size", "131072"];

fn object() -> Object {
    Object::random(640, 8 * MIB)
}

fn busy(status: u16, after: &str) -> Reply {
    Reply::status(status, "Busy").with("Retry-After", after)
}

/// Whether a request is for the part that begins at this offset.
fn is_for(request: &request::Request, offset: u64) -> bool {
    request.range(u64::MAX).is_some_and(|range| range.start == offset)
}

/// The moment at which a request came, as the origin's log has it.
fn arrival(origin: &Origin, number: usize) -> Duration {
    origin.log().requests()[number].at
}

/// Nothing that came after the request `refused` came before its `wait` was over.
fn all_wait(output: &Output, origin: &Origin, refused: usize, wait: Duration) {
    let due = arrival(origin, refused) + wait;
    let early: Vec<_> = origin
        .log()
        .requests()
        .into_iter()
        .filter(|one| one.number > refused && one.at < due)
        .map(|one| format!("{} at {:?}, due at {due:?}", one.number, one.at))
        .collect();
    output.check(early.is_empty(), &format!("asked too early: {early:#?}"));
    let came = origin.log().count() > refused + 1;
    output.check(came, "nothing was asked for afterwards: this shows nothing");
}

/// Which of four connections are at work.
struct Four {
    refusal: Option<Reply>,
    held: usize,
    /// First requests on a connection among them.
    first: usize,
    /// The number of the last request that has come.
    last: usize,
}

/// An origin that holds three requests, refuses the fourth with this answer, and lets the others go
/// while the wait is on. The fourth is the first one on its connection, or a later one (`proven`);
/// it is refused once the three others are held. The number of the last one by then is stored.
fn one_of_four(refusal: Reply, proven: bool) -> (Origin, Arc<AtomicUsize>) {
    let (gate, refused) = (Gate::new(), Arc::new(AtomicUsize::new(usize::MAX)));
    let four = Mutex::new(Four { refusal: Some(refusal), held: 0, first: 0, last: 0 });
    let (more, stored) = (Condvar::new(), Arc::clone(&refused));
    let origin = Origin::of(&object()).bend(move |request, reply| {
        if request.number == 0 {
            return;
        }
        let mut state = four.lock().unwrap();
        state.last = state.last.max(request.number);
        let later = request.on_connection > 0;
        // Of four connections three are new.
        let fourth = later == proven && (proven || state.first == 2);
        if fourth && state.refusal.is_some() {
            let all = |state: &mut Four| state.held < 3 && state.refusal.is_some();
            state = more.wait_timeout_while(state, HELD_MAX, all).unwrap().0;
            let Some(refusal) = state.refusal.take().filter(|_| state.held >= 3) else { return };
            *reply = refusal;
            stored.store(state.last, Ordering::SeqCst);
            let gate = gate.clone();
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(600));
                gate.open();
            });
            return;
        }
        state.held += 1;
        state.first += usize::from(!later);
        more.notify_all();
        drop(state);
        gate.pass();
    });
    (origin.start(), refused)
}

/// How long the fourth waits for the three others.
const HELD_MAX: Duration = Duration::from_secs(10);

e2e_test!(a_wait_on_one_part_holds_back_every_connection, |t| {
    for (status, proven) in [(503, true), (503, false), (429, true), (429, false)] {
        let (origin, refused) = one_of_four(busy(status, "2"), proven);
        let output = t.uget(ARGS).arg(origin.url()).run();
        t.delivers(&output, "object.bin", &object());
        let refused = refused.load(Ordering::SeqCst);
        output.check(refused != usize::MAX, "four connections were never at work");
        all_wait(&output, &origin, refused, Duration::from_secs(2));
        t.clear();
    }
});

e2e_test!(a_rate_limit_holds_back_every_connection, |t| {
    for (field, value, proven) in
        [("RateLimit-Reset", "2", false), ("RateLimit", "\"default\";r=0;t=2", true)]
    {
        let refusal = Reply::status(429, "Slow Down").with(field, value);
        let (origin, refused) = one_of_four(refusal, proven);
        let output = t.uget(ARGS).arg(origin.url()).run();
        t.delivers(&output, "object.bin", &object());
        let refused = refused.load(Ordering::SeqCst);
        output.check(refused != usize::MAX, "four connections were never at work");
        all_wait(&output, &origin, refused, Duration::from_secs(2));
        t.clear();
    }
});

/// The first connection is served; three others are refused together, once, and the first goes on
/// while their wait is on. The number of the last request before the refusals is stored.
fn one_is_served(status: u16) -> (Origin, Arc<AtomicUsize>) {
    let (served, turned) = (Gate::new(), Gate::new());
    let last = Arc::new(AtomicUsize::new(0));
    let (stored, here) = (Arc::clone(&last), Mutex::new((false, 0)));
    let origin = Origin::of(&object()).bend(move |request, reply| {
        if request.number == 0 || turned.is_open() {
            return;
        }
        let mut all = here.lock().unwrap();
        let first = request.connection == 0;
        if first {
            all.0 = true;
        } else {
            all.1 += 1;
        }
        stored.fetch_max(request.number, Ordering::SeqCst);
        if *all == (true, 3) {
            turned.open();
            let served = served.clone();
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(600));
                served.open();
            });
        }
        drop(all);
        if first {
            served.pass();
        } else {
            turned.pass();
            *reply = busy(status, "2").with("Connection", "close");
            reply.end = End::Fin;
        }
    });
    (origin.start(), last)
}

e2e_test!(refused_extra_connections_hold_back_the_one_that_is_served, |t| {
    for status in [503, 429] {
        let (origin, last) = one_is_served(status);
        let output = t.uget(ARGS).arg(origin.url()).run();
        t.delivers(&output, "object.bin", &object());
        all_wait(&output, &origin, last.load(Ordering::SeqCst), Duration::from_secs(2));
        t.clear();
    }
});

e2e_test!(a_wait_of_the_first_answer_holds_back_the_first_request, |t| {
    for status in [503, 429, 500, 502, 504, 408] {
        let mode = Mode::Busy { status, times: 1, retry_after: Some("1") };
        let origin = Origin::of(&object()).mode(mode).start();
        let output = t.uget(ARGS).arg(origin.url()).run();
        output.check(output.status.success(), &format!("{status} with a wait"));
        t.delivers(&output, "object.bin", &object());
        all_wait(&output, &origin, 0, Duration::from_secs(1));
        t.clear();
    }
});

/// A moment as a date of HTTP.
fn date(seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days to a date, by Hinnant's arithmetic of years that begin in March.
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 2 } else { shifted - 10 };
    let year = year_of_era + era * 400 + u64::from(month < 2);
    format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        DAYS[(days % 7) as usize],
        MONTHS[month as usize],
        rest / 3600,
        rest / 60 % 60,
        rest % 60,
    )
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

e2e_test!(a_date_without_a_date_field_is_by_our_clock, |t| {
    assert_eq!(date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
    let (due, came) = (now().as_secs() + 3, Arc::new(Mutex::new(Vec::new())));
    let arrivals = Arc::clone(&came);
    let origin = Origin::of(&object())
        .bend(move |request, reply| {
            arrivals.lock().unwrap().push(now());
            if request.number == 0 {
                *reply = busy(503, &date(due));
                reply.unset("Date");
            }
        })
        .start();
    let output = t.uget(ARGS).arg(origin.url()).run();
    t.delivers(&output, "object.bin", &object());
    let second = came.lock().unwrap()[1];
    // A clock of whole seconds on either side.
    let early = second < Duration::from_secs(due - 1);
    output.check(!early, &format!("it was due at {due}, and asked at {second:?}"));
});

e2e_test!(a_date_beside_a_date_field_is_by_their_clock, |t| {
    // Their clock is years behind; two seconds are two seconds.
    let origin = Origin::of(&object())
        .bend(|request, reply| {
            if request.number == 0 {
                *reply = busy(503, "Mon, 01 Jan 2018 00:00:02 GMT");
                reply.set("Date", "Mon, 01 Jan 2018 00:00:00 GMT");
            }
        })
        .start();
    let output = t.uget(ARGS).arg(origin.url()).run();
    t.delivers(&output, "object.bin", &object());
    all_wait(&output, &origin, 0, Duration::from_secs(2));
});

e2e_test!(values_that_are_none_are_as_if_absent, |t| {
    for value in
        ["2147483648", "4294967295", "4294967296", "99999999999999999999", "soon", "1h", "", "0x5"]
    {
        let mode = Mode::Busy { status: 503, times: 1, retry_after: Some(value) };
        let origin = Origin::of(&object()).mode(mode).start();
        let output = t.uget(ARGS).args(["--max-time", "25"]).arg(origin.url()).run();
        output.check(output.status.success(), &format!("{value:?} is no time"));
        t.delivers(&output, "object.bin", &object());
        t.clear();
    }
});

e2e_test!(what_is_over_already_is_no_wait, |t| {
    for value in ["0", "-1", "-2147483649", "Wed, 01 Jan 2020 00:00:00 GMT"] {
        for dated in [true, false] {
            let origin = Origin::of(&object())
                .bend(move |request, reply| {
                    if request.number == 0 {
                        *reply = busy(503, value);
                    }
                    if !dated {
                        reply.unset("Date");
                    }
                })
                .start();
            let output = t.uget(ARGS).args(["--max-time", "25"]).arg(origin.url()).run();
            output.check(output.status.success(), &format!("{value:?} is over"));
            t.delivers(&output, "object.bin", &object());
            t.clear();
        }
    }
});

e2e_test!(a_wait_beyond_the_time_that_is_left_fails_at_once, |t| {
    for (value, args) in [
        ("700", ["--max-time", "600", "--retry-after-max", "1000"]),
        ("86400", ["--max-time", "600", "--retry-after-max", "1000000"]),
        ("2147483647", ["--max-time", "3600", "--retry-after-max", "1000"]),
    ] {
        let mode = Mode::Busy { status: 503, times: 9, retry_after: Some(value) };
        let origin = Origin::of(&object()).mode(mode).start();
        let output = t.uget(ARGS).args(args).arg(origin.url()).run();
        t.refuses_with(&output, &[22, 28]);
        output.says(value);
        assert_eq!(origin.log().count(), 1, "it was asked again");
    }
});

e2e_test!(a_wait_beyond_what_is_waited_for_fails_at_once, |t| {
    for (value, args) in [
        ("301", &[] as &[&str]),
        ("86400", &[]),
        ("61", &["--retry-after-max", "60"]),
        ("2", &["--retry-after-max", "1"]),
    ] {
        let mode = Mode::Busy { status: 503, times: 9, retry_after: Some(value) };
        let origin = Origin::of(&object()).mode(mode).start();
        let output = t.uget(ARGS).args(args).arg(origin.url()).run();
        t.refuses_with(&output, &[22, 28]);
        output.says(value);
        assert_eq!(origin.log().count(), 1, "it was asked again");
    }
});

e2e_test!(a_wait_within_what_is_waited_for_is_waited, |t| {
    for (value, args) in
        [("61", &[] as &[&str]), ("299", &[]), ("400", &["--retry-after-max", "401"])]
    {
        let mode = Mode::Busy { status: 503, times: 1, retry_after: Some(value) };
        let origin = Origin::of(&object()).mode(mode).start();
        let mut run = t.uget(ARGS).arg("-v").args(args).arg(origin.url()).start();
        assert!(origin.log().wait(|all| all.first().is_some_and(|one| one.finished.is_some())));
        thread::sleep(Duration::from_secs(1));
        assert!(run.is_running(), "it gave up on {value}");
        run.signal(libc::SIGTERM);
        // What is waited for is said.
        run.wait().says(value);
    }
    let mode = Mode::Busy { status: 503, times: 1, retry_after: Some("2") };
    let origin = Origin::of(&object()).mode(mode).start();
    let output = t.uget(ARGS).args(["--retry-after-max", "2"]).arg(origin.url()).run();
    t.delivers(&output, "object.bin", &object());
    all_wait(&output, &origin, 0, Duration::from_secs(2));
});

/// The third part, and whatever else of it is asked for.
const FAR: Range<u64> = 2 * PART..3 * PART;

/// Refuses whatever begins in [`FAR`], by `refuse`; the rest comes slowly.
fn never(refuse: impl Fn(&mut Reply) + Send + Sync + 'static) -> Origin {
    Origin::of(&Object::random(641, 64 * MIB))
        .bend(move |request, reply| {
            reply.delay = Duration::from_millis(40);
            let start = request.range(u64::MAX).map_or(0, |range| range.start);
            if FAR.contains(&start) {
                refuse(reply);
            }
        })
        .start()
}

/// How often something in [`FAR`] was asked for.
fn asked(origin: &Origin) -> usize {
    let ranges = origin.log().ranges(u64::MAX);
    ranges.iter().filter(|range| FAR.contains(&range.start)).count()
}

e2e_test!(a_day_on_one_range_is_a_failure_at_its_first_sight, |t| {
    let origin = never(|reply| *reply = busy(503, "86400"));
    let output = t.uget(ARGS).arg(origin.url()).run();
    t.refuses_with(&output, &[22, 28]);
    output.says("86400");
    output.check(asked(&origin) == 1, "it was asked for again");
});

e2e_test!(a_range_that_is_never_served_ends_the_run, |t| {
    type Refuse = fn(&mut Reply);
    let table: [(&str, usize, Refuse); 5] = [
        ("500", 4, |reply| *reply = Reply::status(500, "No")),
        ("503", 4, |reply| *reply = Reply::status(503, "No")),
        ("429", 4, |reply| *reply = Reply::status(429, "No")),
        ("reset", 4, |reply| reply.cut = Some((0, End::Rst))),
        // Each attempt may find every kept-alive connection dead, which charges nobody.
        ("closed", 15, |reply| {
            *reply = Reply::status(500, "No");
            reply.raw = Some(Vec::new());
            reply.end = End::Fin;
        }),
    ];
    for (name, most, refuse) in table {
        let origin = never(refuse);
        let args = ["--retries", "2"];
        let output = t.uget(ARGS).args(args).arg(origin.url()).limit(Duration::from_secs(90)).run();
        output.check(!output.status.success(), &format!("{name} on a range for ever"));
        t.refuses_with(&output, &[18, 22, 56]);
        // An attempt and two more, and one that a connection's own end is not charged for.
        let asked = asked(&origin);
        output.check(asked <= most, &format!("{name}: asked for {asked} times"));
        for name in t.names() {
            drop(std::fs::remove_file(t.path(&name)));
        }
    }
});

/// Refuses one part once while all others crawl; they hurry when it is asked for again, or when
/// patience ends. The refused request is the first one on the fourth connection, or a later one
/// (`proven`). Whether it was asked for again because its wait was over is stored.
fn refused_among_slow_ones(refusal: Reply, proven: bool) -> (Origin, Arc<AtomicBool>) {
    let (gate, again) = (Gate::new(), Arc::new(AtomicBool::new(false)));
    let (once, stored) = (Mutex::new(Some(refusal)), Arc::clone(&again));
    let refused = Mutex::new(None);
    let fast = if proven { 4 } else { 1 };
    let origin = Origin::of(&object()).bend(move |request, reply| {
        let start = request.range(u64::MAX).map(|range| range.start);
        let mut was = refused.lock().unwrap();
        if was.is_some() && *was == start {
            stored.store(!gate.is_open(), Ordering::SeqCst);
            gate.open();
        } else if was.is_none() && request.number >= fast + 3 {
            *was = start;
            *reply = once.lock().unwrap().take().unwrap();
            let gate = gate.clone();
            thread::spawn(move || {
                thread::sleep(Duration::from_secs(8));
                gate.open();
            });
        } else if request.number >= fast {
            (reply.rate, reply.hurry) = (Some(4000), Some(gate.clone()));
        }
    });
    (origin.start(), again)
}

/// A refused part is asked for again before the slow ones are done.
fn does_not_wait(t: &Test, proven: bool) {
    for (status, after) in
        [(500, None), (503, None), (408, None), (503, Some("1")), (429, Some("1"))]
    {
        let mut refusal = Reply::status(status, "Once");
        if let Some(after) = after {
            refusal.set("Retry-After", after);
        }
        let (origin, again) = refused_among_slow_ones(refusal, proven);
        let output = t.uget(ARGS).arg(origin.url()).limit(Duration::from_secs(60)).run();
        t.delivers(&output, "object.bin", &object());
        let in_time = again.load(Ordering::SeqCst);
        let what = format!("{status}, {after:?}");
        output.check(in_time, &format!("{what}: it waited for the slow ones"));
        t.clear();
    }
}

e2e_test!(a_refused_part_does_not_wait_for_a_free_connection, |t| does_not_wait(t, true));

e2e_test!(a_part_refused_on_a_new_connection_does_not_wait_either, |t| does_not_wait(t, false));

e2e_test!(a_wait_is_not_charged_to_the_other_connections, |t| {
    // What is in flight goes on: its bytes arrive while the wait is on, and are not fetched again.
    let (origin, _) = one_of_four(busy(503, "1"), true);
    let output = t.uget(ARGS).args(["--retries", "1"]).arg(origin.url()).run();
    t.delivers(&output, "object.bin", &object());
    let sent = origin.log().sent();
    output.check(sent <= object().len() + KIB as u64, &format!("{sent} bytes were sent"));
    let parts: Vec<_> = origin.log().requests();
    let zero = parts.iter().filter(|one| is_for(one, 0)).count();
    output.check(zero <= 1, "the first part was asked for twice");
});
