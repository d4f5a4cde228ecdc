//! Observations: searching, reading one, storing many.
//!
//! Reading goes by pairs. What a caller may read is a small set of (patient, code) pairs, computed inside the query from
//! the predicate views; the newest rows of each pair come from one index. Totals without further conditions are sums
//! of counters that the table keeps itself.

mod arrival;

use chrono::{DateTime, Utc};
use jhe_authz::{AccessScope, ConsentedUpload, Grant, action, resource};
use jhe_domain::audit::{AuditAction, AuditEntry};
use jhe_domain::data_source::ScopeCode;
use jhe_domain::error::{Conflict, Error, Lookup};
use jhe_domain::observation::{EffectiveTime, NewObservation, Observation};
use jhe_domain::page::Place;
use jhe_domain::{DataSourceId, ObservationId, PatientId, Phi, ScopeCodeId, UserId};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Postgres, QueryBuilder, Row as _};

use crate::fault::Db;
use crate::filter::{PersonFilter, TimeMatch, Token, TokenSystem, push_any, push_person, push_time, push_token};
use crate::keyset::{Key, Order, push_below, push_keys, push_order, push_order_of_keys, time_key};
use crate::request::RequestFacts;
use crate::scope::{Access, push_readable, push_readable_pairs};
use crate::work::{Sender, Work};

pub use arrival::{Arrival, Arrived};

/// Access to observations.
pub struct Observations<'a>(&'a mut Work);

impl Work {
    /// Access to observations.
    pub fn observations(&mut self) -> Observations<'_> {
        Observations(self)
    }
}

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
    const fn looks_beyond_times(&self) -> bool {
        self.ids.is_some()
            || self.data_sources.is_some()
            || !self.statuses.is_empty()
            || !self.identifiers.is_empty()
            || !self.excluded_identifiers.is_empty()
            || !self.last_updated.is_empty()
            || !self.created.is_empty()
    }
}

/// By what observations are ordered; ties end on the id, rows without the value come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ObservationOrder {
    /// By last change.
    #[default]
    LastUpdated,
    /// By arrival.
    Created,
    /// By the time they were taken.
    Effective,
    /// By id.
    Id,
    /// By status.
    Status,
    /// By code.
    Code,
    /// By patient.
    Patient,
}

impl ObservationOrder {
    /// The expression over `core_observation AS o`.
    const fn expression(self) -> &'static str {
        match self {
            Self::LastUpdated => "o.last_updated",
            Self::Created => "o.created",
            Self::Effective => TAKEN,
            Self::Id => "o.id",
            Self::Status => "o.status",
            Self::Code => "(SELECT k.coding_code FROM core_codeableconcept AS k WHERE k.id = o.codeable_concept_id)",
            Self::Patient => "o.subject_patient_id",
        }
    }

    const fn sql_type(self) -> &'static str {
        match self {
            Self::LastUpdated | Self::Created | Self::Effective => "timestamptz",
            Self::Id | Self::Patient => "bigint",
            Self::Status | Self::Code => "text",
        }
    }

    /// The value of a row, as a key.
    fn value(self, row: &Observation) -> Option<String> {
        match self {
            Self::LastUpdated => Some(time_key(row.last_updated)),
            Self::Created => Some(time_key(row.created)),
            Self::Effective => match row.effective {
                EffectiveTime::Instant(at) => Some(time_key(at)),
                EffectiveTime::Period(start, end) => start.or(end).map(time_key),
                EffectiveTime::Unknown => None,
            },
            Self::Id => Some(row.id.0.to_string()),
            Self::Status => Some(row.status.clone()),
            Self::Code => Some(row.coding_code.clone()),
            Self::Patient => Some(row.patient_id.0.to_string()),
        }
    }
}

/// One key of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderKey {
    /// By what.
    pub by: ObservationOrder,
    /// Greatest first.
    pub descending: bool,
}

/// Which rows of a search are wanted.
#[derive(Debug, Clone)]
pub struct ObservationPage {
    /// Keys before the final one, which is the id; empty means newest change first, greatest id first.
    pub order: Vec<OrderKey>,
    /// Direction of the id where all keys tie.
    pub id_descending: bool,
    /// Rows to skip.
    pub offset: i64,
    /// Rows wanted at most.
    pub limit: i64,
    /// The last of them only tells whether there are more, and is shown to nobody.
    pub ahead: bool,
    /// Continue below this place of the order.
    pub after: Option<Place>,
    /// Leave out what changed after this moment, so that pages stay put while data arrives.
    pub not_after: Option<DateTime<Utc>>,
    /// The document is wanted.
    pub documents: bool,
    /// Identifiers are wanted.
    pub identifiers: bool,
    /// The names of data sources are wanted.
    pub source_names: bool,
    /// Go through all there is by time and sort out what may not be read, instead of asking for each readable pair.
    pub walk: bool,
}

/// How many observations match, and among how many they are.
#[derive(Debug, Clone, Copy, Default, sqlx::FromRow)]
pub struct Extent {
    /// Observations that match.
    pub count: i64,
    /// Readable pairs of patient and data type.
    pub pairs: i64,
    /// Observations of those pairs.
    pub readable: i64,
    /// Observations in all, about.
    pub stored: i64,
}

impl Extent {
    /// Whether a page of `limit` rows by time is found sooner by walking through all there is than by asking for each pair.
    /// The weights are microseconds, measured.
    pub fn favours_walk(&self, limit: i64) -> bool {
        const VISIT: i64 = 2;
        const PROBE: i64 = 5;
        let readable = self.readable.max(1);
        let visited = limit.saturating_mul(self.stored.max(readable)) / readable;
        let probed = self.pairs.saturating_mul(PROBE + (self.readable / self.pairs.max(1)).min(limit) / 5);
        visited.saturating_mul(VISIT) < probed
    }
}

/// A page of observations.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Its rows.
    pub rows: Vec<Observation>,
    /// How many match, where finding the page told so.
    pub extent: Option<Extent>,
}

impl ObservationPage {
    /// The place of a row in the order of this page.
    pub fn place(&self, row: &Observation) -> Place {
        let keys = if self.order.is_empty() {
            vec![ObservationOrder::LastUpdated.value(row)]
        } else {
            self.order.iter().map(|key| key.by.value(row)).collect()
        };
        Place { keys, id: row.id.0 }
    }

    /// Whether it is among the first pages of the newest rows, of which counters tell where they are.
    pub fn is_first_of(&self, filter: &ObservationFilter) -> bool {
        self.order.is_empty() && !filter.looks_at_rows() && self.after.is_none() && self.not_after.is_none()
    }

    /// Whether rows are wanted by time alone, in an order that an index has.
    pub fn walks(&self) -> bool {
        match self.order.as_slice() {
            [] => true,
            [key] => key.by == ObservationOrder::LastUpdated && key.descending == self.id_descending,
            _ => false,
        }
    }

    fn keys(&self) -> Order {
        let newest = [OrderKey { by: ObservationOrder::LastUpdated, descending: true }];
        let chosen = if self.order.is_empty() { newest.as_slice() } else { &self.order };
        let key = |key: &OrderKey| Key {
            always: key.by != ObservationOrder::Effective,
            ..Key::new(key.by.expression(), key.by.sql_type(), key.descending)
        };
        let keys = chosen.iter().map(key).collect();
        Order { keys, id: "o.id", id_descending: self.order.is_empty() || self.id_descending }
    }

    /// A window of the default order, documents included.
    pub const fn window(offset: i64, limit: i64) -> Self {
        Self {
            order: Vec::new(),
            id_descending: true,
            offset,
            limit,
            ahead: false,
            after: None,
            not_after: None,
            documents: true,
            identifiers: false,
            source_names: true,
            walk: false,
        }
    }

    /// The patients of the rows that are shown, row by row.
    fn shown(&self, rows: &[Observation]) -> Vec<i64> {
        let most = usize::try_from(self.limit - i64::from(self.ahead)).unwrap_or_default();
        rows.iter().take(most).map(|row| row.patient_id.0).collect()
    }
}

/// A row of [`push_columns`].
struct ObservationRow(Observation);

impl FromRow<'_, PgRow> for ObservationRow {
    /// By position: to find a column by its name takes as long as to read it.
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let effective = match (row.try_get(12)?, row.try_get(13)?, row.try_get(14)?) {
            (Some(instant), ..) => EffectiveTime::Instant(instant),
            (None, None, None) => EffectiveTime::Unknown,
            (None, start, end) => EffectiveTime::Period(start, end),
        };
        Ok(Self(Observation {
            id: ObservationId(row.try_get(0)?),
            patient_id: PatientId(row.try_get(1)?),
            scope_code_id: ScopeCodeId(row.try_get(2)?),
            patient_user_id: row.try_get::<Option<_>, _>(3)?.map(UserId),
            patient_name_family: row.try_get::<Option<_>, _>(4)?.map(Phi::new),
            patient_name_given: row.try_get::<Option<_>, _>(5)?.map(Phi::new),
            coding_system: row.try_get(6)?,
            coding_code: row.try_get(7)?,
            coding_text: row.try_get(8)?,
            data_source_id: row.try_get::<Option<_>, _>(9)?.map(DataSourceId),
            data_source_name: row.try_get(10)?,
            status: row.try_get(11)?,
            document: row.try_get::<Option<_>, _>(17)?.map(Phi::new),
            effective,
            identifiers: identifiers(row.try_get(18)?, row.try_get(19)?, row.try_get(20)?),
            created: row.try_get(15)?,
            last_updated: row.try_get(16)?,
        }))
    }
}

/// Identifiers in the order in which they were given.
fn identifiers(
    ids: Option<Vec<i64>>,
    systems: Option<Vec<Option<String>>>,
    values: Option<Vec<String>>,
) -> Vec<(Option<Phi<String>>, Phi<String>)> {
    let (ids, systems, values) = (ids.unwrap_or_default(), systems.unwrap_or_default(), values.unwrap_or_default());
    let mut all: Vec<_> = ids.into_iter().zip(systems.into_iter().zip(values)).collect();
    all.sort_unstable_by_key(|(id, _)| *id);
    all.into_iter().map(|(_, (system, value))| (system.map(Phi::new), Phi::new(value))).collect()
}

const EFFECTIVE_LOW: &str = "CASE WHEN o.effective_date_time IS NOT NULL THEN o.effective_date_time
    WHEN o.effective_period_start IS NOT NULL OR o.effective_period_end IS NOT NULL THEN coalesce(o.effective_period_start, '-infinity') END";
const EFFECTIVE_HIGH: &str = "CASE WHEN o.effective_date_time IS NOT NULL THEN o.effective_date_time
    WHEN o.effective_period_start IS NOT NULL OR o.effective_period_end IS NOT NULL THEN coalesce(o.effective_period_end, 'infinity') END";

/// The moment of a reading, as the index has it.
const TAKEN: &str = "coalesce(o.effective_date_time, o.effective_period_start, o.effective_period_end)";

/// What becomes of the observations of a pair that were taken at the times wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// They are counted.
    Counted,
    /// They are put in order by their last change: all of them are found first, since going through the pair in that order
    /// would meet many that were taken at other times.
    Sorted,
    /// They come in an order that an index has together with the time.
    InOrder,
}

/// Pushes the observations of `pair` as `o`, those that were taken at the times wanted, up to `WHERE true`.
fn push_rows_of_pair(sql: &mut QueryBuilder<Postgres>, filter: &ObservationFilter, used: Use) {
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

fn push_times(sql: &mut QueryBuilder<Postgres>, all: &[Vec<TimeMatch>], low: &'static str, high: &'static str) {
    for alternatives in all {
        sql.push(" AND ");
        push_any(sql, alternatives, |sql, m| push_time(sql, low, high, m));
    }
}

/// Pushes ` AND …` for each condition on `o` but the times it was taken.
fn push_row_filter(sql: &mut QueryBuilder<Postgres>, filter: &ObservationFilter) {
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

/// Pushes `WITH pair AS (…)`: the readable pairs, narrowed by what can be said of patient and code; `counted` with the
/// number of their observations and the newest time among them, and only those that have any.
fn push_pairs(
    sql: &mut QueryBuilder<Postgres>,
    scope: &AccessScope<resource::Observation>,
    filter: &ObservationFilter,
    access: Access,
    counted: bool,
) {
    sql.push("WITH pair AS MATERIALIZED (SELECT q.patient_id, q.scope_code_id");
    sql.push(if counted { ", s.n, s.newest FROM (" } else { " FROM (" });
    push_readable_pairs(sql, scope, access);
    sql.push(") AS q");
    if counted {
        sql.push(
            " JOIN jhe_observation_stats AS s
                ON s.patient_id = q.patient_id AND s.scope_code_id = q.scope_code_id AND s.n > 0",
        );
    }
    if !filter.codes.is_empty() {
        sql.push(" JOIN core_codeableconcept AS k ON k.id = q.scope_code_id");
    }
    if !filter.person.is_empty() {
        sql.push(" JOIN core_patient AS p ON p.id = q.patient_id");
    }
    sql.push(" WHERE true");
    for code in &filter.codes {
        sql.push(if code.negated { " AND NOT " } else { " AND " });
        push_any(sql, &code.tokens, |sql, token| push_token(sql, "k.coding_system", "k.coding_code", token));
    }
    push_person(sql, &filter.person);
    sql.push(") ");
}

/// How far the readable pairs reach, beside a count; from `pair` with counters.
const EXTENT: &str = ", count(*) AS pairs, coalesce(sum(pair.n), 0)::bigint AS readable,
    (SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'core_observation'::regclass) AS stored";

/// Pushes `w`: the newest rows. The first so many can only come from as many pairs, those with the newest rows, or from
/// those that are as new as the last of these, and are not older than its newest row.
fn push_newest(sql: &mut QueryBuilder<Postgres>, page: &ObservationPage) {
    let reach = page.offset.saturating_add(page.limit);
    sql.push(
        ", top AS MATERIALIZED (
              SELECT patient_id, scope_code_id, newest FROM pair ORDER BY newest DESC FETCH FIRST (",
    );
    sql.push_bind(reach).push(") ROWS WITH TIES), of_pair AS MATERIALIZED (SELECT top.*, ").push(OF_PAIR).push(
        " FROM top JOIN core_patient AS pt ON pt.id = top.patient_id
                   JOIN core_codeableconcept AS k ON k.id = top.scope_code_id),
          w AS (SELECT w.id, w.k0, top.* FROM of_pair AS top CROSS JOIN LATERAL (
              SELECT o.id, o.last_updated AS k0 FROM core_observation AS o
               WHERE o.subject_patient_id = top.patient_id AND o.codeable_concept_id = top.scope_code_id
                 AND o.last_updated >= (SELECT CASE WHEN count(*) >= ",
    );
    sql.push_bind(reach).push(" THEN min(newest) ELSE '-infinity' END FROM top)");
    sql.push(" ORDER BY o.last_updated DESC, o.id DESC LIMIT ").push_bind(reach);
    sql.push(") AS w ORDER BY w.k0 DESC, w.id DESC OFFSET ").push_bind(page.offset);
    sql.push(" LIMIT ").push_bind(page.limit).push(") ");
}

/// Pushes `w`: rows by time, whoever's they are, of which those are taken that may be read.
fn push_walk(sql: &mut QueryBuilder<Postgres>, filter: &ObservationFilter, page: &ObservationPage, order: &Order) {
    // Inside CASE the pairs are looked up in a hash; elsewhere the planner might read all rows to join them.
    sql.push(
        ", w AS (SELECT w.* FROM (SELECT o.id, o.last_updated AS k0 FROM core_observation AS o
           WHERE CASE WHEN (o.subject_patient_id, o.codeable_concept_id) IN (SELECT patient_id, scope_code_id FROM pair)
                      THEN true ELSE false END",
    );
    push_row_filter(sql, filter);
    push_rest(sql, page, order);
    push_order(sql, order);
    // A number that the planner can see, so that it knows that few rows are wanted; they are read one by one.
    let reach = u64::try_from(page.offset.saturating_add(page.limit)).unwrap_or_default();
    sql.push(" LIMIT ").push(reach.max(1024).next_power_of_two()).push(") AS w");
    push_order_of_keys(sql, order);
    sql.push(" OFFSET ").push_bind(page.offset).push(" LIMIT ").push_bind(page.limit).push(") ");
}

/// Pushes `w`: rows found by asking for each pair.
fn push_probes(sql: &mut QueryBuilder<Postgres>, filter: &ObservationFilter, page: &ObservationPage, order: &Order) {
    sql.push(", w AS (SELECT w.* FROM pair CROSS JOIN LATERAL (SELECT ");
    push_keys(sql, order);
    sql.push(" FROM ");
    push_rows_of_pair(sql, filter, if page.walks() { Use::Sorted } else { Use::InOrder });
    push_row_filter(sql, filter);
    push_rest(sql, page, order);
    push_order(sql, order);
    sql.push(" LIMIT ").push_bind(page.offset.saturating_add(page.limit)).push(") AS w");
    push_order_of_keys(sql, order);
    sql.push(" OFFSET ").push_bind(page.offset).push(" LIMIT ").push_bind(page.limit).push(") ");
}

/// Pushes ` AND …` for what is below the last page and was there when the first one was read.
fn push_rest(sql: &mut QueryBuilder<Postgres>, page: &ObservationPage, order: &Order) {
    match page.after.as_ref().map(|place| (place, place.keys.as_slice())) {
        // The same as below, in the form that an index range serves.
        Some((place, [Some(time)])) if page.walks() => {
            let compare =
                if order.id_descending { " AND (o.last_updated, o.id) < (" } else { " AND (o.last_updated, o.id) > (" };
            sql.push(compare).push_bind(time.clone()).push("::timestamptz, ").push_bind(place.id).push(")");
        }
        Some((place, _)) => {
            sql.push(" AND ");
            push_below(sql, order, place);
        }
        None => {}
    }
    push_not_after(sql, page.not_after);
}

fn push_not_after(sql: &mut QueryBuilder<Postgres>, not_after: Option<DateTime<Utc>>) {
    if let Some(not_after) = not_after {
        sql.push(" AND o.last_updated <= ").push_bind(not_after);
    }
}

/// What is selected beside the rows `o`.
#[derive(Debug, Clone, Copy)]
struct Beside {
    documents: bool,
    identifiers: bool,
    source_names: bool,
    /// What belongs to patient and data type came with the pairs, in rows `w`.
    of_pairs: bool,
}

impl Beside {
    const ALL: Self = Self { documents: true, identifiers: true, source_names: true, of_pairs: false };

    const fn of(page: &ObservationPage) -> Self {
        Self {
            documents: page.documents,
            identifiers: page.identifiers,
            source_names: page.source_names,
            of_pairs: false,
        }
    }

    /// Pushes `SELECT` and the columns that [`ObservationRow`] reads.
    fn push_columns(self, sql: &mut QueryBuilder<Postgres>) {
        sql.push("SELECT o.id, o.subject_patient_id, o.codeable_concept_id, ");
        sql.push(if self.of_pairs { OF_PAIR_IN_W } else { OF_PAIR });
        sql.push(", o.data_source_id, ").push(if self.source_names { "d.name" } else { "NULL::text" });
        sql.push(
            ", o.status, o.effective_date_time, o.effective_period_start, o.effective_period_end, o.created, o.last_updated, ",
        );
        sql.push(if self.documents { "o.omh_data" } else { "NULL::text" });
        sql.push(if self.identifiers {
            ", named.ids, named.systems, named.values"
        } else {
            ", NULL::bigint[], NULL::text[], NULL::text[]"
        });
    }

    /// Pushes the joins of what the columns name.
    fn push_joins(self, sql: &mut QueryBuilder<Postgres>) {
        if !self.of_pairs {
            sql.push(
                " JOIN core_patient AS pt ON pt.id = o.subject_patient_id
                  JOIN core_codeableconcept AS k ON k.id = o.codeable_concept_id",
            );
        }
        if self.source_names {
            sql.push(" LEFT JOIN core_datasource AS d ON d.id = o.data_source_id");
        }
        if self.identifiers {
            // To sort the few that one has is left to us.
            sql.push(
                " LEFT JOIN LATERAL (SELECT array_agg(i.id) AS ids, array_agg(i.system) AS systems, array_agg(i.value) AS values
                                       FROM core_observationidentifier AS i WHERE i.observation_id = o.id) AS named ON true",
            );
        }
        sql.push(" ");
    }
}

/// What is the same for all observations of a patient and data type.
const OF_PAIR: &str = "pt.jhe_user_id, pt.name_family, pt.name_given, k.coding_system, k.coding_code, k.text";
const OF_PAIR_IN_W: &str = "w.jhe_user_id, w.name_family, w.name_given, w.coding_system, w.coding_code, w.text";

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
        let rows: Vec<Observation> =
            rows.iter().map(|row| ObservationRow::from_row(row).map(|row| row.0)).collect::<Result<_, _>>().db()?;
        self.audit_read(scope, &page.shown(&rows));
        Ok(Found { rows, extent })
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
        let rows: Vec<Observation> =
            rows.iter().map(|row| ObservationRow::from_row(row).map(|row| row.0)).collect::<Result<_, _>>().db()?;
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

    /// Records that a number was told.
    fn audit_total(&mut self, scope: &AccessScope<resource::Observation>, count: i64) {
        let mut entry = AuditEntry::new(AuditAction::Read, "Observation").rows(count);
        let within = scope.within();
        entry.organization_id = within.organizations.as_ref().and_then(|ids| ids.first().copied());
        self.0.audit(entry.patients(within.patients.iter().flatten().copied()));
    }

    /// Records whose rows a page shows, which ends with one that is not shown when it looks `ahead`.
    fn audit_read(&mut self, scope: &AccessScope<resource::Observation>, shown: &[i64]) {
        let within = scope.within();
        let rows = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let mut entry = AuditEntry::new(AuditAction::Read, "Observation");
        entry.organization_id = within.organizations.as_ref().and_then(|ids| ids.first().copied());
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
        let row: Option<ObservationRow> = sql.build_query_as().fetch_optional(self.0.connection()).await.db()?;
        let mut entry = AuditEntry::new(AuditAction::Read, "Observation").id(id.0);
        entry.patient_id = row.as_ref().map(|row| row.0.patient_id);
        self.0.audit(entry);
        Ok(row.map(|row| row.0))
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

    /// Stores observations with their identifiers and their entries in the audit trail in one statement, in the order given. An identifier that is taken,
    /// also one taken by a concurrent upload, fails the whole statement with [`Conflict::Constraint`] of
    /// `core_observationidentifier_system_value_key`.
    ///
    /// Each comes with the proof that it may be stored and with who sends it. Consent is asked for once more in the statement
    /// itself; where one is gone, nothing is stored: see [`is_race`].
    pub async fn insert(
        &mut self,
        rows: &[(ConsentedUpload, NewObservation, Sender)],
    ) -> Result<Vec<StoredObservation>, Error> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let column = |f: &dyn Fn(&ConsentedUpload, &NewObservation, &Sender) -> Option<i64>| {
            rows.iter().map(|(consented, new, sender)| f(consented, new, sender)).collect::<Vec<_>>()
        };
        let time = |f: &dyn Fn(EffectiveTime) -> Option<DateTime<Utc>>| {
            rows.iter().map(|(_, new, _)| f(new.effective)).collect::<Vec<_>>()
        };
        let request = |f: &dyn Fn(&RequestFacts) -> Option<String>| {
            rows.iter().map(|(_, _, sender)| sender.request.as_deref().and_then(f)).collect::<Vec<_>>()
        };
        let mut owners: Vec<i64> = Vec::new();
        let mut systems: Vec<Option<String>> = Vec::new();
        let mut values: Vec<String> = Vec::new();
        for (ordinal, (_, new, _)) in (1_i64..).zip(rows) {
            for (system, value) in &new.identifiers {
                owners.push(ordinal);
                systems.push(system.as_ref().map(|system| system.reveal().clone()));
                values.push(value.reveal().clone());
            }
        }
        let stored: Vec<(i64, DateTime<Utc>, DateTime<Utc>)> = sqlx::query_as(
            "WITH wanted AS MATERIALIZED (
                 SELECT w.*, nextval('core_observation_id_seq') AS id
                   FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[], $8::timestamptz[],
                               $12::bigint[], $13::bigint[], $14::text[], $16::text[], $17::text[])
                        WITH ORDINALITY AS w (patient_id, scope_code_id, data_source_id, status, document, instant, period_start, period_end,
                                              actor, application, ip, request_id, template, n)),
             gone AS MATERIALIZED (
                 -- Consent that was withdrawn since it was looked at. Asked for each pair, of which there are few.
                 SELECT 1 FROM (SELECT DISTINCT patient_id, scope_code_id FROM wanted) AS pair
                  WHERE (SELECT true FROM jhe_releases AS r
                          WHERE r.patient_id = pair.patient_id AND r.scope_code_id = pair.scope_code_id LIMIT 1) IS NULL),
             made AS (
                 INSERT INTO core_observation (id, subject_patient_id, codeable_concept_id, data_source_id, status, omh_data,
                        effective_date_time, effective_period_start, effective_period_end, created, last_updated)
                 -- Nobody is patient -1, so that nothing of the statement holds.
                 SELECT id, CASE WHEN EXISTS (SELECT 1 FROM gone) THEN -1 ELSE patient_id END, scope_code_id, data_source_id,
                        status, document, instant, period_start, period_end, t.now, t.now
                   FROM wanted, (SELECT clock_timestamp() AS now) AS t ORDER BY n
                 RETURNING id, created, last_updated),
             numbered AS MATERIALIZED (
                 SELECT i.*, nextval('core_observationidentifier_id_seq') AS id
                   FROM unnest($9::bigint[], $10::text[], $11::text[]) AS i (owner, system, value)),
             named AS (
                 -- In one order for everybody, so that uploads that share identifiers wait for each other in a line.
                 INSERT INTO core_observationidentifier (id, observation_id, system, value)
                 SELECT i.id, w.id, i.system, i.value
                   FROM numbered AS i JOIN wanted AS w ON w.n = i.owner ORDER BY jhe_identifier_digest(i.system, i.value)),
             audited AS (
                 INSERT INTO jhe_audit_event (actor_user_id, application_id, action, resource, patient_id, rows, ip, request_id, template)
                 SELECT actor, application, $15, 'Observation', patient_id, count(*), ip::inet, request_id, template FROM wanted
                  GROUP BY patient_id, actor, application, ip, request_id, template)
             SELECT id, created, last_updated FROM made ORDER BY id",
        )
        .bind(column(&|consented, _, _| Some(consented.patient().0)))
        .bind(column(&|consented, _, _| Some(consented.code().0)))
        .bind(column(&|_, new, _| new.data_source_id.map(|id| id.0)))
        .bind(rows.iter().map(|(_, new, _)| new.status.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, new, _)| new.document.reveal().as_str()).collect::<Vec<_>>())
        .bind(time(&|effective| match effective {
            EffectiveTime::Instant(instant) => Some(instant),
            _ => None,
        }))
        .bind(time(&|effective| match effective {
            EffectiveTime::Period(start, _) => start,
            _ => None,
        }))
        .bind(time(&|effective| match effective {
            EffectiveTime::Period(_, end) => end,
            _ => None,
        }))
        .bind(owners)
        .bind(systems)
        .bind(values)
        .bind(column(&|_, _, sender| sender.who.user_id.map(|id| id.0)))
        .bind(column(&|_, _, sender| sender.who.application_id.map(|id| id.0)))
        .bind(request(&|facts| facts.ip.map(|ip| ip.to_string())))
        .bind(AuditAction::Create.as_str())
        .bind(request(&|facts| Some(facts.id.clone())))
        .bind(request(&|facts| Some(facts.template.clone())))
        .fetch_all(self.0.connection())
        .await
        .db()?;
        Ok(stored
            .into_iter()
            .map(|(id, created, last_updated)| StoredObservation { id: ObservationId(id), created, last_updated })
            .collect())
    }

    /// What uploads mention, as far as it exists, asked in one question: `devices` that uploads may come from, which patient
    /// apps are not, data types by (system, code), and which identifiers observations have already.
    pub async fn upload_facts(
        &mut self,
        _rights: &jhe_authz::UploadRights,
        devices: &[DataSourceId],
        codes: &[(String, String)],
        identifiers: &[(String, String)],
    ) -> Result<UploadFacts, Error> {
        let (code_systems, codes): (Vec<&str>, Vec<&str>) = codes.iter().map(|(a, b)| (a.as_str(), b.as_str())).unzip();
        let (systems, values): (Vec<&str>, Vec<&str>) =
            identifiers.iter().map(|(a, b)| (a.as_str(), b.as_str())).unzip();
        let rows: Vec<FactRow> = sqlx::query_as(
            "SELECT 'device' AS kind, d.id, NULL AS system, NULL AS value, NULL AS text
               FROM core_datasource AS d WHERE d.id = ANY ($1) AND d.type IN ('personal_device', 'medical_device')
             UNION ALL
             SELECT 'code', k.id, k.coding_system, k.coding_code, k.text
               FROM unnest($2::text[], $3::text[]) AS w (system, code)
               JOIN core_codeableconcept AS k ON k.coding_system = w.system AND k.coding_code = w.code
             UNION ALL
             SELECT 'identifier', i.id, i.system, i.value, NULL
               FROM unnest($4::text[], $5::text[]) AS w (system, value)
               JOIN core_observationidentifier AS i
                 ON jhe_identifier_digest(i.system, i.value) = jhe_identifier_digest(w.system, w.value)",
        )
        .bind(devices.iter().map(|id| id.0).collect::<Vec<_>>())
        .bind(code_systems)
        .bind(codes)
        .bind(systems)
        .bind(values)
        .fetch_all(self.0.connection())
        .await
        .db()?;
        let mut facts = UploadFacts::default();
        for FactRow { kind, id, system, value, text } in rows {
            let (system, value) = (system.unwrap_or_default(), value.unwrap_or_default());
            match kind.as_str() {
                "device" => facts.devices.push(DataSourceId(id)),
                "code" => facts.codes.push(ScopeCode {
                    id: ScopeCodeId(id),
                    system,
                    code: value,
                    text: text.unwrap_or_default(),
                }),
                _ => facts.taken.push((system, value)),
            }
        }
        Ok(facts)
    }

    /// Observations that have an identifier, for each of the conditions in `wanted`: the token with the number of its
    /// condition. Of many the first two of each token, those first that the caller may write for.
    pub async fn matching(
        &mut self,
        rights: &jhe_authz::UploadRights,
        wanted: &[(usize, Token)],
    ) -> Result<Vec<IdentifierMatch>, Error> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let (who, own) = rights.writer();
        let (mut conditions, mut systems, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for (condition, token) in wanted {
            let spellings = match &token.system {
                TokenSystem::Any => vec![None],
                TokenSystem::Absent => vec![Some(String::new())],
                TokenSystem::OneOf(systems) => systems.iter().cloned().map(Some).collect(),
            };
            for system in spellings {
                conditions.push(i64::try_from(*condition).unwrap_or(i64::MAX));
                systems.push(system);
                values.push(token.value.as_ref().map(|value| value.reveal().clone()));
            }
        }
        sqlx::query_as(
            "SELECT w.condition, m.*
               FROM unnest($1::bigint[], $2::text[], $3::text[]) AS w (condition, system, value)
              CROSS JOIN LATERAL (
                  SELECT o.id, o.last_updated, o.status, k.coding_system, k.coding_code, k.text AS coding_text,
                         coalesce(o.subject_patient_id = $4, false)
                           OR EXISTS (SELECT 1 FROM jhe_manages_patient AS g
                                       WHERE g.patient_id = o.subject_patient_id AND g.practitioner_id = $5) AS writable
                    FROM core_observationidentifier AS i
                    JOIN core_observation AS o ON o.id = i.observation_id
                    JOIN core_codeableconcept AS k ON k.id = o.codeable_concept_id
                   WHERE i.value = w.value AND (w.system IS NULL OR coalesce(i.system, '') = w.system)
                   ORDER BY writable DESC, o.id LIMIT 2) AS m",
        )
        .bind(conditions)
        .bind(systems)
        .bind(values)
        .bind(own.map(|id| id.0))
        .bind(who.map(|id| id.0))
        .fetch_all(self.0.connection())
        .await
        .db()
    }
}

/// What uploads mention and the database knows.
#[derive(Debug, Default)]
pub struct UploadFacts {
    /// Devices uploads may come from.
    pub devices: Vec<DataSourceId>,
    /// Data types.
    pub codes: Vec<ScopeCode>,
    /// Identifiers that observations have already; no system is the empty one.
    pub taken: Vec<(String, String)>,
}

#[derive(sqlx::FromRow)]
struct FactRow {
    kind: String,
    id: i64,
    system: Option<String>,
    value: Option<String>,
    text: Option<String>,
}

/// What the database gave a stored observation.
#[derive(Debug, Clone, Copy)]
pub struct StoredObservation {
    /// Its id.
    pub id: ObservationId,
    /// When it arrived.
    pub created: DateTime<Utc>,
    /// The same, as its version.
    pub last_updated: DateTime<Utc>,
}

/// An observation that a conditional create asks about.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct IdentifierMatch {
    /// The number of the condition.
    pub condition: i64,
    /// Its id.
    pub id: i64,
    /// Its version.
    pub last_updated: DateTime<Utc>,
    /// Its status.
    pub status: String,
    /// Coding system of its data type.
    pub coding_system: String,
    /// Code of its data type.
    pub coding_code: String,
    /// Name of its data type.
    pub coding_text: String,
    /// The caller may write for its patient.
    pub writable: bool,
}

/// Whether an upload failed because of what others did since it was looked at: used its identifier first, withdrew the
/// consent, or removed the patient. It is to be looked at again.
pub fn is_race(error: &Error) -> bool {
    const CONSTRAINTS: [&str; 3] = [
        "core_observationidentifier_system_value_key",
        "core_observation_subject_patient_id_fkey",
        "jhe_observation_stats_patient_id_fkey",
    ];
    matches!(error, Error::Conflict(Conflict::Constraint(name)) if CONSTRAINTS.contains(&name.as_str()))
}

/// A token of any system.
pub fn any_system(value: String) -> Token {
    Token { system: TokenSystem::Any, value: Some(Phi::new(value)) }
}
