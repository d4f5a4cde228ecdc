//! The trace a request belongs to (W3C Trace Context): its id stands in the log, so that a line is found from what a
//! balancer or a client recorded. Where a collector is named, each request is a span that it is told.
//!
//! A span says what a line of the log says, and no more: never the path, the query, an address or who asked.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName};
use axum::response::Response;
use jhe_app::App;
use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceState, Tracer,
};
use opentelemetry::{Context, KeyValue};

use crate::layers::{RequestId, is_probe};
use crate::metrics::{OTHER, method};
use crate::origin::{Origin, peer};
use crate::route;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The trace that a request is told in, in its answer's extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TraceId(pub(crate) opentelemetry::trace::TraceId);

/// What a caller says it does while it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parent {
    pub(crate) trace: opentelemetry::trace::TraceId,
    span: SpanId,
    is_sampled: bool,
}

impl Parent {
    /// What the header of a request says, when it is well-formed.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut parts = headers.get(TRACEPARENT)?.to_str().ok()?.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        // Later versions may add parts; this one has four.
        let is_whole = version != "00" || parts.next().is_none();
        let fits = is_hex(version, 2) && version != "ff" && is_hex(flags, 2) && is_id(trace, 32) && is_id(span, 16);
        if !is_whole || !fits {
            return None;
        }
        Some(Self {
            trace: opentelemetry::trace::TraceId::from_hex(trace).ok()?,
            span: SpanId::from_hex(span).ok()?,
            is_sampled: u8::from_str_radix(flags, 16).ok()? & 1 == 1,
        })
    }

    fn context(self) -> Context {
        let flags = if self.is_sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
        // The state of other parties (`tracestate`) is theirs to write, so it is not passed on.
        let span = SpanContext::new(self.trace, self.span, flags, true, TraceState::NONE);
        Context::new().with_remote_span_context(span)
    }
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Nothing but zeros stands for no id.
fn is_id(text: &str, digits: usize) -> bool {
    is_hex(text, digits) && text.bytes().any(|byte| byte != b'0')
}

/// Layer: makes a span of every request, named and described as OpenTelemetry's conventions for HTTP servers say.
/// Where nobody is told it does nothing.
pub async fn record<T: Tracer>(
    app: &App,
    tracer: Option<&T>,
    request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let route = route::matched(&request);
    let Some(tracer) = tracer.filter(|_| !route.is_some_and(is_probe)) else {
        return next(request).await;
    };
    let route = route.map(str::to_owned);
    let method = method(request.method());
    let is_known = method != OTHER;
    let mut attributes = vec![
        KeyValue::new("http.request.method", if is_known { method } else { "_OTHER" }),
        KeyValue::new("url.scheme", Origin::scheme(request.headers(), peer(&request), app.config())),
    ];
    let mut name = if is_known { method } else { "HTTP" }.to_owned();
    if let Some(route) = route {
        name = format!("{name} {route}");
        attributes.push(KeyValue::new("http.route", route));
    }
    if let Some(RequestId(id)) = request.extensions().get() {
        attributes.push(KeyValue::new("request.id", id.clone()));
    }
    let parent = Parent::of(request.headers()).map_or_else(Context::new, Parent::context);
    let builder = tracer.span_builder(name).with_kind(SpanKind::Server).with_attributes(attributes);
    // Ends when it is dropped, also with a request that is given up.
    let mut span = builder.start_with_context(tracer, &parent);
    let mut response = next(request).await;
    let status = response.status();
    span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
    if status.is_server_error() {
        span.set_attribute(KeyValue::new("error.type", status.as_str().to_owned()));
        span.set_status(Status::error(""));
    }
    response.extensions_mut().insert(TraceId(span.span_context().trace_id()));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_well_formed_parents_are_taken_over() {
        let check = |value: &str, expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(TRACEPARENT, value.parse().unwrap());
            let found = Parent::of(&headers).map(|parent| parent.trace.to_string());
            assert_eq!(found.as_deref(), expected, "{value}");
        };
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        check(&format!("00-{trace}-00f067aa0ba902b7-01"), Some(trace));
        check(&format!("01-{trace}-00f067aa0ba902b7-01-more"), Some(trace));
        check(&format!("00-{trace}-00f067aa0ba902b7-01-more"), None);
        check(&format!("ff-{trace}-00f067aa0ba902b7-01"), None);
        check(&format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)), None);
        check(&format!("00-{trace}-0000000000000000-01"), None);
        check("00-Peter-00f067aa0ba902b7-01", None);
        check("", None);
    }
}
