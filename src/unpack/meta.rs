//! What a member is besides its content: owner, mode, attributes, time.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    io,
    os::{fd::AsFd, unix::ffi::OsStrExt},
};

use cap_std::fs::Dir;
use rustix::{
    fs::{AtFlags, Gid, Mode, Uid, XattrFlags},
    io::Errno,
};

use super::{
    member::Meta,
    tree::{set_mtime, times},
};
use crate::http::escape;

/// Which of what an archive says of its members is done.
#[derive(Clone, Debug, Default)]
pub(super) struct Manner {
    /// Whose bits are taken from every mode.
    umask: u32,
    root: bool,
    setuid: bool,
    owner: bool,
    /// What could not be done, and is not worth a failure.
    warnings: BTreeSet<String>,
}

impl Manner {
    /// As root, modes are taken as they are; `setuid`: with set-user-ID and the like; `owner`: also
    /// owners.
    pub(super) fn new(setuid: bool, owner: bool) -> Self {
        let root = rustix::process::geteuid().is_root();
        let umask = if root { 0 } else { umask() };
        Self { umask, root, setuid, owner: owner && root, warnings: BTreeSet::new() }
    }

    /// The mode that a member gets.
    pub(super) fn mode(&self, meta: &Meta) -> u32 {
        let bits = if self.setuid { 0o7777 } else { 0o777 };
        meta.mode & bits & !self.umask
    }

    /// The mode of a directory that no member speaks of.
    pub(super) fn usual(&self) -> u32 {
        0o777 & !umask()
    }

    /// Owner and attributes of an open file or directory: what must be there before its mode and
    /// its time.
    pub(super) fn own(&mut self, file: impl AsFd, meta: &Meta) -> io::Result<()> {
        if self.owner {
            let (user, group) = ids(meta);
            rustix::fs::fchown(&file, user, group)?;
        }
        for (name, value) in &meta.attributes {
            if !self.allows(name) {
                continue;
            }
            let key = OsStr::from_bytes(name);
            let set = rustix::fs::fsetxattr(&file, key, value, XattrFlags::empty());
            if let Err(errno) = set
                && self.warnings.len() < WARNINGS
            {
                let error = io::Error::from(errno);
                let what = format!("the attribute {} is not kept: {error}", escape(name, 100));
                self.warnings.insert(what);
            }
        }
        Ok(())
    }

    /// All of a file that is written.
    pub(super) fn file(&mut self, file: impl AsFd, meta: &Meta) -> io::Result<()> {
        self.own(&file, meta)?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(self.mode(meta)))?;
        set_mtime(file, Some(meta.mtime))
    }

    /// Owner and time of what cannot be opened; links are not followed.
    pub(super) fn closed(&self, at: &Dir, name: &OsStr, meta: &Meta) -> io::Result<()> {
        if self.owner {
            let (user, group) = ids(meta);
            rustix::fs::chownat(at, name, user, group, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        match rustix::fs::utimensat(at, name, &times(meta.mtime), AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::OPNOTSUPP) => Ok(()),
            result => Ok(result?),
        }
    }

    pub(super) fn warnings(self) -> Vec<String> {
        self.warnings.into_iter().collect()
    }

    /// `user.*` is anyone's; the others are root's, and capabilities make a file what set-user-ID
    /// makes it.
    fn allows(&self, attribute: &[u8]) -> bool {
        let capability = attribute == b"security.capability";
        attribute.starts_with(b"user.") || (self.root && (self.setuid || !capability))
    }
}

fn ids(meta: &Meta) -> (Option<Uid>, Option<Gid>) {
    // All bits set means "leave it" (chown(2)).
    let known = |id: u32| (id != u32::MAX).then_some(id);
    (known(meta.owner.0).map(Uid::from_raw), known(meta.owner.1).map(Gid::from_raw))
}

/// The process's umask, which the kernel tells (proc(5), from Linux 4.7 on); the usual one where it
/// does not.
pub(super) fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    line.and_then(|text| u32::from_str_radix(text.trim(), 8).ok()).unwrap_or(0o022)
}

/// Warnings that are kept.
const WARNINGS: usize = 16;
