//! A transfer among others: its numbers are unlike theirs, and a connection may have had another
//! owner.

use super::Transfer;
use crate::orders::Conn;

impl Transfer {
    /// Numbers connections and attempts within a range that belongs to the `member`th transfer
    /// alone. To be said before the first command is polled.
    pub fn number_from(&mut self, member: u32) {
        self.links.number_from(u64::from(member) << MEMBER_BITS);
    }

    /// The connection `given`, which another transfer had, is there in place of the one that was to
    /// be opened as `wanted`. That it is open is told as of any other.
    pub fn adopt(&mut self, wanted: Conn, given: Conn) {
        if let Some(link) = self.links.remove(&wanted) {
            self.links.insert(given, link);
        }
    }
}

/// No transfer makes as many requests as this has numbers.
const MEMBER_BITS: u32 = 32;
