//! Which fields come of which options, and which are refused.

use super::*;
use crate::options::{Header, Secret};

fn secret(text: &str) -> Option<Secret> {
    Some(Secret(text.to_owned()))
}

fn fields(url: &str, options: &Options) -> Vec<String> {
    private_fields(&Url::parse(url).unwrap(), options)
        .unwrap()
        .iter()
        .map(|f| format!("{}: {}", f.name(), String::from_utf8_lossy(f.value())))
        .collect()
}

fn refused(url: &str, options: &Options) -> String {
    let error = private_fields(&Url::parse(url).unwrap(), options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    error.to_string()
}

#[test]
fn the_option_goes_before_the_url_and_both_are_basic() {
    assert_eq!(fields("http://a.test/", &Options::default()), [""; 0]);
    // From RFC 7617 section 2.
    let url = "http://Aladdin:open%20sesame@a.test/";
    assert_eq!(
        fields(url, &Options::default()),
        ["Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="]
    );
    let mut options = Options::default();
    options.credentials.user = secret("u:p:q");
    assert_eq!(fields(url, &options), ["Authorization: Basic dTpwOnE="]);
}

#[test]
fn a_token_and_the_users_own_field() {
    let mut options = Options { referer: Some("http://r.test/".to_owned()), ..Options::default() };
    assert_eq!(fields("http://a.test/", &options), ["Referer: http://r.test/"]);
    options.referer = None;
    options.credentials.bearer = secret("abc");
    assert_eq!(fields("http://a.test/", &options), ["Authorization: Bearer abc"]);
    options
        .headers
        .push(Header { name: "authorization".to_owned(), value: Secret("Own x".to_owned()) });
    assert_eq!(fields("http://a.test/", &options), ["authorization: Own x"]);
}

#[test]
fn netrc_fills_in_what_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("netrc");
    let mut options = Options::default();
    options.credentials.netrc = Some(path.clone());
    assert_eq!(fields("http://a.test/", &options), [""; 0], "no file, none required");
    options.credentials.netrc_required = true;
    assert!(refused("http://a.test/", &options).contains("no such file"));
    fs::write(&path, "machine a.test login u password p\nmachine ::1 login six password p")
        .unwrap();
    assert_eq!(fields("http://a.test/", &options), ["Authorization: Basic dTpw"]);
    assert_eq!(fields("http://u@a.test/", &options), ["Authorization: Basic dTpw"]);
    assert_eq!(fields("http://v@a.test/", &options), ["Authorization: Basic djo="]);
    assert_eq!(fields("http://[::1]/", &options), ["Authorization: Basic c2l4OnA="]);
    assert_eq!(fields("http://b.test/", &options), [""; 0]);
    options.credentials.user = secret("x:y");
    assert_eq!(fields("http://a.test/", &options), ["Authorization: Basic eDp5"]);
}

#[test]
fn cookies_come_as_text_or_from_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jar");
    fs::write(&path, "a.test\tFALSE\t/\tFALSE\t0\tk\tv\n").unwrap();
    let mut options = Options::default();
    options.credentials.cookie = secret("a=b; c=d");
    assert_eq!(fields("http://b.test/", &options), ["Cookie: a=b; c=d"]);
    options.credentials.cookie = secret(path.to_str().unwrap());
    assert_eq!(fields("http://a.test/", &options), ["Cookie: k=v"]);
    assert_eq!(fields("http://b.test/", &options), [""; 0]);
    options.credentials.cookie = secret("no-such-jar");
    assert!(refused("http://a.test/", &options).contains("no-such-jar"));
}

#[test]
fn control_characters_are_refused_and_secrets_not_repeated() {
    let mut options = Options::default();
    for poison in ["u:p\r\nX: y", "u:\0", "u\n:p"] {
        options.credentials.user = secret(poison);
        let message = refused("http://a.test/", &options);
        assert!(!message.contains("X: y"));
    }
    options.credentials.user = None;
    assert!(refused("http://u%0d%0aX:p@a.test/", &options).contains("control"));
    assert!(refused("http://u%3ax:p@a.test/", &options).contains("colon"));
    for poison in ["t\r\nX: y", "t\0"] {
        options.credentials.bearer = secret(poison);
        assert!(!refused("http://a.test/", &options).contains("X: y"));
    }
    options.credentials.bearer = None;
    options.credentials.cookie = secret("a=b\r\nX: y");
    refused("http://a.test/", &options);
    options.credentials.cookie = None;
    options.headers.push(Header { name: "X".to_owned(), value: Secret("a\nb".to_owned()) });
    refused("http://a.test/", &options);
}
