//! The tools themselves are tested: a test that stands on a broken origin proves nothing.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use super::*;

/// Sends heads one after the other on one connection and returns everything that comes until the
/// origin closes or falls silent.
fn ask(origin: &Origin, heads: &[&str]) -> Vec<u8> {
    let mut stream = TcpStream::connect(origin.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut got = Vec::new();
    for head in heads {
        stream.write_all(head.as_bytes()).unwrap();
        drop(stream.read_to_end(&mut got));
    }
    got
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const RANGE: &str = "GET /a HTTP/1.1\r\nHost: x\r\nRange: bytes=2-4\r\n\r\n";

#[test]
fn an_honest_origin_serves_ranges_on_one_connection() {
    let object = Object::from_bytes(*b"0123456789");
    let origin = Origin::of(&object).start();
    let got = text(&ask(&origin, &[RANGE, RANGE]));
    assert_eq!(got.matches("HTTP/1.1 206 Partial Content\r\n").count(), 2, "{got}");
    assert_eq!(got.matches("Content-Range: bytes 2-4/10\r\n").count(), 2, "{got}");
    assert!(got.ends_with("\r\n\r\n234"), "{got}");
    assert_eq!(origin.log().connections(), 1);
    assert_eq!(origin.log().ranges(10), [2..5, 2..5]);
    assert_eq!(origin.log().overlap(10), 3);
    assert_eq!(origin.log().sent(), 6);
}

#[test]
fn a_stale_if_range_gets_the_whole() {
    let object = Object::from_bytes(*b"0123456789");
    let origin = Origin::of(&object).start();
    let head = "GET /a HTTP/1.1\r\nRange: bytes=2-4\r\nIf-Range: \"other\"\r\n\r\n";
    let got = text(&ask(&origin, &[head]));
    assert!(got.starts_with("HTTP/1.1 200 OK\r\n") && got.ends_with("0123456789"), "{got}");
}

#[test]
fn a_weak_tag_satisfies_no_precondition() {
    let origin = Origin::of(&Object::from_bytes(*b"0123")).etag(Some("W/\"v1\"")).start();
    let got = text(&ask(&origin, &["GET /a HTTP/1.1\r\nIf-Match: W/\"v1\"\r\n\r\n"]));
    assert!(got.starts_with("HTTP/1.1 412 "), "{got}");
}

#[test]
fn a_cut_stops_after_so_many_bytes() {
    let origin = Origin::of(&Object::from_bytes(*b"0123456789"))
        .mode(Mode::Cut { from: 0, times: 1, at: 4, end: End::Fin })
        .start();
    let got = text(&ask(&origin, &["GET /a HTTP/1.1\r\n\r\n"]));
    assert!(got.contains("Content-Length: 10\r\n") && got.ends_with("\r\n\r\n0123"), "{got}");
}

#[test]
fn chunks_can_lack_their_last() {
    let origin = Origin::of(&Object::from_bytes(*b"0123456789"))
        .bend(|_, reply| {
            reply.framing = Framing::Chunked(Chunked { size: 4, last: false, ..Chunked::default() })
        })
        .start();
    let got = text(&ask(&origin, &["GET /a HTTP/1.1\r\n\r\n"]));
    assert!(got.ends_with("\r\n\r\n4\r\n0123\r\n4\r\n4567\r\n2\r\n89\r\n"), "{got}");
}

#[test]
fn a_reset_is_a_reset() {
    let origin = Origin::of(&Object::from_bytes(*b"0123"))
        .mode(Mode::Cut { from: 0, times: 1, at: 0, end: End::Rst })
        .start();
    let mut stream = TcpStream::connect(origin.address()).unwrap();
    stream.write_all(b"GET /a HTTP/1.1\r\n\r\n").unwrap();
    let error = stream.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn connections_beyond_the_limit_are_reset() {
    let origin = Origin::of(&Object::from_bytes(*b"0123")).limit(Limit::Rst(1)).start();
    let _first = TcpStream::connect(origin.address()).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let mut second = TcpStream::connect(origin.address()).unwrap();
    let error = second.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn a_rate_holds_back() {
    let origin = Origin::of(&Object::random(1, 30_000)).mode(Mode::Rate(100_000)).start();
    let mut stream = TcpStream::connect(origin.address()).unwrap();
    stream.write_all(b"GET /a HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap();
    let start = std::time::Instant::now();
    assert!(origin.log().wait(|all| all.first().is_some_and(|one| one.finished.is_some())));
    assert!(start.elapsed() > Duration::from_millis(200), "{:?}", start.elapsed());
}

#[test]
fn every_lie_differs_from_the_truth() {
    let object = Object::from_bytes(*b"0123456789");
    let truth = text(&ask(&Origin::of(&object).start(), &[RANGE]));
    for lie in [
        Lie::Earlier,
        Lie::Elsewhere,
        Lie::Longer,
        Lie::Total,
        Lie::Backwards,
        Lie::Unit,
        Lie::Twice,
    ] {
        let origin = Origin::of(&object).mode(Mode::Lie { k: 0, lie }).start();
        let got = text(&ask(&origin, &[RANGE]));
        assert!(got.starts_with("HTTP/1.1 206 ") && got != truth, "{lie:?}: {got}");
    }
}

#[test]
fn nginx_runs() {
    let Some(nginx) = Nginx::start("") else { return };
    let object = Object::random(3, 100_000);
    nginx.put("a", &object);
    let address = nginx.at("").trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /a HTTP/1.0\r\n\r\n").unwrap();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    assert!(got.ends_with(object.bytes()));
}

/// A shell in the binary's place shows what the binary would find.
fn shell(test: &Test, script: &str, sandbox: Sandbox) -> Output {
    let home = test.outside().join("home");
    Invocation::new(std::path::Path::new("/bin/sh"), &test.dir(), &home)
        .args(["-c", script])
        .sandbox(sandbox)
        .limit(Duration::from_secs(2))
        .run()
}

#[test]
fn the_sandbox_takes_away() {
    Test::run_on(Engine::Epoll, |t| {
        let said = |script, sandbox| text(&shell(t, script, sandbox).stdout).trim().to_owned();
        assert_eq!(said("ulimit -n", Sandbox::default().files(16)), "16");
        assert_eq!(said("umask", Sandbox::default().umask(0o077)), "0077");
        let denied = Sandbox::default().deny(libc::SYS_umask, libc::ENOMEM);
        assert_ne!(said("umask", denied), "0022");
        assert_eq!(said("[ -e /proc/$$/fd/0 ] || echo no", Sandbox::default().closed(&[0])), "no");
        assert_eq!(said("grep -c : /proc/net/dev", Sandbox::default().no_network()), "1");
        t.give_to_nobody();
        if is_root() {
            // A copy of the shell runs as nobody, by the path that the binary would have.
            assert_eq!(said("id -u", Sandbox::default().nobody()), "65534");
        }
    });
}

#[test]
#[should_panic(expected = "still running")]
fn a_run_that_does_not_end_is_killed() {
    Test::run_on(Engine::Epoll, |t| drop(shell(t, "exec sleep 30", Sandbox::default())));
}

#[test]
fn a_run_has_a_clean_environment() {
    Test::run_on(Engine::Epoll, |t| {
        let output = shell(t, "env | cut -d= -f1 | sort | tr '\\n' ' '", Sandbox::default());
        let names = text(&output.stdout);
        assert!(!names.to_lowercase().contains("proxy") && names.contains("HOME"), "{names}");
    });
}
