//! Bodies cut anywhere come out whole, and broken framing never does.

use proptest::prelude::*;

use super::*;

/// Feeds `wire` in pieces of the sizes in `cuts` (cycled), each with `room`; leftovers are kept and
/// shown again. Returns the body, whether it ended, and how many octets were used.
fn run(
    framing: Framing,
    wire: &[u8],
    cuts: &[usize],
    room: usize,
) -> Result<(Vec<u8>, bool, usize), Error> {
    let mut decoder = Decoder::new(framing);
    let mut body = Vec::new();
    let mut buffer = vec![0xEE; 3];
    let (mut fed, mut used) = (0, 0);
    for cut in cuts.iter().cycle() {
        let piece = wire.get(fed..(fed + cut).min(wire.len())).unwrap_or_default();
        fed += piece.len();
        buffer.extend_from_slice(piece);
        loop {
            let input = 3..buffer.len();
            let kept = buffer.clone();
            let found = decoder.decode(&mut buffer, input, room)?;
            assert!(found.body.len() <= room);
            assert!(3 <= found.body.start && found.body.end <= 3 + found.used);
            assert_eq!(buffer[3 + found.used..], kept[3 + found.used..], "leftovers are not moved");
            body.extend_from_slice(&buffer[found.body]);
            used += found.used;
            buffer.drain(3..3 + found.used);
            assert_eq!(found.end, decoder.is_done());
            if found.end {
                return Ok((body, true, used));
            }
            if found.used == 0 {
                break;
            }
        }
        if fed == wire.len() {
            break;
        }
    }
    Ok((body, false, used))
}

fn chunked(wire: &[u8]) -> Result<(Vec<u8>, bool, usize), Error> {
    run(Framing::Chunked, wire, &[usize::MAX / 2], usize::MAX)
}

#[test]
fn lengths_are_not_copied_and_stop_at_the_end() {
    let mut decoder = Decoder::new(Framing::Length(5));
    let mut buffer = *b"..hello, world";
    let found = decoder.decode(&mut buffer, 2..4, usize::MAX).unwrap();
    assert_eq!(found, Decoded { used: 2, body: 2..4, end: false });
    assert_eq!(decoder.remaining(), Some(3));
    assert_eq!(decoder.eof(), Err(Error::Truncated));
    let found = decoder.decode(&mut buffer, 4..14, 1).unwrap();
    assert_eq!(found, Decoded { used: 1, body: 4..5, end: false });
    let found = decoder.decode(&mut buffer, 5..14, usize::MAX).unwrap();
    assert_eq!(found, Decoded { used: 2, body: 5..7, end: true });
    let found = decoder.decode(&mut buffer, 7..14, usize::MAX).unwrap();
    assert_eq!(found, Decoded { used: 0, body: 7..7, end: true });
    assert_eq!((decoder.remaining(), decoder.eof()), (Some(0), Ok(())));
    assert_eq!(&buffer, b"..hello, world");
}

#[test]
fn an_empty_body_is_done_at_once() {
    assert!(Decoder::new(Framing::Length(0)).is_done());
    assert_eq!(run(Framing::Length(0), b"x", &[1], 9), Ok((vec![], true, 0)));
}

#[test]
fn close_delimited_bodies_end_with_the_connection() {
    let mut decoder = Decoder::new(Framing::Close);
    let found = decoder.decode(&mut [1, 2, 3], 0..3, 2).unwrap();
    assert_eq!(found, Decoded { used: 2, body: 0..2, end: false });
    assert_eq!((decoder.remaining(), decoder.is_done()), (None, false));
    assert_eq!(decoder.eof(), Ok(()));
    assert!(decoder.is_done());
}

#[test]
fn an_input_outside_the_buffer_is_clamped() {
    let mut decoder = Decoder::new(Framing::Length(9));
    assert_eq!(decoder.decode(&mut [0; 4], 2..9, 9).unwrap().body, 2..4);
    assert_eq!(decoder.decode(&mut [0; 4], 7..9, 9).unwrap().used, 0);
}

#[test]
fn chunks_are_joined_without_their_framing() {
    for wire in [
        &b"5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n"[..],
        b"00000005\r\nhello\r\n7;a=b;c=\"d e\"\r\n, world\r\n000\r\n\r\n",
        b"5 ;x\r\nhello\r\n7\t \t;\r\n, world\r\n0;last\r\nDigest: x\r\nA:\r\n\r\n",
        b"c\r\nhello, world\r\n0\r\n\r\n",
        b"C\r\nhello, world\r\n0000000000000000\r\n\r\n",
    ] {
        let all = (b"hello, world".to_vec(), true, wire.len());
        assert_eq!(chunked(wire), Ok(all.clone()));
        assert_eq!(run(Framing::Chunked, &[wire, b"HTTP/1.1"].concat(), &[1], 1), Ok(all));
        for end in 0..wire.len() {
            let (body, done, used) = chunked(&wire[..end]).unwrap();
            assert!(b"hello, world".starts_with(&body) && !done && used == end);
        }
    }
}

#[test]
fn the_first_chunk_stays_where_it_is() {
    let mut buffer = *b"4\r\nabcd\r\n2\r\nef\r\n0\r\n\r\n";
    let length = buffer.len();
    let found = Decoder::new(Framing::Chunked).decode(&mut buffer, 0..length, 99).unwrap();
    assert_eq!(found, Decoded { used: length, body: 3..9, end: true });
    assert_eq!(&buffer[found.body], b"abcdef");
}

#[test]
fn with_exactly_enough_room_the_end_is_seen() {
    let mut decoder = Decoder::new(Framing::Chunked);
    let mut buffer = *b"4\r\nabcd\r\n0\r\n\r\n";
    let found = decoder.decode(&mut buffer, 0..14, 4).unwrap();
    assert_eq!(found, Decoded { used: 14, body: 3..7, end: true });
    // One octet too many is seen as octets that stay unused, without an end.
    let mut decoder = Decoder::new(Framing::Chunked);
    let mut buffer = *b"5\r\nabcde\r\n0\r\n\r\n";
    let found = decoder.decode(&mut buffer, 0..15, 4).unwrap();
    assert_eq!(found, Decoded { used: 7, body: 3..7, end: false });
    assert_eq!(decoder.decode(&mut buffer, 7..15, 0).unwrap().used, 0);
    assert_eq!(
        decoder.decode(&mut buffer, 7..15, 1).unwrap(),
        Decoded { used: 8, body: 7..8, end: true }
    );
}

#[test]
fn bad_chunks_are_refused() {
    for wire in [
        &b"\r\n"[..],
        b"-1\r\n",
        b"+1\r\n",
        b"0x1\r\n",
        b"g\r\n",
        b" 5\r\n",
        b"5 \r\n",
        b"5 5\r\n",
        b";a\r\n",
        b"5\n",
        b"5\rh",
        b"5;a\nhello",
        b"5;a\0\r\n",
        b"5\0\r\n",
        b"3\r\nhello\r\n",
        b"5\r\nhello\n",
        b"5\r\nhello\rx",
        b"5\r\nhello0\r\n",
        b"8000000000000000\r\n",
        b"ffffffffffffffff\r\n",
        b"00000000000000001\r\n",
        b"0\r\n\n",
        b"0\r\n\rx",
        b"0\r\n: x\r\n",
        b"0\r\n folded\r\n",
        b"0\r\na b: c\r\n",
        b"0\r\nname\r\n",
        b"0\r\na: \0\r\n",
        b"0\r\na: b\rc",
        b"0\r\na: b\nc",
        b"0\r\nHTTP/1.1 200 OK\r\n",
    ] {
        let whole = chunked(wire);
        assert!(matches!(whole, Err(Error::BadChunk(_))), "{:?}", wire.escape_ascii().to_string());
        assert_eq!(run(Framing::Chunked, wire, &[1], 1), whole);
    }
}

#[test]
fn endless_lines_and_trailers_are_refused() {
    let long = |octets: usize| [&b"1;"[..], &vec![b'a'; octets], b"\r\n"].concat();
    assert!(chunked(&long(4096)).is_ok());
    assert!(chunked(&long(4097)).is_err());
    assert!(chunked(&[&b"1"[..], &[b' '; 5000]].concat()).is_err());
    assert!(chunked(&[&b"0\r\n"[..], &b"a: b\r\n".repeat(10_000)].concat()).is_ok());
    assert!(chunked(&[&b"0\r\n"[..], &b"a: b\r\n".repeat(11_000)].concat()).is_err());
    assert!(chunked(&[&b"0\r\n"[..], &[b'a'; 70_000]].concat()).is_err());
}

#[test]
fn the_largest_chunk_does_not_overflow() {
    assert_eq!(chunked(b"7fffffffffffffff\r\nabc"), Ok((b"abc".to_vec(), false, 21)));
    let mut decoder = Decoder::new(Framing::Length(u64::MAX));
    assert_eq!(decoder.decode(&mut [0; 4], 0..4, usize::MAX).unwrap().used, 4);
    assert_eq!(decoder.remaining(), Some(u64::MAX - 4));
}

fn wire() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let chunk = proptest::collection::vec(any::<u8>(), 1..40);
    let extension = prop_oneof![Just(""), Just(";a"), Just(" ;a=\"b\"")];
    let trailer = prop_oneof![Just(""), Just("A: b\r\n"), Just("A: b\r\nC:\r\n")];
    (proptest::collection::vec((chunk, extension), 0..8), trailer).prop_map(|(chunks, trailer)| {
        let (mut wire, mut body) = (Vec::new(), Vec::new());
        for (data, extension) in chunks {
            wire.extend(format!("{:x}{extension}\r\n", data.len()).bytes());
            wire.extend(&data);
            wire.extend(b"\r\n");
            body.extend(data);
        }
        wire.extend(format!("0\r\n{trailer}\r\n").bytes());
        (wire, body)
    })
}

proptest! {
    #[test]
    fn any_chunking_cut_anywhere_is_the_same_body(
        (wire, body) in wire(),
        cuts in proptest::collection::vec(1usize..30, 1..20),
        room in 1usize..50,
    ) {
        let length = wire.len();
        let next = [&wire[..], b"HTTP/1.1 200 OK"].concat();
        prop_assert_eq!(run(Framing::Chunked, &next, &cuts, room), Ok((body, true, length)));
    }

    #[test]
    fn noise_means_the_same_however_it_is_cut(
        noise in proptest::collection::vec(
            prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'0'), Just(b'2'), Just(b';'), Just(b':'), any::<u8>()], 0..40),
        cuts in proptest::collection::vec(1usize..9, 1..9),
    ) {
        let cut = run(Framing::Chunked, &noise, &cuts, 3);
        prop_assert_eq!(cut, chunked(&noise));
    }
}
