//! Outside record systems that patients bring data from.

use chrono::{DateTime, Utc};

use crate::id::{DataSourceId, FhirSourceId, PatientId};
use crate::phi::Phi;

/// An outside record system (data model §2.23).
#[derive(Debug, Clone)]
pub struct FhirSource {
    /// Row id.
    pub id: FhirSourceId,
    /// Whose.
    pub patient_id: PatientId,
    /// What kind of source it is.
    pub data_source_id: DataSourceId,
    /// What the patient calls it.
    pub label: Phi<String>,
    /// Where it is; empty when that is not known.
    pub fhir_base_url: String,
    /// Last change.
    pub last_updated: DateTime<Utc>,
}

/// What to write; what is missing stays.
#[derive(Debug, Clone, Default)]
pub struct FhirSourceChange {
    /// What kind of source it is.
    pub data_source_id: Option<DataSourceId>,
    /// What the patient calls it.
    pub label: Option<Phi<String>>,
    /// Where it is.
    pub fhir_base_url: Option<String>,
}
