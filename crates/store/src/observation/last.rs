//! The newest observations of each patient and data type (FHIR B-3).

use chrono::{DateTime, Utc};
use jhe_authz::{AccessScope, resource};
use jhe_domain::error::{Error, Lookup};
use jhe_domain::observation::{EffectiveTime, Observation};
use jhe_domain::page::Place;
use sqlx::{Postgres, QueryBuilder, Row as _};

use super::Observations;
use super::filter::{
    EFFECTIVE_HIGH, EFFECTIVE_LOW, ObservationFilter, TAKEN, push_not_after, push_row_filter, push_times,
};
use super::page::ObservationPage;
use super::row::{Beside, observations};
use super::ways::push_pairs;
use crate::fault::Db;
use crate::keyset::time_key;
use crate::scope::Access;

/// A page of the newest observations of each pair.
#[derive(Debug, Clone, Default)]
pub struct Last {
    /// Its rows.
    pub rows: Vec<Observation>,
    /// How many there are on all pages, where finding this one told so.
    pub total: Option<i64>,
    /// Where the page after it goes on.
    pub next: Option<Place>,
}

/// How far the newest of each pair have been shown: a row, and how many of its pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LastPlace {
    patient_id: i64,
    scope_code_id: i64,
    taken: DateTime<Utc>,
    id: i64,
    shown: i64,
}

impl LastPlace {
    /// The place of the last of `rows`, which follow `after`.
    fn of(rows: &[Observation], after: Option<Self>) -> Option<Self> {
        let last = rows.last()?;
        let pair = |row: &Observation| (row.patient_id.0, row.scope_code_id.0);
        let same = rows.iter().rev().take_while(|row| pair(row) == pair(last)).count();
        let before = after.filter(|after| same == rows.len() && (after.patient_id, after.scope_code_id) == pair(last));
        let taken = match last.effective {
            EffectiveTime::Instant(at) => Some(at),
            EffectiveTime::Period(start, end) => start.or(end),
            EffectiveTime::Unknown => None,
        };
        Some(Self {
            patient_id: last.patient_id.0,
            scope_code_id: last.scope_code_id.0,
            taken: taken.unwrap_or(last.last_updated),
            id: last.id.0,
            shown: i64::try_from(same).unwrap_or(i64::MAX).saturating_add(before.map_or(0, |before| before.shown)),
        })
    }

    fn into_place(self) -> Place {
        let number = |number: i64| Some(number.to_string());
        let keys =
            vec![number(self.patient_id), number(self.scope_code_id), Some(time_key(self.taken)), number(self.shown)];
        Place { keys, id: self.id }
    }

    /// Places come back from callers, who may have made them up.
    fn read(place: &Place) -> Result<Self, Error> {
        let read = || {
            let [Some(patient), Some(code), Some(taken), Some(shown)] = place.keys.as_slice() else { return None };
            Some(Self {
                patient_id: patient.parse().ok()?,
                scope_code_id: code.parse().ok()?,
                taken: DateTime::parse_from_rfc3339(taken).ok()?.to_utc(),
                id: place.id,
                shown: shown.parse().ok().filter(|shown| *shown > 0)?,
            })
        };
        read().ok_or(Error::NotFound(Lookup::Cursor))
    }
}

/// Pushes the newest `max` rows of each pair as `o`, with the time by which they are the newest as `taken`: of all pairs, or of
/// those from a place on.
fn push_last(
    sql: &mut QueryBuilder<Postgres>,
    filter: &ObservationFilter,
    max: i64,
    from: Option<&LastPlace>,
    not_after: Option<DateTime<Utc>>,
) {
    sql.push("(SELECT q.patient_id, q.scope_code_id, ");
    match from {
        Some(from) => {
            sql.push("q.patient_id = ").push_bind(from.patient_id).push(" AND q.scope_code_id = ");
            sql.push_bind(from.scope_code_id).push(" AS begun, CASE WHEN q.patient_id = ").push_bind(from.patient_id);
            sql.push(" AND q.scope_code_id = ").push_bind(from.scope_code_id).push(" THEN ");
            sql.push_bind(max.saturating_sub(from.shown)).push(" ELSE ").push_bind(max).push(" END AS most");
            sql.push(" FROM pair AS q WHERE (q.patient_id, q.scope_code_id) >= (").push_bind(from.patient_id);
            sql.push(", ").push_bind(from.scope_code_id).push(")");
        }
        None => {
            sql.push_bind(max).push(" AS most FROM pair AS q");
        }
    }
    // In order, so that pairs behind the page are not asked.
    sql.push(" ORDER BY q.patient_id, q.scope_code_id) AS pair CROSS JOIN LATERAL (SELECT o.* FROM (");
    // Apart, so that an index range serves each.
    for (index, (condition, time)) in [(" IS NOT NULL", TAKEN), (" IS NULL", "o.last_updated")].into_iter().enumerate()
    {
        sql.push(if index == 0 { "(SELECT o.*, " } else { " UNION ALL (SELECT o.*, " }).push(time);
        sql.push(
            " AS taken FROM core_observation AS o
               WHERE o.subject_patient_id = pair.patient_id AND o.codeable_concept_id = pair.scope_code_id AND ",
        );
        sql.push(TAKEN).push(condition);
        push_times(sql, &filter.effective, EFFECTIVE_LOW, EFFECTIVE_HIGH);
        push_row_filter(sql, filter);
        if let Some(from) = from {
            sql.push(" AND (NOT pair.begun OR (").push(time).push(", o.id) < (").push_bind(from.taken);
            sql.push(", ").push_bind(from.id).push("))");
        }
        push_not_after(sql, not_after);
        sql.push(" ORDER BY ").push(time).push(" DESC, o.id DESC LIMIT pair.most)");
    }
    sql.push(") AS o ORDER BY o.taken DESC, o.id DESC LIMIT pair.most) AS o");
}

impl Observations<'_> {
    /// As [`Observations::count_last`], when the number itself is the answer.
    pub async fn total_last(
        &mut self,
        scope: &AccessScope<resource::Observation>,
        filter: &ObservationFilter,
        max: i64,
    ) -> Result<i64, Error> {
        let count = self.count_last(scope, filter, max, None).await?;
        self.audit_total(scope, count);
        Ok(count)
    }

    /// The newest `max` observations of each readable pair by when they were taken, those without a time by when they
    /// changed; by patient and data type. A first page tells by itself how many there are, where counters know.
    pub async fn last(
        &mut self,
        scope: &AccessScope<resource::Observation>,
        filter: &ObservationFilter,
        max: i64,
        page: &ObservationPage,
    ) -> Result<Last, Error> {
        let after = page.after.as_ref().map(LastPlace::read).transpose()?;
        let tells = page.offset == 0 && after.is_none() && !filter.looks_at_rows();
        let mut sql = QueryBuilder::new("");
        push_pairs(&mut sql, scope, filter, Access::Search, tells);
        if tells {
            sql.push(", e AS (SELECT coalesce(sum(least(pair.n, ")
                .push_bind(max)
                .push(")), 0)::bigint AS total FROM pair) ");
        }
        Beside::of(page).push_columns(&mut sql);
        sql.push(if tells { ", e.total" } else { "" });
        sql.push(" FROM (SELECT o.* FROM ");
        push_last(&mut sql, filter, max, after.as_ref(), page.not_after);
        // By the columns of the pairs, whose order is there already.
        sql.push(" ORDER BY pair.patient_id, pair.scope_code_id, o.taken DESC, o.id DESC OFFSET ")
            .push_bind(page.offset);
        sql.push(" LIMIT ").push_bind(page.limit).push(") AS o");
        Beside::of(page).push_joins(&mut sql);
        sql.push(if tells { "CROSS JOIN e" } else { "" });
        sql.push(" ORDER BY o.subject_patient_id, o.codeable_concept_id, o.taken DESC, o.id DESC");
        let rows = sql.build().fetch_all(self.0.connection()).await.db()?;
        let total = match rows.first() {
            Some(first) if tells => Some(first.try_get("total").db()?),
            // Nothing on the first page is nothing at all.
            None if tells => Some(0),
            _ => None,
        };
        let rows = observations(&rows).db()?;
        let shown = page.shown(&rows);
        let next = LastPlace::of(rows.get(..shown.len()).unwrap_or_default(), after).map(LastPlace::into_place);
        self.audit_read(scope, &shown);
        Ok(Last { rows, total, next })
    }

    /// How many observations [`Observations::last`] finds on all pages: told by the counters, unless a condition looks at rows.
    pub async fn count_last(
        &mut self,
        scope: &AccessScope<resource::Observation>,
        filter: &ObservationFilter,
        max: i64,
        not_after: Option<DateTime<Utc>>,
    ) -> Result<i64, Error> {
        let counted = !filter.looks_at_rows();
        let mut sql = QueryBuilder::new("");
        push_pairs(&mut sql, scope, filter, Access::Search, counted);
        if counted {
            sql.push("SELECT coalesce(sum(least(pair.n, ").push_bind(max).push(")), 0)::bigint FROM pair");
        } else {
            sql.push("SELECT count(*) FROM ");
            push_last(&mut sql, filter, max, None, not_after);
        }
        sql.build_query_scalar().fetch_one(self.0.connection()).await.db()
    }
}
