//! Which URLs name the same resource.

use sha2::{Digest, Sha256};
use url::Url;

use crate::http::field::RangeSpec;

/// A hash that is equal for two URLs whose bytes may be joined (under the same strong validator
/// and length, which are checked besides).
///
/// Of two slices only the same one's may be; what it is called counts, not where it lies.
///
/// Scheme, host, port, path and query count; userinfo and fragment do not. Of a presigned URL's
/// query the parameters that sign it do not count either: the same object under a new signature is
/// the case in which people resume. They are the parameters of one scheme, which is there as a
/// whole; any other parameter counts, whatever it looks like.
pub(super) fn identity(url: &Url, slice: Option<RangeSpec>) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut add = |text: &str| {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    };
    add(url.scheme());
    add(url.host_str().unwrap_or_default());
    add(&url.port_or_known_default().unwrap_or(0).to_string());
    add(url.path());
    if let Some(query) = url.query() {
        // As it is written: to a server `?`, `?a` and `?a=` may be three things.
        let members: Vec<&str> = query.split('&').collect();
        let scheme = SCHEMES.iter().find(|scheme| scheme.signs(&members));
        let signs = |member: &str| scheme.is_some_and(|scheme| scheme.has(name(member)));
        members.into_iter().filter(|member| !signs(member)).for_each(&mut add);
    }
    if let Some(slice) = slice {
        // No part of a URL holds a NUL.
        add(&format!("\0bytes={slice}"));
    }
    hash.finalize().into()
}

/// A way to sign a URL.
struct Scheme {
    /// The parameters without which it is none, the signature among them.
    needs: &'static [&'static str],
    /// Those that may come with them.
    may: &'static [&'static str],
}

impl Scheme {
    fn signs(&self, members: &[&str]) -> bool {
        let is_there = |wanted: &&str| members.iter().any(|member| name(member) == *wanted);
        self.needs.iter().all(is_there)
    }

    fn has(&self, name: &str) -> bool {
        self.needs.contains(&name) || self.may.contains(&name)
    }
}

fn name(member: &str) -> &str {
    member.split('=').next().unwrap_or_default()
}

/// In this order, since one may have the parameters of another. None of those that say which bytes
/// are meant (`versionId`, `response-content-encoding`, `snapshot`, `generation`) is among them.
const SCHEMES: [Scheme; 7] = [
    // S3, version 4.
    Scheme {
        needs: &[
            "X-Amz-Algorithm",
            "X-Amz-Credential",
            "X-Amz-Date",
            "X-Amz-Expires",
            "X-Amz-SignedHeaders",
            "X-Amz-Signature",
        ],
        may: &["X-Amz-Security-Token"],
    },
    // Google Cloud Storage, version 4.
    Scheme {
        needs: &[
            "X-Goog-Algorithm",
            "X-Goog-Credential",
            "X-Goog-Date",
            "X-Goog-Expires",
            "X-Goog-SignedHeaders",
            "X-Goog-Signature",
        ],
        may: &[],
    },
    // S3, version 2.
    Scheme { needs: &["AWSAccessKeyId", "Expires", "Signature"], may: &["x-amz-security-token"] },
    // Google Cloud Storage, version 2.
    Scheme { needs: &["GoogleAccessId", "Expires", "Signature"], may: &[] },
    // CloudFront: a policy of one's own, or a canned one.
    Scheme { needs: &["Policy", "Signature", "Key-Pair-Id"], may: &["Hash-Algorithm"] },
    Scheme { needs: &["Expires", "Signature", "Key-Pair-Id"], may: &["Hash-Algorithm"] },
    // Azure: shared access signatures of a service, an account or a delegated user.
    Scheme {
        needs: &["sv", "sig", "se"],
        may: &[
            "ss", "srt", "sr", "sp", "st", "sip", "spr", "si", "skoid", "sktid", "skt", "ske",
            "sks", "skv", "saoid", "suoid", "scid", "sdd",
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    const S3: &str = "X-Amz-Algorithm=A&X-Amz-Credential=B&X-Amz-Date=C&X-Amz-Expires=1\
                      &X-Amz-SignedHeaders=host&X-Amz-Signature=";

    fn id(url: &str) -> [u8; 32] {
        identity(&Url::parse(url).unwrap(), None)
    }

    #[test]
    fn a_slice_is_itself_alone() {
        let of = |url: &str, slice: Option<RangeSpec>| identity(&Url::parse(url).unwrap(), slice);
        let all = [
            of("http://h/a", None),
            of("http://h/a", RangeSpec::of(0..9)),
            of("http://h/a", RangeSpec::of(0..10)),
            of("http://h/a", RangeSpec::of(1..10)),
            of("http://h/a", RangeSpec::of(10..)),
            of("http://h/a", Some(RangeSpec::Suffix(10))),
            of("http://h/a?bytes=0-8", None),
            of("http://h/a?%00bytes=0-8", None),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[at + 1..].contains(one), "{at}");
        }
        assert_eq!(all[1], of("http://h/a#x", RangeSpec::of(..9)));
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
            ("http://h/a?x=1&y=2", "http://h/a?y=2&x=1", false),
            ("http://h/a?se=1", "http://h/a?se=2", false),
            ("http://h/a?expires=1", "http://h/a?expires=2", false),
        ] {
            assert_eq!(id(a) == id(b), same, "{a} {b}");
        }
        let empty =
            ["http://h/f", "http://h/f?", "http://h/f?a", "http://h/f?a=", "http://h/f?a=&"];
        for (at, a) in empty.iter().enumerate() {
            assert!(empty[at + 1..].iter().all(|b| id(a) != id(b)), "{a}");
        }
    }

    #[test]
    fn a_new_signature_is_of_the_same_resource() {
        for (a, b) in [
            (format!("{S3}1"), format!("{S3}2").replace("Date=C", "Date=D")),
            (format!("{S3}1"), format!("X-Amz-Security-Token=t&{S3}2")),
            (S3.replace("Amz", "Goog") + "1", S3.replace("Amz", "Goog") + "2"),
            (format!("versionId=1&{S3}1"), format!("versionId=1&{S3}2")),
        ] {
            assert_eq!(id(&format!("http://h/a?{a}")), id(&format!("http://h/a?{b}")), "{a} {b}");
        }
        for (a, b) in [
            ("AWSAccessKeyId=A&Expires=1&Signature=x", "AWSAccessKeyId=A&Signature=y&Expires=2"),
            ("GoogleAccessId=A&Expires=1&Signature=x", "GoogleAccessId=A&Expires=2&Signature=y"),
            ("Expires=1&Signature=x&Key-Pair-Id=K", "Expires=2&Signature=y&Key-Pair-Id=L"),
            ("Policy=1&Signature=x&Key-Pair-Id=K", "Policy=2&Signature=y&Key-Pair-Id=L"),
            ("sv=1&sr=b&sp=r&se=1&sig=x", "sv=1&sr=b&sp=r&st=0&spr=https&se=2&sig=y"),
        ] {
            let of = |query| id(&format!("http://h/a?id=1&{query}"));
            assert_eq!(of(a), of(b), "{a} {b}");
        }
    }

    #[test]
    fn what_a_signature_does_not_cover_counts() {
        let signed = [
            format!("{S3}1"),
            S3.replace("Amz", "Goog") + "1",
            "AWSAccessKeyId=A&Expires=1&Signature=x".to_owned(),
            "Policy=1&Signature=x&Key-Pair-Id=K".to_owned(),
            "sv=1&sr=b&sp=r&se=1&sig=x".to_owned(),
        ];
        let others = [
            "id",
            "versionId",
            "snapshot",
            "generation",
            "partNumber",
            "response-content-encoding",
            "X-Amz-Foo",
            "x-amz-meta",
            "X-Amz-Checksum-Mode",
            "X-Goog-Foo",
            "signature",
            "expires",
        ];
        for (query, name) in signed.iter().flat_map(|of| others.iter().map(move |name| (of, name)))
        {
            let of = |value| id(&format!("http://h/a?{name}={value}&{query}"));
            assert_ne!(of(1), of(2), "{name} {query}");
        }
        // Parts of a scheme are none, nor does one scheme take another's.
        for query in [
            "X-Amz-Signature=N",
            "X-Amz-Date=N&X-Amz-Signature=x",
            "Signature=N",
            "Expires=N&Signature=x",
            "sig=N",
            "se=N&sig=x",
            "sv=1&se=1&sig=1&Expires=N",
            "sv=1&se=1&sig=1&Policy=N",
            "Policy=1&Signature=x&Key-Pair-Id=K&Expires=N",
            "AWSAccessKeyId=A&Expires=1&Signature=x&sp=N",
        ] {
            let of = |value| id(&format!("http://h/a?{}", query.replace('N', value)));
            assert_ne!(of("1"), of("2"), "{query}");
        }
    }
}
