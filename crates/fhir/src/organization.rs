//! Organizations as the server writes them.

use chrono::{DateTime, Utc};

use crate::projection::Projection;
use crate::types::{MODEL_SYSTEM, ORGANIZATION_TYPE_SYSTEM, ResourceType};
use crate::write::{self, Members};

/// The stored values of one organization.
#[derive(Debug, Clone, Copy)]
pub struct OrganizationOut<'a> {
    /// The row's id.
    pub id: i64,
    /// `meta.lastUpdated` and `meta.versionId`.
    pub last_updated: DateTime<Utc>,
    /// Its name.
    pub name: &'a str,
    /// Its type (`prov`, `edu`, `laboratory`, …).
    pub kind: &'a str,
    /// The organization it is part of.
    pub part_of_id: Option<i64>,
}

/// The system of an organization type: HL7's, unless the code is one of the JHE model.
pub fn type_system(kind: &str) -> &'static str {
    match kind {
        "root" | "laboratory" | "imaging" | "pharmacy" | "health-information-network" | "health-data-aggregator" => {
            MODEL_SYSTEM
        }
        _ => ORGANIZATION_TYPE_SYSTEM,
    }
}

impl OrganizationOut<'_> {
    /// Appends the resource.
    pub fn write_json(&self, out: &mut Vec<u8>, projection: &Projection) {
        let mut members = Members::object(out);
        write::header(&mut members, ResourceType::Organization, self.id, self.last_updated, projection);
        if projection.shows("name", true) {
            members.optional_text("name", Some(self.name));
        }
        if projection.shows("type", true) {
            let kind = Some((type_system(self.kind), self.kind)).filter(|(_, kind)| !kind.is_empty());
            members.objects(
                "type",
                [(MODEL_SYSTEM, "organization")].into_iter().chain(kind),
                |concept, (system, code)| {
                    concept.objects("coding", [()], |coding, ()| {
                        coding.text("system", system);
                        coding.text("code", code);
                    });
                },
            );
        }
        if let Some(parent) = self.part_of_id
            && projection.shows("partOf", true)
        {
            members.nested("partOf", |reference| {
                reference.id("reference", "Organization/", parent);
            });
        }
        members.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write::tests::{HEADER_REST, at, check};

    #[test]
    fn writes() {
        let organization = OrganizationOut {
            id: 20001,
            last_updated: at(),
            name: "Example Clinic",
            kind: "prov",
            part_of_id: Some(20000),
        };
        let mut out = Vec::new();
        organization.write_json(&mut out, &Projection::Full);
        check(
            "Organization",
            &String::from_utf8(out).unwrap(),
            &format!(
                r#"{{"resourceType":"Organization","id":"20001",{HEADER_REST},"name":"Example Clinic","type":[{{"coding":[{{"system":"https://jupyterhealth.org/fhir/CodeSystem/model","code":"organization"}}]}},{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/organization-type","code":"prov"}}]}}],"partOf":{{"reference":"Organization/20000"}}}}"#
            ),
        );
        assert_eq!(type_system("laboratory"), MODEL_SYSTEM);
    }
}
