//! What the machine has to spare and what a process used: what one must know to measure on it.

use std::{
    io,
    path::Path,
    process::{Child, ExitStatus},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use wait4::Wait4;

/// What a process used over its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time in user and kernel mode, of all its threads; io_uring's workers are among
    /// them.
    pub cpu: Duration,
    /// The most memory that was resident at once, in bytes. No less than that of the process that
    /// started it, because the kernel counts from before execve(2).
    pub peak_rss: u64,
}

/// Waits until `child` ends, and says how and what it used (wait4(2)).
///
/// # Errors
///
/// What wait4(2) reports, `Interrupted` aside.
pub fn wait_with_usage(mut child: Child) -> io::Result<(ExitStatus, Usage)> {
    let ended = loop {
        match child.wait4() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => break result?,
        }
    };
    let used = ended.rusage;
    Ok((ended.status, Usage { cpu: used.utime + used.stime, peak_rss: used.maxrss }))
}

/// Processor time that this process has used so far.
#[must_use]
pub fn own_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Bytes of memory that can be had without swapping, from `/proc/meminfo`; `None` where that
/// cannot be read.
#[must_use]
pub fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Bytes that an unprivileged user may still write to the filesystem that holds `path`.
///
/// # Errors
///
/// What statvfs(3) reports.
pub fn available_space(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Uses `bytes` of memory once and gives them back. A virtual machine whose host takes unused
/// memory away pays for the first touch of every page, many times what the page costs later;
/// done before a measurement, that is not measured. The process that calls this has a large peak
/// of resident memory from then on, and so have those that it starts.
pub fn touch_memory(bytes: usize) {
    let mut memory = vec![0_u8; bytes];
    for page in memory.chunks_mut(PAGE) {
        page[0] = 1;
    }
    std::hint::black_box(&memory);
}

/// Whether this kernel lets this process set up an io_uring.
///
/// # Errors
///
/// What io_uring_setup(2) reports.
pub fn check_io_uring() -> io::Result<()> {
    io_uring::IoUring::new(8).map(drop)
}

/// The smallest page size; touching more often than needed does no harm.
const PAGE: usize = 4096;

#[cfg(test)]
mod tests {
    use std::{
        os::unix::process::ExitStatusExt,
        process::{Command, Stdio},
    };

    use super::*;

    #[test]
    fn a_child_is_waited_for_and_accounted() {
        let script = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exit 3";
        let child = Command::new("/bin/sh").args(["-c", script]).spawn().expect("a shell");
        let (status, usage) = wait_with_usage(child).expect("a status");
        assert_eq!(status.code(), Some(3));
        assert!(usage.cpu > Duration::ZERO && usage.cpu < Duration::from_secs(60));
        assert!(usage.peak_rss > 256 * 1024 && usage.peak_rss < 1 << 30);

        let mut child = Command::new("/bin/cat").stdin(Stdio::piped()).spawn().expect("a program");
        child.kill().expect("killed");
        let (status, _) = wait_with_usage(child).expect("a status");
        assert_eq!((status.code(), status.signal()), (None, Some(9)));
    }

    #[test]
    fn this_machine_has_something() {
        assert!(available_memory().is_none_or(|bytes| bytes > 0));
        assert!(available_space(Path::new("/")).is_ok());
        assert!(available_space(Path::new("/no/such/place")).is_err());
        let before = own_cpu_time();
        touch_memory(64 * PAGE + 1);
        assert!(own_cpu_time() > before);
    }
}
