//! What is whose: credentials, cookies and the user's own fields stay with the first origin.

use std::path::PathBuf;

use crate::{KIB, e2e_test, support::*};

/// A secret that is looked for wherever it must not be, as it is and as Basic would have it.
const SECRET: &str = "s3cr3t-9182";
const BASIC: &str = "dXNlcjpzM2NyM3QtOTE4Mg==";

/// Every kind of credential: the options, and what goes before the host in the URL.
fn kinds(t: &Test) -> Vec<(Vec<String>, &'static str)> {
    let owned = |args: &[&str]| args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>();
    let file = |name: &str, text: String| -> String {
        let path: PathBuf = t.outside().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let netrc = file("netrc", format!("default login user password {SECRET}\n"));
    let host = |host: &str| format!("{host}\tFALSE\t/\tFALSE\t0\tsession\t{SECRET}\n");
    let jar = file("jar", host("localhost") + &host("127.0.0.1"));
    let headers = file("headers", format!("X-Token: {SECRET}\n"));
    vec![
        (owned(&["-u", &format!("user:{SECRET}")]), ""),
        (Vec::new(), "user:s3cr3t-9182@"),
        (owned(&["--netrc-file", &netrc]), ""),
        (owned(&["--oauth2-bearer", SECRET]), ""),
        (owned(&["-H", &format!("Authorization: Own {SECRET}")]), ""),
        (owned(&["-H", &format!("X-Token: {SECRET}")]), ""),
        (owned(&["-H", &format!("@{headers}")]), ""),
        (owned(&["-b", &format!("session={SECRET}")]), ""),
        (owned(&["-b", &jar]), ""),
        (owned(&["-e", &format!("http://referer.test/{SECRET}")]), ""),
    ]
}

fn holds_secret(text: &str) -> bool {
    text.contains(SECRET) || text.contains(BASIC)
}

fn told(origin: &Origin) -> bool {
    origin.log().requests().iter().any(|r| holds_secret(&String::from_utf8_lossy(&r.raw)))
}

/// Nothing that uget leaves behind or says holds the secret.
fn keeps_quiet(t: &Test, output: &Output) {
    output.check(!holds_secret(&output.stderr), "a secret on stderr");
    output.check(!holds_secret(&String::from_utf8_lossy(&output.stdout)), "a secret on stdout");
    for name in t.names() {
        let bytes = std::fs::read(t.path(&name)).unwrap_or_default();
        let found = holds_secret(&String::from_utf8_lossy(&bytes));
        output.check(!found, &format!("a secret in {name}"));
    }
}

fn put_in(url: &str, userinfo: &str) -> String {
    url.replacen("://", &format!("://{userinfo}"), 1)
}

e2e_test!(the_first_origin_is_told, |t| {
    let object = Object::random(730, 100 * KIB);
    for (options, userinfo) in kinds(t) {
        let origin = Origin::of(&object).start();
        let url = put_in(&origin.url(), userinfo);
        let args = ["-j2", "--chunk-size", "32768", "-v", "--json", "-o", "out", &url];
        let output = t.uget(args).args(&options).run();
        output.succeeds();
        let all = origin.log().requests();
        let told = all.iter().all(|r| holds_secret(&String::from_utf8_lossy(&r.raw)));
        assert!(told && all.len() > 2, "{options:?}");
        keeps_quiet(t, &output);
    }
});

e2e_test!(another_port_is_another_origin, |t| {
    let object = Object::random(731, 100 * KIB);
    for (options, userinfo) in kinds(t) {
        let store = Origin::of(&object).start();
        let to = store.at("/real");
        let front =
            Origin::of(&object).bend(move |_, reply| *reply = Reply::redirect(302, &to)).start();
        let url = put_in(&front.url(), userinfo);
        let args = ["-j2", "--chunk-size", "32768", "-v", "-o", "out", &url];
        let output = t.uget(args).args(&options).run();
        output.succeeds();
        assert!(told(&front) && !told(&store), "{options:?} {userinfo}");
        keeps_quiet(t, &output);
    }
});

e2e_test!(another_host_is_another_origin_and_there_is_no_way_back, |t| {
    let object = Object::random(732, 100 * KIB);
    for (options, userinfo) in kinds(t) {
        // By address, by name, by address again: the second time as a stranger.
        let origin = Origin::of(&object)
            .bend(|request, reply| {
                let port = request.field("host").and_then(|h| h.split(':').nth(1)).unwrap();
                match request.path() {
                    "/one" => {
                        *reply = Reply::redirect(307, &format!("http://localhost:{port}/two"))
                    }
                    "/two" => {
                        *reply = Reply::redirect(308, &format!("http://127.0.0.1:{port}/three"))
                    }
                    _ => {}
                }
            })
            .start();
        let url = put_in(&origin.at("/one"), userinfo);
        let args = ["-j2", "--chunk-size", "32768", "-v", "-o", "out", &url];
        let output = t.uget(args).args(&options).run();
        output.succeeds();
        for request in origin.log().requests() {
            let told = holds_secret(&String::from_utf8_lossy(&request.raw));
            assert_eq!(told, request.path() == "/one", "{options:?} at {}", request.target);
        }
        keeps_quiet(t, &output);
    }
});

e2e_test!(the_same_origin_is_told_again, |t| {
    let object = Object::random(733, 10 * KIB);
    let origin = Origin::of(&object)
        .bend(|request, reply| {
            if request.path() == "/one" {
                *reply = Reply::redirect(301, "/two");
            }
        })
        .start();
    let user = format!("user:{SECRET}");
    let output = t.uget(["-u", &user, "-o", "out", &origin.at("/one")]).run();
    output.succeeds();
    let raws = origin.log().requests();
    assert!(raws.len() >= 2 && raws.iter().all(|r| holds_secret(&String::from_utf8_lossy(&r.raw))));
});

e2e_test!(another_scheme_is_another_origin, |t| {
    let object = Object::random(734, 10 * KIB);
    let ca = TRUSTED.file().to_str().unwrap().to_owned();
    for (options, userinfo) in kinds(t) {
        let store = Origin::of(&object).start();
        let secure = Front::start(LOCAL.server(&[]), store.address(), Manners::default());
        let to = secure.at("/real");
        let plain =
            Origin::of(&object).bend(move |_, reply| *reply = Reply::redirect(302, &to)).start();
        let url = put_in(&plain.at("/object.bin").replace("127.0.0.1", "localhost"), userinfo);
        let output = t.uget(["--cacert", &ca, "-v", "-o", "out", &url]).args(&options).run();
        output.succeeds();
        assert!(told(&plain) && !told(&store), "{options:?}");
        keeps_quiet(t, &output);
    }
});

e2e_test!(https_does_not_lead_to_http_unless_that_is_allowed, |t| {
    let object = Object::random(735, 10 * KIB);
    let ca = TRUSTED.file().to_str().unwrap().to_owned();
    let store = Origin::of(&object).start();
    let to = store.at("/real");
    let front =
        Origin::of(&object).bend(move |_, reply| *reply = Reply::redirect(302, &to)).start();
    let secure = Front::start(LOCAL.server(&[]), front.address(), Manners::default());
    let user = format!("user:{SECRET}");
    let url = secure.at("/object.bin");
    let output = t.uget(["-u", &user, "--cacert", &ca, &url]).run();
    output.fails_with(&[3, 8]);
    t.holds_only(&output, &[]);
    assert_eq!(store.log().count(), 0);
    keeps_quiet(t, &output);
    let output =
        t.uget(["-u", &user, "--cacert", &ca, "--allow-downgrade", "-o", "out", &url]).run();
    t.delivers(&output, "out", &object);
    assert!(!told(&store));
    keeps_quiet(t, &output);
});

e2e_test!(a_failure_says_nothing_either, |t| {
    let object = Object::random(736, 10 * KIB);
    for (options, userinfo) in kinds(t) {
        let origin =
            Origin::of(&object).bend(|_, reply| *reply = Reply::status(403, "Forbidden")).start();
        let url = put_in(&origin.url(), userinfo);
        let output = t.uget(["-v", "--json", &url]).args(&options).run();
        t.refuses(&output, 22);
        keeps_quiet(t, &output);
    }
    // The part and its journal stay behind.
    let object = Object::random(737, 4000 * KIB);
    let origin = Origin::of(&object)
        .bend(|request, reply| {
            if request.number > 3 {
                *reply = Reply::status(403, "Forbidden");
            }
        })
        .start();
    let url = put_in(&origin.url(), &format!("user:{SECRET}@"));
    let args = ["-j2", "--chunk-size", "65536", "--oauth2-bearer", SECRET, "-o", "out", &url];
    let output = t.uget(args).run();
    output.fails(22);
    keeps_quiet(t, &output);
});

e2e_test!(line_breaks_never_reach_the_wire, |t| {
    let object = Object::random(738, KIB);
    let origin = Origin::of(&object).start();
    let netrc = t.outside().join("netrc");
    std::fs::write(&netrc, "default login u password \"p\\r\\nX-Evil: 1\"\n").unwrap();
    let netrc = netrc.to_str().unwrap();
    for args in [
        ["-H", "X: a\r\nX-Evil: 1"],
        ["-A", "a\nX-Evil: 1"],
        ["-e", "a\rX-Evil: 1"],
        ["-b", "a=b\r\nX-Evil: 1"],
        ["-u", "a:b\r\nX-Evil: 1"],
        ["--oauth2-bearer", "a\r\nX-Evil: 1"],
    ] {
        t.uget(args).arg(origin.url()).run().fails_with(&[2]);
    }
    // These are octets of a password, encoded; they break no line.
    let _ = t.uget(["--netrc-file", netrc, "-o", "out", &origin.url()]).run();
    let _ = t.uget([put_in(&origin.url(), "u:a%0d%0aX-Evil:1@")]).run();
    assert!(origin.log().requests().iter().all(|request| request.field("x-evil").is_none()));
});
