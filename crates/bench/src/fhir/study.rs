//! A study of many rows, loaded as its patients would have uploaded them in a year: some readings at a time, all data
//! types in turn.
//!
//! Secondary indexes and foreign keys are taken away for the time and made anew from their own definitions; triggers
//! stay, so that whatever a table keeps for itself is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::document::{DEVICE, IDENTIFIERS, KINDS, Kind};
use super::{Dice, PRACTITIONER};
use crate::place::{Place, Pool};

/// Of demo data: the organization, and the account of its manager.
const ORGANIZATION: i64 = 20003;
const MANAGER: i64 = 10002;
/// Ids of our own, far from those that sequences reach.
const STUDY: i64 = 3_000_001;
const FIRST_USER: i64 = 5_000_001;
const FIRST_PATIENT: i64 = 6_000_001;
const FIRST_ENROLMENT: i64 = 7_000_001;
/// Most patients of a study, and rows of each at least.
const MOST_PATIENTS: i64 = 2000;
const ROWS_OF_A_PATIENT: i64 = 500;
/// Readings that come in one upload.
const UPLOAD: i64 = 20;
/// Rows of one statement.
const CHUNK: i64 = 500_000;
/// Statements at once.
const LOADERS: usize = 2;
/// Large tables take their time.
const PATIENCE: Duration = Duration::from_hours(6);
/// Tables that take the rows.
const TABLES: &str = "('core_observation'::regclass, 'core_observationidentifier'::regclass)";
/// For the loaders' sessions.
const SETTINGS: &str = "SET lock_timeout = 0; SET work_mem = '256MB'; SET maintenance_work_mem = '1GB';";

/// The study and what is known of its rows.
#[derive(Debug, Clone)]
pub(super) struct Study {
    /// Its id.
    pub(super) id: i64,
    /// Its patients, whose ids follow each other.
    pub(super) patients: i64,
    /// The id of its first observation; the others follow in the order of their time.
    pub(super) first_row: i64,
    /// Observations.
    pub(super) rows: i64,
    /// Days, each 30 after the one before, within the time of the readings.
    pub(super) days: Vec<String>,
}

/// The token of a patient.
pub(super) fn token(patient: i64) -> String {
    format!("bench-patient-{patient}")
}

impl Study {
    /// The first of its patients.
    pub(super) const FIRST_PATIENT: i64 = FIRST_PATIENT;

    /// How many patients it has.
    pub(super) const fn patients(&self) -> i64 {
        self.patients
    }

    /// One of its patients.
    pub(super) fn patient(&self, dice: &mut Dice) -> i64 {
        FIRST_PATIENT + dice.below(self.patients)
    }

    /// Puts it into the database.
    pub(super) async fn load(place: &Place, rows: i64) -> Result<Self> {
        let started = Instant::now();
        let patients = (rows / ROWS_OF_A_PATIENT).clamp(1, MOST_PATIENTS);
        let sequence = "pg_get_serial_sequence('core_observation', 'id')";
        let first_row = place.number(&format!("SELECT nextval({sequence})")).await?;
        place.execute(format!("SELECT setval({sequence}, {})", first_row + rows - 1)).await?;
        let start = place.scalar("SELECT (date_trunc('day', now()) - interval '367 days')::text".to_owned()).await?;
        let days = format!(
            "SELECT string_agg(to_char(timestamptz '{start}' + n * interval '30 days', 'YYYY-MM-DD'), ' ' ORDER BY n)
               FROM generate_series(0, 12) AS n"
        );
        let days = place.scalar(days).await?.split(' ').map(str::to_owned).collect();
        let study = Self { id: STUDY, patients, first_row, rows, days };
        let pool = place.pool(LOADERS, PATIENCE).await?;
        study.enrol(&pool).await?;
        let (drop, make) = definitions(place).await?;
        pool.execute(format!("{SETTINGS} {drop}")).await?;
        study.fill(&pool, &start).await?;
        let (filled, started_index) = (started.elapsed(), Instant::now());
        pool.execute(format!("{SETTINGS} {make}")).await?;
        let (indexed, started_vacuum) = (started_index.elapsed(), Instant::now());
        pool.execute("VACUUM (ANALYZE)".to_owned()).await?;
        pool.execute("CHECKPOINT".to_owned()).await?;
        let vacuumed = started_vacuum.elapsed();
        let all = started.elapsed();
        pool.close().await;
        let counted = format!(
            "SELECT coalesce(sum(n), 0)::bigint FROM jhe_observation_stats
              WHERE patient_id BETWEEN {FIRST_PATIENT} AND {}",
            FIRST_PATIENT + patients - 1
        );
        let counted = place.number(&counted).await?;
        ensure!(counted == rows, "{rows} observations were loaded, but the counters say {counted}");
        let size = "pg_total_relation_size('core_observation') + pg_total_relation_size('core_observationidentifier')";
        println!(
            "fhir: {rows} observations of {patients} patients and {} data types loaded in {:.1} s (rows {:.1} s, indexes {:.1} s, vacuum {:.1} s), {} MiB",
            KINDS.len(),
            all.as_secs_f64(),
            filled.as_secs_f64(),
            indexed.as_secs_f64(),
            vacuumed.as_secs_f64(),
            place.number(&format!("SELECT ({size}) / 1048576")).await?,
        );
        Ok(study)
    }

    /// Patients with accounts, their consents, and tokens for them and for the practitioner.
    async fn enrol(&self, pool: &Pool) -> Result<()> {
        let last = self.patients - 1;
        let codes = list(|kind| kind.id.to_string());
        pool.execute(format!(
            "INSERT INTO core_study (id, name, description, organization_id) VALUES ({STUDY}, 'Bench', 'Bench', {ORGANIZATION});
             INSERT INTO core_studyscoperequest (study_id, scope_code_id) SELECT {STUDY}, unnest(ARRAY[{codes}]);
             INSERT INTO core_studydatasource (study_id, data_source_id) VALUES ({STUDY}, {DEVICE});
             INSERT INTO core_jheuser (id, email, password, first_name, last_name, user_type, email_is_verified)
             SELECT {FIRST_USER} + n, 'bench-' || n || '@example.com', '!', 'Bench', 'Patient ' || n, 'patient', true
               FROM generate_series(0, {last}) AS n;
             INSERT INTO core_patient (id, jhe_user_id, name_family, name_given, birth_date)
             SELECT {FIRST_PATIENT} + n, {FIRST_USER} + n, 'Patient ' || n, 'Bench', date '1950-01-01' + n
               FROM generate_series(0, {last}) AS n;
             INSERT INTO core_patientorganization (patient_id, organization_id)
             SELECT {FIRST_PATIENT} + n, {ORGANIZATION} FROM generate_series(0, {last}) AS n;
             INSERT INTO core_studypatient (id, study_id, patient_id)
             SELECT {FIRST_ENROLMENT} + n, {STUDY}, {FIRST_PATIENT} + n FROM generate_series(0, {last}) AS n;
             INSERT INTO core_studypatientscopeconsent (study_patient_id, scope_code_id, consented, consented_time)
             SELECT {FIRST_ENROLMENT} + n, code, true, now() FROM generate_series(0, {last}) AS n, unnest(ARRAY[{codes}]) AS code;
             INSERT INTO oauth2_provider_accesstoken (token_digest, user_id, application_id, scope, created, expires)
             SELECT sha256(convert_to('{patient_token}' || ({FIRST_PATIENT} + n), 'UTF8')), {FIRST_USER} + n, 1, 'openid', now(),
                    now() + interval '1 day'
               FROM generate_series(0, {last}) AS n;
             INSERT INTO oauth2_provider_accesstoken (token_digest, user_id, application_id, scope, created, expires)
             VALUES (sha256('{PRACTITIONER}'), {MANAGER}, 4, 'openid', now(), now() + interval '1 day')",
            patient_token = token(0).trim_end_matches('0'),
        ))
        .await
    }

    /// The rows themselves, a chunk of them a statement.
    async fn fill(&self, pool: &Pool, start: &str) -> Result<()> {
        let next = Arc::new(AtomicI64::new(0));
        let tasks: Vec<_> = (0..LOADERS)
            .map(|_| {
                let (study, store, next, start) = (self.clone(), pool.store.clone(), next.clone(), start.to_owned());
                tokio::spawn(async move {
                    loop {
                        let from = next.fetch_add(CHUNK, Ordering::Relaxed);
                        if from >= study.rows {
                            return anyhow::Ok(());
                        }
                        let sql = study.chunk(&start, from, (from + CHUNK).min(study.rows));
                        store.execute_raw(sql.leak()).await.map_err(crate::place::plain)?;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        Ok(())
    }

    /// Statements that make some of the rows, with one identifier each.
    fn chunk(&self, start: &str, from: i64, to: i64) -> String {
        let Self { patients, first_row, rows, .. } = self;
        let kinds = KINDS.len();
        let ids = list(|kind| kind.id.to_string());
        let lows = list(|kind| kind.low.to_string());
        let documents = list(|kind| format!("'{}'", kind.template()));
        // A year from the first upload to the last.
        let step = 31_536_000_000_000 / (rows / UPLOAD);
        format!(
            "{SETTINGS}
             INSERT INTO core_observation (id, subject_patient_id, codeable_concept_id, data_source_id, status, omh_data,
                    effective_date_time, created, last_updated)
             SELECT {first_row} + i, {FIRST_PATIENT} + (i / {UPLOAD}) * 7919 % {patients}, (ARRAY[{ids}]::bigint[])[k], {DEVICE}, 'final',
                    replace(replace(replace((ARRAY[{documents}])[k],
                        '@uuid@', '5b6c1d2e-0000-4000-8000-' || lpad(to_hex(i), 12, '0')),
                        '@time@', to_char(taken AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')),
                        '@value@', ((ARRAY[{lows}])[k] + i / {UPLOAD} % 20)::text),
                    taken, arrived, arrived
               FROM generate_series({from}::bigint, {to}::bigint - 1) AS i,
                    LATERAL (SELECT (i % {kinds})::int + 1 AS k,
                                    timestamptz '{start}' + (i / {UPLOAD}) * interval '{step} microseconds' AS arrived) AS a,
                    LATERAL (SELECT date_trunc('second', arrived - ({UPLOAD} - i % {UPLOAD}) * interval '15 minutes') AS taken) AS t;
             INSERT INTO core_observationidentifier (observation_id, system, value)
             SELECT {first_row} + i, '{IDENTIFIERS}', 'bench-' || i FROM generate_series({from}::bigint, {to}::bigint - 1) AS i"
        )
    }
}

/// Something of each data type, separated by commas.
fn list(of: impl Fn(&Kind) -> String) -> String {
    KINDS.iter().map(of).collect::<Vec<_>>().join(", ")
}

/// Statements that drop the foreign keys and secondary indexes of the tables, and those that make them again.
async fn definitions(place: &Place) -> Result<(String, String)> {
    let keys = format!(
        "SELECT conrelid::regclass AS tab, quote_ident(conname) AS name, pg_get_constraintdef(oid) AS def
           FROM pg_constraint WHERE contype = 'f' AND conrelid IN {TABLES}"
    );
    let indexes = format!(
        "SELECT indexrelid::regclass AS name, pg_get_indexdef(indexrelid) AS def FROM pg_index
          WHERE indrelid IN {TABLES} AND indexrelid NOT IN (SELECT conindid FROM pg_constraint)"
    );
    let drop = place.scalar(format!(
        "SELECT concat(
             (SELECT string_agg(format('ALTER TABLE %s DROP CONSTRAINT %s;', tab, name), ' ') FROM ({keys}) AS k),
             (SELECT string_agg(format('DROP INDEX %s;', name), ' ') FROM ({indexes}) AS i))"
    ));
    let make = place.scalar(format!(
        "SELECT concat(
             (SELECT string_agg(def || ';', ' ') FROM ({indexes}) AS i),
             (SELECT string_agg(format('ALTER TABLE %s ADD CONSTRAINT %s %s;', tab, name, def), ' ') FROM ({keys}) AS k))"
    ));
    Ok((drop.await?, make.await?))
}
