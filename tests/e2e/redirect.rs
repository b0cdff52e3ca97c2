//! Redirects: where ranges go afterwards, limits, loops, schemes, and what is not sent along.

use std::time::Duration;

use crate::{KIB, MIB, support::*, wire_test as e2e_test};

fn redirect(from: &'static str, status: u16, to: &str) -> Mode {
    Mode::Redirect(Redirect { from, status, to: to.to_owned() })
}

e2e_test!(every_redirecting_status_is_followed_once, |t| {
    let object = Object::random(50, 4 * MIB);
    for status in [301, 302, 303, 307, 308] {
        let store = Origin::of(&object).start();
        let front =
            Origin::of(&object).mode(redirect("/object.bin", status, &store.at("/real"))).start();
        let name = format!("by-{status}");
        let output = t.uget(["-j4", "--chunk-size", "262144", "-o", &name, &front.url()]).run();
        output.succeeds();
        t.holds(&output, &name, &object);
        assert_eq!(front.log().count(), 1, "ranges go to the URL after redirects");
        assert!(store.log().requests().iter().all(|request| request.target == "/real"));
    }
});

e2e_test!(relative_locations, |t| {
    let object = Object::random(51, 10 * KIB);
    for (to, target) in [
        ("/c", "/c"),
        ("c", "/a/c"),
        ("../c", "/c"),
        ("./c?x=y", "/a/c?x=y"),
        ("?x", "/a/b?x"),
        ("/c#fragment", "/c"),
        ("/with%20space", "/with%20space"),
    ] {
        let origin = Origin::of(&object)
            .bend(move |request, reply| {
                if request.number == 0 {
                    *reply = Reply::redirect(302, to);
                }
            })
            .start();
        let output = t.uget(["-o", "object.bin", &origin.at("/a/b")]).run();
        t.delivers(&output, "object.bin", &object);
        assert_eq!(origin.log().requests()[1].target, target, "{to}");
    }
});

e2e_test!(a_location_without_a_scheme_keeps_it, |t| {
    let object = Object::random(52, KIB);
    let store = Origin::of(&object).start();
    let to = store.at("/real").trim_start_matches("http:").to_owned();
    let front = Origin::of(&object).mode(redirect("/object.bin", 302, &to)).start();
    let output = t.uget([&front.url()]).run();
    t.delivers(&output, "object.bin", &object);
});

e2e_test!(the_name_comes_from_the_url_that_was_asked_for, |t| {
    let object = Object::random(53, KIB);
    let origin = Origin::of(&object).mode(redirect("/asked.bin", 302, "/got.php?x=1")).start();
    let output = t.uget([&origin.at("/asked.bin")]).run();
    t.delivers(&output, "asked.bin", &object);
});

e2e_test!(a_loop_ends, |t| {
    let origin = Origin::of(&Object::random(54, KIB))
        .mode(redirect("/object.bin", 302, "/b"))
        .mode(redirect("/b", 302, "/object.bin"))
        .start();
    let output = t.uget([&origin.url()]).run();
    t.refuses(&output, 47);
    assert_eq!(origin.log().count(), 2, "the third request would be the first again");
});

e2e_test!(a_chain_has_a_limit, |t| {
    let object = Object::random(55, KIB);
    // /3 leads to /2 and so on; /0 is the object.
    let setup = || {
        Origin::of(&object)
            .bend(|request, reply| {
                let left: u32 = request.target[1..].parse().unwrap();
                if left > 0 {
                    *reply = Reply::redirect(302, &format!("/{}", left - 1));
                }
            })
            .start()
    };
    let origin = setup();
    let output = t.uget(["--max-redirs", "3", "-o", "object.bin", &origin.at("/3")]).run();
    t.delivers(&output, "object.bin", &object);
    std::fs::remove_file(t.path("object.bin")).unwrap();
    let output = t.uget(["--max-redirs", "3", "-o", "object.bin", &origin.at("/4")]).run();
    t.refuses(&output, 47);
    let origin = setup();
    let output = t.uget(["--max-redirs", "0", "-o", "object.bin", &origin.at("/1")]).run();
    t.refuses(&output, 47);
    assert_eq!(origin.log().count(), 1);
    let output = t.uget(["-o", "object.bin", &setup().at("/50")]).run();
    t.delivers(&output, "object.bin", &object);
    std::fs::remove_file(t.path("object.bin")).unwrap();
    let output = t.uget(["-o", "object.bin", &setup().at("/51")]).run();
    t.refuses(&output, 47);
});

e2e_test!(other_schemes_are_refused, |t| {
    for to in ["ftp://127.0.0.1/x", "file:///etc/passwd", "gopher://127.0.0.1/", "data:,x", "//"] {
        let origin =
            Origin::of(&Object::random(56, KIB)).mode(redirect("/object.bin", 302, to)).start();
        let output = t.uget(["--retries", "0", &origin.url()]).run();
        t.refuses_with(&output, &[1, 3, 8]);
    }
});

e2e_test!(a_redirect_to_nowhere_is_an_error, |t| {
    let origin = Origin::of(&Object::random(57, KIB))
        .bend(|_, reply| *reply = Reply::status(302, "Found"))
        .start();
    let output = t.uget(["--retries", "0", &origin.url()]).run();
    t.refuses_with(&output, &[3, 8, 22]);
});

e2e_test!(the_body_of_a_redirect_is_not_drained, |t| {
    let object = Object::random(58, KIB);
    let store = Origin::of(&object).start();
    let to = store.at("/real");
    let front = Origin::of(&object)
        .bend(move |_, reply| {
            *reply = Reply::redirect(302, &to);
            reply.framing = Framing::Declared("1000000000".to_owned());
            reply.cut = Some((10, End::Stall));
        })
        .start();
    let output = t.uget([&front.url()]).limit(Duration::from_secs(8)).run();
    t.delivers(&output, "object.bin", &object);
});

e2e_test!(what_the_user_sends_goes_to_the_first_origin_only, |t| {
    let object = Object::random(59, 4 * MIB);
    let store = Origin::of(&object).start();
    let front = Origin::of(&object).mode(redirect("/object.bin", 307, &store.at("/real"))).start();
    let mine = ["--header", "Authorization: Bearer secret", "--header", "X-Token: secret"];
    let output = t.uget(mine).args(["-j4", "--chunk-size", "524288", &front.url()]).run();
    t.delivers(&output, "object.bin", &object);
    assert_eq!(front.log().requests()[0].field("authorization"), Some("Bearer secret"));
    for request in store.log().requests() {
        let raw = String::from_utf8_lossy(&request.raw).into_owned();
        assert!(!raw.contains("secret"), "leaked to another origin: {raw}");
        assert_eq!(request.field("referer"), None);
    }
});

e2e_test!(what_the_user_sends_stays_within_one_origin, |t| {
    let object = Object::random(60, 2 * MIB);
    let origin = Origin::of(&object).mode(redirect("/object.bin", 302, "/real")).start();
    let output = t.uget(["-j4", "--header", "X-Token: secret", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
    assert!(origin.log().requests().iter().all(|one| one.field("x-token") == Some("secret")));
});

e2e_test!(what_the_user_sends_does_not_come_back, |t| {
    let object = Object::random(61, 2 * MIB);
    let home = Origin::of(&object).mode(Mode::Latency(Duration::ZERO));
    // Home leads abroad, abroad leads back home; nobody knows home's port before it runs.
    let back = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
    let known = std::sync::Arc::clone(&back);
    let abroad = Origin::of(&object)
        .bend(move |_, reply| *reply = Reply::redirect(302, known.get().unwrap()))
        .start();
    let home = home.mode(redirect("/object.bin", 302, &abroad.at("/x"))).start();
    back.set(home.at("/real")).unwrap();
    let output = t.uget(["-j2", "--header", "Cookie: secret", &home.url()]).run();
    t.delivers(&output, "object.bin", &object);
    for request in home.log().requests().iter().filter(|one| one.target == "/real") {
        assert_eq!(request.field("cookie"), None, "the origin after a foreign hop is not trusted");
    }
});

e2e_test!(a_redirect_that_loses_the_pin_later_is_a_change, |t| {
    let object = Object::random(62, 4 * MIB);
    let origin = Origin::of(&object)
        .bend(|request, reply| {
            if request.ranged > 3 {
                *reply = Reply::redirect(302, "/login");
            }
        })
        .start();
    let args = ["-j2", "--retries", "1", "--chunk-size", "262144"];
    let output = t.uget(args).arg(origin.url()).run();
    t.refuses_with(&output, &[8, 22, 33, 47, 101]);
});
