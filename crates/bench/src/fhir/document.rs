//! Open mHealth documents of the size real ones have, and the bodies that upload them.

use std::sync::atomic::{AtomicI64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jhe_testkit::omh;
use serde_json::json;

/// The data source of all readings: of demo data, a personal device.
pub(super) const DEVICE: i64 = 70001;
/// The system of the readings' identifiers.
pub(super) const IDENTIFIERS: &str = "https://bench.example/reading";
/// Bytes of a document, as measured on real ones.
const SIZE: usize = 665;
/// What stands where the values of one reading come.
const UUID: &str = "5b6c1d2e-0000-4000-8000-000000000001";
const TIME: &str = "2026-04-15T14:30:00Z";

/// A data type of demo data.
#[derive(Debug)]
pub(super) struct Kind {
    /// Its row.
    pub(super) id: i64,
    /// Its code.
    pub(super) code: &'static str,
    name: &'static str,
    version: &'static str,
    /// The least value of a reading.
    pub(super) low: i64,
    body: &'static str,
}

/// What the study asks for. In documents, `@value@`, `@time@` and `@uuid@` stand for what differs.
pub(super) const KINDS: &[Kind] = &[
    Kind {
        id: 50004,
        code: "omh:heart-rate:2.0",
        name: "heart-rate",
        version: "2.0",
        low: 55,
        body: r#""heart_rate":{"value":@value@,"unit":"beats/min"}"#,
    },
    Kind {
        id: 50001,
        code: "omh:blood-glucose:4.0",
        name: "blood-glucose",
        version: "4.0",
        low: 75,
        body: r#""blood_glucose":{"value":@value@,"unit":"mg/dL"}"#,
    },
    Kind {
        id: 50003,
        code: "omh:body-temperature:4.0",
        name: "body-temperature",
        version: "4.0",
        low: 80,
        body: r#""body_temperature":{"value":@value@,"unit":"F"},"measurement_location":"forehead""#,
    },
    Kind {
        id: 50005,
        code: "omh:oxygen-saturation:2.0",
        name: "oxygen-saturation",
        version: "2.0",
        low: 80,
        body: r#""oxygen_saturation":{"value":@value@,"unit":"%"}"#,
    },
    Kind {
        id: 50006,
        code: "omh:respiratory-rate:2.0",
        name: "respiratory-rate",
        version: "2.0",
        low: 12,
        body: r#""respiratory_rate":{"value":@value@,"unit":"breaths/min"}"#,
    },
];

impl Kind {
    fn with_filler(&self, filler: &str) -> String {
        let Self { name, version, body, .. } = self;
        format!(
            "{{\"header\":{{\"uuid\":\"@uuid@\",\"schema_id\":{{\"namespace\":\"omh\",\"name\":\"{name}\",\"version\":\"{version}\"}},\
             \"source_creation_date_time\":\"@time@\",\"modality\":\"sensed\",\
             \"acquisition_provenance\":{{\"source_name\":\"{filler}\",\"source_creation_date_time\":\"@time@\"}},\
             \"external_datasheets\":[{{\"datasheet_type\":\"manufacturer\",\"datasheet_reference\":\"Bench\"}}]}},\
             \"body\":{{{body},\"effective_time_frame\":{{\"date_time\":\"@time@\"}}}}}}"
        )
    }

    /// A document without its values.
    pub(super) fn template(&self) -> String {
        let bare = self.filled(&self.with_filler("")).len();
        let filler: String = ('a'..='z').chain('0'..='9').cycle().take(SIZE.saturating_sub(bare)).collect();
        self.with_filler(&filler)
    }

    fn filled(&self, template: &str) -> String {
        template.replace("@uuid@", UUID).replace("@time@", TIME).replace("@value@", &self.low.to_string())
    }

    /// A document.
    pub(super) fn document(&self) -> String {
        self.filled(&self.template())
    }
}

/// An Observation to upload, in which `@patient@` and `@number@` stand for what differs.
fn observation(kind: &Kind) -> serde_json::Value {
    json!({
        "resourceType": "Observation",
        "identifier": [{ "system": IDENTIFIERS, "value": "upload-@number@" }],
        "status": "final",
        "subject": { "reference": "Patient/@patient@" },
        "device": { "reference": format!("Device/{DEVICE}") },
        "code": { "coding": [{ "system": omh::SYSTEM, "code": kind.code }] },
        "valueAttachment": { "contentType": "application/json", "data": STANDARD.encode(kind.document()) },
    })
}

/// Bodies to upload, of all kinds in turn.
#[derive(Debug, Clone)]
pub(super) struct Uploads {
    observations: Vec<String>,
    entries: Vec<String>,
}

impl Uploads {
    /// Prepares what they have in common.
    pub(super) fn new() -> Self {
        let entry = |kind: &Kind| {
            json!({ "resource": observation(kind), "request": { "method": "POST", "url": "Observation" } }).to_string()
        };
        Self {
            observations: KINDS.iter().map(|kind| observation(kind).to_string()).collect(),
            entries: KINDS.iter().map(entry).collect(),
        }
    }

    /// A batch of so many observations of one patient.
    pub(super) fn bundle(&self, patient: i64, entries: usize) -> String {
        let patient = patient.to_string();
        let mut out = String::with_capacity(entries * 1600 + 100);
        out.push_str("{\"resourceType\":\"Bundle\",\"type\":\"batch\",\"entry\":[");
        for (index, entry) in self.entries.iter().cycle().take(entries).enumerate() {
            if index > 0 {
                out.push(',');
            }
            fill(entry, &patient, &mut out);
        }
        out.push_str("]}");
        out
    }

    /// One observation.
    pub(super) fn observation(&self, patient: i64, turn: usize) -> String {
        let mut out = String::with_capacity(1600);
        if let Some(form) = self.observations.iter().cycle().nth(turn % KINDS.len()) {
            fill(form, &patient.to_string(), &mut out);
        }
        out
    }
}

/// Appends a form with its blanks filled; no identifier is used twice in a run.
fn fill(form: &str, patient: &str, out: &mut String) {
    static NUMBER: AtomicI64 = AtomicI64::new(0);
    for part in form.split('@') {
        match part {
            "patient" => out.push_str(patient),
            "number" => out.push_str(&NUMBER.fetch_add(1, Ordering::Relaxed).to_string()),
            text => out.push_str(text),
        }
    }
}
