//! A private PostgreSQL cluster: made, started and stopped by the program that needs it.
//!
//! Floor 1: knows processes and folders, no SQL. [`Cluster::start`] is where to begin; [`default_data_dir`] says where a
//! cluster may live. Linux only: whether a server lives is read from `/proc`.

mod account;
mod binaries;
mod cluster;
mod folder;
mod initialize;
mod log;
mod postmaster;
#[cfg(test)]
mod scratch;
mod socket;

pub use cluster::{Cluster, ClusterOptions};
pub use folder::{DataDir, default_data_dir, planned_data_dir};

use std::path::{Path, PathBuf};

/// Whether a folder holds a cluster.
pub fn is_cluster(folder: &Path) -> bool {
    folder.join("PG_VERSION").is_file()
}

/// Where the server programs for a cluster are, which need not be there yet.
///
/// # Errors
/// [`PgError::NoBinaries`] and [`PgError::BadBinaries`].
pub fn programs(cluster: &Path) -> Result<PathBuf, PgError> {
    binaries::folder(cluster)
}

/// Why there is no cluster.
#[derive(Debug, thiserror::Error)]
pub enum PgError {
    /// PostgreSQL's server programs are not installed.
    #[error(
        "PostgreSQL's server programs were not found: install them (apt install postgresql), name their folder in JHE_PG_BIN, or set DATABASE_URL"
    )]
    NoBinaries,
    /// `JHE_PG_BIN` names a folder without the server programs.
    #[error(
        "JHE_PG_BIN names {0}, which does not hold initdb and postgres: correct it, or unset it and apt install postgresql"
    )]
    BadBinaries(PathBuf),
    /// Run as root, but there is no account to run the server as.
    #[error("PostgreSQL does not run as root, and there is no account postgres or nobody to run it as")]
    NoAccount,
    /// The database account cannot enter a folder above the data folder.
    #[error("the database account cannot enter {0}: choose another folder")]
    ParentNotEnterable(PathBuf),
    /// The folder holds something, and it is not a cluster. It is left alone.
    #[error("{0} is neither empty nor a PostgreSQL cluster: move it away, or choose another data folder")]
    NotACluster(PathBuf),
    /// A server runs in the folder, but takes no connections.
    #[error("a PostgreSQL server runs in {0} but takes no connections: the folder is in use")]
    InUse(PathBuf),
    /// A server was told to stop and did not.
    #[error("the PostgreSQL server in {0} does not stop")]
    NotStopped(PathBuf),
    /// A file or folder could not be used.
    #[error("{path}: {source}")]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A program failed.
    #[error("{program} failed: {output}")]
    Failed {
        /// Its name.
        program: &'static str,
        /// What it said last.
        output: String,
    },
    /// The server did not get ready in time.
    #[error("the private database did not get ready: {0}")]
    NotReady(String),
}

pub(crate) trait At<T> {
    /// Names the path an I/O error is about.
    fn at(self, path: impl Into<PathBuf>) -> Result<T, PgError>;
}

impl<T> At<T> for std::io::Result<T> {
    fn at(self, path: impl Into<PathBuf>) -> Result<T, PgError> {
        self.map_err(|source| PgError::Io { path: path.into(), source })
    }
}
