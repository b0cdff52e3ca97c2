//! Which proxy serves what, and what is said to it.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::{
    net::{Cancel, socks},
    options::Secret,
};

fn proxies(all: &str, no_proxy: &str) -> Proxies {
    Proxies::new(&options::Proxies {
        all: Some(Secret(all.to_owned())),
        no_proxy: no_proxy.to_owned(),
        ..options::Proxies::default()
    })
}

fn uses(no_proxy: &str, url: &str) -> bool {
    proxies("proxy.test:3128", no_proxy).serving(&Url::parse(url).unwrap()).unwrap().is_some()
}

#[test]
fn proxy_urls_are_read_as_curl_reads_them() {
    let parse = |text: &str| Proxy::parse(text).unwrap();
    for (text, kind, name) in [
        ("proxy.test", Kind::Http, "proxy.test:1080"),
        ("proxy.test:3128", Kind::Http, "proxy.test:3128"),
        ("http://proxy.test:80/ignored", Kind::Http, "proxy.test:80"),
        ("HTTPS://proxy.test", Kind::Https, "proxy.test:443"),
        ("socks5://[::1]:9050", Kind::Socks { remote_names: false }, "[::1]:9050"),
        ("socks5h://127.0.0.1", Kind::Socks { remote_names: true }, "127.0.0.1:1080"),
    ] {
        let proxy = parse(text);
        assert_eq!((proxy.kind, proxy.name().as_str()), (kind, name), "{text}");
        assert_eq!(proxy.user, None);
    }
    let proxy = parse("http://us%40er:p%3ass@w@proxy.test:8080");
    let user = proxy.user.unwrap();
    assert_eq!((user.name.as_slice(), user.password.as_slice()), (&b"us@er"[..], &b"p:ss@w"[..]));
    for bad in ["ftp://proxy.test", "http://", "http://p:0", "p:70000", "p:x", "http://a b", "[::1"]
    {
        let failure = Proxy::parse(bad).unwrap_err();
        assert!(matches!(failure, Failure::Proxy { unresolved: None, .. }), "{bad}");
    }
    let failure = Proxy::parse("http://user:secret@bad host").unwrap_err();
    assert!(!format!("{failure:?}").contains("secret"));
}

#[test]
fn each_scheme_has_its_own_and_an_empty_one_is_none() {
    let secret = |text: &str| Some(Secret(text.to_owned()));
    let proxies = Proxies::new(&options::Proxies {
        http: secret("one.test:1"),
        https: secret(""),
        all: secret("all.test:9"),
        no_proxy: String::new(),
    });
    let at = |url: &str| proxies.serving(&Url::parse(url).unwrap()).unwrap().map(|p| p.name());
    assert_eq!(at("http://a.test/"), Some("one.test:1".to_owned()));
    assert_eq!(at("https://a.test/"), None);
    let unusable = self::proxies("gopher://x", "");
    unusable.serving(&Url::parse("http://a.test/").unwrap()).unwrap_err();
}

#[test]
fn exceptions_match_as_in_curl() {
    for (list, url, through) in [
        ("", "http://a.test/", true),
        ("*", "http://a.test/", false),
        ("a.test", "http://a.test/", false),
        ("a.test", "http://A.TEST./", false),
        ("A.Test.", "http://a.test/", false),
        (".a.test", "http://a.test/", false),
        (".a.test", "http://x.a.test/", false),
        ("a.test", "http://x.a.test/", false),
        ("*.a.test", "http://x.a.test/", false),
        ("a.test", "http://xa.test/", true),
        ("a.test", "http://a.test.org/", true),
        ("b.test, a.test", "http://a.test/", false),
        ("b.test a.test", "http://a.test/", false),
        ("a.test:81", "http://a.test/", true),
        ("a.test:80", "http://a.test/", false),
        ("a.test:443", "https://a.test/", false),
        ("192.0.2.1", "http://192.0.2.1/", false),
        ("192.0.2.0/24", "http://192.0.2.77:8080/", false),
        ("192.0.2.0/24", "http://192.0.3.77/", true),
        ("192.0.2.1:81", "http://192.0.2.1/", true),
        ("0.0.0.0/0", "http://192.0.2.1/", false),
        ("192.0.2.0/33", "http://192.0.2.0/", true),
        ("2.1", "http://192.0.2.1/", true),
        ("::1", "http://[::1]/", false),
        ("[::1]", "http://[::1]/", false),
        ("[::1]:80", "http://[::1]/", false),
        ("[::1]:81", "http://[::1]/", true),
        ("2001:db8::/32", "http://[2001:db8:1::5]/", false),
        ("::/0", "http://192.0.2.1/", true),
        (",, .", "http://a.test/", true),
    ] {
        assert_eq!(uses(list, url), through, "{list:?} and {url}");
    }
}

proptest! {
    #[test]
    fn no_list_and_no_proxy_panics(text in "[a.:/@\\[\\]*, 0-9%]{0,30}") {
        let _ = Exception::list(&text);
        let _ = Proxy::parse(&text);
        let _ = uses(&text, "http://[::1]/");
    }
}

/// A peer that has said what it will say.
#[derive(Default)]
struct Played {
    answers: VecDeque<u8>,
    heard: Vec<u8>,
}

impl Played {
    fn saying(answer: &[u8]) -> Self {
        Self { answers: answer.iter().copied().collect(), heard: Vec::new() }
    }
}

impl Pipe for Played {
    fn read(&mut self, into: &mut [u8], _: &Budget) -> Result<usize, Failure> {
        // A few octets at a time, as a slow network has it.
        let count = self.answers.len().min(into.len()).min(3);
        for (to, from) in into.iter_mut().zip(self.answers.drain(..count)) {
            *to = from;
        }
        Ok(count)
    }

    fn write_all(&mut self, bytes: &[u8], _: &Budget) -> Result<(), Failure> {
        self.heard.extend_from_slice(bytes);
        Ok(())
    }
}

fn budget() -> Budget {
    Budget::new(std::time::Duration::from_secs(5), &Cancel::default())
}

fn tunnel(proxy: &str, answer: &[u8]) -> (Result<(), Failure>, String) {
    let mut peer = Played::saying(answer);
    let proxy = Proxy::parse(proxy).unwrap();
    let result = proxy.tunnel(&mut peer, &Host::Domain("a.test"), 443, &budget());
    (result, String::from_utf8(peer.heard).unwrap())
}

#[test]
fn a_tunnel_is_asked_for_with_nothing_of_the_users() {
    let (result, heard) = tunnel("http://u:p@p.test:3128", b"HTTP/1.1 200 Fine\r\n\r\n");
    result.unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        heard,
        format!(
            "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\nUser-Agent: uget/{version}\r\n\
             Proxy-Authorization: Basic dTpw\r\n\r\n"
        )
    );
    let (result, heard) =
        tunnel("p.test", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\nVia: x\r\n\r\n");
    result.unwrap();
    assert!(!heard.contains("Proxy-Authorization"));
}

#[test]
fn a_proxy_that_refuses_is_quoted_safely() {
    let (result, _) = tunnel(
        "http://u:secret@p.test:3128",
        b"HTTP/1.1 407 Who \xc2\x9b31mare you\r\nContent-Length: 0\r\n\r\n",
    );
    let Err(Failure::Proxy { reason, status: Some(407), unresolved: None }) = result else {
        panic!("{result:?}");
    };
    assert!(reason.contains("p.test:3128") && reason.contains("407"), "{reason}");
    assert!(!reason.contains(char::is_control) && !reason.contains("secret"), "{reason}");
}

#[test]
fn an_answer_that_is_not_an_answer_is_refused() {
    let endless = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'a'; HEAD_MAX + 10]].concat();
    let interim = b"HTTP/1.1 103 Hints\r\n\r\n".repeat(INTERIM_MAX + 1);
    for answer in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\n",
        b"SSH-2.0-nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nearly",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        &endless,
        &interim,
    ] {
        let (result, _) = tunnel("p.test", answer);
        let shown = String::from_utf8_lossy(&answer[..answer.len().min(40)]);
        assert!(matches!(result, Err(Failure::Proxy { status: None, .. })), "{shown}: {result:?}");
    }
}

fn socks(
    proxy: &str,
    to: &socks::Destination<'_>,
    answer: &[u8],
) -> (Result<(), Failure>, Vec<u8>) {
    let mut peer = Played::saying(answer);
    let result = socks::ask(&Proxy::parse(proxy).unwrap(), &mut peer, to, &budget());
    (result, peer.heard)
}

#[test]
fn socks_speaks_as_the_rfcs_say() {
    let name = socks::Destination::of(&Host::Domain("a.test"), 443, true).unwrap();
    let done = b"\x05\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x1f\x90";
    let (result, heard) = socks("socks5h://p.test", &name, done);
    result.unwrap();
    assert_eq!(heard, b"\x05\x01\x00\x05\x01\x00\x03\x06a.test\x01\xbb");

    let v4 = socks::Destination::of(&Host::Ipv4([192, 0, 2, 1].into()), 80, true).unwrap();
    let login = b"\x05\x02\x01\x00\x05\x00\x00\x03\x02ab\x00\x00";
    let (result, heard) = socks("socks5://us:pw@p.test", &v4, login);
    result.unwrap();
    assert_eq!(heard, b"\x05\x02\x00\x02\x01\x02us\x02pw\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x50");

    let v6 = socks::Destination::of(&Host::Ipv6("2001:db8::1".parse().unwrap()), 80, false);
    let (result, heard) = socks("socks5://p.test", &v6.unwrap(), done);
    result.unwrap();
    assert_eq!(heard[3..7], *b"\x05\x01\x00\x04");
    assert_eq!(socks::Destination::of(&Host::Domain("a.test"), 443, false), None);
}

#[test]
fn socks_refusals_have_words() {
    let to = socks::Destination::Name("a.test", 80);
    for (answer, word) in [
        (&b"\x05\xff"[..], "wants a user"),
        (b"\x05\x02", "another authentication"),
        (b"\x04\x00", "does not speak SOCKS5"),
        (b"HT", "does not speak SOCKS5"),
        (b"\x05", "closed"),
        (b"\x05\x00\x05\x02\x00\x01", "rules do not allow"),
        (b"\x05\x00\x05\x05\x00\x01", "refused"),
        (b"\x05\x00\x05\x00\x00\x09", "does not speak SOCKS5"),
        (b"\x05\x00\x05\x00\x00\x01\x00", "closed"),
    ] {
        let (result, _) = socks("socks5h://p.test", &to, answer);
        let Err(Failure::Proxy { reason, status: None, .. }) = result else { panic!("{result:?}") };
        assert!(reason.contains(word), "{reason}");
    }
    let (result, _) = socks("socks5h://u:secret@p.test", &to, b"\x05\x02\x01\x01");
    assert!(matches!(&result, Err(Failure::Proxy { reason, .. })
        if reason.contains("refuses user") && !reason.contains("secret")));
    let long = format!("socks5h://{}:p@p.test", "u".repeat(256));
    let (result, _) = socks(&long, &to, b"\x05\x02");
    assert!(matches!(result, Err(Failure::Proxy { reason, .. }) if reason.contains("too long")));
}
