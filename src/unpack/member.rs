//! The members of a tar archive, one after the other: what headers say of them.

use tar::EntryType;

use super::{
    fault,
    header::{BLOCK, Block, is_zero},
    pax::{Said, Told},
    queue::{Content, truncated},
    sparse::Map,
};
use crate::orders::{ArchiveFault, Failure};

/// One member; its content, if any, comes next.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) meta: Meta,
    /// How much content there is, without what pads it.
    pub(super) size: u64,
}

/// What a member is.
#[derive(Debug)]
pub(super) enum Kind {
    File,
    Sparse(Map),
    Directory,
    Symlink(Vec<u8>),
    Hardlink(Vec<u8>),
    Fifo,
    /// Whether it is a block device; major and minor number.
    Device(bool, (u32, u32)),
}

/// What a member has besides a name and content.
#[derive(Clone, Debug)]
pub(super) struct Meta {
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    /// Seconds and nanoseconds.
    pub(super) mtime: (i64, u32),
    pub(super) attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Reads members.
#[derive(Debug, Default)]
pub(super) struct Members {
    for_all: Said,
    /// What pads the last member's content.
    padding: u64,
}

impl Members {
    /// The next member; `None` behind the last one, when all that pads the end was taken.
    ///
    /// # Errors
    /// The archive is not right, or ends before its end.
    pub(super) fn next(&mut self, content: &mut Content) -> Result<Option<Member>, Failure> {
        let mut said = self.for_all.clone();
        let mut begun = false;
        // All extended headers of a member together: they are held until it comes.
        let mut room = RECORDS;
        loop {
            content.pass(std::mem::take(&mut self.padding), |_| Ok(()))?;
            let mut bytes = [0; BLOCK];
            match content.fill(&mut bytes)? {
                BLOCK => {}
                // An archive says where it ends: one that does not may have been longer.
                _ => return Err(truncated()),
            }
            if is_zero(&bytes) {
                return match begun {
                    true => Err(fault::archive("an extended header belongs to no member")),
                    false => end(content).map(|()| None),
                };
            }
            let block = Block::parse(&bytes)?;
            match extension(&block) {
                None => return self.member(&block, said, content).map(Some),
                Some(what) => {
                    let text = small(content, block.size()?, what.limit().min(room))?;
                    room -= text.len() as u64;
                    begun |= !matches!(what, Extension::ForAll | Extension::Label);
                    match what {
                        Extension::Name => said.path = Some(until_nul(text)),
                        Extension::Link => said.link = Some(until_nul(text)),
                        Extension::Member => said.add(&text)?,
                        Extension::Label => {}
                        Extension::ForAll => {
                            self.for_all.add_for_all(&text)?;
                            said.add_for_all(&text)?;
                        }
                    }
                }
            }
        }
    }

    fn member(
        &mut self,
        block: &Block,
        mut said: Said,
        content: &mut Content,
    ) -> Result<Member, Failure> {
        let sparse_name = said.sparse_name();
        let name = sparse_name.or_else(|| said.path.take()).unwrap_or_else(|| block.name());
        let refused = |failure| match failure {
            Failure::Archive(ArchiveFault::Bad { what, .. }) => fault::member(&name, what),
            other => other,
        };
        let mut size = said.size.map_or_else(|| block.size(), Ok).map_err(refused)?;
        if i64::try_from(size).is_err() {
            return Err(fault::member(&name, "its size is more than a file can have"));
        }
        let kind = kind(block, &mut said, &name, content, &mut size).map_err(refused)?;
        // What follows anything but a file is the next member, whatever size it is said to have.
        let list = block.kind().as_byte() == LIST;
        if !list && !matches!(kind, Kind::File | Kind::Sparse(_)) {
            size = 0;
        }
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        let owner = block.owner().map_err(refused)?;
        let mtime = said.mtime.map_or_else(|| block.mtime().map(|m| (m, 0)), Ok);
        let meta = Meta {
            mode: block.mode().map_err(refused)?,
            owner: (said.uid.unwrap_or(owner.0), said.gid.unwrap_or(owner.1)),
            mtime: mtime.map_err(refused)?,
            attributes: said.attributes,
        };
        Ok(Member { name, kind, meta, size })
    }
}

/// What a member is; reads the map of a sparse one.
fn kind(
    block: &Block,
    said: &mut Said,
    name: &[u8],
    content: &mut Content,
    size: &mut u64,
) -> Result<Kind, Failure> {
    let told = said.sparse()?;
    let link = || said.link.clone().unwrap_or_else(|| block.link());
    Ok(match block.kind() {
        // Before there were directories, a slash made one.
        EntryType::Regular if name.ends_with(b"/") && told.is_none() => Kind::Directory,
        EntryType::Regular | EntryType::Continuous => match told {
            None => Kind::File,
            Some(Told::Map(map)) => sparse(map, *size)?,
            Some(Told::Ahead(real)) => {
                let (map, taken) = Map::ahead(content, *size, real)?;
                *size -= taken.min(*size);
                sparse(map, *size)?
            }
        },
        EntryType::GNUSparse => sparse(Map::old(block, content)?, *size)?,
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink => Kind::Symlink(link()),
        EntryType::Link => Kind::Hardlink(link()),
        EntryType::Fifo => Kind::Fifo,
        EntryType::Char => Kind::Device(false, block.device()?),
        EntryType::Block => Kind::Device(true, block.device()?),
        // As a directory of an incremental archive: the content is a list of its names.
        other if other.as_byte() == LIST => Kind::Directory,
        _ => return Err(fault::archive("it is of an unknown kind")),
    })
}

fn sparse(map: Map, size: u64) -> Result<Kind, Failure> {
    if map.content() != size {
        return Err(fault::archive("the map of a sparse member cannot be right"));
    }
    Ok(Kind::Sparse(map))
}

/// Headers that are no members.
enum Extension {
    Name,
    Link,
    Member,
    ForAll,
    /// The name of the volume.
    Label,
}

impl Extension {
    fn limit(&self) -> u64 {
        match self {
            Self::Name | Self::Link => LONG_NAME,
            Self::Member | Self::ForAll | Self::Label => RECORDS,
        }
    }
}

fn extension(block: &Block) -> Option<Extension> {
    match block.kind() {
        EntryType::GNULongName => Some(Extension::Name),
        EntryType::GNULongLink => Some(Extension::Link),
        EntryType::XHeader => Some(Extension::Member),
        EntryType::XGlobalHeader => Some(Extension::ForAll),
        other => match other.as_byte() {
            // As Sun's tar wrote it.
            b'X' => Some(Extension::Member),
            b'V' => Some(Extension::Label),
            _ => None,
        },
    }
}

/// The content of a header, which is held in memory, and its padding.
fn small(content: &mut Content, size: u64, limit: u64) -> Result<Vec<u8>, Failure> {
    if size > limit {
        return Err(fault::archive("an extended header is too long"));
    }
    let mut text = Vec::new();
    content.pass(size.next_multiple_of(BLOCK as u64), |piece| {
        text.extend_from_slice(piece);
        Ok(())
    })?;
    text.truncate(usize::try_from(size).unwrap_or(0));
    Ok(text)
}

/// Behind the first block of zeros there is another, and nothing but zeros after that.
fn end(content: &mut Content) -> Result<(), Failure> {
    let mut second = [0; BLOCK];
    if content.fill(&mut second)? < BLOCK {
        return Err(truncated());
    }
    if !is_zero(&second) {
        return Err(fault::archive("something follows its end"));
    }
    loop {
        let next = content.next()?;
        if next.is_empty() {
            return Ok(());
        }
        if next.iter().any(|byte| *byte != 0) {
            return Err(fault::archive("something follows its end"));
        }
        let count = next.len();
        content.take(count);
    }
}

/// GNU's long names end with a NUL.
fn until_nul(mut text: Vec<u8>) -> Vec<u8> {
    if text.last() == Some(&0) {
        text.pop();
    }
    text
}

/// The kind of a directory with a list of its names.
const LIST: u8 = b'D';
/// The longest name that is held, in bytes; none longer is taken for one.
const LONG_NAME: u64 = 8 << 10;
/// The longest extended header, in bytes.
const RECORDS: u64 = 1 << 20;
