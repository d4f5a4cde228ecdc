//! Reading a request body as a JSON object.

use axum::extract::{FromRequest, Request};
use axum::http::header;
use bytes::Bytes;
use jhe_app::App;
use jhe_fhir::catalogue;
use jhe_http::body::{self, BodyFault};
use serde_json::Value;

use crate::error::FhirError;

/// The bytes of a JSON body: right type, within the limit, not yet parsed.
pub(crate) struct JsonBytes(pub(crate) Bytes);

impl FromRequest<App> for JsonBytes {
    type Rejection = FhirError;

    async fn from_request(request: Request, app: &App) -> Result<Self, FhirError> {
        let media_type = body::media_type(request.headers());
        if let Some(kind) = &media_type
            && !matches!(kind.as_str(), "application/json" | "application/fhir+json" | "text/json")
        {
            let sent = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
            return Err(catalogue::unsupported_media_type(sent.unwrap_or(kind)).into());
        }
        read(request, app).await.map(Self)
    }
}

/// Reads the whole body, decoded, within the limit of the family.
pub(crate) async fn read(request: Request, app: &App) -> Result<Bytes, FhirError> {
    let limit = app.config().limits.fhir_body_bytes;
    body::read(request.into_body(), limit).await.map_err(|fault| match fault {
        BodyFault::TooLarge => catalogue::body_too_large(limit).into(),
        BodyFault::Broken => catalogue::json_syntax("the body cannot be read").into(),
    })
}

/// Parses a body that must be an object.
pub(crate) fn object(bytes: &[u8]) -> Result<Value, FhirError> {
    // Where the syntax breaks is said, what stands there is not.
    let value: Value = serde_json::from_slice(bytes).map_err(|error| {
        let what = if error.is_eof() { "unexpected end" } else { "unexpected character" };
        catalogue::json_syntax(&format!("{what}: line {} column {}", error.line(), error.column()))
    })?;
    if value.is_object() { Ok(value) } else { Err(catalogue::not_an_object().into()) }
}

/// Work on a body whose size is its cost, on a thread that may block.
pub(crate) async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FhirError> + Send + 'static,
) -> Result<T, FhirError> {
    tokio::task::spawn_blocking(work).await.map_err(jhe_domain::error::Error::internal)?
}
