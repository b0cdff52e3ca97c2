//! Which addresses are tried in which order, and what is remembered about them: pure.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

/// What connections of this download have learnt about addresses.
#[derive(Debug, Default)]
pub(super) struct Standing {
    known: BTreeMap<SocketAddr, Mark>,
    opened: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// A first connection is being tried.
    Trying,
    /// Has answered.
    Good,
    /// Refused, unreachable, or slower than [`super::race::STAGGER`] where another was not.
    Dead,
}

/// What a connection that wants to open is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Try these in order.
    Go(Vec<SocketAddr>),
    /// Another connection is finding out about the first of them.
    Wait,
}

impl Standing {
    /// A ticket: the how-manieth connection of this download it is.
    pub(super) fn ticket(&mut self) -> usize {
        let ticket = self.opened;
        self.opened = ticket.wrapping_add(1);
        ticket
    }

    /// The turn of the `ticket`-th connection. With `patient`, it waits for another's first
    /// attempt on the address that would be its own; so a dead one costs a single attempt.
    pub(super) fn turn(
        &mut self,
        addresses: &[SocketAddr],
        ticket: Option<usize>,
        avoid: Option<IpAddr>,
        patient: bool,
    ) -> Turn {
        let order = self.order(addresses, ticket, avoid);
        let Some(first) = order.first() else { return Turn::Go(order) };
        match self.known.get(first) {
            Some(Mark::Trying) if patient => Turn::Wait,
            Some(_) => Turn::Go(order),
            None => {
                self.known.insert(*first, Mark::Trying);
                Turn::Go(order)
            }
        }
    }

    /// Takes in how a race ended: who won, who failed, and who was overtaken.
    pub(super) fn learn(&mut self, outcome: &Outcome) {
        for dead in &outcome.dead {
            self.known.insert(*dead, Mark::Dead);
        }
        for open in &outcome.open {
            if self.known.get(open) == Some(&Mark::Trying) {
                self.known.remove(open);
            }
        }
        match outcome.winner {
            Some(winner) => {
                self.known.insert(winner, Mark::Good);
            }
            // When none is left, the marks say nothing any more.
            None => {
                self.known.retain(|a, m| *m != Mark::Dead || !outcome.dead.contains(a));
            }
        }
    }

    /// Families take turns, the system's first choice first (RFC 8305 section 4); connections
    /// start at one after the other; then the one to avoid, and the dead.
    fn order(
        &self,
        addresses: &[SocketAddr],
        ticket: Option<usize>,
        avoid: Option<IpAddr>,
    ) -> Vec<SocketAddr> {
        let (dead, mut live): (Vec<_>, Vec<_>) =
            interleave(addresses).into_iter().partition(|a| self.known.get(a) == Some(&Mark::Dead));
        if let Some(ticket) = ticket
            && let Some(start) = ticket.checked_rem(live.len())
        {
            live.rotate_left(start);
        }
        let (avoided, mut order): (Vec<_>, Vec<_>) =
            live.into_iter().partition(|a| Some(a.ip()) == avoid);
        order.extend(avoided);
        order.extend(dead);
        order
    }
}

/// How a race ended, for those that come after.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The address that is connected.
    pub(super) winner: Option<SocketAddr>,
    /// Refused, unreachable, or overtaken by one that started later.
    pub(super) dead: Vec<SocketAddr>,
    /// Nothing is known: the time was up, or it had hardly started.
    pub(super) open: Vec<SocketAddr>,
}

/// Alternates the families, keeping the order within each.
fn interleave(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (ours, theirs): (Vec<_>, Vec<_>) =
        addresses.iter().copied().partition(|a| a.is_ipv6() == first_is_v6);
    let longest = ours.len().max(theirs.len());
    (0..longest).flat_map(|i| ours.get(i).into_iter().chain(theirs.get(i)).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(n: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, n], 80))
    }

    fn v6(n: u16) -> SocketAddr {
        SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, n], 80))
    }

    fn go(turn: Turn) -> Vec<SocketAddr> {
        match turn {
            Turn::Go(order) => order,
            Turn::Wait => panic!("must not wait"),
        }
    }

    #[test]
    fn families_take_turns_and_the_first_one_starts() {
        let all = [v6(1), v6(2), v6(3), v4(1)];
        assert_eq!(interleave(&all), [v6(1), v4(1), v6(2), v6(3)]);
        assert_eq!(interleave(&[v4(1), v4(2), v6(1)]), [v4(1), v6(1), v4(2)]);
        assert_eq!(interleave(&[]), []);
    }

    #[test]
    fn connections_spread_over_the_addresses() {
        let mut standing = Standing::default();
        let all = [v4(1), v4(2), v4(3)];
        let firsts: Vec<_> = (0..4)
            .map(|k| {
                let order = go(standing.turn(&all, Some(k), None, false));
                standing.learn(&Outcome { winner: Some(order[0]), ..Outcome::default() });
                order[0]
            })
            .collect();
        assert_eq!(firsts, [v4(1), v4(2), v4(3), v4(1)]);
        assert_eq!(go(standing.turn(&all, None, None, true))[0], v4(1), "without spreading");
    }

    #[test]
    fn the_avoided_one_comes_after_the_others_and_before_the_dead() {
        let mut standing = Standing::default();
        standing.learn(&Outcome { winner: Some(v4(1)), dead: vec![v4(2)], open: vec![] });
        let order = go(standing.turn(&[v4(1), v4(2), v4(3)], Some(0), Some(v4(1).ip()), true));
        assert_eq!(order, [v4(3), v4(1), v4(2)]);
    }

    #[test]
    fn a_first_attempt_is_waited_for_and_a_dead_address_is_tried_once() {
        let mut standing = Standing::default();
        let all = [v4(1), v4(2)];
        assert_eq!(go(standing.turn(&all, Some(0), None, true)), all);
        assert_eq!(standing.turn(&all, Some(2), None, true), Turn::Wait);
        standing.learn(&Outcome { winner: Some(v4(2)), dead: vec![v4(1)], open: vec![] });
        assert_eq!(go(standing.turn(&all, Some(2), None, true)), [v4(2), v4(1)]);
        assert_eq!(go(standing.turn(&all, Some(3), None, true)), [v4(2), v4(1)]);
    }

    #[test]
    fn an_attempt_without_an_outcome_leaves_no_one_waiting() {
        let mut standing = Standing::default();
        let all = [v4(1)];
        assert_eq!(go(standing.turn(&all, Some(0), None, true)), all);
        standing.learn(&Outcome { open: vec![v4(1)], ..Outcome::default() });
        assert_eq!(go(standing.turn(&all, Some(1), None, true)), all);
    }

    #[test]
    fn when_all_are_dead_all_are_tried_again() {
        let mut standing = Standing::default();
        let all = [v4(1), v4(2)];
        standing.learn(&Outcome { winner: None, dead: all.to_vec(), open: vec![] });
        assert_eq!(go(standing.turn(&all, Some(1), None, true)), [v4(2), v4(1)]);
    }
}
