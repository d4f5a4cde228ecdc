//! Accounts as signing in sees them.

use chrono::{DateTime, Utc};
use jhe_domain::error::Error;
use jhe_domain::{Phi, UserId};

use crate::fault::Db;
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
    /// Password hash.
    pub password: String,
    /// May sign in.
    pub is_active: bool,
    /// Administrator.
    pub is_superuser: bool,
    /// It can do more than a patient: administers, or works with studies.
    pub is_privileged: bool,
}

#[derive(sqlx::FromRow)]
struct LoginRow {
    id: i64,
    email: String,
    email_is_verified: bool,
    password: String,
    is_active: bool,
    is_superuser: bool,
    is_privileged: bool,
}

impl From<LoginRow> for LoginAccount {
    fn from(row: LoginRow) -> Self {
        Self {
            id: UserId(row.id),
            email: Phi::new(row.email),
            email_is_verified: row.email_is_verified,
            password: row.password,
            is_active: row.is_active,
            is_superuser: row.is_superuser,
            is_privileged: row.is_privileged,
        }
    }
}

const COLUMNS: &str = "SELECT u.id, u.email, u.email_is_verified, u.password, u.is_active, u.is_superuser,
    u.is_superuser OR u.is_staff OR coalesce(u.user_type = 'practitioner', false)
    OR EXISTS (SELECT 1 FROM core_practitioner AS p WHERE p.jhe_user_id = u.id) AS is_privileged
    FROM core_jheuser AS u WHERE ";

impl Work {
    /// The account with a login name, whatever its case.
    pub async fn account_by_email(&mut self, email: &Phi<String>) -> Result<Option<LoginAccount>, Error> {
        let mut sql = sqlx::QueryBuilder::<sqlx::Postgres>::new(COLUMNS);
        sql.push("lower(u.email) = lower(").push_bind(email.reveal()).push(")");
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

    /// Notes that an account signed in, and replaces an old kind of password hash.
    pub async fn note_login(&mut self, id: UserId, at: DateTime<Utc>, new_hash: Option<&str>) -> Result<(), Error> {
        sqlx::query("UPDATE core_jheuser SET last_login = $2, password = coalesce($3, password) WHERE id = $1")
            .bind(id.0)
            .bind(at)
            .bind(new_hash)
            .execute(self.connection())
            .await
            .db()?;
        let mut entry = jhe_domain::audit::AuditEntry::new(jhe_domain::audit::AuditAction::Login, "JheUser");
        entry.resource_id = Some(id.0);
        self.who.user_id = Some(id);
        self.audit(entry);
        Ok(())
    }
}
