//! Where traces of requests go (OpenTelemetry), under the names its specification gives to environment variables.

use percent_encoding::percent_decode_str;

use crate::{Reader, Secret};

/// A collector of traces, and what it is told.
#[derive(Debug, Clone)]
pub struct Traces {
    /// URL that spans are posted to (OTLP over HTTP).
    pub url: String,
    /// Headers that go with them, in which collectors expect their keys.
    pub headers: Vec<(String, Secret)>,
    /// What this server is called there.
    pub service_name: String,
    /// Which part of the traces that begin here is told, from 0 to 1.
    pub ratio: f64,
}

/// What spans are posted to below the endpoint (OTLP specification, "OTLP/HTTP request").
const PATH: &str = "/v1/traces";

impl Traces {
    /// `None` without an endpoint; the others are checked all the same.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let url = endpoint(reader);
        let headers = reader.parsed(
            "OTEL_EXPORTER_OTLP_HEADERS",
            Vec::new(),
            "name=value pairs, comma-separated, values percent-encoded",
            headers,
        );
        let service_name = reader.get("OTEL_SERVICE_NAME").unwrap_or_else(|| "jhe".to_owned());
        let ratio = reader.parsed("OTEL_TRACES_SAMPLER_ARG", 1.0, "a number from 0 to 1", |text| {
            text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio))
        });
        Some(Self { url: url?, headers, service_name, ratio })
    }
}

fn endpoint(reader: &mut Reader<'_>) -> Option<String> {
    const NAME: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    let text = reader.get(NAME)?;
    let base = text.trim().trim_end_matches('/');
    let host = base.strip_prefix("http://").or_else(|| base.strip_prefix("https://"));
    let fits = host.is_some_and(|rest| {
        !rest.is_empty() && !rest.starts_with(['/', ':']) && rest.bytes().all(|byte| byte.is_ascii_graphic())
    });
    if fits && !base.contains(['?', '#', '@']) {
        return Some(format!("{base}{PATH}"));
    }
    // What stands before an @ may be a password.
    let held = if base.contains('@') { "[secret]" } else { base };
    reader.fault(NAME, held, "an http or https URL without account, query and fragment; keys go into headers");
    None
}

fn headers(text: &str) -> Option<Vec<(String, Secret)>> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let (name, value) = (name.trim(), percent_decode_str(value.trim()).decode_utf8().ok()?);
        let is_header = !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
            && value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        is_header.then(|| (name.to_ascii_lowercase(), Secret::new(value.into_owned())))
    };
    pairs.map(pair).collect()
}

#[cfg(test)]
mod tests {
    use crate::{Config, ConfigError};

    fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::read(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())), None)
    }

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.example.org:4318/");

    #[test]
    fn traces_go_nowhere_without_an_endpoint() {
        assert!(read(&[("OTEL_SERVICE_NAME", "exchange")]).unwrap().traces.is_none());
        let traces = read(&[ENDPOINT]).unwrap().traces.unwrap();
        assert_eq!(traces.url, "https://collector.example.org:4318/v1/traces");
        assert_eq!((traces.service_name.as_str(), traces.ratio, traces.headers.len()), ("jhe", 1.0, 0));
    }

    #[test]
    fn headers_are_taken_apart_and_never_shown() {
        let pairs = [ENDPOINT, ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Basic%20aHVudGVyMg==, x-team = health")];
        let traces = read(&pairs).unwrap().traces.unwrap();
        let shown: Vec<_> = traces.headers.iter().map(|(name, value)| (name.as_str(), value.reveal())).collect();
        assert_eq!(shown, [("authorization", "Basic aHVudGVyMg=="), ("x-team", "health")]);
        assert!(!format!("{traces:?}").contains("aHVudGVyMg"));
    }

    #[test]
    fn wrong_values_are_refused_by_name() {
        let check = |name: &str, value: &str| {
            let fault = read(&[(name, value)]).unwrap_err().to_string();
            assert!(fault.starts_with(name), "{name}={value}: {fault}");
            assert!(!fault.contains("hunter2"), "{fault}");
        };
        for endpoint in
            ["collector:4318", "grpc://collector", "http://", "http:///v1", "http://a?b", "https://me:hunter2@a"]
        {
            check("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
        }
        for ratio in ["1.1", "-0.1", "NaN", "half"] {
            check("OTEL_TRACES_SAMPLER_ARG", ratio);
        }
        for headers in ["hunter2", "a b=hunter2", "a=hunter2%0d%0ab: c", "=hunter2"] {
            check("OTEL_EXPORTER_OTLP_HEADERS", headers);
        }
    }
}
