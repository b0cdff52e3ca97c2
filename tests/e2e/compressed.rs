//! `--compressed`: coded on its way, decoded as it comes, and whole or not there.

use std::io::Write as _;

use crate::{KIB, MIB, e2e_test, support::*, wire_test};

/// Content that is worth a coding.
fn object(len: usize) -> Object {
    let line = |n: usize| format!("line {} of very many lines\n", n * 7919 % 10_007).into_bytes();
    let mut bytes: Vec<u8> = (0..len / 20).flat_map(line).collect();
    bytes.truncate(len);
    Object::from_bytes(bytes)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Brotli that holds everything as it is (RFC 7932 section 9.2), in blocks of 64 KiB at most.
fn brotli(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, block) in bytes.chunks(64 * KIB).enumerate() {
        // The window in front of the first; not the last; four nibbles of a length; not compressed.
        let bits = u32::try_from(block.len() - 1).unwrap() << 3 | 1 << 19;
        let bits = if index == 0 { bits << 1 } else { bits };
        out.extend_from_slice(&bits.to_le_bytes()[..3]);
        out.extend_from_slice(block);
    }
    out.push(3);
    out
}

fn coded(coding: &str, bytes: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" | "x-gzip" => gzip(bytes),
        "br" => brotli(bytes),
        "zstd" => zstd::encode_all(bytes, 1).unwrap(),
        _ => bytes.to_vec(),
    }
}

/// An origin whose answers are in this coding, and are these bytes.
fn answers(object: &Object, coding: &'static str, bytes: Vec<u8>) -> Setup {
    Origin::of(object).bend(move |_, reply| {
        reply.body = Body::Bytes(bytes.clone());
        reply.set("Content-Encoding", coding);
        reply.set("ETag", "\"coded\"");
    })
}

/// An honest origin of coded content.
fn codes(object: &Object, coding: &'static str) -> Setup {
    answers(object, coding, coded(coding, object.bytes()))
}

const ARGS: [&str; 5] = ["--compressed", "-j4", "-o", "object.bin", "--json"];
const CODINGS: [&str; 5] = ["gzip", "x-gzip", "br", "zstd", "identity"];

wire_test!(what_is_coded_on_its_way_is_delivered_decoded, |t| {
    for len in [1, 100 * KIB, 5 * MIB] {
        let object = object(len.max(20));
        for coding in CODINGS {
            let origin = codes(&object, coding).start();
            let output = t.uget(ARGS).arg(origin.url()).run();
            t.delivers(&output, "object.bin", &object);
            let report = output.json();
            assert_eq!(report["size"], object.len());
            assert_eq!(report["transferred"], coded(coding, object.bytes()).len());
            assert_eq!(report["strategy"], "stream");
            assert!(report["content_encoding"].is_null());
            assert!(report["headers"].get("content-encoding").is_none() || coding == "identity");
            let requests = origin.log().requests();
            assert_eq!(requests.len(), 1);
            assert_eq!(requests[0].field("accept-encoding"), Some("gzip, br, zstd"));
            assert!(requests[0].field("range").is_none());
            t.clear();
            let output = t.uget(["--compressed", "-o", "-", &origin.url()]).run();
            output.succeeds();
            output.check(output.stdout == object.bytes(), &format!("{coding} into a pipe"));
        }
    }
});

e2e_test!(chunks_and_closes_end_it_as_well, |t| {
    let object = object(300 * KIB);
    for coding in ["gzip", "zstd"] {
        let chunked = codes(&object, coding).bend(|_, reply| {
            reply.framing = Framing::Chunked(Chunked { size: 1000, ..Chunked::default() });
        });
        let closes = codes(&object, coding).bend(|_, reply| {
            reply.framing = Framing::Bare;
            reply.set("Connection", "close");
            reply.end = End::Fin;
        });
        for origin in [chunked, closes].map(Setup::start) {
            let output = t.uget(ARGS).arg(origin.url()).run();
            t.delivers(&output, "object.bin", &object);
            t.clear();
        }
    }
});

e2e_test!(ok43_a_missing_end_or_noise_behind_it_publishes_nothing, |t| {
    let object = object(200 * KIB);
    for coding in ["gzip", "br", "zstd"] {
        let right = coded(coding, object.bytes());
        let cut = |by: usize| right[..right.len() - by].to_vec();
        let noise = [&right[..], b"noise"].concat();
        let mut other = b"<html>".to_vec();
        other.extend_from_slice(&right);
        for wrong in [cut(1), cut(9), cut(right.len() / 2), Vec::new(), noise, other] {
            let origin = answers(&object, coding, wrong).start();
            let output = t.uget(ARGS).arg(origin.url()).run();
            t.refuses(&output, 61);
            assert!(t.names().is_empty(), "{:?}", t.names());
            t.uget(["--compressed", "-o", "-", &origin.url()]).run().fails(61);
        }
    }
});

e2e_test!(a_coding_that_was_not_asked_for_is_refused, |t| {
    let object = object(10 * KIB);
    for coding in ["deflate", "compress", "gzip, gzip", "aes128gcm"] {
        let origin = answers(&object, coding, object.bytes().to_vec()).start();
        for out in ["object.bin", "-"] {
            let output = t.uget(["--compressed", "-o", out, &origin.url()]).run();
            t.refuses(&output, 61);
            output.check(output.stdout.is_empty(), "something came").says("not asked for");
        }
    }
});

e2e_test!(digests_are_of_what_is_decoded, |t| {
    let object = object(2 * MIB);
    for out in ["object.bin", "-"] {
        let origin = codes(&object, "gzip").start();
        let run = |digest: &str| {
            t.uget(["--compressed", "--json", "-o", out, "--sha256", digest, &origin.url()]).run()
        };
        let output = run(&object.sha256());
        output.succeeds();
        if out == "-" {
            output.check(output.stderr.contains("\"verified\":true"), "it was verified");
        } else {
            t.delivers(&output, "object.bin", &object);
            assert_eq!(output.json()["verified"], true);
            t.clear();
        }
        let raw = Object::from_bytes(gzip(object.bytes()));
        run(&raw.sha256()).fails(100);
        assert!(t.names().is_empty(), "{:?}", t.names());
    }
});

e2e_test!(a_limit_counts_what_is_decoded, |t| {
    let bomb = Object::from_bytes(vec![0; 64 * MIB]);
    for coding in ["gzip", "zstd"] {
        let origin = codes(&bomb, coding).start();
        for out in ["object.bin", "-"] {
            let args = ["--compressed", "--max-size", "1M", "-o", out];
            let output = t.uget(args).arg(origin.url()).run();
            t.refuses(&output, 63);
            output.check(output.stdout.len() <= MIB, "more came");
            output.check(output.peak < 64 * MIB as u64, "it was held in memory");
            assert!(t.names().is_empty(), "{:?}", t.names());
        }
        let small = Object::from_bytes(vec![0; MIB]);
        let origin = codes(&small, coding).start();
        let args = ["--compressed", "--max-size", "1M", "-o", "object.bin"];
        let output = t.uget(args).arg(origin.url()).run();
        t.delivers(&output, "object.bin", &small);
        t.clear();
    }
});

e2e_test!(what_breaks_comes_anew_into_a_file_and_ends_a_stream, |t| {
    let object = object(4 * MIB);
    let cut = || Mode::Cut { from: 0, times: 1, at: 100_000, end: End::Rst };
    for coding in ["gzip", "identity"] {
        let origin = codes(&object, coding).mode(cut()).start();
        let output = t.uget(ARGS).arg(origin.url()).run();
        t.delivers(&output, "object.bin", &object);
        let requests = origin.log().requests();
        assert_eq!(requests.len(), 2);
        assert!(requests.iter().all(|request| request.field("range").is_none()));
        t.clear();
        let origin = codes(&object, coding).mode(cut()).start();
        let output = t.uget(["--compressed", "-o", "-", &origin.url()]).run();
        output.fails_with(&[18, 36, 56]);
        output.check(object.bytes().starts_with(&output.stdout), "other bytes were handed on");
    }
    // What is left of it is of no use to another run.
    let origin = codes(&object, "gzip").mode(Mode::Cut { from: 0, times: 9, at: 9, end: End::Rst });
    let origin = origin.start();
    t.uget(ARGS).args(["--retries", "1"]).arg(origin.url()).run().fails_with(&[18, 56]);
    assert!(t.names().is_empty(), "{:?}", t.names());
    t.uget(["--compressed", "--range", "0-9", &origin.url()]).run().fails(2);
});
