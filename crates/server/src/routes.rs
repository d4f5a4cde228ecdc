//! All routes of the server, and the layers around them.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use jhe_app::App;
use jhe_domain::error::Error;
use jhe_http::family::Family;
use jhe_http::head::HeadLimits;
use jhe_http::overload::Gate;
use jhe_http::refuse::Refusal;
use jhe_http::route::Route;
use jhe_http::stopping::Stopping;
use jhe_http::timeout::TimeLimit;
use jhe_http::{
    DocumentedRouter, Origin, account, authenticate, cors, head, https, layers, metrics, overload, panics, stopping,
    timeout, trace,
};
use jhe_outbound::trace::Tracer;
use tower::{ServiceBuilder, ServiceExt as _, service_fn};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::SizeAbove;

use crate::connections::Serves;
use crate::{openapi, probes};

/// The whole server as a service for one address. With a tracer every request is a span.
pub fn service(app: &App, stopping: &Stopping, tracer: Option<Tracer>) -> impl Serves {
    let around = Arc::new(Around::new(app, stopping, tracer));
    let api = DocumentedRouter::new()
        .merge(jhe_api_admin::router(app))
        .merge(jhe_api_fhir::router(app))
        .merge(jhe_api_oauth::router(app));
    let (api, _) = api.split_for_parts();
    let layers = ServiceBuilder::new()
        .layer(CompressionLayer::new().compress_when(SizeAbove::new(1024)))
        .layer(CatchPanicLayer::custom(layers::on_panic))
        .layer(from_fn_with_state(Arc::clone(&around), route));
    let routes = api
        .merge(openapi::pages(&openapi::document()))
        .merge(jhe_web::router(app))
        .merge(probes::router(stopping))
        .fallback(unknown)
        .layer(layers)
        .with_state(app.clone());
    // Paths are rewritten before routing, which a layer of the router would be too late for.
    let routes = routes.map_request(jhe_http::normalize::normalize).map_response(jhe_http::normalize::complete_allow);
    service_fn(move |request: Request| {
        let (around, routes) = (Arc::clone(&around), routes.clone());
        async move {
            match around.admit(&request) {
                Ok(()) => routes.oneshot(request).await,
                Err(error) => Ok(around.turn_away(request, error).await),
            }
        }
    })
}

/// What is around every route of one server.
struct Around {
    app: App,
    stopping: Stopping,
    tracer: Option<Tracer>,
    heads: HeadLimits,
    gate: Gate,
    time: TimeLimit,
}

impl Around {
    fn new(app: &App, stopping: &Stopping, tracer: Option<Tracer>) -> Self {
        let limits = &app.config().limits;
        Self {
            app: app.clone(),
            stopping: stopping.clone(),
            tracer,
            heads: HeadLimits { uri_bytes: limits.uri_bytes, header_bytes: limits.header_bytes, refuse },
            gate: Gate::new(limits.max_requests, refuse),
            time: TimeLimit { most: app.config().server.request_timeout, refuse },
        }
    }

    /// Asks those who would wait too long to sign in to come back. A storm of them is turned away before it is routed, since
    /// whatever is done for it is taken from those who were let in.
    fn admit(&self, request: &Request) -> Result<(), Error> {
        if request.method() == Method::POST && request.uri().path() == jhe_web::SIGN_IN {
            self.app.identity().admit_sign_in()?;
        }
        Ok(())
    }

    async fn turn_away(&self, mut request: Request, error: Error) -> Response {
        request.extensions_mut().insert(Route(jhe_web::SIGN_IN));
        self.observe(request, async |request| {
            layers::secure(&self.app, request, |request| {
                layers::read_short_bodies(self.time, request, async |request| {
                    refuse(request.uri(), Refusal::Error(error))
                })
            })
            .await
        })
        .await
    }

    /// What a routed request goes through.
    async fn lead(&self, request: Request, next: Next) -> Response {
        self.observe(request, async |request| {
            account::account(&self.app, refuse, request, |request| Box::pin(self.guard(request, next))).await
        })
        .await
    }

    /// What sees every request and its answer, outermost first.
    async fn observe(&self, request: Request, next: impl AsyncFnOnce(Request) -> Response) -> Response {
        layers::log(request, |request| {
            trace::record(&self.app, self.tracer.as_ref(), request, |request| {
                metrics::measure(request, |request| stopping::say_so(&self.stopping, request, |request| next(request)))
            })
        })
        .await
    }

    /// What may refuse a request, outermost first.
    async fn guard(&self, request: Request, next: Next) -> Response {
        layers::secure(&self.app, request, |request| {
            layers::read_short_bodies(self.time, request, |request| {
                https::require(&self.app, request, |request| {
                    head::limit(self.heads, request, |request| {
                        overload::limit(&self.gate, request, |request| {
                            timeout::limit(self.time, request, |request| {
                                cors::allow_origins(&self.app, request, |request| {
                                    panics::catch(refuse, request, |request| next.run(request))
                                })
                            })
                        })
                    })
                })
            })
        })
        .await
    }
}

async fn route(State(around): State<Arc<Around>>, request: Request, next: Next) -> Response {
    around.lead(request, next).await
}

/// A path nobody serves, in the words of the family it would belong to.
async fn unknown(State(app): State<App>, request: Request) -> Response {
    let family = family(request.uri().path());
    if Origin::of(request.headers(), request.uri(), None, app.config()).is_none() {
        return match family {
            Kind::Admin => jhe_api_admin::Admin::invalid_host(),
            Kind::Fhir => jhe_api_fhir::Fhir::invalid_host(),
            Kind::OAuth => jhe_api_oauth::OAuth::invalid_host(),
            Kind::Web => jhe_web::Web::invalid_host(),
        };
    }
    if matches!(family, Kind::Admin | Kind::Fhir) {
        // Everybody gets the same answer; the audit trail holds whatever administrators ask for.
        authenticate::find_caller(&app, request.headers()).await.ok();
    }
    match family {
        Kind::Admin => jhe_api_admin::unknown_path(),
        Kind::Fhir => jhe_api_fhir::unknown_path(&request),
        Kind::OAuth => jhe_api_oauth::unknown_path(&request),
        Kind::Web => jhe_web::unknown_path(),
    }
}

/// The families, by where their paths begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Admin,
    Fhir,
    OAuth,
    Web,
}

fn family(path: &str) -> Kind {
    if path == "/api" || path.starts_with("/api/") {
        Kind::Admin
    } else if path.starts_with("/fhir/r5") || path.starts_with("/fhir-import") {
        Kind::Fhir
    } else if path == "/o" || path.starts_with("/o/") {
        Kind::OAuth
    } else {
        Kind::Web
    }
}

/// A refusal that layers make, in the words of the family that a path belongs to.
fn refuse(uri: &Uri, refusal: Refusal) -> Response {
    let family = family(uri.path());
    let mut response = match family {
        Kind::Admin => put::<jhe_api_admin::Admin>(refusal),
        Kind::Fhir => put::<jhe_api_fhir::Fhir>(refusal),
        Kind::OAuth => put::<jhe_api_oauth::OAuth>(refusal),
        Kind::Web => put::<jhe_web::Web>(refusal),
    };
    if family == Kind::OAuth {
        // As every answer of that family (identity §1.3), so that a page elsewhere can tell an overload from a broken line.
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Retry-After, X-Request-Id"));
    }
    response
}

fn put<F: Family>(refusal: Refusal) -> Response {
    match refusal {
        Refusal::Error(error) => F::render(error),
        Refusal::Head(status, text) => F::oversized(status, text),
        Refusal::Body(status, text) => F::incomplete(status, text),
    }
}
