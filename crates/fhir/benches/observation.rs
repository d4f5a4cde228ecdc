//! How long an Observation takes on its way in and out: structural validation, mapping, serialization. `cargo bench -p jhe-fhir`
//!
//! Figures to compare with others of the same machine; nothing fails here. `jhe-bench` times the whole server.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use jhe_fhir::bundle::SearchsetWriter;
use jhe_fhir::observation::{EffectiveOut, IncomingObservation, ObservationOut};
use jhe_fhir::{Projection, structure};
use serde_json::{Value, json};

const DOCUMENT: &str = r#"{"header":{"uuid":"6f1d2c3b-0000-4000-8000-000000000001","schema_id":{"namespace":"omh","name":"blood-glucose","version":"4.0"},"source_creation_date_time":"2026-01-31T08:30:00Z","modality":"sensed"},"body":{"blood_glucose":{"unit":"mg/dL","value":101},"effective_time_frame":{"date_time":"2026-01-31T08:30:00Z"}}}"#;

fn main() -> Result<(), Box<dyn Error>> {
    let body = sent();
    let text = body.to_string();
    measure(&format!("read {} bytes", text.len()), || {
        black_box(serde_json::from_str::<Value>(black_box(&text)).is_ok());
    });
    measure("validate an Observation", || {
        black_box(structure::validate_native_observation(black_box(&body)).is_ok());
    });
    measure("map an Observation and decode its document", || {
        black_box(IncomingObservation::parse(black_box(&body)).document(1 << 20).is_ok());
    });
    let taken = DateTime::parse_from_rfc3339("2026-01-31T08:30:00Z")?.to_utc();
    let identifiers = [(Some("https://ehr.example.com".to_owned()), "6e3d".to_owned())];
    let observation = stored(&identifiers, taken);
    let mut out = Vec::new();
    measure("write an Observation", || {
        out.clear();
        observation.write_json(&mut out, &Projection::Full);
        black_box(out.len());
    });
    measure("write a page of 100 Observations", || {
        let mut page = SearchsetWriter::new("6f1d2c3b-0000-4000-8000-000000000002", taken, Some(100), &[]);
        for _ in 0..100 {
            page.entry_with("https://jhe.example.org/fhir/r5/Observation/60003", |out| {
                observation.write_json(out, &Projection::Full);
            });
        }
        black_box(page.finish().len());
    });
    Ok(())
}

fn sent() -> Value {
    json!({
        "resourceType": "Observation",
        "status": "final",
        "identifier": [{ "system": "https://ehr.example.com", "value": "6e3d" }],
        "subject": { "reference": "Patient/40001" },
        "device": { "reference": "Device/70001" },
        "code": { "coding": [{ "system": "https://w3id.org/openmhealth", "code": "omh:blood-glucose:4.0" }] },
        "valueAttachment": { "contentType": "application/json", "data": STANDARD.encode(DOCUMENT) },
    })
}

fn stored(identifiers: &[(Option<String>, String)], taken: DateTime<Utc>) -> ObservationOut<'_> {
    ObservationOut {
        id: 60003,
        last_updated: taken,
        created: taken,
        status: "final",
        identifiers,
        system: "https://w3id.org/openmhealth",
        code: "omh:blood-glucose:4.0",
        display: "Blood glucose",
        patient_id: 40001,
        patient_user_id: Some(10006),
        effective: EffectiveOut::Instant(taken),
        data_source_id: Some(70001),
        document: Some(DOCUMENT),
    }
}

/// Prints how long `run` takes: the median of rounds long enough for the clock.
fn measure(name: &str, mut run: impl FnMut()) {
    let started = Instant::now();
    let mut count = 0_u32;
    while started.elapsed() < Duration::from_millis(50) {
        run();
        count += 1;
    }
    let mut rounds: Vec<Duration> = (0..21)
        .map(|_| {
            let started = Instant::now();
            (0..count).for_each(|_| run());
            started.elapsed() / count
        })
        .collect();
    rounds.sort_unstable();
    let median = rounds.get(rounds.len() / 2).copied().unwrap_or_default();
    println!("{name:<60} {median:>12.2?}");
}
