//! Traces: each request is a span that a collector is told, which says nothing about anybody and holds nobody up.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use jhe_testkit::{MARK, MARY, TestServer};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message as _;
use tokio::net::TcpListener;

use crate::privacy::log;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A collector of traces, and all that it was told: headers and bodies.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<(HeaderMap, Bytes)>>>);

impl Collector {
    /// Starts one; its endpoint comes with it.
    async fn start() -> (Self, String) {
        let collector = Self::default();
        let kept = collector.clone();
        let take = async move |headers: HeaderMap, body: Bytes| kept.0.lock().unwrap().push((headers, body));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(take)).await });
        (collector, endpoint)
    }

    fn told(&self) -> Vec<(HeaderMap, Bytes)> {
        self.0.lock().unwrap().clone()
    }

    fn spans(&self) -> Vec<Span> {
        let mut spans = Vec::new();
        for (_, body) in self.told() {
            let told = ExportTraceServiceRequest::decode(body).unwrap();
            for resource in told.resource_spans {
                assert_eq!(text(&resource.resource.unwrap().attributes, "service.name").as_deref(), Some("exchange"));
                spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
            }
        }
        spans
    }
}

fn text(attributes: &[KeyValue], name: &str) -> Option<String> {
    let value = attributes.iter().find(|attribute| attribute.key == name)?.value.clone()?;
    match value {
        AnyValue { value: Some(Value::StringValue(text)) } => Some(text),
        AnyValue { value: Some(Value::IntValue(number)) } => Some(number.to_string()),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

#[tokio::test]
async fn a_request_is_a_span_of_its_callers_trace_and_says_nothing_about_anybody() {
    let log = log();
    let (collector, endpoint) = Collector::start().await;
    let server = TestServer::with(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=collectors%20key"),
        ("OTEL_SERVICE_NAME", "exchange"),
    ])
    .await;
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let path = "/api/v1/patients/40001?note=canary-query";
    let asked = server.get(path).as_user(MARY).header("traceparent", &parent).header("x-request-id", "asked-1");
    asked.send().await.expect(200);
    let lookup = "/api/v1/patients/global_lookup?email=canary-email@example.org";
    server.get(lookup).as_user(MARY).header("tracestate", "canary=state").send().await;
    server
        .get("/api/v1/patients/40001")
        .bearer("canary-token")
        .header("x-request-id", "asked-2")
        .send()
        .await
        .expect(401);
    server.get("/nowhere/canary-path").send().await.expect(404);
    server.call("CANARY".parse().unwrap(), "/api/v1/patients/40001").send().await;
    server.get("/health").send().await.expect(200);
    server.execute("ALTER TABLE core_observation RENAME TO gone").await;
    server.get("/FHIR/R5/Observation?patient=40001").as_user(MARY).send().await.expect(500);
    server.execute("ALTER TABLE gone RENAME TO core_observation").await;
    server.stop().await;

    let spans = collector.spans();
    assert_eq!(spans.len(), 6, "one each, and probes are none: {spans:#?}");
    assert!(spans.iter().all(|span| span.kind() == SpanKind::Server));
    let of = |id: &str| {
        let found = spans.iter().find(|span| text(&span.attributes, "request.id").as_deref() == Some(id));
        found.unwrap_or_else(|| panic!("no span of {id}: {spans:#?}"))
    };
    let child = of("asked-1");
    assert_eq!((hex(&child.trace_id), hex(&child.parent_span_id)), (TRACE.to_owned(), PARENT.to_owned()));
    assert_eq!(child.name, "GET /api/v1/patients/{id}");
    let mut said: Vec<_> =
        child.attributes.iter().map(|said| (said.key.as_str(), text(&child.attributes, &said.key).unwrap())).collect();
    said.sort_unstable();
    let expected = [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("http.route", "/api/v1/patients/{id}"),
        ("request.id", "asked-1"),
        ("url.scheme", "http"),
    ];
    assert_eq!(said, expected.map(|(name, value)| (name, value.to_owned())), "nothing else is said");

    let root = of("asked-2");
    assert!(root.parent_span_id.is_empty() && hex(&root.trace_id) != TRACE);
    assert_eq!(text(&root.attributes, "http.response.status_code").as_deref(), Some("401"));
    assert_ne!(
        root.status.clone().unwrap_or_default().code(),
        StatusCode::Error,
        "a refusal is no fault of the server"
    );
    let line =
        log.written().lines().find(|line| line.contains("asked-2") && line.contains("trace.id")).unwrap().to_owned();
    assert!(line.contains(&hex(&root.trace_id)), "the line in the log names the trace: {line}");

    let fault = spans.iter().find(|span| text(&span.attributes, "http.response.status_code").as_deref() == Some("500"));
    assert_eq!(fault.unwrap().status.clone().unwrap().code(), StatusCode::Error);
    assert!(spans.iter().any(|span| span.name == "GET"), "a path that nobody serves names no route");
    assert!(spans.iter().any(|span| text(&span.attributes, "http.request.method").as_deref() == Some("_OTHER")));

    for (headers, body) in collector.told() {
        assert_eq!(headers["x-key"], "collectors key");
        let body = String::from_utf8_lossy(&body).to_lowercase();
        for canary in ["canary", "example.org", "40001", "127.0.0.1", "localhost", &MARY.token()] {
            assert!(!body.contains(canary), "{canary} was told");
        }
    }
}

#[tokio::test]
async fn callers_decide_about_their_traces_and_the_ratio_about_the_rest() {
    let (collector, endpoint) = Collector::start().await;
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_TRACES_SAMPLER_ARG", "0"),
        ("OTEL_SERVICE_NAME", "exchange"),
    ];
    let server = TestServer::with(&variables).await;
    for (id, flags) in [("sampled", "01"), ("not-sampled", "00")] {
        let parent = format!("00-{TRACE}-{PARENT}-{flags}");
        server
            .get("/api/v1/patients")
            .header("traceparent", &parent)
            .header("x-request-id", id)
            .send()
            .await
            .expect(401);
    }
    server.get("/api/v1/patients").send().await.expect(401);
    server.stop().await;
    let told: Vec<_> = collector.spans().iter().map(|span| text(&span.attributes, "request.id").unwrap()).collect();
    assert_eq!(told, ["sampled"]);
}

#[tokio::test]
async fn a_collector_that_does_not_answer_holds_up_neither_requests_nor_the_end() {
    // Takes connections, reads, and never says a word.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let silent = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            kept.push(connection);
        }
    });
    let mut server = TestServer::with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]).await;
    // More than the queue holds: what finds no place there is dropped instead of waiting.
    for _ in 0..50 {
        let calls = (0..60).map(|_| server.get("/static/nothing").send());
        for reply in futures_util::future::join_all(calls).await {
            reply.expect(404);
        }
    }
    server.get("/api/v1/patients/40001").as_user(MARK).send().await.expect(403);
    tokio::time::timeout(Duration::from_secs(9), server.begin_stop())
        .await
        .expect("the collector's time-out is not waited for")
        .unwrap();
    assert!(!silent.is_finished());
    server.stop().await;

    // Nobody listens at all.
    let nobody = TestServer::with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")]).await;
    nobody.get("/api/v1/patients/40001").as_user(MARY).send().await.expect(200);
    nobody.stop().await;
}
