//! Observations: searching, reading one, storing many.
//!
//! Reading goes by pairs. What a caller may read is a small set of (patient, code) pairs, computed inside the query from
//! the predicate views; the newest rows of each pair come from one index. Totals without further conditions are sums
//! of counters that the table keeps itself.

mod arrival;
mod filter;
mod last;
mod page;
mod row;
mod upload;
mod ways;

use chrono::{DateTime, Utc};
use jhe_authz::{AccessScope, Grant, action, resource};
use jhe_domain::audit::{AuditAction, AuditEntry};
use jhe_domain::error::Error;
use jhe_domain::observation::Observation;
use jhe_domain::{ObservationId, PatientId};
use sqlx::{FromRow as _, QueryBuilder};

use self::filter::{Use, push_not_after, push_row_filter, push_rows_of_pair};
use self::row::{Beside, observation, observations};
use self::ways::{EXTENT, push_newest, push_pairs, push_probes, push_walk};
use crate::fault::Db;
use crate::keyset::push_order_of_keys;
use crate::scope::{Access, push_readable, sole_organization};
use crate::work::Work;

pub use arrival::{Arrival, Arrived};
pub use filter::{CodeFilter, ObservationFilter};
pub use last::Last;
pub use page::{Extent, Found, ObservationOrder, ObservationPage, OrderKey};
pub use upload::{IdentifierMatch, StoredObservation, UploadFacts, any_system, is_race};

/// Access to observations.
pub struct Observations<'a>(&'a mut Work);

impl Work {
    /// Access to observations.
    pub fn observations(&mut self) -> Observations<'_> {
        Observations(self)
    }
}

impl Observations<'_> {
    /// As [`Observations::count`], when the number itself is the answer.
    pub async fn total(
        &mut self,
        scope: &AccessScope<resource::Observation>,
        filter: &ObservationFilter,
    ) -> Result<i64, Error> {
        let count = self.count(scope, filter, None).await?.count;
        self.audit_total(scope, count);
        Ok(count)
    }

    /// How many observations in `scope` match: a sum of counters, or counted by index when a condition looks at rows, of
    /// which those that changed after `not_after` do not count.
    pub async fn count(
        &mut self,
        scope: &AccessScope<resource::Observation>,
        filter: &ObservationFilter,
        not_after: Option<DateTime<Utc>>,
    ) -> Result<Extent, Error> {
        let mut sql = QueryBuilder::new("");
        push_pairs(&mut sql, scope, filter, Access::Search, true);
        sql.push("SELECT ");
        if filter.looks_at_rows() {
            sql.push("(SELECT count(*) FROM pair CROSS JOIN LATERAL (SELECT 1 FROM ");
            push_rows_of_pair(&mut sql, filter, Use::Counted);
            push_row_filter(&mut sql, filter);
            push_not_after(&mut sql, not_after);
            sql.push(") AS o) AS count");
        } else {
            sql.push("coalesce(sum(pair.n), 0)::bigint AS count");
        }
        sql.push(EXTENT).push(" FROM pair");
        sql.build_query_as().fetch_one(self.0.connection()).await.db()
    }

    /// Observations in `scope` that match, one page of them.
    pub async fn search(
        &mut self,
        scope: &AccessScope<resource::Observation>,
        filter: &ObservationFilter,
        page: &ObservationPage,
    ) -> Result<Found, Error> {
        if page.limit <= 0 {
            return Ok(Found::default());
        }
        let order = page.keys();
        if let Some(place) = &page.after {
            order.check(place)?;
        }
        let is_first = page.is_first_of(filter);
        let mut sql = QueryBuilder::new("");
        push_pairs(&mut sql, scope, filter, Access::Search, is_first);
        if is_first {
            push_newest(&mut sql, page);
            sql.push(", e AS MATERIALIZED (SELECT coalesce(sum(pair.n), 0)::bigint AS count").push(EXTENT);
            sql.push(" FROM pair) ");
        // How far a walk goes to the times that are wanted, nothing tells; each pair has them together.
        } else if page.walk && page.walks() && filter.effective.is_empty() {
            push_walk(&mut sql, filter, page, &order);
        } else {
            push_probes(&mut sql, filter, page, &order);
        }
        let beside = Beside { of_pairs: is_first, ..Beside::of(page) };
        beside.push_columns(&mut sql);
        if is_first {
            sql.push(", e.*");
        }
        sql.push(" FROM w JOIN core_observation AS o ON o.id = w.id");
        beside.push_joins(&mut sql);
        if is_first {
            sql.push("CROSS JOIN e");
        }
        push_order_of_keys(&mut sql, &order);
        let rows = sql.build().fetch_all(self.0.connection()).await.db()?;
        let extent = match rows.first() {
            Some(first) if is_first => Some(Extent::from_row(first).db()?),
            // Nothing on the first page is nothing at all.
            None if is_first && page.offset == 0 => Some(Extent::default()),
            _ => None,
        };
        let rows = observations(&rows).db()?;
        self.audit_read(scope, &page.shown(&rows));
        Ok(Found { rows, extent })
    }

    /// Records that a number was told.
    fn audit_total(&mut self, scope: &AccessScope<resource::Observation>, count: i64) {
        let mut entry = AuditEntry::new(AuditAction::Read, "Observation").rows(count);
        let within = scope.within();
        entry.organization_id = sole_organization(within);
        self.0.audit(entry.patients(within.patients.iter().flatten().copied()));
    }

    /// Records whose rows a page shows, which ends with one that is not shown when it looks `ahead`.
    fn audit_read(&mut self, scope: &AccessScope<resource::Observation>, shown: &[i64]) {
        let within = scope.within();
        let rows = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let mut entry = AuditEntry::new(AuditAction::Read, "Observation");
        entry.organization_id = sole_organization(within);
        match within.patients.as_deref() {
            None | Some([]) => {
                let patients = shown.iter().copied().map(PatientId);
                self.0.audit(entry.rows(rows(shown.len())).patients(patients));
            }
            Some(patients) => {
                for &patient in patients {
                    let own = shown.iter().filter(|id| **id == patient.0).count();
                    self.0.audit(entry.clone().patient(patient).rows(rows(own)));
                }
            }
        }
    }

    /// One observation in `scope`, by id.
    pub async fn find(
        &mut self,
        scope: &AccessScope<resource::Observation>,
        id: ObservationId,
    ) -> Result<Option<Observation>, Error> {
        let mut sql = QueryBuilder::new("");
        Beside::ALL.push_columns(&mut sql);
        sql.push(" FROM core_observation AS o");
        Beside::ALL.push_joins(&mut sql);
        sql.push("WHERE o.id = ").push_bind(id.0).push(" AND ");
        push_readable(&mut sql, scope, Access::Read);
        let rows = sql.build().fetch_all(self.0.connection()).await.db()?;
        let found = if rows.is_empty() { None } else { Some(observation(&rows).db()?) };
        let mut entry = AuditEntry::new(AuditAction::Read, "Observation").id(id.0);
        entry.patient_id = found.as_ref().map(|found| found.patient_id);
        self.0.audit(entry);
        Ok(found)
    }

    /// Sets the status of the observation in `grant`.
    pub async fn set_status(
        &mut self,
        grant: &Grant<resource::Observation, action::CorrectStatus>,
        status: &str,
        reason: Option<String>,
    ) -> Result<(), Error> {
        let patient: i64 =
            sqlx::query_scalar("UPDATE core_observation SET status = $2 WHERE id = $1 RETURNING subject_patient_id")
                .bind(grant.id().0)
                .bind(status)
                .fetch_one(self.0.connection())
                .await
                .db()?;
        let mut entry =
            AuditEntry::new(AuditAction::Update, "Observation").id(grant.id().0).patient(PatientId(patient));
        entry.reason = reason;
        self.0.audit(entry);
        Ok(())
    }

    /// Removes the observation in `grant` for good. `false` when there was none.
    pub async fn remove(
        &mut self,
        grant: &Grant<resource::Observation, action::Remove>,
        reason: String,
    ) -> Result<bool, Error> {
        let patient: Option<i64> =
            sqlx::query_scalar("DELETE FROM core_observation WHERE id = $1 RETURNING subject_patient_id")
                .bind(grant.id().0)
                .fetch_optional(self.0.connection())
                .await
                .db()?;
        if let Some(patient) = patient {
            let mut entry =
                AuditEntry::new(AuditAction::Delete, "Observation").id(grant.id().0).patient(PatientId(patient));
            entry.reason = Some(reason);
            self.0.audit(entry);
        }
        Ok(patient.is_some())
    }
}
