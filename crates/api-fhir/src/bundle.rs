//! Bundles: a batch or a transaction of uploads.

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jhe_app::App;
use jhe_app::ingest::{self, Candidate, Receipt, Together};
use jhe_app::schemas::Documents;
use jhe_fhir::bundle::{CreateEntry, ResponseEntry, ResponseWriter};
use jhe_fhir::structure::{self, BundleKind};
use jhe_fhir::types::has_own_base_path;
use jhe_fhir::{Failure, Issue, OperationOutcome, Projection, catalogue};
use jhe_http::account::{self, RefusedEntries};
use jhe_http::{Caller, Origin};
use serde_json::Value;
use uuid::Uuid;

use crate::body::{JsonBytes, object, on_blocking_thread};
use crate::condition;
use crate::error::FhirError;
use crate::negotiate::FHIR_JSON;
use crate::prefer::{Prefer, Return};
use crate::representation;

/// Header that names the outside source of what is written.
const SOURCE: &str = "x-jhe-fhir-source-id";

/// Which absolute references are to this server: those under the origin of the request or the site's own address.
pub(crate) struct OwnBase {
    origins: [String; 2],
}

impl OwnBase {
    /// `origin` is the scheme and host of the request.
    pub(crate) fn new(app: &App, origin: &str) -> Self {
        Self { origins: [origin.to_ascii_lowercase(), app.settings().site_url().to_ascii_lowercase()] }
    }

    /// Whether `base`, what precedes `/Type/id`, is one of ours.
    pub(crate) fn is(&self, base: &str) -> bool {
        let lower = base.to_ascii_lowercase();
        let ours = |origin: &String| lower.strip_prefix(origin).is_some_and(|rest| rest.starts_with('/'));
        has_own_base_path(base) && self.origins.iter().any(ours)
    }
}

/// Whether a resource names its outside source itself.
pub(crate) fn resource_names_source(resource: &Value) -> bool {
    resource
        .pointer("/meta/source")
        .and_then(Value::as_str)
        .is_some_and(|source| source.starts_with(jhe_fhir::types::FHIR_SOURCE_BASE))
}

/// Whether the request names the outside source of what it writes.
pub(crate) fn names_source(headers: &HeaderMap) -> bool {
    headers.contains_key(SOURCE)
}

/// Stores the observations of a batch, each for itself, or of a transaction, all or none.
///
/// Identifiers make it safe to upload readings again. In a batch, an entry whose `identifier` is stored already is answered with the
/// status `409 Conflict` and the code `duplicate`, and fails no other entry; an uploading program takes that for success. With
/// `identifier=system|value` as `request.ifNoneExist` the entry is answered with 200 instead, which a transaction needs to be sent
/// again: one that is refused stores nothing. The body may be compressed.
#[utoipa::path(post, path = "/fhir/r5", tag = "fhir", operation_id = "storeBundle",
    request_body(content = Object, content_type = "application/fhir+json",
        description = "A Bundle of type `batch` or `transaction`; every entry a POST of an Observation",
        example = json!({
            "resourceType": "Bundle",
            "type": "batch",
            "entry": [
                {"request": {"method": "POST", "url": "Observation"}, "resource": {
                    "resourceType": "Observation",
                    "status": "final",
                    "identifier": [{"system": "https://app.example.org/readings", "value": "reading-2"}],
                    "subject": {"reference": "Patient/40001"},
                    "device": {"reference": "Device/70001"},
                    "code": {"coding": [{"system": "https://w3id.org/openmhealth", "code": "omh:heart-rate:2.0"}]},
                    "valueAttachment": {"contentType": "application/json", "data": "eyJoZWFkZXIiOnsidXVpZCI6IjViNmMxZDJlLTdhM2YtNGMxYi05ZDJlLTBmMWEyYjNjNGQwMSIsInNjaGVtYV9pZCI6eyJuYW1lc3BhY2UiOiJvbWgiLCJuYW1lIjoiaGVhcnQtcmF0ZSIsInZlcnNpb24iOiIyLjAifSwic291cmNlX2NyZWF0aW9uX2RhdGVfdGltZSI6IjIwMjYtMDQtMTVUMTQ6MzE6MDBaIiwibW9kYWxpdHkiOiJzZW5zZWQifSwiYm9keSI6eyJoZWFydF9yYXRlIjp7InZhbHVlIjo2NCwidW5pdCI6ImJlYXRzL21pbiJ9LCJlZmZlY3RpdmVfdGltZV9mcmFtZSI6eyJkYXRlX3RpbWUiOiIyMDI2LTA0LTE1VDE0OjMxOjAwWiJ9fX0="}
                }},
                {"request": {"method": "POST", "url": "Observation"}, "resource": {
                    "resourceType": "Observation",
                    "status": "final",
                    "identifier": [{"system": "https://app.example.org/readings", "value": "reading-3"}],
                    "subject": {"reference": "Patient/40001"},
                    "device": {"reference": "Device/70001"},
                    "code": {"coding": [{"system": "https://w3id.org/openmhealth", "code": "omh:heart-rate:2.0"}]},
                    "valueAttachment": {"contentType": "application/json", "data": "eyJoZWFkZXIiOnsidXVpZCI6IjViNmMxZDJlLTdhM2YtNGMxYi05ZDJlLTBmMWEyYjNjNGQwMiIsInNjaGVtYV9pZCI6eyJuYW1lc3BhY2UiOiJvbWgiLCJuYW1lIjoiaGVhcnQtcmF0ZSIsInZlcnNpb24iOiIyLjAifSwic291cmNlX2NyZWF0aW9uX2RhdGVfdGltZSI6IjIwMjYtMDQtMTVUMTQ6MzI6MDBaIiwibW9kYWxpdHkiOiJzZW5zZWQifSwiYm9keSI6eyJoZWFydF9yYXRlIjp7InZhbHVlIjo2NiwidW5pdCI6ImJlYXRzL21pbiJ9LCJlZmZlY3RpdmVfdGltZV9mcmFtZSI6eyJkYXRlX3RpbWUiOiIyMDI2LTA0LTE1VDE0OjMyOjAwWiJ9fX0="}
                }}
            ]
        })),
    params(("Prefer" = Option<String>, Header, description = "What each entry of the answer has: nothing but its `response` with `return=minimal`, a sentence in it with `return=OperationOutcome`, the whole Observation with `return=representation`; a short one without it"),
           ("Content-Encoding" = Option<String>, Header, description = "`gzip`, `deflate` or `zstd`, for a body that is compressed")),
    responses((status = 200, description = "One answer for each entry, in their order", content_type = "application/fhir+json", body = Object),
              (status = 400, description = "Not such a Bundle; of a transaction also its first failure"), (status = 413, description = "Too large, or too many entries")))]
#[tracing::instrument(name = "fhir.bundle", skip_all)]
pub(crate) async fn post(
    State(app): State<App>,
    Caller(actor): Caller,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
    JsonBytes(bytes): JsonBytes,
) -> Result<Response, FhirError> {
    account::will_answer(StatusCode::OK, StatusCode::BAD_REQUEST);
    let prefer = Prefer::of(&headers);
    let reader = Reader {
        own: OwnBase::new(&app, &origin.base()),
        source_named: names_source(&headers),
        max_entries: app.config().limits.max_batch_entries,
        documents: app.documents(),
    };
    let (kind, candidates) = on_blocking_thread(move || reader.read(&object(&bytes)?)).await?;
    metrics::histogram!("jhe_bundle_entries").record(u32::try_from(candidates.len()).unwrap_or(u32::MAX));
    let together = match kind {
        BundleKind::Batch => Together::Batch,
        BundleKind::Transaction => Together::Transaction,
    };
    let whole = prefer.answer == Some(Return::Representation);
    let outcomes = if candidates.is_empty() {
        Vec::new()
    } else {
        ingest::store(&app, &actor, &candidates, together, whole).await?
    };
    if kind == BundleKind::Transaction
        && let Some(failure) = first_failure(&outcomes)
    {
        return Err(failure.into());
    }
    let mut writer = ResponseWriter::new(&Uuid::new_v4().to_string(), kind);
    for outcome in outcomes.iter().flatten() {
        match outcome {
            Ok(receipt) => write_receipt(&mut writer, receipt, prefer),
            Err(failure) => writer.failure(failure),
        }
    }
    let mut response = ([(header::CONTENT_TYPE, FHIR_JSON)], writer.finish()).into_response();
    let is_denied = |outcome: &&Result<Receipt, Failure>| matches!(outcome, Err(failure) if failure.status == 403);
    let denied = outcomes.iter().flatten().filter(is_denied).count();
    if denied > 0 {
        // The Bundle as a whole is no refusal, but the audit trail knows of those in it.
        response.extensions_mut().insert(RefusedEntries(denied));
    }
    if let Some(value) = prefer.applied() {
        response.headers_mut().insert("preference-applied", value);
    }
    Ok(response)
}

/// Reads a Bundle without the database.
struct Reader {
    own: OwnBase,
    source_named: bool,
    max_entries: usize,
    documents: Documents,
}

type Candidates = Vec<Result<Candidate, Failure>>;

impl Reader {
    fn read(&self, body: &Value) -> Result<(BundleKind, Candidates), FhirError> {
        let kind = structure::validate_bundle_envelope(body, self.max_entries)?;
        let entries = body.get("entry").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        Ok((kind, entries.iter().enumerate().map(|(index, entry)| self.candidate(index, entry)).collect()))
    }

    fn candidate(&self, index: usize, entry: &Value) -> Result<Candidate, Failure> {
        let is_own_base = |base: &str| self.own.is(base);
        let create = CreateEntry::parse(index, entry, &is_own_base)?;
        let unless = create.if_none_exist.map(condition::read).transpose()?.flatten();
        let source_named = self.source_named || resource_names_source(create.resource);
        if create.resource_type != "Observation" {
            // Everything but observations is an outside record, which needs a source.
            return Err(if source_named {
                catalogue::unsupported_type(create.resource_type)
            } else {
                catalogue::source_required()
            });
        }
        Ok(Candidate::read(create.resource, source_named, self.documents, &is_own_base)?.unless(unless))
    }
}

/// Of a transaction: the status of the first failure, and one issue for each entry that failed.
fn first_failure(outcomes: &[Option<Result<Receipt, Failure>>]) -> Option<Failure> {
    let failures = || {
        outcomes.iter().enumerate().filter_map(|(index, outcome)| match outcome {
            Some(Err(failure)) => Some((index, failure)),
            _ => None,
        })
    };
    let (_, first) = failures().next()?;
    let issues = failures().filter_map(|(index, failure)| {
        let issue = failure.issues.first()?;
        Some(Issue::error(issue.code, issue.diagnostics.clone()).at(format!("Bundle.entry[{index}]")))
    });
    Some(Failure { status: first.status, issues: issues.collect() })
}

/// What became of an upload, for people.
pub(crate) const fn receipt_text(receipt: &Receipt) -> &'static str {
    if receipt.created { "The Observation was stored." } else { "The Observation was there already." }
}

fn write_receipt(writer: &mut ResponseWriter, receipt: &Receipt, prefer: Prefer) {
    let location = format!("Observation/{}", receipt.id);
    let etag = representation::etag(receipt.last_updated);
    let mut resource = Vec::new();
    match (prefer.answer, &receipt.observation) {
        (Some(Return::Minimal | Return::Outcome), _) => {}
        (Some(Return::Representation), Some(row)) => {
            representation::observation(row, &Projection::Full, &mut resource);
        }
        _ if receipt.hidden => {}
        _ => representation::receipt(receipt, &mut resource),
    }
    let stored = (prefer.answer == Some(Return::Outcome))
        .then(|| OperationOutcome::from(Issue::information(jhe_fhir::IssueCode::Informational, receipt_text(receipt))));
    writer.entry(&ResponseEntry {
        status: catalogue::status_line(if receipt.created { 201 } else { 200 }),
        location: Some(&location),
        etag: Some(&etag),
        last_modified: Some(receipt.last_updated),
        resource: (!resource.is_empty()).then_some(resource.as_slice()),
        outcome: stored.as_ref(),
    });
}
