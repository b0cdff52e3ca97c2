//! Which `Content-Type` a file name suggests.

/// The media type for a file called `name`; what is not in the table is a stream of octets.
pub(super) fn media_type(name: &[u8]) -> &'static str {
    let extension = name.rsplitn(2, |&byte| byte == b'.').next().unwrap_or_default();
    let known = TYPES.iter().find(|(known, _)| extension.eq_ignore_ascii_case(known.as_bytes()));
    known.filter(|_| extension.len() < name.len()).map_or(OCTETS, |(_, media_type)| media_type)
}

/// Anything.
pub(super) const OCTETS: &str = "application/octet-stream";
/// A page of ours.
pub(super) const HTML: &str = "text/html; charset=utf-8";

const TYPES: &[(&str, &str)] = &[
    ("css", "text/css; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("htm", HTML),
    ("html", HTML),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("md", "text/markdown; charset=utf-8"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("txt", "text/plain; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("webp", "image/webp"),
    ("xml", "application/xml"),
    ("xz", "application/x-xz"),
    ("zip", "application/zip"),
    ("zst", "application/zstd"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_the_last_extension() {
        assert_eq!(media_type(b"a.tar.GZ"), "application/gzip");
        assert_eq!(media_type(b"a.bin"), OCTETS);
        assert_eq!(media_type(b"gz"), OCTETS);
        assert_eq!(media_type(b""), OCTETS);
        assert_eq!(media_type(b".txt"), "text/plain; charset=utf-8");
    }
}
