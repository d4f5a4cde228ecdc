//! The process itself: where it listens, how long things may take, what it tells.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::{Reader, form};

/// The process itself.
#[derive(Debug, Clone)]
pub struct Server {
    /// Address to listen on.
    pub bind: SocketAddr,
    /// Address that metrics are told at; none keeps them to itself.
    pub metrics_bind: Option<SocketAddr>,
    /// Folder of the private database, when one was named.
    pub data_dir: Option<PathBuf>,
    /// Log filter.
    pub log: String,
    /// Log lines as JSON.
    pub log_json: bool,
    /// How long a request may take.
    pub request_timeout: Duration,
    /// How long the head of a request may take to arrive.
    pub header_timeout: Duration,
    /// How long a connection is kept without a request.
    pub keep_alive: Duration,
    /// How long requests are still taken after the order to stop, so that balancers notice.
    pub shutdown_delay: Duration,
    /// How long requests under way are given at shutdown.
    pub shutdown_grace: Duration,
    /// How long after a seal of the audit trail the next one comes.
    pub seal_pause: Duration,
}

impl Server {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        const ADDRESS: &str = "an address with a port, such as 127.0.0.1:8000";
        let default = SocketAddr::from(([127, 0, 0, 1], 8000));
        Self {
            bind: reader.parsed("JHE_BIND", default, ADDRESS, |text| text.parse().ok()),
            metrics_bind: reader.parsed("JHE_METRICS_BIND", None, ADDRESS, |text| text.parse().ok().map(Some)),
            data_dir: reader.get("JHE_DATA_DIR").map(PathBuf::from),
            log: reader.text(
                "JHE_LOG",
                "info",
                "off, error, warn, info, debug or trace, and module=level pairs, separated by commas",
                form::is_log_filter,
            ),
            log_json: reader.parsed("JHE_LOG_FORMAT", false, "text or json", |text| match text {
                "text" => Some(false),
                "json" => Some(true),
                _ => None,
            }),
            request_timeout: reader.seconds("JHE_REQUEST_TIMEOUT", 60),
            header_timeout: reader.seconds("JHE_HEADER_TIMEOUT", 10),
            // Longer than balancers keep theirs, or a request of theirs meets a connection that is just being closed.
            keep_alive: reader.seconds("JHE_KEEP_ALIVE", 75),
            shutdown_delay: reader.seconds_of_at_least("JHE_SHUTDOWN_DELAY", 0, 0),
            shutdown_grace: reader.seconds("JHE_SHUTDOWN_GRACE", 30),
            seal_pause: reader.seconds("JHE_AUDIT_SEAL_PAUSE", 10),
        }
    }
}
