//! Both ends of a stream.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use super::*;

const SHAPE: Shape = Shape { block: 16, blocks: 5 };
const LONG: Duration = Duration::from_secs(60);

fn octet(at: u64) -> u8 {
    (at.wrapping_mul(0x9e37_79b9) >> 7) as u8
}

fn bytes(range: std::ops::Range<u64>) -> Vec<u8> {
    range.map(octet).collect()
}

/// Everything up to the end.
fn drain(outlet: &mut Outlet, gulp: usize) -> (Vec<u8>, Next) {
    let mut all = Vec::new();
    loop {
        match outlet.next(LONG) {
            Next::Bytes => {
                let count = outlet.bytes().len().min(gulp);
                all.extend_from_slice(&outlet.bytes()[..count]);
                outlet.consume(count);
            }
            end => return (all, end),
        }
    }
}

#[test]
fn many_writers_make_one_order() {
    for gulp in [1, 5, 16, 100] {
        let (inlet, mut outlet) = stream(SHAPE);
        let total = 5000_u64;
        let next = AtomicU64::new(0);
        thread::scope(|scope| {
            let reader = scope.spawn(|| drain(&mut outlet, gulp));
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        loop {
                            let start = next.fetch_add(7, Ordering::Relaxed);
                            if start >= total {
                                break;
                            }
                            let range = start..(start + 7).min(total);
                            while !inlet.write(&bytes(range.clone()), start).unwrap() {
                                thread::yield_now();
                            }
                        }
                    });
                }
            });
            inlet.finish(total);
            let (all, end) = reader.join().unwrap();
            assert!(all == bytes(0..total), "{gulp}");
            assert_eq!(end, Next::End);
        });
    }
}

/// PG-20: a page is used again only when all of it was consumed.
#[test]
fn what_was_read_in_part_is_not_written_over() {
    let (inlet, mut outlet) = stream(SHAPE);
    assert!(inlet.write(&bytes(0..64), 0).unwrap());
    assert_eq!(outlet.next(LONG), Next::Bytes);
    outlet.consume(15);
    assert!(!inlet.write(&[0], 64).unwrap(), "one byte of the first block is still to be read");
    assert_eq!(outlet.bytes(), bytes(15..16));
    assert!(outlet.consume(1));
    assert!(inlet.write(&bytes(64..80), 64).unwrap());
    assert!(!inlet.write(&[0], 80).unwrap());
    inlet.finish(80);
    assert_eq!(drain(&mut outlet, 3), (bytes(16..80), Next::End));
}

/// PG-02: the window is a small part of the object.
#[test]
fn a_long_object_goes_through_a_small_window() {
    let (inlet, mut outlet) = stream(Shape { block: 8, blocks: 9 });
    let mut all = Vec::new();
    let mut at = 0;
    while at < 1000 {
        let end = (at + 13).min(1000);
        if inlet.write(&bytes(at..end), at).unwrap() {
            at = end;
        } else {
            assert_eq!(outlet.next(LONG), Next::Bytes);
            all.extend_from_slice(outlet.bytes());
            outlet.consume(usize::MAX);
        }
    }
    inlet.finish(1000);
    all.extend(drain(&mut outlet, 1000).0);
    assert!(all == bytes(0..1000));
}

/// PG-16: what is there in order, then the failure; a gap is not the end.
#[test]
fn a_failure_is_met_where_it_belongs() {
    let (inlet, mut outlet) = stream(SHAPE);
    inlet.write(&bytes(0..20), 0).unwrap();
    inlet.write(&bytes(30..40), 30).unwrap();
    inlet.fail();
    assert_eq!(drain(&mut outlet, 7), (bytes(0..20), Next::Broken));
    assert_eq!(outlet.next(LONG), Next::Broken);
    assert!(inlet.write(&[1], 20).is_err(), "it is too late");
}

#[test]
fn a_consumer_that_is_gone_takes_nothing() {
    let (inlet, outlet) = stream(SHAPE);
    drop(outlet);
    assert!(inlet.write(&[1], 0).is_err());
    let (inlet, mut outlet) = stream(SHAPE);
    inlet.write(&[1], 0).unwrap();
    inlet.close();
    assert_eq!(outlet.next(LONG), Next::Broken, "it is cancelled");
    let (inlet, mut outlet) = stream(SHAPE);
    inlet.write(&[1, 2], 0).unwrap();
    assert_eq!(outlet.next(LONG), Next::Bytes);
    outlet.consume(1);
    inlet.close();
    assert_eq!(outlet.next(LONG), Next::Broken, "also in the middle of a piece");
}

#[test]
fn a_byte_that_comes_twice_is_our_own_fault() {
    let (inlet, mut outlet) = stream(SHAPE);
    inlet.write(&[1, 2], 0).unwrap();
    assert!(matches!(inlet.write(&[2], 1), Err(Failure::Internal(_))));
    assert!(inlet.restart());
    inlet.write(&[3], 0).unwrap();
    assert_eq!(outlet.next(LONG), Next::Bytes);
    assert_eq!(outlet.bytes(), [3]);
    assert!(!inlet.restart(), "it has begun");
}

#[test]
fn one_who_waits_is_woken() {
    let (inlet, mut outlet) = stream(SHAPE);
    assert_eq!(outlet.next(Duration::ZERO), Next::Quiet);
    for end in [Next::Bytes, Next::End] {
        let inlet = inlet.clone();
        thread::scope(|scope| {
            let reader = scope.spawn(|| outlet.next(LONG));
            match end {
                Next::Bytes => drop(inlet.write(&[1], 0)),
                _ => inlet.finish(1),
            }
            assert_eq!(reader.join().unwrap(), end);
        });
        outlet.consume(1);
    }
}
