//! The audit trail: nothing of it goes or changes, and whatever was stored or shown is in it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Finding;
use crate::client::Shared;
use crate::history::{Outcome, Read};
use crate::place::Place;
use crate::world::{FIRST_PATIENT, LAST_PATIENT};

/// The server writes what reads leave behind a moment after their answers, and later after a fault.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the trail was when it was looked at last.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    last: i64,
    digest: String,
}

/// Patients whose uploads differ from what the trail says of them.
const CREATED: &str =
    "SELECT coalesce(json_agg(format('patient %s: %s stored, %s in the trail', id, stored, told)), '[]')::text
       FROM (SELECT p.id,
                    (SELECT count(*) FROM core_observation AS o WHERE o.subject_patient_id = p.id) AS stored,
                    (SELECT coalesce(sum(e.rows), 0) FROM jhe_audit_event AS e
                      WHERE e.patient_id = p.id AND e.action = 'create' AND e.resource = 'Observation') AS told
               FROM core_patient AS p WHERE p.id BETWEEN $from AND $to) AS compared
      WHERE stored <> told";

/// Changes of consents by patient.
const CONSENTS: &str = "SELECT coalesce(json_agg(json_build_array(patient_id, told)), '[]')::text
       FROM (SELECT patient_id, count(*) AS told FROM jhe_audit_event
              WHERE action = 'update' AND resource = 'Consent' AND patient_id IS NOT NULL GROUP BY 1) AS told";

/// Reads of observations that found something, by account and what they were about: an observation by its id, else the
/// one patient whose were found, else neither.
const READ: &str = "SELECT coalesce(json_agg(json_build_array(actor_user_id, one, about, told)), '[]')::text
       FROM (SELECT actor_user_id, resource_id IS NOT NULL AS one, coalesce(resource_id::bigint, patient_id) AS about, count(*) AS told
               FROM jhe_audit_event
              WHERE action = 'read' AND resource = 'Observation' AND actor_user_id IS NOT NULL
                AND (rows > 0 OR resource_id IS NOT NULL AND patient_id IS NOT NULL)
              GROUP BY 1, 2, 3) AS told";

/// An account, whether it asked for one observation, and what it asked about.
type Asked = (i64, bool, Option<i64>);

impl Trail {
    /// Looks at the trail.
    pub(super) async fn check(&mut self, place: &Place, shared: &Shared) -> Result<Vec<Finding>> {
        let read = reads(place, shared).await?;
        let created = CREATED.replace("$from", &FIRST_PATIENT.to_string()).replace("$to", &LAST_PATIENT.to_string());
        let created = serde_json::from_str(&place.scalar(created).await?)?;
        let patients = format!("{} patients", LAST_PATIENT - FIRST_PATIENT + 1);
        let created = Finding::new("the audit trail has every upload", patients, created);
        Ok(vec![self.grown(place).await?, created, consents(place, shared).await?, read])
    }

    /// It only grows: what was there is there, unchanged.
    async fn grown(&mut self, place: &Place) -> Result<Finding> {
        let digest = async |last: i64| {
            let columns = "id, occurred_at, actor_user_id, application_id, action, resource, resource_id, patient_id, organization_id, rows";
            let sql = format!(
                "SELECT md5(string_agg(concat_ws('|', {columns}), '|' ORDER BY id)) FROM jhe_audit_event WHERE id <= {last}"
            );
            place.scalar(sql).await
        };
        let last = place.number("SELECT coalesce(max(id), 0)::text FROM jhe_audit_event").await?;
        let mut violations = Vec::new();
        if last < self.last {
            violations.push(format!("the last entry was {} and is {last}", self.last));
        }
        if digest(self.last).await? != self.digest {
            violations.push(format!("entries up to {} are others than before", self.last));
        }
        *self = Self { last, digest: digest(last).await? };
        Ok(Finding::new("the audit trail only grows", format!("last entry {last}"), violations))
    }
}

/// Every acknowledged change of a consent is in the trail.
async fn consents(place: &Place, shared: &Shared) -> Result<Finding> {
    let told: BTreeMap<i64, usize> = serde_json::from_str::<Vec<(i64, usize)>>(&place.ask(CONSENTS).await?)
        .context("the trail's counts")?
        .into_iter()
        .collect();
    let mut changed: BTreeMap<i64, usize> = BTreeMap::new();
    for change in shared.history.records().changes.iter().filter(|change| change.outcome == Outcome::Acknowledged) {
        *changed.entry(change.pair.patient()).or_default() += 1;
    }
    let count: usize = changed.values().sum();
    let missing = changed.into_iter().filter_map(|(patient, changes)| {
        let told = told.get(&patient).copied().unwrap_or_default();
        (told < changes).then(|| format!("patient {patient}: {changes} changes of consents, {told} in the trail"))
    });
    Ok(Finding::new("the audit trail has every change of a consent", format!("{count} changes"), missing.collect()))
}

/// Answers that showed something.
fn shown(reads: &[Read]) -> BTreeMap<Asked, i64> {
    let mut all: BTreeMap<Asked, i64> = BTreeMap::new();
    for read in reads.iter().filter(|read| read.outcome == Outcome::Acknowledged && read.rows > 0) {
        *all.entry((read.reader, read.wanted.is_some(), read.about)).or_default() += 1;
    }
    all
}

/// Every answer that showed something is in the trail. Answers that got lost on their way are there too, and may stand in
/// for one that is missing: what is found is a lower bound.
async fn reads(place: &Place, shared: &Shared) -> Result<Finding> {
    let shown = shown(&shared.history.records().reads);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let told: Vec<(i64, bool, Option<i64>, i64)> =
            serde_json::from_str(&place.ask(READ).await?).context("the trail's counts")?;
        let told: BTreeMap<Asked, i64> =
            told.into_iter().map(|(who, one, about, told)| ((who, one, about), told)).collect();
        let mut violations = Vec::new();
        for (asked, shown) in &shown {
            let told = told.get(asked).copied().unwrap_or_default();
            let (reader, one, about) = asked;
            let what = match (one, about) {
                (true, Some(id)) => format!("reads of observation {id}"),
                (_, Some(patient)) => format!("searches that found patient {patient} alone"),
                (_, None) => "searches that found several patients".to_owned(),
            };
            violations.extend(
                (told < *shown)
                    .then(|| format!("account {reader}: {shown} {what} showed something, {told} are in the trail")),
            );
        }
        if violations.is_empty() || Instant::now() > deadline {
            let answers: i64 = shown.values().sum();
            return Ok(Finding::new("the audit trail has every read", format!("{answers} answers"), violations));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
