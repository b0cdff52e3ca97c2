//! Whether two places have one object, as far as what they say of it can tell.

use crate::http::field::Validators;

/// What can be told of two places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kinship {
    Same,
    Other,
    Unknown,
}

/// Whether two places that name the same complete length have one object (contract 13): strong
/// entity tags on both sides decide; else equal dates say yes, and different ones no.
pub(super) fn kinship(ours: &Validators, theirs: &Validators) -> Kinship {
    let of = |same| if same { Kinship::Same } else { Kinship::Other };
    if let (Some(ours), Some(theirs)) = (ours.strong_etag(), theirs.strong_etag()) {
        return of(ours == theirs);
    }
    match (&ours.last_modified, &theirs.last_modified) {
        (Some((_, ours)), Some((_, theirs))) => of(ours == theirs),
        _ => Kinship::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::field::{ETag, HttpDate};

    #[test]
    fn two_strong_tags_decide_and_else_the_dates() {
        use Kinship::{Other, Same, Unknown};
        let of = |etag: &str, modified: Option<i64>| Validators {
            etag: ETag::parse(etag.as_bytes()),
            last_modified: modified.map(|at| (at.to_string(), HttpDate(at))),
            date: Some(HttpDate(1_000_000)),
        };
        for (ours, theirs, kin) in [
            (("\"a\"", None), ("\"a\"", None), Same),
            (("\"a\"", Some(1)), ("\"a\"", Some(2)), Same),
            (("\"a\"", Some(1)), ("\"b\"", Some(1)), Other),
            (("\"a\"", Some(1)), ("", Some(1)), Same),
            (("\"a\"", Some(1)), ("W/\"a\"", Some(1)), Same),
            (("\"a\"", Some(1)), ("W/\"b\"", Some(1)), Same),
            (("\"a\"", Some(1)), ("", Some(2)), Other),
            (("W/\"a\"", Some(1)), ("W/\"a\"", Some(2)), Other),
            (("", Some(1)), ("", Some(1)), Same),
            (("", Some(1)), ("", Some(2)), Other),
            (("\"a\"", None), ("W/\"a\"", None), Unknown),
            (("\"a\"", None), ("", None), Unknown),
            (("\"a\"", None), ("", Some(1)), Unknown),
            (("", None), ("", None), Unknown),
        ] {
            let (ours, theirs) = (of(ours.0, ours.1), of(theirs.0, theirs.1));
            assert_eq!(kinship(&ours, &theirs), kin, "{ours:?} {theirs:?}");
            assert_eq!(kinship(&theirs, &ours), kin, "{theirs:?} {ours:?}");
        }
    }
}
