//! Makes a cluster, whole or not at all.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::account::Account;
use crate::{At as _, PgError, binaries};

/// Makes a cluster in `folder` unless there is one. `initdb` works beside it and the result takes its name at the end:
/// an interrupted `initdb` leaves files that look like a cluster.
pub(crate) fn ensure(folder: &Path, user: &str, password: &Path, account: Option<Account>) -> Result<(), PgError> {
    if folder.join("PG_VERSION").is_file() {
        return Ok(());
    }
    let is_taken = match std::fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => return Err(error).at(folder),
    };
    if is_taken {
        // Whatever it is, it is not ours to remove.
        return Err(PgError::NotACluster(folder.to_path_buf()));
    }
    let binaries = binaries::folder(folder)?;
    let mut name = folder.as_os_str().to_owned();
    name.push(".new");
    let unfinished = PathBuf::from(name);
    if unfinished.exists() {
        std::fs::remove_dir_all(&unfinished).at(&unfinished)?;
    }
    std::fs::create_dir(&unfinished).at(&unfinished)?;
    std::fs::set_permissions(&unfinished, Permissions::from_mode(0o700)).at(&unfinished)?;
    write_private(password, &random_hex()?)?;
    if let Some(account) = account {
        account.own(&unfinished)?;
        account.own(password)?;
    }
    let mut command = Command::new(binaries.join("initdb"));
    command
        .args(["--no-sync", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--lc-ctype=C.UTF-8", "-U", user])
        .arg("--pwfile")
        .arg(password)
        .arg("-D")
        .arg(&unfinished);
    isolate(&mut command, account);
    let output = command.output().at("initdb")?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
        return Err(PgError::Failed { program: "initdb", output: text });
    }
    std::fs::rename(&unfinished, folder).at(folder)
}

/// Makes a program of PostgreSQL run as the account, from a folder it can enter, and without our environment: that
/// holds secrets of ours and `PG…` settings for other servers.
pub(crate) fn isolate(command: &mut Command, account: Option<Account>) {
    command.current_dir("/").env_clear().env("LC_ALL", "C.UTF-8");
    for name in ["PATH", "LD_LIBRARY_PATH"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    if let Some(account) = account {
        account.run_as(command);
    }
}

pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), PgError> {
    if path.exists() {
        std::fs::remove_file(path).at(path)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).at(path)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).at(path)
}

/// 256 random bits from the system.
fn random_hex() -> Result<String, PgError> {
    let mut bytes = [0_u8; 32];
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).at("/dev/urandom")?;
    Ok(bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
