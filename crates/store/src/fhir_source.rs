//! Outside record systems that patients bring data from.

use chrono::{DateTime, Utc};
use jhe_authz::{AccessScope, Grant, Reach, action, resource};
use jhe_domain::audit::{AuditAction, AuditEntry};
use jhe_domain::error::Error;
use jhe_domain::fhir_source::{FhirSource, FhirSourceChange};
use jhe_domain::page::{Page, Window};
use jhe_domain::{DataSourceId, FhirSourceId, PatientId, Phi};
use sqlx::{Postgres, QueryBuilder};

use crate::fault::Db;
use crate::keyset::{Order, dated, push_window};
use crate::work::Work;

/// Access to outside record systems.
pub struct FhirSources<'a>(&'a mut Work);

impl Work {
    /// Access to outside record systems.
    pub fn fhir_sources(&mut self) -> FhirSources<'_> {
        FhirSources(self)
    }
}

#[derive(sqlx::FromRow)]
struct FhirSourceRow {
    id: i64,
    patient_id: i64,
    data_source_id: i64,
    label: String,
    fhir_base_url: String,
    last_updated: DateTime<Utc>,
}

impl From<FhirSourceRow> for FhirSource {
    fn from(row: FhirSourceRow) -> Self {
        Self {
            id: FhirSourceId(row.id),
            patient_id: PatientId(row.patient_id),
            data_source_id: DataSourceId(row.data_source_id),
            label: Phi::new(row.label),
            fhir_base_url: row.fhir_base_url,
            last_updated: row.last_updated,
        }
    }
}

const SELECT: &str = "SELECT s.id, s.patient_id, s.data_source_id, s.label, s.fhir_base_url, s.last_updated";

fn push_from(sql: &mut QueryBuilder<Postgres>, scope: &AccessScope<resource::FhirSource>) {
    sql.push(" FROM core_fhirsource AS s WHERE ");
    match *scope.reach() {
        Reach::Superuser | Reach::Internal(_) => {
            sql.push("true");
        }
        Reach::Own(patient) => {
            sql.push("s.patient_id = ").push_bind(patient.0);
        }
        Reach::Shared(who) => {
            sql.push(
                "(EXISTS (SELECT 1 FROM jhe_shares AS h WHERE h.patient_id = s.patient_id AND h.practitioner_id = ",
            );
            sql.push_bind(who.0);
            // An account with both profiles has its own, too.
            sql.push(
                ") OR EXISTS (SELECT 1 FROM core_practitioner AS p JOIN core_patient AS t ON t.jhe_user_id = p.jhe_user_id
                               WHERE t.id = s.patient_id AND p.id = ",
            );
            sql.push_bind(who.0).push("))");
        }
        Reach::Nothing | Reach::Account(_) => {
            sql.push("false");
        }
    }
}

impl FhirSources<'_> {
    /// Outside record systems in `scope`, the last changed first.
    pub async fn list(
        &mut self,
        scope: &AccessScope<resource::FhirSource>,
        window: Window,
    ) -> Result<Page<FhirSource>, Error> {
        let mut sql = QueryBuilder::new("SELECT count(*)");
        push_from(&mut sql, scope);
        let count: i64 = sql.build_query_scalar().fetch_one(self.0.connection()).await.db()?;
        let mut sql = QueryBuilder::new(SELECT);
        push_from(&mut sql, scope);
        push_window(&mut sql, " AND ", &Order::newest("s.last_updated", "s.id"), &window)?;
        let rows: Vec<FhirSourceRow> = sql.build_query_as().fetch_all(self.0.connection()).await.db()?;
        let page = Page::of(&window, count, rows, |row| dated(row.last_updated, row.id));
        let shown = i64::try_from(page.rows.len()).unwrap_or(i64::MAX);
        let entry = AuditEntry::new(AuditAction::Read, "FhirSource").rows(shown);
        self.0.audit(entry.patients(page.rows.iter().map(|row| PatientId(row.patient_id))));
        Ok(page.map(Into::into))
    }

    /// One outside record system in `scope`.
    pub async fn find(
        &mut self,
        scope: &AccessScope<resource::FhirSource>,
        id: FhirSourceId,
    ) -> Result<Option<FhirSource>, Error> {
        let mut sql = QueryBuilder::new(SELECT);
        push_from(&mut sql, scope);
        sql.push(" AND s.id = ").push_bind(id.0);
        let row: Option<FhirSourceRow> = sql.build_query_as().fetch_optional(self.0.connection()).await.db()?;
        let entry = AuditEntry::new(AuditAction::Read, "FhirSource").id(id.0);
        self.0.audit(entry.patients(row.iter().map(|row| PatientId(row.patient_id))));
        Ok(row.map(Into::into))
    }

    async fn is_data_source(&mut self, id: DataSourceId) -> Result<bool, Error> {
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM core_datasource WHERE id = $1)")
            .bind(id.0)
            .fetch_one(self.0.connection())
            .await
            .db()
    }

    /// Names an outside record system of the patient in `grant`; one with the same kind and address gets the new label.
    /// `None` when there is no such data source.
    pub async fn register(
        &mut self,
        grant: &Grant<resource::Patient, action::RegisterSource>,
        data_source: DataSourceId,
        label: &Phi<String>,
        fhir_base_url: &str,
    ) -> Result<Option<FhirSourceId>, Error> {
        if !self.is_data_source(data_source).await? {
            return Ok(None);
        }
        let patient = grant.id();
        // Of several that name the same at the same moment the later ones find what the first one made.
        self.0.hold_patient(patient).await?;
        let known: Option<i64> = sqlx::query_scalar(
            "UPDATE core_fhirsource SET label = $4
              WHERE patient_id = $1 AND data_source_id = $2 AND fhir_base_url = $3 AND fhir_base_url <> '' RETURNING id",
        )
        .bind(patient.0)
        .bind(data_source.0)
        .bind(fhir_base_url)
        .bind(label.reveal())
        .fetch_optional(self.0.connection())
        .await
        .db()?;
        let id = match known {
            Some(id) => id,
            None => sqlx::query_scalar(
                "INSERT INTO core_fhirsource (patient_id, data_source_id, fhir_base_url, label) VALUES ($1, $2, $3, $4) RETURNING id",
            )
            .bind(patient.0)
            .bind(data_source.0)
            .bind(fhir_base_url)
            .bind(label.reveal())
            .fetch_one(self.0.connection())
            .await
            .db()?,
        };
        let action = if known.is_some() { AuditAction::Update } else { AuditAction::Create };
        self.0.audit(AuditEntry::new(action, "FhirSource").id(id).patient(patient));
        Ok(Some(FhirSourceId(id)))
    }

    /// Changes an outside record system; what is missing stays. `false` when there is no such data source.
    pub async fn update(
        &mut self,
        grant: &Grant<resource::FhirSource, action::Manage>,
        change: &FhirSourceChange,
    ) -> Result<bool, Error> {
        if let Some(data_source) = change.data_source_id
            && !self.is_data_source(data_source).await?
        {
            return Ok(false);
        }
        let patient: Option<i64> = sqlx::query_scalar(
            "UPDATE core_fhirsource
                SET data_source_id = coalesce($2, data_source_id), label = coalesce($3, label),
                    fhir_base_url = coalesce($4, fhir_base_url) WHERE id = $1 RETURNING patient_id",
        )
        .bind(grant.id().0)
        .bind(change.data_source_id.map(|id| id.0))
        .bind(change.label.as_ref().map(Phi::reveal))
        .bind(&change.fhir_base_url)
        .fetch_optional(self.0.connection())
        .await
        .db()?;
        let entry = AuditEntry::new(AuditAction::Update, "FhirSource").id(grant.id().0);
        self.0.audit(entry.patients(patient.map(PatientId)));
        Ok(true)
    }

    /// Removes an outside record system with the records that came from it.
    pub async fn delete(&mut self, grant: &Grant<resource::FhirSource, action::Manage>) -> Result<(), Error> {
        let patient: Option<i64> = sqlx::query_scalar("DELETE FROM core_fhirsource WHERE id = $1 RETURNING patient_id")
            .bind(grant.id().0)
            .fetch_optional(self.0.connection())
            .await
            .db()?;
        let entry = AuditEntry::new(AuditAction::Delete, "FhirSource").id(grant.id().0);
        self.0.audit(entry.patients(patient.map(PatientId)));
        Ok(())
    }
}
