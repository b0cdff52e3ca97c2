//! The memory of a stream: blocks that are made when they are first needed, never more than there
//! are slots, and used again last in, first out, so that a fast consumer leaves most of them
//! untouched.
//!
//! A block has a lock of its own. It is held for the time of a copy and no longer; only the writers
//! of one block, at the border of two parts, ever meet at it. So no `unsafe` is needed to copy
//! outside of the window's lock, and a consumer that takes its time over a block holds no lock: a
//! block that is wholly there is taken out of its slot, of another it gets a copy.

use std::{
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// One block.
pub(super) type Block = Box<[u8]>;

/// A slot for every block of the window, and the blocks that are in none.
#[derive(Debug)]
pub(super) struct Blocks {
    size: usize,
    slots: Box<[Mutex<Option<Block>>]>,
    free: Mutex<Vec<Block>>,
}

impl Blocks {
    /// No block is made yet.
    pub(super) fn new(size: usize, count: usize) -> Self {
        let slots = (0..count.max(1)).map(|_| Mutex::new(None)).collect();
        Self { size: size.max(1), slots, free: Mutex::default() }
    }

    /// Copies `bytes` to where `offset` belongs. They were granted, so no block is another's.
    pub(super) fn write(&self, mut bytes: &[u8], mut offset: u64) {
        while !bytes.is_empty() {
            let (mut slot, from) = self.slot(offset);
            let block = slot.get_or_insert_with(|| self.spare());
            let room = block.get_mut(from..).unwrap_or_default();
            let count = room.len().min(bytes.len());
            let (now, rest) = bytes.split_at_checked(count).unwrap_or((bytes, &[]));
            if let Some(room) = room.get_mut(..count) {
                room.copy_from_slice(now);
            }
            bytes = rest;
            offset += count as u64;
        }
    }

    /// Takes the block that `offset` is in out of its slot.
    pub(super) fn lift(&self, offset: u64) -> Option<Block> {
        self.slot(offset).0.take()
    }

    /// Copies a range within one block.
    pub(super) fn copy(&self, range: Range<u64>, into: &mut Vec<u8>) {
        let (slot, from) = self.slot(range.start);
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let bytes = slot.as_ref().and_then(|block| block.get(from..from.saturating_add(length)));
        into.clear();
        into.extend_from_slice(bytes.unwrap_or_default());
    }

    /// The block is needed no more.
    pub(super) fn give_back(&self, block: Block) {
        lock(&self.free).push(block);
    }

    fn spare(&self) -> Block {
        let spare = lock(&self.free).pop();
        // Zeroed by the system, page by page, when it is touched.
        spare.unwrap_or_else(|| vec![0; self.size].into_boxed_slice())
    }

    /// The slot of an offset, and where in its block that is.
    fn slot(&self, offset: u64) -> (MutexGuard<'_, Option<Block>>, usize) {
        let (size, count) = (self.size as u64, self.slots.len() as u64);
        let index = usize::try_from(offset / size % count).unwrap_or(0);
        let from = usize::try_from(offset % size).unwrap_or(0);
        (lock(&self.slots[index]), from)
    }
}

/// A panic elsewhere leaves bytes behind that are not said to be there.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
