//! `GET /metrics` on an address of its own: what the process counted, and how this server is at the moment.
//!
//! What is counted is shared by all servers of a process, of which there is more than one in tests only. What is
//! measured when asked (connections, queues, memory) is that of the server that is asked.

use std::fmt::Write as _;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jhe_app::App;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Upper ends of the classes of times, in seconds: few, because each is a series for each route.
const SECONDS: &[f64] = &[0.005, 0.025, 0.1, 0.5, 2.5, 10.0];
/// Upper ends of the classes of sizes.
const SIZES: &[f64] = &[1.0, 10.0, 100.0, 1000.0];
/// How long the database may take to tell a number.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often what was recorded is put into its classes.
const UPKEEP: Duration = Duration::from_secs(5);

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Begins to count, once for the process.
pub fn install() -> Result<PrometheusHandle> {
    if let Some(handle) = HANDLE.get() {
        return Ok(handle.clone());
    }
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_entries".to_owned()), SIZES))
        .context("the classes of metrics")?
        .build_recorder();
    let handle = HANDLE.get_or_init(|| recorder.handle());
    // Another server of this process may have been faster; then its recorder counts, and its handle is the one above.
    if metrics::set_global_recorder(recorder).is_ok() {
        describe();
    }
    Ok(handle.clone())
}

fn describe() {
    use metrics::{describe_counter as counter, describe_histogram as histogram};
    counter!(jhe_http::metrics::REQUESTS, "Requests by method, route template and status.");
    histogram!(jhe_http::metrics::DURATION, "Seconds until a request was answered.");
    counter!("jhe_http_refused_total", "Requests turned away because too many were under way.");
    counter!("jhe_http_timeouts_total", "Requests that took too long.");
    counter!("jhe_http_panics_total", "Requests that ended in a panic.");
    histogram!(jhe_store::pool::WAIT, "Seconds a connection to the database was waited for.");
    counter!("jhe_logins_total", "Passwords that were tried, by outcome.");
    counter!("jhe_hashing_refused_total", "Requests turned away because too many passwords were to be checked.");
    counter!("jhe_token_grants_total", "Requests for tokens by grant and outcome.");
    counter!("jhe_observations_total", "Uploads of observations by data type and outcome.");
    counter!("jhe_validation_failures_total", "Open mHealth documents that do not conform, by schema and kind.");
    histogram!("jhe_bundle_entries", "Entries of uploaded Bundles.");
    counter!("jhe_fhir_searches_total", "FHIR searches by type.");
}

/// The routes of the address for metrics.
#[expect(clippy::disallowed_methods, reason = "metrics are for machines that run the server, not part of the API")]
pub fn router(app: App, handle: PrometheusHandle) -> Router {
    Router::new().route("/metrics", get(show)).with_state((app, handle))
}

/// Keeps what was recorded from piling up between two questions.
pub async fn upkeep(handle: PrometheusHandle, mut stop: tokio::sync::watch::Receiver<bool>) {
    while tokio::time::timeout(UPKEEP, stop.wait_for(|stopped| *stopped)).await.is_err() {
        handle.run_upkeep();
    }
}

async fn show(State((app, handle)): State<(App, PrometheusHandle)>) -> Response {
    let mut text = handle.render();
    moment(&app, &mut text).await;
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// Adds what is measured now.
async fn moment(app: &App, text: &mut String) {
    gauge(text, "jhe_http_requests_in_flight", "Requests under way.", jhe_http::metrics::in_flight());
    let state = app.store().pool_state();
    gauge(text, "jhe_db_connections", "Connections to the database.", u64::from(state.open));
    gauge(text, "jhe_db_connections_idle", "Those that nobody uses.", state.idle as u64);
    gauge(text, "jhe_db_connections_max", "How many there may be.", u64::from(state.most));
    gauge(text, "jhe_audit_queue", "Units of work whose audit entries wait.", state.audit_queue as u64);
    // When the database does not answer, that is what the other numbers say.
    if let Ok(Ok(queued)) = tokio::time::timeout(PATIENCE, app.store().queued_mail()).await {
        gauge(text, "jhe_mail_queue", "Mails that wait to be sent.", u64::try_from(queued).unwrap_or(0));
    }
    if let Some(bytes) = resident_bytes() {
        gauge(text, "process_resident_memory_bytes", "Memory of the process.", bytes);
    }
}

fn gauge(text: &mut String, name: &str, help: &str, value: u64) {
    // Writing to a string does not fail.
    write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n\n").ok();
}

/// Memory of the process, where the system tells.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}
