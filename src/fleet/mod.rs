//! Decides about many transfers: which of them an idle connection serves, totals, per-host caps.
#![forbid(unsafe_code)]
