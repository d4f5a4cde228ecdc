//! Practitioner profiles and the view each remembers.

use chrono::{DateTime, Utc};
use jhe_authz::{AccessScope, Grant, Reach, action, resource};
use jhe_domain::error::Error;
use jhe_domain::practitioner::{Practitioner, Remember, RememberedView};
use jhe_domain::{OrganizationId, Phi, PractitionerId, StudyId, UserId};
use serde_json::Value;

use crate::fault::Db;
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

impl Practitioners<'_> {
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
    /// Remembers what a practitioner selected, as far as it may see it. One statement of its own: a list request is
    /// not a transaction, and a selection that cannot be seen is left as it was.
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
                            || CASE WHEN EXISTS (SELECT 1 FROM jhe_member AS m WHERE m.practitioner_id = q.id AND m.organization_id = $2)
                                    THEN jsonb_build_object('current_organization_id', $2::bigint) ELSE '{}' END
                            || CASE WHEN EXISTS (SELECT 1 FROM core_study AS s JOIN jhe_member AS m ON m.organization_id = s.organization_id
                                                  WHERE m.practitioner_id = q.id AND s.id = $3)
                                    THEN jsonb_build_object('current_study_id', $3::bigint) ELSE '{}' END AS settings
                       FROM core_practitioner AS q WHERE q.jhe_user_id = $1) AS changed
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
