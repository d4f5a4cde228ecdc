//! Storing many, and what is asked before.

use chrono::{DateTime, Utc};
use jhe_authz::ConsentedUpload;
use jhe_domain::audit::AuditAction;
use jhe_domain::data_source::ScopeCode;
use jhe_domain::error::{Conflict, Error};
use jhe_domain::observation::{EffectiveTime, NewObservation};
use jhe_domain::{DataSourceId, ObservationId, Phi, ScopeCodeId};

use super::Observations;
use crate::fault::Db;
use crate::filter::{Token, TokenSystem};
use crate::request::RequestFacts;
use crate::work::Sender;

impl Observations<'_> {
    /// Stores observations with their identifiers and their entries in the audit trail in one statement, in the order
    /// given. An identifier that is taken, also one taken by a concurrent upload, fails the whole statement with
    /// [`Conflict::Constraint`](jhe_domain::error::Conflict::Constraint) of `core_observationidentifier_system_value_key`.
    ///
    /// Each comes with the proof that it may be stored and with who sends it. Consent is asked for once more in the statement
    /// itself; where one is gone, nothing is stored: see [`is_race`].
    pub async fn insert(
        &mut self,
        rows: &[(ConsentedUpload, NewObservation, Sender)],
    ) -> Result<Vec<StoredObservation>, Error> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let column = |f: &dyn Fn(&ConsentedUpload, &NewObservation, &Sender) -> Option<i64>| {
            rows.iter().map(|(consented, new, sender)| f(consented, new, sender)).collect::<Vec<_>>()
        };
        let time = |f: &dyn Fn(EffectiveTime) -> Option<DateTime<Utc>>| {
            rows.iter().map(|(_, new, _)| f(new.effective)).collect::<Vec<_>>()
        };
        let request = |f: &dyn Fn(&RequestFacts) -> Option<String>| {
            rows.iter().map(|(_, _, sender)| sender.request.as_deref().and_then(f)).collect::<Vec<_>>()
        };
        let mut owners: Vec<i64> = Vec::new();
        let mut systems: Vec<Option<String>> = Vec::new();
        let mut values: Vec<String> = Vec::new();
        for (ordinal, (_, new, _)) in (1_i64..).zip(rows) {
            for (system, value) in &new.identifiers {
                owners.push(ordinal);
                systems.push(system.as_ref().map(|system| system.reveal().clone()));
                values.push(value.reveal().clone());
            }
        }
        let stored: Vec<(i64, DateTime<Utc>, DateTime<Utc>)> = sqlx::query_as(
            "WITH wanted AS MATERIALIZED (
                 SELECT w.*, nextval('core_observation_id_seq') AS id
                   FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[], $8::timestamptz[],
                               $12::bigint[], $13::bigint[], $14::text[], $16::text[], $17::text[], $18::integer[])
                        WITH ORDINALITY AS w (patient_id, scope_code_id, data_source_id, status, document, instant, period_start, period_end,
                                              actor, application, ip, request_id, template, answer, n)),
             gone AS MATERIALIZED (
                 -- Consent that was withdrawn since it was looked at. Asked for each pair, of which there are few.
                 SELECT 1 FROM (SELECT DISTINCT patient_id, scope_code_id FROM wanted) AS pair
                  WHERE (SELECT true FROM jhe_releases AS r
                          WHERE r.patient_id = pair.patient_id AND r.scope_code_id = pair.scope_code_id LIMIT 1) IS NULL),
             made AS (
                 INSERT INTO core_observation (id, subject_patient_id, codeable_concept_id, data_source_id, status, omh_data,
                        effective_date_time, effective_period_start, effective_period_end, created, last_updated)
                 -- Nobody is patient -1, so that nothing of the statement holds.
                 SELECT id, CASE WHEN EXISTS (SELECT 1 FROM gone) THEN -1 ELSE patient_id END, scope_code_id, data_source_id,
                        status, document, instant, period_start, period_end, t.now, t.now
                   FROM wanted, (SELECT clock_timestamp() AS now) AS t ORDER BY n
                 RETURNING id, created, last_updated),
             numbered AS MATERIALIZED (
                 SELECT i.*, nextval('core_observationidentifier_id_seq') AS id
                   FROM unnest($9::bigint[], $10::text[], $11::text[]) AS i (owner, system, value)),
             named AS (
                 -- In one order for everybody, so that uploads that share identifiers wait for each other in a line.
                 INSERT INTO core_observationidentifier (id, observation_id, system, value)
                 SELECT i.id, w.id, i.system, i.value
                   FROM numbered AS i JOIN wanted AS w ON w.n = i.owner ORDER BY jhe_identifier_digest(i.system, i.value)),
             audited AS (
                 INSERT INTO jhe_audit_event
                        (actor_user_id, application_id, action, resource, patient_id, rows, ip, request_id, template, status)
                 SELECT actor, application, $15, 'Observation', patient_id, count(*), ip::inet, request_id, template, answer FROM wanted
                  GROUP BY patient_id, actor, application, ip, request_id, template, answer)
             SELECT id, created, last_updated FROM made ORDER BY id",
        )
        .bind(column(&|consented, _, _| Some(consented.patient().0)))
        .bind(column(&|consented, _, _| Some(consented.code().0)))
        .bind(column(&|_, new, _| new.data_source_id.map(|id| id.0)))
        .bind(rows.iter().map(|(_, new, _)| new.status.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, new, _)| new.document.reveal().as_str()).collect::<Vec<_>>())
        .bind(time(&|effective| match effective {
            EffectiveTime::Instant(instant) => Some(instant),
            _ => None,
        }))
        .bind(time(&|effective| match effective {
            EffectiveTime::Period(start, _) => start,
            _ => None,
        }))
        .bind(time(&|effective| match effective {
            EffectiveTime::Period(_, end) => end,
            _ => None,
        }))
        .bind(owners)
        .bind(systems)
        .bind(values)
        .bind(column(&|_, _, sender| sender.who.user_id.map(|id| id.0)))
        .bind(column(&|_, _, sender| sender.who.application_id.map(|id| id.0)))
        .bind(request(&|facts| facts.ip.map(|ip| ip.to_string())))
        .bind(AuditAction::Create.as_str())
        .bind(request(&|facts| Some(facts.id.clone())))
        .bind(request(&|facts| Some(facts.template.clone())))
        .bind(rows.iter().map(|(_, _, sender)| sender.status.map(i32::from)).collect::<Vec<_>>())
        .fetch_all(self.0.connection())
        .await
        .db()?;
        Ok(stored
            .into_iter()
            .map(|(id, created, last_updated)| StoredObservation { id: ObservationId(id), created, last_updated })
            .collect())
    }

    /// What uploads mention, as far as it exists, asked in one question: `devices` that uploads may come from, which patient
    /// apps are not, data types by (system, code), and which identifiers observations have already.
    pub async fn upload_facts(
        &mut self,
        _rights: &jhe_authz::UploadRights,
        devices: &[DataSourceId],
        codes: &[(String, String)],
        identifiers: &[(String, String)],
    ) -> Result<UploadFacts, Error> {
        let (code_systems, codes): (Vec<&str>, Vec<&str>) = codes.iter().map(|(a, b)| (a.as_str(), b.as_str())).unzip();
        let (systems, values): (Vec<&str>, Vec<&str>) =
            identifiers.iter().map(|(a, b)| (a.as_str(), b.as_str())).unzip();
        let rows: Vec<FactRow> = sqlx::query_as(
            "SELECT 'device' AS kind, d.id, NULL AS system, NULL AS value, NULL AS text
               FROM core_datasource AS d WHERE d.id = ANY ($1) AND d.type IN ('personal_device', 'medical_device')
             UNION ALL
             SELECT 'code', k.id, k.coding_system, k.coding_code, k.text
               FROM unnest($2::text[], $3::text[]) AS w (system, code)
               JOIN core_codeableconcept AS k ON k.coding_system = w.system AND k.coding_code = w.code
             UNION ALL
             SELECT 'identifier', i.id, i.system, i.value, NULL
               FROM unnest($4::text[], $5::text[]) AS w (system, value)
               JOIN core_observationidentifier AS i
                 ON jhe_identifier_digest(i.system, i.value) = jhe_identifier_digest(w.system, w.value)",
        )
        .bind(devices.iter().map(|id| id.0).collect::<Vec<_>>())
        .bind(code_systems)
        .bind(codes)
        .bind(systems)
        .bind(values)
        .fetch_all(self.0.connection())
        .await
        .db()?;
        let mut facts = UploadFacts::default();
        for FactRow { kind, id, system, value, text } in rows {
            let (system, value) = (system.unwrap_or_default(), value.unwrap_or_default());
            match kind.as_str() {
                "device" => facts.devices.push(DataSourceId(id)),
                "code" => facts.codes.push(ScopeCode {
                    id: ScopeCodeId(id),
                    system,
                    code: value,
                    text: text.unwrap_or_default(),
                }),
                _ => facts.taken.push((system, value)),
            }
        }
        Ok(facts)
    }

    /// Observations that have an identifier, for each of the conditions in `wanted`: the token with the number of its
    /// condition. Of many the first two of each token, those first that the caller may write for.
    pub async fn matching(
        &mut self,
        rights: &jhe_authz::UploadRights,
        wanted: &[(usize, Token)],
    ) -> Result<Vec<IdentifierMatch>, Error> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let (who, own) = rights.writer();
        let (mut conditions, mut systems, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for (condition, token) in wanted {
            let spellings = match &token.system {
                TokenSystem::Any => vec![None],
                TokenSystem::Absent => vec![Some(String::new())],
                TokenSystem::OneOf(systems) => systems.iter().cloned().map(Some).collect(),
            };
            for system in spellings {
                conditions.push(i64::try_from(*condition).unwrap_or(i64::MAX));
                systems.push(system);
                values.push(token.value.as_ref().map(|value| value.reveal().clone()));
            }
        }
        sqlx::query_as(
            "SELECT w.condition, m.*
               FROM unnest($1::bigint[], $2::text[], $3::text[]) AS w (condition, system, value)
              CROSS JOIN LATERAL (
                  SELECT o.id, o.last_updated, o.status, k.coding_system, k.coding_code, k.text AS coding_text,
                         coalesce(o.subject_patient_id = $4, false)
                           OR (EXISTS (SELECT 1 FROM jhe_manages_patient AS g
                                        WHERE g.patient_id = o.subject_patient_id AND g.practitioner_id = $5)
                               AND EXISTS (SELECT 1 FROM jhe_readable AS r
                                            WHERE r.practitioner_id = $5 AND r.patient_id = o.subject_patient_id
                                              AND r.scope_code_id = o.codeable_concept_id AND r.may_read)) AS writable
                    FROM core_observationidentifier AS i
                    JOIN core_observation AS o ON o.id = i.observation_id
                    JOIN core_codeableconcept AS k ON k.id = o.codeable_concept_id
                   WHERE i.value = w.value AND (w.system IS NULL OR coalesce(i.system, '') = w.system)
                   ORDER BY writable DESC, o.id LIMIT 2) AS m",
        )
        .bind(conditions)
        .bind(systems)
        .bind(values)
        .bind(own.map(|id| id.0))
        .bind(who.map(|id| id.0))
        .fetch_all(self.0.connection())
        .await
        .db()
    }
}

/// What uploads mention and the database knows.
#[derive(Debug, Default)]
pub struct UploadFacts {
    /// Devices uploads may come from.
    pub devices: Vec<DataSourceId>,
    /// Data types.
    pub codes: Vec<ScopeCode>,
    /// Identifiers that observations have already; no system is the empty one.
    pub taken: Vec<(String, String)>,
}

#[derive(sqlx::FromRow)]
struct FactRow {
    kind: String,
    id: i64,
    system: Option<String>,
    value: Option<String>,
    text: Option<String>,
}

/// What the database gave a stored observation.
#[derive(Debug, Clone, Copy)]
pub struct StoredObservation {
    /// Its id.
    pub id: ObservationId,
    /// When it arrived.
    pub created: DateTime<Utc>,
    /// The same, as its version.
    pub last_updated: DateTime<Utc>,
}

/// An observation that a conditional create asks about.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct IdentifierMatch {
    /// The number of the condition.
    pub condition: i64,
    /// Its id.
    pub id: i64,
    /// Its version.
    pub last_updated: DateTime<Utc>,
    /// Its status.
    pub status: String,
    /// Coding system of its data type.
    pub coding_system: String,
    /// Code of its data type.
    pub coding_code: String,
    /// Name of its data type.
    pub coding_text: String,
    /// The caller may write for its patient.
    pub writable: bool,
}

/// Whether an upload failed because of what others did since it was looked at: used its identifier first, withdrew the
/// consent, or removed the patient. It is to be looked at again.
pub fn is_race(error: &Error) -> bool {
    const CONSTRAINTS: [&str; 3] = [
        "core_observationidentifier_system_value_key",
        "core_observation_subject_patient_id_fkey",
        "jhe_observation_stats_patient_id_fkey",
    ];
    matches!(error, Error::Conflict(Conflict::Constraint(name)) if CONSTRAINTS.contains(&name.as_str()))
}

/// A token of any system.
pub fn any_system(value: String) -> Token {
    Token { system: TokenSystem::Any, value: Some(Phi::new(value)) }
}
