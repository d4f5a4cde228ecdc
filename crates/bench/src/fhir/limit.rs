//! The same without a server: what PostgreSQL does with the rows of an upload and for a page, over as many connections.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use jhe_store::Store;

use super::document::{DEVICE, IDENTIFIERS, KINDS, Kind};
use super::study::Study;
use crate::load::{Outcome, Plan, drive};
use crate::place::{Place, plain};

const PATIENCE: Duration = Duration::from_secs(30);

/// Functions that store rows as an upload does: observations, their identifiers, and the counters by trigger.
pub(super) async fn prepare(place: &Place) -> Result<()> {
    place
        .execute(format!(
            "CREATE FUNCTION jhe_bench_many(patient bigint, codes bigint[], documents text[]) RETURNS void LANGUAGE plpgsql AS $$
             BEGIN
                 WITH wanted AS MATERIALIZED (
                     SELECT w.*, nextval('core_observation_id_seq') AS id FROM unnest(codes, documents) AS w (code, document)),
                 made AS (
                     INSERT INTO core_observation (id, subject_patient_id, codeable_concept_id, data_source_id, status, omh_data,
                            effective_date_time, created, last_updated)
                     SELECT id, patient, code, {DEVICE}, 'final', document, t.now, t.now, t.now
                       FROM wanted, (SELECT clock_timestamp() AS now) AS t)
                 INSERT INTO core_observationidentifier (observation_id, system, value)
                 SELECT id, '{IDENTIFIERS}', gen_random_uuid()::text FROM wanted;
             END $$;
             CREATE FUNCTION jhe_bench_one(patient bigint, code bigint, document text) RETURNS void LANGUAGE plpgsql AS $$
             DECLARE made bigint;
             BEGIN
                 INSERT INTO core_observation (subject_patient_id, codeable_concept_id, data_source_id, status, omh_data, effective_date_time)
                 VALUES (patient, code, {DEVICE}, 'final', document, clock_timestamp()) RETURNING id INTO made;
                 INSERT INTO core_observationidentifier (observation_id, system, value)
                 VALUES (made, '{IDENTIFIERS}', gen_random_uuid()::text);
             END $$"
        ))
        .await
}

/// A patient whom the database chooses.
fn any_patient(study: &Study) -> String {
    format!("{} + floor(random() * {})::bigint", Study::FIRST_PATIENT, study.patients)
}

/// Runs one statement over and over.
async fn repeat(place: &Place, plan: Plan, name: String, sql: String) -> Result<Outcome> {
    let sql: &'static str = sql.leak();
    let pool = place.pool(plan.connections, PATIENCE).await?;
    let workers = vec![pool.store.clone(); plan.connections];
    let outcome = drive(name, place, plan, workers, async move |store: &mut Store| {
        store.execute_raw(sql).await.map_err(plain)?;
        Ok(true)
    })
    .await;
    pool.close().await;
    outcome
}

/// One INSERT and one commit for so many rows.
pub(super) async fn inserts(place: &Place, plan: Plan, study: &Study, rows: usize) -> Result<Outcome> {
    let column = |of: fn(&Kind) -> String| KINDS.iter().map(of).cycle().take(rows).collect::<Vec<_>>().join(",");
    let codes = column(|kind| kind.id.to_string());
    let documents = column(|kind| format!("'{}'", kind.document()));
    let patient = any_patient(study);
    let sql = format!("SELECT jhe_bench_many({patient}, ARRAY[{codes}]::bigint[], ARRAY[{documents}])");
    repeat(place, plan, format!("  bare INSERT of {rows}"), sql).await
}

/// One row and one commit, with its identifier and counter.
pub(super) async fn single(place: &Place, plan: Plan, study: &Study) -> Result<Outcome> {
    let Some(kind) = KINDS.first() else { anyhow::bail!("no data type") };
    let (patient, code, document) = (any_patient(study), kind.id, kind.document());
    let sql = format!("SELECT jhe_bench_one({patient}, {code}, '{document}')");
    repeat(place, plan, format!("  bare INSERT of 1, {} at once", plan.connections), sql).await
}

/// COPY and one commit for so many rows, each connection for a patient of its own. The database reads files, so that
/// not even the transport counts; identifiers are not among them.
pub(super) async fn copies(place: &Place, plan: Plan, study: &Study, rows: usize) -> Result<Outcome> {
    let pool = place.pool(plan.connections, PATIENCE).await?;
    let mut workers = Vec::new();
    for (patient, number) in (0..study.patients).cycle().zip(0..plan.connections) {
        let path = place.folder.join(format!("copy-{rows}-{number}"));
        write_rows(&path, Study::FIRST_PATIENT + patient, rows)?;
        let sql = format!(
            "COPY core_observation (subject_patient_id, codeable_concept_id, data_source_id, status, omh_data, effective_date_time)
             FROM '{}'",
            path.display()
        );
        let sql: &'static str = sql.leak();
        workers.push((pool.store.clone(), sql));
    }
    let name = format!("  bare COPY of {rows}");
    let outcome = drive(name, place, plan, workers, async move |(store, sql): &mut (Store, &'static str)| {
        store.execute_raw(sql).await.map_err(plain)?;
        Ok(true)
    })
    .await;
    pool.close().await;
    outcome
}

fn write_rows(path: &Path, patient: i64, rows: usize) -> Result<()> {
    let line =
        |kind: &Kind| format!("{patient}\t{}\t{DEVICE}\tfinal\t{}\t2026-04-15T14:30:00Z\n", kind.id, kind.document());
    let text: String = KINDS.iter().map(line).cycle().take(rows).collect();
    std::fs::write(path, text)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o644))?;
    Ok(())
}

/// A page of 100 of one patient as one would write it first.
pub(super) async fn page(place: &Place, plan: Plan, study: &Study) -> Result<Outcome> {
    let codes = codes();
    let sql = format!(
        "WITH who AS MATERIALIZED (SELECT {} AS id)
         SELECT {COLUMNS} FROM core_observation AS o
          WHERE o.subject_patient_id = (SELECT id FROM who) AND o.codeable_concept_id = ANY ('{{{codes}}}'::bigint[])
          ORDER BY o.last_updated DESC, o.id DESC LIMIT 100",
        any_patient(study)
    );
    read(place, plan, "bare page, patient and codes", sql).await
}

/// The same, code by code, so that the index has the order.
pub(super) async fn page_by_pairs(place: &Place, plan: Plan, study: &Study) -> Result<Outcome> {
    let codes = codes();
    let sql = format!(
        "WITH who AS MATERIALIZED (SELECT {} AS id)
         SELECT o.* FROM unnest('{{{codes}}}'::bigint[]) AS pair (code) CROSS JOIN LATERAL (
             SELECT {COLUMNS} FROM core_observation AS o
              WHERE o.subject_patient_id = (SELECT id FROM who) AND o.codeable_concept_id = pair.code
              ORDER BY o.last_updated DESC, o.id DESC LIMIT 100) AS o
          ORDER BY o.last_updated DESC, o.id DESC LIMIT 100",
        any_patient(study)
    );
    read(place, plan, "bare page, code by code", sql).await
}

/// The payload first, which is looked at.
const COLUMNS: &str = "o.omh_data, o.id, o.subject_patient_id, o.codeable_concept_id, o.data_source_id, o.status,
                       o.effective_date_time, o.created, o.last_updated";

fn codes() -> String {
    KINDS.iter().map(|kind| kind.id.to_string()).collect::<Vec<_>>().join(",")
}

/// Asks one prepared query over and over. All its rows are transferred.
async fn read(place: &Place, plan: Plan, name: &str, sql: String) -> Result<Outcome> {
    let sql: &'static str = sql.leak();
    let found = place.number(&format!("SELECT count(*) FROM ({sql}) AS page")).await?;
    ensure!(found == 100, "the bare page has {found} rows");
    let pool = place.pool(plan.connections, PATIENCE).await?;
    let workers = vec![pool.store.clone(); plan.connections];
    let outcome = drive(name, place, plan, workers, async move |store: &mut Store| {
        ensure!(store.scalar_raw(sql).await.map_err(plain)?.is_some(), "no rows");
        Ok(true)
    })
    .await;
    pool.close().await;
    outcome
}
