//! An Observation as the server writes it.

use chrono::{DateTime, Utc};

use super::attachment;
use crate::projection::Projection;
use crate::time::instant;
use crate::types::{ResourceType, USER_ID_SYSTEM};
use crate::write::{self, Members};

/// When it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EffectiveOut {
    /// A point in time.
    Instant(DateTime<Utc>),
    /// A span; either end may be open.
    Period(Option<DateTime<Utc>>, Option<DateTime<Utc>>),
    /// Not known.
    None,
}

/// The stored values of one observation.
#[derive(Clone, Copy)]
pub struct ObservationOut<'a> {
    /// The row's id.
    pub id: i64,
    /// `meta.lastUpdated` and `meta.versionId`.
    pub last_updated: DateTime<Utc>,
    /// `issued`.
    pub created: DateTime<Utc>,
    /// `status`.
    pub status: &'a str,
    /// (system, value), in order.
    pub identifiers: &'a [(Option<String>, String)],
    /// The code's system.
    pub system: &'a str,
    /// The code.
    pub code: &'a str,
    /// Its text; empty when it has none.
    pub display: &'a str,
    /// The patient.
    pub patient_id: i64,
    /// The patient's account.
    pub patient_user_id: Option<i64>,
    /// When it happened.
    pub effective: EffectiveOut,
    /// The data source.
    pub data_source_id: Option<i64>,
    /// The Open mHealth document as stored; need not be loaded unless [`ObservationOut::needs_document`].
    pub document: Option<&'a str>,
}

impl ObservationOut<'_> {
    /// Whether the form shows the document, so that it must be read from the store.
    pub fn needs_document(projection: &Projection) -> bool {
        projection.shows("value[x]", false)
    }

    /// Appends the resource.
    pub fn write_json(&self, out: &mut Vec<u8>, projection: &Projection) {
        let document = self.document.filter(|_| Self::needs_document(projection));
        out.reserve(1024 + document.map_or(0, |document| document.len() / 3 * 4));
        let mut members = Members::object(out);
        write::header(&mut members, ResourceType::Observation, self.id, self.last_updated, projection);
        if projection.shows("identifier", true) {
            write::identifiers(&mut members, self.identifiers);
        }
        members.text("status", self.status);
        members.nested("code", |code| {
            code.objects("coding", [()], |coding, ()| {
                coding.text("system", self.system);
                coding.text("code", self.code);
                coding.optional_text("display", Some(self.display));
            });
        });
        if projection.shows("subject", true) {
            members.nested("subject", |subject| {
                subject.id("reference", "Patient/", self.patient_id);
                if let Some(user) = self.patient_user_id {
                    subject.nested("identifier", |identifier| {
                        identifier.text("system", USER_ID_SYSTEM);
                        identifier.id("value", "", user);
                    });
                }
            });
        }
        if projection.shows("effective[x]", true) {
            self.write_effective(&mut members);
        }
        if projection.shows("issued", false) {
            members.text("issued", &instant(self.created));
        }
        if let Some(device) = self.data_source_id
            && projection.shows("device", true)
        {
            members.nested("device", |reference| {
                reference.id("reference", "Device/", device);
            });
        }
        if let Some(document) = document {
            members.nested("valueAttachment", |attachment| {
                attachment.text("contentType", "application/json");
                let data = attachment.raw("data");
                data.push(b'"');
                attachment::encode(data, document);
                data.push(b'"');
            });
        }
        members.end();
    }

    fn write_effective(&self, members: &mut Members<'_>) {
        match self.effective {
            EffectiveOut::Instant(at) => members.text("effectiveDateTime", &instant(at)),
            EffectiveOut::Period(None, None) | EffectiveOut::None => {}
            EffectiveOut::Period(start, end) => members.nested("effectivePeriod", |period| {
                period.optional_text("start", start.map(instant).as_deref());
                period.optional_text("end", end.map(instant).as_deref());
            }),
        }
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::structure;
    use crate::time::parse_interval;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::Value;

    fn at(text: &str) -> DateTime<Utc> {
        parse_interval(text).unwrap().low
    }

    const DOCUMENT: &str = r#"{"header":{"uuid":"ü"},"body":{"n":71.350,"m":129}}"#;

    fn sample(identifiers: &[(Option<String>, String)]) -> ObservationOut<'_> {
        ObservationOut {
            id: 60003,
            last_updated: at("2026-10-18T19:14:01.185768Z"),
            created: at("2026-10-18T19:14:01.185768Z"),
            status: "final",
            identifiers,
            system: "https://w3id.org/openmhealth",
            code: "omh:blood-pressure:4.0",
            display: "Blood pressure",
            patient_id: 40001,
            patient_user_id: Some(10006),
            effective: EffectiveOut::Instant(at("2025-01-01T08:02:00Z")),
            data_source_id: Some(70001),
            document: Some(DOCUMENT),
        }
    }

    fn written(observation: &ObservationOut<'_>, projection: &Projection) -> String {
        let mut out = Vec::new();
        observation.write_json(&mut out, projection);
        let text = String::from_utf8(out).unwrap();
        let body: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(structure::validate_native_observation(&body), Ok(()), "{text}");
        text
    }

    #[test]
    fn full() {
        let identifiers = [(Some("https://ehr.example.com".to_owned()), "6e3d".to_owned())];
        let expected = concat!(
            r#"{"resourceType":"Observation","id":"60003","meta":{"versionId":"1792350841185768","#,
            r#""lastUpdated":"2026-10-18T19:14:01.185768Z","source":"https://jupyterhealth.org/jhe"},"#,
            r#""identifier":[{"system":"https://ehr.example.com","value":"6e3d"}],"status":"final","#,
            r#""code":{"coding":[{"system":"https://w3id.org/openmhealth","code":"omh:blood-pressure:4.0","#,
            r#""display":"Blood pressure"}]},"subject":{"reference":"Patient/40001","identifier":"#,
            r#"{"system":"https://jupyterhealth.org/fhir/identifier/jhe-user-id","value":"10006"}},"#,
            r#""effectiveDateTime":"2025-01-01T08:02:00Z","issued":"2026-10-18T19:14:01.185768Z","#,
            r#""device":{"reference":"Device/70001"},"valueAttachment":{"contentType":"application/json","data":""#
        );
        let text = written(&sample(&identifiers), &Projection::Full);
        assert_eq!(text, format!("{expected}{}\"}}}}", STANDARD.encode(DOCUMENT)));
    }

    #[test]
    fn partial() {
        const TAG: &str =
            r#","tag":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}]"#;
        let names = |projection: &Projection| {
            let text = written(&sample(&[]), projection);
            assert!(text.contains(TAG), "{text}");
            let body: Value = serde_json::from_str(&text).unwrap();
            body.as_object().unwrap().keys().skip(3).cloned().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(&Projection::Summary), "status code subject effectiveDateTime device");
        assert_eq!(names(&Projection::Text), "status code");
        assert_eq!(names(&Projection::identity()), "status code");
        assert_eq!(
            names(&Projection::elements(["valueAttachment".to_owned(), "effective".to_owned()])),
            "status code effectiveDateTime valueAttachment"
        );
        assert!(names(&Projection::Data).ends_with("valueAttachment"));
    }

    #[test]
    fn absent_values_are_omitted() {
        let bare = ObservationOut {
            patient_user_id: None,
            effective: EffectiveOut::Period(Some(at("2025-01-01T08:00:00.5Z")), None),
            data_source_id: None,
            document: None,
            display: "",
            ..sample(&[])
        };
        let text = written(&bare, &Projection::Full);
        assert!(text.contains(
            r#""subject":{"reference":"Patient/40001"},"effectivePeriod":{"start":"2025-01-01T08:00:00.5Z"},"#
        ));
        assert!(["identifier", "display", "device", "value"].iter().all(|name| !text.contains(&format!("\"{name}"))));
        let untimed = ObservationOut { effective: EffectiveOut::Period(None, None), ..bare };
        assert!(!written(&untimed, &Projection::Full).contains("effective"));
    }
}
