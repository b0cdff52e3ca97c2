//! Where bytes go: part file, publish, names.

pub(crate) mod name;
