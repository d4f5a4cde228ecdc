//! What the audit trail costs uploads, and how long reading it takes when it is long.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::document::Uploads;
use super::study::{Study, token};
use super::write::bundles;
use super::{Asker, PRACTITIONER, UPLOADERS};
use crate::load::{Outcome, Plan, drive};
use crate::place::Place;

/// Rounds with and without, in turn.
const ROUNDS: usize = 3;
/// Entries of Bundles.
const ENTRIES: usize = 100;

/// Drives everything and prints the table.
pub(super) async fn run(place: &Place, plan: Plan, study: &Study, rows: i64) -> Result<()> {
    cost(place, plan.with(UPLOADERS), study).await?;
    fill(place, study, rows).await?;
    read(place, plan, study).await
}

/// The same uploads with the trail and without: a trigger lets nothing into it then.
async fn cost(place: &Place, plan: Plan, study: &Study) -> Result<()> {
    println!("Bundles of {ENTRIES} with the audit trail, and without:");
    place
        .execute(
            "CREATE FUNCTION bench_nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
             CREATE TRIGGER bench_without BEFORE INSERT ON jhe_audit_event FOR EACH ROW EXECUTE FUNCTION bench_nothing();
             ALTER TABLE jhe_audit_event DISABLE TRIGGER bench_without"
                .to_owned(),
        )
        .await?;
    let uploads = Uploads::new();
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for (audited, rates) in [(true, &mut with), (false, &mut without)] {
            let switch = if audited { "DISABLE" } else { "ENABLE" };
            place.execute(format!("ALTER TABLE jhe_audit_event {switch} TRIGGER bench_without")).await?;
            let outcome = bundles(place, plan, study, &uploads, ENTRIES).await?;
            outcome.print(if audited { "with" } else { "without" });
            rates.push(outcome.rate());
        }
    }
    place.execute("DROP TRIGGER bench_without ON jhe_audit_event".to_owned()).await?;
    println!("with the audit trail {:.1} % of the uploads without", middle(with) / middle(without) * 100.0);
    Ok(())
}

/// The middle one.
fn middle(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

/// Entries of a year: most about one patient, some about pages of many.
async fn fill(place: &Place, study: &Study, rows: i64) -> Result<()> {
    let started = Instant::now();
    let (first, patients) = (Study::FIRST_PATIENT, study.patients());
    place
        .execute(format!(
            "SET statement_timeout = 0;
             INSERT INTO jhe_audit_event (occurred_at, actor_user_id, application_id, action, resource, patient_id, patient_ids, rows,
                    status, request_id, template, ip)
             SELECT now() - interval '1 year' + n * (interval '1 year' / {rows}), 10002, 4,
                    CASE WHEN n % 3 = 0 THEN 'create' ELSE 'read' END, 'Observation',
                    CASE WHEN n % 500 > 0 THEN {first} + n * 7919 % {patients} END,
                    CASE WHEN n % 500 = 0 THEN ARRAY(SELECT {first} + (n / 500 * 104729 + k) % {patients} FROM generate_series(0, 99) AS k) END,
                    100, 200, md5(n::text), 'GET /fhir/r5/Observation', '192.0.2.1'
               FROM generate_series(1::bigint, {rows}) AS n;
             RESET statement_timeout",
        ))
        .await?;
    place.execute("VACUUM (ANALYZE) jhe_audit_event".to_owned()).await?;
    println!(
        "audit trail: {rows} entries loaded in {:.1} s, {} MiB",
        started.elapsed().as_secs_f64(),
        place.number("SELECT pg_total_relation_size('jhe_audit_event') / 1048576").await?,
    );
    Ok(())
}

async fn read(place: &Place, plan: Plan, study: &Study) -> Result<()> {
    let plan = plan.with(4);
    for (name, whole) in [("a patient's own access log, 100", false), ("a manager's, all organizations, 100", true)] {
        let workers = Asker::several(place, plan.connections).await?;
        let study = study.clone();
        let outcome: Outcome = drive(name.to_owned(), place, plan, workers, async move |asker: &mut Asker| {
            let bearer = if whole { PRACTITIONER.to_owned() } else { token(study.patient(&mut asker.dice)) };
            let headers = format!("authorization: Bearer {bearer}\r\n");
            let answer = asker.connection.send("GET", "/api/v1/audit_events", &headers, "").await?;
            ensure!(answer.status == 200, "status {}", answer.status);
            Ok(true)
        })
        .await?;
        outcome.print("");
    }
    let started = Instant::now();
    let unsealed = "SELECT count(*) FROM jhe_audit_event AS e WHERE e.xact >= (SELECT coalesce(max(below_xact), 0) FROM jhe_audit_seal)";
    while place.number(unsealed).await? > 0 && started.elapsed().as_secs() < 600 {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    println!("all sealed {:.0} s later", started.elapsed().as_secs_f64());
    Ok(())
}
