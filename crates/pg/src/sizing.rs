//! Settings that follow from the size of the machine. PostgreSQL ships with what fits the smallest.

use std::path::Path;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// Settings for a cluster that has this machine, or this container, to itself and to us.
pub(crate) fn settings() -> Vec<(&'static str, String)> {
    memory().map(for_memory).unwrap_or_default()
}

/// A quarter of the memory for the pages of tables, as PostgreSQL's manual advises, and room for the log of changes: the
/// sooner it fills, the more often whole pages go into it.
fn for_memory(bytes: u64) -> Vec<(&'static str, String)> {
    let in_mib = |bytes: u64| format!("{}MB", bytes / MIB);
    vec![
        ("shared_buffers", in_mib((bytes / 4).clamp(128 * MIB, 8 * GIB))),
        ("effective_cache_size", in_mib((bytes / 2).max(256 * MIB))),
        ("max_wal_size", in_mib(if bytes < 2 * GIB { GIB } else { 8 * GIB })),
        ("checkpoint_timeout", "15min".to_owned()),
        // Disks without moving parts.
        ("random_page_cost", "1.1".to_owned()),
    ]
}

/// The memory there is: the container's share of the machine's.
fn memory() -> Option<u64> {
    let machine = machine_memory(&std::fs::read_to_string("/proc/meminfo").ok()?)?;
    let share = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .into_iter()
        .find_map(|path| std::fs::read_to_string(Path::new(path)).ok()?.trim().parse().ok());
    Some(machine.min(share.unwrap_or(machine)))
}

fn machine_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * KIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_memory_holds_pages_within_bounds() {
        let buffers = |bytes| for_memory(bytes).into_iter().find(|(name, _)| *name == "shared_buffers").unwrap().1;
        assert_eq!(buffers(256 * MIB), "128MB");
        assert_eq!(buffers(4 * GIB), "1024MB");
        assert_eq!(buffers(256 * GIB), "8192MB");
    }

    #[test]
    fn the_machine_tells_its_memory_in_kibibytes() {
        assert_eq!(machine_memory("MemTotal:       16384 kB\nMemFree: 1 kB\n"), Some(16 * MIB));
        assert_eq!(machine_memory("MemFree: 1 kB\n"), None);
        assert!(memory().unwrap() > 128 * MIB);
    }
}
