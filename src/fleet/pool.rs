//! Connections that are open, idle and of no transfer.

use std::{collections::VecDeque, net::IpAddr};

use crate::{http::redirect::Origin, orders::Conn};

/// Idle connections, the one used last in front: it is the least likely to be dead.
#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: VecDeque<Idle>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Idle {
    pub(super) conn: Conn,
    pub(super) origin: Option<Origin>,
    pub(super) peer: Option<IpAddr>,
}

impl Pool {
    pub(super) fn put(&mut self, idle: Idle) {
        self.idle.push_front(idle);
    }

    /// One to this origin.
    pub(super) fn take(&mut self, origin: Option<&Origin>) -> Option<Idle> {
        let origin = origin?;
        let at = self.idle.iter().position(|idle| idle.origin.as_ref() == Some(origin))?;
        self.idle.remove(at)
    }

    /// The one that was idle for longest.
    pub(super) fn pop(&mut self) -> Option<Conn> {
        self.idle.pop_back().map(|idle| idle.conn)
    }

    /// It is dead.
    pub(super) fn remove(&mut self, conn: Conn) {
        self.idle.retain(|idle| idle.conn != conn);
    }

    pub(super) fn len(&self) -> usize {
        self.idle.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.idle.is_empty()
    }
}
