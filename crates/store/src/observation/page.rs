//! Which rows of a search are wanted, and in which order.

use chrono::{DateTime, Utc};
use jhe_domain::observation::{EffectiveTime, Observation};
use jhe_domain::page::Place;

use super::filter::{ObservationFilter, TAKEN};
use crate::keyset::{Key, Order, time_key};

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

    pub(super) fn keys(&self) -> Order {
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
    pub(super) fn shown(&self, rows: &[Observation]) -> Vec<i64> {
        let most = usize::try_from(self.limit - i64::from(self.ahead)).unwrap_or_default();
        rows.iter().take(most).map(|row| row.patient_id.0).collect()
    }
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
