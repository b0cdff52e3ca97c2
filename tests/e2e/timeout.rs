//! Time limits: each names its phase, none is mistaken for another.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use crate::{KIB, MIB, support::*, wire_test as e2e_test};

e2e_test!(connecting_has_a_limit, |t| {
    // A listener whose queue is full answers no further handshake.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let wait = Duration::from_millis(200);
    let queued: Vec<_> = (0..4).map(|_| TcpStream::connect_timeout(&address, wait)).collect();
    assert!(queued.iter().any(Result::is_err), "the queue is not full");
    let url = format!("http://{address}/object.bin");
    let output = t.uget(["--connect-timeout", "1", "--retries", "0", &url]).run();
    t.refuses(&output, 28);
    output.says("connect");
    output.check(output.took > Duration::from_millis(900), "too soon");
    output.check(output.took < at_once(), "too late");
});

e2e_test!(a_head_has_a_limit, |t| {
    let origin =
        Origin::of(&Object::random(130, MIB)).mode(Mode::Latency(Duration::from_secs(20))).start();
    let output = t.uget(["--stall-timeout", "1", "--retries", "0", &origin.url()]).run();
    t.refuses(&output, 28);
    output.check(output.took < at_once(), "too late");
});

e2e_test!(a_head_that_drips_has_a_limit, |t| {
    let origin = Origin::of(&Object::random(131, MIB))
        .mode(Mode::Drip { size: 1, pause: Duration::from_millis(300) })
        .start();
    let output = t.uget(["--stall-timeout", "1", "--retries", "0", &origin.url()]).run();
    t.refuses(&output, 28);
    output.check(output.took < at_once(), "too late");
});

e2e_test!(fs21_a_stalled_body_has_a_limit, |t| {
    let origin = Origin::of(&Object::random(132, MIB))
        .mode(Mode::Stall { from: 0, times: usize::MAX, at: 5000 })
        .start();
    for connections in ["-j1", "-j4"] {
        let args = [connections, "--stall-timeout", "1", "--retries", "0", &origin.url()];
        let output = t.uget(args).run();
        t.refuses(&output, 28);
        output.check(output.took < at_once(), "too late");
    }
});

e2e_test!(fs21_a_body_that_drips_makes_no_progress, |t| {
    let origin = Origin::of(&Object::random(133, MIB))
        .bend(|request, reply| {
            // The head comes at once, the body a byte at a time.
            if request.number == 0 {
                let mut head = reply.head();
                head.push(reply.body.bytes()[0]);
                reply.prelude = head;
                reply.cut = Some((0, End::Stall));
            }
        })
        .start();
    let output = t.uget(["-j1", "--stall-timeout", "1", "--retries", "0", &origin.url()]).run();
    t.refuses_with(&output, &[8, 28]);
    let script = Script::new(|stream, _| {
        Script::head(stream);
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"));
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(250));
        }
    });
    let args = ["-j1", "--stall-timeout", "1", "--retries", "0"];
    let output = t.uget(args).arg(script.url()).limit(Duration::from_secs(20)).run();
    t.refuses(&output, 28);
});

e2e_test!(a_slow_but_steady_body_is_no_stall, |t| {
    let object = Object::random(134, 300 * KIB);
    let origin = Origin::of(&object).mode(Mode::Rate(100 * KIB as u64)).start();
    let output = t.uget(["-j1", "--stall-timeout", "1", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
    assert_eq!(origin.log().count(), 1);
});

e2e_test!(lb20_the_whole_has_a_limit_that_is_not_retried, |t| {
    let origin = Origin::of(&Object::random(135, 8 * MIB)).mode(Mode::Rate(200_000)).start();
    for connections in ["-j1", "-j2"] {
        let before = origin.log().count();
        let output = t.uget([connections, "--max-time", "1", &origin.url()]).run();
        t.refuses(&output, 28);
        output.check(output.took > Duration::from_millis(900), "too soon");
        output.check(output.took < at_once(), "too late");
        output.check(origin.log().count() - before <= 4, "something was asked again");
    }
});

e2e_test!(the_whole_limit_holds_while_waiting_to_retry, |t| {
    let origin = Origin::of(&Object::random(136, MIB)).mode(Mode::Status(503)).start();
    let output = t.uget(["--max-time", "2", "--retries", "50", &origin.url()]).run();
    t.refuses_with(&output, &[22, 28]);
    output.check(output.took < at_once(), "too late");
});

e2e_test!(a_fraction_of_a_second_is_a_time, |t| {
    let origin =
        Origin::of(&Object::random(137, MIB)).mode(Mode::Latency(Duration::from_secs(20))).start();
    let output = t.uget(["--max-time", "0.5", &origin.url()]).run();
    t.refuses(&output, 28);
    output.check(output.took < at_once(), "too late");
});

e2e_test!(a_reader_that_pauses_is_no_stall, |t| {
    let object = Object::random(138, 16 * MIB);
    let origin = Origin::of(&object).start();
    let (reader, writer) = std::io::pipe().unwrap();
    let args = ["-j4", "--stall-timeout", "1", "-o", "-", &origin.url()];
    let running = t.uget(args).stdout(writer).start();
    std::thread::sleep(Duration::from_millis(2500));
    let mut got = Vec::new();
    let mut reader = reader;
    reader.read_to_end(&mut got).unwrap();
    let output = running.wait();
    output.succeeds();
    assert!(object.difference(&got).is_none());
});

e2e_test!(a_reader_that_pauses_does_not_fill_the_memory, |t| {
    let object = Object::random(139, 192 * MIB);
    let origin = Origin::of(&object).start();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let args = ["-j8", "--memory", "24M", "--stall-timeout", "1", "-o", "-", &origin.url()];
    let running = t.uget(args).stdout(writer).start();
    std::thread::sleep(Duration::from_millis(1500));
    let asked: u64 = origin.log().sent();
    assert!(asked < 64 * MIB as u64, "{asked} bytes were fetched for a reader that took none");
    std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
    let output = running.wait();
    output.succeeds();
    output.check(output.peak < 40 * MIB as u64, "memory grew with the object");
});
