//! Replicas answer searches, but never less than the primary would.
//!
//! A replica is asked only when it has replayed all that the primary had written when the request came: whoever has just
//! written reads it back, and a consent withdrawn before the request is withdrawn here too. One that is behind is
//! waited for a moment, then the primary answers; one that cannot be reached is left alone for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jhe_domain::error::Error;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgConnection, PgPool, Postgres, QueryBuilder};
use tokio::sync::RwLock;
use tokio::time::Instant;

use crate::fault::Db;
use crate::moment::{MOMENT, Moment};

/// How long a replica that is behind is waited for, step by step.
const STEPS: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(4),
    Duration::from_millis(8),
    Duration::from_millis(15),
];
/// How long a connection to one is waited for: longer is not worth it, as the primary can answer.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long one that failed is left alone.
const REST: Duration = Duration::from_secs(3);

#[derive(Debug)]
struct Replica {
    pool: PgPool,
    resting_until: RwLock<Option<Instant>>,
}

impl Replica {
    async fn is_resting(&self) -> bool {
        self.resting_until.read().await.is_some_and(|until| Instant::now() < until)
    }

    async fn rest(&self) {
        *self.resting_until.write().await = Some(Instant::now() + REST);
    }
}

/// The replicas of a database, none in the usual case.
#[derive(Debug, Clone, Default)]
pub(crate) struct Replicas {
    all: Arc<Vec<Replica>>,
    turn: Arc<AtomicUsize>,
}

/// How far the primary is, and what time it is there.
#[derive(Debug, sqlx::FromRow)]
struct Position {
    position: String,
    #[sqlx(flatten)]
    moment: Moment,
}

impl Replicas {
    /// Replicas are connected to when they are first needed: one that is down must not keep a server from starting.
    pub(crate) fn new(options: Vec<PgConnectOptions>, connections: u32) -> Self {
        let replica = |options| Replica {
            pool: PgPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(PATIENCE)
                .test_before_acquire(false)
                .connect_lazy_with(options),
            resting_until: RwLock::default(),
        };
        Self { all: Arc::new(options.into_iter().map(replica).collect()), turn: Arc::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// A connection to a replica that knows all that the primary knew when this was called, and the moment of the
    /// primary at which it did. `None` when there is none: then the primary is to be asked.
    pub(crate) async fn connection(&self, primary: &PgPool) -> Option<(PoolConnection<Postgres>, Moment)> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let (start, count) = (turn.checked_rem(self.all.len())?, self.all.len());
        let mut ready = None;
        for replica in self.all.iter().cycle().skip(start).take(count) {
            if !replica.is_resting().await {
                ready = Some(replica);
                break;
            }
        }
        let replica = ready?;
        let mut connection = primary.acquire().await.ok()?;
        let Position { position, moment } = position(&mut connection).await.ok()?;
        drop(connection);
        match catch_up(replica, &position).await {
            Ok(Some(connection)) => Some((connection, moment)),
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(error = %error, "a read replica cannot be asked; the primary answers");
                replica.rest().await;
                None
            }
        }
    }

    pub(crate) async fn close(&self) {
        for replica in self.all.iter() {
            replica.pool.close().await;
        }
    }
}

/// The moment is read before the position: a change that was over by then is part of it. Where the database acknowledges
/// what is not on disk yet, the position is that of what was written at all.
async fn position(connection: &mut PgConnection) -> Result<Position, Error> {
    let mut sql = QueryBuilder::<Postgres>::new(
        "SELECT moment.*, (CASE current_setting('synchronous_commit') WHEN 'off' THEN pg_current_wal_insert_lsn()
                          ELSE pg_current_wal_flush_lsn() END)::text AS position FROM (",
    );
    sql.push(MOMENT).push(" OFFSET 0) AS moment");
    sql.build_query_as().fetch_one(connection).await.db()
}

/// A connection once the replica is at a position, unless that takes too long.
async fn catch_up(replica: &Replica, position: &str) -> Result<Option<PoolConnection<Postgres>>, Error> {
    let mut connection = replica.pool.acquire().await.db()?;
    for step in STEPS {
        if !step.is_zero() {
            tokio::time::sleep(step).await;
        }
        // Null where the server is no replica any more.
        let there: Option<bool> = sqlx::query_scalar("SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn")
            .bind(position)
            .fetch_one(&mut *connection)
            .await
            .db()?;
        match there {
            Some(true) => return Ok(Some(connection)),
            Some(false) => {}
            None => return Err(Error::internal("it is no replica")),
        }
    }
    Ok(None)
}
