//! Where it runs: a private PostgreSQL that writes through to disk, demo data, the server as a process of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use jhe_config::Config;
use jhe_domain::Secret;
use jhe_pg::{Cluster, ClusterOptions};
use jhe_store::{AuditWriter, DatabaseOptions, Store, maintenance};
use jhe_testkit::connection::Connection;

use crate::cpu;

/// The name of the database.
const DATABASE: &str = "jhe_bench";

/// A server under load and its database.
pub(crate) struct Place {
    /// Where the server listens.
    pub(crate) address: SocketAddr,
    /// Its public base URL.
    pub(crate) base: String,
    /// Its process.
    pub(crate) server_pid: u32,
    /// The first process of the database.
    pub(crate) postmaster: u32,
    /// The database, for preparing data and for the limits.
    pub(crate) store: Store,
    /// A folder that the database can read files from.
    pub(crate) folder: PathBuf,
    options: DatabaseOptions,
    audit: AuditWriter,
    server: Child,
    cluster: Cluster,
}

/// Connections to the database of their own.
pub(crate) struct Pool {
    /// Each clone takes a connection when it needs one.
    pub(crate) store: Store,
    audit: AuditWriter,
}

impl Pool {
    /// Runs statements that prepare data.
    pub(crate) async fn execute(&self, sql: String) -> Result<()> {
        self.store.execute_raw(sql.leak()).await.map_err(plain)
    }

    /// Closes the connections.
    pub(crate) async fn close(self) {
        self.audit.stop().await;
        self.store.close().await;
    }
}

/// An error of the workspace as one of this program.
#[expect(clippy::needless_pass_by_value, reason = "it is what map_err calls")]
pub(crate) fn plain(error: jhe_domain::error::Error) -> anyhow::Error {
    anyhow!("{error}")
}

impl Place {
    /// Starts everything; `patience` is how many milliseconds a sign-in may wait for its turn, `settings` are for the database.
    pub(crate) async fn start(program: &Path, patience: &str, settings: Vec<(String, String)>) -> Result<Self> {
        ensure!(program.exists(), "{} is not built", program.display());
        let folder = std::env::temp_dir().join(format!("jhe-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let options = ClusterOptions { folder: folder.join("postgres"), durable: true, settings };
        let cluster = tokio::task::spawn_blocking(move || Cluster::start(&options)).await?.context("no database")?;
        let server = Secret::new(cluster.url("postgres"));
        maintenance::create_database(&server, DATABASE, None).await.map_err(plain)?;
        let url = cluster.url(DATABASE);
        let options = DatabaseOptions { max_connections: 16, ..DatabaseOptions::new(url.clone()) };
        maintenance::migrate(&options).await.map_err(plain)?;
        let (store, audit) = Store::connect(&options).await.map_err(plain)?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let base = format!("http://localhost:{port}");
        let variables = [
            ("DATABASE_URL", url),
            ("SITE_URL", base.clone()),
            ("JHE_BIND", format!("127.0.0.1:{port}")),
            ("JHE_LOG", "error".to_owned()),
            // Every operation comes from one address.
            ("AUTH_THROTTLE", "0".to_owned()),
            ("JHE_LOGIN_WAIT_MS", patience.to_owned()),
        ];
        let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        jhe_app::seed::demo(&store, &Config::read(environment, None)?).await.map_err(plain)?;
        let mut command = Command::new(program);
        command.arg("serve").envs(variables.iter().map(|(name, value)| (*name, value.as_str())));
        let server = command.stdin(Stdio::null()).spawn().context("the server does not start")?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        wait_for(address).await?;
        let backend = store.scalar_raw("SELECT pg_backend_pid()::text").await.map_err(plain)?.unwrap_or_default();
        let postmaster = backend.parse().ok().and_then(cpu::parent).context("the database's process")?;
        let server_pid = server.id();
        Ok(Self { address, base, server_pid, postmaster, store, folder, options, audit, server, cluster })
    }

    /// One connection for each worker.
    pub(crate) async fn connections(&self, number: usize) -> Result<Vec<Connection>> {
        let mut connections = Vec::with_capacity(number);
        for _ in 0..number {
            connections.push(Connection::open(self.address).await?);
        }
        Ok(connections)
    }

    /// So many connections to the database that wait up to a time for a statement.
    pub(crate) async fn pool(&self, connections: usize, patience: Duration) -> Result<Pool> {
        let options = DatabaseOptions {
            max_connections: u32::try_from(connections)?,
            acquire_timeout: patience,
            statement_timeout: patience,
            ..self.options.clone()
        };
        let (store, audit) = Store::connect(&options).await.map_err(plain)?;
        Ok(Pool { store, audit })
    }

    /// Runs statements that prepare data.
    pub(crate) async fn execute(&self, sql: String) -> Result<()> {
        self.store.execute_raw(sql.leak()).await.map_err(plain)
    }

    /// The one value that a query answers, as text.
    pub(crate) async fn scalar(&self, sql: String) -> Result<String> {
        self.store.scalar_raw(sql.leak()).await.map_err(plain)?.context("no value")
    }

    /// The one value that a query answers, as a number.
    pub(crate) async fn number(&self, sql: &str) -> Result<i64> {
        Ok(self.scalar(format!("SELECT ({sql})::text")).await?.parse()?)
    }

    /// Stops everything and removes it.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.server.kill()?;
        self.server.wait()?;
        self.audit.stop().await;
        self.store.close().await;
        drop(self.cluster);
        std::fs::remove_dir_all(&self.folder).ok();
        Ok(())
    }
}

async fn wait_for(address: SocketAddr) -> Result<()> {
    for _ in 0..200 {
        if let Ok(mut connection) = Connection::open(address).await
            && connection.send("GET", "/health", "", "").await.is_ok_and(|answer| answer.status == 200)
        {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("the server does not answer")
}
