//! Memory as the kernel accounts it.

use std::fs;

/// Memory of one process over time.
#[derive(Debug)]
pub(crate) struct Watch {
    pid: u32,
    idle: u64,
    highest: u64,
}

/// KiB of a line of `/proc/<pid>/status`.
fn field(pid: u32, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

impl Watch {
    /// Begins with a process that has done nothing yet.
    pub(crate) fn begin(pid: u32) -> Self {
        let idle = field(pid, "VmRSS");
        Self { pid, idle, highest: idle }
    }

    /// Prints the memory of a phase that ends now: what is held, and the most that was. The next phase has a peak of its
    /// own, where the kernel lets us forget the old one.
    pub(crate) fn phase(&mut self, name: &str) {
        let (now, peak) = (field(self.pid, "VmRSS"), field(self.pid, "VmHWM"));
        self.highest = self.highest.max(peak);
        println!("server memory, {name:<19} {now:>8} KiB resident, peak {peak:>8} KiB");
        fs::write(format!("/proc/{}/clear_refs", self.pid), "5").ok();
    }

    /// Prints the memory of the whole run.
    pub(crate) fn end(&mut self) {
        let (now, peak) = (field(self.pid, "VmRSS"), field(self.pid, "VmHWM"));
        self.highest = self.highest.max(peak);
        println!(
            "server memory, whole run: {} KiB when it had just started, {now} KiB now, {} KiB at most",
            self.idle, self.highest
        );
    }
}
