//! The names of the supported resource types, and the URIs they are rendered with.

/// The system of Open mHealth codes.
pub const OPENMHEALTH_SYSTEM: &str = "https://w3id.org/openmhealth";
/// The system of IEEE 1752.1 codes.
pub const IEEE1752_SYSTEM: &str = "https://w3id.org/ieee1752";
/// `meta.source` of every native resource.
pub const NATIVE_SOURCE: &str = "https://jupyterhealth.org/jhe";
/// Prefix of `meta.source` of auxiliary resources; `/<digits>` follows.
pub const FHIR_SOURCE_BASE: &str = "https://jupyterhealth.org/fhir/fhir-source";
/// Code system of the kinds of the JHE model (`study`, `data-source`, `organization`).
pub const MODEL_SYSTEM: &str = "https://jupyterhealth.org/fhir/CodeSystem/model";
/// Code system of data source types.
pub const DATA_SOURCE_TYPE_SYSTEM: &str = "https://jupyterhealth.org/fhir/CodeSystem/data-source-type";
/// Identifier system of account ids in `Observation.subject.identifier`.
pub const USER_ID_SYSTEM: &str = "https://jupyterhealth.org/fhir/identifier/jhe-user-id";
/// HL7's code system of organization types.
pub const ORGANIZATION_TYPE_SYSTEM: &str = "http://terminology.hl7.org/CodeSystem/organization-type";

/// A type with a native store: rows of the JHE model, with integer ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResourceType {
    /// A data source.
    Device,
    /// A study.
    Group,
    /// A measurement coded in Open mHealth or IEEE 1752.1.
    Observation,
    /// An organization.
    Organization,
    /// A patient.
    Patient,
    /// A practitioner.
    Practitioner,
    /// An entry of the audit trail, which is nobody's to write.
    AuditEvent,
}

impl ResourceType {
    /// All native types, which belong to the JHE model, sorted by name.
    pub const ALL: [Self; 6] =
        [Self::Device, Self::Group, Self::Observation, Self::Organization, Self::Patient, Self::Practitioner];

    /// The FHIR name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Device => "Device",
            Self::Group => "Group",
            Self::Observation => "Observation",
            Self::Organization => "Organization",
            Self::Patient => "Patient",
            Self::Practitioner => "Practitioner",
            Self::AuditEvent => "AuditEvent",
        }
    }

    /// The native type of that name; resource type names are case-sensitive.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl std::fmt::Display for ResourceType {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Names of the native types, sorted.
pub const NATIVE_TYPES: [&str; 6] = ["Device", "Group", "Observation", "Organization", "Patient", "Practitioner"];

/// Names of every type with an auxiliary store, sorted; these are all the supported types.
pub const AUXILIARY_TYPES: [&str; 28] = [
    "AllergyIntolerance",
    "CarePlan",
    "CareTeam",
    "Condition",
    "Coverage",
    "Device",
    "DiagnosticReport",
    "DocumentReference",
    "Encounter",
    "FamilyMemberHistory",
    "Goal",
    "Group",
    "Immunization",
    "Location",
    "Medication",
    "MedicationDispense",
    "MedicationRequest",
    "Observation",
    "Organization",
    "Patient",
    "Practitioner",
    "PractitionerRole",
    "Procedure",
    "Provenance",
    "QuestionnaireResponse",
    "RelatedPerson",
    "ServiceRequest",
    "Specimen",
];

/// Splits a reference into type and id: `Type/id`, `Type/id/_history/v`, or an absolute URL whose base path is one of
/// ours (`/fhir`, `/fhir/r5`, in any case). `is_own_base` decides about the part of an absolute URL before `/Type/id`.
pub fn split_reference<'a>(reference: &'a str, is_own_base: &dyn Fn(&str) -> bool) -> Option<(&'a str, &'a str)> {
    let reference = match reference.find("/_history/") {
        Some(at) => reference.get(..at)?,
        None => reference,
    };
    let (rest, id) = reference.rsplit_once('/')?;
    let (base, kind) = match rest.rsplit_once('/') {
        Some((base, kind)) => (Some(base), kind),
        None => (None, rest),
    };
    if kind.is_empty() || id.is_empty() || !kind.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return None;
    }
    match base {
        None => Some((kind, id)),
        Some(base) => is_own_base(base).then_some((kind, id)),
    }
}

/// Whether an absolute URL ends like one of our bases, whatever its host.
///
/// The default for callers that do not know the origin they were called under.
pub fn has_own_base_path(base: &str) -> bool {
    let lower = base.to_ascii_lowercase();
    let Some(rest) = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://")) else {
        return false;
    };
    match rest.split_once('/') {
        Some((host, path)) => !host.is_empty() && (path == "fhir" || path == "fhir/r5"),
        None => false,
    }
}

/// A positive integer id, without sign, leading blanks or leading zeros: ids are texts, and each resource has one.
pub fn positive_id(text: &str) -> Option<i64> {
    if text.starts_with('0') || text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|id| *id > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_agree() {
        assert_eq!(ResourceType::ALL.map(ResourceType::as_str), NATIVE_TYPES);
        assert!(AUXILIARY_TYPES.is_sorted() && NATIVE_TYPES.iter().all(|name| AUXILIARY_TYPES.contains(name)));
        assert_eq!(ResourceType::from_name("patient"), None);
    }

    #[test]
    fn references() {
        let check = |text, expected| {
            assert_eq!(split_reference(text, &has_own_base_path), expected, "{text}");
        };
        check("Patient/1", Some(("Patient", "1")));
        check("Patient/1/_history/3", Some(("Patient", "1")));
        check("https://h:1/FHIR/R5/Patient/1", Some(("Patient", "1")));
        check("https://h/fhir/Patient/1", Some(("Patient", "1")));
        check("https://h/other/Patient/1", None);
        check("/fhir/Patient/1", None);
        check("fhir/Patient/1", None);
        check("Patient/", None);
        check("/1", None);
        check("1", None);
        check("urn:uuid:1", None);
    }

    #[test]
    fn ids() {
        assert_eq!(positive_id("40001"), Some(40001));
        for text in ["", "0", "040001", "+1", "-1", "1.0", "abc", "99999999999999999999", "１"] {
            assert_eq!(positive_id(text), None, "{text}");
        }
    }
}
