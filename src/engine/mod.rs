//! The shells: threads, sockets, files and clocks around the state machines.
