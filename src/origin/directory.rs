//! A directory tree as content: names to open files and listings, never outside the tree.

use std::{
    fmt::Write,
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    os::unix::fs::MetadataExt,
    path::Path,
};

use rustix::{
    fs::{Dir, FileType, Mode, OFlags, ResolveFlags, openat, openat2},
    io::Errno,
};

use super::{
    answer::Metadata,
    condition::Version,
    media,
    target::{TargetPath, encode},
};

/// An open directory, and everything below it.
#[derive(Debug)]
pub(super) struct Tree {
    root: OwnedFd,
}

/// What a path names.
#[derive(Debug)]
pub(super) enum Found {
    /// A regular file.
    File(File, Metadata),
    /// A directory, as a page that lists it.
    Listing(Vec<u8>, Metadata),
    /// A directory that was named without its slash; its path with it.
    Moved(String),
    /// Nothing that is served: status and reason.
    Nothing(u16, &'static str),
}

impl Tree {
    /// Opens the root. It stays the same directory from then on, whatever its path comes to name.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { root: rustix::fs::open(path, flags, Mode::empty())? })
    }

    /// Looks `target` up.
    pub(super) fn find(&self, target: &str) -> Found {
        let Some(path) = TargetPath::parse(target) else {
            return Found::Nothing(400, "this is not a path");
        };
        match self.look_up(&path) {
            Ok(found) => found,
            Err(errno) => refusal(errno),
        }
    }

    fn look_up(&self, path: &TargetPath) -> Result<Found, Errno> {
        let file = File::from(self.open_beneath(path)?);
        let stat = file.metadata().map_err(|error| errno_of(&error))?;
        if stat.is_dir() {
            if !path.directory {
                return Ok(Found::Moved(path.as_directory()));
            }
            let page = listing(file.as_fd(), path)?.into_bytes();
            let length = page.len() as u64;
            let metadata = Metadata { length, media_type: media::HTML, ..Metadata::default() };
            return Ok(Found::Listing(page, metadata));
        }
        if !stat.is_file() {
            return Ok(Found::Nothing(403, "only regular files are served"));
        }
        if path.directory {
            return Err(Errno::NOTDIR);
        }
        let name = path.segments().last().map_or(&b""[..], Vec::as_slice);
        let metadata = Metadata {
            length: stat.size(),
            version: version(&stat),
            media_type: media::media_type(name),
            ranges: true,
        };
        Ok(Found::File(file, metadata))
    }

    /// Opens what `path` names below the root. A symbolic link may lead anywhere inside the tree
    /// and nowhere outside of it, which the kernel itself sees to (openat2(2)).
    fn open_beneath(&self, path: &TargetPath) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..RACES_MAX {
            let relative = path.relative();
            match openat2(&self.root, relative, READ, Mode::empty(), resolve) {
                // Something was renamed meanwhile, so the kernel could not be sure.
                Err(Errno::AGAIN) => {}
                // Linux before 5.6, or a seccomp filter that does not know the call.
                Err(Errno::NOSYS | Errno::PERM) => return self.walk_beneath(path),
                other => return other,
            }
        }
        Err(Errno::AGAIN)
    }

    /// The same without openat2(2): one segment at a time, and no symbolic links at all.
    fn walk_beneath(&self, path: &TargetPath) -> Result<OwnedFd, Errno> {
        let no_links = READ | OFlags::NOFOLLOW;
        let mut at = openat(&self.root, c".", READ, Mode::empty())?;
        for segment in path.segments() {
            at = openat(&at, segment.as_slice(), no_links, Mode::empty())?;
        }
        Ok(at)
    }
}

/// A strong entity tag: another inode, size or time of modification to the nanosecond makes
/// another version.
fn version(stat: &std::fs::Metadata) -> Version {
    let nanoseconds = i128::from(stat.mtime()) * 1_000_000_000 + i128::from(stat.mtime_nsec());
    let etag = format!("\"{:x}-{:x}-{nanoseconds:x}\"", stat.ino(), stat.size());
    Version { etag: Some(etag), modified: Some(stat.mtime()) }
}

/// A page that lists a directory, sorted by name, directories with a slash.
fn listing(directory: BorrowedFd<'_>, path: &TargetPath) -> Result<String, Errno> {
    let mut entries: Vec<(Vec<u8>, bool)> = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            entries.push((name.to_vec(), entry.file_type() == FileType::Directory));
        }
    }
    entries.sort_unstable();
    let shown = path.segments().iter().fold(String::from("/"), |shown, segment| {
        shown + &escape(&String::from_utf8_lossy(segment)) + "/"
    });
    let mut page = format!(
        "<!DOCTYPE html>\n<html>\n<head><meta charset=\"utf-8\"><title>{shown}</title></head>\n\
         <body>\n<h1>{shown}</h1>\n<ul>\n"
    );
    if !path.segments().is_empty() {
        page.push_str("<li><a href=\"../\">../</a></li>\n");
    }
    for (name, directory) in entries {
        let slash = if directory { "/" } else { "" };
        let text = escape(&String::from_utf8_lossy(&name));
        // Writing to a `String` cannot fail. The `./` keeps a colon in a name from making a scheme.
        let _ = writeln!(page, "<li><a href=\"./{}{slash}\">{text}{slash}</a></li>", encode(&name));
    }
    page.push_str("</ul>\n</body>\n</html>\n");
    Ok(page)
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            control if control.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

fn refusal(errno: Errno) -> Found {
    match errno {
        Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => Found::Nothing(404, "no such file"),
        Errno::XDEV | Errno::LOOP => Found::Nothing(403, "this link leads outside of the tree"),
        Errno::ACCESS | Errno::PERM => Found::Nothing(403, "this file may not be read"),
        // A socket, or a device without a driver.
        Errno::NXIO => Found::Nothing(403, "only regular files are served"),
        Errno::MFILE | Errno::NFILE | Errno::AGAIN | Errno::NOMEM => {
            Found::Nothing(503, "the file cannot be opened just now")
        }
        _ => Found::Nothing(500, "the file cannot be read"),
    }
}

fn errno_of(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// Opening a FIFO must not wait for its other end, and a terminal must not become ours.
const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
const RACES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn tree() -> (tempfile::TempDir, Tree) {
        let outside = tempfile::tempdir().expect("a temporary directory");
        let root = outside.path().join("root");
        std::fs::create_dir_all(root.join("sub")).expect("mkdir");
        std::fs::write(outside.path().join("secret"), "secret").expect("write");
        std::fs::write(root.join("file.txt"), "hello").expect("write");
        std::fs::write(root.join("sub/<i>\"x\".txt"), "inner").expect("write");
        symlink("../file.txt", root.join("sub/in")).expect("symlink");
        symlink("../secret", root.join("out")).expect("symlink");
        symlink(outside.path().join("secret"), root.join("absolute")).expect("symlink");
        symlink("loop", root.join("loop")).expect("symlink");
        let tree = Tree::open(&root).expect("a directory");
        (outside, tree)
    }

    fn status(found: &Found) -> u16 {
        match found {
            Found::File(..) | Found::Listing(..) => 200,
            Found::Moved(_) => 301,
            Found::Nothing(status, _) => *status,
        }
    }

    #[test]
    fn what_is_found() {
        let (outside, tree) = tree();
        rustix::fs::mkfifoat(&tree.root, "fifo", Mode::from(0o600)).expect("mkfifo");
        for (target, wanted) in [
            ("/", 200),
            ("/file.txt", 200),
            ("/file.txt/", 404),
            ("/file.txt/x", 404),
            ("/sub", 301),
            ("/sub/", 200),
            ("/sub/in", 200),
            ("/sub/../file.txt", 200),
            ("/none", 404),
            ("/out", 403),
            ("/absolute", 403),
            ("/loop", 403),
            ("/fifo", 403),
            ("/../secret", 400),
            ("/%2e%2e/secret", 400),
            ("/..%2fsecret", 400),
        ] {
            assert_eq!(status(&tree.find(target)), wanted, "{target}");
        }
        drop(outside);
    }

    #[test]
    fn without_openat2_links_are_not_followed() {
        let (_outside, tree) = tree();
        let walk = |target| tree.walk_beneath(&TargetPath::parse(target).expect("a path"));
        assert!(walk("/file.txt").is_ok());
        assert!(walk("/sub/").is_ok());
        assert!(walk("/").is_ok());
        for link in ["/sub/in", "/out", "/absolute", "/loop"] {
            assert_eq!(walk(link).expect_err(link), Errno::LOOP);
        }
    }

    #[test]
    fn names_are_escaped_in_listings() {
        let (_outside, tree) = tree();
        let Found::Listing(page, _) = tree.find("/sub/") else { panic!("a directory") };
        let page = String::from_utf8(page).expect("UTF-8");
        assert!(page.contains("<a href=\"./%3Ci%3E%22x%22.txt\">&lt;i&gt;&quot;x&quot;.txt</a>"));
        assert!(page.contains("../"));
        let Found::Listing(page, _) = tree.find("/") else { panic!("a directory") };
        assert!(String::from_utf8_lossy(&page).contains("<a href=\"./sub/\">sub/</a>"));
    }

    #[test]
    fn another_version_has_another_tag() {
        let (outside, tree) = tree();
        let tag = || match tree.find("/file.txt") {
            Found::File(_, metadata) => metadata.version.etag.expect("a tag"),
            other => panic!("{other:?}"),
        };
        let before = tag();
        assert_eq!(before, tag());
        let copy = outside.path().join("copy");
        std::fs::write(&copy, "jello").expect("write");
        std::fs::rename(&copy, outside.path().join("root/file.txt")).expect("rename");
        assert_ne!(before, tag());
        assert!(before.starts_with('"') && before.ends_with('"'));
    }
}
