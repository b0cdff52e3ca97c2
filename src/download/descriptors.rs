//! How many connections the limit on open files allows.

use url::Url;

use crate::{engine::descriptors_left, http::redirect::is_http, options::Connections};

/// As many connections as there are descriptors left for (RLIMIT_NOFILE), at least one.
pub(super) fn within_descriptors(connections: Connections, url: &Url) -> Connections {
    let each = if is_http(url) { 1 } else { DESCRIPTORS_SOURCE };
    let most = (descriptors_left().saturating_sub(DESCRIPTORS_OWN) / each).max(1);
    match connections {
        Connections::Auto { max } => Connections::Auto { max: max.min(most) },
        // One means one plain GET, which is not what somebody who wants ranges asked for.
        Connections::Exactly(count) if count > 1 => Connections::Exactly(count.min(most.max(2))),
        one => one,
    }
}

/// Descriptors that a download needs besides its sockets and what is open when they are counted:
/// the journal and its successor, a look-up, a socket that races another.
const DESCRIPTORS_OWN: usize = 5;
/// Descriptors of a connection to a source: two sockets, a command's pipes, and what it takes to
/// start that.
const DESCRIPTORS_SOURCE: usize = 6;
