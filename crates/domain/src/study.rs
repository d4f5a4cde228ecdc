//! Studies and what they ask for.

use chrono::{DateTime, Utc};

use crate::data_source::{DataSource, ScopeCode};
use crate::id::{LinkId, OrganizationId, PatientId, StudyId};

/// A study (data model §2.8).
#[derive(Debug, Clone)]
pub struct Study {
    /// Row id.
    pub id: StudyId,
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// The organization that runs it; fixed.
    pub organization_id: OrganizationId,
    /// Name of that organization.
    pub organization_name: String,
    /// Type of that organization.
    pub organization_type: String,
    /// Address of an icon, unchecked text.
    pub icon_url: Option<String>,
    /// Enrolled patients, ascending, capped.
    pub patients: Vec<PatientId>,
    /// What it asks for, in request order.
    pub scope_requests: Vec<ScopeRequest>,
    /// The data sources it works with.
    pub data_sources: Vec<DataSource>,
    /// Last change.
    pub last_updated: DateTime<Utc>,
}

/// A data type a study asks for (data model §2.10).
#[derive(Debug, Clone)]
pub struct ScopeRequest {
    /// Row id of the request.
    pub id: LinkId,
    /// The data type.
    pub code: ScopeCode,
    /// `r` read one, `s` search.
    pub actions: Option<String>,
}

/// A study to create.
#[derive(Debug, Clone)]
pub struct NewStudy {
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// Address of an icon.
    pub icon_url: Option<String>,
}

/// Changes of a study; `None` keeps the stored value.
#[derive(Debug, Clone, Default)]
pub struct StudyChange {
    /// Name.
    pub name: Option<String>,
    /// Description.
    pub description: Option<String>,
    /// Address of an icon.
    pub icon_url: Option<Option<String>>,
}

/// Result of asking for a link between two rows that may exist already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Linked {
    /// Row id of the link.
    pub id: LinkId,
    /// The row was made by this request.
    pub created: bool,
}
