//! Consents: what is asked, what was answered. Their history is kept by the database itself.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use jhe_authz::{AccessScope, Grant, Reach, action, resource};
use jhe_domain::audit::{AuditAction, AuditEntry};
use jhe_domain::consent::{Consent, ConsentOverview, ScopeAnswer, StudyConsents};
use jhe_domain::data_source::ScopeCode;
use jhe_domain::error::Error;
use jhe_domain::{LinkId, OrganizationId, PatientId, ScopeCodeId, StudyId};
use sqlx::{Postgres, QueryBuilder};

use crate::data_source::ScopeCodeRow;
use crate::fault::Db;
use crate::work::Work;

/// Access to consents.
pub struct Consents<'a>(&'a mut Work);

impl Work {
    /// Access to consents.
    pub fn consents(&mut self) -> Consents<'_> {
        Consents(self)
    }
}

#[derive(sqlx::FromRow)]
struct StudyRow {
    id: i64,
    name: String,
    description: String,
    organization_id: i64,
    organization_name: String,
    organization_type: String,
}

#[derive(sqlx::FromRow)]
struct AnswerRow {
    study_id: i64,
    consented: Option<bool>,
    consented_time: Option<DateTime<Utc>>,
    #[sqlx(flatten)]
    code: ScopeCodeRow,
}

#[derive(sqlx::FromRow)]
struct ConsentRow {
    id: i64,
    study_patient_id: i64,
    study_id: i64,
    organization_id: i64,
    scope_code_id: i64,
    consented: bool,
    consented_time: DateTime<Utc>,
}

/// A consent to write: study and data type are known to exist and to belong together.
#[derive(Debug, Clone, Copy)]
pub struct ConsentWrite {
    /// The study.
    pub study_id: StudyId,
    /// The data type.
    pub scope_code_id: ScopeCodeId,
    /// The answer.
    pub consented: bool,
}

/// What is known about one (study, data type) a request names.
#[derive(Debug, Clone)]
pub struct ConsentTarget {
    /// The data type, if there is one.
    pub code: Option<ScopeCode>,
    /// The study asks for it.
    pub requested: bool,
    /// There is an answer already.
    pub answered: bool,
}

/// Pushes the condition on `core_study AS s` that the viewer may know of this study.
fn push_visible_study(sql: &mut QueryBuilder<Postgres>, reach: &Reach) {
    match *reach {
        Reach::Shared(who) => {
            sql.push("EXISTS (SELECT 1 FROM jhe_member AS m WHERE m.organization_id = s.organization_id AND m.practitioner_id = ");
            sql.push_bind(who.0).push(")");
        }
        Reach::Own(_) | Reach::Superuser | Reach::Internal(_) => {
            sql.push("true");
        }
        Reach::Nothing | Reach::Account(_) => {
            sql.push("false");
        }
    }
}

impl Consents<'_> {
    /// What the studies the viewer may know of ask the patient for, and what it answered.
    pub async fn overview(
        &mut self,
        scope: &AccessScope<resource::Consent>,
        patient: PatientId,
    ) -> Result<ConsentOverview, Error> {
        let mut sql = QueryBuilder::new(
            "SELECT s.id, s.name, s.description, s.organization_id, o.name AS organization_name, o.type AS organization_type
               FROM core_study AS s JOIN core_organization AS o ON o.id = s.organization_id
               JOIN core_studypatient AS e ON e.study_id = s.id WHERE e.patient_id = ",
        );
        sql.push_bind(patient.0).push(" AND ");
        push_visible_study(&mut sql, scope.reach());
        sql.push(" ORDER BY s.id");
        let studies: Vec<StudyRow> = sql.build_query_as().fetch_all(self.0.connection()).await.db()?;
        let ids: Vec<i64> = studies.iter().map(|study| study.id).collect();
        let answers: Vec<AnswerRow> = sqlx::query_as(
            "SELECT r.study_id, c.consented, c.consented_time,
                    k.id AS scope_id, k.coding_system, k.coding_code, k.text AS scope_text
               FROM core_studyscoperequest AS r
               JOIN core_codeableconcept AS k ON k.id = r.scope_code_id
               JOIN core_studypatient AS e ON e.study_id = r.study_id AND e.patient_id = $2
               LEFT JOIN core_studypatientscopeconsent AS c ON c.study_patient_id = e.id AND c.scope_code_id = r.scope_code_id
              WHERE r.study_id = ANY ($1) ORDER BY r.study_id, r.id",
        )
        .bind(&ids)
        .bind(patient.0)
        .fetch_all(self.0.connection())
        .await
        .db()?;
        let mut sources = self.0.data_sources_of_studies(&ids).await?;
        let mut consolidated: Vec<ScopeCode> = Vec::new();
        let mut by_study: HashMap<i64, Vec<ScopeAnswer>> = HashMap::new();
        for row in answers {
            let code: ScopeCode = row.code.into();
            if row.consented == Some(true) && !consolidated.contains(&code) {
                consolidated.push(code.clone());
            }
            let answer = row.consented.zip(row.consented_time);
            by_study.entry(row.study_id).or_default().push(ScopeAnswer { code, answer });
        }
        consolidated.sort_by_key(|code| code.id);
        self.0.audit(AuditEntry::new(AuditAction::Read, "Consent").id(patient.0).patient(patient));
        Ok(ConsentOverview {
            consolidated,
            studies: studies
                .into_iter()
                .map(|study| {
                    let mut data_sources: Vec<_> =
                        sources.remove(&study.id).unwrap_or_default().into_iter().map(|(_, source)| source).collect();
                    data_sources.sort_by_key(|source| {
                        let name = source.name.clone().unwrap_or_default();
                        (name.to_lowercase(), name, source.id)
                    });
                    StudyConsents {
                        study_id: StudyId(study.id),
                        scopes: by_study.remove(&study.id).unwrap_or_default(),
                        data_sources,
                        name: study.name,
                        description: study.description,
                        organization_id: OrganizationId(study.organization_id),
                        organization_name: study.organization_name,
                        organization_type: study.organization_type,
                    }
                })
                .collect(),
        })
    }

    /// Holds the enrolments of the patient in `grant` in these studies, in one order for everybody: who writes answers of
    /// the same patient at the same time waits.
    pub async fn hold(
        &mut self,
        grant: &Grant<resource::Consent, action::WriteConsents>,
        studies: &[StudyId],
    ) -> Result<(), Error> {
        // The patient and its links before its enrolments: an answer may confirm a link.
        for statement in [
            "SELECT 1 FROM core_patient AS p JOIN core_patientorganization AS l ON l.patient_id = p.id
              WHERE p.id = $1 AND l.organization_id IN (SELECT s.organization_id FROM core_study AS s WHERE s.id = ANY ($2))
              ORDER BY l.id FOR KEY SHARE OF p FOR NO KEY UPDATE OF l",
            "SELECT 1 FROM core_studypatient WHERE patient_id = $1 AND study_id = ANY ($2) ORDER BY id FOR NO KEY UPDATE",
        ] {
            sqlx::query(statement)
                .bind(grant.id().0)
                .bind(studies.iter().map(|id| id.0).collect::<Vec<_>>())
                .execute(self.0.connection())
                .await
                .db()?;
        }
        Ok(())
    }

    /// What is known about one (study, system, code) of the patient in `grant`.
    pub async fn target(
        &mut self,
        grant: &Grant<resource::Consent, action::WriteConsents>,
        study: StudyId,
        system: &str,
        code: &str,
    ) -> Result<ConsentTarget, Error> {
        let Some(code) = self.0.scope_code(system, code).await? else {
            return Ok(ConsentTarget { code: None, requested: false, answered: false });
        };
        let (requested, answered): (bool, bool) = sqlx::query_as(
            "SELECT EXISTS (SELECT 1 FROM core_studyscoperequest WHERE study_id = $1 AND scope_code_id = $2),
                    EXISTS (SELECT 1 FROM core_studypatientscopeconsent AS c JOIN core_studypatient AS e ON e.id = c.study_patient_id
                             WHERE e.study_id = $1 AND e.patient_id = $3 AND c.scope_code_id = $2)",
        )
        .bind(study.0)
        .bind(code.id.0)
        .bind(grant.id().0)
        .fetch_one(self.0.connection())
        .await
        .db()?;
        Ok(ConsentTarget { code: Some(code), requested, answered })
    }

    /// Creates or overwrites answers of the patient in `grant`, all with one time, in the order given. A granted scope
    /// also confirms a link to the study's organization that waited for the patient, when it is the patient who grants.
    pub async fn write(
        &mut self,
        grant: &Grant<resource::Consent, action::WriteConsents>,
        writes: &[ConsentWrite],
        by_patient: bool,
        at: DateTime<Utc>,
    ) -> Result<Vec<Consent>, Error> {
        let patient = grant.id();
        self.0.tell_actor().await?;
        let studies: Vec<i64> = writes.iter().map(|write| write.study_id.0).collect();
        let codes: Vec<i64> = writes.iter().map(|write| write.scope_code_id.0).collect();
        let answers: Vec<bool> = writes.iter().map(|write| write.consented).collect();
        let rows: Vec<ConsentRow> = sqlx::query_as(
            "WITH wanted AS (SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bool[]) WITH ORDINALITY AS w (study_id, scope_code_id, consented, n)),
             written AS (
                 INSERT INTO core_studypatientscopeconsent AS c (study_patient_id, scope_code_id, consented, consented_time)
                 SELECT e.id, w.scope_code_id, w.consented, $5 FROM wanted AS w
                   JOIN core_studypatient AS e ON e.study_id = w.study_id AND e.patient_id = $4 ORDER BY w.n
                 ON CONFLICT ON CONSTRAINT core_studypatientscopeconsent_pair_key
                 DO UPDATE SET consented = excluded.consented, consented_time = excluded.consented_time
                 RETURNING c.id, c.study_patient_id, c.scope_code_id, c.consented, c.consented_time)
             SELECT x.id, x.study_patient_id, e.study_id, s.organization_id, x.scope_code_id, x.consented, x.consented_time
               FROM written AS x JOIN core_studypatient AS e ON e.id = x.study_patient_id JOIN core_study AS s ON s.id = e.study_id
               JOIN wanted AS w ON w.study_id = e.study_id AND w.scope_code_id = x.scope_code_id ORDER BY w.n",
        )
        .bind(&studies)
        .bind(&codes)
        .bind(&answers)
        .bind(patient.0)
        .bind(at)
        .fetch_all(self.0.connection())
        .await
        .db()?;
        if by_patient {
            let granted: Vec<i64> =
                writes.iter().filter(|write| write.consented).map(|write| write.study_id.0).collect();
            sqlx::query(
                "UPDATE core_patientorganization AS l SET confirmed = true FROM core_study AS s
                  WHERE s.id = ANY ($2) AND l.organization_id = s.organization_id AND l.patient_id = $1 AND NOT l.confirmed",
            )
            .bind(patient.0)
            .bind(granted)
            .execute(self.0.connection())
            .await
            .db()?;
        }
        let texts: Vec<ScopeCodeRow> = sqlx::query_as(
            "SELECT id AS scope_id, coding_system, coding_code, text AS scope_text FROM core_codeableconcept WHERE id = ANY ($1)",
        )
        .bind(&codes)
        .fetch_all(self.0.connection())
        .await
        .db()?;
        let texts: HashMap<i64, ScopeCode> = texts.into_iter().map(|row| (row.scope_id, row.into())).collect();
        self.note(AuditAction::Update, patient, rows.iter().map(|row| row.organization_id).collect());
        Ok(rows
            .into_iter()
            .filter_map(|row| {
                Some(Consent {
                    id: LinkId(row.id),
                    study_patient_id: LinkId(row.study_patient_id),
                    study_id: StudyId(row.study_id),
                    patient_id: patient,
                    code: texts.get(&row.scope_code_id)?.clone(),
                    consented: row.consented,
                    consented_time: row.consented_time,
                })
            })
            .collect())
    }

    /// Takes answers back: pending again.
    pub async fn delete(
        &mut self,
        grant: &Grant<resource::Consent, action::WriteConsents>,
        targets: &[(StudyId, ScopeCodeId)],
    ) -> Result<(), Error> {
        let patient = grant.id();
        self.0.tell_actor().await?;
        let gone: Vec<i64> = sqlx::query_scalar(
            "DELETE FROM core_studypatientscopeconsent AS c
              USING core_studypatient AS e, core_study AS s, unnest($2::bigint[], $3::bigint[]) AS w (study_id, scope_code_id)
              WHERE e.id = c.study_patient_id AND s.id = e.study_id AND e.patient_id = $1 AND e.study_id = w.study_id
                AND c.scope_code_id = w.scope_code_id RETURNING s.organization_id",
        )
        .bind(patient.0)
        .bind(targets.iter().map(|(study, _)| study.0).collect::<Vec<_>>())
        .bind(targets.iter().map(|(_, code)| code.0).collect::<Vec<_>>())
        .fetch_all(self.0.connection())
        .await
        .db()?;
        self.note(AuditAction::Delete, patient, gone.into_iter().collect());
        Ok(())
    }

    /// Records a change of consents, for each organization to whose studies it was: each is told of its own.
    fn note(&mut self, action: AuditAction, patient: PatientId, organizations: BTreeSet<i64>) {
        let entry = AuditEntry::new(action, "Consent").id(patient.0).patient(patient);
        if organizations.is_empty() {
            self.0.audit(entry.clone());
        }
        for organization in organizations {
            self.0.audit(entry.clone().organization(OrganizationId(organization)));
        }
    }

    /// Takes all answers of the patient in `grant` to these studies back; how many there were.
    pub async fn reset(
        &mut self,
        grant: &Grant<resource::Consent, action::WriteConsents>,
        studies: &[StudyId],
    ) -> Result<u64, Error> {
        let patient = grant.id();
        self.0.tell_actor().await?;
        sqlx::query("SELECT set_config('jhe.consent_action', 'reset', true)")
            .execute(self.0.connection())
            .await
            .db()?;
        let gone: Vec<i64> = sqlx::query_scalar(
            "DELETE FROM core_studypatientscopeconsent AS c USING core_studypatient AS e, core_study AS s
              WHERE e.id = c.study_patient_id AND s.id = e.study_id AND e.patient_id = $1 AND e.study_id = ANY ($2)
              RETURNING s.organization_id",
        )
        .bind(patient.0)
        .bind(studies.iter().map(|id| id.0).collect::<Vec<_>>())
        .fetch_all(self.0.connection())
        .await
        .db()?;
        let count = u64::try_from(gone.len()).unwrap_or(u64::MAX);
        self.note(AuditAction::Delete, patient, gone.into_iter().collect());
        Ok(count)
    }
}
