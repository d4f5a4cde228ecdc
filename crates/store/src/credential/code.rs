//! Authorization codes: used once, bound to client, user, redirect URI and challenge.

use chrono::{DateTime, Utc};
use jhe_domain::error::Error;
use jhe_domain::{ApplicationId, UserId};

use crate::fault::Db;
use crate::work::Work;

/// A code to keep.
#[derive(Debug, Clone)]
pub struct NewCode {
    /// SHA-256 of the code.
    pub digest: [u8; 32],
    /// For whom.
    pub user_id: UserId,
    /// To which client.
    pub application_id: ApplicationId,
    /// Where it was sent.
    pub redirect_uri: String,
    /// The request named the redirect URI.
    pub redirect_uri_given: bool,
    /// Granted scopes.
    pub scope: String,
    /// For the id token.
    pub nonce: Option<String>,
    /// S256 challenge.
    pub code_challenge: String,
    /// When the user signed in.
    pub auth_time: DateTime<Utc>,
    /// The session it came from.
    pub session_digest: Option<Vec<u8>>,
    /// Now.
    pub created: DateTime<Utc>,
    /// End of its life.
    pub expires: DateTime<Utc>,
}

/// A stored code.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct CodeRow {
    /// Row id.
    pub id: i64,
    /// For whom.
    pub user_id: i64,
    /// To which client.
    pub application_id: i64,
    /// Where it was sent.
    pub redirect_uri: String,
    /// The request named the redirect URI.
    pub redirect_uri_given: bool,
    /// Granted scopes.
    pub scope: String,
    /// For the id token.
    pub nonce: Option<String>,
    /// S256 challenge.
    pub code_challenge: String,
    /// When the user signed in.
    pub auth_time: DateTime<Utc>,
    /// The session it came from.
    pub session_digest: Option<Vec<u8>>,
    /// End of its life.
    pub expires: DateTime<Utc>,
    /// When it was used.
    pub used_at: Option<DateTime<Utc>>,
}

impl Work {
    /// Keeps a code, as long as the session it comes from, if any, has not ended: `false` when it has. `replace` drops the
    /// user's other unused codes of the client first.
    pub async fn insert_code(&mut self, code: &NewCode, replace: bool) -> Result<bool, Error> {
        self.share_account(code.user_id).await?;
        if let Some(session) = &code.session_digest {
            let live: Option<bool> =
                sqlx::query_scalar("SELECT true FROM jhe_session WHERE digest = $1 AND user_id = $2 FOR SHARE")
                    .bind(session)
                    .bind(code.user_id.0)
                    .fetch_optional(self.connection())
                    .await
                    .db()?;
            if live.is_none() {
                return Ok(false);
            }
        }
        if replace {
            sqlx::query(
                "DELETE FROM oauth2_provider_grant WHERE user_id = $1 AND application_id = $2 AND used_at IS NULL",
            )
            .bind(code.user_id.0)
            .bind(code.application_id.0)
            .execute(self.connection())
            .await
            .db()?;
        }
        sqlx::query(
            "INSERT INTO oauth2_provider_grant
                 (code_digest, user_id, application_id, redirect_uri, redirect_uri_given, scope, nonce, code_challenge,
                  auth_time, session_digest, created, expires)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(&code.digest[..])
        .bind(code.user_id.0)
        .bind(code.application_id.0)
        .bind(&code.redirect_uri)
        .bind(code.redirect_uri_given)
        .bind(&code.scope)
        .bind(&code.nonce)
        .bind(&code.code_challenge)
        .bind(code.auth_time)
        .bind(&code.session_digest)
        .bind(code.created)
        .bind(code.expires)
        .execute(self.connection())
        .await
        .db()?;
        Ok(true)
    }

    /// Finds a code and holds it until the unit of work ends, so that one exchange is decided at a time.
    pub async fn code_for_update(&mut self, digest: &[u8]) -> Result<Option<CodeRow>, Error> {
        // The account before the code, by a statement of its own, so that the next one sees what was ended before.
        sqlx::query(
            "SELECT 1 FROM core_jheuser WHERE id = (SELECT user_id FROM oauth2_provider_grant WHERE code_digest = $1)
                FOR KEY SHARE",
        )
        .bind(digest)
        .execute(self.connection())
        .await
        .db()?;
        sqlx::query_as(
            "SELECT id, user_id, application_id, redirect_uri, redirect_uri_given, scope, nonce, code_challenge, auth_time,
                    session_digest, expires, used_at
               FROM oauth2_provider_grant WHERE code_digest = $1 FOR NO KEY UPDATE",
        )
        .bind(digest)
        .fetch_optional(self.connection())
        .await
        .db()
    }

    /// Uses a code up; `false` when it was used already.
    pub async fn consume_code(&mut self, id: i64, at: DateTime<Utc>) -> Result<bool, Error> {
        let used = sqlx::query("UPDATE oauth2_provider_grant SET used_at = $2 WHERE id = $1 AND used_at IS NULL")
            .bind(id)
            .bind(at)
            .execute(self.connection())
            .await
            .db()?
            .rows_affected();
        Ok(used == 1)
    }

    /// Counts a wrong verifier; at the fifth the code is burnt.
    pub async fn count_code_failure(&mut self, id: i64, at: DateTime<Utc>) -> Result<(), Error> {
        sqlx::query(
            "UPDATE oauth2_provider_grant SET failed_attempts = failed_attempts + 1,
                    used_at = CASE WHEN failed_attempts >= 4 THEN $2 ELSE used_at END WHERE id = $1",
        )
        .bind(id)
        .bind(at)
        .execute(self.connection())
        .await
        .db()?;
        Ok(())
    }

    /// Revokes everything a code issued, with all that was refreshed from it.
    pub async fn revoke_issued_by_code(&mut self, id: i64, at: DateTime<Utc>) -> Result<(), Error> {
        let families =
            sqlx::query_scalar("SELECT DISTINCT family FROM oauth2_provider_refreshtoken WHERE grant_id = $1")
                .bind(id)
                .fetch_all(self.connection())
                .await
                .db()?;
        self.revoke_families(families, at).await?;
        // Clients without refresh tokens have no family.
        sqlx::query("UPDATE oauth2_provider_accesstoken SET revoked = $2 WHERE grant_id = $1 AND revoked IS NULL")
            .bind(id)
            .bind(at)
            .execute(self.connection())
            .await
            .db()?;
        Ok(())
    }
}
