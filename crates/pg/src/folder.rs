//! Where a private cluster may live.

use std::fs::Permissions;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::account::{Account, may_enter, own_uid};
use crate::{At as _, PgError};

/// A data folder, made and enterable for the database account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDir {
    /// The folder, absolute and without symbolic links.
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
    let wanted = wanted(requested)?;
    choose(&wanted, requested.is_some(), account_of(&wanted)?, Path::new(INSTEAD))
}

/// As [`default_data_dir`], for those who only look: nothing is made, nothing is opened.
///
/// # Errors
/// The same.
pub fn planned_data_dir(requested: Option<&Path>) -> Result<DataDir, PgError> {
    let wanted = wanted(requested)?;
    plan(&wanted, requested.is_some(), account_of(&wanted)?, Path::new(INSTEAD))
}

const INSTEAD: &str = "/var/lib/jhe";

fn wanted(requested: Option<&Path>) -> Result<PathBuf, PgError> {
    resolve(requested.unwrap_or(Path::new("jhe-data")))
}

fn account_of(wanted: &Path) -> Result<Option<Account>, PgError> {
    Account::to_drop_to(&wanted.join("postgres"))
}

fn plan(wanted: &Path, by_hand: bool, account: Option<Account>, instead: &Path) -> Result<DataDir, PgError> {
    match account.and_then(|account| closed_parent(wanted, account)) {
        Some(closed) if by_hand => Err(PgError::ParentNotEnterable(closed)),
        Some(closed) => {
            let current = wanted.parent().unwrap_or(wanted);
            let path = resolve(&instead.join(digest(current)))?;
            let note = format!(
                "The database account cannot enter {}; the data is kept in {}.",
                closed.display(),
                path.display()
            );
            Ok(DataDir { path, note: Some(note) })
        }
        None => Ok(DataDir { path: wanted.to_path_buf(), note: None }),
    }
}

fn choose(wanted: &Path, by_hand: bool, account: Option<Account>, instead: &Path) -> Result<DataDir, PgError> {
    let planned = plan(wanted, by_hand, account, instead)?;
    Ok(DataDir { path: prepare(&planned.path, account)?, ..planned })
}

/// Makes a folder that the account can enter, and answers its real path. Folders above it are never changed, but those
/// that had to be made are ours.
pub(crate) fn prepare(path: &Path, account: Option<Account>) -> Result<PathBuf, PgError> {
    let path = resolve(path)?;
    if let Some(closed) = account.and_then(|account| closed_parent(&path, account)) {
        return Err(PgError::ParentNotEnterable(closed));
    }
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    for folder in missing.into_iter().rev() {
        match std::fs::create_dir(folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => made.at(folder)?,
        }
        // The mask of the user may have closed it.
        open(folder, account)?;
    }
    open(&path, account)?;
    path.canonicalize().at(path)
}

/// Lets the account pass through a folder of ours.
fn open(folder: &Path, account: Option<Account>) -> Result<(), PgError> {
    if account.is_none_or(|account| may_enter(folder, account)) {
        return Ok(());
    }
    if std::fs::metadata(folder).at(folder)?.uid() != own_uid()? {
        return Err(PgError::ParentNotEnterable(folder.to_path_buf()));
    }
    std::fs::set_permissions(folder, Permissions::from_mode(0o711)).at(folder)
}

/// The absolute path, without symbolic links as far as it exists: the account passes the real folders, not the names.
fn resolve(path: &Path) -> Result<PathBuf, PgError> {
    let path = std::path::absolute(path).at(path)?;
    let Some(existing) = path.ancestors().find(|folder| folder.exists()) else { return Ok(path) };
    let real = existing.canonicalize().at(existing)?;
    match path.strip_prefix(existing) {
        // Joining an empty rest would add a slash.
        Ok(rest) if !rest.as_os_str().is_empty() => Ok(real.join(rest)),
        _ => Ok(real),
    }
}

/// The nearest folder above `path` that exists and that the account cannot enter.
fn closed_parent(path: &Path, account: Account) -> Option<PathBuf> {
    path.ancestors().skip(1).find(|parent| parent.exists() && !may_enter(parent, account)).map(Path::to_path_buf)
}

/// A short name for a folder, the same each time and for each build: FNV-1a. Only a name; it protects nothing.
pub(crate) fn digest(path: &Path) -> String {
    let digest = path
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |digest, byte| (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{digest:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    /// Somebody who owns nothing in these tests.
    const STRANGER: Account = Account { uid: 54_321, gid: 54_321 };

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().mode() & 0o777
    }

    fn folder(path: &Path, mode: u32) {
        std::fs::create_dir(path).unwrap();
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_closed_folder_of_ours_is_opened_and_its_parents_are_not() {
        let scratch = Scratch::new("open");
        let closed = scratch.path().join("closed");
        folder(&closed, 0o700);
        let inside = closed.join("data");
        let refused = prepare(&inside, Some(STRANGER));
        assert!(matches!(refused, Err(PgError::ParentNotEnterable(parent)) if parent == closed));
        assert_eq!(mode(&closed), 0o700);
        assert!(!inside.exists());
        assert_eq!(prepare(&closed, Some(STRANGER)).unwrap(), closed);
        assert_eq!(mode(&closed), 0o711);
    }

    #[test]
    fn a_folder_behind_a_link_is_judged_by_its_real_parents() {
        let scratch = Scratch::new("link");
        let closed = scratch.path().join("closed");
        folder(&closed, 0o700);
        folder(&closed.join("data"), 0o755);
        let link = scratch.path().join("link");
        std::os::unix::fs::symlink(closed.join("data"), &link).unwrap();
        assert!(matches!(prepare(&link, Some(STRANGER)), Err(PgError::ParentNotEnterable(parent)) if parent == closed));
    }

    #[test]
    fn new_folders_on_the_way_can_be_entered() {
        let scratch = Scratch::new("deep");
        let deep = scratch.path().join("a/b/c");
        prepare(&deep, Some(STRANGER)).unwrap();
        assert_eq!(closed_parent(&deep.join("postgres"), STRANGER), None);
    }

    #[test]
    fn the_default_gives_way_and_a_folder_given_by_hand_does_not() {
        let scratch = Scratch::new("choice");
        let home = scratch.path().join("home");
        folder(&home, 0o700);
        let (wanted, instead) = (home.join("jhe-data"), scratch.path().join("lib"));
        let planned = plan(&wanted, false, Some(STRANGER), &instead).unwrap();
        assert!(!instead.exists(), "looking makes nothing");
        let chosen = choose(&wanted, false, Some(STRANGER), &instead).unwrap();
        assert_eq!(chosen, planned);
        assert_eq!(chosen.path, instead.join(digest(&home)));
        assert!(chosen.note.unwrap().contains(home.to_str().unwrap()));
        let refused = choose(&wanted, true, Some(STRANGER), &instead);
        assert!(matches!(refused, Err(PgError::ParentNotEnterable(parent)) if parent == home));
        // Without an account to drop to there is nobody to keep out.
        assert_eq!(choose(&wanted, false, None, &instead).unwrap(), DataDir { path: wanted, note: None });
    }

    #[test]
    fn names_of_folders_never_change() {
        assert_eq!(digest(Path::new("")), "cbf29ce484222325");
        assert_eq!(digest(Path::new("a")), "af63dc4c8601ec8c");
        assert_eq!(digest(Path::new("foobar")), "85944171f73967e8");
    }
}
