//! Connections to listeners of our own, willing and unwilling.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener},
    os::unix::net::UnixListener,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use super::*;
use crate::{options::Resolve, orders::Phase};

const LIMIT: Duration = Duration::from_secs(5);

fn connector(network: &Network) -> Connector {
    Connector::new(network, &Tls::default(), LIMIT).unwrap()
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

/// A port on which nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_plain_connection_is_blocking_and_says_whom_it_reached() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let opened = connector(&Network::default())
        .open(&url(&format!("http://127.0.0.1:{port}/x")), None, &Cancel::default())
        .unwrap();
    assert_eq!(opened.peer, Some(Ipv4Addr::LOCALHOST.into()));
    assert!(opened.secure.is_none());
    let Stream::Tcp(mut stream) = opened.stream else { panic!("not TCP") };
    assert!(stream.nodelay().unwrap());
    let (mut peer, _) = listener.accept().unwrap();
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            byte
        });
        thread::sleep(Duration::from_millis(30));
        peer.write_all(b"x").unwrap();
        assert_eq!(reader.join().unwrap(), *b"x");
    });
}

#[test]
fn localhost_reaches_a_listener_of_one_family() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let network = Network { spread_ips: true, ..Network::default() };
    let connector = connector(&network);
    for _ in 0..4 {
        let opened =
            connector.open(&url(&format!("http://localhost:{port}/")), None, &Cancel::default());
        assert_eq!(opened.unwrap().peer, Some(Ipv4Addr::LOCALHOST.into()));
    }
}

#[test]
fn a_refusal_names_target_and_errno() {
    let port = closed_port();
    let failure = connector(&Network::default())
        .open(&url(&format!("http://127.0.0.1:{port}/")), None, &Cancel::default())
        .unwrap_err();
    assert_eq!(
        failure,
        Failure::Connect {
            target: format!("127.0.0.1:{port}"),
            reason: "connection refused".to_owned(),
            errno: 111,
        }
    );
}

#[test]
fn connections_spread_and_a_dead_address_is_tried_once() {
    let listener = TcpListener::bind("127.0.0.2:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let third = TcpListener::bind(("127.0.0.3", port)).unwrap();
    let addresses = [1, 2, 3].map(|n| SocketAddr::from(([127, 0, 0, n], port)));
    let network = Network {
        resolve: vec![Resolve { host: "many.test".to_owned(), port, addresses: addresses.into() }],
        spread_ips: true,
        ..Network::default()
    };
    let connector = connector(&network);
    let url = url(&format!("http://many.test:{port}/"));
    let open = || connector.open(&url, None, &Cancel::default()).unwrap();
    let seconds = AtomicUsize::new(0);
    let kept: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    for opened in &kept {
        if opened.peer == Some(IpAddr::from([127, 0, 0, 2])) {
            seconds.fetch_add(1, Ordering::Relaxed);
        }
    }
    let on_second = seconds.load(Ordering::Relaxed);
    assert!((6..=10).contains(&on_second), "{on_second} of 16 on the second address");
    let avoided = connector.open(&url, Some(IpAddr::from([127, 0, 0, 2])), &Cancel::default());
    assert_eq!(avoided.unwrap().peer, Some(IpAddr::from([127, 0, 0, 3])));
    drop(third);
}

/// A listener whose backlog is full: further connects hang.
fn black_hole() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let listener: TcpListener = socket.into();
    let address = listener.local_addr().unwrap();
    let fill = Duration::from_millis(50);
    let filled =
        (0..8).map_while(|_| TcpStream::connect_timeout(&address, fill).ok()).collect::<Vec<_>>();
    assert!(filled.len() < 8, "the backlog never filled");
    (listener, filled, address)
}

#[test]
fn a_silent_address_costs_a_quarter_of_a_second_once() {
    let (_hole, _filled, silent) = black_hole();
    let listener = TcpListener::bind(("127.0.0.2", silent.port())).unwrap();
    let addresses = vec![silent, listener.local_addr().unwrap()];
    let port = silent.port();
    let network = Network {
        resolve: vec![Resolve { host: "half.test".to_owned(), port, addresses }],
        spread_ips: true,
        ..Network::default()
    };
    let connector = connector(&network);
    let url = url(&format!("http://half.test:{port}/"));
    let first = connector.open(&url, None, &Cancel::default()).unwrap();
    assert!(first.took >= race::STAGGER);
    // A busy machine may be late, but hardly ten times in a row.
    let later = (0..10).map(|_| connector.open(&url, None, &Cancel::default()).unwrap().took);
    assert!(later.min() < Some(race::STAGGER), "tried the silent address again");
}

#[test]
fn silence_ends_with_the_time_limit_or_with_a_cancel() {
    let (_hole, _filled, silent) = black_hole();
    let url = url(&format!("http://{silent}/"));
    let limit = Duration::from_millis(150);
    let connector = Connector::new(&Network::default(), &Tls::default(), limit).unwrap();
    let failure = connector.open(&url, None, &Cancel::default()).unwrap_err();
    assert_eq!(failure, Failure::Timeout { phase: Phase::Connect, limit });

    let connector = self::connector(&Network::default());
    let cancel = Cancel::default();
    thread::scope(|scope| {
        let opening = scope.spawn(|| connector.open(&url, None, &cancel).unwrap_err());
        thread::sleep(Duration::from_millis(100));
        cancel.set();
        assert_eq!(opening.join().unwrap(), Failure::Cancelled { signal: 0 });
    });
}

#[test]
fn the_local_end_can_be_chosen() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = url(&format!("http://127.0.0.1:{port}/"));
    let with = |interface: &str| {
        let interface = Some(interface.to_owned());
        connector(&Network { interface, ..Network::default() }).open(&url, None, &Cancel::default())
    };
    with("127.0.0.9").unwrap();
    assert_eq!(listener.accept().unwrap().1.ip(), IpAddr::from([127, 0, 0, 9]));
    with("if!lo").unwrap();
    with("no-such-if").unwrap_err();
    assert!(matches!(with("::1"), Err(Failure::Connect { .. })), "another family");
}

#[test]
fn a_unix_socket_replaces_every_address() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let network = Network { unix_socket: Some(path.clone()), ..Network::default() };
    let connector = connector(&network);
    let url = url("http://nowhere.invalid/");
    let failure = connector.open(&url, None, &Cancel::default()).unwrap_err();
    assert!(matches!(failure, Failure::Connect { errno: 2, .. }), "{failure:?}");
    let _listener = UnixListener::bind(&path).unwrap();
    let opened = connector.open(&url, None, &Cancel::default()).unwrap();
    assert!(matches!(opened.stream, Stream::Unix(_)));
    assert_eq!(opened.peer, None);
}
