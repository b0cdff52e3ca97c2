//! A name server that does not answer for the moment: as transient as a refused connection. It is
//! asked by the system's own resolver, which is shown another resolv.conf; that takes root, and is
//! left out without.

use std::{
    net::{Ipv4Addr, UdpSocket},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use crate::{KIB, e2e_test, support::*};

/// What it says to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    /// SERVFAIL.
    Failure,
    /// Nothing.
    Nothing,
    /// NXDOMAIN.
    NoSuchName,
    /// 127.0.0.1, and no IPv6 address.
    Loopback,
}

/// A name server on a loopback address of its own, port 53.
struct NameServer {
    address: Ipv4Addr,
    asked: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl NameServer {
    /// One that says `first` to so many questions, and `then` to the rest. `None` where port 53 is
    /// not ours to take.
    fn start(first: Says, times: usize, then: Says) -> Option<Self> {
        let process = std::process::id();
        let [_, _, high, low] = process.to_be_bytes();
        let taken = (53..=120).find_map(|second| {
            let address = Ipv4Addr::new(127, second, high, low.clamp(1, 254));
            UdpSocket::bind((address, 53)).ok().map(|socket| (address, socket))
        });
        let (address, socket) = taken?;
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let (asked, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counter, stopped) = (Arc::clone(&asked), Arc::clone(&stop));
        thread::spawn(move || {
            let mut query = [0; 512];
            while !stopped.load(Ordering::SeqCst) {
                let Ok((length, from)) = socket.recv_from(&mut query) else { continue };
                let number = counter.fetch_add(1, Ordering::SeqCst);
                let says = if number < times { first } else { then };
                if let Some(answer) = answer(&query[..length], says) {
                    drop(socket.send_to(&answer, from));
                }
            }
        });
        Some(Self { address, asked, stop })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// A sandbox in which the system asks this server; `None` where that cannot be had.
    fn sandbox(&self, t: &Test) -> Option<Sandbox> {
        let text = format!("nameserver {}\noptions timeout:1 attempts:1\n", self.address);
        let ours = t.outside().join("resolv.conf");
        std::fs::write(&ours, text).unwrap();
        let sandbox = Sandbox::default().replace(Path::new("/etc/resolv.conf"), &ours);
        sandbox.is_possible().then_some(sandbox)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

/// An answer to a query for one name (RFC 1035 section 4).
fn answer(query: &[u8], says: Says) -> Option<Vec<u8>> {
    let question_end = 12 + query.get(12..)?.iter().position(|byte| *byte == 0)? + 5;
    let question = query.get(12..question_end)?;
    let is_v4 = question[question.len() - 4..] == [0, 1, 0, 1];
    let code = match says {
        Says::Nothing => return None,
        Says::Failure => 2,
        Says::NoSuchName => 3,
        Says::Loopback => 0,
    };
    let answers = u8::from(says == Says::Loopback && is_v4);
    let mut answer = query[..2].to_vec();
    // A response, recursion desired and available; one question.
    answer.extend([0x81, 0x80 | code, 0, 1, 0, answers, 0, 0, 0, 0]);
    answer.extend(question);
    if answers == 1 {
        // The name of the question, A, IN, no time to live, four octets.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1]);
    }
    Some(answer)
}

/// A run on a name, with a server that says this. `None` where there can be none.
fn run(t: &Test, says: (Says, usize, Says), args: &[&str]) -> Option<(Output, usize)> {
    let Some((server, sandbox)) = NameServer::start(says.0, says.1, says.2)
        .and_then(|server| server.sandbox(t).map(|sandbox| (server, sandbox)))
    else {
        eprintln!("left out: a name server of one's own takes root");
        return None;
    };
    let origin = Origin::of(&object()).start();
    let url = format!("http://far.test:{}/object.bin", origin.address().port());
    let run = t.uget(args).arg(url).sandbox(sandbox).limit(Duration::from_secs(60));
    Some((run.run(), server.asked()))
}

fn object() -> Object {
    Object::random(760, 300 * KIB)
}

const ALWAYS: usize = usize::MAX;

/// How many questions one look-up makes that gets no answer.
fn of_one_look_up(t: &Test, says: Says) -> Option<usize> {
    let (output, asked) = run(t, (says, ALWAYS, says), &["--retries", "0"])?;
    t.refuses(&output, 6);
    output.says("far.test");
    output.check(asked > 0, "the name server was not asked");
    Some(asked)
}

e2e_test!(a_name_that_resolves_is_asked_for_once, |t| {
    let says = (Says::Loopback, ALWAYS, Says::Loopback);
    let Some((output, asked)) = run(t, says, &["-j4", "--chunk-size", "65536"]) else { return };
    t.delivers(&output, "object.bin", &object());
    output.check(asked <= 2, &format!("{asked} questions"));
});

e2e_test!(a_name_server_that_fails_for_the_moment, |t| {
    let Some(one) = of_one_look_up(t, Says::Failure) else { return };
    let says = (Says::Failure, one, Says::Loopback);
    let Some((output, asked)) = run(t, says, &["--retries", "3"]) else { return };
    t.delivers(&output, "object.bin", &object());
    output.check(asked > one, "it was not asked again");
});

e2e_test!(a_name_server_that_is_silent_for_the_moment, |t| {
    let Some(one) = of_one_look_up(t, Says::Nothing) else { return };
    let says = (Says::Nothing, one, Says::Loopback);
    let Some((output, asked)) = run(t, says, &["--retries", "3"]) else { return };
    t.delivers(&output, "object.bin", &object());
    output.check(asked > one, "it was not asked again");
});

e2e_test!(a_name_server_that_fails_for_ever, |t| {
    let Some(one) = of_one_look_up(t, Says::Failure) else { return };
    let says = (Says::Failure, ALWAYS, Says::Failure);
    let Some((output, asked)) = run(t, says, &["--retries", "2"]) else { return };
    t.refuses(&output, 6);
    t.holds_only(&output, &[]);
    output.check(
        (3 * one..=4 * one).contains(&asked),
        &format!("{asked} questions, {one} for each attempt"),
    );
});

e2e_test!(a_name_that_does_not_exist_is_final, |t| {
    let Some(one) = of_one_look_up(t, Says::NoSuchName) else { return };
    let says = (Says::NoSuchName, ALWAYS, Says::NoSuchName);
    let Some((output, asked)) = run(t, says, &["--retries", "5"]) else { return };
    t.refuses(&output, 6);
    output.check(asked <= one, &format!("{asked} questions, {one} for one attempt"));
});
