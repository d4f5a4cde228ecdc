//! Numbers about requests. Labels are the method, the route template and the status: never a path or a query.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::Request;
use axum::http::Method;
use axum::response::Response;

use crate::route;

/// Requests, by method, route and status.
pub const REQUESTS: &str = "jhe_http_requests_total";
/// How long they took, in seconds, by method and route.
pub const DURATION: &str = "jhe_http_request_duration_seconds";
/// Requests under way, kept here rather than by what collects numbers: a request that began before that did would end as
/// one too few.
static UNDER_WAY: AtomicU64 = AtomicU64::new(0);

/// Requests under way in this process.
pub fn in_flight() -> u64 {
    UNDER_WAY.load(Ordering::Relaxed)
}

/// Layer: counts and times requests.
pub async fn measure(request: Request, next: impl AsyncFnOnce(Request) -> Response) -> Response {
    let method = method(request.method());
    let route = route::of(&request).to_owned();
    let under_way = UnderWay::begin();
    let started = Instant::now();
    let response = next(request).await;
    drop(under_way);
    metrics::histogram!(DURATION, "method" => method, "route" => route.clone()).record(started.elapsed());
    let status = response.status().as_u16().to_string();
    metrics::counter!(REQUESTS, "method" => method, "route" => route, "status" => status).increment(1);
    response
}

/// All methods that are none of ours.
pub(crate) const OTHER: &str = "other";

/// Methods are a caller's to choose, so only known ones become labels.
pub(crate) fn method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => OTHER,
    }
}

/// A request under way, also when its caller goes away.
struct UnderWay;

impl UnderWay {
    fn begin() -> Self {
        UNDER_WAY.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
    }
}
