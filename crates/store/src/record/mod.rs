//! Studies, data sources, organizations and practitioners as FHIR searches find them.
//!
//! They are few, belong to organizations and not to a person, and are searched alike: a [`Record`] says how one kind is
//! stored and related, [`RecordQuery`] what is asked of it.

mod data_source;
mod organization;
mod practitioner;
mod study;

use chrono::{DateTime, Utc};
use jhe_authz::{AccessScope, resource};
use jhe_domain::Phi;
use jhe_domain::audit::{AuditAction, AuditEntry};
use jhe_domain::error::Error;
use jhe_domain::page::{Place, Window};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Postgres, QueryBuilder};

use crate::fault::Db;
use crate::filter::{PersonFilter, TextMatch, TimeMatch, push_any, push_text, push_time};
use crate::keyset::{Counted, Key, Order, push_window, time_key};
use crate::scope::{Relation, push_record_scope, sole_organization};
use crate::work::Work;

pub use data_source::{DataSourceRow, DataSources};
pub use organization::{OrganizationRow, Organizations};
pub use practitioner::{PractitionerRow, Practitioners};
pub use study::{Studies, StudyRow};

/// What an order compares, and what text is looked for in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKey {
    /// The last change.
    LastUpdated,
    /// The id.
    Id,
    /// The name of what is no person.
    Name,
    /// The family name of a person.
    Family,
    /// The given name of a person.
    Given,
}

/// A condition on a record.
#[derive(Debug, Clone)]
pub enum RecordFilter {
    /// Any of these fields is like any of these texts.
    Text(Vec<RecordKey>, Vec<TextMatch>),
    /// Its type is one of these.
    Type(Vec<String>),
    /// The organization above it, or that runs it, is one of these.
    Owner(Vec<i64>),
    /// Its identifier is one of these.
    Identifier(Vec<Phi<String>>),
    /// True of all or of none.
    Constant(bool),
    /// What is not known does not hold, and so passes.
    Not(Box<RecordFilter>),
}

/// What a search asks for.
#[derive(Debug, Clone, Default)]
pub struct RecordQuery {
    /// Only these ids.
    pub ids: Option<Vec<i64>>,
    /// Last change: all of the outer, any of the inner ones.
    pub last_updated: Vec<Vec<TimeMatch>>,
    /// Conditions on a patient it belongs to.
    pub person: PersonFilter,
    /// Conditions on itself, all of which hold.
    pub filters: Vec<RecordFilter>,
    /// A chosen order, each key with whether the greatest comes first.
    pub sort: Vec<(RecordKey, bool)>,
    /// Leave out what has a greater id, and so was made later.
    pub newest: Option<i64>,
}

/// One kind of record.
pub trait Record: Send {
    /// What proofs call it.
    type Kind: resource::Record;
    /// What is read of one.
    type Row: for<'r> FromRow<'r, PgRow> + Send + Unpin;
    /// Columns of a row, in the table `r`.
    const COLUMNS: &'static str;
    /// What the audit trail calls it.
    const NAME: &'static str;
    /// The table.
    const TABLE: &'static str;
    /// How it belongs to others.
    const RELATION: Relation;
    /// The order unless another one is chosen.
    const ORDER: &'static [RecordKey];
    /// Column of its type.
    const TYPE: &'static str = "NULL::text";
    /// Column of the organization above it.
    const OWNER: &'static str = "NULL::bigint";
    /// Column of its identifier.
    const IDENTIFIER: &'static str = "NULL::text";
    /// The id of a row.
    fn id(row: &Self::Row) -> i64;
    /// The last change of a row.
    fn last_updated(row: &Self::Row) -> DateTime<Utc>;
    /// A text of a row.
    fn text(row: &Self::Row, key: RecordKey) -> Option<&str>;
}

const fn column(key: RecordKey) -> (&'static str, &'static str) {
    match key {
        RecordKey::LastUpdated => ("r.last_updated", "timestamptz"),
        RecordKey::Id => ("r.id", "bigint"),
        RecordKey::Name => ("r.name", "text"),
        RecordKey::Family => ("r.name_family", "text"),
        RecordKey::Given => ("r.name_given", "text"),
    }
}

impl RecordQuery {
    fn keys<R: Record>(&self) -> Vec<(RecordKey, bool)> {
        if self.sort.is_empty() {
            return R::ORDER.iter().map(|key| (*key, false)).collect();
        }
        let is_person = R::ORDER.contains(&RecordKey::Family);
        let keys = self.sort.iter().flat_map(|(key, descending)| {
            let parts: &[RecordKey] = match key {
                RecordKey::Name if is_person => &[RecordKey::Family, RecordKey::Given],
                key => std::slice::from_ref(key),
            };
            parts.iter().map(|part| (*part, *descending))
        });
        keys.collect()
    }

    fn order<R: Record>(&self) -> Order {
        let keys = self.keys::<R>().into_iter().map(|(key, descending)| {
            let (expression, sql_type) = column(key);
            Key::new(expression, sql_type, descending)
        });
        Order { keys: keys.collect(), ..Order::by_id("r.id") }
    }

    /// The place of a row in the order of this query.
    pub fn place<R: Record>(&self, row: &R::Row) -> Place {
        let value = |(key, _): (RecordKey, bool)| match key {
            RecordKey::LastUpdated => Some(time_key(R::last_updated(row))),
            RecordKey::Id => Some(R::id(row).to_string()),
            key => R::text(row, key).map(str::to_owned),
        };
        Place { keys: self.keys::<R>().into_iter().map(value).collect(), id: R::id(row) }
    }
}

/// Access to records.
pub struct Records<'a>(&'a mut Work);

impl Work {
    /// Access to records, as FHIR searches find them.
    pub fn records(&mut self) -> Records<'_> {
        Records(self)
    }
}

impl Records<'_> {
    /// How many records in `scope` match. Where that number is the whole answer, the audit trail has it; else it has the
    /// rows that follow.
    pub async fn count<R: Record>(
        &mut self,
        scope: &AccessScope<R::Kind>,
        query: &RecordQuery,
        is_answer: bool,
    ) -> Result<Counted, Error> {
        let mut sql = QueryBuilder::new("SELECT count(*) AS count, coalesce(max(r.id), 0) AS newest");
        push_where::<R>(&mut sql, scope, query);
        let counted: Counted = sql.build_query_as().fetch_one(self.0.connection()).await.db()?;
        if is_answer {
            self.audit::<R>(scope, usize::try_from(counted.count).unwrap_or_default());
        }
        Ok(counted)
    }

    /// Records in `scope` that match, in order.
    pub async fn search<R: Record>(
        &mut self,
        scope: &AccessScope<R::Kind>,
        query: &RecordQuery,
        window: &Window,
    ) -> Result<Vec<R::Row>, Error> {
        let mut sql = QueryBuilder::new("SELECT ");
        sql.push(R::COLUMNS);
        push_where::<R>(&mut sql, scope, query);
        push_window(&mut sql, " AND ", &query.order::<R>(), window)?;
        let rows: Vec<R::Row> = sql.build_query_as().fetch_all(self.0.connection()).await.db()?;
        self.audit::<R>(scope, rows.len());
        Ok(rows)
    }

    fn audit<R: Record>(&mut self, scope: &AccessScope<R::Kind>, rows: usize) {
        let mut entry = AuditEntry::new(AuditAction::Read, R::NAME).rows(i64::try_from(rows).unwrap_or(i64::MAX));
        entry.patient_id = scope.within().patients.as_ref().and_then(|ids| ids.first().copied());
        entry.organization_id = sole_organization(scope.within());
        self.0.audit(entry);
    }

    /// One record in `scope`.
    pub async fn find<R: Record>(&mut self, scope: &AccessScope<R::Kind>, id: i64) -> Result<Option<R::Row>, Error> {
        let mut sql = QueryBuilder::new("SELECT ");
        sql.push(R::COLUMNS);
        push_where::<R>(&mut sql, scope, &RecordQuery { ids: Some(vec![id]), ..RecordQuery::default() });
        self.0.audit(AuditEntry::new(AuditAction::Read, R::NAME).id(id));
        sql.build_query_as().fetch_optional(self.0.connection()).await.db()
    }
}

fn push_where<R: Record>(sql: &mut QueryBuilder<Postgres>, scope: &AccessScope<R::Kind>, query: &RecordQuery) {
    sql.push(" FROM ").push(R::TABLE).push(" AS r WHERE ");
    push_record_scope(sql, scope, &R::RELATION, &query.person);
    if let Some(ids) = &query.ids {
        sql.push(" AND r.id = ANY (").push_bind(ids.clone()).push(")");
    }
    if let Some(newest) = query.newest {
        sql.push(" AND r.id <= ").push_bind(newest);
    }
    for alternatives in &query.last_updated {
        sql.push(" AND ");
        push_any(sql, alternatives, |sql, m| push_time(sql, "r.last_updated", "r.last_updated", m));
    }
    for filter in &query.filters {
        sql.push(" AND ");
        push_filter::<R>(sql, filter);
    }
}

fn push_filter<R: Record>(sql: &mut QueryBuilder<Postgres>, filter: &RecordFilter) {
    match filter {
        RecordFilter::Text(keys, texts) => {
            push_any(sql, texts, |sql, text| push_any(sql, keys, |sql, key| push_text(sql, column(*key).0, text)));
        }
        RecordFilter::Type(codes) => {
            sql.push(R::TYPE).push(" = ANY (").push_bind(codes.clone()).push(")");
        }
        RecordFilter::Owner(ids) => {
            sql.push(R::OWNER).push(" = ANY (").push_bind(ids.clone()).push(")");
        }
        RecordFilter::Identifier(values) => {
            let values: Vec<String> = values.iter().map(|value| value.reveal().clone()).collect();
            sql.push(R::IDENTIFIER).push(" = ANY (").push_bind(values).push(")");
        }
        RecordFilter::Constant(holds) => {
            sql.push(if *holds { "true" } else { "false" });
        }
        RecordFilter::Not(inner) => {
            sql.push("(");
            push_filter::<R>(sql, inner);
            sql.push(") IS NOT TRUE");
        }
    }
}
