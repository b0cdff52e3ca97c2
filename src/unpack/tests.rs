//! Archives, right and wrong, into a directory beside which nothing may change.

mod codings;
mod honest;
mod hostile;
mod staging;
mod world;

#[expect(unreachable_pub, reason = "written for the end-to-end tests too")]
#[path = "../../tests/support/archive.rs"]
mod archive;
