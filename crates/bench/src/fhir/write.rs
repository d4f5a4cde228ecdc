//! Bundles and single creates, beside what the database does with the same rows.

use anyhow::{Result, ensure};
use jhe_testkit::connection::{Answer, Connection};

use super::document::Uploads;
use super::study::{Study, token};
use super::{Asker, UPLOADERS, answer, limit};
use crate::load::{Outcome, Plan, drive};
use crate::place::Place;

/// Entries of Bundles.
const BUNDLES: [usize; 2] = [100, 1000];
/// Connections that create one observation at a time.
const CREATORS: [usize; 3] = [1, 16, 64];

/// Drives everything and prints the table.
pub(super) async fn run(place: &Place, plan: Plan, study: &Study) -> Result<()> {
    println!("writing, each upload for any of the patients, by that patient:");
    limit::prepare(place).await?;
    let uploads = Uploads::new();
    for entries in BUNDLES {
        let plan = plan.with(UPLOADERS);
        let copied = limit::copies(place, plan, study, entries).await?;
        copied.print(&copied.parts(entries, "rows"));
        let inserted = limit::inserts(place, plan, study, entries).await?;
        inserted.print(&inserted.parts(entries, "rows"));
        let before = stored(place).await?;
        let outcome = bundles(place, plan, study, &uploads, entries).await?;
        let lost = missing(place, before, outcome.done() * entries).await?;
        let part = outcome.rate() / inserted.rate() * 100.0;
        outcome.print(&format!("{}, {part:.0} % of the bare INSERT{lost}", outcome.parts(entries, "observations")));
    }
    for connections in CREATORS {
        let plan = plan.with(connections);
        let bare = limit::single(place, plan, study).await?;
        bare.print("");
        let before = stored(place).await?;
        let outcome = singles(place, plan, study, &uploads).await?;
        let lost = missing(place, before, outcome.done()).await?;
        outcome.print(&format!("{:.0} % of the bare INSERT{lost}", outcome.rate() / bare.rate() * 100.0));
    }
    Ok(())
}

/// Rows as the counters say.
async fn stored(place: &Place) -> Result<i64> {
    place.number("SELECT coalesce(sum(n), 0)::bigint FROM jhe_observation_stats").await
}

/// A remark where not exactly what was acknowledged has been stored.
async fn missing(place: &Place, before: i64, acknowledged: usize) -> Result<String> {
    let grown = stored(place).await? - before;
    let right = grown == i64::try_from(acknowledged)?;
    Ok(if right { String::new() } else { format!(", ACKNOWLEDGED {acknowledged}, STORED {grown}") })
}

async fn post(connection: &mut Connection, path: &str, patient: i64, body: &str) -> Result<Answer> {
    let headers = format!("authorization: Bearer {}\r\ncontent-type: application/fhir+json\r\n", token(patient));
    connection.send("POST", path, &headers, body).await
}

/// Uploads a batch of one patient; every entry must be stored.
pub(super) async fn bundle(connection: &mut Connection, uploads: &Uploads, patient: i64, entries: usize) -> Result<()> {
    let answer = post(connection, "/fhir/r5/", patient, &uploads.bundle(patient, entries)).await?;
    ensure!(answer.status == 200, "status {}", answer.status);
    let made = answer::count(&answer, "201 Created")?;
    ensure!(made == entries, "{made} of {entries} entries are stored");
    Ok(())
}

pub(super) async fn bundles(
    place: &Place,
    plan: Plan,
    study: &Study,
    uploads: &Uploads,
    entries: usize,
) -> Result<Outcome> {
    let workers = Asker::several(place, plan.connections).await?;
    let (study, uploads) = (study.clone(), uploads.clone());
    drive(format!("Bundle of {entries}"), place, plan, workers, async move |asker: &mut Asker| {
        let patient = study.patient(&mut asker.dice);
        bundle(&mut asker.connection, &uploads, patient, entries).await?;
        Ok(true)
    })
    .await
}

async fn singles(place: &Place, plan: Plan, study: &Study, uploads: &Uploads) -> Result<Outcome> {
    let workers: Vec<_> = Asker::several(place, plan.connections).await?.into_iter().enumerate().collect();
    let (study, uploads) = (study.clone(), uploads.clone());
    let name = format!("POST Observation, {} at once", plan.connections);
    drive(name, place, plan, workers, async move |(turn, asker): &mut (usize, Asker)| {
        *turn += 1;
        let patient = study.patient(&mut asker.dice);
        let body = uploads.observation(patient, *turn);
        let answer = post(&mut asker.connection, "/fhir/r5/Observation", patient, &body).await?;
        ensure!(answer.status == 201, "status {}", answer.status);
        Ok(true)
    })
    .await
}
