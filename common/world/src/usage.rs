//! CPU time and memory of a process, as the kernel counts them.

use std::path::Path;
use std::time::Duration;

use crate::files;

/// The kernel counts CPU time in hundredths of a second on every architecture that we build for.
const TICKS_A_SECOND: u32 = 100;

/// The usage of one process, or of a process and its children.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time of all threads, in user mode and in the kernel.
    pub processor: Duration,
    /// Resident memory now.
    pub resident_bytes: u64,
    /// Peak memory.
    pub peak_bytes: u64,
}

impl Usage {
    /// Returns the usage of a running process.
    pub fn of(pid: u32) -> Self {
        let stat = files::read_text(&entry(pid, "stat"));
        let status = files::read_text(&entry(pid, "status"));
        Self {
            processor: processor(&stat).expect("processor time of a running process"),
            resident_bytes: kib(&status, "VmRSS:").expect("VmRSS of a running process") * 1024,
            peak_bytes: kib(&status, "VmHWM:").expect("VmHWM of a running process") * 1024,
        }
    }

    /// Returns the usage of a process and its children.
    pub fn of_family(pid: u32) -> Self {
        let children = files::read_text(&entry(pid, &format!("task/{pid}/children")));
        let pids = children.split_whitespace().filter_map(|child| child.parse().ok());
        pids.map(Self::of).fold(Self::of(pid), Self::plus)
    }

    /// Resets the peak memory of a child process.
    pub fn forget_peak(pid: u32) {
        files::write(&entry(pid, "clear_refs"), "5");
    }

    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            processor: self.processor + other.processor,
            resident_bytes: self.resident_bytes + other.resident_bytes,
            peak_bytes: self.peak_bytes + other.peak_bytes,
        }
    }
}

fn entry(pid: u32, name: &str) -> std::path::PathBuf {
    Path::new("/proc").join(pid.to_string()).join(name)
}

/// Fields 14 and 15, counted behind the name, which may hold spaces and brackets.
fn processor(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11);
    let mut ticks = || times.next()?.parse::<u32>().ok();
    let both = ticks()? + ticks()?;
    Some(Duration::from_secs(1) * both / TICKS_A_SECOND)
}

fn kib(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_a_name_with_brackets() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 9 0 0 0 250 50 0 0 20 0 1 0 1";
        assert_eq!(processor(stat), Some(Duration::from_secs(3)));
    }

    #[test]
    fn this_process_has_memory() {
        let usage = Usage::of(std::process::id());
        assert!(usage.resident_bytes > 0);
        assert!(usage.peak_bytes >= usage.resident_bytes / 2);
    }
}
