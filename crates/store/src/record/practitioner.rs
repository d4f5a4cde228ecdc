//! Practitioners.

use chrono::{DateTime, Utc};
use jhe_authz::resource;
use jhe_domain::Phi;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};

use super::{Record, RecordKey};
use crate::scope::Relation;

/// Practitioners, which a membership is the witness of.
#[derive(Debug, Clone, Copy)]
pub enum Practitioners {}

/// A practitioner.
#[derive(Debug, Clone)]
pub struct PractitionerRow {
    /// Row id.
    pub id: i64,
    /// Identifier elsewhere.
    pub identifier: Option<Phi<String>>,
    /// Family name.
    pub name_family: Option<Phi<String>>,
    /// Given name.
    pub name_given: Option<Phi<String>>,
    /// Last change.
    pub last_updated: DateTime<Utc>,
}

impl FromRow<'_, PgRow> for PractitionerRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let text = |column: &str| row.try_get::<Option<String>, _>(column).map(|text| text.map(Phi::new));
        Ok(Self {
            id: row.try_get("id")?,
            identifier: text("identifier")?,
            name_family: text("name_family")?,
            name_given: text("name_given")?,
            last_updated: row.try_get("last_updated")?,
        })
    }
}

impl Record for Practitioners {
    type Kind = resource::Practitioner;
    type Row = PractitionerRow;
    const COLUMNS: &'static str = "r.id, r.identifier, r.name_family, r.name_given, r.last_updated";
    const NAME: &'static str = "Practitioner";
    const TABLE: &'static str = "core_practitioner";
    const RELATION: Relation = Relation {
        witness: Some("core_practitionerorganization AS t WHERE t.practitioner_id = r.id"),
        organization: "t.organization_id",
        study: ("EXISTS (SELECT 1 FROM core_study AS s WHERE s.organization_id = t.organization_id AND s.id", ")"),
        patient: "EXISTS (SELECT 1 FROM jhe_in_org AS i WHERE i.organization_id = t.organization_id AND i.patient_id = p.id)",
    };
    const ORDER: &'static [RecordKey] = &[RecordKey::Family, RecordKey::Given];
    const IDENTIFIER: &'static str = "r.identifier";

    fn id(row: &PractitionerRow) -> i64 {
        row.id
    }

    fn last_updated(row: &PractitionerRow) -> DateTime<Utc> {
        row.last_updated
    }

    fn text(row: &PractitionerRow, key: RecordKey) -> Option<&str> {
        let name = if key == RecordKey::Given { &row.name_given } else { &row.name_family };
        name.as_ref().map(|name| name.reveal().as_str())
    }
}
