//! Resources that patients bring along from outside record systems: their references.
//!
//! Whoever writes to several rows of a source locks the source first, so that writers wait for each other in a line.

use jhe_authz::{Grant, action, resource};
use jhe_domain::audit::{AuditAction, AuditEntry};
use jhe_domain::error::Error;
use jhe_domain::fhir_aux_resource::{
    IndexedReferences, PendingBatch, PendingReferences, ReferenceMatch, ReferenceSource, ReferenceTarget,
};
use jhe_domain::{FhirAuxResourceId, PatientId, Phi};
use uuid::Uuid;

use crate::fault::Db;
use crate::work::Work;

/// Rows of a batch at most.
const BATCH_ROWS: i64 = 1000;

/// Their members together, in bytes, but for the last row's: a body may be large, and so may what a reference holds.
const BATCH_BYTES: i64 = 8 << 20;

/// Access to imported resources.
pub struct FhirAuxResources<'a>(&'a mut Work);

impl Work {
    /// Access to imported resources.
    pub fn fhir_aux_resources(&mut self) -> FhirAuxResources<'_> {
        FhirAuxResources(self)
    }
}

#[derive(sqlx::FromRow)]
struct PendingRow {
    id: Uuid,
    resource_type: String,
    ref_indexed: bool,
    members: Option<String>,
    candidates: i64,
}

#[derive(sqlx::FromRow)]
struct MatchRow {
    upstream: Option<Uuid>,
    is_row_id: bool,
}

impl FhirAuxResources<'_> {
    /// Locks the source in `grant` against other runs until the end of the unit of work; what is stored meanwhile does not
    /// wait. `None` when it is gone.
    pub async fn lock_source(
        &mut self,
        grant: &Grant<resource::FhirSource, action::Manage>,
    ) -> Result<Option<ReferenceSource>, Error> {
        let row: Option<(i64, String)> =
            sqlx::query_as("SELECT patient_id, fhir_base_url FROM core_fhirsource WHERE id = $1 FOR NO KEY UPDATE")
                .bind(grant.id().0)
                .fetch_optional(self.0.connection())
                .await
                .db()?;
        Ok(row.map(|(patient, fhir_base_url)| ReferenceSource { patient_id: PatientId(patient), fhir_base_url }))
    }

    /// The next resources of the source whose references are to be looked at, behind `after`: of their bodies the members
    /// that `members` names, by type.
    pub async fn pending_references(
        &mut self,
        grant: &Grant<resource::FhirSource, action::Manage>,
        members: &[(&'static str, &'static str)],
        after: Option<FhirAuxResourceId>,
    ) -> Result<PendingBatch, Error> {
        let (types, names): (Vec<&str>, Vec<&str>) = members.iter().copied().unzip();
        // The first row is taken however large it is, so that a run goes on.
        let rows: Vec<PendingRow> = sqlx::query_as(
            "WITH batch AS (
                 SELECT r.id, r.resource_type, r.ref_indexed,
                        (SELECT jsonb_object_agg(m.name, r.fhir_data -> m.name)::text
                           FROM unnest($3::text[], $4::text[]) AS m (kind, name)
                          WHERE m.kind = r.resource_type
                            AND jsonb_typeof(r.fhir_data -> m.name) IN ('object', 'array')) AS members
                   FROM core_fhirauxresource AS r
                  WHERE r.fhir_source_id = $1 AND (NOT r.ref_indexed OR r.ref_unresolved) AND r.id > $2
                  ORDER BY r.id LIMIT $5 FOR NO KEY UPDATE
             ), sized AS (
                 SELECT b.id, b.resource_type, b.ref_indexed, b.members, count(*) OVER () AS candidates,
                        coalesce(sum(octet_length(b.members)) OVER (ORDER BY b.id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)
                            AS size_before
                   FROM batch AS b
             )
             SELECT s.id, s.resource_type, s.ref_indexed, s.members, s.candidates FROM sized AS s
              WHERE s.size_before < $6 ORDER BY s.id",
        )
        .bind(grant.id().0)
        .bind(after.map_or(Uuid::nil(), |id| id.0))
        .bind(types)
        .bind(names)
        .bind(BATCH_ROWS)
        .bind(BATCH_BYTES)
        .fetch_all(self.0.connection())
        .await
        .db()?;
        let taken = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        let has_more = rows.first().is_some_and(|row| row.candidates == BATCH_ROWS || taken < row.candidates);
        let rows = rows
            .into_iter()
            .map(|row| PendingReferences {
                id: FhirAuxResourceId(row.id),
                resource_type: row.resource_type,
                is_indexed: row.ref_indexed,
                members: Phi::new(row.members.unwrap_or_else(|| "{}".to_owned())),
            })
            .collect();
        Ok(PendingBatch { rows, has_more })
    }

    /// What the source has for each of `targets`, in their order.
    pub async fn match_references(
        &mut self,
        grant: &Grant<resource::FhirSource, action::Manage>,
        targets: &[ReferenceTarget],
    ) -> Result<Vec<ReferenceMatch>, Error> {
        if targets.is_empty() {
            return Ok(Vec::new());
        }
        let types: Vec<&str> = targets.iter().map(|(kind, _)| kind.as_str()).collect();
        let ids: Vec<&str> = targets.iter().map(|(_, id)| id.reveal().as_str()).collect();
        let uuids: Vec<Option<Uuid>> = ids.iter().map(|id| Uuid::try_parse(id).ok()).collect();
        let rows: Vec<MatchRow> = sqlx::query_as(
            "SELECT u.id AS upstream, o.id IS NOT NULL AS is_row_id
               FROM unnest($2::text[], $3::text[], $4::uuid[]) WITH ORDINALITY AS t (kind, id, own, place)
               LEFT JOIN core_fhirauxresource AS u
                 ON u.fhir_source_id = $1 AND u.resource_type = t.kind AND u.fhir_resource_id = t.id
                    AND u.fhir_resource_id <> ''
               LEFT JOIN core_fhirauxresource AS o ON o.id = t.own AND o.fhir_source_id = $1
              ORDER BY t.place",
        )
        .bind(grant.id().0)
        .bind(types)
        .bind(ids)
        .bind(uuids)
        .fetch_all(self.0.connection())
        .await
        .db()?;
        let found =
            |row: MatchRow| ReferenceMatch { upstream: row.upstream.map(FhirAuxResourceId), is_row_id: row.is_row_id };
        Ok(rows.into_iter().map(found).collect())
    }

    /// Marks resources of the source as indexed and writes what changed in them. Records the run, also when there was
    /// nothing to do.
    pub async fn store_references(
        &mut self,
        grant: &Grant<resource::FhirSource, action::Manage>,
        source: &ReferenceSource,
        changes: &[IndexedReferences],
    ) -> Result<(), Error> {
        if !changes.is_empty() {
            let ids: Vec<Uuid> = changes.iter().map(|change| change.id.0).collect();
            let unresolved: Vec<bool> = changes.iter().map(|change| change.is_unresolved).collect();
            let members: Vec<Option<&str>> =
                changes.iter().map(|change| change.members.as_ref().map(|members| members.reveal().as_str())).collect();
            sqlx::query(
                "UPDATE core_fhirauxresource AS r
                    SET ref_indexed = true, ref_unresolved = c.unresolved,
                        fhir_data = CASE WHEN c.members IS NULL THEN r.fhir_data ELSE r.fhir_data || c.members::jsonb END
                   FROM unnest($2::uuid[], $3::boolean[], $4::text[]) AS c (id, unresolved, members)
                  WHERE r.id = c.id AND r.fhir_source_id = $1",
            )
            .bind(grant.id().0)
            .bind(ids)
            .bind(unresolved)
            .bind(members)
            .execute(self.0.connection())
            .await
            .db()?;
        }
        let rows = i64::try_from(changes.len()).unwrap_or(i64::MAX);
        let entry = AuditEntry::new(AuditAction::Update, "FhirSource").id(grant.id().0).patient(source.patient_id);
        self.0.audit(entry.rows(rows));
        Ok(())
    }
}
