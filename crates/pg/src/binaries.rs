//! Where PostgreSQL's server programs are.

use std::path::{Path, PathBuf};

use crate::PgError;

/// The folder with `initdb` and `postgres`: the one named in `JHE_PG_BIN`, else the newest of Debian's versioned
/// folders, else the search path.
pub(crate) fn folder() -> Result<PathBuf, PgError> {
    if let Some(named) = std::env::var_os("JHE_PG_BIN") {
        return Some(PathBuf::from(named)).filter(|folder| complete(folder)).ok_or(PgError::NoBinaries);
    }
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            let folder = entry.path().join("bin");
            (version >= 14 && complete(&folder)).then_some((version, folder))
        })
        .collect();
    versions.sort();
    if let Some((_, newest)) = versions.pop() {
        return Ok(newest);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).find(|folder| complete(folder)).ok_or(PgError::NoBinaries)
}

fn complete(folder: &Path) -> bool {
    ["initdb", "postgres"].iter().all(|program| folder.join(program).is_file())
}
