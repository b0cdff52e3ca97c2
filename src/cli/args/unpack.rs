//! Flags of archives and compressed files.

use std::path::PathBuf;

use clap::Args;

use crate::cli::size;

/// What is made of an archive, or of a compressed file.
#[derive(Args, Debug)]
#[command(next_help_heading = "Unpacking (tar, and gzip, zstd, xz, bzip2, lz4; told by content)")]
pub(crate) struct UnpackArgs {
    /// Extract the archive while it arrives; DIR must not exist, and appears when all is right
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with_all = ["output", "directory_prefix", "remote_name", "decompress"]
    )]
    pub(crate) extract: Option<PathBuf>,
    /// Drop the first N components of every name
    #[arg(long, value_name = "N", value_parser = size::count, requires = "extract")]
    pub(crate) strip_components: Option<u32>,
    /// Refuse more content than this, holes included
    #[arg(long, value_name = "SIZE", value_parser = size::bytes)]
    pub(crate) max_extracted: Option<u64>,
    /// Make devices and FIFOs, too
    #[arg(long, requires = "extract")]
    pub(crate) devices: bool,
    /// Keep set-user-ID, set-group-ID and sticky bits
    #[arg(long, requires = "extract")]
    pub(crate) preserve_setuid: bool,
    /// As root: give members the owners that the archive names, by number
    #[arg(long, requires = "extract")]
    pub(crate) same_owner: bool,
    /// Save what a compressed file holds; without -o, under its name without .gz and the like
    #[arg(long, conflicts_with = "remote_name")]
    pub(crate) decompress: bool,
}
