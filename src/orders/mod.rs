//! What the two planes say to each other: commands, events, failures and the policy, as values. It
//! knows no machine and no shell.
#![forbid(unsafe_code)]

mod archive;
mod command;
pub(crate) mod expect;
mod extent;
mod failure;
mod policy;
mod span;
mod view;

pub use archive::ArchiveFault;
pub use command::{
    Accept, Attempt, Command, Conn, ConnEvent, Ended, Event, Found, Note, StoreEvent,
};
pub use expect::Expect;
pub use extent::Extent;
pub use failure::{
    ChangedHow, Failure, NameFault, Patience, Phase, RangeFault, StoreOp, TlsFault, Verdict,
};
pub use policy::{Connections, Finished, Pin, Policy};
pub use span::OPEN_END;
pub use view::{Account, Activity, Route, Trouble, View};
