//! The window: which bytes of a stream may be written, which are, and which the consumer has taken.
//! Pure arithmetic; the bytes themselves are in [`super::blocks`].

use std::ops::Range;

use crate::range::RangeSet;

/// The state of one stream. Bytes are written in any order below [`Self::end`], each once, and
/// taken in order.
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// How far beyond what was consumed may be written.
    bytes: u64,
    /// The length of a block.
    block: u64,
    /// Everything below is consumed: its blocks may be used again.
    consumed: u64,
    /// The consumer holds bytes that are not consumed yet, or has consumed some.
    begun: bool,
    /// Whole or still being copied, at or above `consumed`.
    reserved: RangeSet,
    /// Whole.
    filled: RangeSet,
    /// The complete length, once every byte is written.
    total: Option<u64>,
}

/// What may be taken next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// These bytes, and with them the rest of their block.
    Block(Range<u64>),
    /// These bytes; what follows them in their block is not there yet.
    Some(Range<u64>),
    /// Nothing yet.
    None,
    /// All was consumed.
    End,
}

/// Whether bytes may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// They are the caller's to copy.
    Granted,
    /// Not before more was consumed.
    Full,
    /// They were written already, or the object ends before them.
    Refused,
}

impl Window {
    /// An empty window of `blocks` blocks.
    pub(super) fn new(block: usize, blocks: usize) -> Self {
        let block = block.max(1) as u64;
        // The first and the last block of a window that begins within one are used in part.
        let bytes = block.saturating_mul((blocks as u64).saturating_sub(1).max(1));
        Self {
            bytes,
            block,
            consumed: 0,
            begun: false,
            reserved: RangeSet::new(),
            filled: RangeSet::new(),
            total: None,
        }
    }

    /// How far beyond what was consumed may be written.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// No byte at or beyond this may be written yet.
    fn end(&self) -> u64 {
        self.consumed.saturating_add(self.bytes)
    }

    /// A writer asks for `range`, to copy its bytes.
    pub(super) fn reserve(&mut self, range: Range<u64>) -> Room {
        let beyond = self.total.is_some_and(|total| range.end > total);
        if range.start < self.consumed || self.reserved.overlaps(range.clone()) || beyond {
            return Room::Refused;
        }
        if range.end > self.end() {
            return Room::Full;
        }
        self.reserved.insert(range);
        Room::Granted
    }

    /// The bytes of `range` are copied. Whether the consumer has something to take.
    pub(super) fn fill(&mut self, range: Range<u64>) -> bool {
        self.filled.insert(range);
        self.filled.frontier(self.consumed) > self.consumed
    }

    /// What the consumer takes next. It is its own until it is consumed.
    pub(super) fn take(&mut self) -> Piece {
        let start = self.consumed;
        if self.total == Some(start) {
            return Piece::End;
        }
        let edge = (start / self.block + 1).saturating_mul(self.block);
        let end = self.filled.frontier(start).min(edge);
        if end == start {
            return Piece::None;
        }
        self.begun = true;
        if end == edge { Piece::Block(start..end) } else { Piece::Some(start..end) }
    }

    /// Everything below `to` is consumed.
    pub(super) fn consume(&mut self, to: u64) {
        let taken = self.consumed..to.max(self.consumed);
        self.reserved.remove(taken.clone());
        self.filled.remove(taken.clone());
        self.consumed = taken.end;
    }

    /// Every byte of the object is written.
    pub(super) fn finish(&mut self, total: u64) {
        self.total = Some(total);
    }

    /// The consumer has begun.
    pub(super) fn commit(&mut self) {
        self.begun = true;
    }

    /// The object begins anew. Not if the consumer has begun with it.
    pub(super) fn restart(&mut self) -> bool {
        if !self.begun {
            self.reserved = RangeSet::new();
            self.filled = RangeSet::new();
            self.total = None;
        }
        !self.begun
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_block_is_taken_whole_or_in_part_and_in_order() {
        let mut window = Window::new(10, 4);
        assert_eq!(window.bytes(), 30);
        assert_eq!(window.take(), Piece::None);
        assert_eq!(window.reserve(10..25), Room::Granted);
        assert!(!window.fill(10..25), "what comes first is missing");
        assert_eq!(window.take(), Piece::None, "a gap is not the end");
        assert_eq!(window.reserve(0..10), Room::Granted);
        assert!(window.fill(0..10));
        assert_eq!(window.take(), Piece::Block(0..10));
        window.consume(10);
        assert_eq!(window.take(), Piece::Block(10..20));
        window.consume(20);
        assert_eq!(window.take(), Piece::Some(20..25));
        window.consume(25);
        assert_eq!(window.take(), Piece::None);
        window.finish(25);
        assert_eq!(window.take(), Piece::End);
    }

    #[test]
    fn what_is_being_copied_is_not_taken() {
        let mut window = Window::new(10, 4);
        assert_eq!(window.reserve(0..5), Room::Granted);
        assert_eq!(window.reserve(5..10), Room::Granted);
        assert!(!window.fill(5..10));
        assert_eq!(window.take(), Piece::None);
        assert!(window.fill(0..5));
        assert_eq!(window.take(), Piece::Block(0..10));
    }

    #[test]
    fn a_byte_is_written_once_and_within_the_window() {
        let mut window = Window::new(10, 4);
        assert_eq!(window.reserve(0..31), Room::Full);
        assert_eq!(window.reserve(0..30), Room::Granted);
        assert_eq!(window.reserve(29..30), Room::Refused);
        window.fill(0..30);
        assert_eq!(window.take(), Piece::Block(0..10));
        assert_eq!(window.reserve(30..31), Room::Full, "it is taken, but not consumed");
        window.consume(10);
        assert_eq!(window.reserve(30..41), Room::Full);
        assert_eq!(window.reserve(30..40), Room::Granted);
        assert_eq!(window.reserve(9..10), Room::Refused, "consumed long ago");
        window.finish(40);
        assert_eq!(window.reserve(40..41), Room::Refused);
    }

    #[test]
    fn it_begins_anew_until_the_consumer_has_begun() {
        let mut window = Window::new(10, 4);
        window.reserve(3..5);
        window.fill(3..5);
        assert!(window.restart());
        assert_eq!(window.reserve(0..5), Room::Granted);
        window.fill(0..5);
        assert_eq!(window.take(), Piece::Some(0..5));
        assert!(!window.restart());
    }

    proptest! {
        /// Against a model: a map of offsets, whatever the order of writes and of taking.
        #[test]
        fn it_is_the_object_in_order(
            block in 1_usize..9,
            blocks in 2_usize..6,
            total in 0_u64..90,
            steps in prop::collection::vec((any::<prop::sample::Index>(), 1_u64..12, 0_u8..4), 1..400),
        ) {
            let mut window = Window::new(block, blocks);
            let mut missing: Vec<u64> = (0..total).collect();
            let mut copying: Vec<Range<u64>> = Vec::new();
            let mut consumed = 0;
            for (pick, length, step) in steps {
                match step {
                    0 | 1 => {
                        let Some(at) = (!missing.is_empty()).then(|| *pick.get(&missing)) else { continue };
                        let run = (at..total.min(at + length)).take_while(|at| missing.contains(at));
                        let range = at..run.last().unwrap_or(at) + 1;
                        let room = window.reserve(range.clone());
                        let fits = range.end <= consumed + window.bytes();
                        prop_assert_eq!(room, if fits { Room::Granted } else { Room::Full });
                        if fits {
                            missing.retain(|at| !range.contains(at));
                            copying.push(range);
                        }
                    }
                    2 if !copying.is_empty() => {
                        let range = copying.swap_remove(pick.index(copying.len()));
                        window.fill(range);
                    }
                    _ => match window.take() {
                        Piece::Block(range) | Piece::Some(range) => {
                            prop_assert_eq!(range.start, consumed);
                            let here = |at: u64| {
                                !missing.contains(&at) && !copying.iter().any(|of| of.contains(&at))
                            };
                            prop_assert!(range.clone().all(here));
                            prop_assert_eq!(
                                range.start / block as u64, (range.end - 1) / block as u64
                            );
                            window.consume(range.end);
                            consumed = range.end;
                        }
                        Piece::None => prop_assert!(
                            consumed >= total || missing.contains(&consumed)
                                || copying.iter().any(|of| of.contains(&consumed))
                        ),
                        Piece::End => prop_assert!(false, "nobody said that all is there"),
                    },
                }
            }
        }
    }
}
