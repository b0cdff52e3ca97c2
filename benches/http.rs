//! The pure layers that every answer passes: heads, bodies, byte ranges.
//!
//! `cargo bench --bench http`

#![expect(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use uget::{
    http::{
        body::{Decoder, Framing},
        response::Head,
    },
    range::RangeSet,
};

const HEAD: &[u8] = b"HTTP/1.1 206 Partial Content\r\nServer: nginx/1.22.1\r\n\
    Date: Fri, 20 Nov 2026 16:39:04 GMT\r\nContent-Type: application/octet-stream\r\n\
    Content-Length: 1048576\r\nLast-Modified: Fri, 20 Nov 2026 16:39:03 GMT\r\n\
    Connection: keep-alive\r\nETag: \"6b0077a7-40000000\"\r\n\
    Content-Range: bytes 0-1048575/1073741824\r\n\r\n";

fn heads(c: &mut Criterion) {
    c.bench_function("head/parse a 206", |b| b.iter(|| Head::parse(black_box(HEAD)).unwrap()));
}

fn bodies(c: &mut Criterion) {
    let mut group = c.benchmark_group("body/decode 1 MiB");
    group.throughput(Throughput::Bytes(1 << 20));
    let plain = vec![7; 1 << 20];
    group.bench_function("by length", |b| {
        let mut buffer = plain.clone();
        b.iter(|| {
            let mut decoder = Decoder::new(Framing::Length(1 << 20));
            let end = buffer.len();
            decoder.decode(black_box(&mut buffer), 0..end, usize::MAX).unwrap()
        });
    });
    let mut chunked = Vec::new();
    for chunk in plain.chunks(8 << 10) {
        chunked.extend(format!("{:x}\r\n", chunk.len()).bytes());
        chunked.extend(chunk);
        chunked.extend(b"\r\n");
    }
    chunked.extend(b"0\r\n\r\n");
    group.bench_function("chunks of 8 KiB", |b| {
        b.iter_batched_ref(
            || chunked.clone(),
            |buffer| {
                let end = buffer.len();
                Decoder::new(Framing::Chunked).decode(buffer, 0..end, usize::MAX).unwrap()
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn ranges(c: &mut Criterion) {
    c.bench_function("range/1,024 parts in any order", |b| {
        b.iter(|| {
            let mut set = RangeSet::new();
            for i in 0..1024_u64 {
                let start = (i * 389 % 1024) << 20;
                set.insert(start..start + (1 << 20));
            }
            set.frontier(0)
        });
    });
}

/// What every byte costs once more so that a later run can tell whether it is still there.
fn checksums(c: &mut Criterion) {
    let mut group = c.benchmark_group("checksum");
    group.throughput(Throughput::Bytes(1 << 20));
    let bytes = vec![7; 1 << 20];
    group.bench_function("of 1 MiB", |b| b.iter(|| crc32fast::hash(black_box(&bytes))));
    group.bench_function("to copy 1 MiB, for comparison", |b| {
        let mut copy = vec![0; bytes.len()];
        b.iter(|| copy.copy_from_slice(black_box(&bytes)));
    });
    group.finish();
}

criterion_group!(benches, heads, bodies, ranges, checksums);
criterion_main!(benches);
