//! The account the server runs as: PostgreSQL refuses to run as root.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use crate::{At as _, PgError};

/// An unprivileged account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Account {
    /// The account to drop to for a cluster, when this process is root: the one the cluster belongs to already, else
    /// `postgres`, else `nobody`.
    pub(crate) fn to_drop_to(cluster: &Path) -> Result<Option<Self>, PgError> {
        if own_uid()? != 0 {
            return Ok(None);
        }
        // A cluster made before the package that brings the account `postgres` still belongs to `nobody`.
        if cluster.join("PG_VERSION").is_file()
            && let Ok(meta) = std::fs::metadata(cluster)
            && meta.uid() != 0
        {
            return Ok(Some(Self { uid: meta.uid(), gid: meta.gid() }));
        }
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        ["postgres", "nobody"].iter().find_map(|name| parse(&passwd, name)).map(Some).ok_or(PgError::NoAccount)
    }

    /// Makes a command run as the account. The standard library also drops the groups of root.
    pub(crate) fn run_as(self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }

    /// Gives a file or folder to the account.
    pub(crate) fn own(self, path: &Path) -> Result<(), PgError> {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid)).at(path)
    }
}

/// Who this process is: the owner of its own entry in /proc.
pub(crate) fn own_uid() -> Result<u32, PgError> {
    Ok(std::fs::metadata("/proc/self").at("/proc/self")?.uid())
}

fn parse(passwd: &str, name: &str) -> Option<Account> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some(Account { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
}

/// Whether the account may pass through a folder.
pub(crate) fn may_enter(folder: &Path, account: Account) -> bool {
    std::fs::metadata(folder).is_ok_and(|meta| {
        let mode = meta.mode();
        if meta.uid() == account.uid {
            mode & 0o100 != 0
        } else if meta.gid() == account.gid {
            mode & 0o010 != 0
        } else {
            mode & 0o001 != 0
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_name() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534::/:/bin/false\n";
        assert_eq!(parse(passwd, "nobody"), Some(Account { uid: 65534, gid: 65534 }));
        assert_eq!(parse(passwd, "postgres"), None);
    }
}
