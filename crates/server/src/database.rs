//! Which database a command works on: the configured one, or the private one, started when it is needed.

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

impl Database {
    /// Finds the database; starts the private cluster when none is configured.
    pub async fn open(config: &Config) -> Result<Self> {
        let (url, cluster) = if let Some(url) = &config.database.url {
            (url.reveal().to_owned(), None)
        } else {
            let folder = jhe_pg::default_data_dir(config.server.data_dir.as_deref())?;
            if let Some(note) = &folder.note {
                eprintln!("{note}");
            }
            let options = ClusterOptions { folder: folder.path.join("postgres"), durable: true, settings: Vec::new() };
            let cluster = tokio::task::spawn_blocking(move || Cluster::start(&options)).await??;
            let server = Secret::new(cluster.url("postgres"));
            maintenance::create_database(&server, NAME, None).await?;
            (cluster.url(NAME), Some(cluster))
        };
        let options = DatabaseOptions {
            url: Secret::new(url),
            max_connections: config.database.max_connections,
            acquire_timeout: config.database.acquire_timeout,
            idle_timeout: config.database.idle_timeout,
            statement_timeout: config.database.statement_timeout,
            read_urls: config.database.read_urls.iter().map(|url| Secret::new(url.reveal().to_owned())).collect(),
            slow_statement: config.database.slow_statement,
        };
        Ok(Self { options, cluster })
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
