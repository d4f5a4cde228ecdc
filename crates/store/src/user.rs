//! Accounts as the Admin API shows them. Signing in is `credential`'s.

use chrono::{DateTime, Utc};
use jhe_authz::{AccessScope, Grant, Reach, action, resource};
use jhe_domain::error::Error;
use jhe_domain::user::{User, UserType};
use jhe_domain::{PatientId, Phi, PractitionerId, UserId};
use sqlx::QueryBuilder;

use crate::fault::Db;
use crate::work::Work;

/// Access to accounts.
pub struct Users<'a>(&'a mut Work);

impl Work {
    /// Access to accounts.
    pub fn users(&mut self) -> Users<'_> {
        Users(self)
    }
}

#[derive(sqlx::FromRow)]
struct UserRow {
    id: i64,
    email: String,
    first_name: String,
    last_name: String,
    user_type: Option<String>,
    identifier: String,
    email_is_verified: bool,
    is_superuser: bool,
    is_staff: bool,
    is_active: bool,
    last_login: Option<DateTime<Utc>>,
    patient_id: Option<i64>,
    practitioner_id: Option<i64>,
}

impl From<UserRow> for User {
    fn from(row: UserRow) -> Self {
        Self {
            id: UserId(row.id),
            email: Phi::new(row.email),
            first_name: Phi::new(row.first_name),
            last_name: Phi::new(row.last_name),
            user_type: row.user_type.as_deref().and_then(UserType::parse),
            identifier: Phi::new(row.identifier),
            email_is_verified: row.email_is_verified,
            is_superuser: row.is_superuser,
            is_staff: row.is_staff,
            is_active: row.is_active,
            last_login: row.last_login,
            patient_id: row.patient_id.map(PatientId),
            practitioner_id: row.practitioner_id.map(PractitionerId),
        }
    }
}

const SELECT: &str = "SELECT u.id, u.email, u.first_name, u.last_name, u.user_type, u.identifier, u.email_is_verified,
        u.is_superuser, u.is_staff, u.is_active, u.last_login, pt.id AS patient_id, pr.id AS practitioner_id
   FROM core_jheuser AS u LEFT JOIN core_patient AS pt ON pt.jhe_user_id = u.id
   LEFT JOIN core_practitioner AS pr ON pr.jhe_user_id = u.id WHERE ";

impl Users<'_> {
    /// One account in `scope`.
    pub async fn find(&mut self, scope: &AccessScope<resource::User>, id: UserId) -> Result<Option<User>, Error> {
        let mut sql = QueryBuilder::new(SELECT);
        match *scope.reach() {
            Reach::Superuser | Reach::Internal(_) => {
                sql.push("true");
            }
            Reach::Account(own) => {
                sql.push("u.id = ").push_bind(own.0);
            }
            Reach::Nothing | Reach::Own(_) | Reach::Shared(_) => {
                sql.push("false");
            }
        }
        sql.push(" AND u.id = ").push_bind(id.0);
        let row: Option<UserRow> = sql.build_query_as().fetch_optional(self.0.connection()).await.db()?;
        Ok(row.map(Into::into))
    }

    /// The account that a manager wants to add to its organization, with its practitioner profile if it has one.
    pub async fn candidate(
        &mut self,
        _grant: &Grant<resource::Organization, action::ManagePractitioners>,
        id: UserId,
    ) -> Result<Option<Option<PractitionerId>>, Error> {
        let row: Option<Option<i64>> = sqlx::query_scalar(
            "SELECT pr.id FROM core_jheuser AS u LEFT JOIN core_practitioner AS pr ON pr.jhe_user_id = u.id WHERE u.id = $1",
        )
        .bind(id.0)
        .fetch_optional(self.0.connection())
        .await
        .db()?;
        Ok(row.map(|practitioner| practitioner.map(PractitionerId)))
    }
}
