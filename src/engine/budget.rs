//! How the memory that a stream may take is divided: half of it at most are receive buffers, the
//! rest is the window.

use std::path::{Path, PathBuf};

use crate::{options::MEMORY_MIN as LEAST, stream::Shape};

/// The shares of a stream's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// The most connections.
    pub(crate) connections: usize,
    /// How much a connection writes at a time.
    pub(crate) write: usize,
    /// The window.
    pub(crate) shape: Shape,
}

impl Budget {
    /// Divides `memory` bytes for so many connections, or as many as there is room for. `slack` is
    /// what a connection's buffer has besides what it writes at a time.
    pub(crate) fn of(memory: u64, connections: usize, slack: usize) -> Self {
        let memory = usize::try_from(memory.max(LEAST)).unwrap_or(usize::MAX);
        let half = memory / 2;
        let fits = |write: &usize| connections.saturating_mul(write + slack) <= half;
        let write = WRITES.into_iter().find(fits).unwrap_or(WRITE_MIN);
        let connections = connections.min(half / (write + slack)).max(1);
        let block = (memory / BLOCKS).clamp(WRITE_MIN, WRITE_MAX).min(write).next_power_of_two();
        // The consumer has a copy of a block besides.
        let blocks = (memory - connections * (write + slack)) / block - 1;
        Self { connections, write, shape: Shape { block, blocks } }
    }
}

/// Divides `memory` bytes between a stream and the decoder behind it, which may need much and
/// seldom does.
pub(crate) fn with_decoder(memory: u64) -> (u64, u64) {
    let decoder = memory / 8 * 5;
    (memory - decoder, decoder.max(DECODER_LEAST))
}

/// What a stream may take where nobody has said it: little of what the control group has.
pub(crate) fn memory_by_default() -> u64 {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = limit_files(&own).into_iter().filter_map(|path| limit(&path));
    limits.min().map_or(DEFAULT, |limit| (limit / 4).clamp(LEAST, DEFAULT))
}

/// The files that may limit a process in these control groups (cgroups(7)): its own and all above.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else { continue };
        let (root, name) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            of if of.split(',').any(|of| of == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        // Within a container the group's name may be the host's: then the root is its own.
        let group = Path::new(group.trim_start_matches('/'));
        files.extend(group.ancestors().map(|group| Path::new(root).join(group).join(name)));
    }
    files
}

fn limit(file: &Path) -> Option<u64> {
    // "max" is no limit.
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// What the decoders of the usual settings of every coding can do with.
const DECODER_LEAST: u64 = 8 << 20;

/// What a stream may take, unless the machine is small.
const DEFAULT: u64 = 128 << 20;

/// What a connection writes at a time: as much as there is room for. More than fits a processor's
/// cache does not help.
const WRITES: [usize; 5] = [WRITE_MAX, 128 << 10, 64 << 10, 32 << 10, WRITE_MIN];
const WRITE_MAX: usize = 256 << 10;
const WRITE_MIN: usize = 16 << 10;

/// How many blocks a window has at least, about.
const BLOCKS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const SLACK: usize = 64 << 10;

    #[test]
    fn window_and_buffers_are_within_the_memory() {
        for memory in [2, 3, 8, 32, 128, 1000] {
            for connections in [1, 2, 8, 16, 64, 256] {
                let budget = Budget::of(memory << 20, connections, SLACK);
                let buffers = budget.connections * (budget.write + SLACK);
                let Shape { block, blocks } = budget.shape;
                let all = buffers + (blocks + 1) * block;
                assert!(all <= memory as usize * 1024 * 1024, "{budget:?}");
                assert!(all >= memory as usize * 1000 * 1000, "{budget:?}");
                assert!(blocks >= 20, "{budget:?}");
            }
        }
        let all = Budget::of(128 << 20, 256, SLACK);
        assert_eq!((all.connections, all.write), (256, 128 << 10));
        assert_eq!(Budget::of(2 << 20, 64, SLACK).connections, 12);
        assert_eq!(Budget::of(128 << 20, 16, SLACK).write, 256 << 10);
    }

    #[test]
    fn every_control_group_above_counts() {
        let files = limit_files("0::/a.slice/b\n3:cpu,memory:/c\n4:cpuset:/d\n");
        let files: Vec<_> = files.iter().map(|file| file.to_str().unwrap()).collect();
        let wanted = [
            "/sys/fs/cgroup/a.slice/b/memory.max",
            "/sys/fs/cgroup/a.slice/memory.max",
            "/sys/fs/cgroup/memory.max",
            "/sys/fs/cgroup/memory/c/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        ];
        assert_eq!(files, wanted);
        assert!(memory_by_default() >= LEAST);
    }
}
