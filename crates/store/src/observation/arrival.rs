//! Observations in the order in which they became visible (FHIR B-2): each once, and none that commits late is missed.
//!
//! The order is that of the transactions that stored them. Only those are shown whose transactions are older than any that is
//! still open, since behind these nothing can appear any more. How the order goes on in another cluster is said in the
//! migration that made it.

use jhe_authz::{AccessScope, resource};
use jhe_domain::error::Error;
use jhe_domain::observation::Observation;
use sqlx::{QueryBuilder, Row as _};

use super::Observations;
use super::filter::{EFFECTIVE_HIGH, EFFECTIVE_LOW, ObservationFilter, push_row_filter, push_times};
use super::row::{Beside, by_observation, observation};
use super::ways::push_pairs;
use crate::fault::Db;
use crate::scope::Access;

/// How many arrivals are looked at for one page, whoever's they are: a page of somebody who may read few of them ends there
/// rather than going through all there are.
const REACH: i64 = 10_000;

/// A place in the order of arrival: the transaction, and the id among those it stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Arrival {
    /// The transaction.
    pub transaction: i64,
    /// The id.
    pub id: i64,
}

/// A page of arrivals.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// Its rows, in the order of their arrival.
    pub rows: Vec<Observation>,
    /// How far the order has been looked at: there the next page begins.
    pub until: Arrival,
    /// There may be more already.
    pub more: bool,
}

impl Observations<'_> {
    /// Observations in `scope` that match and arrived behind a place, up to `most` of them.
    pub async fn arrived(
        &mut self,
        scope: &AccessScope<resource::Observation>,
        filter: &ObservationFilter,
        since: Arrival,
        most: i64,
        documents: bool,
    ) -> Result<Arrived, Error> {
        let (horizon, transaction, id): (i64, Option<i64>, Option<i64>) = sqlx::query_as(
            "SELECT h.horizon, e.arrival, e.id
               FROM (SELECT s.shift + pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS horizon
                       FROM jhe_arrival_shift AS s) AS h
               LEFT JOIN LATERAL (SELECT o.arrival, o.id FROM core_observation AS o
                                   WHERE (o.arrival, o.id) > ($1, $2) AND o.arrival < h.horizon
                                   ORDER BY o.arrival, o.id OFFSET $3 LIMIT 1) AS e ON true",
        )
        .bind(since.transaction)
        .bind(since.id)
        .bind(REACH - 1)
        .fetch_one(self.0.connection())
        .await
        .db()?;
        let end = transaction.zip(id).map(|(transaction, id)| Arrival { transaction, id });
        // Behind all transactions that are older, before all others.
        let settled = Arrival { transaction: horizon, id: 0 }.max(since);
        let until = end.unwrap_or(settled);
        let mut sql = QueryBuilder::new("");
        push_pairs(&mut sql, scope, filter, Access::Search, false);
        // Inside CASE the pairs are looked up in a hash; elsewhere the planner might read all rows to join them.
        sql.push(
            ", w AS (SELECT o.id, o.arrival FROM core_observation AS o
               WHERE CASE WHEN (o.subject_patient_id, o.codeable_concept_id) IN (SELECT patient_id, scope_code_id FROM pair)
                          THEN true ELSE false END AND (o.arrival, o.id) > (",
        );
        sql.push_bind(since.transaction).push(", ").push_bind(since.id).push(") AND (o.arrival, o.id) <= (");
        sql.push_bind(until.transaction).push(", ").push_bind(until.id).push(")");
        push_times(&mut sql, &filter.effective, EFFECTIVE_LOW, EFFECTIVE_HIGH);
        push_row_filter(&mut sql, filter);
        sql.push(" ORDER BY o.arrival, o.id LIMIT ").push_bind(most.saturating_add(1)).push(") ");
        let beside = Beside { documents, source_names: false, ..Beside::ALL };
        beside.push_columns(&mut sql);
        sql.push(", w.arrival FROM w JOIN core_observation AS o ON o.id = w.id");
        beside.push_joins(&mut sql);
        sql.push("ORDER BY w.arrival, w.id");
        let found = sql.build().fetch_all(self.0.connection()).await.db()?;
        let kept = usize::try_from(most).unwrap_or(usize::MAX);
        let mut rows = Vec::with_capacity(found.len());
        let (mut last, mut full) = (since, false);
        for of_one in by_observation(&found) {
            full = rows.len() == kept;
            if full {
                break;
            }
            let observation = observation(of_one).db()?;
            if let Some(row) = of_one.first() {
                last = Arrival { transaction: row.try_get("arrival").db()?, id: observation.id.0 };
            }
            rows.push(observation);
        }
        let shown: Vec<i64> = rows.iter().map(|row| row.patient_id.0).collect();
        self.audit_read(scope, &shown);
        Ok(Arrived { rows, until: if full { last } else { until }, more: full || end.is_some() })
    }
}
