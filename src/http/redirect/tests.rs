//! Chains of redirects: where they lead, where they stop, and who is trusted on the way.

use super::*;

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn follow(from: &str, location: impl AsRef<[u8]>) -> Result<String, Error> {
    let mut chain = Chain::new(url(from), 9, false);
    chain.follow(Some(location.as_ref())).map(|url| url.to_string())
}

#[test]
fn locations_are_relative_to_the_current_url() {
    for (from, location, to) in [
        ("http://h/a/b?q", "c", "http://h/a/c"),
        ("http://h/a/b?q", "../c?d", "http://h/c?d"),
        ("http://h/a/b?q", "/c#fragment", "http://h/c"),
        ("http://h/a/b?q", "?x", "http://h/a/b?x"),
        ("http://h/a/b", "//other:81/c", "http://other:81/c"),
        ("http://h/a", "https://h/a", "https://h/a"),
        ("https://h/a", "HTTPS://H:443/b", "https://h/b"),
        ("http://h/a", "  /b\t ", "http://h/b"),
        ("http://h/a", "/\u{e9} x", "http://h/%C3%A9%20x"),
        ("http://h/a", "http://u:p@h/b", "http://h/b"),
        ("http://u:p@h/a", "b", "http://h/b"),
        ("http://h/a", "http://[::1]:8/", "http://[::1]:8/"),
    ] {
        assert_eq!(follow(from, location), Ok(to.to_owned()), "{location}");
    }
    assert_eq!(follow("http://h/a", b"/\xe9"), Ok("http://h/%E9".to_owned()));
}

#[test]
fn locations_that_are_refused() {
    for location in [
        &b"ftp://h/a"[..],
        b"file:///etc/passwd",
        b"javascript:alert(1)",
        b"data:text/plain,x",
        b"http://",
        b"http://h:99999/",
        b"http://[::1/",
        b"http://a b/",
        b"http://\xe9/",
        b"/a\r\nb",
        b"/a\tb",
        b"/a\0b",
        b"/a\x7fb",
        b"http://h/x",
    ] {
        let result = follow("https://h/a", location);
        assert!(matches!(result, Err(Error::BadLocation(_))), "{location:?} {result:?}");
    }
    let missing = Chain::new(url("http://h/"), 9, false).follow(None).cloned();
    assert!(matches!(missing, Err(Error::BadLocation(_))));
}

#[test]
fn a_downgrade_needs_leave() {
    let mut chain = Chain::new(url("https://h/a"), 9, true);
    assert!(chain.follow(Some(b"http://h/a")).is_ok());
    let mut chain = Chain::new(url("http://h/a"), 9, false);
    assert!(chain.follow(Some(b"https://h/a")).is_ok());
    let before = chain.current().clone();
    assert!(matches!(chain.follow(Some(b"http://h/b")), Err(Error::BadLocation(_))));
    assert_eq!(*chain.current(), before);
}

#[test]
fn the_same_url_twice_is_a_loop() {
    assert_eq!(follow("http://h/a", "/a"), Err(Error::RedirectLoop));
    assert_eq!(follow("http://h/a", ""), Err(Error::RedirectLoop));
    assert_eq!(follow("http://h/a", "#x"), Err(Error::RedirectLoop));
    assert_eq!(follow("http://h/a#y", "#x"), Err(Error::RedirectLoop));
    assert_eq!(follow("http://u:p@h/a", "http://h/a"), Err(Error::RedirectLoop));
    let mut chain = Chain::new(url("http://h/a"), 9, false);
    chain.follow(Some(b"/b")).unwrap();
    chain.follow(Some(b"/c")).unwrap();
    assert_eq!(chain.follow(Some(b"/a")), Err(Error::RedirectLoop));
    assert!(chain.follow(Some(b"/a?1")).is_ok());
}

#[test]
fn the_limit_counts_hops() {
    let mut chain = Chain::new(url("http://h/"), 0, false);
    assert_eq!(chain.follow(Some(b"/1")), Err(Error::TooManyRedirects(0)));
    let mut chain = Chain::new(url("http://h/"), 2, false);
    assert!(chain.follow(Some(b"/1")).is_ok());
    assert!(chain.follow(Some(b"/2")).is_ok());
    assert_eq!(chain.follow(Some(b"/3")), Err(Error::TooManyRedirects(2)));
    assert_eq!(chain.current().path(), "/2");
}

#[test]
fn trust_does_not_come_back() {
    for foreign in ["https://h/b", "http://h:81/b", "http://i/b", "http://h./b"] {
        let mut chain = Chain::new(url("http://h:80/a"), 9, true);
        chain.follow(Some(b"http://H/same")).unwrap();
        assert!(chain.trusted());
        chain.follow(Some(foreign.as_bytes())).unwrap();
        assert!(!chain.trusted(), "{foreign}");
        chain.follow(Some(b"http://h:80/back")).unwrap();
        assert!(!chain.trusted(), "{foreign}");
    }
}

#[test]
fn origins() {
    let origin = |scheme: &str, host: &str, port| {
        Some(Origin { scheme: scheme.to_owned(), host: host.to_owned(), port })
    };
    assert_eq!(Origin::of(&url("http://u@H/x")), origin("http", "h", 80));
    assert_eq!(Origin::of(&url("https://[::A]:8")), origin("https", "[::a]", 8));
    assert_eq!(Origin::of(&url("file:///x")), origin("file", "", 0));
    assert_eq!(Origin::of(&url("backup://h/x")), origin("backup", "h", 0));
}
