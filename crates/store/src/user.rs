//! Accounts as the Admin API shows them. Signing in is `credential`'s.

use chrono::{DateTime, Utc};
use jhe_authz::{AccessScope, Grant, Reach, action, resource};
use jhe_domain::audit::{AuditAction, AuditEntry};
use jhe_domain::error::Error;
use jhe_domain::page::{Page, Window};
use jhe_domain::role::Role;
use jhe_domain::user::{User, UserType};
use jhe_domain::{OrganizationId, PatientId, Phi, PractitionerId, UserId};
use sqlx::QueryBuilder;

use crate::fault::Db;
use crate::filter::push_same_email;
use crate::keyset::{Order, named, push_window};
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

/// An account to make, or what to change of one; what is missing stays.
#[derive(Debug, Clone, Default)]
pub struct UserChange {
    /// Login name.
    pub email: Option<Phi<String>>,
    /// Given name.
    pub first_name: Option<Phi<String>>,
    /// Family name.
    pub last_name: Option<Phi<String>>,
    /// Patient, practitioner or neither.
    pub user_type: Option<Option<UserType>>,
    /// Administrator of the whole server.
    pub is_superuser: Option<bool>,
}

type Admin = Grant<resource::Server, action::Administer>;

fn push_reach(sql: &mut QueryBuilder<sqlx::Postgres>, scope: &AccessScope<resource::User>) {
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
}

impl Users<'_> {
    /// Accounts in `scope`, by last name.
    pub async fn list(&mut self, scope: &AccessScope<resource::User>, window: Window) -> Result<Page<User>, Error> {
        let mut sql = QueryBuilder::new("SELECT count(*) FROM core_jheuser AS u WHERE ");
        push_reach(&mut sql, scope);
        let count: i64 = sql.build_query_scalar().fetch_one(self.0.connection()).await.db()?;
        let mut sql = QueryBuilder::new(SELECT);
        push_reach(&mut sql, scope);
        let order = Order::by_name("lower(u.last_name) COLLATE \"C\"", "u.last_name COLLATE \"C\"", "u.id");
        push_window(&mut sql, " AND ", &order, &window)?;
        let rows: Vec<UserRow> = sql.build_query_as().fetch_all(self.0.connection()).await.db()?;
        let page = Page::of(&window, count, rows, |row| named(Some(&row.last_name), row.id));
        let shown = i64::try_from(page.rows.len()).unwrap_or(i64::MAX);
        self.0.audit(AuditEntry::new(AuditAction::Read, "JheUser").rows(shown));
        Ok(page.map(Into::into))
    }

    /// The account with exactly this address, whatever its case.
    pub async fn by_email(
        &mut self,
        _grant: &Grant<resource::User, action::LookUp>,
        email: &Phi<String>,
    ) -> Result<Option<User>, Error> {
        let mut sql = QueryBuilder::new(SELECT);
        push_same_email(&mut sql, email);
        let row: Option<UserRow> = sql.build_query_as().fetch_optional(self.0.connection()).await.db()?;
        let mut entry = AuditEntry::new(AuditAction::Lookup, "JheUser");
        entry.resource_id = row.as_ref().map(|row| row.id);
        self.0.audit(entry);
        Ok(row.map(Into::into))
    }

    /// Makes an account, without profiles and with a password nobody knows.
    ///
    /// # Errors
    /// A conflict when the address has an account.
    pub async fn create(&mut self, _admin: &Admin, new: &UserChange, unusable_password: &str) -> Result<UserId, Error> {
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO core_jheuser (email, password, first_name, last_name, user_type, is_superuser, is_staff)
             VALUES ($1, $2, left($3, 150), left($4, 150), $5, $6, $6) RETURNING id",
        )
        .bind(new.email.as_ref().map(Phi::reveal))
        .bind(unusable_password)
        .bind(new.first_name.as_ref().map_or("", |name| name.reveal()))
        .bind(new.last_name.as_ref().map_or("", |name| name.reveal()))
        .bind(new.user_type.flatten().map(UserType::as_str))
        .bind(new.is_superuser.unwrap_or(false))
        .fetch_one(self.0.connection())
        .await
        .db()?;
        self.0.audit(AuditEntry::new(AuditAction::Create, "JheUser").id(id));
        Ok(UserId(id))
    }

    /// Holds an account that is about to change what it may, so that it does not go at the same moment. `false` when it has.
    pub async fn hold(&mut self, _admin: &Admin, id: UserId) -> Result<bool, Error> {
        self.0.hold_account(id).await
    }

    /// Gives an account the profile its type stands for, if it has none: names as the account's, missing ones as null.
    /// Whether it was made.
    pub async fn give_profile(&mut self, _admin: &Admin, id: UserId, kind: UserType) -> Result<bool, Error> {
        let sql = match kind {
            UserType::Patient => {
                "INSERT INTO core_patient (jhe_user_id, name_family, name_given)
                 SELECT u.id, nullif(u.last_name, ''), nullif(u.first_name, '') FROM core_jheuser AS u
                  WHERE u.id = $1 AND NOT EXISTS (SELECT 1 FROM core_patient AS p WHERE p.jhe_user_id = u.id)
                 ON CONFLICT ON CONSTRAINT core_patient_jhe_user_id_key DO NOTHING RETURNING id"
            }
            UserType::Practitioner => {
                "INSERT INTO core_practitioner (jhe_user_id, name_family, name_given, identifier)
                 SELECT u.id, nullif(u.last_name, ''), nullif(u.first_name, ''), nullif(u.identifier, '') FROM core_jheuser AS u
                  WHERE u.id = $1 AND NOT EXISTS (SELECT 1 FROM core_practitioner AS p WHERE p.jhe_user_id = u.id)
                 ON CONFLICT ON CONSTRAINT core_practitioner_jhe_user_id_key DO NOTHING RETURNING id"
            }
        };
        let made: Option<i64> = sqlx::query_scalar(sql).bind(id.0).fetch_optional(self.0.connection()).await.db()?;
        if let Some(profile) = made {
            // An account that was neither becomes what it got; one that has a kind keeps it.
            sqlx::query("UPDATE core_jheuser SET user_type = $2 WHERE id = $1 AND user_type IS NULL")
                .bind(id.0)
                .bind(kind.as_str())
                .execute(self.0.connection())
                .await
                .db()?;
            let entry = |kind| AuditEntry::new(AuditAction::Create, kind).id(profile);
            self.0.audit(match kind {
                UserType::Patient => entry("Patient").patient(PatientId(profile)),
                UserType::Practitioner => entry("Practitioner"),
            });
        }
        Ok(made.is_some())
    }

    /// Makes a practitioner a member of organizations, where it is none yet. `false`, and nothing done, when one of them
    /// does not exist.
    pub async fn place(
        &mut self,
        _admin: &Admin,
        id: UserId,
        memberships: &[(OrganizationId, Role)],
    ) -> Result<bool, Error> {
        let made = sqlx::query(
            "INSERT INTO core_practitionerorganization (practitioner_id, organization_id, role)
             SELECT p.id, asked.organization_id, asked.role
               FROM unnest($2::bigint[], $3::text[]) AS asked (organization_id, role)
               JOIN core_practitioner AS p ON p.jhe_user_id = $1
              WHERE NOT EXISTS (SELECT 1 FROM unnest($2::bigint[]) AS wanted (id)
                                 WHERE NOT EXISTS (SELECT 1 FROM core_organization AS o WHERE o.id = wanted.id))
                AND NOT EXISTS (SELECT 1 FROM core_practitionerorganization AS m
                                 WHERE m.practitioner_id = p.id AND m.organization_id = asked.organization_id)
             ON CONFLICT ON CONSTRAINT core_practitionerorganization_pair_key DO NOTHING",
        )
        .bind(id.0)
        .bind(memberships.iter().map(|(id, _)| id.0).collect::<Vec<_>>())
        .bind(memberships.iter().map(|(_, role)| role.as_str()).collect::<Vec<_>>())
        .execute(self.0.connection())
        .await
        .db()?
        .rows_affected();
        if made > 0 || memberships.is_empty() {
            return Ok(true);
        }
        // Nothing was new, or something is unknown.
        sqlx::query_scalar("SELECT count(*) = cardinality($1::bigint[]) FROM core_organization WHERE id = ANY ($1)")
            .bind(memberships.iter().map(|(id, _)| id.0).collect::<Vec<_>>())
            .fetch_one(self.0.connection())
            .await
            .db()
    }

    /// Changes anything of an account.
    ///
    /// # Errors
    /// A conflict when the address has another account.
    pub async fn update(&mut self, _admin: &Admin, id: UserId, change: &UserChange) -> Result<(), Error> {
        self.write(id, change).await
    }

    /// Changes the names of the account in `scope`, which is the caller's own.
    pub async fn rename(
        &mut self,
        scope: &AccessScope<resource::User>,
        first_name: Option<&Phi<String>>,
        last_name: Option<&Phi<String>>,
    ) -> Result<(), Error> {
        let Reach::Account(own) = *scope.reach() else { return Ok(()) };
        let change =
            UserChange { first_name: first_name.cloned(), last_name: last_name.cloned(), ..UserChange::default() };
        self.write(own, &change).await
    }

    async fn write(&mut self, id: UserId, change: &UserChange) -> Result<(), Error> {
        sqlx::query(
            "UPDATE core_jheuser
                SET email = coalesce($2, email), first_name = coalesce($3, first_name), last_name = coalesce($4, last_name),
                    user_type = CASE WHEN $5 THEN $6 ELSE user_type END,
                    is_superuser = coalesce($7, is_superuser), is_staff = coalesce($7, is_staff),
                    email_is_verified = email_is_verified AND ($2::text IS NULL OR lower($2 COLLATE \"C\") = lower(email COLLATE \"C\"))
              WHERE id = $1",
        )
        .bind(id.0)
        .bind(change.email.as_ref().map(Phi::reveal))
        .bind(change.first_name.as_ref().map(Phi::reveal))
        .bind(change.last_name.as_ref().map(Phi::reveal))
        .bind(change.user_type.is_some())
        .bind(change.user_type.flatten().map(UserType::as_str))
        .bind(change.is_superuser)
        .execute(self.0.connection())
        .await
        .db()?;
        self.0.audit(AuditEntry::new(AuditAction::Update, "JheUser").id(id.0));
        Ok(())
    }

    /// Removes an account with both profiles and the clients it owns. `false` when there is none.
    pub async fn delete(&mut self, _admin: &Admin, id: UserId) -> Result<bool, Error> {
        if !self.0.hold_account(id).await? {
            return Ok(false);
        }
        self.0.hold_all_of_account(id).await?;
        self.0.tell_actor().await?;
        for statement in
            ["DELETE FROM core_practitioner WHERE jhe_user_id = $1", "DELETE FROM core_patient WHERE jhe_user_id = $1"]
        {
            sqlx::query(statement).bind(id.0).execute(self.0.connection()).await.db()?;
        }
        let gone = self.0.delete_account(id).await?;
        self.0.audit(AuditEntry::new(AuditAction::Delete, "JheUser").id(id.0));
        Ok(gone)
    }

    /// One account in `scope`.
    pub async fn find(&mut self, scope: &AccessScope<resource::User>, id: UserId) -> Result<Option<User>, Error> {
        let mut sql = QueryBuilder::new(SELECT);
        push_reach(&mut sql, scope);
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
