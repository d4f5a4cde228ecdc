//! Patients and their identifiers.

use chrono::{DateTime, NaiveDate, Utc};

use crate::id::{LinkId, OrganizationId, PatientId, UserId};
use crate::phi::Phi;

/// An identifier of a patient in another system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identifier {
    /// Row id.
    pub id: LinkId,
    /// Who issued it.
    pub system: Phi<String>,
    /// The identifier.
    pub value: Phi<String>,
}

/// A patient as somebody entitled sees it (data model §2.3).
#[derive(Debug, Clone)]
pub struct Patient {
    /// Row id.
    pub id: PatientId,
    /// Its account, none for a patient who was only registered.
    pub user_id: Option<UserId>,
    /// Family name.
    pub name_family: Option<Phi<String>>,
    /// Given name.
    pub name_given: Option<Phi<String>>,
    /// Birth date.
    pub birth_date: Option<Phi<NaiveDate>>,
    /// Phone number.
    pub telecom_phone: Option<Phi<String>>,
    /// E-mail address of the account.
    pub telecom_email: Option<Phi<String>>,
    /// Identifiers in other systems, by id.
    pub identifiers: Vec<Identifier>,
    /// Organizations the viewer may know of, by id.
    pub organizations: Vec<OrganizationId>,
    /// How much of the record the viewer sees.
    pub disclosure: Disclosure,
    /// Last change.
    pub last_updated: DateTime<Utc>,
}

/// How much of a patient record a viewer sees (data model §5.7a).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disclosure {
    /// All of it.
    Full,
    /// Existence only: attached by this organization of the viewer, not yet confirmed by the patient.
    Pending(OrganizationId),
    /// Existence only: found by exact e-mail address.
    Unlinked,
}

/// Changes of a patient; an outer `None` keeps the stored value.
#[derive(Debug, Clone, Default)]
pub struct PatientChange {
    /// Family name.
    pub name_family: Option<Option<Phi<String>>>,
    /// Given name.
    pub name_given: Option<Option<Phi<String>>>,
    /// Birth date.
    pub birth_date: Option<Option<Phi<NaiveDate>>>,
    /// Phone number.
    pub telecom_phone: Option<Option<Phi<String>>>,
    /// Login address; only administrators change it, and it is null only where there is none.
    pub telecom_email: Option<Option<Phi<String>>>,
    /// Replaces all identifiers: (system, value).
    pub identifiers: Option<Vec<(Phi<String>, Phi<String>)>>,
    /// Replaces the identifier of the site itself.
    pub site_identifier: Option<Option<Phi<String>>>,
}

/// A patient to create.
#[derive(Debug, Clone)]
pub struct NewPatient {
    /// Login address.
    pub email: Phi<String>,
    /// Organization it belongs to.
    pub organization_id: OrganizationId,
    /// Family name.
    pub name_family: Option<Phi<String>>,
    /// Given name.
    pub name_given: Option<Phi<String>>,
    /// Birth date.
    pub birth_date: Option<Phi<NaiveDate>>,
    /// Phone number.
    pub telecom_phone: Option<Phi<String>>,
    /// Identifiers: (system, value).
    pub identifiers: Vec<(Phi<String>, Phi<String>)>,
}

/// Joins a family and a given name for display: `Merritt, Peter`; missing parts are dropped.
pub fn display_name(family: Option<&str>, given: Option<&str>) -> String {
    let parts: Vec<&str> = [family, given].into_iter().flatten().filter(|part| !part.is_empty()).collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_name_drops_missing_parts() {
        assert_eq!(display_name(Some("Merritt"), Some("Peter")), "Merritt, Peter");
        assert_eq!(display_name(None, Some("Peter")), "Peter");
        assert_eq!(display_name(Some("Merritt"), None), "Merritt");
        assert_eq!(display_name(None, None), "");
    }
}
