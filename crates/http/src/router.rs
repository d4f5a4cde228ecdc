//! The router that documents what it serves.

use axum::handler::Handler;
use utoipa_axum::router::OpenApiRouter;

/// The router that documents what it serves: what is in the OpenAPI document is what exists.
pub type DocumentedRouter<S> = OpenApiRouter<S>;

/// Answers methods that a path does not have with the family's own handler, inside the layers added afterwards.
pub fn with_method_fallback<S, H, T>(documented: DocumentedRouter<S>, handler: H) -> DocumentedRouter<S>
where
    S: Clone + Send + Sync + 'static,
    H: Handler<T, S>,
    T: 'static,
{
    let (router, document) = documented.split_for_parts();
    OpenApiRouter::from(router.method_not_allowed_fallback(handler)).merge(OpenApiRouter::with_openapi(document))
}
