//! What the authorization core asks, answered from the predicate views.

use jhe_authz::Location;
use jhe_authz::port::{Attribution, AuthzPort, Hidden, ObservationStanding, OrganizationPosition, UploadTarget};
use jhe_domain::error::Error;
use jhe_domain::role::Role;
use jhe_domain::{
    FhirSourceId, ObservationId, OrganizationId, PatientId, PractitionerId, ScopeCodeId, StudyId, UserId,
};

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::fault::Db;
use crate::work::Work;

/// What was found for each of a number of questions, from rows that say the `place` of theirs, counted from one.
pub(crate) fn in_place<T>(
    questions: usize,
    rows: Vec<PgRow>,
    read: impl Fn(&PgRow) -> sqlx::Result<T>,
) -> Result<Vec<Option<T>>, Error> {
    let mut answers: Vec<Option<T>> = std::iter::repeat_with(|| None).take(questions).collect();
    for row in rows {
        let place: i64 = row.try_get("place").db()?;
        let answer = usize::try_from(place).ok().and_then(|place| answers.get_mut(place.checked_sub(1)?));
        *answer.ok_or_else(|| Error::internal("an answer without a question"))? = Some(read(&row).db()?);
    }
    Ok(answers)
}

impl Work {
    async fn ask(&mut self, question: &'static str, numbers: &[Option<i64>]) -> Result<bool, Error> {
        let mut query = sqlx::query_scalar(question);
        for number in numbers {
            query = query.bind(*number);
        }
        query.fetch_one(self.connection()).await.db()
    }
}

impl AuthzPort for Work {
    fn attribute(&mut self, who: Attribution) {
        self.who = who;
    }

    async fn role(&mut self, who: PractitionerId, at: OrganizationId) -> Result<Option<Role>, Error> {
        let role: Option<String> =
            sqlx::query_scalar("SELECT role FROM jhe_member WHERE practitioner_id = $1 AND organization_id = $2")
                .bind(who.0)
                .bind(at.0)
                .fetch_optional(self.connection())
                .await
                .db()?;
        Ok(role.as_deref().map(Role::parse_lenient))
    }

    async fn position(&mut self, of: OrganizationId) -> Result<Option<OrganizationPosition>, Error> {
        let row: Option<Option<i64>> = sqlx::query_scalar("SELECT part_of_id FROM core_organization WHERE id = $1")
            .bind(of.0)
            .fetch_optional(self.connection())
            .await
            .db()?;
        Ok(row.map(|part_of| OrganizationPosition { part_of: part_of.map(OrganizationId) }))
    }

    async fn organization_of(&mut self, study: StudyId) -> Result<Option<OrganizationId>, Error> {
        let id: Option<i64> = sqlx::query_scalar("SELECT organization_id FROM core_study WHERE id = $1")
            .bind(study.0)
            .fetch_optional(self.connection())
            .await
            .db()?;
        Ok(id.map(OrganizationId))
    }

    async fn hidden(&mut self, who: PractitionerId, named: &Location) -> Result<Option<Hidden>, Error> {
        let organizations = named.organizations.iter().flatten().map(|id| id.0).collect::<Vec<_>>();
        let studies = named.studies.iter().flatten().map(|id| id.0).collect::<Vec<_>>();
        let patients = named.patients.iter().flatten().map(|id| id.0).collect::<Vec<_>>();
        // Asked for each id by itself: a join would read all patients to answer for one.
        let row: Option<(String, i64)> = sqlx::query_as(
            "SELECT kind, id FROM (
                 SELECT 1 AS place, 'organization' AS kind, id, n FROM unnest($2::bigint[]) WITH ORDINALITY AS named (id, n)
                  WHERE (SELECT true FROM jhe_member AS m
                          WHERE m.organization_id = named.id AND m.practitioner_id = $1 LIMIT 1) IS NULL
                 UNION ALL
                 SELECT 2, 'study', id, n FROM unnest($3::bigint[]) WITH ORDINALITY AS named (id, n)
                  WHERE (SELECT true FROM core_study AS s JOIN jhe_member AS m ON m.organization_id = s.organization_id
                          WHERE s.id = named.id AND m.practitioner_id = $1 LIMIT 1) IS NULL
                 UNION ALL
                 SELECT 3, 'patient', id, n FROM unnest($4::bigint[]) WITH ORDINALITY AS named (id, n)
                  WHERE (SELECT true FROM jhe_shares AS h
                          WHERE h.patient_id = named.id AND h.practitioner_id = $1 LIMIT 1) IS NULL
             ) AS hidden ORDER BY place, n LIMIT 1",
        )
        .bind(who.0)
        .bind(organizations)
        .bind(studies)
        .bind(patients)
        .fetch_optional(self.connection())
        .await
        .db()?;
        Ok(row.map(|(kind, id)| match kind.as_str() {
            "organization" => Hidden::Organization(OrganizationId(id)),
            "study" => Hidden::Study(StudyId(id)),
            _ => Hidden::Patient(PatientId(id)),
        }))
    }

    async fn patient_exists(&mut self, patient: PatientId) -> Result<bool, Error> {
        self.ask("SELECT EXISTS (SELECT 1 FROM core_patient WHERE id = $1)", &[Some(patient.0)]).await
    }

    async fn shares(&mut self, who: PractitionerId, patient: PatientId) -> Result<bool, Error> {
        self.ask(
            "SELECT EXISTS (SELECT 1 FROM jhe_shares WHERE practitioner_id = $1 AND patient_id = $2)",
            &[Some(who.0), Some(patient.0)],
        )
        .await
    }

    async fn awaits(&mut self, who: PractitionerId, patient: PatientId) -> Result<bool, Error> {
        self.ask(
            "SELECT EXISTS (SELECT 1 FROM jhe_awaits WHERE practitioner_id = $1 AND patient_id = $2)",
            &[Some(who.0), Some(patient.0)],
        )
        .await
    }

    async fn manages_patient(
        &mut self,
        who: PractitionerId,
        patient: PatientId,
        at: Option<OrganizationId>,
    ) -> Result<bool, Error> {
        self.ask(
            "SELECT EXISTS (SELECT 1 FROM jhe_manages_patient
                             WHERE practitioner_id = $1 AND patient_id = $2 AND ($3::bigint IS NULL OR organization_id = $3))",
            &[Some(who.0), Some(patient.0), at.map(|id| id.0)],
        )
        .await
    }

    async fn link(&mut self, patient: PatientId, at: OrganizationId) -> Result<Option<bool>, Error> {
        sqlx::query_scalar(
            "SELECT confirmed FROM core_patientorganization WHERE patient_id = $1 AND organization_id = $2",
        )
        .bind(patient.0)
        .bind(at.0)
        .fetch_optional(self.connection())
        .await
        .db()
    }

    async fn enrolled(&mut self, patient: PatientId, study: StudyId) -> Result<bool, Error> {
        self.ask(
            "SELECT EXISTS (SELECT 1 FROM core_studypatient WHERE patient_id = $1 AND study_id = $2)",
            &[Some(patient.0), Some(study.0)],
        )
        .await
    }

    async fn manages_anywhere(&mut self, who: PractitionerId) -> Result<bool, Error> {
        self.ask("SELECT EXISTS (SELECT 1 FROM jhe_manages WHERE practitioner_id = $1)", &[Some(who.0)]).await
    }

    async fn leads_anywhere(&mut self, who: PractitionerId) -> Result<bool, Error> {
        self.ask("SELECT EXISTS (SELECT 1 FROM jhe_leads WHERE practitioner_id = $1)", &[Some(who.0)]).await
    }

    async fn patient_of_source(&mut self, source: FhirSourceId) -> Result<Option<PatientId>, Error> {
        let id: Option<i64> = sqlx::query_scalar("SELECT patient_id FROM core_fhirsource WHERE id = $1")
            .bind(source.0)
            .fetch_optional(self.connection())
            .await
            .db()?;
        Ok(id.map(PatientId))
    }

    async fn observation_standing(
        &mut self,
        who: PractitionerId,
        observation: ObservationId,
    ) -> Result<ObservationStanding, Error> {
        let (readable, led): (bool, bool) = sqlx::query_as(
            "SELECT count(*) > 0, coalesce(bool_or(m.role IN ('manager', 'super_user')), false)
               FROM core_observation AS o
               JOIN jhe_readable AS r ON r.patient_id = o.subject_patient_id AND r.scope_code_id = o.codeable_concept_id
                                     AND r.practitioner_id = $1 AND r.may_read
               JOIN jhe_member AS m ON m.practitioner_id = $1 AND m.organization_id = r.organization_id
              WHERE o.id = $2",
        )
        .bind(who.0)
        .bind(observation.0)
        .fetch_one(self.connection())
        .await
        .db()?;
        Ok(ObservationStanding { readable, led })
    }

    async fn upload_targets(
        &mut self,
        who: Option<PractitionerId>,
        patients: &[PatientId],
    ) -> Result<Vec<UploadTarget>, Error> {
        let rows: Vec<(i64, Option<i64>, bool, Vec<i64>)> = sqlx::query_as(
            "SELECT p.id, p.jhe_user_id,
                    EXISTS (SELECT 1 FROM jhe_manages_patient AS m WHERE m.practitioner_id = $1 AND m.patient_id = p.id),
                    ARRAY (SELECT DISTINCT r.scope_code_id FROM jhe_releases AS r WHERE r.patient_id = p.id)
               FROM core_patient AS p WHERE p.id = ANY ($2)",
        )
        .bind(who.map(|id| id.0))
        .bind(patients.iter().map(|id| id.0).collect::<Vec<_>>())
        .fetch_all(self.connection())
        .await
        .db()?;
        Ok(rows
            .into_iter()
            .map(|(patient, user, managed, consented)| UploadTarget {
                patient: PatientId(patient),
                user: user.map(UserId),
                managed,
                consented: consented.into_iter().map(ScopeCodeId).collect(),
            })
            .collect())
    }
}
