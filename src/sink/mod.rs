//! Where bytes go: part file, publish, names.
