//! Every 206 is checked: what a server may get wrong in the middle of a download, and that nothing
//! of it is published.

use crate::{KIB, MIB, support::*, wire_test as e2e_test};

fn object() -> Object {
    Object::random(30, 4 * MIB)
}

const ARGS: [&str; 5] = ["-j4", "--retries", "1", "--chunk-size", "262144"];

/// Runs against an origin and expects one of these exit codes and nothing visible.
fn refused(t: &Test, origin: Setup, codes: &[i32]) -> Output {
    let origin = origin.start();
    let output = t.uget(ARGS).arg(origin.url()).run();
    t.refuses_with(&output, codes);
    output
}

e2e_test!(fs13_another_window_is_no_data, |t| {
    for lie in [
        Lie::Earlier,
        Lie::Elsewhere,
        Lie::Longer,
        Lie::Total,
        Lie::Backwards,
        Lie::Unit,
        Lie::Twice,
    ] {
        for k in [1, 5] {
            let output =
                refused(t, Origin::of(&object()).mode(Mode::Lie { k, lie }), &[8, 33, 101]);
            output.check(!output.stderr.is_empty(), &format!("{lie:?} at {k}"));
        }
    }
});

e2e_test!(no_content_range_in_the_middle, |t| {
    let origin = Origin::of(&object()).bend(|request, reply| {
        if request.ranged > 2 {
            reply.unset("Content-Range");
        }
    });
    refused(t, origin, &[8, 33]);
});

e2e_test!(fs39_a_length_beyond_the_range, |t| {
    let origin = Origin::of(&object()).bend(|request, reply| {
        if request.ranged > 2 {
            let mut body = reply.body.bytes().to_vec();
            body.extend_from_slice(&[b'!'; 100]);
            reply.body = Body::Bytes(body);
        }
    });
    refused(t, origin, &[8, 33]);
});

e2e_test!(a_length_short_of_the_range, |t| {
    let origin = Origin::of(&object()).bend(|request, reply| {
        if request.ranged > 2 {
            reply.body = Body::Bytes(reply.body.bytes()[..1000].to_vec());
        }
    });
    refused(t, origin, &[8, 33]);
});

e2e_test!(fs11_a_chunked_body_beyond_the_range, |t| {
    let origin = Origin::of(&object()).bend(|request, reply| {
        if request.ranged > 2 {
            let mut body = reply.body.bytes().to_vec();
            body.extend_from_slice(&[b'!'; 100]);
            reply.body = Body::Bytes(body);
            reply.framing = Framing::Chunked(Chunked::default());
        }
    });
    refused(t, origin, &[8, 33]);
});

e2e_test!(fs31_multipart_in_the_middle, |t| {
    let origin = Origin::of(&object()).bend(|request, reply| {
        if request.ranged > 2 {
            reply.set("Content-Type", "multipart/byteranges; boundary=x");
        }
    });
    refused(t, origin, &[8, 33]);
});

e2e_test!(fs29_a_coding_in_the_middle, |t| {
    let origin = Origin::of(&object()).bend(|request, reply| {
        if request.ranged > 2 {
            reply.set("Content-Encoding", "gzip");
        }
    });
    refused(t, origin, &[8, 33]);
});

e2e_test!(an_identity_coding_is_none, |t| {
    let origin = Origin::of(&object()).bend(|_, reply| reply.set("Content-Encoding", "identity"));
    let origin = origin.start();
    let output = t.uget(ARGS).arg(origin.url()).run();
    t.delivers(&output, "object.bin", &object());
});

e2e_test!(fs07_another_version_ignoring_preconditions, |t| {
    let to = Version::strong(Object::random(31, 4 * MIB), "v2");
    refused(t, Origin::of(&object()).mode(Mode::FlipsBlindly { after: 3, to }), &[101]);
});

e2e_test!(fs08_another_version_honouring_preconditions, |t| {
    let to = Version::strong(Object::random(31, 4 * MIB), "v2");
    let origin = Origin::of(&object()).mode(Mode::Flips { after: 3, to: to.clone() }).start();
    let output = t.uget(ARGS).arg(origin.url()).run();
    t.refuses(&output, 101);
    output.says("changed");
    refused(t, Origin::of(&object()).mode(Mode::FlipsWith412 { after: 3, to }), &[101]);
});

e2e_test!(another_length_in_the_middle, |t| {
    let to = Version::strong(Object::random(31, 5 * MIB), "v1");
    refused(t, Origin::of(&object()).mode(Mode::Flips { after: 3, to }), &[8, 33, 101]);
});

e2e_test!(a_tag_that_goes_missing_is_another_version, |t| {
    let origin = Origin::of(&object()).bend(|request, reply| {
        if request.ranged > 2 {
            reply.unset("ETag");
        }
    });
    refused(t, origin, &[8, 33, 101]);
});

e2e_test!(a_strong_tag_that_turns_weak_is_compared, |t| {
    let weak = |tag: &'static str| {
        Origin::of(&object())
            .bend(move |request, reply| {
                if request.ranged > 2 {
                    reply.set("ETag", tag);
                }
            })
            .start()
    };
    // What a proxy on the way may do to the tag of the same bytes.
    let origin = weak("W/\"v1\"");
    let output = t.uget(ARGS).arg(origin.url()).run();
    t.right_or_refused(&output, "object.bin", &object());
    drop(std::fs::remove_file(t.path("object.bin")));
    let origin = weak("W/\"v2\"");
    let output = t.uget(ARGS).arg(origin.url()).run();
    t.refuses(&output, 101);
});

e2e_test!(fs38_replicas_that_differ_are_never_mixed, |t| {
    let other = Version::strong(Object::random(32, 4 * MIB), "v2");
    let origin = Origin::of(&object()).mode(Mode::Replicas(other)).start();
    let output = t.uget(ARGS).arg(origin.url()).run();
    t.refuses(&output, 101);
});

e2e_test!(fs14_the_whole_object_for_every_range_is_not_read, |t| {
    let big = Object::random(33, 32 * MIB);
    let origin = Origin::of(&big).mode(Mode::WholeAt { k: 1, times: usize::MAX }).start();
    let output = t.uget(ARGS).arg(origin.url()).run();
    t.refuses_with(&output, &[33, 101]);
    // What the kernel's buffers took is not what we read.
    let answers = origin.log().count() as u64;
    output.check(
        origin.log().sent() < answers * 8 * MIB as u64,
        &format!("{} bytes for {answers} answers", origin.log().sent()),
    );
});

e2e_test!(fs15_the_whole_object_once, |t| {
    let origin = Origin::of(&object()).mode(Mode::WholeAt { k: 2, times: 1 }).start();
    let output = t.uget(ARGS).arg(origin.url()).run();
    t.right_or_refused(&output, "object.bin", &object());
});

e2e_test!(fs36_a_page_in_the_middle_is_no_data, |t| {
    let origin = Origin::of(&object()).bend(|request, reply| {
        if request.ranged > 2 {
            let page = b"<!DOCTYPE html><html>log in</html>".to_vec();
            *reply = Reply::new(200, "OK", Body::Bytes(page)).with("Content-Type", "text/html");
        }
    });
    refused(t, origin, &[8, 33, 101]);
});

e2e_test!(a_shorter_window_is_legal, |t| {
    let object = Object::random(34, 2 * MIB);
    let origin = Origin::of(&object)
        .bend(|request, reply| {
            let len = 2 * MIB as u64;
            let Some(range) = request.range(len) else { return };
            if let Body::Object(object, asked) = &reply.body {
                let end = asked.end.min(range.start + 100 * KIB as u64);
                let named = format!("bytes {}-{}/{len}", range.start, end - 1);
                reply.body = Body::Object(object.clone(), range.start..end);
                reply.set("Content-Range", &named);
            }
        })
        .start();
    let output = t.uget(ARGS).arg(origin.url()).run();
    t.delivers(&output, "object.bin", &object);
    output.check(origin.log().sent() == object.len(), "bytes were fetched in vain");
});

e2e_test!(fs11_early_bytes_retire_a_connection, |t| {
    // What follows each body is a well-formed answer to a request that was not sent yet.
    const FORGED: &str = "HTTP/1.1 206 Partial Content\r\nETag: \"v1\"\r\n\
        Content-Range: bytes 16384-32767/262144\r\nContent-Length: 16384\r\n\r\nforged";
    let object = Object::random(35, 256 * KIB);
    let origin = Origin::of(&object).mode(Mode::Garbage(FORGED)).start();
    let output = t.uget(["-j2", "--chunk-size", "16384", "--retries", "1", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
    let reused = origin.log().requests().iter().filter(|one| one.on_connection > 0).count();
    output.check(reused == 0, &format!("{reused} requests on connections with garbage"));
});
