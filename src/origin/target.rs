//! The path that a request target names: decoded, and never above the root.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};

/// A path below the root: its segments decoded, none of them empty, `.`, `..` or with a slash or
/// a NUL in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TargetPath {
    segments: Vec<Vec<u8>>,
    /// It ends with a slash.
    pub(super) directory: bool,
}

impl TargetPath {
    /// Reads a request target in origin form or absolute form (RFC 9112 section 3.2); the query
    /// is left out. Dot segments are taken away as in RFC 3986 section 5.2.4, also where they
    /// were percent-encoded. `None` for other forms, a path that leads above the root, and
    /// segments that no file can be called.
    pub(super) fn parse(target: &str) -> Option<Self> {
        let path = if target.starts_with('/') { target } else { path_of_url(target)? };
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let mut segments: Vec<Vec<u8>> = Vec::new();
        let mut directory = true;
        for segment in path.split('/').skip(1) {
            let segment: Vec<u8> = percent_decode(segment.as_bytes()).collect();
            directory = matches!(segment.as_slice(), b"" | b"." | b"..");
            match segment.as_slice() {
                b"" | b"." => {}
                b".." => drop(segments.pop()?),
                name if name.iter().any(|byte| matches!(byte, b'/' | 0)) => return None,
                _ => segments.push(segment),
            }
        }
        Some(Self { segments, directory })
    }

    /// As a path relative to the root.
    pub(super) fn relative(&self) -> Vec<u8> {
        if self.segments.is_empty() { b".".to_vec() } else { self.segments.join(&b'/') }
    }

    /// The decoded segments.
    pub(super) fn segments(&self) -> &[Vec<u8>] {
        &self.segments
    }

    /// The path as a URL's, ending with a slash. It begins with exactly one: two would name a
    /// host.
    pub(super) fn as_directory(&self) -> String {
        let mut path = String::from("/");
        for segment in &self.segments {
            path.push_str(&encode(segment));
            path.push('/');
        }
        path
    }
}

/// A file name as one segment of a URL's path.
pub(super) fn encode(name: &[u8]) -> String {
    percent_encode(name, RESERVED).to_string()
}

fn path_of_url(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    let known = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    known.then(|| rest.find('/').map_or("/", |slash| &rest[slash..]))
}

/// Everything but the unreserved characters of RFC 3986 section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;

    fn path(target: &str) -> Option<(String, bool)> {
        let path = TargetPath::parse(target)?;
        Some((String::from_utf8_lossy(&path.relative()).into_owned(), path.directory))
    }

    #[test]
    fn targets() {
        for (target, wanted) in [
            ("/", Some((".", true))),
            ("/a", Some(("a", false))),
            ("/a/", Some(("a", true))),
            ("//a///b", Some(("a/b", false))),
            ("/a%20b?x=/../y", Some(("a b", false))),
            ("/a%2", Some(("a%2", false))),
            ("/a%zz", Some(("a%zz", false))),
            ("/a/./b/../c", Some(("a/c", false))),
            ("/a/..", Some((".", true))),
            ("/a/%2e%2E/c", Some(("c", false))),
            ("/...", Some(("...", false))),
            ("http://host/a", Some(("a", false))),
            ("HTTP://host", Some((".", true))),
            ("/..", None),
            ("/a/../../b", None),
            ("/%2e%2e/etc/passwd", None),
            ("/..%2fetc", None),
            ("/a%00b", None),
            ("*", None),
            ("a", None),
            ("ftp://host/a", None),
            ("host:443", None),
        ] {
            let wanted = wanted.map(|(path, directory): (&str, bool)| (path.to_owned(), directory));
            assert_eq!(path(target), wanted, "{target}");
        }
    }

    #[test]
    fn a_redirect_never_names_a_host() {
        let path = TargetPath::parse("//evil.example/a%22b").expect("a path");
        assert_eq!(path.as_directory(), "/evil.example/a%22b/");
    }
}
