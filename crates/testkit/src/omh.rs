//! Observations to upload.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// The system of Open mHealth codes.
pub const SYSTEM: &str = "https://w3id.org/openmhealth";

/// A FHIR Observation around an Open mHealth document.
pub fn observation(patient: i64, device: i64, code: &str, document: &str) -> Value {
    json!({
        "resourceType": "Observation",
        "status": "final",
        "subject": { "reference": format!("Patient/{patient}") },
        "device": { "reference": format!("Device/{device}") },
        "code": { "coding": [{ "system": SYSTEM, "code": code }] },
        "valueAttachment": { "contentType": "application/json", "data": STANDARD.encode(document) },
    })
}

/// A valid heart rate document, written with odd spacing, a non-ASCII text and a decimal that must survive.
pub fn heart_rate(value: &str) -> String {
    format!(
        "{{\"header\" : {{\"uuid\":\"5b6c1d2e-0000-4000-8000-000000000001\",\"schema_id\":{{\"namespace\":\"omh\",\"name\":\"heart-rate\",\"version\":\"2.0\"}},\"source_creation_date_time\":\"2026-04-15T14:30:00Z\",\"note\":\"Zürich\"}},\n \"body\":{{\"heart_rate\":{{\"value\":{value},\"unit\":\"beats/min\"}},\"effective_time_frame\":{{\"date_time\":\"2026-04-15T14:30:00Z\"}}}}}}"
    )
}
