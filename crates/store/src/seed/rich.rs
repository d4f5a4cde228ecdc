//! The rich demo (data model §8.8): a study, its people and their consents. Their readings are uploaded.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use jhe_domain::error::Error;
use jhe_domain::{DataSourceId, OrganizationId, PatientId, ScopeCodeId};

use super::Admin;
use crate::fault::Db;
use crate::work::Work;

/// A patient of the rich demo.
#[derive(Debug, Clone)]
pub struct RichPatient {
    /// Address, which is the identifier too.
    pub email: String,
    /// Given name.
    pub given: String,
    /// Family name.
    pub family: String,
    /// Birth date.
    pub born: NaiveDate,
    /// Phone.
    pub phone: &'static str,
    /// A password nobody knows.
    pub password: String,
}

/// The study of the rich demo.
#[derive(Debug, Clone, Copy)]
pub struct RichStudy<'a> {
    /// The organization it belongs to.
    pub organization: OrganizationId,
    /// Name.
    pub name: &'a str,
    /// Description.
    pub description: &'a str,
    /// Names of its data sources.
    pub sources: &'a [&'a str],
    /// Codes of the data types it asks for, in order.
    pub codes: &'a [&'a str],
    /// When everybody consented.
    pub consented: DateTime<Utc>,
}

/// What was made, by what it is known by.
#[derive(Debug, Clone, Default)]
pub struct RichMade {
    /// Patients by address.
    pub patients: HashMap<String, PatientId>,
    /// Data types by code, with their coding systems.
    pub codes: HashMap<String, (ScopeCodeId, String)>,
    /// Data sources by name.
    pub sources: HashMap<String, DataSourceId>,
}

impl Work {
    /// The first organization whose name holds a text.
    pub async fn organization_like(&mut self, _admin: &Admin, text: &str) -> Result<Option<OrganizationId>, Error> {
        let id: Option<i64> =
            sqlx::query_scalar("SELECT min(id) FROM core_organization WHERE position($1 in name) > 0")
                .bind(text)
                .fetch_one(self.connection())
                .await
                .db()?;
        Ok(id.map(OrganizationId))
    }

    /// How many accounts have one of these addresses, and whether a study of this name in the organization has all of them.
    pub async fn rich_state(
        &mut self,
        _admin: &Admin,
        study: &RichStudy<'_>,
        emails: &[&str],
    ) -> Result<(i64, bool), Error> {
        sqlx::query_as(
            "SELECT (SELECT count(*) FROM core_jheuser WHERE lower(email) = ANY ($1)),
                    EXISTS (SELECT 1 FROM core_study AS s
                             WHERE s.name = $2 AND s.organization_id = $3
                               AND (SELECT count(*) FROM core_studypatient AS e
                                      JOIN core_patient AS p ON p.id = e.patient_id JOIN core_jheuser AS u ON u.id = p.jhe_user_id
                                     WHERE e.study_id = s.id AND lower(u.email) = ANY ($1)) = cardinality($1))",
        )
        .bind(emails)
        .bind(study.name)
        .bind(study.organization.0)
        .fetch_one(self.connection())
        .await
        .db()
    }

    /// The midnights of the last days, today's the last, in the time zone of the site.
    pub async fn local_midnights(
        &mut self,
        _admin: &Admin,
        now: DateTime<Utc>,
        days: i64,
    ) -> Result<Vec<DateTime<Utc>>, Error> {
        sqlx::query_scalar(
            "WITH zone AS (SELECT coalesce((SELECT z.name FROM core_jhesetting AS s JOIN pg_timezone_names AS z ON z.name = s.value_string
                                              WHERE s.key = 'site.time_zone' LIMIT 1), 'UTC') AS name)
             SELECT day AT TIME ZONE zone.name
               FROM zone, generate_series(date_trunc('day', $1 AT TIME ZONE zone.name) - ($2 - 1) * interval '1 day',
                                          date_trunc('day', $1 AT TIME ZONE zone.name), interval '1 day') AS day
              ORDER BY day",
        )
        .bind(now)
        .bind(days)
        .fetch_all(self.connection())
        .await
        .db()
    }

    /// Makes the study, enrols new patients, and lets them consent to all it asks for.
    pub async fn seed_rich(
        &mut self,
        _admin: &Admin,
        study: &RichStudy<'_>,
        patients: &[RichPatient],
    ) -> Result<RichMade, Error> {
        self.tell_actor().await?;
        let study_id: i64 = sqlx::query_scalar(
            "INSERT INTO core_study (name, description, organization_id) VALUES ($1, $2, $3) RETURNING id",
        )
        .bind(study.name)
        .bind(study.description)
        .bind(study.organization.0)
        .fetch_one(self.connection())
        .await
        .db()?;
        let made = self.seed_people(patients).await?;
        let codes: Vec<(String, i64, String)> = sqlx::query_as(
            "SELECT DISTINCT ON (k.coding_code) k.coding_code, k.id, k.coding_system FROM core_codeableconcept AS k
              WHERE k.coding_code = ANY ($1) ORDER BY k.coding_code, k.id",
        )
        .bind(study.codes)
        .fetch_all(self.connection())
        .await
        .db()?;
        let sources: Vec<(String, i64)> = sqlx::query_as(
            "SELECT DISTINCT ON (d.name) d.name, d.id FROM core_datasource AS d WHERE d.name = ANY ($1) ORDER BY d.name, d.id",
        )
        .bind(study.sources)
        .fetch_all(self.connection())
        .await
        .db()?;
        let ids: Vec<i64> = made.iter().map(|(_, id)| *id).collect();
        let emails: Vec<&str> = made.iter().map(|(email, _)| email.as_str()).collect();
        let asked: Vec<i64> = study
            .codes
            .iter()
            .filter_map(|code| codes.iter().find(|(known, ..)| known == code).map(|(_, id, _)| *id))
            .collect();
        let from: Vec<i64> = study
            .sources
            .iter()
            .filter_map(|name| sources.iter().find(|(known, _)| known == name).map(|(_, id)| *id))
            .collect();
        for (statement, rows) in [
            (
                "INSERT INTO core_studyscoperequest (study_id, scope_code_id)
                 SELECT $1, code FROM unnest($2::bigint[]) WITH ORDINALITY AS c (code, n) ORDER BY n",
                &asked,
            ),
            (
                "INSERT INTO core_studydatasource (study_id, data_source_id)
                 SELECT $1, source FROM unnest($2::bigint[]) WITH ORDINALITY AS d (source, n) ORDER BY n",
                &from,
            ),
            (
                "INSERT INTO core_patientorganization (patient_id, organization_id)
                 SELECT patient, s.organization_id FROM core_study AS s, unnest($2::bigint[]) WITH ORDINALITY AS p (patient, n)
                  WHERE s.id = $1 ORDER BY n",
                &ids,
            ),
            (
                "INSERT INTO core_studypatient (study_id, patient_id)
                 SELECT $1, patient FROM unnest($2::bigint[]) WITH ORDINALITY AS p (patient, n) ORDER BY n",
                &ids,
            ),
        ] {
            sqlx::query(statement).bind(study_id).bind(rows).execute(self.connection()).await.db()?;
        }
        sqlx::query(
            "INSERT INTO core_studypatientscopeconsent (study_patient_id, scope_code_id, consented, consented_time)
             SELECT e.id, c.code, true, $2 FROM core_studypatient AS e, unnest($3::bigint[]) WITH ORDINALITY AS c (code, n)
              WHERE e.study_id = $1 ORDER BY e.id, c.n",
        )
        .bind(study_id)
        .bind(study.consented)
        .bind(&asked)
        .execute(self.connection())
        .await
        .db()?;
        sqlx::query(
            "INSERT INTO core_patientidentifier (patient_id, system, value)
             SELECT patient, 'demo', email FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS p (patient, email, n) ORDER BY n",
        )
        .bind(&ids)
        .bind(&emails)
        .execute(self.connection())
        .await
        .db()?;
        Ok(RichMade {
            patients: made.into_iter().map(|(email, id)| (email, PatientId(id))).collect(),
            codes: codes.into_iter().map(|(code, id, system)| (code, (ScopeCodeId(id), system))).collect(),
            sources: sources.into_iter().map(|(name, id)| (name, DataSourceId(id))).collect(),
        })
    }
    /// Makes accounts with patients; the addresses with the ids of the patients.
    async fn seed_people(&mut self, patients: &[RichPatient]) -> Result<Vec<(String, i64)>, Error> {
        let column = |f: &dyn Fn(&RichPatient) -> String| patients.iter().map(f).collect::<Vec<_>>();
        // Rows are made one after the other in the order given, so that ids are the same each time.
        sqlx::query_as(
            "WITH wanted AS (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::date[], $5::text[], $6::text[])
                                           WITH ORDINALITY AS w (email, given, family, born, phone, password, n)),
             account AS (
                 INSERT INTO core_jheuser (email, password, first_name, last_name, user_type, identifier)
                 SELECT email, password, given, family, 'patient', email FROM wanted ORDER BY n RETURNING id, email),
             person AS (
                 INSERT INTO core_patient (jhe_user_id, name_family, name_given, birth_date, telecom_phone)
                 SELECT a.id, w.family, w.given, w.born, w.phone FROM wanted AS w JOIN account AS a ON a.email = w.email ORDER BY w.n
                 RETURNING id, jhe_user_id)
             SELECT a.email, p.id FROM person AS p JOIN account AS a ON a.id = p.jhe_user_id ORDER BY p.id",
        )
        .bind(column(&|patient| patient.email.clone()))
        .bind(column(&|patient| patient.given.clone()))
        .bind(column(&|patient| patient.family.clone()))
        .bind(patients.iter().map(|patient| patient.born).collect::<Vec<_>>())
        .bind(column(&|patient| patient.phone.to_owned()))
        .bind(column(&|patient| patient.password.clone()))
        .fetch_all(self.connection())
        .await
        .db()
    }
}
