//! The `http` room.

use uget::http::{
    Error,
    body::{Decoder, Framing},
    escape,
    exchange::Exchange,
    field::{ContentRange, ETag, HttpDate, RetryAfter, disposition_filename},
    redact,
    redirect::{Chain, Origin},
    request::{Ask, Field, Request},
    response::Head,
};
use url::Url;

/// Response heads: more octets never change a verdict, and accessors never panic.
pub fn head(data: &[u8]) {
    let mut verdict = Ok(None);
    // Every prefix of what is short, and a few of what is long.
    let step = data.len() / 500 + 1;
    for end in (0..data.len()).step_by(step).chain([data.len()]) {
        let now = Head::parse(&data[..end]);
        assert!(verdict == Ok(None) || verdict == now);
        verdict = now;
    }
    if let Ok(Some((head, used))) = verdict {
        assert!(used <= data.len());
        if let Ok(framing) = head.framing() {
            let length = head.content_length().map(Framing::Length);
            let bodiless = matches!(head.status, 100..=199 | 204 | 304);
            assert!(bodiless || framing == length.unwrap_or(framing));
        }
        let _ = (head.keep_alive(), head.content_range(), head.validators());
        let _ = (head.retry_after(), head.content_coded(), head.multipart());
        assert!(head.validators().same_version(&head.validators()));
    }
    let _ = Exchange::default().head(data);
}

/// Bodies: however the octets are cut they mean the same, and what a plain decoder says.
pub fn body(data: &[u8]) {
    let [kind, room, cut, wire @ ..] = data else { return };
    let framing = match kind {
        0 => Framing::Close,
        1..=9 => Framing::Length(u64::from(*kind) * 7),
        _ => Framing::Chunked,
    };
    let whole = decode(framing, wire, wire.len(), usize::MAX);
    let pieces = decode(framing, wire, usize::from(*cut), usize::from(*room));
    assert_eq!(whole, pieces);
    if let (Framing::Chunked, Ok((body, true, used))) = (framing, whole) {
        assert_eq!(plain_chunked(wire), Some(body));
        assert!(used <= wire.len() && wire[..used].ends_with(b"\r\n"));
    }
}

/// The body, whether it ended, and the octets used.
type Outcome = Result<(Vec<u8>, bool, usize), Error>;

fn decode(framing: Framing, wire: &[u8], cut: usize, room: usize) -> Outcome {
    let mut decoder = Decoder::new(framing);
    let (mut body, mut kept, mut used) = (Vec::new(), Vec::new(), 0);
    for piece in wire.chunks(cut.max(1)) {
        kept.extend_from_slice(piece);
        loop {
            let input = 0..kept.len();
            let found = decoder.decode(&mut kept, input, room.max(1))?;
            body.extend_from_slice(&kept[found.body]);
            kept.drain(..found.used);
            used += found.used;
            if found.used == 0 || found.end {
                break;
            }
        }
    }
    Ok((body, decoder.is_done(), used))
}

/// Decodes what is known to be well formed.
fn plain_chunked(mut wire: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = wire.windows(2).position(|pair| pair == b"\r\n")?;
        let digits = wire.iter().take_while(|octet| octet.is_ascii_hexdigit()).count();
        let size = std::str::from_utf8(&wire[..digits]).ok()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(wire.get(line + 2..line + 2 + size)?);
        wire = wire.get(line + 2 + size..)?.strip_prefix(b"\r\n")?;
    }
}

/// Field values, locations and text from the other side.
pub fn field(data: &[u8]) {
    let _ = (HttpDate::parse(data), RetryAfter::parse(data), disposition_filename(data));
    if let Some(ContentRange::Part { range, total }) = ContentRange::parse(data) {
        let total = total.map_or("*".to_owned(), |total| total.to_string());
        let again = format!("bytes {}-{}/{total}", range.start, range.end - 1);
        assert_eq!(ContentRange::parse(again.as_bytes()), ContentRange::parse(data));
        assert!(range.start < range.end && range.end <= i64::MAX as u64);
    }
    if let Some(tag) = ETag::parse(data) {
        let again = format!("{}{}", if tag.weak { "W/" } else { "" }, tag.opaque);
        assert_eq!(again.as_bytes(), data);
    }
    let safe = escape(data, 80);
    assert!(safe.chars().count() <= 81 && !safe.contains(char::is_control));
    location(data);
    if let Some((name, value)) = std::str::from_utf8(data).ok().and_then(|t| t.split_once(':')) {
        request(name, value);
    }
}

fn location(data: &[u8]) {
    let Ok(start) = Url::parse("https://user:secret@example.com/a/b?c") else { unreachable!() };
    let mut chain = Chain::new(start.clone(), 3, false);
    if let Ok(next) = chain.follow(Some(data)).cloned() {
        assert_eq!(next.scheme(), "https");
        assert!(next.username().is_empty() && next.password().is_none());
        assert!(next.fragment().is_none());
        assert_eq!(chain.trusted(), Origin::of(&next) == Origin::of(&start));
        assert!(!redact(&next).contains('#'));
        let request = Request { ask: Ask::Part(0..9), ..Request::get(next) }.encode();
        assert_eq!(request.windows(2).filter(|pair| pair == b"\r\n").count(), 7);
        assert_eq!(request.iter().filter(|octet| **octet == b'\n').count(), 7);
    }
}

fn request(name: &str, value: &str) {
    let Ok(field) = Field::new(name, value.as_bytes()) else { return };
    let Ok(url) = Url::parse("http://example.com/") else { unreachable!() };
    let request = Request { fields: vec![field], ..Request::get(url) }.encode();
    let lines = request.iter().filter(|octet| **octet == b'\n').count();
    assert!((6..=7).contains(&lines));
    assert_eq!(request.iter().filter(|octet| **octet == b'\r').count(), lines);
}
