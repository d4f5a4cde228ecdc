//! Browser sessions, by the digest of their cookie.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use jhe_domain::UserId;
use jhe_domain::error::Error;

use crate::fault::Db;
use crate::work::Work;

/// A session to keep.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// SHA-256 of the cookie.
    pub digest: [u8; 32],
    /// Whose.
    pub user_id: UserId,
    /// When the user proved who it is.
    pub auth_time: DateTime<Utc>,
    /// How.
    pub auth_method: &'static str,
    /// End of its life.
    pub expires: DateTime<Utc>,
    /// From where.
    pub ip: Option<IpAddr>,
    /// With which browser.
    pub user_agent: Option<String>,
}

/// A live session of an active account.
#[derive(Debug, Clone)]
pub struct SessionRow {
    /// Whose.
    pub user_id: UserId,
    /// When the user proved who it is.
    pub auth_time: DateTime<Utc>,
}

/// A session as its owner sees it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct OwnSession {
    /// Digest of its cookie, which names it.
    pub digest: Vec<u8>,
    /// When it began.
    pub created: DateTime<Utc>,
    /// From where.
    pub ip: Option<String>,
    /// With which browser.
    pub user_agent: Option<String>,
}

impl Work {
    /// Keeps a session.
    pub async fn insert_session(&mut self, session: &NewSession) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO jhe_session (digest, user_id, auth_time, auth_method, created, expires, ip, user_agent)
             VALUES ($1, $2, $3, $4, $3, $5, $6::inet, $7)",
        )
        .bind(&session.digest[..])
        .bind(session.user_id.0)
        .bind(session.auth_time)
        .bind(session.auth_method)
        .bind(session.expires)
        .bind(session.ip.map(|ip| ip.to_string()))
        .bind(&session.user_agent)
        .execute(self.connection())
        .await
        .db()?;
        Ok(())
    }

    /// A session that has not ended, of an account that may sign in.
    pub async fn session(&mut self, digest: &[u8], now: DateTime<Utc>) -> Result<Option<SessionRow>, Error> {
        let row: Option<(i64, DateTime<Utc>)> = sqlx::query_as(
            "SELECT s.user_id, s.auth_time FROM jhe_session AS s JOIN core_jheuser AS u ON u.id = s.user_id AND u.is_active
              WHERE s.digest = $1 AND s.expires > $2",
        )
        .bind(digest)
        .bind(now)
        .fetch_optional(self.connection())
        .await
        .db()?;
        Ok(row.map(|(user_id, auth_time)| SessionRow { user_id: UserId(user_id), auth_time }))
    }

    /// Ends a session. `revoke` also ends the codes and tokens that the web console got from it.
    pub async fn end_session(&mut self, digest: &[u8], revoke: bool, at: DateTime<Utc>) -> Result<(), Error> {
        let user: Option<i64> = sqlx::query_scalar("DELETE FROM jhe_session WHERE digest = $1 RETURNING user_id")
            .bind(digest)
            .fetch_optional(self.connection())
            .await
            .db()?;
        let (Some(user), true) = (user, revoke) else { return Ok(()) };
        sqlx::query(
            "DELETE FROM oauth2_provider_grant AS g USING oauth2_provider_application AS a
              WHERE g.user_id = $1 AND g.session_digest = $2 AND g.used_at IS NULL
                AND a.id = g.application_id AND a.name = 'JHE Admin UI'",
        )
        .bind(user)
        .bind(digest)
        .execute(self.connection())
        .await
        .db()?;
        let families = sqlx::query_scalar(
            "SELECT DISTINCT t.family FROM oauth2_provider_refreshtoken AS t
               JOIN oauth2_provider_application AS a ON a.id = t.application_id AND a.name = 'JHE Admin UI'
              WHERE t.user_id = $1 AND t.session_digest = $2 AND t.revoked IS NULL",
        )
        .bind(user)
        .bind(digest)
        .fetch_all(self.connection())
        .await
        .db()?;
        self.revoke_families(families, at).await
    }

    /// The live sessions of an account, the newest first.
    pub async fn sessions_of(&mut self, user: UserId, now: DateTime<Utc>) -> Result<Vec<OwnSession>, Error> {
        sqlx::query_as(
            "SELECT digest, created, host(ip) AS ip, user_agent FROM jhe_session WHERE user_id = $1 AND expires > $2
              ORDER BY created DESC, digest",
        )
        .bind(user.0)
        .bind(now)
        .fetch_all(self.connection())
        .await
        .db()
    }

    /// Gives a session a new cookie and ends the other sessions of its account, with what the others issued. `false` when the
    /// session has ended itself.
    pub async fn renew_session(
        &mut self,
        user: UserId,
        from: &[u8],
        to: &[u8],
        at: DateTime<Utc>,
    ) -> Result<bool, Error> {
        self.hold_account(user).await?;
        let renewed = sqlx::query("UPDATE jhe_session SET digest = $3 WHERE user_id = $1 AND digest = $2")
            .bind(user.0)
            .bind(from)
            .bind(to)
            .execute(self.connection())
            .await
            .db()?
            .rows_affected();
        if renewed == 0 {
            return Ok(false);
        }
        for statement in [
            "UPDATE oauth2_provider_grant SET session_digest = $3 WHERE user_id = $1 AND session_digest = $2",
            "UPDATE oauth2_provider_refreshtoken SET session_digest = $3 WHERE user_id = $1 AND session_digest = $2",
            "UPDATE oauth2_provider_accesstoken SET session_digest = $3 WHERE user_id = $1 AND session_digest = $2",
        ] {
            sqlx::query(statement).bind(user.0).bind(from).bind(to).execute(self.connection()).await.db()?;
        }
        for statement in [
            "UPDATE core_jheuser SET access_epoch = access_epoch + 1
              WHERE id = $1 AND $2::bytea IS NOT NULL AND $3::timestamptz IS NOT NULL",
            "DELETE FROM jhe_session WHERE user_id = $1 AND digest <> $2 AND $3::timestamptz IS NOT NULL",
            "DELETE FROM oauth2_provider_grant WHERE user_id = $1 AND session_digest <> $2 AND used_at IS NULL AND $3::timestamptz IS NOT NULL",
            "UPDATE oauth2_provider_refreshtoken SET revoked = $3 WHERE user_id = $1 AND session_digest <> $2 AND revoked IS NULL",
            "UPDATE oauth2_provider_accesstoken SET revoked = $3 WHERE user_id = $1 AND session_digest <> $2 AND revoked IS NULL",
        ] {
            sqlx::query(statement).bind(user.0).bind(to).bind(at).execute(self.connection()).await.db()?;
        }
        Ok(true)
    }
}
