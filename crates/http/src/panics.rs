//! Panics of handlers: the caller gets an answer in the family's words, the log the id of the request.

use std::panic::AssertUnwindSafe;

use axum::extract::Request;
use axum::response::Response;
use futures_util::FutureExt as _;
use jhe_domain::error::Error;

use crate::layers::RequestId;
use crate::refuse::{Refusal, Refuse};
use crate::route;

/// Layer: answers 500 where a handler panics. What the panic said is not repeated: it may hold a person's data.
pub async fn catch(refuse: Refuse, request: Request, next: impl AsyncFnOnce(Request) -> Response) -> Response {
    let uri = request.uri().clone();
    let id = request.extensions().get::<RequestId>().cloned();
    let route = route::of(&request).to_owned();
    // What the handler was changing is dropped with it: units of work take back what was not committed.
    if let Ok(response) = AssertUnwindSafe(next(request)).catch_unwind().await {
        return response;
    }
    let id = id.map(|RequestId(id)| id).unwrap_or_default();
    tracing::error!(route, request.id = id, "a handler panicked");
    metrics::counter!("jhe_http_panics_total").increment(1);
    refuse(&uri, Refusal::Error(Error::internal(format!("request {id} ended in a panic"))))
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::http::{StatusCode, Uri};
    use axum::middleware::{Next, from_fn};
    use axum::response::IntoResponse as _;
    use tower::ServiceExt as _;

    use super::*;

    fn refuse(_: &Uri, refusal: Refusal) -> Response {
        let Refusal::Error(Error::Internal(source)) = refusal else { return StatusCode::IM_A_TEAPOT.into_response() };
        (StatusCode::INTERNAL_SERVER_ERROR, source.to_string()).into_response()
    }

    async fn fails() -> StatusCode {
        panic!("about Peter")
    }

    #[tokio::test]
    async fn a_panic_is_an_answer_that_names_the_request() {
        let service = Router::new().fallback(fails).layer(from_fn(|request, next: Next| {
            crate::layers::log(request, |request| catch(refuse, request, |request| next.run(request)))
        }));
        let request = Request::builder().header("x-request-id", "abc").body(Body::empty()).unwrap();
        let response = service.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()["x-request-id"], "abc");
        let body = axum::body::to_bytes(response.into_body(), 1024).await.unwrap();
        assert_eq!(body, "request abc ended in a panic");
    }
}
