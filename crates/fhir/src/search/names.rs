//! The names of search parameters, in every spelling.

use crate::types::ResourceType;

/// A name without `-` and `_`, in lower case: what two spellings of one name have in common.
pub(crate) fn normalize(name: &str) -> String {
    name.chars().filter(|character| !matches!(character, '-' | '_')).flat_map(char::to_lowercase).collect()
}

/// What a parameter asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parameter {
    // Scope.
    Patient,
    PatientIdentifier,
    Study,
    PatientOrganization,
    PatientFamily,
    PatientGiven,
    PatientName,
    PatientBirthdate,
    // Every type.
    Id,
    LastUpdated,
    Source,
    // Results.
    Count,
    Page,
    Offset,
    Cursor,
    Sort,
    Summary,
    Elements,
    Total,
    Format,
    Pretty,
    Contained,
    // By type.
    Code,
    Date,
    Status,
    Identifier,
    Device,
    Family,
    Given,
    Name,
    Birthdate,
    Email,
    Phone,
    Telecom,
    GroupCode,
    GroupType,
    ManagingEntity,
    DeviceType,
    DeviceName,
    OrganizationType,
    PartOf,
    Action,
}

/// A name taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lookup<'a> {
    /// A known parameter, the name to show for it, and its modifier.
    Known(Parameter, &'a str, Option<&'a str>),
    /// A chain, `_has` or include that is not supported.
    Unsupported,
    /// No parameter of this type.
    Unknown,
}

pub(super) fn lookup(kind: ResourceType, name: &str) -> Lookup<'_> {
    match any(kind, name) {
        // The audit trail knows patients by id alone, and no studies.
        Lookup::Known(
            Parameter::PatientIdentifier
            | Parameter::Study
            | Parameter::PatientFamily
            | Parameter::PatientGiven
            | Parameter::PatientName
            | Parameter::PatientBirthdate,
            ..,
        ) if kind == ResourceType::AuditEvent => Lookup::Unsupported,
        found => found,
    }
}

fn any(kind: ResourceType, name: &str) -> Lookup<'_> {
    let whole = normalize(name);
    if matches!(whole.as_str(), "has:group:member:id" | "patient.has:group:member:id" | "subject.has:group:member:id") {
        return Lookup::Known(Parameter::Study, name, None);
    }
    let (shown, modifier) = match name.split_once(':') {
        Some((shown, modifier)) => (shown, Some(modifier)),
        None => (name, None),
    };
    let base = normalize(shown);
    match base.as_str() {
        "has" | "include" | "revinclude" => return Lookup::Unsupported,
        "patient" | "subject" => {
            return match modifier.map(|modifier| (modifier, normalize(modifier))) {
                None => Lookup::Known(Parameter::Patient, shown, None),
                Some((_, normal)) if normal == "patient" => Lookup::Known(Parameter::Patient, shown, None),
                Some((_, normal)) if normal == "identifier" => Lookup::Known(Parameter::PatientIdentifier, name, None),
                // A typed chain: `subject:Patient.identifier`.
                Some((modifier, normal)) => match normal.strip_prefix("patient.") {
                    Some(chained) => chain(chained, name),
                    None if normal.contains('.') => Lookup::Unsupported,
                    None => Lookup::Known(Parameter::Patient, shown, Some(modifier)),
                },
            };
        }
        _ => {}
    }
    if let Some(chained) = base.strip_prefix("patient.").or_else(|| base.strip_prefix("subject.")) {
        return match chain(chained, shown) {
            Lookup::Known(parameter, shown, _) => Lookup::Known(parameter, shown, modifier),
            other => other,
        };
    }
    if let Some((reference, _)) = base.split_once('.')
        && typed(kind, reference).is_some()
    {
        return Lookup::Unsupported;
    }
    let Some(parameter) = common(&base).or_else(|| typed(kind, &base)) else {
        return if names_somebody(&base) { Lookup::Unsupported } else { Lookup::Unknown };
    };
    match modifier {
        Some(modifier) if modifier.contains('.') => Lookup::Unsupported,
        modifier => Lookup::Known(parameter, shown, modifier),
    }
}

/// Whether a parameter says what is looked at, and not which page or form of it; organization and study, which profiles
/// remember by themselves, do not count.
pub fn is_part_of_view(kind: ResourceType, name: &str) -> bool {
    !matches!(
        lookup(kind, name),
        Lookup::Known(
            Parameter::Page
                | Parameter::Count
                | Parameter::Summary
                | Parameter::Cursor
                | Parameter::Offset
                | Parameter::PatientOrganization
                | Parameter::Study,
            ..
        )
    )
}

fn chain<'a>(chained: &str, shown: &'a str) -> Lookup<'a> {
    let (base, modifier) = match chained.split_once(':') {
        Some((base, _)) => (base, shown.rsplit_once(':').map(|(_, modifier)| modifier)),
        None => (chained, None),
    };
    let parameter = match base {
        "identifier" => Parameter::PatientIdentifier,
        "organization" => Parameter::PatientOrganization,
        "family" => Parameter::PatientFamily,
        "given" => Parameter::PatientGiven,
        "name" => Parameter::PatientName,
        "birthdate" => Parameter::PatientBirthdate,
        _ => return Lookup::Unsupported,
    };
    Lookup::Known(parameter, shown, modifier)
}

/// Parameters that every type has, by normalized name.
fn common(name: &str) -> Option<Parameter> {
    Some(match name {
        "id" => Parameter::Id,
        "lastupdated" => Parameter::LastUpdated,
        "source" => Parameter::Source,
        "count" => Parameter::Count,
        "page" => Parameter::Page,
        "offset" => Parameter::Offset,
        "cursor" => Parameter::Cursor,
        "sort" => Parameter::Sort,
        "summary" => Parameter::Summary,
        "elements" => Parameter::Elements,
        "total" => Parameter::Total,
        "format" => Parameter::Format,
        "pretty" => Parameter::Pretty,
        "contained" => Parameter::Contained,
        _ => return None,
    })
}

/// Whether a name that means nothing here sounds as if it named people, a study or an organization: whoever sends it wants
/// to see less, and must not see more because it is ignored (FHIR G5).
fn names_somebody(name: &str) -> bool {
    let name = name.trim_end_matches("id");
    let begins = ["patient", "subject", "study", "studies", "organization"].iter().any(|start| name.starts_with(start));
    if begins || name.ends_with("identifier") {
        return true;
    }
    matches!(
        name,
        "author"
            | "email"
            | "generalpractitioner"
            | "group"
            | "link"
            | "member"
            | "performer"
            | "person"
            | "practitioner"
            | "user"
    )
}

/// Parameters of one type, by normalized name.
fn typed(kind: ResourceType, name: &str) -> Option<Parameter> {
    use ResourceType::{AuditEvent, Device, Group, Observation, Organization, Patient, Practitioner};
    Some(match (kind, name) {
        (Observation, "code") => Parameter::Code,
        (Observation | AuditEvent, "date") => Parameter::Date,
        (Observation, "status") => Parameter::Status,
        (Observation, "device") => Parameter::Device,
        (Observation | Patient | Practitioner, "identifier") => Parameter::Identifier,
        (Patient | Practitioner, "family") => Parameter::Family,
        (Patient | Practitioner, "given") => Parameter::Given,
        (Patient | Practitioner | Group | Organization, "name") => Parameter::Name,
        (Patient, "birthdate") => Parameter::Birthdate,
        (Patient, "email") => Parameter::Email,
        (Patient, "phone") => Parameter::Phone,
        (Patient, "telecom") => Parameter::Telecom,
        (Group, "member") => Parameter::Patient,
        (Patient, "organization") => Parameter::PatientOrganization,
        (Group, "code") => Parameter::GroupCode,
        (Group, "type") => Parameter::GroupType,
        (Group, "managingentity") => Parameter::ManagingEntity,
        (Device, "type") => Parameter::DeviceType,
        (Device, "devicename") => Parameter::DeviceName,
        (Organization, "type") => Parameter::OrganizationType,
        (Organization, "partof") => Parameter::PartOf,
        (AuditEvent, "action") => Parameter::Action,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ResourceType::{Device, Group, Observation, Organization, Patient};

    fn check(kind: ResourceType, name: &str, expected: Option<(Parameter, Option<&str>)>) {
        let found = match lookup(kind, name) {
            Lookup::Known(parameter, _, modifier) => Some((parameter, modifier)),
            Lookup::Unsupported | Lookup::Unknown => None,
        };
        assert_eq!(found, expected, "{kind} {name}");
    }

    #[test]
    fn spellings() {
        for name in ["_lastUpdated", "_last_updated", "_LastUpdated", "_last-updated", "lastUpdated"] {
            check(Observation, name, Some((Parameter::LastUpdated, None)));
        }
        for name in ["managing-entity", "managingEntity", "managing_entity"] {
            check(Group, name, Some((Parameter::ManagingEntity, None)));
        }
        for name in ["patient", "subject", "patient:Patient", "subject:Patient", "Patient"] {
            check(Device, name, Some((Parameter::Patient, None)));
        }
        for name in ["patient.identifier", "subject.identifier", "patient:identifier", "subject:Patient.identifier"] {
            check(Observation, name, Some((Parameter::PatientIdentifier, None)));
        }
        for name in [
            "_has:Group:member:_id",
            "patient._has:Group:member:_id",
            "patient._has:_group:member:_id",
            "subject._has:Group:member:_id",
        ] {
            check(Organization, name, Some((Parameter::Study, None)));
        }
        check(Observation, "patient.family:exact", Some((Parameter::PatientFamily, Some("exact"))));
        check(Observation, "patient:Patient.family:exact", Some((Parameter::PatientFamily, Some("exact"))));
        check(Observation, "patient:missing", Some((Parameter::Patient, Some("missing"))));
        check(Observation, "code:not", Some((Parameter::Code, Some("not"))));
        check(Group, "code", Some((Parameter::GroupCode, None)));
    }

    #[test]
    fn refused_and_unknown() {
        for name in [
            "_has:Group:member:name",
            "_has:Observation:patient:code",
            "_include",
            "_revinclude:iterate",
            "patient.general-practitioner",
            "subject:Group.name",
            "device.type",
            "device:Device.type",
            "patient._has:Group:member:name",
        ] {
            assert_eq!(lookup(Observation, name), Lookup::Unsupported, "{name}");
        }
        for name in ["patient.identifier", "patient.name:exact", "patient.birthdate", "_has:Group:member:_id"] {
            assert_eq!(lookup(ResourceType::AuditEvent, name), Lookup::Unsupported, "{name}");
        }
        for name in ["foo", "category", "foo:exact", "foo.bar", "birthdate", "encounter.status", ""] {
            assert_eq!(lookup(Observation, name), Lookup::Unknown, "{name}");
        }
        assert_eq!(lookup(Patient, "date"), Lookup::Unknown);
    }

    #[test]
    fn what_names_people_studies_or_organizations_is_never_ignored() {
        check(Group, "member", Some((Parameter::Patient, None)));
        check(Patient, "organization", Some((Parameter::PatientOrganization, None)));
        for name in [
            "organization",
            "organization_id",
            "study",
            "study_id",
            "group",
            "patient-id",
            "performer",
            "member:Patient",
        ] {
            assert_eq!(lookup(Observation, name), Lookup::Unsupported, "{name}");
        }
        for (kind, name) in
            [(Group, "identifier"), (Patient, "link"), (Patient, "general-practitioner"), (Device, "user")]
        {
            assert_eq!(lookup(kind, name), Lookup::Unsupported, "{name}");
        }
    }
}
