//! A consumer of a stream that is coded: it hands on what is decoded.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use super::{consumer::Consumer, feed::Feed};
use crate::{
    files::{
        content::{Content, Plain},
        descriptor::Descriptor,
    },
    orders::Failure,
    stream::Next,
};

/// Decodes into a descriptor.
pub(crate) struct Decoding {
    to: Descriptor,
    /// The most bytes that are handed on.
    most: Option<u64>,
}

impl Decoding {
    pub(crate) fn new(to: Descriptor, most: Option<u64>) -> Self {
        Self { to, most }
    }
}

impl Consumer for Decoding {
    fn consume(self: Box<Self>, feed: &mut Feed) -> Result<Option<PathBuf>, Failure> {
        let mut waiting = Some(Plain::stream(self.to, self.most, &feed.outside()));
        let mut content: Option<Content> = None;
        let mut deserted = None;
        loop {
            let next = feed.next(LOOK)?;
            // What it is coded in is known with its first byte.
            if matches!(next, Next::Bytes | Next::End)
                && let Some(plain) = waiting.take()
            {
                content = Some(Content::new(feed.coding(), plain)?);
            }
            match (next, &mut content) {
                (Next::Bytes, Some(content)) => {
                    content.write(feed.piece())?;
                    feed.consume(feed.piece().len());
                }
                (Next::End, Some(content)) => {
                    let decoded = content.finish()?;
                    return feed.settle(decoded).map(|()| None);
                }
                (Next::Quiet, content) => {
                    let plain = content.as_ref().and_then(Content::plain).or(waiting.as_ref());
                    let Some(failure) = plain.and_then(Plain::deserted) else { continue };
                    let since = *deserted.get_or_insert_with(Instant::now);
                    if since.elapsed() >= GRACE {
                        return Err(failure);
                    }
                }
                (Next::Broken, _) | (_, None) => deserted = None,
            }
        }
    }
}

/// How often a reader is looked after while nothing comes.
const LOOK: Duration = Duration::from_millis(200);

/// How long a reader may be gone.
const GRACE: Duration = Duration::from_millis(300);
