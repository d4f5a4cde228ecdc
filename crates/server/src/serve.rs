//! Starts a server, and stops it without losing a request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use jhe_app::App;
use jhe_config::Config;
use jhe_domain::clock::Clock;
use jhe_store::{AuditWriter, Store, maintenance};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::database::{Database, readable};
use crate::routes;

/// A server that is listening.
pub struct Running {
    /// Where.
    pub addresses: Vec<SocketAddr>,
    /// What its handlers hold.
    pub app: App,
    store: Store,
    audit: AuditWriter,
    background: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<std::io::Result<()>>>,
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
    let grace = config.server.shutdown_grace;
    let app = App::start(store.clone(), config, clock).await.map_err(readable)?;
    let service = routes::service(&app);
    let (stop, stopped) = watch::channel(false);
    let background = vec![
        tokio::spawn(deliver(app.clone(), stopped.clone())),
        tokio::spawn(jhe_app::housekeeping::run(app.clone(), stopped.clone())),
        tokio::spawn(jhe_app::audit::run(app.clone(), stopped.clone())),
    ];
    let mut addresses = Vec::new();
    let mut tasks = Vec::new();
    for listener in listeners {
        addresses.push(listener.local_addr()?);
        let make: IntoMakeServiceWithConnectInfo<Router, SocketAddr> =
            service.clone().into_make_service_with_connect_info();
        let mut stopped = stopped.clone();
        let serve = axum::serve(listener, make).with_graceful_shutdown(async move {
            stopped.wait_for(|stopped| *stopped).await.ok();
        });
        tasks.push(tokio::spawn(async move { serve.await }));
    }
    Ok(Running { addresses, app, store, audit, background, stop, tasks, grace })
}

impl Running {
    /// Stops accepting, finishes requests under way, writes what the audit still holds, closes the database.
    pub async fn stop(self) {
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
        self.audit.stop().await;
        self.store.close().await;
    }
}

/// Sends mail as long as the server runs.
async fn deliver(app: App, stop: watch::Receiver<bool>) {
    if let Err(error) = jhe_app::mail::deliver(app, stop).await {
        tracing::error!(error = %error, "no mail is sent");
    }
}

/// Applies pending migrations, or refuses when that is forbidden.
pub async fn prepare(database: &Database, migrate: bool) -> Result<()> {
    if migrate {
        return maintenance::migrate(&database.options).await.map_err(readable).context("migrations cannot be applied");
    }
    let pending = maintenance::pending(&database.options).await.map_err(readable)?;
    anyhow::ensure!(pending.is_empty(), "migrations are pending: {}", pending.join(", "));
    Ok(())
}

/// `jhe serve`.
pub async fn run(config: Config, migrate: bool) -> Result<()> {
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
    let running = start(&database, config, Arc::new(crate::clock::SystemClock), vec![listener]).await?;
    for address in &running.addresses {
        tracing::info!(%address, "listening");
    }
    interrupted().await;
    tracing::info!("stopping");
    running.stop().await;
    database.close().await
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
