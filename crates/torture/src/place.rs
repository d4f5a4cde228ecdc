//! Where it runs: a private PostgreSQL that writes through to disk, demo data and our own, a proxy before the database, the
//! server behind it. The harness itself reaches the database without the proxy.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use jhe_config::Config;
use jhe_domain::Secret;
use jhe_domain::error::Error;
use jhe_pg::{Cluster, ClusterOptions};
use jhe_store::{AuditWriter, DatabaseOptions, Store, maintenance};
use rustix::process::Signal;

use crate::proxy::Proxy;
use crate::server::{Program, Server, signal};
use crate::world;

/// The name of the database.
const DATABASE: &str = "jhe_torture";
/// How long the database may take to answer after a fault.
const PATIENCE: Duration = Duration::from_secs(30);

/// The port at which clients ask.
#[derive(Debug)]
pub(crate) struct Target(AtomicU16);

impl Target {
    /// The port at the moment.
    pub(crate) fn port(&self) -> u16 {
        self.0.load(Ordering::Acquire)
    }

    /// Sends clients elsewhere from now on.
    pub(crate) fn switch(&self, port: u16) {
        self.0.store(port, Ordering::Release);
    }
}

/// A server, its database, and the way between them.
pub(crate) struct Place {
    /// Where clients ask.
    pub(crate) target: Arc<Target>,
    /// The way to the database.
    pub(crate) proxy: Proxy,
    /// How servers are started.
    pub(crate) program: Program,
    /// The one that runs.
    pub(crate) server: Server,
    /// Two ports, so that a server can start before another has ended.
    pub(crate) ports: [u16; 2],
    /// Where the database is without the proxy.
    pub(crate) url: String,
    folder: PathBuf,
    options: ClusterOptions,
    cluster: Option<Cluster>,
    store: Store,
    audit: AuditWriter,
}

/// An error of the workspace as one of this program, with its cause.
fn plain(error: Error) -> anyhow::Error {
    match error {
        Error::Unavailable { source, .. } | Error::Internal(source) => anyhow!("{source}"),
        other => anyhow!("{other}"),
    }
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

async fn start_cluster(options: &ClusterOptions) -> Result<Cluster> {
    let options = options.clone();
    tokio::task::spawn_blocking(move || Cluster::start(&options)).await?.context("no database")
}

impl Place {
    /// Starts everything.
    pub(crate) async fn start(program: &Path) -> Result<Self> {
        ensure!(program.exists(), "{} is not built", program.display());
        let folder = std::env::temp_dir().join(format!("jhe-torture-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let options = ClusterOptions { folder: folder.join("postgres"), durable: true, settings: Vec::new() };
        let cluster = start_cluster(&options).await?;
        maintenance::create_database(&Secret::new(cluster.url("postgres")), DATABASE, None).await.map_err(plain)?;
        let url = cluster.url(DATABASE);
        // One connection, so that all others of the database are the server's.
        let reach = DatabaseOptions { max_connections: 1, ..DatabaseOptions::new(url.clone()) };
        maintenance::migrate(&reach).await.map_err(plain)?;
        let (store, audit) = Store::connect(&reach).await.map_err(plain)?;
        let proxy = Proxy::start(cluster.socket_dir().join(".s.PGSQL.5432")).await?;
        let ports = [free_port()?, free_port()?];
        let [port, _] = ports;
        let variables = vec![
            ("DATABASE_URL", through(&url, proxy.port)?),
            ("SITE_URL", format!("http://localhost:{port}")),
            ("JHE_LOG", "warn".to_owned()),
            // Every operation comes from one address.
            ("AUTH_THROTTLE", "0".to_owned()),
        ];
        let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        jhe_app::seed::demo(&store, &Config::read(environment, None)?).await.map_err(plain)?;
        store.execute_raw(world::setup().leak()).await.map_err(plain)?;
        let program = Program::new(program, variables, folder.join("server.log"));
        let server = program.serve(port)?;
        let target = Arc::new(Target(AtomicU16::new(port)));
        let cluster = Some(cluster);
        Ok(Self { target, proxy, program, server, ports, url, folder, options, cluster, store, audit })
    }

    /// The one value that a query answers, as text; asked again while the database is away.
    pub(crate) async fn scalar(&self, sql: String) -> Result<String> {
        self.ask(sql.leak()).await
    }

    /// As [`Place::scalar`], for a query that is asked often.
    pub(crate) async fn ask(&self, sql: &'static str) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.store.scalar_raw(sql).await {
                Ok(value) => return Ok(value.unwrap_or_default()),
                Err(error) if Instant::now() > deadline => return Err(plain(error)).with_context(|| sql.to_owned()),
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }

    /// The one value that a query answers, as a number.
    pub(crate) async fn number(&self, sql: &'static str) -> Result<i64> {
        self.ask(sql).await?.parse().with_context(|| sql.to_owned())
    }

    /// Where logs and data are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Ends PostgreSQL at once, as a power cut would, but for what the system has been given to write.
    pub(crate) async fn crash_database(&mut self) -> Result<()> {
        let text = std::fs::read_to_string(self.options.folder.join("postmaster.pid"))?;
        let postmaster = text.lines().next().and_then(|line| line.trim().parse().ok()).context("no postmaster")?;
        signal(postmaster, Signal::QUIT)?;
        if let Some(mut cluster) = self.cluster.take() {
            tokio::task::spawn_blocking(move || cluster.stop()).await??;
        }
        Ok(())
    }

    /// Starts PostgreSQL again and waits until it takes connections.
    pub(crate) async fn start_database(&mut self) -> Result<()> {
        self.cluster = Some(start_cluster(&self.options).await?);
        Ok(())
    }

    /// Stops everything, and removes it unless it is to be kept.
    pub(crate) async fn stop(mut self, keep: bool) -> Result<()> {
        self.server.kill()?;
        self.audit.stop().await;
        self.store.close().await;
        drop(self.cluster);
        if keep {
            println!("kept: {}", self.folder.display());
        } else {
            std::fs::remove_dir_all(&self.folder).ok();
        }
        Ok(())
    }
}

/// The address of a database that is reached through a port of this machine.
fn through(url: &str, port: u16) -> Result<String> {
    let (head, _) = url.split_once('?').context("an address with a socket")?;
    let (account, rest) = head.split_once('@').context("an address with an account")?;
    let (_, database) = rest.split_once('/').context("an address with a database")?;
    Ok(format!("{account}@127.0.0.1:{port}/{database}?sslmode=disable"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_through_the_proxy_keeps_account_and_database() {
        let url = "postgres://jhe:secret@localhost:5432/jhe_torture?host=%2Ftmp%2Fsocket";
        assert_eq!(through(url, 4711).unwrap(), "postgres://jhe:secret@127.0.0.1:4711/jhe_torture?sslmode=disable");
    }
}
