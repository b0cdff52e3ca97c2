//! Which URLs name the same resource.

use sha2::{Digest, Sha256};
use url::Url;

/// A hash that is equal for two URLs whose bytes may be joined (under the same strong validator
/// and length, which are checked besides).
///
/// Scheme, host, port, path and query count; userinfo and fragment do not. Of a presigned URL's
/// query the parameters that sign it do not count either: the same object under a new signature is
/// the case in which people resume. Parameters are only taken for a signature's when one that
/// cannot be anything else is there.
pub(super) fn identity(url: &Url) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(url.scheme());
    hash.update([0]);
    hash.update(url.host_str().unwrap_or_default());
    hash.update(url.port_or_known_default().unwrap_or(0).to_be_bytes());
    hash.update(url.path());
    let signed = url.query_pairs().any(|(name, _)| is_signature(&name));
    for (name, value) in url.query_pairs() {
        if !(signed && belongs_to_signature(&name)) {
            for text in [&name, &value] {
                hash.update((text.len() as u64).to_be_bytes());
                hash.update(text.as_bytes());
            }
        }
    }
    hash.finalize().into()
}

/// The parameter that is the signature: S3 (versions 4 and 2), Google Cloud Storage, CloudFront,
/// Azure.
fn is_signature(name: &str) -> bool {
    ["x-amz-signature", "x-goog-signature", "signature", "sig"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

/// A parameter that changes with the signature, or says how it was made.
fn belongs_to_signature(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    is_signature(&lower)
        || lower.starts_with("x-amz-")
        || lower.starts_with("x-goog-")
        || PARAMETERS.contains(&lower.as_str())
}

const PARAMETERS: [&str; 22] = [
    "awsaccesskeyid",
    "googleaccessid",
    "expires",
    "key-pair-id",
    "policy", // S3 v2, GCS v2, CloudFront
    "sv",
    "se",
    "st",
    "sp",
    "sr",
    "ss",
    "srt",
    "sip",
    "spr",
    "skoid",
    "sktid",
    "skt",
    "ske",
    "sks",
    "skv",
    "saoid",
    "scid", // Azure shared access signatures
];

#[cfg(test)]
mod tests {
    use super::*;

    fn id(url: &str) -> [u8; 32] {
        identity(&Url::parse(url).unwrap())
    }

    #[test]
    fn what_names_the_same_resource() {
        for (a, b, same) in [
            ("http://h/a", "http://h/a", true),
            ("http://h/a", "http://h:80/a#part", true),
            ("http://u:p@h/a", "http://h/a", true),
            ("http://h/a", "https://h/a", false),
            ("http://h/a", "http://h:81/a", false),
            ("http://h/a", "http://i/a", false),
            ("http://h/a", "http://h/A", false),
            ("http://h/a?id=1", "http://h/a?id=2", false),
            ("http://h/a?x=1&y=2", "http://h/a?x=1y=2", false),
            ("http://h/a?se=1", "http://h/a?se=2", false),
            ("http://h/a?expires=1", "http://h/a?expires=2", false),
            (
                "http://h/a?X-Amz-Date=1&X-Amz-Signature=aa",
                "http://h/a?X-Amz-Date=2&X-Amz-Signature=bb",
                true,
            ),
            ("http://h/a?id=1&X-Amz-Signature=aa", "http://h/a?id=2&X-Amz-Signature=bb", false),
            ("http://h/a?se=1&sig=x", "http://h/a?se=2&sig=y", true),
            ("http://h/a?versionId=1&Signature=x", "http://h/a?versionId=2&Signature=y", false),
        ] {
            assert_eq!(id(a) == id(b), same, "{a} {b}");
        }
    }
}
