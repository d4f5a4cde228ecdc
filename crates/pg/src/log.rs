//! The log of the server, and where the present start begins in it.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::account::Account;
use crate::{At as _, PgError};

pub(crate) struct Log {
    path: PathBuf,
    file: File,
    start: u64,
}

impl Log {
    /// Opens the log beside the cluster; what is in it already is not about this start.
    pub(crate) fn open(home: &Path, account: Option<Account>) -> Result<Self, PgError> {
        let path = home.join("postgres.log");
        let file = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(&path).at(&path)?;
        if let Some(account) = account {
            account.own(&path)?;
        }
        let start = file.metadata().at(&path)?.len();
        Ok(Self { path, file, start })
    }

    /// A handle for the server to write to.
    pub(crate) fn writer(&self) -> Result<File, PgError> {
        self.file.try_clone().at(&self.path)
    }

    /// The last lines since the start, in one.
    pub(crate) fn tail(&mut self) -> String {
        let mut bytes = Vec::new();
        if self.file.seek(SeekFrom::Start(self.start)).and_then(|_| self.file.read_to_end(&mut bytes)).is_err() {
            return format!("see {}", self.path.display());
        }
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("; ")
    }
}
