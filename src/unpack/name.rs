//! Names of members and targets of links: what may be one, and what leads out.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
};

/// A name within the directory: its components, none of which leads anywhere but down. No
/// components: the directory itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Name {
    parts: Vec<OsString>,
}

impl Name {
    /// A name from an archive, without its first `strip` components, of which `.` is one, as for
    /// tar(1); `None` where nothing is left of it.
    ///
    /// # Errors
    /// In words, when it leads out, or might, or cannot be a name.
    pub(super) fn of(text: &[u8], strip: usize) -> Result<Option<Self>, &'static str> {
        let parts = parts(text)?;
        if strip > 0 && parts.len() <= strip {
            return Ok(None);
        }
        let left = parts.iter().skip(strip).filter(|part| **part != b".");
        Ok(Some(Self { parts: left.map(|part| OsString::from_vec(part.to_vec())).collect() }))
    }

    /// The directory's components and the last one; `None` for the directory itself.
    pub(super) fn split(&self) -> Option<(&[OsString], &OsStr)> {
        self.parts.split_last().map(|(last, parent)| (parent, last.as_os_str()))
    }

    pub(super) fn parts(&self) -> &[OsString] {
        &self.parts
    }
}

fn parts(text: &[u8]) -> Result<Vec<&[u8]>, &'static str> {
    if text.is_empty() {
        return Err("it has no name");
    }
    if text.len() > LENGTH {
        return Err("its name is too long");
    }
    if text.contains(&0) {
        return Err("its name has a NUL");
    }
    if text.starts_with(b"/") {
        return Err("its name is absolute");
    }
    let all = text.split(|byte| *byte == b'/');
    let parts: Vec<&[u8]> = all.filter(|part| !part.is_empty()).collect();
    if parts.contains(&&b".."[..]) {
        return Err("its name has ..");
    }
    if parts.iter().any(|part| part.len() > PART) || parts.len() > DEPTH {
        return Err("its name is too long");
    }
    Ok(parts)
}

/// Looks at what a symbolic link is to hold. What has no `..` and is not absolute cannot lead out,
/// whatever other links it goes through.
///
/// # Errors
/// In words.
pub(super) fn link_target(text: &[u8]) -> Result<&OsStr, &'static str> {
    if text.is_empty() {
        return Err("it is a link to nothing");
    }
    if text.len() > LENGTH {
        return Err("its target is too long");
    }
    if text.contains(&0) {
        return Err("its target has a NUL");
    }
    if text.starts_with(b"/") {
        return Err("it is a link to an absolute path");
    }
    if text.split(|byte| *byte == b'/').any(|part| part == b"..") {
        return Err("it is a link with .. in its target");
    }
    Ok(OsStr::from_bytes(text))
}

/// The longest name, as the kernel has it (`PATH_MAX`, with room for a NUL).
const LENGTH: usize = 4095;
/// The longest component (`NAME_MAX`).
const PART: usize = 255;
/// Components of one name: each costs a look-up.
const DEPTH: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, strip: usize) -> Option<String> {
        let name = Name::of(text.as_bytes(), strip).unwrap()?;
        let parts: Vec<&str> = name.parts().iter().map(|part| part.to_str().unwrap()).collect();
        Some(parts.join("/"))
    }

    #[test]
    fn components() {
        for (text, strip, want) in [
            ("a", 0, Some("a")),
            ("./a//b/./c/", 0, Some("a/b/c")),
            (".", 0, Some("")),
            ("./", 0, Some("")),
            ("a/b/c", 1, Some("b/c")),
            ("./a/b/c", 2, Some("b/c")),
            ("./a", 1, Some("a")),
            ("./d/b", 1, Some("d/b")),
            ("././a", 2, Some("a")),
            ("a/./b", 1, Some("b")),
            ("a//b", 1, Some("b")),
            (".//a/", 1, Some("a")),
            ("a/.", 1, Some("")),
            ("a/b/c", 3, None),
            ("a/b/", 2, None),
            ("a", 9, None),
            (".", 1, None),
            ("./", 1, None),
            ("...", 0, Some("...")),
            ("..a/a..", 0, Some("..a/a..")),
            ("a\\..\\b", 0, Some("a\\..\\b")),
        ] {
            assert_eq!(of(text, strip).as_deref(), want, "{text:?} {strip}");
        }
    }

    #[test]
    fn what_leads_out() {
        let long = "x".repeat(256);
        let deep = "x/".repeat(257);
        for text in ["", "/", "/a", "//a", "..", "../a", "a/..", "a/../b", "./..", "a/./..", "a\0b"]
        {
            for strip in 0..3 {
                assert!(Name::of(text.as_bytes(), strip).is_err(), "{text:?}");
            }
        }
        assert!(Name::of(long.as_bytes(), 0).is_err() && Name::of(deep.as_bytes(), 0).is_err());
    }

    #[test]
    fn targets_of_links() {
        for text in ["a", "a/b", "./a", ".", "...", "a//b/"] {
            assert!(link_target(text.as_bytes()).is_ok(), "{text}");
        }
        for text in ["", "/", "/etc/passwd", "..", "../a", "a/../b", "a/..", "./..", "a\0"] {
            assert!(link_target(text.as_bytes()).is_err(), "{text}");
        }
    }
}
