//! The way through proxies: real ones from Debian's packages, and one that remembers what it heard.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use crate::{KIB, MIB, daemon::Daemon, e2e_test, support::*};

fn ca() -> String {
    TRUSTED.file().to_str().unwrap().to_owned()
}

fn secured(origin: &Origin) -> Front {
    Front::start(LOCAL.server(&[]), origin.address(), Manners::default())
}

fn tinyproxy(more: &str) -> Option<Daemon> {
    Daemon::start("tinyproxy", 1, |root, ports| {
        let configuration = format!(
            "Port {}\nListen 127.0.0.1\nTimeout 60\nMaxClients 100\nPidFile \"{}/pid\"\n{more}\n",
            ports[0],
            root.display()
        );
        fs::write(root.join("conf"), configuration).unwrap();
        ["-d", "-c", root.join("conf").to_str().unwrap()].map(str::to_owned).to_vec()
    })
}

fn microsocks(more: &[&str]) -> Option<Daemon> {
    Daemon::start("microsocks", 1, |_, ports| {
        let port = ports[0].to_string();
        ["-i", "127.0.0.1", "-p", &port].iter().chain(more).map(|arg| (*arg).to_owned()).collect()
    })
}

fn squid() -> Option<Daemon> {
    Daemon::start("squid", 1, |root, ports| {
        let shown = root.display();
        let configuration = format!(
            "http_port 127.0.0.1:{}\npid_filename {shown}/pid\ncache_log {shown}/log
             access_log none\ncoredump_dir {shown}\nmaximum_object_size_in_memory 64 MB
             cache_mem 128 MB\nhttp_access allow all\nshutdown_lifetime 0 seconds
             visible_hostname squid.test\nrange_offset_limit none\n",
            ports[0]
        );
        fs::write(root.join("conf"), configuration.replace("\n             ", "\n")).unwrap();
        let path = root.join("conf").to_str().unwrap().to_owned();
        ["-N", "-f", &path].map(str::to_owned).to_vec()
    })
}

/// Downloads from a plain and a secured origin through `proxy`, and checks that neither is told
/// who we are to the proxy.
fn passes(t: &Test, proxy: &str) -> Origin {
    let object = Object::random(740, 3 * MIB + 5);
    let origin = Origin::of(&object).start();
    let secure = secured(&origin);
    for (url, name) in [(origin.url(), "plain"), (secure.at("/object.bin"), "secure")] {
        let args = ["-j4", "--chunk-size", "262144", "--cacert", &ca(), "--proxy", proxy];
        let output = t.uget(args).args(["-o", name, &url]).run();
        output.succeeds();
        t.holds(&output, name, &object);
    }
    for request in origin.log().requests() {
        assert_eq!(request.field("proxy-authorization"), None);
        assert!(request.target.starts_with('/'), "{}", request.target);
    }
    origin
}

e2e_test!(an_http_proxy, |t| {
    let Some(proxy) = tinyproxy("") else { return };
    let origin = passes(t, &format!("http://{}", proxy.address(0)));
    assert!(origin.log().requests().iter().any(|r| r.field("via").is_some()), "absolute form");
});

e2e_test!(an_http_proxy_that_wants_to_know_us, |t| {
    let Some(proxy) = tinyproxy("BasicAuth us pa_ss") else { return };
    let _ = passes(t, &format!("http://us:pa%5fss@{}", proxy.address(0)));
    let origin = Origin::of(&Object::random(741, KIB)).start();
    let secure = secured(&origin);
    for (userinfo, url) in [
        ("", origin.url()),
        ("us:wr0ng@", origin.url()),
        ("", secure.at("/x")),
        ("us:wr0ng@", secure.at("/x")),
    ] {
        let proxy = format!("http://{userinfo}{}", proxy.address(0));
        let output = t.uget(["--proxy", &proxy, "--cacert", &ca(), "-o", "out", &url]).run();
        output.fails_with(&[7, 22, 56]);
        output.check(output.stderr.contains("40"), "the status is named");
        output.check(!output.stderr.contains("wr0ng"), "the password is not");
    }
    assert_eq!(origin.log().count(), 0);
});

e2e_test!(an_https_proxy, |t| {
    let Some(plain) = tinyproxy("BasicAuth us pass") else { return };
    let proxy = Front::start(LOCAL.server(&[]), plain.address(0), Manners::default());
    let _ = passes(t, &format!("https://us:pass@localhost:{}", proxy.address().port()));
    let (full, resumed) = proxy.handshakes();
    assert!(full + resumed > 1);
    let stranger = format!("https://localhost:{}", plain.address(0).port());
    let origin = Origin::of(&Object::random(742, KIB)).start();
    let args = ["--proxy", &stranger, "--cacert", &ca(), "--retries", "0", "-o", "o"];
    let output = t.uget(args).args(["--connect-timeout", "2"]).arg(origin.url()).run();
    output.fails_with(&[35, 28]);
    assert_eq!(origin.log().count(), 0);
});

e2e_test!(a_socks_proxy, |t| {
    let Some(open) = microsocks(&[]) else { return };
    for scheme in ["socks5", "socks5h"] {
        let _ = passes(t, &format!("{scheme}://{}", open.address(0)));
    }
    let Some(closed) = microsocks(&["-u", "us", "-P", "pa:ss"]) else { return };
    let _ = passes(t, &format!("socks5h://us:pa:ss@{}", closed.address(0)));
    let origin = Origin::of(&Object::random(743, KIB)).start();
    for userinfo in ["", "us:wr0ng@"] {
        let proxy = format!("socks5://{userinfo}{}", closed.address(0));
        let args = ["--proxy", &proxy, "--retries", "0", "-o", "out"];
        let output = t.uget(args).arg(origin.url()).run();
        output.fails_with(&[7, 97]);
        output.check(!output.stderr.contains("wr0ng"), "no password");
    }
    assert_eq!(origin.log().count(), 0);
});

e2e_test!(a_caching_proxy, |t| {
    let Some(proxy) = squid() else { return };
    let _ = passes(t, &format!("http://{}", proxy.address(0)));
});

e2e_test!(a_proxy_that_strips_ranges, |t| {
    let object = Object::random(744, MIB);
    let origin = Origin::of(&object).start();
    let proxy = Spy::start(Play::StripRange(origin.address()));
    let args = ["-j4", "--chunk-size", "65536", "--proxy", &proxy.url(), "-o", "out"];
    let output = t.uget(args).arg("http://far.test/object.bin").run();
    t.delivers(&output, "out", &object);
    assert!(proxy.heard()[0].starts_with("GET http://far.test/object.bin HTTP/1.1\r\n"));
});

e2e_test!(a_tunnel_is_asked_for_without_anything_of_ours, |t| {
    let proxy = Spy::start(Play::Refuse);
    let with = proxy.url().replace("://", "://who:am-i@");
    let user = ["-u", "user:s3cr3t", "-H", "X-Token: s3cr3t", "-b", "c=s3cr3t", "-e", "s3cr3t"];
    let output = t
        .uget(user)
        .args(["--proxy", &with, "--retries", "0", "-o", "out", "https://far.test/x"])
        .run();
    output.fails_with(&[7, 22, 56]);
    output.check(output.stderr.contains("403"), "the status is named");
    let heard = proxy.heard();
    assert!(heard[0].starts_with("CONNECT far.test:443 HTTP/1.1\r\nHost: far.test:443\r\n"));
    assert!(heard[0].contains("Proxy-Authorization: Basic d2hvOmFtLWk="));
    for secret in ["s3cr3t", "X-Token", "Cookie", "\r\nAuthorization", "Referer"] {
        assert!(!heard[0].contains(secret), "{}", heard[0]);
    }
});

e2e_test!(variables_and_exceptions, |t| {
    let object = Object::random(745, KIB);
    let origin = Origin::of(&object).start();
    let spy = Spy::start(Play::Refuse);
    let url = origin.url();
    let direct = |variables: &[(&str, &str)], args: &[&str]| {
        let run = t.uget(args).args(["--retries", "0", "-o", "out", &url]);
        let run = variables.iter().fold(run, |run, (name, value)| run.env(name, value));
        let output = run.run();
        let asked = !spy.take().is_empty();
        assert_ne!(asked, output.status.success(), "{variables:?}: {}", output.stderr);
        drop(fs::remove_file(t.path("out")));
        !asked
    };
    let at = spy.url();
    assert!(!direct(&[("http_proxy", &at)], &[]));
    assert!(!direct(&[("all_proxy", &at)], &[]));
    assert!(!direct(&[("ALL_PROXY", &at)], &[]));
    assert!(direct(&[("https_proxy", &at)], &[]));
    // A CGI program's HTTP_PROXY is a field of a request (curl: httpoxy).
    assert!(direct(&[("HTTP_PROXY", &at)], &[]));
    assert!(direct(&[("http_proxy", &at), ("no_proxy", "x.test,127.0.0.0/8")], &[]));
    assert!(direct(&[("http_proxy", &at), ("NO_PROXY", "*")], &[]));
    assert!(!direct(&[("http_proxy", &at), ("no_proxy", "127.0.0.2")], &[]));
    assert!(direct(&[], &["--proxy", &at, "--noproxy", "127.0.0.1"]));
    assert!(!direct(&[("no_proxy", "x.test")], &["--proxy", &at]));
});

e2e_test!(proxies_that_are_not_there, |t| {
    let url = "http://far.test/x";
    let unresolved = "http://nowhere.invalid:3128";
    t.uget(["--proxy", unresolved, "--retries", "0", url]).run().fails_with(&[5]);
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let refused = format!("http://{closed}");
    t.uget(["--proxy", &refused, "--retries", "0", url]).run().fails_with(&[7]);
    let mute = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let silent = format!("http://{}", mute.local_addr().unwrap());
    let args = ["--proxy", &silent, "--connect-timeout", "0.5", "--retries", "0"];
    t.uget(args).arg("https://far.test/x").run().fails_with(&[28]);
});

e2e_test!(a_redirect_out_of_the_proxy_takes_no_proxy_credentials_along, |t| {
    let object = Object::random(746, 100 * KIB);
    let store = Origin::of(&object).start();
    let secure = secured(&store);
    let proxy = Spy::start(Play::Redirect(secure.at("/real")));
    let with = proxy.url().replace("://", "://who:am-i@");
    let args = ["--proxy", &with, "--noproxy", "localhost", "--cacert", &ca(), "-j2"];
    let output = t.uget(args).args(["-o", "out", "http://far.test/x"]).run();
    t.delivers(&output, "out", &object);
    assert!(proxy.heard()[0].contains("Proxy-Authorization"));
    for request in store.log().requests() {
        assert_eq!(request.field("proxy-authorization"), None);
    }
});

/// A proxy of one trick, which remembers the heads that it was sent.
struct Spy {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone)]
enum Play {
    /// 403 to everything.
    Refuse,
    /// A redirect to this URL.
    Redirect(String),
    /// Passes a request on without its Range, one a connection.
    StripRange(SocketAddr),
}

impl Spy {
    fn start(play: Play) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ours = Arc::clone(&heard);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (play, heard) = (play.clone(), Arc::clone(&ours));
                thread::spawn(move || drop(answer(stream, &play, &heard)));
            }
        });
        Self { address, heard }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}

fn answer(mut stream: TcpStream, play: &Play, heard: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut octet = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut octet)?;
        head.push(octet[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    heard.lock().unwrap().push(head.clone());
    let closing = "Content-Length: 0\r\nConnection: close\r\n\r\n";
    match play {
        Play::Refuse => write!(stream, "HTTP/1.1 403 Not you\r\n{closing}"),
        Play::Redirect(to) => write!(stream, "HTTP/1.1 302 There\r\nLocation: {to}\r\n{closing}"),
        Play::StripRange(origin) => {
            let path = head.split(' ').nth(1).and_then(|url| url.split("far.test").nth(1));
            let mut upstream = TcpStream::connect(origin)?;
            let path = path.unwrap_or("/");
            write!(upstream, "GET {path} HTTP/1.1\r\nHost: far.test\r\nConnection: close\r\n\r\n")?;
            upstream.shutdown(std::net::Shutdown::Write)?;
            std::io::copy(&mut upstream, &mut stream).map(drop)
        }
    }
}
