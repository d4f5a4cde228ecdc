//! Studies.

use chrono::{DateTime, Utc};
use jhe_authz::resource;

use super::{Record, RecordKey};
use crate::scope::Relation;

/// Studies, which are their own witness.
#[derive(Debug, Clone, Copy)]
pub enum Studies {}

/// A study.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct StudyRow {
    /// Row id.
    pub id: i64,
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// The organization that runs it.
    pub organization_id: i64,
    /// Number of enrolled patients.
    pub enrolled: i64,
    /// Last change.
    pub last_updated: DateTime<Utc>,
}

impl Record for Studies {
    type Kind = resource::Study;
    type Row = StudyRow;
    const COLUMNS: &'static str = "r.id, r.name, r.description, r.organization_id, r.last_updated,
        (SELECT count(*) FROM core_studypatient AS e WHERE e.study_id = r.id) AS enrolled";
    const NAME: &'static str = "Study";
    const TABLE: &'static str = "core_study";
    const RELATION: Relation = Relation {
        witness: None,
        organization: "r.organization_id",
        study: ("r.id", ""),
        patient: "EXISTS (SELECT 1 FROM core_studypatient AS e WHERE e.study_id = r.id AND e.patient_id = p.id)",
    };
    const ORDER: &'static [RecordKey] = &[RecordKey::Name];
    const OWNER: &'static str = "r.organization_id";

    fn id(row: &StudyRow) -> i64 {
        row.id
    }

    fn last_updated(row: &StudyRow) -> DateTime<Utc> {
        row.last_updated
    }

    fn text(row: &StudyRow, _: RecordKey) -> Option<&str> {
        Some(&row.name)
    }
}
