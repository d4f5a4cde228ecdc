//! The consents in the database are those that were acknowledged last, and their history has every change.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::{Finding, consent};
use crate::client::Shared;
use crate::history::Outcome;
use crate::place::Place;
use crate::world::{Pair, STUDY};

/// Consents of the study, with the number of changes that their history has of each.
fn rows() -> String {
    format!(
        "SELECT json_agg(json_build_array(e.patient_id, c.scope_code_id, c.consented,
                    (SELECT count(*) FROM jhe_consent_event AS h
                      WHERE h.study_id = e.study_id AND h.patient_id = e.patient_id AND h.scope_code_id = c.scope_code_id
                        AND h.actor_kind = 'patient')))::text
           FROM core_studypatientscopeconsent AS c JOIN core_studypatient AS e ON e.id = c.study_patient_id
          WHERE e.study_id = {STUDY}"
    )
}

/// Compares them.
pub(super) async fn check(place: &Place, shared: &Shared) -> Result<Finding> {
    let rows: Vec<(i64, i64, bool, usize)> = serde_json::from_str(&place.scalar(rows()).await?).context("consents")?;
    let records = shared.history.records();
    let mut acknowledged: BTreeMap<Pair, usize> = BTreeMap::new();
    for change in records.changes.iter().filter(|change| change.outcome == Outcome::Acknowledged) {
        *acknowledged.entry(change.pair).or_default() += 1;
    }
    let mut violations = Vec::new();
    for (pair, expected) in consent::now(&records, shared.history.now()) {
        let row = rows.iter().find(|(patient, kind, ..)| *patient == pair.patient() && *kind == pair.kind().id);
        let Some((_, _, given, told)) = row else {
            violations.push(format!("the consent to {pair} is gone"));
            continue;
        };
        if expected.is_some_and(|expected| expected != *given) {
            violations.push(format!("the consent to {pair} is {given}, which is not what was acknowledged last"));
        }
        let changes = acknowledged.get(&pair).copied().unwrap_or_default();
        if *told < changes {
            violations
                .push(format!("{changes} changes of the consent to {pair} were acknowledged, its history has {told}"));
        }
    }
    let changes: usize = acknowledged.values().sum();
    Ok(Finding::new("consents are as acknowledged last, with their history", format!("{changes} changes"), violations))
}
