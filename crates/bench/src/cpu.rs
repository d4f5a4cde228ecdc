//! CPU time as the kernel accounts it.

use std::fs;

/// Ticks of a second in `/proc`, fixed for user space on Linux.
const TICKS: f64 = 100.0;

/// Fields of `/proc/<pid>/stat` after the name in parentheses.
fn fields(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// Seconds of CPU a process has used, in user and kernel mode; those of children it has waited for too.
pub(crate) fn of_process(pid: u32) -> f64 {
    let Some(fields) = fields(pid) else { return 0.0 };
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
    // utime, stime, cutime, cstime: the 14th to 17th fields of the line, counted from one.
    (ticks(11) + ticks(12) + ticks(13) + ticks(14)) / TICKS
}

/// The parent of a process.
pub(crate) fn parent(pid: u32) -> Option<u32> {
    fields(pid)?.get(1)?.parse().ok()
}

/// Seconds of CPU a process and its children have used.
pub(crate) fn of_tree(root: u32) -> f64 {
    let children = fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        (parent(pid) == Some(root)).then_some(pid)
    });
    of_process(root) + children.map(of_process).sum::<f64>()
}
