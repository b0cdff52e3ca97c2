//! Checksum files, as `sha256sum` and its like write them: bytes to names and digests. Pure.
//!
//! | line | |
//! |---|---|
//! | `HEX  NAME`, `HEX *NAME`, `HEX NAME` | the algorithm is told by the digest's length |
//! | `SHA256 (NAME) = HEX`, `SHA256(NAME)= HEX` | with the algorithm's name |
//! | `HEX` | of the file that the list lies beside |
//! | `#...`, nothing | says nothing |
//!
//! A line that begins with a backslash has `\n`, `\r` and `\\` in its name. A list with a NUL in it
//! is one whose lines end in NUL. The armour of a PGP message is skipped, and nothing outside of it
//! counts; its signature is not checked. Any other line is a fault: none is skipped silently.
#![forbid(unsafe_code)]

mod line;
mod list;
mod reader;
#[cfg(test)]
mod tests;

pub use self::{
    list::{Entry, List, Unknown, Unlisted, add},
    reader::{Fault, MOST, beside, parse},
};
