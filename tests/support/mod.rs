//! What the end-to-end tests stand on: a fault-injecting origin, a raw script server, a real nginx,
//! and a way to run the real binary in a fresh directory, sandboxed and bounded in time.

#![expect(unreachable_pub, reason = "a room of a test crate, written as one of its own")]

pub mod archive;
mod authority;
mod bad;
mod disk;
mod front;
mod gate;
mod mode;
mod nginx;
mod object;
mod origin;
mod pty;
mod record;
mod reply;
pub mod request;
mod run;
mod sandbox;
mod script;
mod test;
#[cfg(test)]
mod tests;

pub use authority::{Authority, LOCAL, Leaf, TRUSTED};
pub use bad::{Bad, BadPlace};
pub use disk::SmallDisk;
pub use front::{Front, Manners};
pub use gate::Gate;
pub use mode::{Lie, Mode, Redirect};
pub use nginx::Nginx;
pub use object::{Object, hex};
pub use origin::{Limit, Origin, Setup, behind_tls};
pub use pty::Pty;
pub use reply::{Body, Chunked, End, Framing, Reply, Version};
pub use run::{Invocation, Output, Running, at_once, is_long};
pub use sandbox::{Sandbox, is_root};
pub use script::Script;
pub use test::{Engine, Test};
