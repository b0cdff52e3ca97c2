//! Sparse members: which pieces of the file the content is made of.

use super::{
    fault,
    header::{BLOCK, Block, Piece, more_pieces},
    pax,
    queue::{Content, truncated},
};
use crate::orders::Failure;

/// Where the content goes, and how long the file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Map {
    pub(super) pieces: Vec<Piece>,
    pub(super) size: u64,
}

impl Map {
    /// A map whose pieces follow one another within the file.
    pub(super) fn new(pieces: Vec<Piece>, size: u64) -> Result<Self, Failure> {
        let mut end = 0;
        for (offset, length) in &pieces {
            let next = offset.checked_add(*length).filter(|_| *offset >= end);
            end = next.filter(|next| *next <= size).ok_or_else(bad)?;
        }
        if i64::try_from(size).is_err() {
            return Err(bad());
        }
        Ok(Self { pieces, size })
    }

    /// How much content there must be.
    pub(super) fn content(&self) -> u64 {
        self.pieces.iter().map(|(_, length)| length).sum()
    }

    /// The map of the old GNU format: in the header, and in blocks that follow it.
    pub(super) fn old(block: &Block, content: &mut Content) -> Result<Self, Failure> {
        let (size, mut pieces, mut more) = block.sparse()?;
        while more {
            let mut next = [0; BLOCK];
            if content.fill(&mut next)? < BLOCK {
                return Err(truncated());
            }
            let further;
            (further, more) = more_pieces(&next)?;
            if (more && further.is_empty()) || pieces.len() + further.len() > PIECES {
                return Err(bad());
            }
            pieces.extend(further);
        }
        Self::new(pieces, size)
    }

    /// The map before the content of pax' version 1.0, of which there are `room` bytes in all: how
    /// many pieces, then offset and length of each, one number a line, padded to a block. With it,
    /// how much it took.
    pub(super) fn ahead(
        content: &mut Content,
        room: u64,
        size: u64,
    ) -> Result<(Self, u64), Failure> {
        let mut lines = Lines { content, room, taken: 0, block: [0; BLOCK], at: BLOCK };
        let count = lines.number()?;
        if count > PIECES as u64 {
            return Err(bad());
        }
        let mut pieces = Vec::new();
        for _ in 0..count {
            pieces.push((lines.number()?, lines.number()?));
        }
        let taken = lines.taken;
        Ok((Self::new(pieces, size)?, taken))
    }
}

/// Numbers in lines in blocks.
struct Lines<'a> {
    content: &'a mut Content,
    room: u64,
    taken: u64,
    block: [u8; BLOCK],
    at: usize,
}

impl Lines<'_> {
    fn number(&mut self) -> Result<u64, Failure> {
        let mut digits = Vec::new();
        loop {
            match self.octet()? {
                b'\n' => return pax::whole(&digits)?.ok_or_else(bad),
                digit if digits.len() < DIGITS => digits.push(digit),
                _ => return Err(bad()),
            }
        }
    }

    fn octet(&mut self) -> Result<u8, Failure> {
        if self.at == BLOCK {
            self.taken += BLOCK as u64;
            if self.taken > self.room {
                return Err(bad());
            }
            if self.content.fill(&mut self.block)? < BLOCK {
                return Err(truncated());
            }
            self.at = 0;
        }
        self.at += 1;
        self.block.get(self.at - 1).copied().ok_or_else(bad)
    }
}

fn bad() -> Failure {
    fault::archive("the map of a sparse member cannot be right")
}

/// Pieces of one sparse member; more would cost memory.
pub(super) const PIECES: usize = 1 << 18;
/// Digits of a number.
const DIGITS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_follow_one_another() {
        assert!(Map::new(vec![(0, 5), (5, 5), (20, 0)], 20).is_ok());
        for (pieces, size) in [
            (vec![(0, 5), (4, 5)], 20),
            (vec![(5, 5), (0, 5)], 20),
            (vec![(0, 21)], 20),
            (vec![(u64::MAX, 5)], 20),
            (vec![], u64::MAX),
        ] {
            assert!(Map::new(pieces.clone(), size).is_err(), "{pieces:?} {size}");
        }
    }
}
