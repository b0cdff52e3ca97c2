//! File names.
pub(crate) fn from_url(url: &url::Url) -> String {
    url.path_segments()
        .and_then(|s| s.rev().find(|s| !s.is_empty()).map(str::to_owned))
        .unwrap_or_else(|| "index.html".to_owned())
}
pub(crate) fn from_disposition(_: &[u8]) -> Option<String> {
    None
}
