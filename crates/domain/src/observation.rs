//! Observations: Open mHealth readings.

use chrono::{DateTime, Utc};

use crate::id::{DataSourceId, ObservationId, PatientId, ScopeCodeId, UserId};
use crate::phi::Phi;

/// FHIR observation statuses.
pub const OBSERVATION_STATUSES: &[&str] = &[
    "registered",
    "preliminary",
    "final",
    "amended",
    "corrected",
    "appended",
    "cancelled",
    "entered-in-error",
    "unknown",
];

/// When a reading was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EffectiveTime {
    /// Not told.
    #[default]
    Unknown,
    /// A point in time.
    Instant(DateTime<Utc>),
    /// An interval, open on a side that is missing.
    Period(Option<DateTime<Utc>>, Option<DateTime<Utc>>),
}

impl EffectiveTime {
    /// As exact as it is stored.
    #[must_use]
    pub fn to_micros(self) -> Self {
        let micros = |at: DateTime<Utc>| DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at);
        match self {
            Self::Instant(at) => Self::Instant(micros(at)),
            Self::Period(start, end) => Self::Period(start.map(micros), end.map(micros)),
            Self::Unknown => Self::Unknown,
        }
    }
}

/// A stored observation with what its readers show beside it.
#[derive(Debug, Clone)]
pub struct Observation {
    /// Row id.
    pub id: ObservationId,
    /// Whose reading it is.
    pub patient_id: PatientId,
    /// Account of the patient.
    pub patient_user_id: Option<UserId>,
    /// Family name of the patient.
    pub patient_name_family: Option<Phi<String>>,
    /// Given name of the patient.
    pub patient_name_given: Option<Phi<String>>,
    /// Data type.
    pub scope_code_id: ScopeCodeId,
    /// Coding system of the data type.
    pub coding_system: String,
    /// Code of the data type.
    pub coding_code: String,
    /// Name of the data type.
    pub coding_text: String,
    /// Where it came from.
    pub data_source_id: Option<DataSourceId>,
    /// Name of the data source.
    pub data_source_name: Option<String>,
    /// One of [`OBSERVATION_STATUSES`].
    pub status: String,
    /// The Open mHealth document, byte for byte as sent.
    pub document: Option<Phi<String>>,
    /// When it was taken.
    pub effective: EffectiveTime,
    /// Identifiers given by the uploader: (system, value), by id. Filled where a reader shows them.
    pub identifiers: Vec<(Option<Phi<String>>, Phi<String>)>,
    /// When it arrived.
    pub created: DateTime<Utc>,
    /// Last change.
    pub last_updated: DateTime<Utc>,
}

/// An observation to store.
#[derive(Debug, Clone)]
pub struct NewObservation {
    /// Where it came from.
    pub data_source_id: Option<DataSourceId>,
    /// One of [`OBSERVATION_STATUSES`].
    pub status: String,
    /// The Open mHealth document, byte for byte as sent.
    pub document: Phi<String>,
    /// When it was taken.
    pub effective: EffectiveTime,
    /// Identifiers given by the uploader: (system, value), distinct.
    pub identifiers: Vec<(Option<Phi<String>>, Phi<String>)>,
}
