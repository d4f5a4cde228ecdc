//! A row as it is selected and read.

use jhe_domain::observation::{EffectiveTime, Observation};
use jhe_domain::{DataSourceId, ObservationId, PatientId, Phi, ScopeCodeId, UserId};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Postgres, QueryBuilder, Row as _};

use super::page::ObservationPage;

/// A row of [`push_columns`].
pub(super) struct ObservationRow(pub(super) Observation);

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
pub(super) fn identifiers(
    ids: Option<Vec<i64>>,
    systems: Option<Vec<Option<String>>>,
    values: Option<Vec<String>>,
) -> Vec<(Option<Phi<String>>, Phi<String>)> {
    let (ids, systems, values) = (ids.unwrap_or_default(), systems.unwrap_or_default(), values.unwrap_or_default());
    let mut all: Vec<_> = ids.into_iter().zip(systems.into_iter().zip(values)).collect();
    all.sort_unstable_by_key(|(id, _)| *id);
    all.into_iter().map(|(_, (system, value))| (system.map(Phi::new), Phi::new(value))).collect()
}

/// What is selected beside the rows `o`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beside {
    pub(super) documents: bool,
    pub(super) identifiers: bool,
    pub(super) source_names: bool,
    /// What belongs to patient and data type came with the pairs, in rows `w`.
    pub(super) of_pairs: bool,
}

impl Beside {
    pub(super) const ALL: Self = Self { documents: true, identifiers: true, source_names: true, of_pairs: false };

    pub(super) const fn of(page: &ObservationPage) -> Self {
        Self {
            documents: page.documents,
            identifiers: page.identifiers,
            source_names: page.source_names,
            of_pairs: false,
        }
    }

    /// Pushes `SELECT` and the columns that [`ObservationRow`] reads.
    pub(super) fn push_columns(self, sql: &mut QueryBuilder<Postgres>) {
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
    pub(super) fn push_joins(self, sql: &mut QueryBuilder<Postgres>) {
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
pub(super) const OF_PAIR: &str =
    "pt.jhe_user_id, pt.name_family, pt.name_given, k.coding_system, k.coding_code, k.text";

pub(super) const OF_PAIR_IN_W: &str =
    "w.jhe_user_id, w.name_family, w.name_given, w.coding_system, w.coding_code, w.text";
