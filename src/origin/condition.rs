//! Conditional requests: whether the object at hand is the one the client speaks of
//! (RFC 9110 section 13).

use super::request::{Method, Request};
use crate::http::field::HttpDate;

/// What identifies one version of an object, as the origin knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// A strong entity tag with its quotes; none for pages that are made up on the spot.
    pub etag: Option<String>,
    /// When it was last modified, in seconds since 1970.
    pub modified: Option<i64>,
}

/// Where the preconditions lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// They hold, or there are none.
    Proceed,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// Evaluates the preconditions in the order of RFC 9110 section 13.2.2 (its steps 1 to 4).
pub(super) fn check(request: &Request, version: &Version) -> Verdict {
    if let Some(list) = &request.if_match {
        if !matches_any(list, version, Comparison::Strong) {
            return Verdict::Failed;
        }
    } else if let Some(since) = request.if_unmodified_since.as_deref().and_then(HttpDate::parse)
        && version.modified.is_some_and(|modified| modified > since.0)
    {
        return Verdict::Failed;
    }
    let reads = matches!(request.method, Method::Get | Method::Head);
    if let Some(list) = &request.if_none_match {
        if matches_any(list, version, Comparison::Weak) {
            return if reads { Verdict::NotModified } else { Verdict::Failed };
        }
    } else if reads
        && let Some(since) = request.if_modified_since.as_deref().and_then(HttpDate::parse)
        && version.modified.is_some_and(|modified| modified <= since.0)
    {
        return Verdict::NotModified;
    }
    Verdict::Proceed
}

/// Whether a `Range` may be obeyed under this `If-Range` (RFC 9110 section 13.1.5): a strong
/// entity tag equal to ours, or exactly our date of modification if that is old enough to be a
/// strong validator, which it is when the second it names has passed (section 8.8.2.2).
pub(super) fn if_range_holds(value: &[u8], version: &Version, now: i64) -> bool {
    let value = value.trim_ascii();
    if value.first() == Some(&b'"') || value.starts_with(b"W/") {
        return matches_tag(value, version, Comparison::Strong);
    }
    match (HttpDate::parse(value), version.modified) {
        (Some(date), Some(modified)) => date.0 == modified && modified < now,
        _ => false,
    }
}

/// RFC 9110 section 8.8.3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// Whether `*` or a list of entity tags names this version. An object without an entity tag is
/// named by nothing, not by `*` either: nobody can hold a copy of it that could be told apart.
fn matches_any(list: &[u8], version: &Version, comparison: Comparison) -> bool {
    let list = list.trim_ascii();
    if list == b"*" {
        return version.etag.is_some();
    }
    tags(list).any(|tag| matches_tag(tag, version, comparison))
}

fn matches_tag(tag: &[u8], version: &Version, comparison: Comparison) -> bool {
    let Some(ours) = &version.etag else { return false };
    let opaque = match (tag.strip_prefix(b"W/"), comparison) {
        (Some(_), Comparison::Strong) => return false,
        (Some(opaque), Comparison::Weak) => opaque,
        (None, _) => tag,
    };
    opaque == ours.as_bytes()
}

/// The entity tags of a list, in order; it ends at the first thing that is not one. Commas may
/// stand inside a tag, so the list cannot simply be split at them.
fn tags(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = list;
    std::iter::from_fn(move || {
        let skipped = rest.iter().position(|byte| !b" \t,".contains(byte))?;
        rest = &rest[skipped..];
        let open = if rest.starts_with(b"W/\"") { 3 } else { usize::from(rest[0] == b'"') };
        if open == 0 {
            return None;
        }
        let close = rest[open..].iter().position(|&byte| byte == b'"')?;
        let (tag, after) = rest.split_at(open + close + 1);
        rest = after;
        Some(tag)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_tags() {
        let parse = |list: &'static str| {
            tags(list.as_bytes()).map(|t| String::from_utf8_lossy(t)).collect::<Vec<_>>()
        };
        assert_eq!(parse("\"a\""), ["\"a\""]);
        assert_eq!(parse("\"a\", W/\"b\",\"c,d\""), ["\"a\"", "W/\"b\"", "\"c,d\""]);
        assert_eq!(parse(", ,\"a\" ,"), ["\"a\""]);
        assert_eq!(parse("\"a\", b, \"c\""), ["\"a\""]);
        assert_eq!(parse("\"a"), [""; 0]);
        assert_eq!(parse(""), [""; 0]);
        assert_eq!(parse("W/"), [""; 0]);
    }
}
