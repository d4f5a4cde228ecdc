//! Traces on their way to a collector: OTLP over HTTP, in batches, from a thread of their own.
//!
//! No request waits for it. What the collector does not take in time is dropped, and the log says so once until it takes
//! some again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jhe_config::Traces;
use jhe_domain::error::Error;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider};
use reqwest::Client;
use reqwest::redirect::Policy;
use tokio::runtime::Handle;

/// What begins spans: see [`Exporter::tracer`].
pub type Tracer = SdkTracer;

/// Spans that wait at most; those that find no place are dropped.
const QUEUE: usize = 2048;
/// Spans delivered at once at most.
const BATCH: usize = 512;
/// How long spans wait for others.
const PAUSE: Duration = Duration::from_secs(5);
/// How long the collector may take for one batch.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long what is left is tried to be delivered when the server stops.
const LAST_CHANCE: Duration = Duration::from_secs(3);
/// What is read of an answer, so that its connection can be used again.
const LARGEST: usize = 64 * 1024;

/// Collects spans and delivers them.
#[derive(Debug)]
pub struct Exporter {
    provider: SdkTracerProvider,
}

impl Exporter {
    /// Prepares to deliver; connects to nothing yet. Needs the runtime that it is called in until [`Exporter::stop`].
    ///
    /// # Errors
    /// `Internal` when the HTTP client cannot be made.
    pub fn start(traces: &Traces, version: &'static str) -> Result<Self, Error> {
        let client = Client::builder().timeout(TIMEOUT).no_proxy().redirect(Policy::none());
        let client = client.build().map_err(Error::internal)?;
        let headers = traces.headers.iter().map(|(name, value)| (name.clone(), value.reveal().to_owned()));
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Delivery { client, runtime: Handle::current(), is_failing: Arc::default() })
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&traces.url)
            .with_headers(headers.collect())
            .with_timeout(TIMEOUT)
            .build()
            .map_err(Error::internal)?;
        let resource = Resource::builder_empty()
            .with_service_name(traces.service_name.clone())
            .with_attribute(KeyValue::new("service.version", version))
            .build();
        // Said here, since the environment is read elsewhere.
        let waiting = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(PAUSE)
            .build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::new(exporter, waiting))
            // Callers that take part in a trace have decided about it already.
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(traces.ratio))))
            .with_resource(resource)
            .build();
        Ok(Self { provider })
    }

    /// What begins spans.
    pub fn tracer(&self) -> Tracer {
        self.provider.tracer("jhe")
    }

    /// Delivers what is left, within seconds or not at all.
    pub async fn stop(self) {
        let provider = self.provider;
        // It blocks, and the delivery needs this runtime meanwhile.
        let stopped = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(LAST_CHANCE)).await;
        if !matches!(stopped, Ok(Ok(()))) {
            tracing::warn!("some traces could not be delivered before the end");
        }
    }
}

/// Sends batches, which come from a thread without a runtime, with the client that everything else is sent with.
#[derive(Debug)]
struct Delivery {
    client: Client,
    runtime: Handle,
    is_failing: Arc<AtomicBool>,
}

#[async_trait]
impl HttpClient for Delivery {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request)?;
        let (client, is_failing) = (self.client.clone(), Arc::clone(&self.is_failing));
        self.runtime.spawn(async move { send(&client, request, &is_failing).await }).await?
    }
}

async fn send(
    client: &Client,
    request: reqwest::Request,
    is_failing: &AtomicBool,
) -> Result<Response<Bytes>, HttpError> {
    let answer = match client.execute(request).await {
        Ok(answer) => answer,
        Err(error) => {
            let error = error.without_url();
            if !is_failing.swap(true, Ordering::Relaxed) {
                tracing::warn!(error = %error, "traces cannot be delivered and are dropped");
            }
            return Err(error.into());
        }
    };
    let is_taken = answer.status().is_success();
    if is_failing.swap(!is_taken, Ordering::Relaxed) == is_taken {
        if is_taken {
            tracing::info!("traces are delivered again");
        } else {
            tracing::warn!(status = answer.status().as_u16(), "the collector refuses traces, which are dropped");
        }
    }
    let mut reply = Response::builder().status(answer.status());
    if let Some(after) = answer.headers().get("retry-after") {
        reply = reply.header("retry-after", after);
    }
    drain(answer).await;
    // Nothing of the body matters, not even which spans a collector did not like.
    Ok(reply.body(Bytes::new())?)
}

async fn drain(mut answer: reqwest::Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = answer.chunk().await {
        read += chunk.len();
        if read > LARGEST {
            return;
        }
    }
}
