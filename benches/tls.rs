//! The TLS receive path alone: records to plaintext in the buffer, as the data plane does it.
//!
//! `cargo bench --bench tls`

#![expect(missing_docs, reason = "a benchmark")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use uget::bench::Receive;

fn records(c: &mut Criterion) {
    let mut group = c.benchmark_group("tls/records to plaintext");
    for size in [64 << 10, 256 << 10, 1 << 20] {
        group.throughput(Throughput::Bytes(size as u64));
        let plain = vec![7; size];
        let connection = std::cell::RefCell::new(Receive::connected());
        group.bench_function(format!("{} KiB at a time", size >> 10), |b| {
            b.iter_batched_ref(
                || connection.borrow_mut().seal(&plain),
                |buffer| connection.borrow_mut().open(buffer),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, records);
criterion_main!(benches);
