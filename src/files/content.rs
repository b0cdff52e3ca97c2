//! Coded content on its way into a file or a stream: decoded, hashed, and limited.

use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    decode::Decoder,
    descriptor::Descriptor,
    hasher::{Computed, Hasher},
    sink,
};
use crate::{
    http::field::Coding,
    options::Algorithm,
    orders::{Failure, StoreOp},
};

/// What takes coded content in order.
pub(crate) struct Content {
    coding: Coding,
    state: State,
    /// Coded bytes that were taken.
    taken: u64,
}

enum State {
    Open(Decoder<Plain>),
    Over,
    /// Whoever tries again is told the same.
    Failed(Failure),
}

/// Content that is decoded.
pub(crate) struct Plain {
    to: To,
    length: u64,
    most: Option<u64>,
    hashers: Vec<(Algorithm, Hasher)>,
}

enum To {
    File(PathBuf, Arc<File>),
    Stream(Descriptor),
}

/// What content has come to.
pub(crate) struct Decoded {
    /// Its length in bytes.
    pub(crate) length: u64,
    pub(crate) computed: Vec<Computed>,
}

impl Plain {
    /// Into a file, from its first byte on; at most so many bytes. Hashed with these.
    pub(crate) fn file(
        path: PathBuf,
        file: Arc<File>,
        most: Option<u64>,
        of: &[Algorithm],
    ) -> Self {
        Self::new(To::File(path, file), most, of)
    }

    /// Into a descriptor.
    pub(crate) fn stream(to: Descriptor, most: Option<u64>, of: &[Algorithm]) -> Self {
        Self::new(To::Stream(to), most, of)
    }

    fn new(to: To, most: Option<u64>, of: &[Algorithm]) -> Self {
        let hashers = of.iter().map(|of| (*of, Hasher::new(*of))).collect();
        Self { to, length: 0, most, hashers }
    }

    /// Whether no reader is left.
    pub(crate) fn deserted(&self) -> Option<Failure> {
        match &self.to {
            To::Stream(to) if to.is_deserted() => Some(to.deserted()),
            _ => None,
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        let length = self.length.saturating_add(bytes.len() as u64);
        if let Some(limit) = self.most.filter(|most| length > *most) {
            return Err(Failure::TooLarge { limit, size: None });
        }
        let count = match &self.to {
            To::File(path, file) => {
                let written = file.write_all_at(bytes, self.length);
                written.map_err(|error| sink::failure(StoreOp::Write, path, &error))?;
                bytes.len()
            }
            To::Stream(to) => to.write(bytes)?,
        };
        let written = bytes.get(..count).unwrap_or_default();
        self.hashers.iter_mut().for_each(|(_, hasher)| hasher.update(written));
        self.length += count as u64;
        Ok(count)
    }
}

impl Write for Plain {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.take(bytes).map_err(io::Error::other)? {
                // A stream that takes nothing for a while.
                0 if !bytes.is_empty() => {}
                count => return Ok(count),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Content {
    /// Content that is coded so.
    ///
    /// # Errors
    /// There is no memory for a decoder.
    pub(crate) fn new(coding: Coding, to: Plain) -> Result<Self, Failure> {
        let decoder = Decoder::new(coding, to).map_err(|error| failed(coding, &error))?;
        Ok(Self { coding, state: State::Open(decoder), taken: 0 })
    }

    /// The next coded bytes.
    ///
    /// # Errors
    /// They are not of that coding, too many, or cannot be written.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match &mut self.state {
            State::Open(decoder) => match decoder.write(bytes) {
                Ok(()) => {
                    self.taken += bytes.len() as u64;
                    Ok(())
                }
                Err(error) => {
                    let failure = failed(self.coding, &error);
                    self.state = State::Failed(failure.clone());
                    Err(failure)
                }
            },
            State::Over => Err(Failure::Internal("content after its end")),
            State::Failed(failure) => Err(failure.clone()),
        }
    }

    /// All of it came.
    ///
    /// # Errors
    /// It is truncated.
    pub(crate) fn finish(&mut self) -> Result<Decoded, Failure> {
        let decoder = match std::mem::replace(&mut self.state, State::Over) {
            State::Open(decoder) => decoder,
            State::Over => return Err(Failure::Internal("content after its end")),
            State::Failed(failure) => return Err(failure),
        };
        let plain = decoder.finish().map_err(|error| failed(self.coding, &error))?;
        let computed = |(of, hasher): (Algorithm, Hasher)| (of, hasher.finish());
        let computed = plain.hashers.into_iter().map(computed).collect();
        Ok(Decoded { length: plain.length, computed })
    }

    /// Where it goes.
    pub(crate) fn plain(&self) -> Option<&Plain> {
        match &self.state {
            State::Open(decoder) => Some(decoder.out()),
            State::Over | State::Failed(_) => None,
        }
    }
}

/// Content that comes from a connection. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<Content>>);

impl Shared {
    pub(crate) fn new(content: Content) -> Self {
        Self(Arc::new(Mutex::new(content)))
    }

    /// The coded bytes at `offset`, which are those that come next.
    ///
    /// # Errors
    /// As [`Content::write`].
    pub(crate) fn write(&self, bytes: &[u8], offset: u64) -> Result<(), Failure> {
        let mut content = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if offset != content.taken {
            return Err(Failure::Internal("coded content out of order"));
        }
        content.write(bytes)
    }

    /// As [`Content::finish`].
    ///
    /// # Errors
    /// The same.
    pub(crate) fn finish(&self) -> Result<Decoded, Failure> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).finish()
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

/// What a decoder says, or what it was told by what it wrote to.
fn failed(coding: Coding, error: &io::Error) -> Failure {
    let own = error.get_ref().and_then(|inner| inner.downcast_ref::<Failure>());
    own.cloned().unwrap_or_else(|| {
        let truncated = error.kind() == io::ErrorKind::UnexpectedEof;
        let what = if truncated { "it is truncated".to_owned() } else { error.to_string() };
        Failure::Coding { coding: coding.name().to_owned(), what }
    })
}
