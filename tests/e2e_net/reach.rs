//! Names and addresses: from a host in a URL to a socket.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixListener,
    thread,
    time::Duration,
};

use crate::{KIB, MIB, e2e_test, support::*};

/// Passes every connection to `listener` on to `to`.
fn forward(listener: TcpListener, to: SocketAddr) {
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || splice(client, to));
        }
    });
}

fn splice(client: TcpStream, to: SocketAddr) {
    let Ok(origin) = TcpStream::connect(to) else { return };
    let (mut from_client, mut to_origin) =
        (client.try_clone().unwrap(), origin.try_clone().unwrap());
    thread::spawn(move || {
        drop(std::io::copy(&mut from_client, &mut to_origin));
        drop(to_origin.shutdown(std::net::Shutdown::Write));
    });
    let (mut origin, mut client) = (origin, client);
    drop(std::io::copy(&mut origin, &mut client));
    drop(client.shutdown(std::net::Shutdown::Write));
}

e2e_test!(a_name_is_resolved_as_the_user_says, |t| {
    let object = Object::random(750, 300 * KIB);
    let origin = Origin::of(&object).start();
    let port = origin.address().port();
    let rule = format!("far.test:{port}:127.0.0.1");
    let url = format!("http://far.test:{port}/object.bin");
    let output = t.uget(["--resolve", &rule, "-j4", "--chunk-size", "65536", &url]).run();
    t.delivers(&output, "object.bin", &object);
    let host = format!("far.test:{port}");
    assert!(origin.log().requests().iter().all(|r| r.field("host") == Some(&host)));
    let output = t.uget(["-o", "other", "--retries", "0", "http://nowhere.invalid/x"]).run();
    output.fails_with(&[6]);
});

e2e_test!(connections_spread_over_addresses_and_a_dead_one_does_not_matter, |t| {
    let object = Object::random(751, 4 * MIB);
    let origin = Origin::of(&object).start();
    let second = TcpListener::bind("127.0.0.2:0").unwrap();
    let port = second.local_addr().unwrap().port();
    let third = TcpListener::bind(("127.0.0.3", port)).unwrap();

    forward(second, origin.address());
    forward(third, origin.address());
    let rule = format!("far.test:{port}:127.0.0.4,127.0.0.2,127.0.0.3");
    let url = format!("http://far.test:{port}/object.bin");
    let args = ["--resolve", &rule, "-j8", "--chunk-size", "65536"];
    let output = t.uget(args).arg(&url).run();
    t.delivers(&output, "object.bin", &object);
    assert!(output.took < at_once());
});

e2e_test!(connections_stay_with_one_address_where_they_are_told_to, |t| {
    let object = Object::random(755, 4 * MIB);
    for (spread, both) in [("on", true), ("off", false)] {
        let late = || Origin::of(&object).mode(Mode::Latency(Duration::from_millis(30)));
        let first = late().start_at(SocketAddr::from(([127, 0, 0, 2], 0)));
        let port = first.address().port();
        let second = late().start_at(SocketAddr::from(([127, 0, 0, 3], port)));
        let rule = format!("far.test:{port}:127.0.0.2,127.0.0.3");
        let url = format!("http://far.test:{port}/object.bin");
        let args = ["--resolve", &rule, "--spread-ips", spread, "-j4", "--chunk-size", "262144"];
        let output = t.uget(args).arg(&url).run();
        t.delivers(&output, "object.bin", &object);
        let used = [&first, &second].iter().filter(|one| one.log().count() > 0).count();
        output.check((used == 2) == both, &format!("{spread}: {used} addresses"));
        t.clear();
    }
});

e2e_test!(families, |t| {
    let object = Object::random(752, 10 * KIB);
    let origin = Origin::of(&object).start();
    let Ok(six) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else { return };
    let port = six.local_addr().unwrap().port();
    forward(six, origin.address());
    let literal = format!("http://[::1]:{port}/object.bin");
    let output = t.uget([&literal]).run();
    t.delivers(&output, "object.bin", &object);
    std::fs::remove_file(t.path("object.bin")).unwrap();
    let name = format!("http://localhost:{port}/object.bin");
    for flag in ["-6", "--ipv6"] {
        let output = t.uget([flag, &name]).run();
        t.delivers(&output, "object.bin", &object);
        t.clear();
    }
    for flag in ["-4", "--ipv4"] {
        t.uget([flag, "--retries", "0", "-o", "four", &name]).run().fails_with(&[7]);
        t.uget([flag, "-o", "four", &literal]).run().fails_with(&[6]);
    }
    let zoned = literal.replace("::1]", "fe80::1%25nosuch0]");
    t.uget(["-o", "zone", &zoned]).run().fails_with(&[7]);
});

e2e_test!(a_unix_socket, |t| {
    let object = Object::random(753, 500 * KIB);
    let origin = Origin::of(&object).start();
    let path = t.outside().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let to = origin.address();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut origin = TcpStream::connect(to).unwrap();
                let (mut up, mut sink) = (client.try_clone().unwrap(), origin.try_clone().unwrap());
                thread::spawn(move || {
                    let mut chunk = [0; 4096];
                    while let Ok(got @ 1..) = up.read(&mut chunk) {
                        if sink.write_all(&chunk[..got]).is_err() {
                            return;
                        }
                    }
                    drop(sink.shutdown(std::net::Shutdown::Write));
                });
                let mut client = client;
                drop(std::io::copy(&mut origin, &mut client));
                drop(client.shutdown(std::net::Shutdown::Both));
            });
        }
    });
    let args = ["-j4", "--chunk-size", "65536", "--unix-socket", path.to_str().unwrap()];
    let output = t.uget(args).arg("http://far.test/object.bin").run();
    t.delivers(&output, "object.bin", &object);
    let output =
        t.uget(["--unix-socket", "no-such", "--retries", "0", "-o", "x", "http://a/"]).run();
    output.fails_with(&[7]);
});

e2e_test!(where_from, |t| {
    let object = Object::random(754, KIB);
    let origin = Origin::of(&object).start();
    let output = t.uget(["--interface", "127.0.0.9", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
    let args = ["--interface", "no-such-if", "--retries", "0", "-o", "x"];
    t.uget(args).arg(origin.url()).run().fails_with(&[7]);
});

e2e_test!(a_connection_that_is_never_answered, |t| {
    // A TLS server that says nothing.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/x", mute.local_addr().unwrap());
    let output = t.uget(["--connect-timeout", "0.4", "--retries", "0", &url]).run();
    output.fails_with(&[28]);
    assert!(output.took < at_once(), "{:?}", output.took);
});
