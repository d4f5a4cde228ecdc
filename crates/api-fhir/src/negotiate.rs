//! Media types: which one the caller gets, and what all answers of the family carry.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jhe_fhir::catalogue;
use jhe_http::layers::RequestId;
use jhe_http::query;
use serde_json::Value;

use crate::error::{Unexpected, outcome};

/// What handlers say; what is sent is decided here.
pub(crate) const FHIR_JSON: &str = "application/fhir+json; charset=utf-8";
pub(crate) const JSON: &str = "application/json; charset=utf-8";

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

/// What a search form says about the form of the answer, where the address does not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chosen {
    media_type: Option<MediaType>,
    pretty: bool,
}

impl Chosen {
    /// Reads the fields of a form. `None` when it asks for what cannot be had.
    pub(crate) fn of_form(pairs: &[(String, String)]) -> Option<Self> {
        let field = |name: &str| value_of(pairs, name);
        let media_type = match field("format").filter(|format| !format.is_empty()) {
            Some(format) => Some(named(format)?),
            None => None,
        };
        Some(Self { media_type, pretty: field("pretty") == Some("true") })
    }
}

/// The value of a parameter, however its name is spelled; `name` without `_`, in lower case.
fn value_of<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let spells = |key: &str| key.replace(['-', '_'], "").eq_ignore_ascii_case(name);
    pairs.iter().find(|(key, _)| spells(key)).map(|(_, value)| value.as_str())
}

/// The caller accepts nothing that there is.
#[derive(Debug, Clone, Copy)]
struct Unacceptable;

/// Layer: refuses whoever accepts nothing that there is, once it is known who that is.
pub(crate) async fn refuse_unacceptable(request: Request, next: impl AsyncFnOnce(Request) -> Response) -> Response {
    if request.extensions().get::<Unacceptable>().is_some() {
        return outcome(&catalogue::not_acceptable());
    }
    next(request).await
}

/// Layer: gives the answer the media type that was asked for.
pub(crate) async fn negotiate(mut request: Request, next: impl AsyncFnOnce(Request) -> Response) -> Response {
    let pairs = query::pairs(request.uri().query().unwrap_or_default());
    let format = |name: &str| value_of(&pairs, name);
    let media_type = match format("format").filter(|format| !format.is_empty()) {
        Some(format) => named(format),
        None => accepted(request.headers()),
    };
    // A document that RFC 8615 clients fetch: it has one form, whatever they accept.
    let is_configuration = request.uri().path().ends_with("/.well-known/smart-configuration");
    let media_type = if is_configuration { Some(MediaType::Json) } else { media_type };
    let pretty = format("pretty") == Some("true");
    let is_public = is_configuration || request.uri().path().ends_with("/metadata");
    let allowed = allowed(request.uri().path());
    let request_id = request.extensions().get::<RequestId>().cloned();
    if media_type.is_none() {
        request.extensions_mut().insert(Unacceptable);
    }
    let mut response =
        if request.method() == Method::OPTIONS { StatusCode::NO_CONTENT.into_response() } else { next(request).await };
    if response.extensions().get::<Unexpected>().is_some() {
        let id = request_id.map(|RequestId(id)| id).unwrap_or_default();
        response = outcome(&catalogue::internal(&id));
    }
    let chosen = response.extensions().get::<Chosen>().cloned().unwrap_or_default();
    let media_type = chosen.media_type.or(media_type).unwrap_or(MediaType::Json);
    let pretty = pretty || chosen.pretty;
    let headers = response.headers_mut();
    if headers.contains_key(header::CONTENT_TYPE) {
        let value = if is_configuration { HeaderValue::from_static("application/json") } else { media_type.header() };
        headers.insert(header::CONTENT_TYPE, value);
    }
    headers.append(header::VARY, HeaderValue::from_static("Accept, Authorization"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-cache"));
    if is_public {
        let headers = response.headers_mut();
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, "Authorization, Content-Type"),
            (header::ACCESS_CONTROL_MAX_AGE, "86400"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    if matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::METHOD_NOT_ALLOWED) {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    }
    if pretty { indented(response).await } else { response }
}

/// The methods of a path, as its routes have them.
fn allowed(path: &str) -> &'static str {
    // Also served at the root of the site.
    if path.contains("/.well-known/") {
        return "GET, HEAD, OPTIONS";
    }
    let mut below_base = path.split('/').filter(|part| !part.is_empty()).skip(2);
    match (below_base.next(), below_base.next(), below_base.next()) {
        (None, ..) => "POST, OPTIONS",
        (Some("Observation"), None, _) | (Some(_), Some("_search"), None) => "GET, HEAD, POST, OPTIONS",
        _ => "GET, HEAD, OPTIONS",
    }
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

/// Asks for the view of a search to be remembered in the caller's profile.
pub(crate) const REMEMBER: HeaderName = HeaderName::from_static("x-jhe-remember-view");

/// Says where a client that polls goes on.
pub(crate) const SEQUENCE: HeaderName = HeaderName::from_static("x-jhe-sequence");

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
