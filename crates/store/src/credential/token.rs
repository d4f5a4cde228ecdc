//! Access and refresh tokens, by digest.

use chrono::{DateTime, Utc};
use jhe_domain::error::Error;
use jhe_domain::{ApplicationId, UserId};
use uuid::Uuid;

use crate::fault::Db;
use crate::work::Work;

/// An access token to keep.
#[derive(Debug, Clone)]
pub struct NewAccessToken {
    /// SHA-256 of the token.
    pub digest: [u8; 32],
    /// Whom it acts as; none for a client of its own.
    pub user_id: Option<UserId>,
    /// Which client got it.
    pub application_id: ApplicationId,
    /// Granted scopes.
    pub scope: String,
    /// Now.
    pub created: DateTime<Utc>,
    /// End of its life.
    pub expires: DateTime<Utc>,
    /// Family of the refresh token beside it.
    pub family: Option<Uuid>,
    /// The refresh token beside it.
    pub refresh_id: Option<i64>,
    /// The code it came from.
    pub grant_id: Option<i64>,
    /// The session it came from.
    pub session_digest: Option<Vec<u8>>,
    /// When the user signed in.
    pub auth_time: Option<DateTime<Utc>>,
}

/// A refresh token to keep.
#[derive(Debug, Clone)]
pub struct NewRefreshToken {
    /// SHA-256 of the token.
    pub digest: [u8; 32],
    /// All that is refreshed from one sign-in.
    pub family: Uuid,
    /// The token it replaces.
    pub parent_id: Option<i64>,
    /// Whom it acts as.
    pub user_id: UserId,
    /// Which client got it.
    pub application_id: ApplicationId,
    /// The code it came from.
    pub grant_id: Option<i64>,
    /// Granted scopes.
    pub scope: String,
    /// When the user signed in.
    pub auth_time: DateTime<Utc>,
    /// The session it came from.
    pub session_digest: Option<Vec<u8>>,
    /// Now.
    pub created: DateTime<Utc>,
    /// When the family began.
    pub family_created: DateTime<Utc>,
    /// End of its life, unused.
    pub expires: DateTime<Utc>,
}

/// A stored refresh token.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct RefreshRow {
    /// Row id.
    pub id: i64,
    /// All that is refreshed from one sign-in.
    pub family: Uuid,
    /// Whom it acts as.
    pub user_id: i64,
    /// Which client got it.
    pub application_id: i64,
    /// The code it came from.
    pub grant_id: Option<i64>,
    /// Granted scopes.
    pub scope: String,
    /// When the user signed in.
    pub auth_time: DateTime<Utc>,
    /// The session it came from.
    pub session_digest: Option<Vec<u8>>,
    /// When the family began.
    pub family_created: DateTime<Utc>,
    /// End of its life, unused.
    pub expires: DateTime<Utc>,
    /// When it was replaced.
    pub replaced_at: Option<DateTime<Utc>>,
    /// How often it was replaced.
    pub replacements: i32,
    /// When it was revoked.
    pub revoked: Option<DateTime<Utc>>,
}

/// A live access token, for introspection and userinfo.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct TokenInfo {
    /// Which client got it.
    pub client_id: String,
    /// Row of that client.
    pub application_id: i64,
    /// Granted scopes.
    pub scope: String,
    /// Whom it acts as.
    pub user_id: Option<i64>,
    /// Login name of that account.
    pub email: Option<String>,
    /// Whether that address was confirmed.
    pub email_is_verified: Option<bool>,
    /// When it was issued.
    pub created: DateTime<Utc>,
    /// End of its life.
    pub expires: DateTime<Utc>,
}

impl Work {
    /// Keeps an access token.
    pub async fn insert_access_token(&mut self, token: &NewAccessToken) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO oauth2_provider_accesstoken
                 (token_digest, user_id, application_id, scope, created, expires, family, refresh_id, grant_id, session_digest, auth_time)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(&token.digest[..])
        .bind(token.user_id.map(|id| id.0))
        .bind(token.application_id.0)
        .bind(&token.scope)
        .bind(token.created)
        .bind(token.expires)
        .bind(token.family)
        .bind(token.refresh_id)
        .bind(token.grant_id)
        .bind(&token.session_digest)
        .bind(token.auth_time)
        .execute(self.connection())
        .await
        .db()?;
        Ok(())
    }

    /// Keeps a refresh token; its row id.
    pub async fn insert_refresh_token(&mut self, token: &NewRefreshToken) -> Result<i64, Error> {
        sqlx::query_scalar(
            "INSERT INTO oauth2_provider_refreshtoken
                 (token_digest, family, parent_id, user_id, application_id, grant_id, scope, auth_time, session_digest,
                  created, family_created, expires)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING id",
        )
        .bind(&token.digest[..])
        .bind(token.family)
        .bind(token.parent_id)
        .bind(token.user_id.0)
        .bind(token.application_id.0)
        .bind(token.grant_id)
        .bind(&token.scope)
        .bind(token.auth_time)
        .bind(&token.session_digest)
        .bind(token.created)
        .bind(token.family_created)
        .bind(token.expires)
        .fetch_one(self.connection())
        .await
        .db()
    }

    /// Finds a refresh token and holds its family until the unit of work ends: rotations and revocations of one family
    /// are decided one after the other, so that a revocation misses no successor that is just being made.
    pub async fn refresh_for_update(&mut self, digest: &[u8]) -> Result<Option<RefreshRow>, Error> {
        let family: Option<Uuid> =
            sqlx::query_scalar("SELECT family FROM oauth2_provider_refreshtoken WHERE token_digest = $1")
                .bind(digest)
                .fetch_optional(self.connection())
                .await
                .db()?;
        let Some(family) = family else { return Ok(None) };
        self.lock_family(family).await?;
        sqlx::query_as(
            "SELECT id, family, user_id, application_id, grant_id, scope, auth_time, session_digest, family_created, expires,
                    replaced_at, replacements, revoked
               FROM oauth2_provider_refreshtoken WHERE token_digest = $1 FOR UPDATE",
        )
        .bind(digest)
        .fetch_optional(self.connection())
        .await
        .db()
    }

    /// Marks a refresh token as replaced, and ends the access token beside it at once.
    pub async fn replace_refresh(&mut self, id: i64, at: DateTime<Utc>) -> Result<(), Error> {
        sqlx::query(
            "UPDATE oauth2_provider_refreshtoken SET replaced_at = coalesce(replaced_at, $2), replacements = replacements + 1 WHERE id = $1",
        )
        .bind(id)
        .bind(at)
        .execute(self.connection())
        .await
        .db()?;
        sqlx::query("UPDATE oauth2_provider_accesstoken SET revoked = $2 WHERE refresh_id = $1 AND revoked IS NULL")
            .bind(id)
            .bind(at)
            .execute(self.connection())
            .await
            .db()?;
        Ok(())
    }

    async fn lock_family(&mut self, family: Uuid) -> Result<(), Error> {
        sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))")
            .bind(family)
            .execute(self.connection())
            .await
            .db()?;
        Ok(())
    }

    /// Revokes families of which none is held yet.
    pub(super) async fn revoke_families(&mut self, mut families: Vec<Uuid>, at: DateTime<Utc>) -> Result<(), Error> {
        // Always in the same order, so that two revocations do not wait for each other.
        families.sort_unstable();
        for family in families {
            self.lock_family(family).await?;
            self.revoke_family(family, at).await?;
        }
        Ok(())
    }

    /// Revokes all tokens of a family that is held.
    pub async fn revoke_family(&mut self, family: Uuid, at: DateTime<Utc>) -> Result<(), Error> {
        for statement in [
            "UPDATE oauth2_provider_refreshtoken SET revoked = $2 WHERE family = $1 AND revoked IS NULL",
            "UPDATE oauth2_provider_accesstoken SET revoked = $2 WHERE family = $1 AND revoked IS NULL",
        ] {
            sqlx::query(statement).bind(family).bind(at).execute(self.connection()).await.db()?;
        }
        Ok(())
    }

    /// Revokes an access token of a client; tokens of other clients are left alone.
    pub async fn revoke_access_token(
        &mut self,
        digest: &[u8],
        client: ApplicationId,
        at: DateTime<Utc>,
    ) -> Result<(), Error> {
        sqlx::query(
            "UPDATE oauth2_provider_accesstoken SET revoked = $3 WHERE token_digest = $1 AND application_id = $2 AND revoked IS NULL",
        )
        .bind(digest)
        .bind(client.0)
        .bind(at)
        .execute(self.connection())
        .await
        .db()?;
        Ok(())
    }

    /// A live access token with the account it acts as; owners stand in for clients of their own.
    pub async fn live_token(&mut self, digest: &[u8], now: DateTime<Utc>) -> Result<Option<TokenInfo>, Error> {
        sqlx::query_as(
            "SELECT a.client_id, t.application_id, t.scope, u.id AS user_id, u.email, u.email_is_verified, t.created, t.expires
               FROM oauth2_provider_accesstoken AS t
               JOIN oauth2_provider_application AS a ON a.id = t.application_id AND a.enabled
               LEFT JOIN core_jheuser AS u ON u.id = coalesce(t.user_id, a.user_id)
              WHERE t.token_digest = $1 AND t.revoked IS NULL AND t.expires > $2 AND coalesce(u.is_active, true)",
        )
        .bind(digest)
        .bind(now)
        .fetch_optional(self.connection())
        .await
        .db()
    }
}
