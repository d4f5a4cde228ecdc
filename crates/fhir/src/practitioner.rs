//! Practitioners as the server writes them.

use chrono::{DateTime, Utc};

use crate::projection::Projection;
use crate::types::ResourceType;
use crate::write::{self, Members};

/// The stored values of one practitioner.
#[derive(Clone, Copy)]
pub struct PractitionerOut<'a> {
    /// The row's id.
    pub id: i64,
    /// `meta.lastUpdated` and `meta.versionId`.
    pub last_updated: DateTime<Utc>,
    /// `identifier[0].value`.
    pub identifier: Option<&'a str>,
    /// `name[0].family`.
    pub family: Option<&'a str>,
    /// `name[0].given[0]`.
    pub given: Option<&'a str>,
}

impl PractitionerOut<'_> {
    /// Appends the resource.
    pub fn write_json(&self, out: &mut Vec<u8>, projection: &Projection) {
        let mut members = Members::object(out);
        write::header(&mut members, ResourceType::Practitioner, self.id, self.last_updated, projection);
        if let Some(identifier) = self.identifier.filter(|text| !text.is_empty())
            && projection.shows("identifier", true)
        {
            members.objects("identifier", [identifier], |item, value| {
                item.text("value", value);
            });
        }
        if projection.shows("name", true) {
            write::human_name(&mut members, self.family, self.given);
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
        let practitioner = PractitionerOut {
            id: 7,
            last_updated: at(),
            identifier: Some("NPI-1"),
            family: Some("Jones"),
            given: None,
        };
        let mut out = Vec::new();
        practitioner.write_json(&mut out, &Projection::Full);
        check(
            "Practitioner",
            &String::from_utf8(out).unwrap(),
            &format!(
                r#"{{"resourceType":"Practitioner","id":"7",{HEADER_REST},"identifier":[{{"value":"NPI-1"}}],"name":[{{"family":"Jones"}}]}}"#
            ),
        );
    }
}
