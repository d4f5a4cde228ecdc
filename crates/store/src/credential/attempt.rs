//! Attempts, counted for throttling across all processes. Subjects are digests: neither addresses nor names are kept.

use chrono::{DateTime, TimeDelta, Utc};
use jhe_domain::error::Error;

use crate::fault::Db;
use crate::work::Work;

/// Attempts of one subject within a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    /// All of them.
    pub all: i64,
    /// Those that failed.
    pub failed: i64,
}

/// How many attempts a subject has within a window; none is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The window, before now.
    pub window: TimeDelta,
    /// All of them.
    pub attempts: Option<i64>,
    /// Those that failed.
    pub failures: Option<i64>,
}

impl Work {
    /// Attempts since a moment.
    pub async fn attempts(&mut self, purpose: &str, subject: &[u8], since: DateTime<Utc>) -> Result<Attempts, Error> {
        let (all, failed): (i64, i64) = sqlx::query_as(
            "SELECT count(*), count(*) FILTER (WHERE failed) FROM jhe_attempt
              WHERE purpose = $1 AND subject = $2 AND occurred_at > $3",
        )
        .bind(purpose)
        .bind(subject)
        .bind(since)
        .fetch_one(self.connection())
        .await
        .db()?;
        Ok(Attempts { all, failed })
    }

    /// Counts an attempt, unless the subject has none left: then `false`. Attempts that come at the same time are counted
    /// one after the other, so no more of them are told `true` than the bounds allow.
    pub async fn settle_attempt(
        &mut self,
        purpose: &str,
        subject: &[u8],
        bounds: Bounds,
        at: DateTime<Utc>,
        failed: bool,
    ) -> Result<bool, Error> {
        sqlx::query_scalar("SELECT jhe_settle_attempt($1, $2, $3, $4, $5, $6, $7)")
            .bind(purpose)
            .bind(subject)
            .bind(at)
            .bind(at - bounds.window)
            .bind(bounds.attempts)
            .bind(bounds.failures)
            .bind(failed)
            .fetch_one(self.connection())
            .await
            .db()
    }

    /// Forgets the failures of a subject that succeeded.
    pub async fn forget_attempts(&mut self, purpose: &str, subject: &[u8]) -> Result<(), Error> {
        sqlx::query(
            "WITH forgotten AS (DELETE FROM jhe_attempt WHERE purpose = $1 AND subject = $2)
             DELETE FROM jhe_lockout WHERE purpose = $1 AND subject = $2",
        )
        .bind(purpose)
        .bind(subject)
        .execute(self.connection())
        .await
        .db()?;
        Ok(())
    }

    /// When a lock-out ends, if one holds.
    pub async fn locked_until(
        &mut self,
        purpose: &str,
        subject: &[u8],
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, Error> {
        sqlx::query_scalar("SELECT until FROM jhe_lockout WHERE purpose = $1 AND subject = $2 AND until > $3")
            .bind(purpose)
            .bind(subject)
            .bind(now)
            .fetch_optional(self.connection())
            .await
            .db()
    }

    /// The same, while nobody else settles an attempt of the subject: what this unit of work decides on it holds.
    pub async fn held_lockout(
        &mut self,
        purpose: &str,
        subject: &[u8],
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, Error> {
        sqlx::query_scalar("SELECT jhe_held_lockout($1, $2, $3)")
            .bind(purpose)
            .bind(subject)
            .bind(now)
            .fetch_one(self.connection())
            .await
            .db()
    }

    /// Locks a subject out: five minutes, twice as long each further time, an hour at most.
    pub async fn lock_out(&mut self, purpose: &str, subject: &[u8], now: DateTime<Utc>) -> Result<(), Error> {
        // Failures that were under way when the lock began do not make it longer.
        let times: Option<i32> = sqlx::query_scalar(
            "INSERT INTO jhe_lockout AS l (purpose, subject, until) VALUES ($1, $2, $3)
             ON CONFLICT ON CONSTRAINT jhe_lockout_pkey DO UPDATE SET times = l.times + 1 WHERE l.until <= $3 RETURNING times",
        )
        .bind(purpose)
        .bind(subject)
        .bind(now)
        .fetch_optional(self.connection())
        .await
        .db()?;
        let Some(times) = times else { return Ok(()) };
        let minutes = (5_i64 << times.saturating_sub(1).clamp(0, 4)).min(60);
        sqlx::query("UPDATE jhe_lockout SET until = $3 WHERE purpose = $1 AND subject = $2")
            .bind(purpose)
            .bind(subject)
            .bind(now + TimeDelta::minutes(minutes))
            .execute(self.connection())
            .await
            .db()?;
        Ok(())
    }
}
