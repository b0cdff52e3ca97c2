//! A file as the simulator knows it: which byte of which version lies where.

use std::{collections::BTreeMap, ops::Range};

use crc32fast::Hasher;

/// Where the bytes of a run come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// Which edition of which place, as a reply names it.
    pub(crate) version: u32,
    /// What to add to an offset in the file to get the offset in the object.
    pub(crate) shift: i64,
}

impl Source {
    /// The checksum of so many bytes of it, if every byte of a version were the same.
    fn sum(self, length: u64) -> Hasher {
        crc_of(self.version.wrapping_add(1) as u8, length)
    }
}

/// The checksum of `length` times the same byte: of runs that double in length, those that make it.
fn crc_of(byte: u8, length: u64) -> Hasher {
    let mut run = Hasher::new();
    run.update(&[byte]);
    let mut sum = Hasher::new();
    for bit in 0..u64::BITS - length.leading_zeros() {
        if length >> bit & 1 == 1 {
            sum.combine(&run);
        }
        run.combine(&run.clone());
    }
    sum
}

/// A part file, without its bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct File {
    /// Start of a run to its end and source; runs do not overlap.
    runs: BTreeMap<u64, (u64, Source)>,
}

impl File {
    pub(crate) fn clear(&mut self) {
        self.runs.clear();
    }

    pub(crate) fn write(&mut self, range: Range<u64>, source: Source) {
        self.cut(range.start);
        self.cut(range.end);
        let inside: Vec<u64> = self.runs.range(range.clone()).map(|(at, _)| *at).collect();
        for at in inside {
            self.runs.remove(&at);
        }
        if range.is_empty() {
            return;
        }
        let mut start = range.start;
        if let Some((at, (end, before))) = self.runs.range(..start).next_back()
            && *end == start
            && *before == source
        {
            start = *at;
        }
        self.runs.insert(start, (range.end, source));
    }

    fn cut(&mut self, at: u64) {
        let over = self.runs.range(..at).next_back().map(|(start, run)| (*start, *run));
        if let Some((start, (end, source))) = over
            && end > at
        {
            self.runs.insert(start, (at, source));
            self.runs.insert(at, (end, source));
        }
    }

    pub(crate) fn written(&self) -> u64 {
        self.runs.iter().map(|(at, (end, _))| end - at).sum()
    }

    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range<u64>> {
        self.runs.iter().map(|(at, (end, _))| *at..*end)
    }

    /// Takes over what `other` has of `range`.
    pub(crate) fn copy(&mut self, other: &Self, range: &Range<u64>) {
        for (at, (end, source)) in &other.runs {
            let part = range.start.max(*at)..range.end.min(*end);
            if part.start < part.end {
                self.write(part, *source);
            }
        }
    }

    /// Whether all of `range` is there and `fits`.
    pub(crate) fn holds(&self, range: &Range<u64>, fits: impl Fn(Source) -> bool) -> bool {
        let inside = self.runs.iter().filter(|(_, (_, source))| fits(*source));
        let parts =
            inside.map(|(at, (end, _))| range.end.min(*end).saturating_sub(range.start.max(*at)));
        parts.sum::<u64>() == range.end - range.start
    }

    /// The checksum of `range`; what was never written is zeros.
    pub(crate) fn crc(&self, range: &Range<u64>) -> u32 {
        let mut sum = Hasher::new();
        let mut at = range.start;
        for (start, (end, source)) in &self.runs {
            let part = range.start.max(*start)..range.end.min(*end);
            if part.start < part.end {
                sum.combine(&crc_of(0, part.start - at));
                sum.combine(&source.sum(part.end - part.start));
                at = part.end;
            }
        }
        sum.combine(&crc_of(0, range.end - at));
        sum.finalize()
    }

    /// Whether the first `total` bytes are there, and nothing else.
    pub(crate) fn covers(&self, total: u64) -> bool {
        let mut at = 0;
        for range in self.ranges() {
            if range.start != at {
                return false;
            }
            at = range.end;
        }
        at == total
    }

    /// Where its runs come from.
    pub(crate) fn sources(&self) -> impl Iterator<Item = Source> {
        self.runs.values().map(|(_, source)| *source)
    }
}
