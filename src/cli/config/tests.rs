//! Flags and variables, and what they come to.

use std::{collections::BTreeMap, ffi::OsString, io::Write, path::Path, time::Duration};

use clap::Parser;
use uget::{Algorithm, EngineChoice, ErrorKind, Family, Pin};
use url::Url;

use super::*;
use crate::cli::message;

const URL: &str = "http://host/file";

fn with(variables: &[(&str, &str)], args: &[&str]) -> Result<Job, Error> {
    let variables: BTreeMap<_, _> = variables.iter().copied().collect();
    let variable = |name: &str| variables.get(name).map(OsString::from);
    let cli = Cli::try_parse_from(["uget"].iter().chain(args)).map_err(|e| message::usage(&e))?;
    job(cli, &Surroundings { variable: &variable })
}

fn parsed(args: &[&str]) -> Job {
    with(&[], args).unwrap_or_else(|error| panic!("{args:?}: {error}"))
}

fn options(args: &[&str]) -> Options {
    parsed(&[args, &[URL]].concat()).options
}

fn refused(args: &[&str]) -> Error {
    match with(&[], args) {
        Ok(_) => panic!("accepted: {args:?}"),
        Err(error) => error,
    }
}

fn in_environment(variables: &[(&str, &str)], args: &[&str]) -> Options {
    let job = with(variables, &[args, &[URL]].concat());
    job.unwrap_or_else(|error| panic!("{variables:?}: {error}")).options
}

#[test]
fn without_flags_it_is_the_default() {
    let job = parsed(&[URL]);
    assert_eq!(format!("{:?}", job.options), format!("{:?}", Options::default()));
    assert_eq!(job.url, URL);
    assert!(job.warnings.is_empty());
}

#[test]
fn every_main_flag_arrives() {
    let all = options(&[
        "-o",
        "out",
        "-j16",
        "--chunk-size",
        "8M",
        "--min-split=2M",
        "--engine",
        "threads",
        "--pin",
        "require",
        "--print-digest=blake3",
        "--retries",
        "7",
        "--retry-max-time",
        "60",
        "--retry-all-errors",
        "--connect-timeout",
        "1.5",
        "--stall-timeout",
        "2",
        "--timeout",
        "3",
        "--max-redirs",
        "4",
        "--allow-downgrade",
        "--max-size",
        "1G",
        "--fsync",
        "-C",
        "-",
        "-c",
        "--restart-on-change",
        "--mirror",
        "http://a/x",
        "--mirror",
        "https://b/y",
        "-A",
        "agent",
        "-e",
        "http://from/",
        "--user",
        "me:pass",
        "-b",
        "a=b",
        "-4",
        "--interface",
        "eth0",
        "--spread-ips",
        "off",
        "--cacert",
        "ca.pem",
        "--capath",
        "/ca",
        "--cert",
        "c.pem",
        "--key",
        "k.pem",
        "--tls-min",
        "1.3",
        "--pinned-pubkey",
        "sha256//AAAA",
    ]);
    assert_eq!(all.target, Target::File("out".into()));
    assert_eq!(all.connections, Connections::Exactly(16));
    assert_eq!((all.part_size, all.min_split), (Some(8 << 20), Some(2 << 20)));
    assert_eq!((all.engine, all.pin), (EngineChoice::Epoll, Pin::Require));
    assert_eq!(all.print_digests, [Algorithm::Blake3]);
    assert_eq!((all.retries, all.retry_all_errors), (7, true));
    assert_eq!(all.retry_max_time, Some(Duration::from_secs(60)));
    assert_eq!(all.connect_timeout, Duration::from_millis(1500));
    assert_eq!(all.stall_timeout, Duration::from_secs(2));
    assert_eq!(all.max_time, Some(Duration::from_secs(3)));
    assert_eq!((all.max_redirects, all.allow_downgrade), (4, true));
    assert_eq!((all.max_size, all.fsync), (Some(1 << 30), Fsync::Always));
    assert_eq!((all.resume, all.restart_on_change), (true, true));
    assert_eq!(
        all.mirrors.iter().map(Url::as_str).collect::<Vec<_>>(),
        ["http://a/x", "https://b/y"]
    );
    assert_eq!(
        (all.user_agent.as_deref(), all.referer.as_deref()),
        (Some("agent"), Some("http://from/"))
    );
    assert_eq!(all.credentials.user.map(|secret| secret.0).as_deref(), Some("me:pass"));
    assert_eq!(all.credentials.cookie.map(|secret| secret.0).as_deref(), Some("a=b"));
    assert_eq!((all.network.family, all.network.spread_ips), (Family::V4, false));
    assert_eq!(all.network.interface.as_deref(), Some("eth0"));
    assert_eq!(all.tls.ca_file.as_deref(), Some(Path::new("ca.pem")));
    assert_eq!(all.tls.ca_directory.as_deref(), Some(Path::new("/ca")));
    assert_eq!(all.tls.certificate.as_deref(), Some(Path::new("c.pem")));
    assert_eq!(all.tls.key.as_deref(), Some(Path::new("k.pem")));
    assert!(all.tls.tls13_only);
    assert_eq!(options(&["--fail-fast"]).retries, 0);
    assert!(!options(&["--no-resume"]).resume);
    assert_eq!(options(&["--no-fsync"]).fsync, Fsync::Never);
    assert!(options(&["--remote-name"]).remote_name);
}

#[test]
fn aliases() {
    for flag in ["-j", "--connections", "--parallel", "--download-concurrency"] {
        assert_eq!(options(&[flag, "3"]).connections, Connections::Exactly(3), "{flag}");
    }
    for flag in ["--part-size", "--chunk-size", "--download-chunk-size"] {
        assert_eq!(options(&[flag, "1048576"]).part_size, Some(1 << 20), "{flag}");
    }
    for flag in ["-P", "--directory-prefix", "--output-dir"] {
        assert_eq!(options(&[flag, "d"]).target, Target::Directory("d".into()), "{flag}");
    }
    for flag in ["-x", "--proxy"] {
        let proxy = options(&[flag, "p:3128"]).network.proxy;
        assert_eq!(proxy.all.map(|secret| secret.0).as_deref(), Some("http://p:3128"), "{flag}");
    }
}

#[test]
fn targets() {
    assert_eq!(options(&["-o", "-"]).target, Target::Stdout);
    assert_eq!(options(&["-o", "./-"]).target, Target::File("./-".into()));
    for args in [&["-o", ""][..], &["-P", ""], &["-o", "-", "-P", "d"], &["-o", "f", "-P", "d"]] {
        assert_eq!(refused(&[args, &[URL]].concat()).kind(), ErrorKind::Usage, "{args:?}");
    }
    assert!(parsed(&["-o", "-", URL]).voice.stdout_is_data);
}

#[test]
fn the_last_of_equal_flags_counts() {
    assert_eq!(options(&["-j4", "-j8"]).connections, Connections::Exactly(8));
    assert_eq!(options(&["-H", "A: 1", "-H", "B: 2"]).headers.len(), 2);
}

/// RT-12, RT-13, CF-02.
#[test]
fn connections_are_clamped() {
    let of = |text: &str| {
        let job = parsed(&["-j", text, URL]);
        (job.options.connections, job.warnings.len())
    };
    let exactly = Connections::Exactly;
    assert_eq!(of("1"), (exactly(1), 0));
    assert_eq!(of("256"), (exactly(256), 0));
    assert_eq!(of("257"), (exactly(256), 1));
    assert_eq!(of("99999999999999999999999999"), (exactly(256), 1));
    assert_eq!(of("auto"), (Connections::Auto { max: 16 }, 0));
    for text in ["0", "00", "-1", "+4", "", "4x", "1.5", "∞"] {
        assert_eq!(refused(&[&format!("-j{text}"), URL]).kind(), ErrorKind::Usage, "{text}");
    }
    let error = refused(&["-j16", "--part-size", "9000000000000000000", URL]);
    assert_eq!(error.to_string(), "--part-size times the connections is beyond any file");
}

#[test]
fn urls() {
    let table = [
        (&["host/path?key=secret"][..], 3, "did you mean http://host/path"),
        (&["localhost:8080/x"], 3, "did you mean http://localhost:8080/x"),
        (&["user:secret@host/x"], 3, "a URL looks like https://host/path"),
        (&["/etc/passwd"], 3, "a URL looks like https://host/path"),
        (&[""], 3, "a URL looks like https://host/path"),
        (&["ftp://host/x"], 3, "http and https work"),
        (&["file:///etc/passwd"], 3, "http and https work"),
        (&["http:///path"], 3, "a URL looks like https://host/path"),
        (&["http:/host/path"], 3, "a URL looks like https://host/path"),
        (&["http://"], 3, "a URL looks like https://host/path"),
        (&["http://[::1/x"], 3, "a URL looks like https://host/path"),
        (&["http://host:99999/"], 3, "a URL looks like https://host/path"),
        (&[], 2, "uget URL; try 'uget --help'"),
        (&["http://a/", "http://b/"], 2, "for other URLs of the same file, use --mirror URL"),
        (&["--mirror", "b/x", "http://a/"], 3, "did you mean http://b/x"),
    ];
    for (args, code, hint) in table {
        let error = match with(&[], args) {
            Ok(job) => uget::Download::new(&job.url, job.options).err().unwrap(),
            Err(error) => error,
        };
        assert_eq!(crate::cli::exit::code(error.kind()), code, "{args:?}");
        assert_eq!(message::hint(&error).as_deref(), Some(hint), "{args:?}");
        assert!(!error.to_string().contains("secret"));
    }
    for url in ["http://serve", "HTTP://HOST/", "https://[::1]:8443/x?y#z", "http://u:p@host/"] {
        assert!(uget::Download::new(&parsed(&[url]).url, Options::default()).is_ok(), "{url}");
    }
}

#[test]
fn conflicts_are_usage_errors() {
    let digest = format!("sha1:{}", "a".repeat(40));
    let other = format!("sha256:{}", "c".repeat(64));
    let sha256 = "b".repeat(64);
    for args in [
        &["--fsync", "--no-fsync"][..],
        &["-q", "-v"],
        &["-q", "--progress", "tty"],
        &["--progress", "tty", "--no-progress"],
        &["-4", "-6"],
        &["-o", "f", "--remote-name"],
        &["--retries", "3", "--fail-fast"],
        &["--no-resume", "-c"],
        &["--no-resume", "-C", "-"],
        &["-C", "100"],
        &["--sha256", &sha256, "--digest", &other],
        &["--digest", &digest, "--digest", &digest.replace('a', "b")],
        &["--sha256", "xyz"],
        &["--sha256", &"g".repeat(64)],
        &["--digest", &sha256],
        &["--digest", "crc32:00000000"],
        &["--print-digest=crc32"],
        &["--user", "a:b", "--oauth2-bearer", "t"],
        &["--user", "nobody"],
        &["--key", "k.pem"],
        &["--tls-min", "1.1"],
        &["--engine", "kqueue"],
        &["--pin", "maybe"],
        &["--part-size", "0"],
        &["--max-time", "0"],
        &["--stall-timeout", "-1"],
        &["--connect-timeout", "nan"],
        &["--connect-timeout", "1e300"],
        &["--retries", "-1"],
        &["--retries", "99999999999"],
        &["--proxy", "ftp://p:1"],
        &["--proxy", "http://"],
        &["--pinned-pubkey", "key.pem"],
        &["--resolve", "host:80"],
        &["--unknown"],
    ] {
        let error = refused(&[args, &[URL]].concat());
        assert_eq!(error.kind(), ErrorKind::Usage, "{args:?}");
        let lines = message::error(&error);
        assert_eq!(lines.lines().count(), 2, "one line and a hint: {lines}");
        assert!(lines.starts_with("uget: ") && lines.contains("\nhint: "), "{lines}");
    }
}

#[test]
fn several_digests_are_one_list_and_each_counts_once() {
    let (sha256, md5) = ("b".repeat(64), format!("md5:{}", "a".repeat(32)));
    let again = format!("sha256:{}", "B".repeat(64));
    let all = options(&["--digest", &md5, "--sha256", &sha256, "--digest", &again]);
    let names: Vec<_> = all.digests.iter().map(|digest| digest.algorithm).collect();
    assert_eq!(names, [Algorithm::Sha256, Algorithm::Md5]);
    let all = options(&["--print-digest", "--print-digest=md5"]);
    assert_eq!(all.print_digests, [Algorithm::Sha256, Algorithm::Md5]);
}

#[test]
fn variables_are_defaults() {
    let variables = [
        ("UGET_CONNECTIONS", "3"),
        ("UGET_PART_SIZE", "1M"),
        ("UGET_MIN_SPLIT", "2M"),
        ("UGET_ENGINE", "threads"),
        ("UGET_PIN", "none"),
        ("UGET_RETRIES", "9"),
        ("UGET_CONNECT_TIMEOUT", "1"),
        ("UGET_STALL_TIMEOUT", "2"),
        ("UGET_MAX_TIME", "3"),
        ("UGET_MAX_SIZE", "4"),
        ("UGET_USER_AGENT", "agent"),
    ];
    let all = in_environment(&variables, &[]);
    assert_eq!(all.connections, Connections::Exactly(3));
    assert_eq!((all.part_size, all.min_split), (Some(1 << 20), Some(2 << 20)));
    assert_eq!((all.engine, all.pin, all.retries), (EngineChoice::Epoll, Pin::None, 9));
    assert_eq!(all.connect_timeout, Duration::from_secs(1));
    assert_eq!(all.stall_timeout, Duration::from_secs(2));
    assert_eq!((all.max_time, all.max_size), (Some(Duration::from_secs(3)), Some(4)));
    assert_eq!(all.user_agent.as_deref(), Some("agent"));
    let flags = in_environment(&variables, &["-j4", "--engine=uring", "--fail-fast"]);
    assert_eq!(flags.connections, Connections::Exactly(4));
    assert_eq!((flags.engine, flags.retries), (EngineChoice::Uring, 0));
    let empty = in_environment(&[("UGET_CONNECTIONS", ""), ("UGET_ENGINE", "")], &[]);
    assert_eq!(empty.connections, Connections::Auto { max: 16 });
    let error = with(&[("UGET_CONNECTIONS", "0")], &[URL]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid value in UGET_CONNECTIONS: expected a number from 1 to 256, or auto"
    );
}

#[test]
fn what_forbids_a_live_line() {
    let voice = |variables: &[(&str, &str)], args: &[&str]| {
        with(variables, &[args, &[URL]].concat()).unwrap().voice
    };
    assert!(voice(&[("TERM", "xterm"), ("NO_COLOR", "")], &[]).live_allowed);
    assert!(!voice(&[("NO_COLOR", "1")], &[]).live_allowed);
    assert!(!voice(&[("TERM", "DUMB")], &[]).live_allowed);
    assert_eq!(voice(&[("UGET_PROGRESS", "json")], &[]).progress, ProgressMode::Json);
    assert_eq!(voice(&[("UGET_PROGRESS", "json")], &["-q"]).progress, ProgressMode::None);
    assert_eq!(voice(&[], &["--no-progress"]).progress, ProgressMode::None);
}

#[test]
fn proxies_by_curls_rules() {
    let of = |variables: &[(&str, &str)], args: &[&str]| {
        let proxy = in_environment(variables, args).network.proxy;
        let text = |secret: Option<uget::Secret>| secret.map(|s| s.0).unwrap_or_default();
        [text(proxy.http), text(proxy.https), text(proxy.all), proxy.no_proxy]
    };
    assert_eq!(of(&[("HTTP_PROXY", "http://evil")], &[]), ["", "", "", ""]);
    assert_eq!(of(&[("http_proxy", "p:1")], &[]), ["http://p:1", "", "", ""]);
    assert_eq!(of(&[("HTTPS_PROXY", "http://P"), ("https_proxy", "http://p")], &[])[1], "http://p");
    assert_eq!(of(&[("HTTPS_PROXY", "socks5h://P")], &[])[1], "socks5h://P");
    assert_eq!(of(&[("ALL_PROXY", "http://P")], &[])[2], "http://P");
    assert_eq!(of(&[("NO_PROXY", "a"), ("no_proxy", "b")], &[])[3], "b");
    assert_eq!(of(&[("NO_PROXY", "a")], &["--noproxy", "c"])[3], "c");
    let around = [("http_proxy", "http://p"), ("all_proxy", "http://q"), ("no_proxy", "n")];
    assert_eq!(of(&around, &["-x", "r"]), ["", "", "http://r", "n"]);
    assert_eq!(of(&around, &["-x", ""]), ["", "", "", "n"]);
    assert_eq!(of(&around, &["--unix-socket", "/s"]), ["", "", "", ""]);
}

#[test]
fn trust_from_the_environment() {
    let tls = in_environment(&[("SSL_CERT_FILE", "a"), ("SSL_CERT_DIR", "/b")], &[]).tls;
    assert_eq!(tls.env_ca_file.as_deref(), Some(Path::new("a")));
    assert_eq!(tls.env_ca_directory.as_deref(), Some(Path::new("/b")));
    let tls = in_environment(&[("SSL_CERT_FILE", "a"), ("CURL_CA_BUNDLE", "c")], &[]).tls;
    assert_eq!(tls.env_ca_file.as_deref(), Some(Path::new("c")));
    let tls = in_environment(&[("SSL_CERT_DIR", "/nowhere:/")], &[]).tls;
    assert_eq!(tls.env_ca_directory.as_deref(), Some(Path::new("/")));
    assert_eq!(parsed(&["-k", URL]).warnings.len(), 1);
}

#[test]
fn addresses() {
    let of = |text: &str| options(&["--resolve", text]).network.resolve;
    let found = of("Host:443:192.0.2.1,[::1],::2");
    assert_eq!((found[0].host.as_str(), found[0].port), ("host", 443));
    let want = ["192.0.2.1:443", "[::1]:443", "[::2]:443"];
    assert_eq!(found[0].addresses.iter().map(ToString::to_string).collect::<Vec<_>>(), want);
    assert_eq!(of("[::1]:80:127.0.0.1")[0].host, "[::1]");
    for text in [
        "",
        "h",
        "h:1",
        "h:0:127.0.0.1",
        "h:1:",
        "h:1:name",
        ":1:127.0.0.1",
        "h:65536:::1",
        "[::1:1:2",
    ] {
        assert_eq!(refused(&["--resolve", text, URL]).kind(), ErrorKind::Usage, "{text}");
    }
}

#[test]
fn fields() {
    let of = |text: &str| {
        let mut headers = options(&["-H", text]).headers;
        let header = headers.pop().unwrap();
        (header.name, header.value.0)
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(of("X-Key: a: b "), pair("X-Key", "a: b"));
    assert_eq!(of("X-Key:v"), pair("X-Key", "v"));
    assert_eq!(of("X-Empty;"), pair("X-Empty", ""));
    assert_eq!(of("Host: other"), pair("Host", "other"));
    for text in [
        "",
        "no colon",
        "X:",
        ": v",
        "X Y: v",
        "X: a\rb",
        "X: a\nb",
        "X: a\0b",
        "Range: bytes=0-1",
        "if-RANGE: x",
        "Accept-Encoding: gzip",
        "Transfer-Encoding: chunked",
        "Connection: close",
        "Content-Length: 3",
    ] {
        assert_eq!(refused(&["-H", text, URL]).kind(), ErrorKind::Usage, "{text:?}");
    }
    for args in [
        ["-A", "a\nb"],
        ["-e", "a\rb"],
        ["-b", "a=\0"],
        ["--oauth2-bearer", "a\nb"],
        ["-u", "a:\n"],
    ] {
        assert_eq!(refused(&[args[0], args[1], URL]).kind(), ErrorKind::Usage, "{args:?}");
    }
}

#[test]
fn fields_from_files_and_variables_stay_secret() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"X-One: 1\r\n\nX-Two: hunter2\n").unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let job = parsed(&["-H", &format!("@{path}"), URL]);
    let names: Vec<_> =
        job.options.headers.iter().map(|h| (h.name.as_str(), h.value.0.as_str())).collect();
    assert_eq!(names, [("X-One", "1"), ("X-Two", "hunter2")]);
    assert!(!format!("{job:?}").contains("hunter2"));

    file.write_all(b"hunter2 is not a field\n").unwrap();
    let error = refused(&["-H", &format!("@{path}"), URL]);
    assert_eq!(error.to_string(), format!("-H @{path}: a field without a colon"));
    let error = refused(&["-H", "@/nonexistent/file", URL]);
    assert_eq!(error.to_string(), "-H @/nonexistent/file: no such file or directory (os error 2)");
    file.write_all(&vec![b'x'; 70_000]).unwrap();
    assert!(refused(&["-H", &format!("@{path}"), URL]).to_string().ends_with("more than 64 KiB"));

    let around = [("TOKEN", "hunter2"), ("BAD", "hunter2\nX: y")];
    let headers = in_environment(&around, &["--header-env", "Authorization=TOKEN"]).headers;
    assert_eq!(
        (headers[0].name.as_str(), headers[0].value.0.as_str()),
        ("Authorization", "hunter2")
    );
    for text in
        ["Authorization=BAD", "Authorization=UNSET", "Authorization", "Range=TOKEN", "=TOKEN"]
    {
        let error = with(&around, &["--header-env", text, URL]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{text}");
        assert!(!message::error(&error).contains("hunter2"), "{error}");
    }
}

#[test]
fn netrc() {
    let of = |variables: &[(&str, &str)], args: &[&str]| {
        let credentials = in_environment(variables, args).credentials;
        (credentials.netrc, credentials.netrc_required)
    };
    assert_eq!(of(&[("HOME", "/h")], &[]), (None, false));
    assert_eq!(of(&[("HOME", "/h")], &["-n"]), (Some("/h/.netrc".into()), false));
    assert_eq!(of(&[("HOME", "/h"), ("NETRC", "/n")], &["--netrc"]), (Some("/n".into()), false));
    assert_eq!(of(&[("HOME", "/h")], &["--netrc-file", "f"]), (Some("f".into()), true));
    assert_eq!(of(&[], &["--netrc"]), (None, false));
}
