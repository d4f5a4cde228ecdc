//! Patients as the server writes them.

use chrono::{DateTime, NaiveDate, Utc};

use crate::projection::Projection;
use crate::types::ResourceType;
use crate::write::{self, Members};

/// The stored values of one patient.
#[derive(Clone, Copy)]
pub struct PatientOut<'a> {
    /// The row's id.
    pub id: i64,
    /// `meta.lastUpdated` and `meta.versionId`.
    pub last_updated: DateTime<Utc>,
    /// (system, value), in order.
    pub identifiers: &'a [(Option<String>, String)],
    /// `name[0].family`.
    pub family: Option<&'a str>,
    /// `name[0].given[0]`.
    pub given: Option<&'a str>,
    /// `birthDate`.
    pub birth_date: Option<NaiveDate>,
    /// The mobile phone.
    pub phone: Option<&'a str>,
    /// The account's e-mail address.
    pub email: Option<&'a str>,
}

impl PatientOut<'_> {
    /// Appends the resource.
    pub fn write_json(&self, out: &mut Vec<u8>, projection: &Projection) {
        let mut members = Members::object(out);
        write::header(&mut members, ResourceType::Patient, self.id, self.last_updated, projection);
        if projection.shows("identifier", true) {
            write::identifiers(&mut members, self.identifiers);
        }
        if projection.shows("name", true) {
            write::human_name(&mut members, self.family, self.given);
        }
        if let Some(date) = self.birth_date
            && projection.shows("birthDate", true)
        {
            members.text("birthDate", &date.format("%Y-%m-%d").to_string());
        }
        if projection.shows("telecom", false) {
            let phone = self.phone.filter(|text| !text.is_empty()).map(|value| ("phone", value, "mobile"));
            let email = self.email.filter(|text| !text.is_empty()).map(|value| ("email", value, "home"));
            if phone.is_some() || email.is_some() {
                members.objects("telecom", phone.into_iter().chain(email), |point, (system, value, usage)| {
                    point.text("system", system);
                    point.text("value", value);
                    point.text("use", usage);
                });
            }
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
        let identifiers = [(Some("urn:oid:1.2.3.4".to_owned()), "E1234".to_owned())];
        let patient = PatientOut {
            id: 40001,
            last_updated: at(),
            identifiers: &identifiers,
            family: Some("Smith"),
            given: Some("John"),
            birth_date: NaiveDate::from_ymd_opt(1980, 1, 1),
            phone: Some("555-1234"),
            email: Some("john.smith@example.com"),
        };
        let write = |patient: &PatientOut<'_>, projection: &Projection| {
            let mut out = Vec::new();
            patient.write_json(&mut out, projection);
            String::from_utf8(out).unwrap()
        };
        check(
            "Patient",
            &write(&patient, &Projection::Full),
            &format!(
                r#"{{"resourceType":"Patient","id":"40001",{HEADER_REST},"identifier":[{{"system":"urn:oid:1.2.3.4","value":"E1234"}}],"name":[{{"family":"Smith","given":["John"]}}],"birthDate":"1980-01-01","telecom":[{{"system":"phone","value":"555-1234","use":"mobile"}},{{"system":"email","value":"john.smith@example.com","use":"home"}}]}}"#
            ),
        );
        let bare = PatientOut {
            identifiers: &[],
            family: Some(""),
            given: None,
            birth_date: None,
            phone: Some(""),
            email: None,
            ..patient
        };
        check(
            "Patient",
            &write(&bare, &Projection::Full),
            &format!(r#"{{"resourceType":"Patient","id":"40001",{HEADER_REST}}}"#),
        );
        assert!(!write(&patient, &Projection::Summary).contains("telecom"));
    }
}
