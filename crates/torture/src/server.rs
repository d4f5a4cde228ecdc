//! The server as a process of its own: started, killed, told to stop.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How servers are started.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    path: PathBuf,
    variables: Vec<(&'static str, String)>,
    log: PathBuf,
}

impl Program {
    /// A server's program, what it finds in its environment, and the file that takes its log.
    pub(crate) fn new(path: &Path, variables: Vec<(&'static str, String)>, log: PathBuf) -> Self {
        Self { path: path.to_owned(), variables, log }
    }

    /// A command of the program.
    pub(crate) fn command(&self, arguments: &[&str]) -> Result<Command> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(&self.path);
        command.args(arguments).envs(self.variables.iter().map(|(name, value)| (*name, value.as_str())));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }

    /// Starts a server on a port.
    pub(crate) fn serve(&self, port: u16) -> Result<Server> {
        let mut command = self.command(&["serve"])?;
        let child = command.env("JHE_BIND", format!("127.0.0.1:{port}")).spawn();
        Ok(Server { child: child.context("the server does not start")?, port })
    }
}

/// A server's process. It is killed when this value goes.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// Where it listens, on the loopback.
    pub(crate) port: u16,
}

impl Server {
    /// Ends it without a chance to do anything.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to stop.
    pub(crate) fn terminate(&self) -> Result<()> {
        signal(self.child.id(), Signal::TERM)
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for its end.
    pub(crate) async fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        bail!("the server does not stop")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Sends a signal to a process.
pub(crate) fn signal(process: u32, signal: Signal) -> Result<()> {
    let process = Pid::from_raw(i32::try_from(process)?).context("no process")?;
    kill_process(process, signal).context("a signal cannot be sent")
}
