//! What is unpacked as it comes: who does it, and what is reported of it.

use crate::{
    engine::{consumer::Consumer, unpacker::Unpacker},
    files::output::Flow,
    options::{Target, Unpack},
    report::Report,
    unpack::Gauge,
};

/// Who takes the stream of a download; a decoder may use so much memory. `sync`: what is published
/// must last.
pub(super) fn consumer(
    flow: Flow,
    rules: Unpack,
    gauge: Gauge,
    memory: u64,
    sync: bool,
) -> Box<dyn Consumer> {
    match flow {
        Flow::Plain(descriptor) => Box::new(descriptor),
        Flow::Unpacked(place) => Box::new(Unpacker { place, rules, memory, sync, gauge }),
    }
}

/// The report, with what was unpacked to where.
pub(super) fn report(report: Report, unpacked: Option<(Gauge, Target)>) -> Report {
    let Some((gauge, target)) = unpacked else { return report };
    let members = matches!(target, Target::Extract(_)).then(|| gauge.members());
    Report { members, extracted: Some(gauge.bytes()), ..report }
}
