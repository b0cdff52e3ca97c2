//! Files: the part file and its side files, the journal on disk, publication, digests, names, and
//! what an earlier run left.

pub(crate) mod checks;
pub(crate) mod content;
pub(crate) mod decode;
pub(crate) mod descriptor;
pub(crate) mod dump;
pub(crate) mod existing;
pub(crate) mod follow;
pub(crate) mod hasher;
pub(crate) mod name;
pub(crate) mod output;
pub(crate) mod patience;
pub(crate) mod reread;
pub(crate) mod sink;
pub(crate) mod store;
