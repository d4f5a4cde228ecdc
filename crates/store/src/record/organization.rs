//! Organizations.

use chrono::{DateTime, Utc};
use jhe_authz::resource;

use super::{Record, RecordKey};
use crate::scope::Relation;

/// Organizations, which are their own witness.
#[derive(Debug, Clone, Copy)]
pub enum Organizations {}

/// An organization.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct OrganizationRow {
    /// Row id.
    pub id: i64,
    /// Name.
    pub name: String,
    /// Code of its type.
    pub type_code: String,
    /// The organization above it.
    pub part_of_id: Option<i64>,
    /// Last change.
    pub last_updated: DateTime<Utc>,
}

impl Record for Organizations {
    type Kind = resource::Organization;
    type Row = OrganizationRow;
    const COLUMNS: &'static str = "r.id, r.name, r.type AS type_code, r.part_of_id, r.last_updated";
    const NAME: &'static str = "Organization";
    const TABLE: &'static str = "core_organization";
    const RELATION: Relation = Relation {
        witness: None,
        organization: "r.id",
        study: ("EXISTS (SELECT 1 FROM core_study AS s WHERE s.organization_id = r.id AND s.id", ")"),
        patient: "EXISTS (SELECT 1 FROM jhe_in_org AS i WHERE i.organization_id = r.id AND i.patient_id = p.id)",
    };
    const ORDER: &'static [RecordKey] = &[RecordKey::Name];
    const TYPE: &'static str = "r.type";
    const OWNER: &'static str = "r.part_of_id";

    fn id(row: &OrganizationRow) -> i64 {
        row.id
    }

    fn last_updated(row: &OrganizationRow) -> DateTime<Utc> {
        row.last_updated
    }

    fn text(row: &OrganizationRow, _: RecordKey) -> Option<&str> {
        Some(&row.name)
    }
}
