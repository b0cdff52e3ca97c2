//! A real server.

use std::time::Duration;

use crate::{MIB, e2e_test, support::*};

e2e_test!(many_ranges, |t| {
    let Some(nginx) = Nginx::start("") else { return };
    let object = Object::random(240, 64 * MIB + 12345);
    nginx.put("object.bin", &object);
    for connections in ["-j1", "-j16"] {
        let args = [connections, "-o", "object.bin", &nginx.at("/object.bin")];
        let output = t.uget(args).run();
        t.delivers(&output, "object.bin", &object);
        let output = t.uget(args).args(["--sha256", &object.sha256()]).run();
        t.delivers(&output, "object.bin", &object);
    }
});

e2e_test!(memory_does_not_grow_with_the_object, |t| {
    let Some(nginx) = Nginx::start("") else { return };
    let object = Object::random(241, 256 * MIB);
    nginx.put("object.bin", &object);
    // Half a GiB of dirty pages: the disk may need its time.
    let limit = Duration::from_secs(150);
    let output = t.uget(["-j16", &nginx.at("/object.bin")]).limit(limit).run();
    t.delivers(&output, "object.bin", &object);
    output.check(output.peak > 0, "its memory was never seen");
    output.check(output.peak < 48 * MIB as u64, "memory grew with the object");
});

e2e_test!(an_empty_file, |t| {
    let Some(nginx) = Nginx::start("") else { return };
    let object = Object::from_bytes([]);
    nginx.put("object.bin", &object);
    let output = t.uget(["-j16", &nginx.at("/object.bin")]).run();
    t.delivers(&output, "object.bin", &object);
});

e2e_test!(without_tags_without_ranges_without_patience, |t| {
    let object = Object::random(242, 12 * MIB);
    for location in [
        "etag off;",
        "max_ranges 0;",
        "keepalive_timeout 0;",
        "keepalive_requests 2;",
        "etag off; if_modified_since off; add_header Last-Modified '';",
        "gzip on; gzip_types *; gzip_min_length 1;",
        "gzip on; gzip_types *; gzip_min_length 1; gzip_proxied any;",
        "limit_rate 20m;",
        "sendfile_max_chunk 16k;",
    ] {
        let Some(nginx) = Nginx::start(location) else { return };
        nginx.put("object.bin", &object);
        let args = ["-j8", "--retries", "2", "-o", "object.bin", &nginx.at("/object.bin")];
        let output = t.uget(args).limit(Duration::from_secs(60)).run();
        output.check(output.status.success(), location);
        t.delivers(&output, "object.bin", &object);
    }
});

e2e_test!(a_redirect_and_a_missing_file, |t| {
    let Some(nginx) = Nginx::start("rewrite ^/from/(.*)$ /$1 redirect;") else { return };
    let object = Object::random(243, 4 * MIB);
    nginx.put("object.bin", &object);
    let output = t.uget(["-j4", &nginx.at("/from/object.bin")]).run();
    t.delivers(&output, "object.bin", &object);
    let output = t.uget(["-o", "other", &nginx.at("/missing.bin")]).run();
    output.fails(22).says("404");
});

e2e_test!(a_stream, |t| {
    let Some(nginx) = Nginx::start("") else { return };
    let object = Object::random(244, 32 * MIB);
    nginx.put("object.bin", &object);
    let output = t.uget(["-j8", "-o", "-", &nginx.at("/object.bin")]).run();
    output.succeeds();
    assert!(object.difference(&output.stdout).is_none());
});
