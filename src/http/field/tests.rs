//! Field values: what is believed, and everything near it that is not.

use proptest::prelude::*;

use super::*;

fn part(range: Range<u64>, total: Option<u64>) -> Option<ContentRange> {
    Some(ContentRange::Part { range, total })
}

#[test]
fn content_ranges_that_are_believed() {
    const MAX: u64 = i64::MAX as u64;
    for (value, parsed) in [
        ("bytes 0-0/1", part(0..1, Some(1))),
        ("bytes 0-499/1234", part(0..500, Some(1234))),
        ("Bytes 5-5/*", part(5..6, None)),
        ("bytes 007-08/009", part(7..9, Some(9))),
        ("bytes */0", Some(ContentRange::Unsatisfied { total: 0 })),
        ("bytes */9223372036854775807", Some(ContentRange::Unsatisfied { total: MAX })),
        ("bytes 0-9223372036854775806/9223372036854775807", part(0..MAX, Some(MAX))),
        ("bytes 0-9223372036854775806/*", part(0..MAX, None)),
    ] {
        assert_eq!(ContentRange::parse(value.as_bytes()), parsed, "{value}");
    }
}

#[test]
fn content_ranges_that_are_not() {
    for value in [
        "",
        "bytes",
        "bytes ",
        "bytes */*",
        "bytes 0-1",
        "bytes 0-1/",
        "bytes 0-/2",
        "bytes -1/2",
        "bytes 1-0/2",
        "bytes 0-1/1",
        "bytes 0-2/2",
        "bytes 0-0/0",
        "bytes=0-1/2",
        "bits 0-1/2",
        "bytes  0-1/2",
        "bytes 0 - 1/2",
        "bytes 0-1 /2",
        "bytes 0-1/2 ",
        " bytes 0-1/2",
        "bytes +0-1/2",
        "bytes 0-+1/2",
        "bytes 0-1/+2",
        "bytes 0x0-0x1/2",
        "bytes 0-1/2,",
        "bytes 0-1/2, bytes 3-4/5",
        "bytes 0--1/2",
        "bytes 0-1//2",
        "bytes\t0-1/2",
        "0-1/2",
        "bytes 0-9223372036854775807/*",
        "bytes 0-1/9223372036854775808",
        "bytes 18446744073709551615-18446744073709551615/*",
        "bytes 0-18446744073709551616/*",
        "bytes 0-99999999999999999999999999/*",
        "bytes \u{661}-2/3",
    ] {
        assert_eq!(ContentRange::parse(value.as_bytes()), None, "{value}");
    }
}

#[test]
fn entity_tags() {
    let tag = |weak, opaque: &str| Some(ETag { weak, opaque: opaque.to_owned() });
    for (value, parsed) in [
        (&b"\"abc\""[..], tag(false, "\"abc\"")),
        (b"W/\"abc\"", tag(true, "\"abc\"")),
        (b"\"\"", tag(false, "\"\"")),
        (b"\"a'#~!\\,\"", tag(false, "\"a'#~!\\,\"")),
        (b"\"\xc3\xa9\"", tag(false, "\"é\"")),
        (b"\"\xe9\"", None),
        (b"w/\"abc\"", None),
        (b"W/ \"abc\"", None),
        (b"W/abc", None),
        (b"abc", None),
        (b"\"abc", None),
        (b"abc\"", None),
        (b"\"", None),
        (b"", None),
        (b"W/", None),
        (b"\"a b\"", None),
        (b"\"a\"b\"", None),
        (b"\"a\", \"b\"", None),
        (b"\"a\r\nb\"", None),
        (b"\"a\x7f\"", None),
        (b"'abc'", None),
    ] {
        assert_eq!(ETag::parse(value), parsed, "{}", value.escape_ascii());
    }
}

fn validators(etag: &str, modified: Option<i64>, date: Option<i64>) -> Validators {
    Validators {
        etag: ETag::parse(etag.as_bytes()),
        last_modified: modified.map(|at| (format!("date {at}"), HttpDate(at))),
        date: date.map(HttpDate),
    }
}

#[test]
fn only_strong_validators_join_ranges() {
    // RFC 9110 section 13.1.5: no date in If-Range beside an entity tag, and no weak tag.
    for (etag, modified, date, if_range, pin) in [
        ("\"a\"", Some(0), Some(999), Some("\"a\""), Some("\"a\"")),
        ("\"a\"", None, None, Some("\"a\""), Some("\"a\"")),
        ("W/\"a\"", None, None, None, None),
        ("W/\"a\"", Some(0), Some(60), None, Some("W/\"a\" date 0")),
        ("W/\"a\"", Some(0), Some(59), None, None),
        ("", Some(0), Some(60), Some("date 0"), Some("date 0")),
        ("", Some(0), Some(59), None, None),
        ("", Some(60), Some(0), None, None),
        ("", Some(0), None, None, None),
        ("", Some(i64::MIN), Some(i64::MAX), None, None),
        ("", None, Some(60), None, None),
        ("", None, None, None, None),
    ] {
        let validators = validators(etag, modified, date);
        assert_eq!(validators.if_range(), if_range, "{validators:?}");
        assert_eq!(validators.pin().as_deref(), pin, "{validators:?}");
        assert_eq!(validators.is_strong(), pin.is_some(), "{validators:?}");
    }
    assert_eq!(validators("\"a\"", None, None).strong_etag(), Some("\"a\""));
    assert_eq!(validators("W/\"a\"", Some(0), Some(60)).strong_etag(), None);
}

#[test]
fn versions_differ_by_tag_then_by_date() {
    for (ours, theirs, same) in [
        (("\"a\"", None), ("\"a\"", None), true),
        (("\"a\"", None), ("\"b\"", None), false),
        (("\"a\"", None), ("", None), false),
        (("\"a\"", Some(1)), ("", Some(1)), false),
        (("\"a\"", Some(1)), ("\"a\"", Some(2)), true),
        (("W/\"a\"", None), ("W/\"a\"", None), true),
        (("W/\"a\"", None), ("W/\"b\"", None), false),
        (("W/\"a\"", None), ("\"a\"", None), false),
        (("\"a\"", Some(1)), ("W/\"a\"", Some(1)), false),
        (("\"a\"", Some(1)), ("W/\"a\"", Some(2)), false),
        (("W/\"a\"", Some(1)), ("W/\"a\"", Some(2)), false),
        (("", Some(1)), ("", Some(1)), true),
        (("", Some(1)), ("", Some(2)), false),
        (("", Some(1)), ("", None), true),
        (("", Some(1)), ("\"a\"", Some(1)), true),
        (("", None), ("\"a\"", Some(1)), true),
    ] {
        let (ours, theirs) =
            (validators(ours.0, ours.1, None), validators(theirs.0, theirs.1, Some(9)));
        assert_eq!(ours.same_version(&theirs), same, "{ours:?} {theirs:?}");
    }
}

#[test]
fn retry_after() {
    for (value, parsed) in [
        ("0", Some(RetryAfter::Seconds(0))),
        ("120", Some(RetryAfter::Seconds(120))),
        ("2147483647", Some(RetryAfter::Seconds(2_147_483_647))),
        ("2147483648", None),
        ("99999999999999999999999", None),
        ("-1", Some(RetryAfter::Seconds(0))),
        ("-99999999999999999999999", Some(RetryAfter::Seconds(0))),
        ("-", None),
        ("Thu, 01 Jan 1970 00:00:09 GMT", Some(RetryAfter::Date(HttpDate(9)))),
        ("+1", None),
        ("1.5", None),
        ("1s", None),
        ("", None),
    ] {
        assert_eq!(RetryAfter::parse(value.as_bytes()), parsed, "{value}");
    }
}

proptest! {
    #[test]
    fn a_content_range_written_is_read_back(
        start in 0u64..1 << 62, length in 1u64..1 << 60, more in 0u64..1 << 60, star: bool
    ) {
        let (range, total) = (start..start + length, start + length + more);
        let shown = if star { "*".to_owned() } else { total.to_string() };
        let value = format!("bytes {}-{}/{shown}", range.start, range.end - 1);
        let total = (!star).then_some(total);
        prop_assert_eq!(ContentRange::parse(value.as_bytes()), part(range, total));
    }

    #[test]
    fn no_value_panics(value in proptest::collection::vec(any::<u8>(), 0..60)) {
        let _ = ContentRange::parse(&value);
        let _ = ETag::parse(&value);
        let _ = RetryAfter::parse(&value);
        let _ = disposition_filename(&value);
        let _ = disposition_filename(&[b"attachment; filename*=", &value[..]].concat());
    }
}
