//! The Unix socket of a cluster: where it lies, and whether somebody answers.

use std::fs::{DirBuilder, Permissions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::account::{Account, own_uid};
use crate::{At as _, PgError, folder};

/// Names the socket; nothing listens on it as a port.
pub(crate) const PORT: u16 = 5432;
/// The longest path a Unix socket may have.
const LONGEST: usize = 107;

/// Makes the folder of the socket: beside the data, or a short one for a long path. Only root and the account get in.
pub(crate) fn make_folder(home: &Path, account: Option<Account>) -> Result<PathBuf, PgError> {
    let socket = place(home);
    match DirBuilder::new().mode(0o700).create(&socket) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        made => made.at(&socket)?,
    }
    // In /tmp somebody else may have taken the name: a folder of theirs could hold a socket of theirs.
    let meta = std::fs::symlink_metadata(&socket).at(&socket)?;
    if !meta.is_dir() || !(meta.uid() == own_uid()? || account.is_some_and(|account| account.uid == meta.uid())) {
        let source = std::io::Error::other("belongs to somebody else");
        return Err(PgError::Io { path: socket, source });
    }
    std::fs::set_permissions(&socket, Permissions::from_mode(0o700)).at(&socket)?;
    if let Some(account) = account {
        account.own(&socket)?;
    }
    Ok(socket)
}

fn place(home: &Path) -> PathBuf {
    let beside = home.join("socket");
    let longest = beside.join(format!(".s.PGSQL.{PORT}.lock"));
    // The server reads a list here: a comma would end the name, a quote begin one.
    let is_plain = beside.to_str().is_some_and(|text| !text.contains([',', '"']));
    if is_plain && longest.as_os_str().len() <= LONGEST {
        beside
    } else {
        Path::new("/tmp").join(format!("jhe-{}", folder::digest(home)))
    }
}

/// Removes what a stopped server leaves in /tmp. A folder beside the data stays.
pub(crate) fn clean(socket: &Path) {
    if socket.parent() == Some(Path::new("/tmp")) {
        std::fs::remove_dir(socket).ok();
    }
}

/// Whether a server takes connections: it listens before it is ready, so ask it to begin a session.
pub(crate) fn accepts(socket: &Path, user: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = UnixStream::connect(socket.join(format!(".s.PGSQL.{PORT}")))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        let parameters = format!("user\0{user}\0database\0postgres\0\0");
        let length = u32::try_from(parameters.len() + 8).unwrap_or_default();
        stream.write_all(&length.to_be_bytes())?;
        stream.write_all(&196_608_u32.to_be_bytes())?;
        stream.write_all(parameters.as_bytes())?;
        let mut answer = Vec::new();
        // A question for the password leaves the connection open, so read its first byte alone.
        (&stream).take(1).read_to_end(&mut answer)?;
        if answer == b"E" {
            stream.take(4096).read_to_end(&mut answer)?;
        }
        Ok(is_ready(&answer))
    };
    ask().unwrap_or(false)
}

/// Whether an answer comes from a server that is up. Any refusal does, such as too many connections, but for "not now":
/// starting, stopping or recovering.
fn is_ready(answer: &[u8]) -> bool {
    const NOT_NOW: &[u8] = b"C57P03\0";
    match answer.first() {
        Some(b'R') => true,
        Some(b'E') => !answer.windows(NOT_NOW.len()).any(|window| window == NOT_NOW),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_too_long_or_reads_as_a_list_gets_a_short_one() {
        assert_eq!(place(Path::new("/srv/jhe")), Path::new("/srv/jhe/socket"));
        for home in [format!("/{}", "x".repeat(90)), "/srv/a,b".to_owned(), "/srv/a\"b".to_owned()] {
            assert_eq!(place(Path::new(&home)).parent(), Some(Path::new("/tmp")), "{home}");
        }
    }

    #[test]
    fn answers_tell_ready_from_not_now() {
        assert!(is_ready(b"R"));
        assert!(is_ready(b"E\0\0\0\x20SFATAL\0C53300\0Mtoo many clients\0\0"));
        assert!(!is_ready(b"E\0\0\0\x20SFATAL\0C57P03\0Mthe database system is starting up\0\0"));
        assert!(!is_ready(b""));
    }
}
