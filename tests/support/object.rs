//! Deterministic pseudo-random objects, and the comparison that says where two differ.

use std::{ops::Range, sync::Arc};

/// An immutable object; cheap to clone.
#[derive(Clone)]
pub struct Object(Arc<Vec<u8>>);

impl Object {
    /// `len` bytes that follow from `seed` alone, no two aligned words of which repeat soon.
    pub fn random(seed: u64, len: usize) -> Self {
        let mut bytes = vec![0_u8; len];
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        for word in bytes.chunks_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes()[..word.len()]);
        }
        Self(Arc::new(bytes))
    }

    /// Exactly these bytes.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Arc::new(bytes.into()))
    }

    pub fn len(&self) -> u64 {
        self.0.len() as u64
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes of `range`, cut where the object ends.
    pub fn slice(&self, range: &Range<u64>) -> &[u8] {
        let end = range.end.min(self.len()) as usize;
        let start = (range.start as usize).min(end);
        &self.0[start..end]
    }

    /// `None` when `got` is the object, else a sentence that says how it differs.
    pub fn difference(&self, got: &[u8]) -> Option<String> {
        if got == self.bytes() {
            return None;
        }
        let same = self.bytes().iter().zip(got).take_while(|(want, got)| want == got).count();
        let zeros = got[same..].iter().take_while(|byte| **byte == 0).count();
        Some(format!(
            "wanted {} bytes, got {}; first difference at {same}, where {zeros} zero bytes follow",
            self.len(),
            got.len()
        ))
    }

    /// Hex of its SHA-256.
    pub fn sha256(&self) -> String {
        use sha2::Digest as _;
        hex(&sha2::Sha256::digest(self.bytes()))
    }
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
