//! A file from the far end of a command (`--via`): whole and right, whatever the far side is,
//! lacks, says besides, or does meanwhile.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use crate::{KIB, MIB, e2e_test, support::*};

/// A program that stands for the way to the far side. In its text `$1` is what the far shell is to
/// run, `$dir` a directory of its own, and `$n` which call it is.
fn far(t: &Test, text: &str) -> String {
    let directory = t.outside().join("far");
    fs::create_dir_all(&directory).unwrap();
    let dir = directory.display();
    let text = format!(
        "#!/bin/sh\ndir='{dir}'\necho $$ >>\"$dir/calls\"\nn=$(wc -l <\"$dir/calls\")\n{text}\n"
    );
    script(&directory.join("far"), &text)
}

fn script(path: &Path, text: &str) -> String {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    format!("'{}'", path.display())
}

/// A far side that has these programs and no others.
fn with_programs(t: &Test, names: &[&str]) -> String {
    let directory = t.outside().join(format!("programs-{}", names.join("-")));
    fs::create_dir(&directory).unwrap();
    for name in names {
        std::os::unix::fs::symlink(format!("/usr/bin/{name}"), directory.join(name)).unwrap();
    }
    format!("env PATH='{}' /bin/sh -c", directory.display())
}

/// The file that is there.
fn there(t: &Test, object: &Object) -> String {
    let path = t.outside().join("there.bin");
    fs::write(&path, object.bytes()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// How often the far side was called.
fn calls(t: &Test) -> Vec<i32> {
    let text = fs::read_to_string(t.outside().join("far/calls")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

fn is_alive(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !status.is_empty() && !status.contains(") Z ")
}

/// None of the far side's processes is left: what was killed is gone in a moment.
fn leaves_none(t: &Test, output: &Output) {
    let over = Instant::now();
    loop {
        let left: Vec<i32> = calls(t).into_iter().filter(|pid| is_alive(*pid)).collect();
        if left.is_empty() {
            return;
        }
        output.check(over.elapsed() < at_once(), &format!("these are left: {left:?}"));
        thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until something is so.
fn until(what: &str, so: impl Fn() -> bool) {
    let started = Instant::now();
    while !so() {
        assert!(started.elapsed() < Duration::from_secs(30), "{what}: it never came");
        thread::sleep(Duration::from_millis(10));
    }
}

const PARTS: [&str; 3] = ["-j4", "--chunk-size", "262144"];

e2e_test!(many_commands_at_once_give_one_file, |t| {
    let object = Object::random(300, 64 * MIB);
    let output = t.uget(["-j8", "--json", "--via", "sh -c", &there(t, &object)]).run();
    t.delivers(&output, "there.bin", &object);
    let report = output.json();
    output.check(report["connections"] == 8 && report["strategy"] == "ranges", "over eight");
    output.check(
        report["retries"] == 0 && report["url"].as_str().unwrap().starts_with("via://sh-"),
        "",
    );
    // Nothing is fetched twice.
    let output = t
        .uget(["-j8", "--json", "--via", "sh -c", &there(t, &object)])
        .args(["-o", "there.bin"])
        .run();
    output.succeeds();
});

e2e_test!(what_is_up_to_date_is_not_fetched_again, |t| {
    let object = Object::random(301, 3 * MIB);
    let path = there(t, &object);
    let args = ["--json", "--via", "sh -c", &path, "-o", "f"];
    t.delivers(&t.uget(args).run(), "f", &object);
    let output = t.uget(args).run();
    output.check(output.succeeds().json()["strategy"] == "up-to-date", "it was there");
    let output = t.uget(["-q", "--via", "sh -c", &path, "-j1", "-o", "-"]).run();
    output.succeeds();
    output.check(object.difference(&output.stdout).is_none(), "standard output has it");
    let digest = format!("md5:{}", hex(&[0; 16]));
    let output = t.uget(["--via", "sh -c", &path, "-o", "g", "--digest", &digest]).run();
    output.fails(100);
});

e2e_test!(any_path_is_taken_as_it_is, |t| {
    let object = Object::random(302, 100 * KIB);
    fs::create_dir(t.path("in")).unwrap();
    for name in [
        "it's",
        "-rf",
        "a b",
        "new\nline",
        "$(touch pwned)",
        "`id`",
        "\"q\"",
        "b\\",
        "*",
        "é",
        "#x",
        "~",
    ] {
        let there = t.path("in").join(name);
        fs::write(&there, object.bytes()).unwrap();
        for path in [name.to_owned(), format!("../in/{name}")] {
            let far = "env -C in sh -c";
            let output = t.uget(["-o", "out", "-j2", "--via", far, "--", &path]).run();
            output.succeeds();
            t.holds(&output, "out", &object);
            t.holds_only(&output, &["in", "out"]);
            fs::remove_file(t.path("out")).unwrap();
        }
        fs::remove_file(there).unwrap();
    }
});

e2e_test!(empty_and_tiny_files, |t| {
    for length in [0, 1, 2, 65_536, 65_537] {
        let object = Object::random(303, length);
        let output = t.uget(["-j4", "--via", "sh -c", &there(t, &object)]).run();
        t.delivers(&output, "there.bin", &object);
        t.clear();
    }
});

e2e_test!(a_far_side_that_lacks_programs, |t| {
    let object = Object::random(304, 3 * MIB);
    let path = there(t, &object);
    for (programs, strategy) in [
        (&["stat", "dd", "wc"][..], "ranges"),
        (&["stat", "tail", "head", "wc"], "ranges"),
        (&["stat", "cat", "wc"], "stream"),
        (&["cat", "wc", "dd", "tail", "head"], "stream"),
        (&["stat", "cat", "dd", "tail", "head"], "stream"),
        (&["cat"], "stream"),
    ] {
        let far = with_programs(t, programs);
        let output = t.uget(PARTS).args(["--json", "--via", &far, &path]).run();
        t.delivers(&output, "there.bin", &object);
        output.check(output.json()["strategy"] == strategy, &format!("{programs:?}: {strategy}"));
        t.clear();
    }
    let output = t.uget(["--retries", "0", "--via", &with_programs(t, &[]), &path]).run();
    t.refuses(&output, 22);
    output.says("cat: not found");
});

e2e_test!(a_far_side_of_busybox, |t| {
    if !Path::new("/usr/bin/busybox").exists() {
        eprintln!("left out: this test needs busybox");
        return;
    }
    let object = Object::random(326, 3 * MIB);
    let path = there(t, &object);
    for programs in [&["stat", "dd", "wc"][..], &["stat", "tail", "head", "wc"], &["cat"]] {
        let directory = t.outside().join(format!("applets-{}", programs.len()));
        fs::create_dir(&directory).unwrap();
        for name in programs {
            std::os::unix::fs::symlink("/usr/bin/busybox", directory.join(name)).unwrap();
        }
        let far = format!("env PATH='{}' /usr/bin/busybox sh -c", directory.display());
        let output = t.uget(PARTS).args(["--json", "--via", &far, &path]).run();
        t.delivers(&output, "there.bin", &object);
        // Its shell may take its own programs, wherever PATH leads.
        let ranges = output.json()["strategy"] == "ranges" || *programs == ["cat"];
        output.check(ranges, &format!("{programs:?}: ranges"));
        t.clear();
    }
});

e2e_test!(what_is_not_there_is_final_and_said_in_its_words, |t| {
    let directory = t.outside().to_str().unwrap().to_owned();
    for (path, words) in [
        (format!("{directory}/nowhere"), "No such file"),
        (directory, "is a directory"),
        ("/dev/zero".to_owned(), "is no regular file"),
    ] {
        let output = t.uget(["--json", "--via", &far(t, "sh -c \"$1\""), &path, "-o", "f"]).run();
        t.refuses(&output, 22);
        output.says(words);
        output.check(output.json()["error"]["kind"] == "status", "as of a server");
        output.check(calls(t).len() <= 2, "it is asked twice at most");
        fs::remove_file(t.outside().join("far/calls")).unwrap();
    }
    let output = t
        .uget(["--retries", "1", "--via", &far(t, "echo 'no \u{1b}[31mroute' >&2; exit 255"), "/x"])
        .run();
    t.refuses(&output, 22);
    output.says("no \\u{1b}[31mroute");
});

e2e_test!(what_makes_no_sense_is_a_usage_error, |t| {
    for (args, words) in [
        (&["--via", "sh '", "/x"][..], "quote"),
        (&["--via", "no-such-program", "/x"], "no-such-program"),
        (&["--via", "sh -c"], "no path"),
        (&["--via", "sh -c", "/x", "/y"], "several"),
        (&["--via", "sh -c", "/x", "--proxy", "http://p"], "--proxy"),
        (&["--via", "sh -c", "/x", "-H", "A: b"], "--header"),
        (&["--via", "sh -c", "/x", "--cacert", "f"], "--cacert"),
        (&["--via", "sh -c", "/x", "--mirror", "http://m/"], "--mirror"),
    ] {
        let output = t.bare(args.iter()).run();
        output.fails(2);
        output.says("--via").says(words);
    }
});

e2e_test!(a_far_side_that_fails_now_and_then, |t| {
    let object = Object::random(305, 4 * MIB);
    let path = there(t, &object);
    for text in [
        "[ $((n % 4)) -eq 3 ] && { echo busy >&2; exit 1; }; exec sh -c \"$1\"",
        "[ $((n % 4)) -eq 3 ] && { sh -c \"$1\" | head -c 100000; exit 1; }; exec sh -c \"$1\"",
        "[ $((n % 4)) -eq 3 ] && kill -9 $$; exec sh -c \"$1\"",
    ] {
        let output = t.uget(PARTS).args(["--retries", "9", "--via", &far(t, text), &path]).run();
        t.delivers(&output, "there.bin", &object);
        t.clear();
    }
    let text = "[ $n -gt 2 ] && { sh -c \"$1\" | head -c 100000; echo 'gone for good' >&2; exit 9; }; exec sh -c \"$1\"";
    fs::remove_file(t.outside().join("far/calls")).unwrap();
    let output = t.uget(PARTS).args(["--retries", "1", "--via", &far(t, text), &path]).run();
    t.refuses_with(&output, &[18, 22]);
    output.says("gone for good");
});

e2e_test!(what_is_said_around_the_bytes_is_no_part_of_them, |t| {
    let object = Object::random(306, 2 * MIB);
    let path = there(t, &object);
    for text in [
        "echo Welcome; echo 'uget: hello'; sh -c \"$1\"",
        "sh -c \"$1\"; echo bye; exit 3",
        "set -x; sh -x -v -c \"$1\"",
        "echo \"$1\"; sh -c \"$1\"",
    ] {
        let output = t.uget(PARTS).args(["--via", &far(t, text), &path]).run();
        t.delivers(&output, "there.bin", &object);
        t.clear();
    }
    let output = t.uget(["--via", &far(t, "sh -c \"$1\" | sed 's/$/\\r/'"), &path]).run();
    t.refuses(&output, 22);
    output.says("terminal");
});

e2e_test!(what_is_put_among_the_bytes_is_found_out, |t| {
    let object = Object::random(307, 2 * MIB);
    let path = there(t, &object);
    for text in [
        // Put in, left out, both, in every part.
        "sh -c \"$1\" | { head -c 5000; echo NOISE; cat; }",
        "sh -c \"$1\" | { head -c 5000; head -c 1 >/dev/null; cat; }",
        "sh -c \"$1\" | { head -c 5000; printf x; cat; } | { head -c 9000; head -c 3 >/dev/null; cat; }",
    ] {
        let run = t.uget(PARTS).args(["--retries", "1", "--via", &far(t, text), &path]);
        t.refuses_with(&run.run(), &[18, 22, 56]);
        t.clear();
        // Now and then: mended by what comes right.
        let text = format!("[ $((n % 3)) -eq 2 ] && {{ {text}; exit; }}; exec sh -c \"$1\"");
        let output = t.uget(PARTS).args(["--retries", "9", "--via", &far(t, &text), &path]).run();
        t.delivers(&output, "there.bin", &object);
        t.clear();
    }
});

/// The other version of the same length, and a far side that once puts it in place.
fn changing(t: &Test, seed: u64, text: &str) -> (Object, Object, String, String) {
    let (old, new) = (Object::random(seed, 4 * MIB), Object::random(seed + 1, 4 * MIB));
    let path = there(t, &old);
    let next: PathBuf = t.outside().join("next.bin");
    fs::write(&next, new.bytes()).unwrap();
    drop(fs::remove_file(t.outside().join("far/calls")));
    drop(fs::remove_dir(t.outside().join("far/swapped")));
    let swap = format!(
        "call=$n\nswap() {{ [ $call -ge $1 ] && mkdir \"$dir/swapped\" && cat '{}' >'{path}'; }} 2>/dev/null\n",
        next.display()
    );
    (old, new, path, far(t, &format!("{swap}{text}")))
}

e2e_test!(a_file_that_changes_is_never_joined, |t| {
    for (case, text) in [
        // Between two commands, and while one reads: before its first byte, or behind its last.
        "swap 7; exec sh -c \"$1\"",
        "sh -c \"$1\" | { head -c 1000; swap 5; cat; }",
        "dd() { command dd \"$@\"; swap 6; true; }; eval \"$1\"",
    ]
    .into_iter()
    .enumerate()
    {
        let (_, _, path, far) = changing(t, 310, text);
        let output = t.uget(PARTS).args(["--via", &far, &path]).run();
        t.refuses(&output, 101);
        t.clear();
        let (_, new, path, far) = changing(t, 310, text);
        let output = t.uget(PARTS).args(["--restart-on-change", "--via", &far, &path]).run();
        output.check(output.status.success(), &format!("case {case}"));
        t.delivers(&output, "there.bin", &new);
        t.clear();
    }
});

e2e_test!(a_change_while_the_only_call_reads_is_seen, |t| {
    // The first call looks, the second reads it all; behind its first block it is another file.
    let text = "dd() { command dd \"$@\"; swap 2; true; }; eval \"$1\"";
    let (_, _, path, far) = changing(t, 330, text);
    let output = t.uget(["-j1", "--via", &far, &path]).run();
    t.refuses(&output, 101);
});

e2e_test!(a_killed_run_is_resumed, |t| {
    let object = Object::random(320, 8 * MIB);
    let path = there(t, &object);
    let slow = far(t, "sleep 0.05; exec sh -c \"$1\"");
    let args = ["--json", "--via", &slow, &path];
    let running = t.uget(PARTS).args(args).start();
    until("the first parts", || calls(t).len() >= 16);
    let begun = calls(t).len();
    running.signal(libc::SIGKILL);
    drop(running.wait());
    let output = t.uget(PARTS).args(args).run();
    t.delivers(&output, "there.bin", &object);
    let report = output.json();
    let resumed = report["resumed"].as_u64().unwrap();
    // Each call but the first is a part; four ran, and what came last was not recorded yet.
    let least = (begun as u64).saturating_sub(1 + 4 + 8) * 256 * KIB as u64;
    output.check(resumed >= least, &format!("{resumed} of at least {least}"));
    let sum = report["transferred"].as_u64().unwrap() + resumed;
    output.check(sum == object.len(), "nothing twice");
});

/// A far side that hangs with two processes after a few bytes, deaf to a gentle end.
const HANGS: &str = "[ $n -lt 4 ] && exec sh -c \"$1\"\ntrap '' TERM\nsleep 300 & echo $! >>\"$dir/calls\"\necho hm >&2; wait; sleep 300";

e2e_test!(a_cancelled_run_leaves_no_process, |t| {
    let path = there(t, &Object::random(321, 8 * MIB));
    let running = t.uget(PARTS).args(["--via", &far(t, HANGS), &path]).start();
    until("hanging commands", || calls(t).len() >= 8);
    let sent = Instant::now();
    running.signal(libc::SIGINT);
    let output = running.wait();
    t.refuses(&output, 130);
    output.check(sent.elapsed() < at_once(), "it took too long");
    leaves_none(t, &output);
});

e2e_test!(a_command_that_hangs_is_a_stall_and_is_ended, |t| {
    let path = there(t, &Object::random(322, 8 * MIB));
    let args = ["--stall-timeout", "0.5", "--retries", "2", "--via", &far(t, HANGS), &path];
    let running = t.uget(PARTS).args(args).start();
    let uget = running.pid();
    let watch = thread::spawn(move || {
        let mut seen = std::collections::BTreeMap::<i32, Instant>::new();
        let mut worst = Duration::ZERO;
        while is_alive(uget) {
            let now = zombies(uget);
            seen.retain(|pid, _| now.contains(pid));
            for pid in now {
                worst = worst.max(seen.entry(pid).or_insert_with(Instant::now).elapsed());
            }
            thread::sleep(Duration::from_millis(20));
        }
        worst
    });
    let output = running.wait();
    t.refuses(&output, 28);
    leaves_none(t, &output);
    let worst = watch.join().unwrap();
    output
        .check(worst < at_once(), &format!("a child was dead for {worst:?} without being noticed"));
});

/// Children of a process that are dead and not waited for.
fn zombies(parent: i32) -> Vec<i32> {
    let children = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let text = children
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .collect::<String>();
    let pids = text.split_whitespace().filter_map(|pid| pid.parse().ok());
    pids.filter(|pid| {
        fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
    })
    .collect()
}

e2e_test!(commands_inherit_nothing_of_ours, |t| {
    let object = Object::random(323, 2 * MIB);
    let path = there(t, &object);
    let text = "while read -r line; do
                case $line in SigBlk*|SigIgn*) echo $line; esac
                done </proc/$$/status >>\"$dir/signals\"
                for fd in /proc/$$/fd/*; do readlink $fd; done | grep -v far/far >>\"$dir/open\"
                exec sh -c \"$1\"";
    let output = t.uget(PARTS).args(["--via", &far(t, text), &path]).run();
    t.delivers(&output, "there.bin", &object);
    let signals = fs::read_to_string(t.outside().join("far/signals")).unwrap();
    for line in signals.lines() {
        let mask = u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap();
        let pipe = 1 << (libc::SIGPIPE - 1);
        output.check(!line.starts_with("SigBlk") || mask == 0, line);
        output.check(mask & pipe == 0, line);
    }
    let open = fs::read_to_string(t.outside().join("far/open")).unwrap();
    for line in open.lines() {
        let own = line.starts_with("pipe:") || line == "/dev/null" || line.starts_with("/proc");
        output.check(own, &format!("a command has {line}"));
    }
});

e2e_test!(what_a_command_hides_stays_hidden, |t| {
    let object = Object::random(324, 4 * MIB);
    let path = there(t, &object);
    let fails = far(t, "[ $n -gt 6 ] && exit 1; exec sh -c \"$2\"");
    let via = format!("{fails} hunter2");
    let output = t.uget(PARTS).args(["-v", "--json", "--retries", "0", "--via", &via, &path]).run();
    t.refuses(&output, 22);
    output.hides("hunter2");
    let journal = fs::read(t.path(".there.bin.uget-journal")).unwrap();
    let held = [&journal[..], &output.stdout].concat();
    let found = held.windows(7).any(|window| window == b"hunter2");
    output.check(!found, "the journal or the report holds the command");
});

e2e_test!(few_descriptors_mean_fewer_commands, |t| {
    let object = Object::random(325, 8 * MIB);
    let run = t.uget(["-j64", "--via", "sh -c", &there(t, &object)]);
    let output = run.sandbox(Sandbox::default().files(64)).run();
    t.delivers(&output, "there.bin", &object);
});
