//! Rewrites paths before routing, so that each route is registered once: a trailing slash means the same route and is
//! never redirected (a redirect loses the body of a POST), the three FHIR bases are one, the Admin API's `.json`
//! suffix is ignored.

use axum::extract::Request;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::Response;

/// The FHIR base as the caller spelled it, without a trailing slash: links in the answer use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FhirBase(pub String);

/// Rewrites the path of a request.
pub fn normalize(mut request: Request) -> Request {
    let (path, base) = normalize_path(request.uri().path());
    if path != request.uri().path() {
        let mut parts = request.uri().clone().into_parts();
        let target = match request.uri().query() {
            Some(query) => format!("{path}?{query}"),
            None => path,
        };
        if let Ok(target) = target.parse::<PathAndQuery>() {
            parts.path_and_query = Some(target);
            if let Ok(uri) = Uri::from_parts(parts) {
                let original = std::mem::replace(request.uri_mut(), uri);
                request.extensions_mut().insert(OriginalPath(original.path().to_owned()));
            }
        }
    }
    if let Some(base) = base {
        request.extensions_mut().insert(FhirBase(base));
    }
    request
}

/// Marks the answers of a family that answers preflights in a layer, which its routes do not know of.
#[derive(Debug, Clone, Copy)]
pub struct AnswersPreflights;

/// Completes what routing says about methods: routes add `Allow` outside their layers.
pub fn complete_allow(mut response: Response) -> Response {
    let marked = response.extensions().get::<AnswersPreflights>().is_some();
    if marked
        && response.status() == StatusCode::METHOD_NOT_ALLOWED
        && let Some(allowed) = response.headers().get(header::ALLOW).and_then(|value| value.to_str().ok())
        && let Ok(allowed) = HeaderValue::from_str(&format!("{}, OPTIONS", allowed.replace(',', ", ")))
    {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

/// The path as the caller sent it, where it was rewritten.
#[derive(Debug, Clone)]
pub struct OriginalPath(pub String);

fn normalize_path(path: &str) -> (String, Option<String>) {
    if let Some((base, rest)) = split_fhir_base(path) {
        return (format!("/fhir/r5{}", trim_slash(rest)), Some(base.to_owned()));
    }
    // The map of lists has its own address: `/api/v1` redirects to it.
    if path != "/api/v1/" && path.starts_with("/api/v1/") && !path.starts_with("/api/v1/schema") {
        let path = trim_slash(path);
        return (path.strip_suffix(".json").unwrap_or(path).to_owned(), None);
    }
    if path.starts_with("/o/") {
        return (trim_slash(path).to_owned(), None);
    }
    (path.to_owned(), None)
}

fn trim_slash(path: &str) -> &str {
    path.trim_end_matches('/')
}

/// Splits `/fhir/r5`, in any case, or `/fhir` alone from the rest of a path. `/fhir-import` is something else.
fn split_fhir_base(path: &str) -> Option<(&str, &str)> {
    let starts = |text: &str, with: &str| text.get(..with.len()).is_some_and(|head| head.eq_ignore_ascii_case(with));
    let ends = |rest: &str| rest.is_empty() || rest.starts_with('/');
    if !starts(path, "/fhir") {
        return None;
    }
    let long = "/fhir/r5".len();
    if starts(path, "/fhir/r5") && path.get(long..).is_some_and(ends) {
        return path.split_at_checked(long);
    }
    let short = "/fhir".len();
    path.get(short..).is_some_and(ends).then(|| path.split_at_checked(short)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_rewritten_to_the_registered_form() {
        let check = |path: &str, expected: &str, base: Option<&str>| {
            let (got, got_base) = normalize_path(path);
            assert_eq!((got.as_str(), got_base.as_deref()), (expected, base), "{path}");
        };
        check("/fhir/r5/Observation/", "/fhir/r5/Observation", Some("/fhir/r5"));
        check("/FHIR/R5/Observation/60001", "/fhir/r5/Observation/60001", Some("/FHIR/R5"));
        check("/fhir/Observation", "/fhir/r5/Observation", Some("/fhir"));
        check("/Fhir", "/fhir/r5", Some("/Fhir"));
        check("/fhir/", "/fhir/r5", Some("/fhir"));
        check("/fhir/r5/", "/fhir/r5", Some("/fhir/r5"));
        check("/fhir/r5x", "/fhir/r5/r5x", Some("/fhir"));
        check("/fhir-import/R4", "/fhir-import/R4", None);
        check("/api/v1/patients/", "/api/v1/patients", None);
        check("/api/v1/patients.json", "/api/v1/patients", None);
        check("/api/v1/", "/api/v1/", None);
        check("/api/v1/schema/swagger-ui/", "/api/v1/schema/swagger-ui/", None);
        check("/o/token/", "/o/token", None);
        check("/accounts/login/", "/accounts/login/", None);
    }
}
