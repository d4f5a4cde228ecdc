//! What operators see of the connections: how many there are, how long requests wait for one, which statements are slow.

use std::time::{Duration, Instant};

use jhe_domain::error::Error;
use log::LevelFilter;
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;

use crate::fault::Db;
use crate::work::Store;

/// Waits for a connection are counted under this name, in seconds.
pub const WAIT: &str = "jhe_db_wait_seconds";

/// Connections and queues of a store at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolState {
    /// Connections that are open.
    pub open: u32,
    /// Those that nobody uses.
    pub idle: usize,
    /// How many there may be.
    pub most: u32,
    /// Units of work whose audit entries wait to be written.
    pub audit_queue: usize,
}

impl Store {
    /// Connections and queues as they are now.
    pub fn pool_state(&self) -> PoolState {
        PoolState {
            open: self.pool.size(),
            idle: self.pool.num_idle(),
            most: self.pool.options().get_max_connections(),
            audit_queue: self.audit.max_capacity().saturating_sub(self.audit.capacity()),
        }
    }

    /// How many mails wait to be sent.
    pub async fn queued_mail(&self) -> Result<i64, Error> {
        sqlx::query_scalar("SELECT count(*) FROM jhe_mail WHERE state = 'queued'").fetch_one(&self.pool).await.db()
    }
}

/// Measures how long a connection is waited for.
pub(crate) async fn measured<T>(acquired: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let started = Instant::now();
    let outcome = acquired.await;
    metrics::histogram!(WAIT).record(started.elapsed());
    outcome
}

/// Notes slow statements: their text, which has places for values and never values, and how long they took.
pub(crate) fn log_slow(options: PgConnectOptions, slow: Option<Duration>) -> PgConnectOptions {
    match slow {
        Some(slow) => options.log_slow_statements(LevelFilter::Warn, slow),
        None => options.log_slow_statements(LevelFilter::Off, Duration::MAX),
    }
}
