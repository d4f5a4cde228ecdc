//! Conditions on observations.

use chrono::{DateTime, Utc};
use sqlx::{Postgres, QueryBuilder};

use crate::filter::{PersonFilter, TimeMatch, Token, push_any, push_time, push_token};

/// A condition on the data type.
#[derive(Debug, Clone)]
pub struct CodeFilter {
    /// Any of these.
    pub tokens: Vec<Token>,
    /// None of these.
    pub negated: bool,
}

/// Conditions on observations; outer lists are ANDed, inner ones are alternatives.
#[derive(Debug, Clone, Default)]
pub struct ObservationFilter {
    /// Only these ids.
    pub ids: Option<Vec<i64>>,
    /// Data types.
    pub codes: Vec<CodeFilter>,
    /// Data sources.
    pub data_sources: Option<Vec<i64>>,
    /// Statuses.
    pub statuses: Vec<Vec<String>>,
    /// The observation's own identifiers.
    pub identifiers: Vec<Vec<Token>>,
    /// Identifiers it must not have, any of them.
    pub excluded_identifiers: Vec<Token>,
    /// When it was taken.
    pub effective: Vec<Vec<TimeMatch>>,
    /// When it was last changed.
    pub last_updated: Vec<Vec<TimeMatch>>,
    /// When it arrived.
    pub created: Vec<Vec<TimeMatch>>,
    /// Conditions on its patient.
    pub person: PersonFilter,
}

impl ObservationFilter {
    /// Whether any condition looks at the observation itself, so that counters cannot answer.
    pub const fn looks_at_rows(&self) -> bool {
        self.looks_beyond_times() || !self.effective.is_empty()
    }

    /// The same for conditions on anything but when it was taken.
    pub(super) const fn looks_beyond_times(&self) -> bool {
        self.ids.is_some()
            || self.data_sources.is_some()
            || !self.statuses.is_empty()
            || !self.identifiers.is_empty()
            || !self.excluded_identifiers.is_empty()
            || !self.last_updated.is_empty()
            || !self.created.is_empty()
    }
}

pub(super) const EFFECTIVE_LOW: &str = "CASE WHEN o.effective_date_time IS NOT NULL THEN o.effective_date_time
    WHEN o.effective_period_start IS NOT NULL OR o.effective_period_end IS NOT NULL THEN coalesce(o.effective_period_start, '-infinity') END";

pub(super) const EFFECTIVE_HIGH: &str = "CASE WHEN o.effective_date_time IS NOT NULL THEN o.effective_date_time
    WHEN o.effective_period_start IS NOT NULL OR o.effective_period_end IS NOT NULL THEN coalesce(o.effective_period_end, 'infinity') END";

/// The moment of a reading, as the index has it.
pub(super) const TAKEN: &str = "coalesce(o.effective_date_time, o.effective_period_start, o.effective_period_end)";

/// What becomes of the observations of a pair that were taken at the times wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// They are counted.
    Counted,
    /// They are put in order by their last change: all of them are found first, since going through the pair in that order
    /// would meet many that were taken at other times.
    Sorted,
    /// They come in an order that an index has together with the time.
    InOrder,
}

/// Pushes the observations of `pair` as `o`, those that were taken at the times wanted, up to `WHERE true`.
pub(super) fn push_rows_of_pair(sql: &mut QueryBuilder<Postgres>, filter: &ObservationFilter, used: Use) {
    const ROWS: &str = " FROM core_observation AS o
        WHERE o.subject_patient_id = pair.patient_id AND o.codeable_concept_id = pair.scope_code_id";
    const INSTANT: &str = "o.effective_date_time";
    if filter.effective.is_empty() {
        sql.push(ROWS.trim_start_matches(" FROM "));
        return;
    }
    // Nothing but what an index holds, where that is enough.
    let columns = if used == Use::Sorted && !filter.looks_beyond_times() {
        "(SELECT o.id, o.last_updated"
    } else {
        "(SELECT o.*"
    };
    let instant = if used == Use::InOrder { TAKEN } else { INSTANT };
    // Points in time apart from intervals: of the former the index gives just the range that is wanted.
    sql.push(if used == Use::Sorted { "(SELECT * FROM " } else { "" });
    sql.push(columns).push(ROWS).push(" AND o.effective_date_time IS NOT NULL");
    push_times(sql, &filter.effective, instant, instant);
    sql.push(" UNION ALL ").push(columns.trim_start_matches('(')).push(ROWS).push(" AND o.effective_date_time IS NULL");
    push_times(sql, &filter.effective, EFFECTIVE_LOW, EFFECTIVE_HIGH);
    sql.push(if used == Use::Sorted { ") AS o OFFSET 0) AS o WHERE true" } else { ") AS o WHERE true" });
}

pub(super) fn push_times(
    sql: &mut QueryBuilder<Postgres>,
    all: &[Vec<TimeMatch>],
    low: &'static str,
    high: &'static str,
) {
    for alternatives in all {
        sql.push(" AND ");
        push_any(sql, alternatives, |sql, m| push_time(sql, low, high, m));
    }
}

/// Pushes ` AND …` for each condition on `o` but the times it was taken.
pub(super) fn push_row_filter(sql: &mut QueryBuilder<Postgres>, filter: &ObservationFilter) {
    if let Some(ids) = &filter.ids {
        sql.push(" AND o.id = ANY (").push_bind(ids.clone()).push(")");
    }
    if let Some(sources) = &filter.data_sources {
        sql.push(" AND o.data_source_id = ANY (").push_bind(sources.clone()).push(")");
    }
    for statuses in &filter.statuses {
        sql.push(" AND o.status = ANY (").push_bind(statuses.clone()).push(")");
    }
    for tokens in &filter.identifiers {
        sql.push(" AND EXISTS (SELECT 1 FROM core_observationidentifier AS oi WHERE oi.observation_id = o.id AND ");
        push_any(sql, tokens, |sql, token| push_token(sql, "oi.system", "oi.value", token));
        sql.push(")");
    }
    if !filter.excluded_identifiers.is_empty() {
        sql.push(" AND NOT EXISTS (SELECT 1 FROM core_observationidentifier AS oi WHERE oi.observation_id = o.id AND ");
        push_any(sql, &filter.excluded_identifiers, |sql, token| push_token(sql, "oi.system", "oi.value", token));
        sql.push(")");
    }
    push_times(sql, &filter.last_updated, "o.last_updated", "o.last_updated");
    push_times(sql, &filter.created, "o.created", "o.created");
}

pub(super) fn push_not_after(sql: &mut QueryBuilder<Postgres>, not_after: Option<DateTime<Utc>>) {
    if let Some(not_after) = not_after {
        sql.push(" AND o.last_updated <= ").push_bind(not_after);
    }
}
