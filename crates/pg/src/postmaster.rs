//! The server process of a folder: whether it lives, how to tell it to stop.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{At as _, PgError};

/// What `postmaster.pid` says. The file outlives a server that was killed.
struct PidFile {
    pid: u32,
    socket: Option<PathBuf>,
}

fn read(folder: &Path) -> Option<PidFile> {
    let text = std::fs::read_to_string(folder.join("postmaster.pid")).ok()?;
    // Process, data folder, start, port, socket folder, …
    let pid = text.lines().next()?.trim().parse().ok()?;
    let socket = text.lines().nth(4).map(str::trim).filter(|line| line.starts_with('/')).map(PathBuf::from);
    Some(PidFile { pid, socket })
}

/// Which process a number belongs to.
#[derive(Debug, PartialEq, Eq)]
enum Process {
    /// The server of the folder.
    Server,
    /// Certainly not the server: it works elsewhere, or has ended and waits to be noticed by its parent.
    Other,
    /// No process, or one we may not look at.
    Unknown,
}

fn look(pid: u32, folder: &Path) -> Process {
    let process = PathBuf::from(format!("/proc/{pid}"));
    // The state follows the name, which may hold anything but ends at the last parenthesis.
    let stat = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
    if stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z')) {
        return Process::Other;
    }
    // A server works in its data folder.
    if let (Ok(theirs), Ok(ours)) = (std::fs::metadata(process.join("cwd")), std::fs::metadata(folder)) {
        let is_same = (theirs.dev(), theirs.ino()) == (ours.dev(), ours.ino());
        return if is_same { Process::Server } else { Process::Other };
    }
    // Without the right to trace, as root in a container, the command line is what remains to be seen.
    let command = std::fs::read(process.join("cmdline")).unwrap_or_default();
    let wanted = folder.as_os_str().as_encoded_bytes();
    if command.split(|byte| *byte == 0).any(|argument| argument == wanted) { Process::Server } else { Process::Unknown }
}

/// The living server of a folder.
pub(crate) fn running(folder: &Path) -> Option<u32> {
    let file = read(folder)?;
    (look(file.pid, folder) == Process::Server).then_some(file.pid)
}

/// The folder of the socket of the server of a folder, which may differ from the one a new server would get.
pub(crate) fn socket(folder: &Path) -> Option<PathBuf> {
    read(folder)?.socket
}

/// Removes the traces of a killed server whose number is a zombie's or some other program's by now. The server itself
/// sorts out all other stale files, but takes any such process of its own account for a rival; small containers reuse
/// numbers and may have nobody who buries the dead.
///
/// Orphans of a killed server still keep a new one out, by the shared memory they hold.
pub(crate) fn forget_stale(folder: &Path, socket: &Path) -> Result<(), PgError> {
    let lock = socket.join(format!(".s.PGSQL.{}.lock", crate::socket::PORT));
    for path in [folder.join("postmaster.pid"), lock] {
        let pid = std::fs::read_to_string(&path).ok().and_then(|text| text.lines().next()?.trim().parse().ok());
        if pid.is_some_and(|pid| look(pid, folder) == Process::Other) {
            std::fs::remove_file(&path).at(path)?;
        }
    }
    Ok(())
}

/// Sends a signal. The shell's own `kill` is everywhere; the program of that name is not in small images.
pub(crate) fn signal(name: &str, pid: u32) -> Result<(), PgError> {
    Command::new("/bin/sh")
        .args(["-c", r#"kill -s "$1" "$2""#, "sh", name, &pid.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .at("/bin/sh")?;
    Ok(())
}

/// Stops the server of a folder and waits until it is gone.
pub(crate) fn stop(folder: &Path, patience: Duration) -> Result<(), PgError> {
    let Some(pid) = running(folder) else { return Ok(()) };
    signal("INT", pid)?;
    let deadline = Instant::now() + patience;
    while running(folder) == Some(pid) {
        if Instant::now() > deadline {
            return Err(PgError::NotStopped(folder.to_path_buf()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_number_taken_over_by_another_program_is_no_server() {
        let scratch = Scratch::new("stale");
        let folder = scratch.path();
        let pid_file = folder.join("postmaster.pid");
        let ours = std::process::id();
        std::fs::write(&pid_file, format!("{ours}\n{}\n1\n5432\n/tmp/x\n", folder.display())).unwrap();
        assert_eq!(look(ours, folder), Process::Other);
        assert_eq!(running(folder), None);
        assert_eq!(socket(folder), Some(PathBuf::from("/tmp/x")));
        forget_stale(folder, folder).unwrap();
        assert!(!pid_file.exists());
    }

    #[test]
    fn files_of_the_dead_are_left_to_the_server() {
        let scratch = Scratch::new("dead");
        let folder = scratch.path();
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let pid_file = folder.join("postmaster.pid");
        std::fs::write(&pid_file, format!("{}\n", child.id())).unwrap();
        assert_eq!(running(folder), None);
        forget_stale(folder, folder).unwrap();
        assert!(pid_file.exists());
    }

    #[test]
    fn a_program_at_work_in_the_folder_is_its_server_until_it_ends() {
        let scratch = Scratch::new("cwd");
        let mut child = Command::new("sleep").arg("60").current_dir(scratch.path()).spawn().unwrap();
        std::fs::write(scratch.path().join("postmaster.pid"), format!("{}\n", child.id())).unwrap();
        assert_eq!(running(scratch.path()), Some(child.id()));
        child.kill().unwrap();
        // It becomes a zombie: nobody has asked for its status yet.
        let deadline = Instant::now() + Duration::from_secs(10);
        while look(child.id(), scratch.path()) != Process::Other && Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert_eq!(look(child.id(), scratch.path()), Process::Other);
        child.wait().unwrap();
    }
}
