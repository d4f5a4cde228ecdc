//! Practitioner profiles.

use chrono::{DateTime, Utc};

use crate::id::{OrganizationId, PractitionerId, StudyId, UserId};
use crate::phi::Phi;

/// A practitioner profile (data model §2.2).
#[derive(Debug, Clone)]
pub struct Practitioner {
    /// Row id.
    pub id: PractitionerId,
    /// Its account.
    pub user_id: UserId,
    /// Identifier elsewhere.
    pub identifier: Option<Phi<String>>,
    /// Family name.
    pub name_family: Option<Phi<String>>,
    /// Given name.
    pub name_given: Option<Phi<String>>,
    /// Last change.
    pub last_updated: DateTime<Utc>,
}

/// What a practitioner looked at last; only the owner sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RememberedView {
    /// Selected organization.
    pub organization_id: Option<OrganizationId>,
    /// Selected study.
    pub study_id: Option<StudyId>,
    /// Selected FHIR search.
    pub fhir_resource: Option<String>,
}

/// How a list request changes the remembered view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Remember<T> {
    /// Leaves it.
    #[default]
    Keep,
    /// Sets it, when the caller may see the thing named.
    Set(T),
    /// Forgets it.
    Clear,
}
