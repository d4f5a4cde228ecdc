//! Where PostgreSQL's server programs are.

use std::path::{Path, PathBuf};

use crate::{At as _, PgError};

/// The oldest version the Exchange works with.
const OLDEST: u32 = 14;

/// The folder with `initdb` and `postgres`: the one named in `JHE_PG_BIN`, else the newest of Debian's versioned
/// folders, else the search path.
///
/// The version of a cluster that exists wins over the newest: no other reads its files, and a system upgrade leaves
/// both installed.
pub(crate) fn folder(cluster: &Path) -> Result<PathBuf, PgError> {
    // Programs are started from another folder, so a relative name would be lost.
    let absolute = |path: PathBuf| std::path::absolute(&path).at(path);
    if let Some(named) = std::env::var_os("JHE_PG_BIN").filter(|named| !named.is_empty()) {
        let named = absolute(PathBuf::from(named))?;
        return if complete(&named) { Ok(named) } else { Err(PgError::BadBinaries(named)) };
    }
    if let Some(found) = choose(versions(Path::new("/usr/lib/postgresql")), version_of(cluster)) {
        return Ok(found);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    absolute(std::env::split_paths(&path).find(|folder| complete(folder)).ok_or(PgError::NoBinaries)?)
}

fn versions(root: &Path) -> Vec<(u32, PathBuf)> {
    std::fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            let folder = entry.path().join("bin");
            (version >= OLDEST && complete(&folder)).then_some((version, folder))
        })
        .collect()
}

fn choose(mut versions: Vec<(u32, PathBuf)>, wanted: Option<u32>) -> Option<PathBuf> {
    versions.sort_by_key(|(version, _)| (Some(*version) == wanted, *version));
    versions.pop().map(|(_, folder)| folder)
}

/// The version a cluster was made with.
fn version_of(cluster: &Path) -> Option<u32> {
    std::fs::read_to_string(cluster.join("PG_VERSION")).ok()?.trim().parse().ok()
}

fn complete(folder: &Path) -> bool {
    ["initdb", "postgres"].iter().all(|program| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_taken_unless_a_cluster_has_one() {
        let versions = || [14, 9, 17, 15].map(|version| (version, PathBuf::from(version.to_string()))).to_vec();
        assert_eq!(choose(versions(), None), Some(PathBuf::from("17")));
        assert_eq!(choose(versions(), Some(15)), Some(PathBuf::from("15")));
        assert_eq!(choose(versions(), Some(16)), Some(PathBuf::from("17")));
        assert_eq!(choose(Vec::new(), Some(16)), None);
    }
}
