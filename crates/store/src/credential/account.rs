//! Accounts as signing in sees them.

use chrono::{DateTime, Utc};
use jhe_domain::audit::{AuditAction, AuditEntry};
use jhe_domain::error::Error;
use jhe_domain::role::Role;
use jhe_domain::{OrganizationId, Phi, UserId};

use crate::fault::Db;
use crate::filter::push_same_email;
use crate::work::Work;

/// What signing in needs to know of an account.
#[derive(Debug, Clone)]
pub struct LoginAccount {
    /// The account.
    pub id: UserId,
    /// Login name as stored.
    pub email: Phi<String>,
    /// The address was confirmed.
    pub email_is_verified: bool,
    /// First and last name.
    pub names: [Phi<String>; 2],
    /// Password hash.
    pub password: String,
    /// May sign in.
    pub is_active: bool,
    /// Administrator.
    pub is_superuser: bool,
    /// It has a practitioner profile.
    pub is_practitioner: bool,
    /// It can do more than a patient: administers, or works with studies.
    pub is_privileged: bool,
    /// How often all its access was ended.
    pub access_epoch: i32,
}

#[derive(sqlx::FromRow)]
struct LoginRow {
    id: i64,
    email: String,
    email_is_verified: bool,
    first_name: String,
    last_name: String,
    password: String,
    is_active: bool,
    is_superuser: bool,
    is_practitioner: bool,
    is_privileged: bool,
    access_epoch: i32,
}

impl From<LoginRow> for LoginAccount {
    fn from(row: LoginRow) -> Self {
        Self {
            id: UserId(row.id),
            email: Phi::new(row.email),
            email_is_verified: row.email_is_verified,
            names: [Phi::new(row.first_name), Phi::new(row.last_name)],
            password: row.password,
            is_active: row.is_active,
            is_superuser: row.is_superuser,
            is_practitioner: row.is_practitioner,
            is_privileged: row.is_privileged,
            access_epoch: row.access_epoch,
        }
    }
}

const COLUMNS: &str =
    "SELECT u.id, u.email, u.email_is_verified, u.first_name, u.last_name, u.password, u.is_active, u.is_superuser, u.access_epoch,
    p.id IS NOT NULL AS is_practitioner,
    u.is_superuser OR u.is_staff OR coalesce(u.user_type = 'practitioner', false) OR p.id IS NOT NULL AS is_privileged
    FROM core_jheuser AS u LEFT JOIN core_practitioner AS p ON p.jhe_user_id = u.id WHERE ";

impl Work {
    /// The account with a login name, whatever the case of its ASCII letters.
    pub async fn account_by_email(&mut self, email: &Phi<String>) -> Result<Option<LoginAccount>, Error> {
        let mut sql = sqlx::QueryBuilder::<sqlx::Postgres>::new(COLUMNS);
        push_same_email(&mut sql, email);
        let row: Option<LoginRow> = sql.build_query_as().fetch_optional(self.connection()).await.db()?;
        Ok(row.map(Into::into))
    }

    /// The account a credential belongs to.
    pub async fn account_by_id(&mut self, id: UserId) -> Result<Option<LoginAccount>, Error> {
        let mut sql = sqlx::QueryBuilder::<sqlx::Postgres>::new(COLUMNS);
        sql.push("u.id = ").push_bind(id.0);
        let row: Option<LoginRow> = sql.build_query_as().fetch_optional(self.connection()).await.db()?;
        Ok(row.map(Into::into))
    }

    /// The accounts with an external identifier, two at most.
    pub async fn accounts_by_identifier(&mut self, identifier: &str) -> Result<Vec<LoginAccount>, Error> {
        let mut sql = sqlx::QueryBuilder::<sqlx::Postgres>::new(COLUMNS);
        sql.push("u.identifier <> '' AND u.identifier = ").push_bind(identifier).push(" ORDER BY u.id LIMIT 2");
        let rows: Vec<LoginRow> = sql.build_query_as().fetch_all(self.connection()).await.db()?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// Notes that an id token of another issuer was used. `false` when it was used before.
    pub async fn use_id_token(&mut self, digest: &[u8], expires: DateTime<Utc>) -> Result<bool, Error> {
        let made =
            sqlx::query("INSERT INTO jhe_used_id_token (digest, expires) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                .bind(digest)
                .bind(expires)
                .execute(self.connection())
                .await
                .db()?
                .rows_affected();
        Ok(made == 1)
    }

    /// Notes that an account signed in.
    pub async fn note_login(&mut self, id: UserId, at: DateTime<Utc>) -> Result<(), Error> {
        sqlx::query("UPDATE core_jheuser SET last_login = $2 WHERE id = $1")
            .bind(id.0)
            .bind(at)
            .execute(self.connection())
            .await
            .db()?;
        self.who.user_id = Some(id);
        self.audit(AuditEntry::new(AuditAction::Login, "JheUser").id(id.0));
        Ok(())
    }

    /// Replaces an old kind of hash of a password, unless the password was changed meanwhile.
    pub async fn upgrade_password(&mut self, id: UserId, from: &str, to: &str) -> Result<(), Error> {
        sqlx::query("UPDATE core_jheuser SET password = $3 WHERE id = $1 AND password = $2")
            .bind(id.0)
            .bind(from)
            .bind(to)
            .execute(self.connection())
            .await
            .db()?;
        Ok(())
    }

    /// Makes the account of a practitioner who signed up, with its profile and its memberships; with none, and `false`,
    /// when one of the organizations does not exist.
    ///
    /// # Errors
    /// A conflict when the address has an account, in whatever spelling.
    pub async fn sign_up(&mut self, new: &NewPractitioner) -> Result<(UserId, bool), Error> {
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO core_jheuser (email, password, first_name, last_name, user_type)
             VALUES ($1, $2, 'NONE', 'NONE', 'practitioner') RETURNING id",
        )
        .bind(new.email.reveal())
        .bind(&new.password_hash)
        .fetch_one(self.connection())
        .await
        .db()?;
        let profile: i64 = sqlx::query_scalar(
            "INSERT INTO core_practitioner (jhe_user_id, name_family, name_given) VALUES ($1, 'NONE', 'NONE') RETURNING id",
        )
        .bind(id)
        .fetch_one(self.connection())
        .await
        .db()?;
        let made = sqlx::query(
            "INSERT INTO core_practitionerorganization (practitioner_id, organization_id, role)
             SELECT $1, asked.organization_id, asked.role
               FROM unnest($2::bigint[], $3::text[]) AS asked (organization_id, role)
              WHERE NOT EXISTS (SELECT 1 FROM unnest($2::bigint[]) AS wanted (id)
                                 WHERE NOT EXISTS (SELECT 1 FROM core_organization AS o WHERE o.id = wanted.id))",
        )
        .bind(profile)
        .bind(new.memberships.iter().map(|(id, _)| id.0).collect::<Vec<_>>())
        .bind(new.memberships.iter().map(|(_, role)| role.as_str()).collect::<Vec<_>>())
        .execute(self.connection())
        .await
        .db()?
        .rows_affected();
        self.who.user_id = Some(UserId(id));
        self.audit(AuditEntry::new(AuditAction::Create, "JheUser").id(id));
        Ok((UserId(id), made > 0 || new.memberships.is_empty()))
    }

    /// Notes that the owner of an account gets mail at its address.
    pub async fn note_email_verified(&mut self, id: UserId) -> Result<(), Error> {
        sqlx::query("UPDATE core_jheuser SET email_is_verified = true WHERE id = $1 AND NOT email_is_verified")
            .bind(id.0)
            .execute(self.connection())
            .await
            .db()?;
        Ok(())
    }

    /// Replaces the password of an account found by a link or a session of its own.
    pub async fn replace_password(&mut self, id: UserId, hash: &str, action: AuditAction) -> Result<(), Error> {
        // Held before it changes: access ends next.
        self.hold_account(id).await?;
        sqlx::query("UPDATE core_jheuser SET password = $2 WHERE id = $1")
            .bind(id.0)
            .bind(hash)
            .execute(self.connection())
            .await
            .db()?;
        self.who.user_id = Some(id);
        self.audit(AuditEntry::new(action, "JheUser").id(id.0));
        Ok(())
    }

    /// Whether an account may still have what it proved a moment ago: it may sign in, and its access was not ended
    /// meanwhile. Nobody ends it before this unit of work does.
    pub async fn still_stands(&mut self, account: &LoginAccount) -> Result<bool, Error> {
        let stands: Option<bool> =
            sqlx::query_scalar("SELECT is_active AND access_epoch = $2 FROM core_jheuser WHERE id = $1 FOR KEY SHARE")
                .bind(account.id.0)
                .bind(account.access_epoch)
                .fetch_optional(self.connection())
                .await
                .db()?;
        Ok(stands.unwrap_or(false))
    }

    /// Ends all sessions, codes and tokens of an account.
    pub async fn end_all_access(&mut self, id: UserId, at: DateTime<Utc>) -> Result<(), Error> {
        self.hold_account(id).await?;
        for statement in [
            "UPDATE core_jheuser SET access_epoch = access_epoch + 1 WHERE id = $1 AND $2::timestamptz IS NOT NULL",
            "DELETE FROM jhe_session WHERE user_id = $1 AND $2::timestamptz IS NOT NULL",
            "DELETE FROM oauth2_provider_grant WHERE user_id = $1 AND used_at IS NULL AND $2::timestamptz IS NOT NULL",
            "UPDATE oauth2_provider_refreshtoken SET revoked = $2 WHERE user_id = $1 AND revoked IS NULL",
            "UPDATE oauth2_provider_accesstoken SET revoked = $2 WHERE user_id = $1 AND revoked IS NULL",
            // Those that act as the account without its being there: of its own API keys.
            "UPDATE oauth2_provider_accesstoken AS t SET revoked = $2 FROM oauth2_provider_application AS a
              WHERE a.user_id = $1 AND t.application_id = a.id AND t.user_id IS NULL AND t.revoked IS NULL",
        ] {
            sqlx::query(statement).bind(id.0).bind(at).execute(self.connection()).await.db()?;
        }
        Ok(())
    }
}

/// A practitioner who signs up.
#[derive(Debug, Clone)]
pub struct NewPractitioner {
    /// Login name.
    pub email: Phi<String>,
    /// Hash of its password.
    pub password_hash: String,
    /// Where it becomes what.
    pub memberships: Vec<(OrganizationId, Role)>,
}
