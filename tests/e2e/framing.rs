//! Framing is strict (RFC 9112 section 6.3): byte-exact answers that a lenient reader would take
//! for something else, and legal ones that a naive reader trips over.

use std::{io::Write as _, time::Duration};

use crate::{KIB, MIB, support::*, wire_test as e2e_test};

/// Every answer is refused with one of these codes, plain and ranged, and leaves nothing behind.
fn all_refused(t: &Test, codes: &[i32], answers: &[&[u8]]) {
    for answer in answers {
        for connections in ["-j1", "-j4"] {
            let script = Script::answer(*answer);
            let output = t.uget([connections, "--retries", "0", &script.url()]).run();
            let shown = String::from_utf8_lossy(&answer[..answer.len().min(200)]).into_owned();
            output.check(
                output.code().is_some_and(|code| codes.contains(&code)),
                &format!("{connections}: should exit with {codes:?} for {shown:?}"),
            );
            t.refuses_with(&output, codes);
        }
    }
}

/// Every answer delivers `hello`.
fn all_delivered(t: &Test, answers: &[&[u8]]) {
    for answer in answers {
        let script = Script::answer(*answer);
        let output = t.uget(["-j1", "--retries", "0", "-o", "object.bin", &script.url()]).run();
        output.check(output.status.success(), &String::from_utf8_lossy(answer));
        t.delivers(&output, "object.bin", &Object::from_bytes(*b"hello"));
    }
}

e2e_test!(conflicting_lengths, |t| {
    all_refused(
        t,
        &[8],
        &[
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
            b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nContent-Length: 5\r\n\r\nhello!",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello!",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ],
    );
});

e2e_test!(unreadable_lengths, |t| {
    all_refused(
        t,
        &[8],
        &[
            b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5a\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5.0\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5 5\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999999\r\n\r\nhello",
        ],
    );
});

e2e_test!(a_length_that_no_file_can_have, |t| {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\nhello";
    all_refused(t, &[8, 18, 23, 63], &[answer]);
});

e2e_test!(transfer_codings_that_are_not_chunked, |t| {
    all_refused(
        t,
        &[8],
        &[
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked;q=1\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\nhello",
            b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ],
    );
});

e2e_test!(bad_chunks, |t| {
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let bodies: [&[u8]; 14] = [
        b"g\r\nhello\r\n0\r\n\r\n",
        b"\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"5 5\r\nhello\r\n0\r\n\r\n",
        b"5\rhello\r\n0\r\n\r\n",
        b"5\r\nhelloX\r\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello\r\r\n0\r\n\r\n",
        b"10000000000000005\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\nzzz",
        b"5\r\nhello\r\n0\r\nbad trailer\0\r\n\r\n",
    ];
    let answers: Vec<Vec<u8>> = bodies.iter().map(|body| [HEAD, body].concat()).collect();
    let answers: Vec<&[u8]> = answers.iter().map(Vec::as_slice).collect();
    all_refused(t, &[8], &answers);
    let endless = [HEAD, b"5;".as_slice(), &[b'x'; 70 << 10], b"\r\nhello\r\n0\r\n\r\n"].concat();
    all_refused(t, &[8], &[&endless]);
});

e2e_test!(bodies_that_end_short, |t| {
    all_refused(
        t,
        &[8, 18],
        &[
            b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhello",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5",
        ],
    );
});

e2e_test!(heads_that_are_none, |t| {
    all_refused(
        t,
        &[8],
        &[
            b"HTTP/2 200 OK\r\n\r\nhello",
            b"HTTP/1.1 2000 OK\r\n\r\nhello",
            b"HTTP/1.1 20 OK\r\n\r\nhello",
            b"HTTP/1.1 OK\r\n\r\nhello",
            b"ICY 200 OK\r\n\r\nhello",
            b"<html>hello</html>\r\n\r\n",
            b"\0\0\0\0\0\0\0\0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\0\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 5\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nContent-Length\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\n: 5\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nX: y\r\n folded: yes\r\nContent-Length: 5\r\n\r\nhello",
        ],
    );
});

e2e_test!(connections_that_say_nothing, |t| {
    all_refused(t, &[8, 18, 52, 56], &[b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nX: "]);
});

e2e_test!(a_head_has_a_limit, |t| {
    let fields = b"X-Filler: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(4000);
    let one = [b"X: ".as_slice(), &[b'y'; 1 << 20], b"\r\n"].concat();
    for filler in [fields, one] {
        let tail = b"Content-Length: 5\r\n\r\nhello".as_slice();
        let answer = [b"HTTP/1.1 200 OK\r\n".as_slice(), &filler, tail].concat();
        all_refused(t, &[8], &[&answer]);
    }
});

e2e_test!(a_head_that_never_ends_is_not_read_for_ever, |t| {
    let script = Script::new(|stream, _| {
        Script::head(stream);
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\n"));
        while stream.write_all(b"X-More: and more and more and more\r\n").is_ok() {}
    });
    let output = t.uget(["--retries", "0", &script.url()]).limit(Duration::from_secs(10)).run();
    t.refuses(&output, 8);
});

e2e_test!(interim_answers_have_a_limit, |t| {
    let many = b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000);
    let tail = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".as_slice();
    all_refused(t, &[8], &[&[&many, tail].concat()]);
    let few = b"HTTP/1.1 102 Processing\r\n\r\n".repeat(10);
    all_delivered(t, &[&[&few, tail].concat()]);
});

e2e_test!(switching_protocols_was_not_asked_for, |t| {
    all_refused(
        t,
        &[8],
        &[b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nhello"],
    );
});

e2e_test!(legal_oddities_of_heads, |t| {
    all_delivered(
        t,
        &[
            b"HTTP/1.1 200 OK\r\nCONTENT-LENGTH:5\r\n\r\nhello",
            b"HTTP/1.1 200 \r\ncontent-length: \t 5 \t\r\n\r\nhello",
            b"HTTP/1.1 200 Not Really \xff OK\r\nContent-Length: 0005\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nX-Empty:\r\nX-High: \xe4\xff\r\nContent-Length: 5\r\n\r\nhello",
            b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            b"HTTP/1.0 200 OK\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\n\r\nhello",
        ],
    );
});

e2e_test!(legal_oddities_of_chunks, |t| {
    all_delivered(
        t,
        &[
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n00000005\r\nhello\r\n000\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b;c=\"d;\"\r\nhello\r\n0;x\r\nT: 1\r\nU: 2\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ne\r\n1\r\nl\r\n1\r\nl\r\n1\r\no\r\n0\r\n\r\n",
        ],
    );
});

e2e_test!(fs28_everything_ornate_at_once, |t| {
    let object = Object::random(40, 4 * MIB);
    let origin = Origin::of(&object).mode(Mode::Ornate).start();
    for connections in ["-j1", "-j4"] {
        let output = t.uget([connections, "-o", "object.bin", &origin.url()]).run();
        t.delivers(&output, "object.bin", &object);
    }
    assert!(origin.log().connections() <= 5, "chunked answers can be followed by others");
});

e2e_test!(whoever_breaks_http_is_not_asked_again, |t| {
    for answer in ["HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello", "what?\r\n\r\n"] {
        let origin = Origin::of(&Object::random(45, MIB))
            .bend(|_, reply| {
                reply.raw = Some(answer.as_bytes().to_vec());
                reply.end = End::Fin;
            })
            .start();
        let output = t.uget(["-j4", &origin.url()]).run();
        t.refuses(&output, 8);
        // A broken replica among good ones gets a few chances.
        assert_eq!(origin.log().count(), 1, "{answer:?}");
    }
});

e2e_test!(answers_cut_at_every_byte, |t| {
    let object = Object::random(41, 300);
    for framing in [Framing::Length, Framing::Chunked(Chunked { size: 7, ..Chunked::default() })] {
        let origin = Origin::of(&object)
            .mode(Mode::Drip { size: 1, pause: Duration::from_micros(200) })
            .bend(move |_, reply| reply.framing = framing.clone())
            .start();
        let output =
            t.uget(["-j4", "--chunk-size", "100", "-o", "object.bin", &origin.url()]).run();
        t.delivers(&output, "object.bin", &object);
    }
});

e2e_test!(fs33_a_reset_after_the_last_byte_is_success, |t| {
    let object = Object::random(42, 500 * KIB);
    let origin = Origin::of(&object).mode(Mode::RstAfterLast).start();
    let output = t.uget(["-j1", "--retries", "0", &origin.url()]).run();
    t.delivers(&output, "object.bin", &object);
    assert_eq!(origin.log().count(), 1);
});

e2e_test!(fs27_a_connection_closed_after_each_answer, |t| {
    let object = Object::random(43, 4 * MIB);
    for announced in [true, false] {
        let origin = Origin::of(&object).mode(Mode::CloseEach { announced }).start();
        let args = ["-j4", "--retries", "0", "--chunk-size", "131072", "-o", "object.bin"];
        let output = t.uget(args).arg(origin.url()).run();
        t.delivers(&output, "object.bin", &object);
    }
});

e2e_test!(a_reset_on_an_idle_connection_is_nobodys_fault, |t| {
    let object = Object::random(44, 2 * MIB);
    let origin = Origin::of(&object).bend(|_, reply| reply.end = End::Rst).start();
    let args = ["-j2", "--retries", "0", "--chunk-size", "131072"];
    let output = t.uget(args).arg(origin.url()).run();
    t.delivers(&output, "object.bin", &object);
});

e2e_test!(text_from_the_server_cannot_drive_the_terminal, |t| {
    let script = Script::answer(
        b"HTTP/1.1 404 \x1b]0;owned\x07\x1b[31mred\r\nContent-Length: 6\r\n\r\n\x1b[2Jhi"
            .as_slice(),
    );
    for flag in ["-v", "-q"] {
        let output = t.uget([flag, "--retries", "0", &script.url()]).run();
        t.refuses_with(&output, &[8, 22]);
    }
    // A reason may hold any octets from 0x80 on: here the C1 form of ESC [, and a character that
    // turns the direction of the text.
    let script = Script::answer(
        "HTTP/1.1 404 \u{9b}31mred \u{202e}txt.exe\r\nContent-Length: 0\r\n\r\n".as_bytes(),
    );
    let output = t.uget(["-v", &script.url()]).run();
    t.refuses(&output, 22);
    output.hides("\u{202e}").hides("\u{9b}");
    let origin = Origin::of(&Object::from_bytes(*b"x"))
        .mode(Mode::Redirect(Redirect {
            from: "/object.bin",
            status: 302,
            to: "ftp://\u{1b}[31mhost/".to_owned(),
        }))
        .start();
    t.uget(["-v", &origin.url()]).run().fails_with(&[1, 3, 8]);
});
