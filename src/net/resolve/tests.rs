//! Lookups that are shared, fail, hang, or never happen.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use super::*;
use crate::{net::Cancel, orders::Verdict};

fn budget(millis: u64) -> Budget {
    Budget::new(Duration::from_millis(millis), &Cancel::default())
}

fn with(ask: Ask, network: &Network) -> Resolver {
    Resolver { ask, ..Resolver::new(network).unwrap() }
}

fn nobody(_: &str, _: u16) -> Answer {
    panic!("nobody must be asked")
}

#[test]
fn literals_and_localhost_ask_nobody() {
    let resolver = with(nobody, &Network::default());
    let get = |host: &str| {
        let host = Host::parse(host).unwrap();
        let host = match &host {
            Host::Domain(d) => Host::Domain(d.as_str()),
            Host::Ipv4(a) => Host::Ipv4(*a),
            Host::Ipv6(a) => Host::Ipv6(*a),
        };
        resolver.addresses(&host, 8080, &budget(100)).unwrap()
    };
    assert_eq!(get("192.0.2.7"), ["192.0.2.7:8080".parse().unwrap()]);
    assert_eq!(get("[2001:db8::1]"), ["[2001:db8::1]:8080".parse().unwrap()]);
    let local = ["[::1]:8080".parse().unwrap(), "127.0.0.1:8080".parse().unwrap()];
    assert_eq!(get("localhost"), local);
    assert_eq!(get("a.localhost"), local);
}

#[test]
fn resolve_option_and_family_decide() {
    let network = Network {
        family: Family::V4,
        resolve: vec![Resolve {
            host: "example.com".to_owned(),
            port: 80,
            addresses: vec!["[2001:db8::1]:80".parse().unwrap(), "192.0.2.1:80".parse().unwrap()],
        }],
        ..Network::default()
    };
    let resolver = with(|_, _| Err(("not known".to_owned(), NameFault::Unknown)), &network);
    let host = Host::Domain("example.com");
    let found = resolver.addresses(&host, 80, &budget(100)).unwrap();
    assert_eq!(found, ["192.0.2.1:80".parse().unwrap()]);
    let other_port = resolver.addresses(&host, 81, &budget(1000));
    assert_eq!(
        other_port,
        Err(Failure::Resolve {
            host: "example.com".to_owned(),
            reason: "not known".to_owned(),
            fault: NameFault::Unknown,
        })
    );
    let v6 = resolver.addresses(&Host::Ipv6(Ipv6Addr::LOCALHOST), 80, &budget(100));
    assert!(matches!(v6, Err(Failure::Resolve { reason, .. }) if reason == "no IPv4 address"));
}

#[test]
fn sixteen_callers_share_one_lookup() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let resolver = with(
        |_, port| {
            ASKED.fetch_add(1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(50));
            Ok(vec![SocketAddr::from(([192, 0, 2, 1], port))])
        },
        &Network::default(),
    );
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                resolver.addresses(&Host::Domain("one.test"), 80, &budget(5000)).unwrap();
            });
        }
    });
    assert_eq!(ASKED.load(Ordering::SeqCst), 1);
    resolver.forget(&Host::Domain("one.test"), 80);
    resolver.addresses(&Host::Domain("one.test"), 80, &budget(5000)).unwrap();
    assert_eq!(ASKED.load(Ordering::SeqCst), 2, "asked again after it was forgotten");
}

#[test]
fn a_failed_lookup_is_not_remembered() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let resolver = with(
        |_, port| match ASKED.fetch_add(1, Ordering::SeqCst) {
            0 => Err(("try again".to_owned(), NameFault::Temporary)),
            _ => Ok(vec![SocketAddr::from(([192, 0, 2, 1], port))]),
        },
        &Network::default(),
    );
    let host = Host::Domain("flaky.test");
    resolver.addresses(&host, 80, &budget(5000)).unwrap_err();
    resolver.addresses(&host, 80, &budget(5000)).unwrap();
}

#[test]
fn what_may_pass_is_told_from_what_is_final() {
    for (code, fault) in [
        (libc::EAI_AGAIN, NameFault::Temporary),
        (libc::EAI_MEMORY, NameFault::Temporary),
        (libc::EAI_SYSTEM, NameFault::Temporary),
        (libc::EAI_NONAME, NameFault::Unknown),
        (libc::EAI_NODATA, NameFault::Unknown),
        (libc::EAI_FAIL, NameFault::Unknown),
    ] {
        let (words, found) = unanswered(&LookupError::new(code));
        assert_eq!(found, fault, "{code}: {words}");
    }
    let failure = |fault| unresolved(&"a.test", (String::new(), fault));
    assert_eq!(failure(NameFault::Temporary).verdict(), Verdict::Retry);
    assert_eq!(failure(NameFault::Unknown).verdict(), Verdict::Fatal);
}

#[test]
fn the_system_is_asked_for_each_address_once() {
    let found = system("127.0.0.1", 81).unwrap();
    assert_eq!(found, ["127.0.0.1:81".parse().unwrap()]);
}

#[test]
fn a_resolver_that_hangs_is_left_behind() {
    let slow: Ask = |_, _| {
        thread::sleep(Duration::from_secs(600));
        Ok(Vec::new())
    };
    let resolver = with(slow, &Network::default());
    let limit = Duration::from_millis(100);
    assert_eq!(
        resolver.addresses(&Host::Domain("slow.test"), 80, &budget(100)),
        Err(Failure::Timeout { phase: Phase::Resolve, limit })
    );
    let cancel = Cancel::default();
    cancel.set();
    let budget = Budget::new(Duration::from_secs(60), &cancel);
    assert_eq!(
        resolver.addresses(&Host::Domain("slow.test"), 80, &budget),
        Err(Failure::Cancelled { signal: 0 })
    );
}

#[test]
fn zones_are_taken_out_of_the_url() {
    for (url, bare, zone) in [
        ("http://[fe80::1%25eth0]:8080/a%25b", "http://[fe80::1]:8080/a%25b", Some("eth0")),
        ("http://u:p@[fe80::1%lo]/", "http://u:p@[fe80::1]/", Some("lo")),
        ("http://[fe80::1%25]/", "http://[fe80::1]/", Some("25")),
        ("http://[::1]/x%25y", "http://[::1]/x%25y", None),
        ("http://host/[a%25b]", "http://host/[a%25b]", None),
        ("nonsense", "nonsense", None),
    ] {
        assert_eq!(split_zone(url), (bare.to_owned(), zone.map(str::to_owned)), "{url}");
    }
}

#[test]
fn a_zone_names_an_interface() {
    let network = Network { zone: Some("lo".to_owned()), ..Network::default() };
    let resolver = with(nobody, &network);
    let link_local = Host::Ipv6("fe80::1".parse().unwrap());
    match resolver.addresses(&link_local, 80, &budget(100)).unwrap()[0] {
        SocketAddr::V6(v6) => assert_ne!(v6.scope_id(), 0),
        SocketAddr::V4(_) => panic!("an IPv6 literal"),
    }
    let network = Network { zone: Some("no such".to_owned()), ..Network::default() };
    assert!(matches!(Resolver::new(&network), Err(Failure::Connect { .. })));
}
