//! Where a private cluster may live.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::account::{Account, may_enter};
use crate::{At as _, PgError};

/// A data folder, made and enterable for the database account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDir {
    /// The folder.
    pub path: PathBuf,
    /// What the user should know about the choice.
    pub note: Option<String>,
}

/// Chooses and makes the data folder: the one asked for, else `./jhe-data`, else one below `/var/lib/jhe` when the
/// database account cannot reach the current folder.
///
/// # Errors
/// [`PgError::ParentNotEnterable`] for a folder that was asked for and cannot be reached.
pub fn default_data_dir(requested: Option<&Path>) -> Result<DataDir, PgError> {
    let account = Account::to_drop_to()?;
    let current = std::env::current_dir().at(".")?;
    if let Some(requested) = requested {
        let path = current.join(requested);
        prepare(&path, account)?;
        return Ok(DataDir { path, note: None });
    }
    let path = current.join("jhe-data");
    match account.and_then(|account| closed_parent(&path, account)) {
        None => {
            prepare(&path, account)?;
            Ok(DataDir { path, note: None })
        }
        Some(closed) => {
            let path = PathBuf::from("/var/lib/jhe").join(digest(&current));
            prepare(&path, account)?;
            let note = format!(
                "The database account cannot enter {}; the data is kept in {}.",
                closed.display(),
                path.display()
            );
            Ok(DataDir { path, note: Some(note) })
        }
    }
}

/// Makes a folder of ours that the account can enter. Folders above it are never changed.
pub(crate) fn prepare(path: &Path, account: Option<Account>) -> Result<(), PgError> {
    if let Some(closed) = account.and_then(|account| closed_parent(path, account)) {
        return Err(PgError::ParentNotEnterable(closed));
    }
    std::fs::create_dir_all(path).at(path)?;
    if account.is_some_and(|account| !may_enter(path, account)) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o711)).at(path)?;
    }
    Ok(())
}

/// The nearest folder above `path` that exists and that the account cannot enter.
fn closed_parent(path: &Path, account: Account) -> Option<PathBuf> {
    path.ancestors().skip(1).find(|parent| parent.exists() && !may_enter(parent, account)).map(Path::to_path_buf)
}

/// A short name for a folder, the same each time.
pub(crate) fn digest(path: &Path) -> String {
    // SipHash with fixed keys: stable for one build, and only a name.
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
