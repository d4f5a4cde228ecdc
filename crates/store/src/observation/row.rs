//! A row as it is selected and read.

use jhe_domain::observation::{EffectiveTime, Observation};
use jhe_domain::{DataSourceId, ObservationId, PatientId, Phi, ScopeCodeId, UserId};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row as _};

use super::page::ObservationPage;

/// The observations of rows with the columns of [`Beside::push_columns`].
pub(super) fn observations(rows: &[PgRow]) -> sqlx::Result<Vec<Observation>> {
    by_observation(rows).map(observation).collect()
}

/// The rows of each observation: one for each of its identifiers, and one where it has none. They come together, since
/// whatever rows are ordered by ends with the id.
pub(super) fn by_observation(rows: &[PgRow]) -> impl Iterator<Item = &[PgRow]> {
    let id = |row: &PgRow| row.try_get::<i64, _>(0).ok();
    rows.chunk_by(move |one, next| id(one) == id(next))
}

/// One observation from its rows. By position: to find a column by its name takes as long as to read it.
pub(super) fn observation(rows: &[PgRow]) -> sqlx::Result<Observation> {
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    let effective = match (row.try_get(12)?, row.try_get(13)?, row.try_get(14)?) {
        (Some(instant), ..) => EffectiveTime::Instant(instant),
        (None, None, None) => EffectiveTime::Unknown,
        (None, start, end) => EffectiveTime::Period(start, end),
    };
    Ok(Observation {
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
        identifiers: identifiers(rows)?,
        created: row.try_get(15)?,
        last_updated: row.try_get(16)?,
    })
}

/// System and value.
type Identifier = (Option<Phi<String>>, Phi<String>);

/// Identifiers in the order in which they were given.
fn identifiers(rows: &[PgRow]) -> sqlx::Result<Vec<Identifier>> {
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        if let Some(id) = row.try_get::<Option<i64>, _>(18)? {
            let system: Option<String> = row.try_get(19)?;
            all.push((id, (system.map(Phi::new), Phi::new(row.try_get(20)?))));
        }
    }
    all.sort_unstable_by_key(|(id, _)| *id);
    Ok(all.into_iter().map(|(_, identifier)| identifier).collect())
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

    /// Pushes `SELECT` and the columns that [`observation`] reads.
    pub(super) fn push_columns(self, sql: &mut QueryBuilder<Postgres>) {
        sql.push("SELECT o.id, o.subject_patient_id, o.codeable_concept_id, ");
        sql.push(if self.of_pairs { OF_PAIR_IN_W } else { OF_PAIR });
        sql.push(", o.data_source_id, ").push(if self.source_names { "d.name" } else { "NULL::text" });
        sql.push(
            ", o.status, o.effective_date_time, o.effective_period_start, o.effective_period_end, o.created, o.last_updated, ",
        );
        sql.push(if self.documents { "o.omh_data" } else { "NULL::text" });
        sql.push(if self.identifiers { ", i.id, i.system, i.value" } else { ", NULL::bigint, NULL::text, NULL::text" });
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
            // A row for each. Most have one, so to gather them here would take longer than to read some rows twice.
            sql.push(" LEFT JOIN core_observationidentifier AS i ON i.observation_id = o.id");
        }
        sql.push(" ");
    }
}

/// What is the same for all observations of a patient and data type.
pub(super) const OF_PAIR: &str =
    "pt.jhe_user_id, pt.name_family, pt.name_given, k.coding_system, k.coding_code, k.text";

pub(super) const OF_PAIR_IN_W: &str =
    "w.jhe_user_id, w.name_family, w.name_given, w.coding_system, w.coding_code, w.text";
