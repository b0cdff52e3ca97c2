//! The shells: threads, sockets, files and clocks around the state machines.

pub(crate) mod connect;
pub(crate) mod resolve;
pub(crate) mod store;
