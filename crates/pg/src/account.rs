//! The account the server runs as: PostgreSQL refuses to run as root.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use crate::PgError;

/// An unprivileged account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Account {
    /// The account to drop to, when this process is root.
    pub(crate) fn to_drop_to() -> Result<Option<Self>, PgError> {
        if !is_root() {
            return Ok(None);
        }
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        ["postgres", "nobody"].iter().find_map(|name| parse(&passwd, name)).map(Some).ok_or(PgError::NoAccount)
    }

    /// Makes a command run as the account.
    pub(crate) fn run_as(self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }
}

/// Whether this process is root: the owner of its own entry in /proc.
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
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
