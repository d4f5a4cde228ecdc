//! Data types and the sources they come from.

use chrono::{DateTime, Utc};

use crate::id::{DataSourceId, ScopeCodeId};

/// Data source types: (code, label).
pub const DATA_SOURCE_TYPES: &[(&str, &str)] =
    &[("medical_device", "Medical Device"), ("personal_device", "Personal Device"), ("patient_app", "Patient App")];

/// A data type (data model §2.15).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeCode {
    /// Row id; what `scopeCodeId` means in requests.
    pub id: ScopeCodeId,
    /// Coding system.
    pub system: String,
    /// Code within the system.
    pub code: String,
    /// Name for people.
    pub text: String,
}

/// A data source (data model §2.16).
#[derive(Debug, Clone)]
pub struct DataSource {
    /// Row id.
    pub id: DataSourceId,
    /// Name.
    pub name: Option<String>,
    /// Code of [`DATA_SOURCE_TYPES`].
    pub type_code: String,
    /// Data types it can deliver, by text.
    pub supported_scopes: Vec<ScopeCode>,
    /// Last change.
    pub last_updated: DateTime<Utc>,
}
