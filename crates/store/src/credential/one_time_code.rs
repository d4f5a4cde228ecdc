//! Sign-ins that wait for a code sent by mail, by the digest of the browser's cookie.

use chrono::{DateTime, Utc};
use jhe_domain::error::Error;
use jhe_domain::{Phi, UserId};

use crate::fault::Db;
use crate::work::Work;

/// A sign-in that waits for its code.
#[derive(Debug, Clone)]
pub struct PendingSignIn {
    /// The address as typed.
    pub email: Phi<String>,
    /// The account that has it; the browser must not notice when there is none.
    pub user_id: Option<UserId>,
    /// Keyed digest of the code.
    pub code_mac: String,
    /// End of its life.
    pub expires: DateTime<Utc>,
    /// Wrong codes so far.
    pub failed: i32,
    /// How often a new code was asked for.
    pub resent: i32,
}

#[derive(sqlx::FromRow)]
struct PendingRow {
    email: String,
    user_id: Option<i64>,
    code_mac: String,
    expires: DateTime<Utc>,
    failed: i32,
    resent: i32,
}

impl From<PendingRow> for PendingSignIn {
    fn from(row: PendingRow) -> Self {
        Self {
            email: Phi::new(row.email),
            user_id: row.user_id.map(UserId),
            code_mac: row.code_mac,
            expires: row.expires,
            failed: row.failed,
            resent: row.resent,
        }
    }
}

impl Work {
    /// Keeps a sign-in that waits, or its next code.
    pub async fn keep_pending_sign_in(
        &mut self,
        digest: &[u8],
        pending: &PendingSignIn,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO jhe_one_time_code (digest, email, user_id, code_mac, created, expires, failed, resent)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT ON CONSTRAINT jhe_one_time_code_pkey DO UPDATE
                SET code_mac = EXCLUDED.code_mac, expires = EXCLUDED.expires, failed = EXCLUDED.failed, resent = EXCLUDED.resent",
        )
        .bind(digest)
        .bind(pending.email.reveal())
        .bind(pending.user_id.map(|id| id.0))
        .bind(&pending.code_mac)
        .bind(now)
        .bind(pending.expires)
        .bind(pending.failed)
        .bind(pending.resent)
        .execute(self.connection())
        .await
        .db()?;
        Ok(())
    }

    /// The sign-in of a browser, held until the unit of work ends, so that one code is checked at a time.
    pub async fn pending_sign_in(&mut self, digest: &[u8]) -> Result<Option<PendingSignIn>, Error> {
        let row: Option<PendingRow> = sqlx::query_as(
            "SELECT email, user_id, code_mac, expires, failed, resent FROM jhe_one_time_code WHERE digest = $1 FOR UPDATE",
        )
        .bind(digest)
        .fetch_optional(self.connection())
        .await
        .db()?;
        Ok(row.map(Into::into))
    }

    /// Ends a sign-in that waited.
    pub async fn end_pending_sign_in(&mut self, digest: &[u8]) -> Result<(), Error> {
        sqlx::query("DELETE FROM jhe_one_time_code WHERE digest = $1")
            .bind(digest)
            .execute(self.connection())
            .await
            .db()?;
        Ok(())
    }
}
