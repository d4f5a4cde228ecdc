//! The moment at which something is read, by the clock of the database, and up to which all is there.

use chrono::{DateTime, Utc};
use jhe_domain::error::Error;
use sqlx::{PgConnection, PgPool};

use crate::fault::Db;
use crate::gather::Desk;
use crate::pool;

/// A moment, as the database's clock tells it.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
pub struct Moment {
    /// Now.
    pub now: DateTime<Utc>,
    /// Before it nothing more appears: it lies before every transaction that is still open, since what that one writes
    /// bears an earlier time than its commit. Reading may go on here later.
    pub settled: DateTime<Utc>,
}

/// Asks for a [`Moment`]. The clock is read first: a transaction that begins after that writes a later time.
pub(crate) const MOMENT: &str =
    "SELECT clock.now, least(clock.now, (SELECT min(a.xact_start) FROM pg_stat_get_activity(NULL) AS a
                               WHERE a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
                                 AND a.datid = (SELECT oid FROM pg_database WHERE datname = current_database()))) AS settled
       FROM (SELECT clock_timestamp() AS now OFFSET 0) AS clock";

/// The moment.
pub(crate) async fn now(connection: &mut PgConnection) -> Result<Moment, Error> {
    sqlx::query_as(MOMENT).fetch_one(connection).await.db()
}

/// Tells the moment to all who ask at the same time: it is later than each of their questions.
#[derive(Debug)]
pub(crate) struct Moments(pub(crate) PgPool);

impl Desk for Moments {
    type Question = ();
    type Answer = Moment;

    async fn answer(&self, questions: &[()]) -> Result<Vec<Moment>, Error> {
        let mut connection = pool::measured(self.0.acquire()).await.db()?;
        Ok(vec![now(&mut connection).await?; questions.len()])
    }
}
