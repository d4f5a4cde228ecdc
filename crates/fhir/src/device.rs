//! Data sources as the server writes them: Devices.

use chrono::{DateTime, Utc};

use crate::projection::Projection;
use crate::types::{DATA_SOURCE_TYPE_SYSTEM, MODEL_SYSTEM, ResourceType};
use crate::write::{self, Members};

/// The stored values of one data source.
#[derive(Debug, Clone, Copy)]
pub struct DeviceOut<'a> {
    /// The row's id.
    pub id: i64,
    /// `meta.lastUpdated` and `meta.versionId`.
    pub last_updated: DateTime<Utc>,
    /// Its name.
    pub name: &'a str,
    /// Its type (`personal_device`, …).
    pub kind: &'a str,
}

impl DeviceOut<'_> {
    /// Appends the resource.
    pub fn write_json(&self, out: &mut Vec<u8>, projection: &Projection) {
        let mut members = Members::object(out);
        write::header(&mut members, ResourceType::Device, self.id, self.last_updated, projection);
        if projection.shows("name", true) && !self.name.is_empty() {
            members.objects("name", [()], |name, ()| {
                name.text("value", self.name);
                name.text("type", "user-friendly-name");
                name.literal("display", "true");
            });
        }
        if projection.shows("displayName", true) {
            members.optional_text("displayName", Some(self.name));
        }
        if projection.shows("type", true) {
            let kind = Some((DATA_SOURCE_TYPE_SYSTEM, self.kind)).filter(|(_, kind)| !kind.is_empty());
            members.objects("type", [()], |concept, ()| {
                concept.objects(
                    "coding",
                    [(MODEL_SYSTEM, "data-source")].into_iter().chain(kind),
                    |coding, (system, code)| {
                        coding.text("system", system);
                        coding.text("code", code);
                    },
                );
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
        let device = DeviceOut { id: 70001, last_updated: at(), name: "CareX", kind: "personal_device" };
        let mut out = Vec::new();
        device.write_json(&mut out, &Projection::Full);
        check(
            "Device",
            &String::from_utf8(out).unwrap(),
            &format!(
                r#"{{"resourceType":"Device","id":"70001",{HEADER_REST},"name":[{{"value":"CareX","type":"user-friendly-name","display":true}}],"displayName":"CareX","type":[{{"coding":[{{"system":"https://jupyterhealth.org/fhir/CodeSystem/model","code":"data-source"}},{{"system":"https://jupyterhealth.org/fhir/CodeSystem/data-source-type","code":"personal_device"}}]}}]}}"#
            ),
        );
    }
}
