//! Answers: JSON, and the headers every answer of the family carries.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jhe_http::query;
use serde::Serialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::{Parameter, ParameterIn};

use crate::error;
use crate::fields::to_snake;
use crate::query::AdminQuery;

/// A JSON answer.
pub(crate) fn json_response(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => {
            let headers = [(header::CONTENT_TYPE, "application/json; charset=utf-8"), (header::VARY, "Accept")];
            (status, headers, bytes).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// 200 with a JSON body.
pub(crate) fn ok(body: &impl Serialize) -> Response {
    json_response(StatusCode::OK, body)
}

/// 201 when something was made, 200 when it was there already.
pub(crate) fn created(made: bool, body: &impl Serialize) -> Response {
    json_response(if made { StatusCode::CREATED } else { StatusCode::OK }, body)
}

/// 204.
pub(crate) fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// Layer: refuses what cannot be answered in JSON.
pub(crate) async fn require_json(request: Request, next: impl AsyncFnOnce(Request) -> Response) -> Response {
    let other_format = query::pairs(request.uri().query().unwrap_or_default())
        .iter()
        .any(|(name, value)| name == "format" && !value.is_empty() && value != "json");
    if !error::accepts_json(request.headers()) {
        error::detail(StatusCode::NOT_ACCEPTABLE, "Could not satisfy the request Accept header.")
    } else if other_format {
        error::unknown_format()
    } else {
        next(request).await
    }
}

/// Layer: under `Prefer: handling=strict` a read refuses parameters that it does not take.
pub(crate) async fn refuse_unknown(request: Request, next: impl AsyncFnOnce(Request) -> Response) -> Response {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return next(request).await;
    }
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let (parts, body) = request.into_parts();
    match path.and_then(|path| parameters_of(&path)) {
        Some(known) => match AdminQuery::of(&parts).check_names(known) {
            Ok(()) => next(Request::from_parts(parts, body)).await,
            Err(fault) => error::AdminError(fault).into_response(),
        },
        None => next(Request::from_parts(parts, body)).await,
    }
}

/// The parameters that reading an address takes, in snake case, as the API document lists them.
fn parameters_of(path: &str) -> Option<&'static [String]> {
    static READS: LazyLock<HashMap<String, Vec<String>>> = LazyLock::new(|| {
        let document = crate::documented().into_openapi();
        let reads = document.paths.paths.into_iter().filter_map(|(path, item)| Some((path, item.get?)));
        let in_query = |one: RefOr<Parameter>| match one {
            RefOr::T(one) if one.parameter_in == ParameterIn::Query => Some(to_snake(&one.name)),
            _ => None,
        };
        reads.map(|(path, get)| (path, get.parameters.into_iter().flatten().filter_map(in_query).collect())).collect()
    });
    READS.get(path).map(Vec::as_slice)
}

/// Layer: adds `Allow` and `Vary`.
pub(crate) async fn describe(request: Request, next: impl AsyncFnOnce(Request) -> Response) -> Response {
    let allow = request.extensions().get::<MatchedPath>().map(|path| allowed_methods(path.as_str()));
    let mut response = next(request).await;
    let headers = response.headers_mut();
    if let Some(Ok(allow)) = allow.map(|allow| HeaderValue::from_str(&allow)) {
        headers.insert(error::ALLOW, allow);
    }
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-cache"));
    response
}

/// The methods of a route, read from the same documentation that Swagger UI shows.
fn allowed_methods(path: &str) -> String {
    static METHODS: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
        let document = crate::documented().into_openapi();
        document
            .paths
            .paths
            .iter()
            .map(|(path, item)| {
                let mut methods: Vec<Method> = Vec::new();
                for (present, method) in [
                    (item.get.is_some(), Method::GET),
                    (item.post.is_some(), Method::POST),
                    (item.put.is_some(), Method::PUT),
                    (item.patch.is_some(), Method::PATCH),
                    (item.delete.is_some(), Method::DELETE),
                    (item.get.is_some(), Method::HEAD),
                    (true, Method::OPTIONS),
                ] {
                    if present {
                        methods.push(method);
                    }
                }
                (path.clone(), methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", "))
            })
            .collect()
    });
    METHODS.get(path).cloned().unwrap_or_default()
}
