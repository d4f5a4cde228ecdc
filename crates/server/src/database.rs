//! Which database a command works on: the configured one, or the private one, started when it is needed.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use jhe_config::Config;
use jhe_domain::Secret;
use jhe_pg::{Cluster, ClusterOptions};
use jhe_store::{AuditWriter, DatabaseOptions, Store, maintenance};

/// A database ready to be connected to. Dropping it stops a private cluster that this process started.
pub struct Database {
    /// How to reach it.
    pub options: DatabaseOptions,
    cluster: Option<Cluster>,
}

/// The name of the database in a private cluster.
const NAME: &str = "jhe";
/// The folder of the cluster in the data folder.
pub(crate) const CLUSTER: &str = "postgres";

impl Database {
    /// Finds the database; starts the private cluster when none is configured.
    pub async fn open(config: &Config) -> Result<Self> {
        if let Some(url) = &config.database.url {
            return Ok(Self { options: options(config, url.reveal()), cluster: None });
        }
        let folder = jhe_pg::default_data_dir(config.server.data_dir.as_deref())?;
        if let Some(note) = &folder.note {
            eprintln!("{note}");
        }
        let cluster = start(folder.path.join(CLUSTER)).await?;
        let server = Secret::new(cluster.url("postgres"));
        maintenance::create_database(&server, NAME, None).await?;
        Ok(Self { options: options(config, &cluster.url(NAME)), cluster: Some(cluster) })
    }

    /// As [`Database::open`], for those who only look: a private cluster that is not there is not made.
    pub async fn existing(config: &Config) -> Result<Option<Self>> {
        if config.database.url.is_some() {
            return Self::open(config).await.map(Some);
        }
        let folder = jhe_pg::planned_data_dir(config.server.data_dir.as_deref())?.path.join(CLUSTER);
        if !jhe_pg::is_cluster(&folder) {
            return Ok(None);
        }
        let cluster = start(folder).await?;
        Ok(Some(Self { options: options(config, &cluster.url(NAME)), cluster: Some(cluster) }))
    }

    /// Connects to it.
    pub async fn connect(&self) -> Result<(Store, AuditWriter)> {
        Store::connect(&self.options).await.map_err(readable).context("the database cannot be reached")
    }

    /// Stops a private cluster that this process started.
    pub async fn close(self) -> Result<()> {
        if let Some(mut cluster) = self.cluster {
            tokio::task::spawn_blocking(move || cluster.stop()).await??;
        }
        Ok(())
    }
}

async fn start(folder: PathBuf) -> Result<Cluster> {
    let options = ClusterOptions { folder, durable: true, settings: Vec::new() };
    Ok(tokio::task::spawn_blocking(move || Cluster::start(&options)).await??)
}

/// How a database at an address is reached.
pub(crate) fn options(config: &Config, url: &str) -> DatabaseOptions {
    DatabaseOptions {
        url: Secret::new(url.to_owned()),
        max_connections: config.database.max_connections,
        acquire_timeout: config.database.acquire_timeout,
        idle_timeout: config.database.idle_timeout,
        statement_timeout: config.database.statement_timeout,
        read_urls: config.database.read_urls.iter().map(|url| Secret::new(url.reveal().to_owned())).collect(),
        slow_statement: config.database.slow_statement,
    }
}

/// A domain error with its cause, for an operator at a terminal.
pub fn readable(error: jhe_domain::Error) -> anyhow::Error {
    match error {
        jhe_domain::Error::Unavailable { source, .. } | jhe_domain::Error::Internal(source) => anyhow!("{source}"),
        jhe_domain::Error::Invalid(violations) => {
            let texts: Vec<_> = violations.0.into_iter().map(|violation| violation.message).collect();
            anyhow!("{}", texts.join("; "))
        }
        other => anyhow!("{other}"),
    }
}
