//! Data sources.

use chrono::{DateTime, Utc};
use jhe_authz::resource;

use super::{Record, RecordKey};
use crate::scope::Relation;

/// Data sources, which a study is the witness of.
#[derive(Debug, Clone, Copy)]
pub enum DataSources {}

/// A data source.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct DataSourceRow {
    /// Row id.
    pub id: i64,
    /// Name.
    pub name: Option<String>,
    /// Code of its type.
    pub type_code: Option<String>,
    /// Last change.
    pub last_updated: DateTime<Utc>,
}

impl Record for DataSources {
    type Kind = resource::DataSource;
    type Row = DataSourceRow;
    const COLUMNS: &'static str = "r.id, r.name, r.type AS type_code, r.last_updated";
    const NAME: &'static str = "DataSource";
    const TABLE: &'static str = "core_datasource";
    const RELATION: Relation = Relation {
        witness: Some(
            "core_studydatasource AS l JOIN core_study AS s ON s.id = l.study_id WHERE l.data_source_id = r.id",
        ),
        organization: "s.organization_id",
        study: ("s.id", ""),
        patient: "EXISTS (SELECT 1 FROM core_studypatient AS e WHERE e.study_id = s.id AND e.patient_id = p.id)",
    };
    const ORDER: &'static [RecordKey] = &[RecordKey::Name];
    const TYPE: &'static str = "r.type";

    fn id(row: &DataSourceRow) -> i64 {
        row.id
    }

    fn last_updated(row: &DataSourceRow) -> DateTime<Utc> {
        row.last_updated
    }

    fn text(row: &DataSourceRow, _: RecordKey) -> Option<&str> {
        row.name.as_deref()
    }
}
