//! Flags and variables, and what they come to.
