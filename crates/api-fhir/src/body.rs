//! Reading a request body as a JSON object.

use std::borrow::Cow;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
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

/// Layer: refuses bodies in a coding that the decompression behind it does not know.
pub(crate) async fn require_known_coding(
    mut request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let known =
        |coding: &str| ["gzip", "deflate", "zstd", "identity"].iter().any(|name| coding.eq_ignore_ascii_case(name));
    let coding =
        request.headers().get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?").trim().to_owned());
    match coding {
        Some(coding) if !coding.is_empty() && !known(&coding) => {
            let mut response = FhirError::from(catalogue::unsupported_encoding(&coding)).into_response();
            response.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("zstd, gzip, deflate"));
            response
        }
        Some(coding) => {
            // The decompression knows the names in lower case, which callers need not use (RFC 9110 §8.4.1).
            if let Ok(coding) = HeaderValue::from_str(&coding.to_ascii_lowercase()) {
                request.headers_mut().insert(header::CONTENT_ENCODING, coding);
            }
            next(request).await
        }
        None => next(request).await,
    }
}

/// Parses a body that must be an object. What is nested beyond [`READ_DEPTH`] is left out: it is far deeper than a
/// resource may be, so its resource is refused for that, and in a Bundle no other.
pub(crate) fn object(bytes: &[u8]) -> Result<Value, FhirError> {
    // Where the syntax breaks is said, what stands there is not.
    let value: Value = serde_json::from_slice(&shallow(bytes)).map_err(|error| {
        let what = if error.is_eof() { "unexpected end" } else { "unexpected character" };
        catalogue::json_syntax(&format!("{what}: line {} column {}", error.line(), error.column()))
    })?;
    if value.is_object() { Ok(value) } else { Err(catalogue::not_an_object().into()) }
}

/// More than the depth limit of resources below that of a Bundle's entries, less than the parser's own limit.
const READ_DEPTH: usize = 100;

/// The JSON text without the contents of brackets nested deeper than [`READ_DEPTH`].
fn shallow(bytes: &[u8]) -> Cow<'_, [u8]> {
    if depth(bytes) <= READ_DEPTH {
        return Cow::Borrowed(bytes);
    }
    let mut out = Vec::with_capacity(bytes.len());
    walk(bytes, |byte, depth, is_bracket| {
        if depth <= READ_DEPTH || (depth == READ_DEPTH + 1 && is_bracket) {
            out.push(byte);
        }
    });
    Cow::Owned(out)
}

fn depth(bytes: &[u8]) -> usize {
    let mut deepest = 0;
    walk(bytes, |_, depth, _| deepest = deepest.max(depth));
    deepest
}

/// Tells for each byte how many brackets it stands in, its own included, and whether it is a bracket.
fn walk(bytes: &[u8], mut tell: impl FnMut(u8, usize, bool)) {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for &byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            _ => {}
        }
        let closes = !in_string && matches!(byte, b'}' | b']');
        tell(byte, depth, closes || (!in_string && matches!(byte, b'{' | b'[')));
        if closes {
            depth = depth.saturating_sub(1);
        }
    }
}

/// Work on a body whose size is its cost, on a thread that may block.
pub(crate) async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FhirError> + Send + 'static,
) -> Result<T, FhirError> {
    tokio::task::spawn_blocking(work).await.map_err(jhe_domain::error::Error::internal)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nested_too_deep_is_left_out() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(&*shallow(nested(100).as_bytes()), nested(100).as_bytes());
        assert_eq!(&*shallow(nested(5000).as_bytes()), nested(101).as_bytes());
        let member = format!("{}{{\"a\":[1,\"]\"]}}{}", "[".repeat(100), "]".repeat(100));
        assert_eq!(&*shallow(member.as_bytes()), format!("{}{{}}{}", "[".repeat(100), "]".repeat(100)).as_bytes());
        let brackets = r#"{"a":"[[[{\"","b":[1,{"c":"\\"}]}"#;
        assert_eq!(depth(brackets.as_bytes()), 3);
        assert_eq!(depth(b"]]]["), 1);
    }
}
