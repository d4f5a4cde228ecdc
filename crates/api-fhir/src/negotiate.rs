//! Media types: which one the caller gets, and what all answers of the family carry.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jhe_fhir::catalogue;
use jhe_http::layers::RequestId;
use jhe_http::query;
use serde_json::Value;

use crate::error::{Unexpected, outcome};

/// What handlers say; what is sent is decided here.
pub(crate) const FHIR_JSON: &str = "application/fhir+json; charset=utf-8";
const JSON: &str = "application/json; charset=utf-8";

/// A media type the caller can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MediaType {
    Json,
    FhirJson,
}

impl MediaType {
    const fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json => JSON,
            Self::FhirJson => FHIR_JSON,
        })
    }
}

/// Layer: refuses what cannot be answered, and gives the answer the media type that was asked for.
pub(crate) async fn negotiate(request: Request, next: Next) -> Response {
    let pairs = query::pairs(request.uri().query().unwrap_or_default());
    let format = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let media_type = match format("_format").filter(|format| !format.is_empty()) {
        Some(format) => named(format),
        None => accepted(request.headers()),
    };
    let pretty = format("_pretty") == Some("true");
    let request_id = request.extensions().get::<RequestId>().cloned();
    let mut response = match media_type {
        _ if request.method() == Method::OPTIONS => options(),
        Some(_) => next.run(request).await,
        None => outcome(&catalogue::not_acceptable()),
    };
    if response.extensions().get::<Unexpected>().is_some() {
        let id = request_id.map(|RequestId(id)| id).unwrap_or_default();
        response = outcome(&catalogue::internal(&id));
    }
    if response.headers().contains_key(header::CONTENT_TYPE) {
        response.headers_mut().insert(header::CONTENT_TYPE, media_type.unwrap_or(MediaType::Json).header());
    }
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Accept, Authorization"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-cache"));
    if pretty { indented(response).await } else { response }
}

/// What `_format` names.
fn named(format: &str) -> Option<MediaType> {
    // A `+` that was not escaped arrives as a space.
    match format.split(';').next().unwrap_or_default().trim().replace(' ', "+").to_ascii_lowercase().as_str() {
        "json" | "application/json" | "text/json" => Some(MediaType::Json),
        "application/fhir+json" => Some(MediaType::FhirJson),
        _ => None,
    }
}

/// The acceptable type of the highest quality; the first of equals.
fn accepted(headers: &HeaderMap) -> Option<MediaType> {
    let values: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    if values.iter().all(|value| value.trim().is_empty()) {
        return Some(MediaType::Json);
    }
    let mut best: Option<(f32, MediaType)> = None;
    for range in values.iter().flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let media_type = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "*/*" | "application/*" | "application/json" | "text/json" | "text/*" => MediaType::Json,
            "application/fhir+json" => MediaType::FhirJson,
            _ => continue,
        };
        let quality = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
        if quality > 0.0 && best.is_none_or(|(known, _)| quality > known) {
            best = Some((quality, media_type));
        }
    }
    best.map(|(_, media_type)| media_type)
}

fn options() -> Response {
    (StatusCode::NO_CONTENT, [(header::ALLOW, "GET, HEAD, POST, OPTIONS")]).into_response()
}

/// The same answer for human eyes.
async fn indented(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let pretty = serde_json::from_slice::<Value>(&bytes).and_then(|value| serde_json::to_vec_pretty(&value));
    parts.headers.remove(header::CONTENT_LENGTH);
    match pretty {
        Ok(pretty) => Response::from_parts(parts, Body::from(pretty)),
        Err(_) => Response::from_parts(parts, Body::from(bytes)),
    }
}

/// Says which parameters of a search meant nothing.
pub(crate) const IGNORED: HeaderName = HeaderName::from_static("x-jhe-ignored-parameters");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_acceptable_type_wins() {
        let check = |accept: &str, expected: Option<MediaType>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            assert_eq!(accepted(&headers), expected, "{accept}");
        };
        check("*/*", Some(MediaType::Json));
        check("application/fhir+json", Some(MediaType::FhirJson));
        check("application/json;q=0.5, application/fhir+json", Some(MediaType::FhirJson));
        check("application/fhir+json;q=0.1, */*", Some(MediaType::Json));
        check("application/fhir+xml", None);
        check("application/json;q=0", None);
        check("", Some(MediaType::Json));
        assert_eq!(accepted(&HeaderMap::new()), Some(MediaType::Json));
        assert_eq!(named("application/fhir json"), Some(MediaType::FhirJson));
        assert_eq!(named("xml"), None);
    }
}
