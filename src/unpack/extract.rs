//! Members into a directory.

use std::{
    ffi::OsStr,
    io::{self, Seek as _, SeekFrom, Write as _},
};

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt as _};
use cap_std::fs::{Dir, MetadataExt as _, OpenOptions, OpenOptionsExt as _};
use rustix::{
    fs::{FileType, Mode},
    io::Errno,
};

use super::{
    fault::{self, errno, writing},
    gauge::Gauge,
    limit::Budget,
    member::{Kind, Member, Members},
    meta::Manner,
    name::{Name, link_target},
    queue::Content,
    sparse::Map,
    tree::{Blocked, Stamp, Tree},
};
use crate::{
    options::Unpack,
    orders::{ArchiveFault, Failure},
};

/// What was extracted.
#[derive(Debug)]
pub(super) struct Extracted {
    /// What the directory itself is to be.
    pub(super) stamp: Stamp,
    pub(super) warnings: Vec<String>,
    /// Bytes that sparse members have without content.
    pub(super) holes: u64,
}

/// Extracts all members of `content` into `root`.
pub(super) fn all(
    root: Dir,
    mut content: Content,
    rules: &Unpack,
    budget: Budget,
    gauge: &Gauge,
) -> Result<Extracted, Failure> {
    let manner = Manner::new(rules.preserve_setuid, rules.same_owner);
    let tree = Tree::new(root, manner.usual());
    let mut extraction = Extraction { rules, gauge, tree, manner, budget, holes: 0 };
    let mut members = Members::default();
    while let Some(member) = members.next(&mut content)? {
        extraction.member(&member, &mut content)?;
    }
    let Extraction { tree, manner, holes, .. } = extraction;
    let stamp = tree.finish().map_err(|error| writing(b".", &error))?;
    Ok(Extracted { stamp, warnings: manner.warnings(), holes })
}

struct Extraction<'a> {
    rules: &'a Unpack,
    gauge: &'a Gauge,
    tree: Tree,
    manner: Manner,
    budget: Budget,
    holes: u64,
}

impl Extraction<'_> {
    fn member(&mut self, member: &Member, content: &mut Content) -> Result<(), Failure> {
        let refused = |what: &str| fault::member(&member.name, what);
        let logical = match &member.kind {
            Kind::Sparse(map) => {
                let holes = map.size.saturating_sub(map.content());
                self.holes = self.holes.saturating_add(holes);
                map.size
            }
            Kind::File => member.size,
            _ => 0,
        };
        self.budget.member(logical)?;
        let Some(name) = Name::of(&member.name, self.rules.strip_components).map_err(refused)?
        else {
            return content.pass(member.size, |_| Ok(()));
        };
        self.gauge.begin(&member.name);
        match &member.kind {
            Kind::Directory => self.directory(&name, member)?,
            other => {
                let Some((parent, last)) = name.split() else {
                    return Err(refused("its name is that of the directory itself"));
                };
                self.tree.enter(parent).map_err(|blocked| way(&member.name, blocked))?;
                match other {
                    Kind::File => return self.file(last, member, None, content),
                    Kind::Sparse(map) => return self.file(last, member, Some(map), content),
                    Kind::Symlink(target) => self.symlink(last, member, target)?,
                    Kind::Hardlink(target) => self.hardlink(&name, last, member, target)?,
                    _ => self.device(last, member)?,
                }
            }
        }
        content.pass(member.size, |_| Ok(()))
    }

    fn directory(&mut self, name: &Name, member: &Member) -> Result<(), Failure> {
        if let Some((parent, last)) = name.split() {
            self.tree.enter(parent).map_err(|blocked| way(&member.name, blocked))?;
            let here = self.tree.here();
            match here.symlink_metadata(last) {
                Ok(data) if data.is_dir() => {}
                Ok(_) => here.remove_file(last).map_err(|e| writing(&member.name, &e))?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(writing(&member.name, &error)),
            }
        }
        self.tree.enter(name.parts()).map_err(|blocked| way(&member.name, blocked))?;
        self.manner.own(self.tree.here(), &member.meta).map_err(|e| writing(&member.name, &e))?;
        let mode = self.manner.mode(&member.meta);
        *self.tree.stamp() = Stamp { mode, mtime: Some(member.meta.mtime) };
        Ok(())
    }

    fn file(
        &mut self,
        name: &OsStr,
        member: &Member,
        map: Option<&Map>,
        content: &mut Content,
    ) -> Result<(), Failure> {
        let fail = |error: &io::Error| writing(&member.name, error);
        let mut file = self.create(
            member,
            |here| {
                let mut options = OpenOptions::new();
                options.write(true).create_new(true).mode(0o600).follow(FollowSymlinks::No);
                here.open_with(name, &options)
            },
            name,
        )?;
        let gauge = self.gauge;
        let write = |file: &mut cap_std::fs::File, length, content: &mut Content| {
            content.pass(length, |piece| {
                gauge.wrote(piece.len() as u64);
                file.write_all(piece).map_err(|error| fail(&error))
            })
        };
        match map {
            None => write(&mut file, member.size, content)?,
            Some(map) => {
                for (offset, length) in &map.pieces {
                    file.seek(SeekFrom::Start(*offset)).map_err(|error| fail(&error))?;
                    write(&mut file, *length, content)?;
                }
                file.set_len(map.size).map_err(|error| fail(&error))?;
            }
        }
        self.manner.file(&file, &member.meta).map_err(|error| fail(&error))
    }

    fn symlink(&mut self, name: &OsStr, member: &Member, target: &[u8]) -> Result<(), Failure> {
        let target = link_target(target).map_err(|what| fault::member(&member.name, what))?;
        self.create(member, |here| here.symlink_contents(target, name), name)?;
        self.manner
            .closed(self.tree.here(), name, &member.meta)
            .map_err(|error| writing(&member.name, &error))
    }

    fn hardlink(
        &mut self,
        own: &Name,
        name: &OsStr,
        member: &Member,
        target: &[u8],
    ) -> Result<(), Failure> {
        let refused = |what: &str| fault::member(&member.name, what);
        let to = Name::of(target, self.rules.strip_components);
        let to = to.map_err(|what| refused(&format!("it links to what it may not: {what}")))?;
        let Some((parent, last)) = to.as_ref().and_then(Name::split) else {
            return Err(refused("it links to what is not extracted"));
        };
        let there = self.tree.find(parent).map_err(|blocked| match blocked {
            Blocked::NoDirectory => refused("it links through what is no directory"),
            Blocked::Failed(error) if error.kind() == io::ErrorKind::NotFound => {
                refused("it links to what is not there")
            }
            Blocked::Failed(error) => writing(&member.name, &error),
        })?;
        let data = match there.symlink_metadata(last) {
            Ok(data) if data.is_dir() => return Err(refused("it links to a directory")),
            Ok(data) => data,
            Err(_) => return Err(refused("it links to what is not there")),
        };
        // A file that was archived twice is a link to itself.
        let same = to.as_ref() == Some(own)
            || self
                .tree
                .here()
                .symlink_metadata(name)
                .is_ok_and(|old| (old.dev(), old.ino()) == (data.dev(), data.ino()));
        if !same {
            self.create(member, |here| there.hard_link(last, here, name), name)?;
        }
        Ok(())
    }

    fn device(&mut self, name: &OsStr, member: &Member) -> Result<(), Failure> {
        let (kind, (major, minor)) = match member.kind {
            Kind::Device(true, numbers) => (FileType::BlockDevice, numbers),
            Kind::Device(false, numbers) => (FileType::CharacterDevice, numbers),
            _ => (FileType::Fifo, (0, 0)),
        };
        if !self.rules.devices {
            let member = fault::shown(&member.name);
            return Err(Failure::Archive(ArchiveFault::Device { member }));
        }
        let mode = self.manner.mode(&member.meta);
        let number = rustix::fs::makedev(major, minor);
        let make = |here: &Dir| {
            let private = Mode::from_raw_mode(0o600);
            Ok(rustix::fs::mknodat(here, name, kind, private, number)?)
        };
        self.create(member, make, name)?;
        let here = self.tree.here();
        let fail = |error: &io::Error| writing(&member.name, error);
        self.manner.closed(here, name, &member.meta).map_err(|error| fail(&error))?;
        // What was just made is no link.
        let mode = Mode::from_raw_mode(mode);
        let flags = rustix::fs::AtFlags::empty();
        rustix::fs::chmodat(here, name, mode, flags).map_err(|errno| fail(&errno.into()))
    }

    /// Makes something new of a name; what had it before goes, unless it is a directory that is
    /// not empty.
    fn create<T>(
        &self,
        member: &Member,
        make: impl Fn(&Dir) -> io::Result<T>,
        name: &OsStr,
    ) -> Result<T, Failure> {
        let here = self.tree.here();
        let fail = |error: &io::Error| writing(&member.name, error);
        match make(here) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(fail(&error)),
            Ok(made) => return Ok(made),
        }
        let old = here.symlink_metadata(name).map_err(|error| fail(&error))?;
        let removed = if old.is_dir() { here.remove_dir(name) } else { here.remove_file(name) };
        removed.map_err(|error| match errno(&error) {
            Errno::NOTEMPTY | Errno::EXIST => {
                fault::member(&member.name, "a directory with something in it has its name")
            }
            _ => fail(&error),
        })?;
        make(here).map_err(|error| fail(&error))
    }
}

/// Why the directory of a member cannot be entered.
fn way(name: &[u8], blocked: Blocked) -> Failure {
    match blocked {
        Blocked::NoDirectory => fault::member(name, "it lies behind what is no directory"),
        Blocked::Failed(error) => writing(name, &error),
    }
}
