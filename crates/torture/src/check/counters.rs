//! The counters of each pair say what the table has.

use anyhow::Result;

use super::Finding;
use crate::place::Place;

const DIFFERENT: &str = "SELECT coalesce(json_agg(format('patient %s, data type %s: counted %s, newest %s; stored %s, newest %s',
            patient, kind, s.n, s.newest, o.n, o.newest)), '[]')::text
       FROM (SELECT subject_patient_id AS patient, codeable_concept_id AS kind, count(*) AS n, max(last_updated) AS newest
               FROM core_observation WHERE codeable_concept_id IS NOT NULL GROUP BY 1, 2) AS o
       FULL JOIN (SELECT patient_id AS patient, scope_code_id AS kind, n, newest FROM jhe_observation_stats) AS s USING (patient, kind)
      WHERE coalesce(o.n, 0) IS DISTINCT FROM s.n OR (o.n > 0 AND o.newest IS DISTINCT FROM s.newest)";

/// Compares them.
pub(super) async fn check(place: &Place) -> Result<Finding> {
    let violations = serde_json::from_str(&place.ask(DIFFERENT).await?)?;
    let pairs = place.number("SELECT count(*)::text FROM jhe_observation_stats").await?;
    Ok(Finding::new("counters and newest times are those of the rows", format!("{pairs} pairs"), violations))
}
