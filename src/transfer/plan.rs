//! How many connections, and how long a part: arithmetic alone.

use super::pace::Pace;
use crate::orders::{Connections, Policy};

/// How much of a gap a lease takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// All of it.
    All,
    /// All of it, and however far the end of a window is: it comes in order.
    Rest,
    /// Exactly so many bytes, or less at the end.
    Exact(u64),
    /// About so many: a rest of less than half of it comes along.
    About(u64),
}

impl Piece {
    /// Where a piece of the gap `start..end` ends.
    pub(super) fn cut(self, start: u64, end: u64) -> u64 {
        match self {
            Self::All | Self::Rest => end,
            Self::Exact(size) => start.saturating_add(size.max(1)).min(end),
            Self::About(size) => {
                let size = size.max(1);
                let cut = start.saturating_add(size).min(end);
                if end - cut < size.div_ceil(2) { end } else { cut }
            }
        }
    }
}

/// Whether the user allows one connection alone: then there is one plain GET, and no probe.
pub(super) fn is_single(policy: &Policy) -> bool {
    most(policy) <= 1
}

/// The most connections that the user allows.
pub(super) fn most(policy: &Policy) -> usize {
    match policy.connections {
        _ if policy.compressed => 1,
        Connections::Auto { max } => max.max(1),
        Connections::Exactly(count) => count.max(1),
    }
}

/// The most connections that `bytes` are worth (CF-01): each gets a split at least. How many of
/// them auto opens is the ramp's affair.
pub(super) fn connections(policy: &Policy, bytes: u64) -> usize {
    usize::try_from(bytes / policy.min_split.max(1)).unwrap_or(usize::MAX).clamp(1, most(policy))
}

/// How much the next lease takes on a connection that ran at `pace` so far, with `left` bytes
/// missing in all and `connections` at work (design.md, "How bytes are handed out").
pub(super) fn piece(policy: &Policy, pace: &Pace, left: u64, connections: usize) -> Piece {
    let grain = grain(policy, connections);
    if let Some(size) = policy.part_size {
        return Piece::Exact(size.min(grain));
    }
    let auto = matches!(policy.connections, Connections::Auto { .. });
    let fair = match connections {
        // Others may come, and taking from a running request costs its connection.
        0 | 1 if auto => left,
        0 | 1 if policy.window.is_none() => return Piece::All,
        _ => left / (2 * connections as u64),
    };
    let (trips, first) = match policy.window {
        None => (ROUND_TRIPS, FIRST_PART),
        Some(_) => (ROUND_TRIPS / 2, FIRST_PART / 2),
    };
    let size = pace.worth(trips).max(first).min(pace.step());
    Piece::About(even(size.min(fair).clamp(MIN_PART, MAX_PART), grain))
}

/// The longest part of a stream: every connection has one, and another one waits for it. A lease
/// may be half as long again.
pub(super) fn grain(policy: &Policy, connections: usize) -> u64 {
    let parts = 2 * connections.max(2) as u64;
    policy.window.map_or(u64::MAX, |window| (window / parts).max(1))
}

/// A part of a stream ends where a block does, if that is a power of two.
fn even(size: u64, grain: u64) -> u64 {
    if grain == u64::MAX {
        return size;
    }
    let size = size.min(grain).max(1);
    let unit = (1 << size.ilog2()).min(MIN_PART);
    size / unit * unit
}

/// The time that a part takes at least, in round trips of its connection: 5 % are lost to them. Of
/// a stream half as many: what its consumer is not given soon is in no cache any more.
const ROUND_TRIPS: u32 = 20;

/// The first part of a connection.
const FIRST_PART: u64 = 1 << 20;

/// No part is shorter, but the last.
const MIN_PART: u64 = 256 << 10;

/// No part is longer.
const MAX_PART: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_explicit_number_is_obeyed_while_each_gets_min_split() {
        let policy = Policy { connections: Connections::Exactly(16), ..Policy::default() };
        for (bytes, want) in [(1, 1), (3 << 20, 3), ((4 << 20) - 1, 3), (1 << 30, 16)] {
            assert_eq!(connections(&policy, bytes), want, "{bytes} bytes");
        }
        let auto = Policy::default();
        for (mib, want) in [(0, 1), (1, 1), (5, 5), (1024, 16)] {
            assert_eq!(connections(&auto, mib << 20), want, "at most, for {mib} MiB");
        }
        let none = Policy { connections: Connections::Exactly(0), ..Policy::default() };
        assert_eq!(connections(&none, 1 << 30), 1, "zero connections are one");
    }

    #[test]
    fn a_piece_absorbs_a_tail_shorter_than_half() {
        assert_eq!(Piece::About(100).cut(0, 149), 149);
        assert_eq!(Piece::About(100).cut(0, 150), 100);
        assert_eq!(Piece::About(100).cut(7, 50), 50);
        assert_eq!(Piece::Exact(100).cut(0, 101), 100);
        assert_eq!(Piece::All.cut(3, u64::MAX), u64::MAX);
        assert_eq!(Piece::Exact(u64::MAX).cut(u64::MAX - 1, u64::MAX), u64::MAX);
    }

    #[test]
    fn parts_follow_rate_and_round_trip_within_bounds() {
        let policy = Policy::default();
        let size = |pace: &Pace, left, connections| match piece(&policy, pace, left, connections) {
            Piece::About(size) => size,
            other => panic!("{other:?}"),
        };
        let mut pace = Pace::default();
        assert_eq!(size(&pace, 1 << 40, 8), 1 << 20, "1 MiB before anything is measured");
        for _ in 0..10 {
            let rate_10_mb = Duration::from_millis(100);
            pace.measure(1_000_000, rate_10_mb, Some(Duration::from_millis(100)));
            pace.leased(size(&pace, 1 << 40, 8));
        }
        let part = size(&pace, 1 << 40, 8);
        assert!((15 << 20..25 << 20).contains(&part), "20 round trips of 1 MB each: {part}");
        assert_eq!(size(&pace, 16 << 20, 8), 1 << 20, "never more than left / (2 x connections)");
        assert_eq!(size(&pace, 1 << 20, 8), MIN_PART);
    }
}
