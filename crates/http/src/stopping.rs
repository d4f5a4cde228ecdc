//! Whether the server has been told to stop. From then on it still answers, says so to balancers that ask, and asks
//! clients to leave with the answer they get, so that none sends into a connection that is being closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::Request;
use axum::http::{HeaderValue, Version, header};
use axum::response::Response;

/// Whether a server was told to stop. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Stopping(Arc<AtomicBool>);

impl Stopping {
    /// The order has come.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it has.
    pub fn has_begun(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Layer: the last answer of a connection says that it is the last. HTTP/2 has its own way to say so.
pub async fn say_so(stopping: &Stopping, request: Request, next: impl AsyncFnOnce(Request) -> Response) -> Response {
    let version = request.version();
    let mut response = next(request).await;
    if stopping.has_begun() && version <= Version::HTTP_11 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
