//! An upload as far as it can be judged without the database.

use jhe_domain::Phi;
use jhe_domain::observation::EffectiveTime;
use jhe_fhir::observation::{DeviceRef, EffectiveIn, IncomingObservation, SubjectRef, is_native};
use jhe_fhir::search::TokenValue;
use jhe_fhir::{Failure, Issue, IssueCode, catalogue, structure};
use jhe_omh::{OmhViolation, ViolationKind};
use serde_json::Value;

use super::measure;
use crate::schemas::Documents;

/// Where in an Observation the Open mHealth document is.
const DOCUMENT: &str = "Observation.valueAttachment.data";

/// An Observation for the native store, structurally valid. The steps that failed are kept as failures, because an
/// earlier step that needs the database may fail too and is then the answer.
#[derive(Debug)]
pub struct Candidate {
    pub(super) subject: Result<SubjectRef, Failure>,
    pub(super) device: Result<DeviceRef, Failure>,
    pub(super) identifiers: Vec<(Option<String>, String)>,
    pub(super) coding: Result<(String, String), Failure>,
    pub(super) status: String,
    pub(super) reading: Result<Reading, Failure>,
    /// It is stored unless there is an observation with one of these identifiers.
    pub(super) unless: Option<Vec<TokenValue>>,
}

/// A document that conforms to its schema, and when it was measured.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) document: Phi<String>,
    pub(super) effective: EffectiveTime,
}

impl Candidate {
    /// Reads and checks a body. `source_named` tells that the request names an outside source for it.
    ///
    /// Takes time in proportion to the body: many of them belong on a thread that may block.
    pub fn read(
        body: &Value,
        source_named: bool,
        documents: Documents,
        is_own_base: &dyn Fn(&str) -> bool,
    ) -> Result<Self, Failure> {
        if !is_native(body) {
            return Err(not_stored_here(source_named));
        }
        structure::validate_native_observation(body).map_err(Failure::bad_request)?;
        let incoming = IncomingObservation::parse(body);
        let coding = incoming.coding();
        let reading = match &coding {
            Ok((_, code)) => reading(&incoming, code, documents),
            Err(failure) => Err(failure.clone()),
        };
        Ok(Self {
            subject: incoming.subject_patient(is_own_base),
            device: incoming.device(is_own_base),
            identifiers: incoming
                .identifiers
                .iter()
                .map(|(system, value)| (system.map(str::to_owned), (*value).to_owned()))
                .collect(),
            coding: coding.map(|(system, code)| (system.to_owned(), code.to_owned())),
            status: incoming.status.to_owned(),
            reading,
            unless: None,
        })
    }

    /// Makes it conditional: it is stored unless there is an observation with one of these identifiers.
    #[must_use]
    pub fn unless(self, identifiers: Option<Vec<TokenValue>>) -> Self {
        Self { unless: identifiers, ..self }
    }
}

/// An Observation of another coding system belongs to the store of outside records.
fn not_stored_here(source_named: bool) -> Failure {
    if source_named { catalogue::unsupported_type("Observation") } else { catalogue::source_required() }
}

/// Steps 13 to 15: decodes, validates, finds the time.
fn reading(incoming: &IncomingObservation<'_>, code: &str, documents: Documents) -> Result<Reading, Failure> {
    let document = incoming.document(documents.max_bytes)?;
    // A byte order mark belongs to the file, not to the JSON in it.
    let value: Value =
        serde_json::from_str(document.trim_start_matches('\u{feff}')).map_err(|_| catalogue::attachment_invalid())?;
    jhe_omh::validate(documents.schemas, code, &value).map_err(|violations| {
        measure::nonconforming(code, &violations);
        nonconforming(&violations)
    })?;
    let effective =
        jhe_omh::time::effective_time(&value).map_err(|fault| catalogue::time_frame_invalid(fault.reason()))?;
    let effective = match effective {
        jhe_omh::time::EffectiveTime::Instant(at) => EffectiveTime::Instant(at),
        jhe_omh::time::EffectiveTime::Period { start, end } => EffectiveTime::Period(start, end),
        jhe_omh::time::EffectiveTime::None => match incoming.effective {
            Some(EffectiveIn::Instant(at)) => EffectiveTime::Instant(at),
            Some(EffectiveIn::Period(start, end)) => EffectiveTime::Period(start, end),
            None => EffectiveTime::Unknown,
        },
    };
    Ok(Reading { document: Phi::new(document), effective: effective.to_micros() })
}

fn nonconforming(violations: &[OmhViolation]) -> Failure {
    let issues = violations.iter().map(|violation| {
        let code = match violation.kind {
            ViolationKind::Required => IssueCode::Required,
            ViolationKind::Invalid => IssueCode::Invalid,
            ViolationKind::NotInstalled => IssueCode::NotSupported,
        };
        Issue::error(code, violation.diagnostics()).at(DOCUMENT)
    });
    Failure { status: 422, issues: issues.collect() }
}
