//! Practitioner profiles and the view each remembers.

use chrono::{DateTime, Utc};
use jhe_authz::{AccessScope, Grant, Reach, action, resource};
use jhe_domain::audit::{AuditAction, AuditEntry};
use jhe_domain::error::Error;
use jhe_domain::page::{Page, Window};
use jhe_domain::practitioner::{Practitioner, Remember, RememberedView};
use jhe_domain::{OrganizationId, Phi, PractitionerId, StudyId, UserId};
use serde_json::Value;
use sqlx::QueryBuilder;

use crate::fault::Db;
use crate::keyset::{Order, numbered, push_window};
use crate::work::{Store, Work};

/// Access to practitioner profiles.
pub struct Practitioners<'a>(&'a mut Work);

impl Work {
    /// Access to practitioner profiles.
    pub fn practitioners(&mut self) -> Practitioners<'_> {
        Practitioners(self)
    }
}

#[derive(sqlx::FromRow)]
struct PractitionerRow {
    id: i64,
    jhe_user_id: i64,
    identifier: Option<String>,
    name_family: Option<String>,
    name_given: Option<String>,
    last_updated: DateTime<Utc>,
}

impl From<PractitionerRow> for Practitioner {
    fn from(row: PractitionerRow) -> Self {
        Self {
            id: PractitionerId(row.id),
            user_id: UserId(row.jhe_user_id),
            identifier: row.identifier.map(Phi::new),
            name_family: row.name_family.map(Phi::new),
            name_given: row.name_given.map(Phi::new),
            last_updated: row.last_updated,
        }
    }
}

/// A practitioner as administrators see it.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Profile.
    pub practitioner: Practitioner,
    /// Login name.
    pub email: Phi<String>,
    /// Memberships, by id.
    pub organizations: Vec<OrganizationId>,
}

#[derive(sqlx::FromRow)]
struct ListedRow {
    #[sqlx(flatten)]
    practitioner: PractitionerRow,
    email: String,
    organizations: Vec<i64>,
}

impl From<ListedRow> for Listed {
    fn from(row: ListedRow) -> Self {
        Self {
            practitioner: row.practitioner.into(),
            email: Phi::new(row.email),
            organizations: row.organizations.into_iter().map(OrganizationId).collect(),
        }
    }
}

const LISTED: &str = "SELECT p.id, p.jhe_user_id, p.identifier, p.name_family, p.name_given, p.last_updated, u.email,
        ARRAY (SELECT m.organization_id FROM core_practitionerorganization AS m WHERE m.practitioner_id = p.id
                ORDER BY m.organization_id) AS organizations
   FROM core_practitioner AS p JOIN core_jheuser AS u ON u.id = p.jhe_user_id";

type Admin = Grant<resource::Server, action::Administer>;

impl Practitioners<'_> {
    /// All practitioners, by id.
    pub async fn list(&mut self, _admin: &Admin, window: Window) -> Result<Page<Listed>, Error> {
        let count =
            sqlx::query_scalar("SELECT count(*) FROM core_practitioner").fetch_one(self.0.connection()).await.db()?;
        let mut sql = QueryBuilder::<sqlx::Postgres>::new(LISTED);
        push_window(&mut sql, " WHERE ", &Order::by_id("p.id"), &window)?;
        let rows: Vec<ListedRow> = sql.build_query_as().fetch_all(self.0.connection()).await.db()?;
        let page = Page::of(&window, count, rows, |row| numbered(row.practitioner.id));
        let shown = i64::try_from(page.rows.len()).unwrap_or(i64::MAX);
        self.0.audit(AuditEntry::new(AuditAction::Read, "Practitioner").rows(shown));
        Ok(page.map(Into::into))
    }

    /// One practitioner.
    pub async fn find(&mut self, _admin: &Admin, id: PractitionerId) -> Result<Option<Listed>, Error> {
        let mut sql = QueryBuilder::<sqlx::Postgres>::new(LISTED);
        sql.push(" WHERE p.id = ").push_bind(id.0);
        let row: Option<ListedRow> = sql.build_query_as().fetch_optional(self.0.connection()).await.db()?;
        Ok(row.map(Into::into))
    }

    /// Changes the names of a practitioner; what is missing stays. `false` when there is none.
    pub async fn rename(
        &mut self,
        _admin: &Admin,
        id: PractitionerId,
        family: Option<&Option<Phi<String>>>,
        given: Option<&Option<Phi<String>>>,
    ) -> Result<bool, Error> {
        let text =
            |name: Option<&Option<Phi<String>>>| name.and_then(|name| name.as_ref().map(|name| name.reveal().clone()));
        let changed = sqlx::query(
            "UPDATE core_practitioner
                SET name_family = CASE WHEN $2 THEN $3 ELSE name_family END, name_given = CASE WHEN $4 THEN $5 ELSE name_given END
              WHERE id = $1",
        )
        .bind(id.0)
        .bind(family.is_some())
        .bind(text(family))
        .bind(given.is_some())
        .bind(text(given))
        .execute(self.0.connection())
        .await
        .db()?
        .rows_affected();
        self.0.audit(AuditEntry::new(AuditAction::Update, "Practitioner").id(id.0));
        Ok(changed > 0)
    }

    /// Removes a practitioner, and the account unless it is still needed otherwise. `false` when there is none.
    pub async fn delete(&mut self, _admin: &Admin, id: PractitionerId) -> Result<bool, Error> {
        let Some(user) = self.0.hold_account_of_practitioner(id).await? else { return Ok(false) };
        let gone = sqlx::query("DELETE FROM core_practitioner WHERE id = $1")
            .bind(id.0)
            .execute(self.0.connection())
            .await
            .db()?
            .rows_affected();
        if gone == 0 {
            return Ok(false);
        }
        self.0.audit(AuditEntry::new(AuditAction::Delete, "Practitioner").id(id.0));
        self.0.delete_account_without_profile(user).await?;
        Ok(true)
    }

    /// The view the scope's own account remembers; none without a practitioner profile.
    pub async fn remembered(&mut self, scope: &AccessScope<resource::User>) -> Result<Option<RememberedView>, Error> {
        let Reach::Account(own) = *scope.reach() else { return Ok(None) };
        let settings: Option<Value> =
            sqlx::query_scalar("SELECT settings FROM core_practitioner WHERE jhe_user_id = $1")
                .bind(own.0)
                .fetch_optional(self.0.connection())
                .await
                .db()?;
        Ok(settings.map(|settings| RememberedView {
            organization_id: settings.get("current_organization_id").and_then(Value::as_i64).map(OrganizationId),
            study_id: settings.get("current_study_id").and_then(Value::as_i64).map(StudyId),
            fhir_resource: settings.get("current_fhir_resource").and_then(Value::as_str).map(str::to_owned),
        }))
    }

    /// The practitioner a membership was just given to, with the organizations of it that the manager belongs to.
    pub async fn of_membership(
        &mut self,
        _grant: &Grant<resource::Organization, action::ManagePractitioners>,
        viewer: &AccessScope<resource::Organization>,
        id: PractitionerId,
    ) -> Result<Option<(Practitioner, Vec<OrganizationId>)>, Error> {
        let row: Option<PractitionerRow> = sqlx::query_as(
            "SELECT id, jhe_user_id, identifier, name_family, name_given, last_updated FROM core_practitioner WHERE id = $1",
        )
        .bind(id.0)
        .fetch_optional(self.0.connection())
        .await
        .db()?;
        let Some(row) = row else { return Ok(None) };
        let organizations: Vec<i64> = sqlx::query_scalar(
            "SELECT po.organization_id FROM core_practitionerorganization AS po
              WHERE po.practitioner_id = $1
                AND ($2::bigint IS NULL OR EXISTS (SELECT 1 FROM jhe_member AS m
                      WHERE m.practitioner_id = $2 AND m.organization_id = po.organization_id))
              ORDER BY po.organization_id",
        )
        .bind(id.0)
        .bind(viewer.reach().practitioner().map(|id| id.0))
        .fetch_all(self.0.connection())
        .await
        .db()?;
        Ok(Some((row.into(), organizations.into_iter().map(OrganizationId).collect())))
    }
}

impl Store {
    /// Remembers what a practitioner selected. One statement of its own: a list request is not a transaction. Where it names an
    /// organization that it may not see, all is left as it was, and a study that it may not see is not remembered.
    pub async fn remember(
        &self,
        scope: &AccessScope<resource::User>,
        organization: Option<OrganizationId>,
        study: Remember<StudyId>,
    ) -> Result<(), Error> {
        let Reach::Account(own) = *scope.reach() else { return Ok(()) };
        if organization.is_none() && study == Remember::Keep {
            return Ok(());
        }
        let (set_study, clear_study) = match study {
            Remember::Keep => (None, false),
            Remember::Set(study) => (Some(study.0), false),
            Remember::Clear => (None, true),
        };
        sqlx::query(
            "UPDATE core_practitioner AS p
                SET settings = changed.settings
               FROM (SELECT q.id,
                            (CASE WHEN $4 THEN q.settings - 'current_study_id' ELSE q.settings END)
                            || CASE WHEN $2::bigint IS NULL THEN '{}' ELSE jsonb_build_object('current_organization_id', $2) END
                            || CASE WHEN EXISTS (SELECT 1 FROM core_study AS s JOIN jhe_member AS m ON m.organization_id = s.organization_id
                                                  WHERE m.practitioner_id = q.id AND s.id = $3)
                                    THEN jsonb_build_object('current_study_id', $3::bigint) ELSE '{}' END AS settings
                       FROM core_practitioner AS q
                      WHERE q.jhe_user_id = $1
                        AND ($2 IS NULL OR EXISTS (SELECT 1 FROM jhe_member AS m WHERE m.practitioner_id = q.id AND m.organization_id = $2))) AS changed
              WHERE p.id = changed.id AND p.settings IS DISTINCT FROM changed.settings",
        )
        .bind(own.0)
        .bind(organization.map(|id| id.0))
        .bind(set_study)
        .bind(clear_study)
        .execute(&self.pool)
        .await
        .db()?;
        Ok(())
    }

    /// Remembers the FHIR search a practitioner looked at last.
    pub async fn remember_fhir_view(&self, scope: &AccessScope<resource::User>, view: &str) -> Result<(), Error> {
        let Reach::Account(own) = *scope.reach() else { return Ok(()) };
        sqlx::query(
            "UPDATE core_practitioner SET settings = settings || jsonb_build_object('current_fhir_resource', $2::text)
              WHERE jhe_user_id = $1 AND settings ->> 'current_fhir_resource' IS DISTINCT FROM $2",
        )
        .bind(own.0)
        .bind(view)
        .execute(&self.pool)
        .await
        .db()?;
        Ok(())
    }
}
