//! Access and refresh tokens, by digest.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use jhe_domain::audit::{AuditAction, AuditEntry};
use jhe_domain::error::Error;
use jhe_domain::{ApplicationId, Phi, UserId};
use sqlx::QueryBuilder;
use uuid::Uuid;

use crate::fault::Db;
use crate::work::{Sender, Work};

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
    /// The code it came from.
    pub grant_id: Option<i64>,
    /// The session it came from.
    pub session_digest: Option<Vec<u8>>,
    /// When the user signed in.
    pub auth_time: Option<DateTime<Utc>>,
}

/// A refresh token to keep beside an access token, of whose family, account, client and session it is.
#[derive(Debug, Clone)]
pub struct NewRefreshToken {
    /// SHA-256 of the token.
    pub digest: [u8; 32],
    /// Granted scopes.
    pub scope: String,
    /// When the family began.
    pub family_created: DateTime<Utc>,
    /// End of its life, unused.
    pub expires: DateTime<Utc>,
}

/// A refresh token that a new one takes the place of.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// The new one.
    pub refresh: NewRefreshToken,
    /// Row of the old one, whose family is not held: it must be neither replaced nor revoked by the time it is.
    pub replaces: i64,
}

/// Tokens to issue on their own, with the entry that the audit trail gets.
#[derive(Debug, Clone)]
pub struct Issue {
    /// The access token.
    pub access: NewAccessToken,
    /// The refresh token beside it.
    pub rotation: Option<Rotation>,
    /// For whom, and in which request.
    pub sender: Sender,
    /// What happened.
    pub action: AuditAction,
    /// To which kind of row.
    pub resource: &'static str,
    /// To which.
    pub resource_id: i64,
}

/// A stored refresh token.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct RefreshRow {
    /// Row id.
    #[sqlx(rename = "refresh_id")]
    pub id: i64,
    /// All that is refreshed from one sign-in.
    pub family: Uuid,
    /// Whom it acts as.
    #[sqlx(rename = "refresh_user_id")]
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
    /// Its account may sign in.
    pub is_active: bool,
    /// Login name of that account.
    #[sqlx(try_from = "String")]
    pub email: Phi<String>,
    /// Whether that address was confirmed.
    pub email_is_verified: bool,
}

/// Refresh tokens with the account each acts as, in columns that a client's do not clash with.
pub(super) const REFRESH_TOKEN: &str =
    "SELECT t.id AS refresh_id, t.user_id AS refresh_user_id, t.family, t.application_id, t.grant_id, t.scope, t.auth_time,
            t.session_digest, t.family_created, t.expires, t.replaced_at, t.replacements, t.revoked, u.is_active, u.email,
            u.email_is_verified
       FROM oauth2_provider_refreshtoken AS t JOIN core_jheuser AS u ON u.id = t.user_id";

/// Live access tokens with the account each acts as, in columns that a client's do not clash with; owners stand in for
/// clients of their own. Digest and time follow.
pub(super) const LIVE_TOKEN: &str =
    "SELECT o.client_id AS token_client_id, t.application_id AS token_application_id, t.scope AS token_scope,
            u.id AS token_user_id, u.email AS token_email, u.email_is_verified AS token_email_is_verified,
            u.is_superuser AS token_is_superuser, t.created AS token_created, t.expires AS token_expires
       FROM oauth2_provider_accesstoken AS t
       JOIN oauth2_provider_application AS o ON o.id = t.application_id AND o.enabled
       LEFT JOIN core_jheuser AS u ON u.id = coalesce(t.user_id, o.user_id)
      WHERE t.revoked IS NULL AND coalesce(u.is_active, true)";

/// A live access token, for introspection and userinfo.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct TokenInfo {
    /// Which client got it.
    #[sqlx(rename = "token_client_id")]
    pub client_id: String,
    /// Row of that client.
    #[sqlx(rename = "token_application_id")]
    pub application_id: i64,
    /// Granted scopes.
    #[sqlx(rename = "token_scope")]
    pub scope: String,
    /// Whom it acts as.
    #[sqlx(rename = "token_user_id")]
    pub user_id: Option<i64>,
    /// Login name of that account.
    #[sqlx(rename = "token_email")]
    pub email: Option<String>,
    /// Whether that address was confirmed.
    #[sqlx(rename = "token_email_is_verified")]
    pub email_is_verified: Option<bool>,
    /// Whether that account administers the server.
    #[sqlx(rename = "token_is_superuser")]
    pub is_superuser: Option<bool>,
    /// When it was issued.
    #[sqlx(rename = "token_created")]
    pub created: DateTime<Utc>,
    /// End of its life.
    #[sqlx(rename = "token_expires")]
    pub expires: DateTime<Utc>,
}

/// One field of all that is issued.
fn column<'a, T>(issues: &'a [Issue], field: impl Fn(&'a Issue) -> Option<T>) -> Vec<Option<T>> {
    issues.iter().map(field).collect()
}

impl Work {
    /// Keeps an access token, and the refresh token beside it where there is one. `replaces` is the refresh token they
    /// take the place of, which is held: it is marked, and the access token beside it ends at once.
    pub async fn insert_tokens(
        &mut self,
        access: &NewAccessToken,
        refresh: Option<&NewRefreshToken>,
        replaces: Option<i64>,
    ) -> Result<(), Error> {
        if refresh.is_none() && replaces.is_none() {
            return self.insert_access_token(access).await;
        }
        let parent = match replaces {
            None => "SELECT $12::bigint AS id",
            Some(_) => {
                "UPDATE oauth2_provider_refreshtoken
                    SET replaced_at = coalesce(replaced_at, $5), replacements = replacements + 1
                  WHERE id = $12 RETURNING id"
            }
        };
        // One statement: each round trip holds the family.
        let mut sql = QueryBuilder::<sqlx::Postgres>::new("WITH parent AS (");
        sql.push(parent).push(
            "), ended AS (
                 UPDATE oauth2_provider_accesstoken AS t SET revoked = $5 FROM parent
                  WHERE t.refresh_id = parent.id AND t.revoked IS NULL),
             made AS (
                 INSERT INTO oauth2_provider_refreshtoken
                     (token_digest, family, parent_id, user_id, application_id, grant_id, scope, auth_time, session_digest,
                      created, family_created, expires)
                 SELECT $11, $7, parent.id, $2, $3, $8, $13, $10, $9, $5, $14, $15 FROM parent
                  WHERE $11::bytea IS NOT NULL RETURNING id)
             INSERT INTO oauth2_provider_accesstoken
                 (token_digest, user_id, application_id, scope, created, expires, family, refresh_id, grant_id, session_digest, auth_time)
             SELECT $1, $2, $3, $4, $5, $6, $7, (SELECT id FROM made), $8, $9, $10 FROM parent",
        );
        sql.build()
            .bind(&access.digest[..])
            .bind(access.user_id.map(|id| id.0))
            .bind(access.application_id.0)
            .bind(&access.scope)
            .bind(access.created)
            .bind(access.expires)
            .bind(access.family)
            .bind(access.grant_id)
            .bind(&access.session_digest)
            .bind(access.auth_time)
            .bind(refresh.map(|refresh| &refresh.digest[..]))
            .bind(replaces)
            .bind(refresh.map(|refresh| refresh.scope.as_str()))
            .bind(refresh.map(|refresh| refresh.family_created))
            .bind(refresh.map(|refresh| refresh.expires))
            .execute(self.connection())
            .await
            .db()?;
        Ok(())
    }

    /// Issues tokens to all who ask at the same time, in one statement, and hands the entries of the audit trail to its
    /// writer. For each, in their order, whether that was done: not where the refresh token that was to be replaced had
    /// been replaced or revoked meanwhile.
    pub async fn issue_tokens(&mut self, issues: &[Issue]) -> Result<Vec<bool>, Error> {
        // Nobody waits for an account that another holds: whose is held is told `false`, and asks in a transaction of its own.
        // Families are held in the order of their keys, so that two of these statements wait in a line. A row is judged as it
        // is once its family is held, not as it was when the statement began.
        let made: Vec<Vec<u8>> = sqlx::query_scalar(
            "WITH q AS (
                 SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::text[], $5::timestamptz[], $6::timestamptz[],
                                      $7::uuid[], $8::bigint[], $9::bytea[], $10::timestamptz[],
                                      $11::bytea[], $12::bigint[], $13::text[], $14::timestamptz[], $15::timestamptz[])
                     AS q (digest, user_id, application_id, scope, created, expires,
                           family, grant_id, session_digest, auth_time,
                           refresh_digest, replaces, refresh_scope, family_created, refresh_expires)),
             shared AS MATERIALIZED (
                 SELECT u.id FROM core_jheuser AS u WHERE u.id IN (SELECT user_id FROM q WHERE replaces IS NOT NULL)
                    FOR KEY SHARE SKIP LOCKED),
             held AS MATERIALIZED (
                 SELECT pg_advisory_xact_lock(key)
                   FROM (SELECT DISTINCT hashtextextended(q.family::text, 0) AS key
                           FROM q JOIN shared ON shared.id = q.user_id WHERE q.replaces IS NOT NULL ORDER BY key) AS k),
             parent AS (
                 UPDATE oauth2_provider_refreshtoken AS t SET replaced_at = q.created, replacements = 1
                   FROM q JOIN shared ON shared.id = q.user_id, (SELECT count(*) FROM held) AS all_held
                  WHERE t.id = q.replaces AND t.replaced_at IS NULL AND t.revoked IS NULL
                 RETURNING t.id, t.session_digest, q.digest),
             ended AS (
                 UPDATE oauth2_provider_accesstoken AS t SET revoked = q.created FROM parent JOIN q ON q.digest = parent.digest
                  WHERE t.refresh_id = parent.id AND t.revoked IS NULL),
             made AS (
                 INSERT INTO oauth2_provider_refreshtoken
                     (token_digest, family, parent_id, user_id, application_id, grant_id, scope, auth_time, session_digest,
                      created, family_created, expires)
                 SELECT q.refresh_digest, q.family, parent.id, q.user_id, q.application_id, q.grant_id, q.refresh_scope,
                        q.auth_time, parent.session_digest, q.created, q.family_created, q.refresh_expires
                   FROM q JOIN parent ON parent.digest = q.digest RETURNING id, token_digest, session_digest)
             INSERT INTO oauth2_provider_accesstoken
                 (token_digest, user_id, application_id, scope, created, expires, family, refresh_id, grant_id, session_digest, auth_time)
             SELECT q.digest, q.user_id, q.application_id, q.scope, q.created, q.expires, q.family, made.id, q.grant_id,
                    coalesce(made.session_digest, q.session_digest), q.auth_time
               FROM q LEFT JOIN made ON made.token_digest = q.refresh_digest
              WHERE q.replaces IS NULL OR made.id IS NOT NULL RETURNING token_digest",
        )
        .bind(column(issues, |issue| Some(issue.access.digest)))
        .bind(column(issues, |issue| issue.access.user_id.map(|id| id.0)))
        .bind(column(issues, |issue| Some(issue.access.application_id.0)))
        .bind(column(issues, |issue| Some(issue.access.scope.as_str())))
        .bind(column(issues, |issue| Some(issue.access.created)))
        .bind(column(issues, |issue| Some(issue.access.expires)))
        .bind(column(issues, |issue| issue.access.family))
        .bind(column(issues, |issue| issue.access.grant_id))
        .bind(column(issues, |issue| issue.access.session_digest.as_deref()))
        .bind(column(issues, |issue| issue.access.auth_time))
        .bind(column(issues, |issue| issue.rotation.as_ref().map(|rotation| rotation.refresh.digest)))
        .bind(column(issues, |issue| issue.rotation.as_ref().map(|rotation| rotation.replaces)))
        .bind(column(issues, |issue| issue.rotation.as_ref().map(|rotation| rotation.refresh.scope.as_str())))
        .bind(column(issues, |issue| issue.rotation.as_ref().map(|rotation| rotation.refresh.family_created)))
        .bind(column(issues, |issue| issue.rotation.as_ref().map(|rotation| rotation.refresh.expires)))
        .fetch_all(self.connection())
        .await
        .db()?;
        let made: HashSet<&[u8]> = made.iter().map(Vec::as_slice).collect();
        let is_made = |issue: &Issue| made.contains(&issue.access.digest[..]);
        for issue in issues.iter().filter(|issue| is_made(issue)) {
            let mut entry = AuditEntry::new(issue.action, issue.resource);
            entry.resource_id = Some(issue.resource_id);
            self.note_for(&issue.sender, entry).await;
        }
        Ok(issues.iter().map(is_made).collect())
    }

    async fn insert_access_token(&mut self, token: &NewAccessToken) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO oauth2_provider_accesstoken
                 (token_digest, user_id, application_id, scope, created, expires, family, grant_id, session_digest, auth_time)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(&token.digest[..])
        .bind(token.user_id.map(|id| id.0))
        .bind(token.application_id.0)
        .bind(&token.scope)
        .bind(token.created)
        .bind(token.expires)
        .bind(token.family)
        .bind(token.grant_id)
        .bind(&token.session_digest)
        .bind(token.auth_time)
        .execute(self.connection())
        .await
        .db()?;
        Ok(())
    }

    /// Finds a refresh token, shares its account and holds its family until the unit of work ends: rotations and
    /// revocations of one family are decided one after the other, so that a revocation misses no successor that is just
    /// being made.
    pub async fn refresh_for_update(&mut self, digest: &[u8]) -> Result<Option<RefreshRow>, Error> {
        // The locks are taken by a statement of their own, so that the next one sees what was decided before.
        let family: Option<Uuid> = sqlx::query_scalar(
            "SELECT family FROM (
                 SELECT family, pg_advisory_xact_lock(hashtextextended(family::text, 0)) AS held
                   FROM (SELECT t.family FROM oauth2_provider_refreshtoken AS t JOIN core_jheuser AS u ON u.id = t.user_id
                          WHERE t.token_digest = $1 FOR KEY SHARE OF u) AS found) AS held",
        )
        .bind(digest)
        .fetch_optional(self.connection())
        .await
        .db()?;
        if family.is_none() {
            return Ok(None);
        }
        let mut sql = QueryBuilder::<sqlx::Postgres>::new(REFRESH_TOKEN);
        sql.push(" WHERE t.token_digest = ").push_bind(digest).push(" FOR UPDATE OF t");
        sql.build_query_as().fetch_optional(self.connection()).await.db()
    }

    /// Revokes families of which none is held yet.
    pub(super) async fn revoke_families(&mut self, families: Vec<Uuid>, at: DateTime<Utc>) -> Result<(), Error> {
        // In the order of their keys, as everybody takes them, so that two do not wait for each other.
        sqlx::query(
            "SELECT pg_advisory_xact_lock(key)
               FROM (SELECT DISTINCT hashtextextended(family::text, 0) AS key FROM unnest($1::uuid[]) AS family ORDER BY key) AS k",
        )
        .bind(&families)
        .execute(self.connection())
        .await
        .db()?;
        self.revoke_held(&families, at).await
    }

    /// Revokes all tokens of a family that is held.
    pub async fn revoke_family(&mut self, family: Uuid, at: DateTime<Utc>) -> Result<(), Error> {
        self.revoke_held(&[family], at).await
    }

    async fn revoke_held(&mut self, families: &[Uuid], at: DateTime<Utc>) -> Result<(), Error> {
        for statement in [
            "UPDATE oauth2_provider_refreshtoken SET revoked = $2 WHERE family = ANY($1) AND revoked IS NULL",
            "UPDATE oauth2_provider_accesstoken SET revoked = $2 WHERE family = ANY($1) AND revoked IS NULL",
        ] {
            sqlx::query(statement).bind(families).bind(at).execute(self.connection()).await.db()?;
        }
        Ok(())
    }

    /// Revokes an access token of a client; `false` when it has no such live token.
    pub async fn revoke_access_token(
        &mut self,
        digest: &[u8],
        client: ApplicationId,
        at: DateTime<Utc>,
    ) -> Result<bool, Error> {
        let revoked = sqlx::query(
            "UPDATE oauth2_provider_accesstoken SET revoked = $3 WHERE token_digest = $1 AND application_id = $2 AND revoked IS NULL",
        )
        .bind(digest)
        .bind(client.0)
        .bind(at)
        .execute(self.connection())
        .await
        .db()?
        .rows_affected();
        Ok(revoked > 0)
    }

    /// A live access token with the account it acts as; owners stand in for clients of their own.
    pub async fn live_token(&mut self, digest: &[u8], now: DateTime<Utc>) -> Result<Option<TokenInfo>, Error> {
        let mut sql = QueryBuilder::<sqlx::Postgres>::new(LIVE_TOKEN);
        sql.push(" AND t.token_digest = ").push_bind(digest).push(" AND t.expires > ").push_bind(now);
        sql.build_query_as().fetch_optional(self.connection()).await.db()
    }

    /// The clients that hold live tokens of an account, by name.
    pub async fn authorized_clients(
        &mut self,
        user: UserId,
        now: DateTime<Utc>,
    ) -> Result<Vec<AuthorizedClient>, Error> {
        sqlx::query_as(
            "SELECT a.id, a.name, min(t.created) AS since
               FROM (SELECT application_id, family_created AS created FROM oauth2_provider_refreshtoken
                      WHERE user_id = $1 AND revoked IS NULL AND replaced_at IS NULL AND expires > $2
                     UNION ALL
                     SELECT application_id, created FROM oauth2_provider_accesstoken
                      WHERE user_id = $1 AND revoked IS NULL AND expires > $2) AS t
               JOIN oauth2_provider_application AS a ON a.id = t.application_id
              GROUP BY a.id, a.name ORDER BY lower(a.name), a.id",
        )
        .bind(user.0)
        .bind(now)
        .fetch_all(self.connection())
        .await
        .db()
    }

    /// Ends all tokens and unused codes that a client holds of an account.
    pub async fn revoke_client(&mut self, user: UserId, client: ApplicationId, at: DateTime<Utc>) -> Result<(), Error> {
        // Whatever is just being issued is there, or comes to nothing.
        self.hold_account(user).await?;
        for statement in [
            "UPDATE oauth2_provider_grant SET used_at = $3 WHERE user_id = $1 AND application_id = $2 AND used_at IS NULL",
            "UPDATE oauth2_provider_refreshtoken SET revoked = $3 WHERE user_id = $1 AND application_id = $2 AND revoked IS NULL",
            "UPDATE oauth2_provider_accesstoken SET revoked = $3 WHERE user_id = $1 AND application_id = $2 AND revoked IS NULL",
        ] {
            sqlx::query(statement).bind(user.0).bind(client.0).bind(at).execute(self.connection()).await.db()?;
        }
        Ok(())
    }
}

/// A client that holds live tokens of an account.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct AuthorizedClient {
    /// Row id of the client.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Since when.
    pub since: DateTime<Utc>,
}
