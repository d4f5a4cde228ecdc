//! Starts a server, and stops it without losing a request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use jhe_app::App;
use jhe_config::Config;
use jhe_domain::clock::Clock;
use jhe_http::stopping::Stopping;
use jhe_outbound::trace::Exporter;
use jhe_store::{AuditWriter, Store, maintenance};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::connections::{self, Bounds};
use crate::database::{Database, readable};
use crate::{background, metrics, routes};

/// A server that is listening.
pub struct Running {
    /// Where.
    pub addresses: Vec<SocketAddr>,
    /// Where metrics are told.
    pub metrics_address: Option<SocketAddr>,
    /// What its handlers hold.
    pub app: App,
    stopping: Stopping,
    store: Store,
    audit: AuditWriter,
    traces: Option<Exporter>,
    background: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    /// Metrics are told as long as this is there: until everything else has ended.
    _metrics: watch::Sender<bool>,
    delay: Duration,
    grace: Duration,
}

/// Starts the application on a migrated database and listens on `listeners`.
pub async fn start(
    database: &Database,
    config: Config,
    clock: Arc<dyn Clock>,
    listeners: Vec<TcpListener>,
) -> Result<Running> {
    let (store, audit) = database.connect().await?;
    if store.follow_cluster().await.map_err(readable)? {
        tracing::info!(
            "the database was moved here from another cluster: readings go on in the order of their arrival"
        );
    }
    let (delay, grace) = (config.server.shutdown_delay, config.server.shutdown_grace);
    let bounds = Bounds {
        header_timeout: config.server.header_timeout,
        keep_alive: config.server.keep_alive,
        // What is only somewhat too large gets a proper answer, for which it must be read.
        head_bytes: config.limits.uri_bytes.saturating_add(config.limits.header_bytes).saturating_mul(2),
    };
    // Before the first request, which is to be counted too.
    let collected = match config.server.metrics_bind {
        Some(address) => {
            let listener = TcpListener::bind(address).await.with_context(|| in_use(address))?;
            Some((listener, metrics::install()?))
        }
        None => None,
    };
    let traces = config.traces.as_ref();
    let traces =
        traces.map(|traces| Exporter::start(traces, env!("CARGO_PKG_VERSION"))).transpose().map_err(readable)?;
    let app = App::start(store.clone(), config, clock).await.map_err(readable)?;
    let stopping = Stopping::default();
    let service = routes::service(&app, &stopping, traces.as_ref().map(Exporter::tracer));
    let (stop, stopped) = watch::channel(false);
    let mut background = background::start(&app, &stopped);
    let mut addresses = Vec::new();
    let mut tasks = Vec::new();
    for listener in listeners {
        addresses.push(listener.local_addr()?);
        tasks.push(tokio::spawn(connections::serve(listener, service.clone(), bounds, stopped.clone())));
    }
    let (metrics_open, metrics_stopped) = watch::channel(false);
    let mut metrics_address = None;
    if let Some((listener, handle)) = collected {
        metrics_address = Some(listener.local_addr()?);
        background.push(tokio::spawn(metrics::upkeep(handle.clone(), stopped)));
        let router = metrics::router(app.clone(), handle);
        tokio::spawn(connections::serve(listener, router, bounds, metrics_stopped));
    }
    Ok(Running {
        addresses,
        metrics_address,
        app,
        stopping,
        store,
        audit,
        traces,
        background,
        stop,
        tasks,
        _metrics: metrics_open,
        delay,
        grace,
    })
}

impl Running {
    /// Tells balancers to look elsewhere and gives them time to, stops accepting, finishes requests under way, writes what
    /// the audit still holds, closes the database.
    pub async fn stop(self) {
        self.stopping.begin();
        tokio::time::sleep(self.delay).await;
        self.stop.send(true).ok();
        let finish = async {
            for task in self.tasks {
                task.await.ok();
            }
            for task in self.background {
                task.await.ok();
            }
        };
        if tokio::time::timeout(self.grace, finish).await.is_err() {
            tracing::warn!("some requests did not finish in time");
        }
        let deliver = async {
            if let Some(traces) = self.traces {
                traces.stop().await;
            }
        };
        tokio::join!(self.audit.stop(), deliver);
        self.store.close().await;
    }
}

/// Applies pending migrations, or refuses when that is forbidden.
pub async fn prepare(database: &Database, migrate: bool) -> Result<()> {
    if migrate {
        return maintenance::migrate(&database.options).await.map_err(readable).context("migrations cannot be applied");
    }
    let pending = maintenance::schema(&database.options).await.map_err(readable)?.pending;
    match pending.len() {
        0 => Ok(()),
        1 => anyhow::bail!("1 migration is pending: run jhe migrate"),
        count => anyhow::bail!("{count} migrations are pending: run jhe migrate"),
    }
}

/// `jhe serve`.
pub async fn run(config: Config, migrate: bool) -> Result<()> {
    App::check(&config).map_err(readable)?;
    let listener = TcpListener::bind(config.server.bind).await.with_context(|| in_use(config.server.bind))?;
    let database = Database::open(&config).await?;
    prepare(&database, migrate).await?;
    {
        let (store, audit) = database.connect().await?;
        jhe_app::seed::reference(&store, &config).await.map_err(readable)?;
        if config.seeding.demo {
            jhe_app::seed::demo(&store, &config).await.map_err(readable)?;
        }
        audit.stop().await;
        store.close().await;
    }
    tell(&config);
    let running = start(&database, config, Arc::new(crate::clock::SystemClock), vec![listener]).await?;
    for address in &running.addresses {
        tracing::info!(%address, "listening");
    }
    if let Some(address) = &running.metrics_address {
        tracing::info!(%address, "metrics are told");
    }
    interrupted().await;
    tracing::info!("stopping");
    running.stop().await;
    database.close().await
}

/// One line about what starts, without accounts and secrets.
fn tell(config: &Config) {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        site = config.site.url.as_str(),
        production = config.site.production,
        database = config.database.description(),
        replicas = config.database.read_urls.len(),
        connections = config.database.max_connections,
        "starting"
    );
}

/// One line about a port that cannot be had.
pub fn in_use(address: SocketAddr) -> String {
    format!("cannot listen on {address}: is another server running there?")
}

/// Waits for SIGINT or SIGTERM.
pub async fn interrupted() {
    let term = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = term => {}
    }
}
