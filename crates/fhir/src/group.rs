//! Studies as the server writes them: Groups.

use chrono::{DateTime, Utc};

use crate::projection::Projection;
use crate::types::{MODEL_SYSTEM, ResourceType};
use crate::write::{self, Members};

/// The stored values of one study.
#[derive(Debug, Clone, Copy)]
pub struct GroupOut<'a> {
    /// The row's id.
    pub id: i64,
    /// `meta.lastUpdated` and `meta.versionId`.
    pub last_updated: DateTime<Utc>,
    /// `name`.
    pub name: &'a str,
    /// `description`.
    pub description: Option<&'a str>,
    /// The organization that runs it.
    pub organization_id: Option<i64>,
    /// Number of enrolled patients; `None` for callers who may not know it.
    pub enrolled: Option<u32>,
}

impl GroupOut<'_> {
    /// Appends the resource.
    pub fn write_json(&self, out: &mut Vec<u8>, projection: &Projection) {
        let mut members = Members::object(out);
        write::header(&mut members, ResourceType::Group, self.id, self.last_updated, projection);
        if projection.shows("active", true) {
            members.literal("active", "true");
        }
        members.text("type", "person");
        members.text("membership", "enumerated");
        if projection.shows("code", true) {
            members.nested("code", |code| {
                code.objects("coding", [()], |coding, ()| {
                    coding.text("system", MODEL_SYSTEM);
                    coding.text("code", "study");
                });
            });
        }
        if projection.shows("name", true) {
            members.optional_text("name", Some(self.name));
        }
        if projection.shows("description", false) {
            members.optional_text("description", self.description);
        }
        if let Some(organization) = self.organization_id
            && projection.shows("managingEntity", true)
        {
            members.nested("managingEntity", |reference| {
                reference.id("reference", "Organization/", organization);
            });
        }
        if let Some(enrolled) = self.enrolled
            && projection.shows("quantity", true)
        {
            members.literal("quantity", &enrolled.to_string());
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
        let group = GroupOut {
            id: 30001,
            last_updated: at(),
            name: "Metabolic \"Study\"",
            description: Some("Sugar"),
            organization_id: Some(20001),
            enrolled: Some(2),
        };
        let mut out = Vec::new();
        group.write_json(&mut out, &Projection::Full);
        check(
            "Group",
            &String::from_utf8(out).unwrap(),
            &format!(
                r#"{{"resourceType":"Group","id":"30001",{HEADER_REST},"active":true,"type":"person","membership":"enumerated","code":{{"coding":[{{"system":"https://jupyterhealth.org/fhir/CodeSystem/model","code":"study"}}]}},"name":"Metabolic \"Study\"","description":"Sugar","managingEntity":{{"reference":"Organization/20001"}},"quantity":2}}"#
            ),
        );
    }
}
